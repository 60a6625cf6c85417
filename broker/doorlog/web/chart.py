"""Bars over time as shapes, for an SVG that needs neither script nor style of its own (SVG 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from doorlog.readers.timeline import Timeline

WIDTH: Final = 960
HEIGHT: Final = 240
_LEFT: Final = 52
_TOP: Final = 14
_BOTTOM: Final = 24
MOST_COLOURS: Final = 7
"""Codes with a colour of their own; the others share one."""
OTHERS: Final = "other codes"
_TICKS: Final = 6


class Bar(NamedTuple):
    """One piece of a bar."""

    x: float
    y: float
    width: float
    height: float
    colour: int
    title: str


class Tick(NamedTuple):
    """A mark at an axis, or a line through the chart."""

    x: float
    y: float
    text: str


class Key(NamedTuple):
    """What a colour stands for."""

    colour: int
    name: str
    total: int
    codes: str
    """As the filter of the log takes them."""


class Chart(NamedTuple):
    """All shapes, in units of the picture."""

    bars: list[Bar]
    hours: list[Tick]
    counts: list[Tick]
    marks: list[Tick]
    legend: list[Key]
    rows: list[tuple[datetime, list[int]]]
    """The same as a table: for each span with failures when it begins, and a count for each of the legend."""


def chart_of(timeline: Timeline) -> Chart:
    """Draw failures over time, stacked by code."""
    shown, others = timeline.codes[:MOST_COLOURS], timeline.codes[MOST_COLOURS:]
    names = [*shown, *([OTHERS] if others else [])]
    codes = [*shown, " ".join(others)]
    stacks = [
        [slot[code] for code in shown] + [_rest(slot, shown)] * (len(names) > len(shown)) for slot in timeline.slots
    ]
    top = _ceiling(max((sum(stack) for stack in stacks), default=0))
    totals = [sum(stack[place] for stack in stacks) for place in range(len(names))]
    return Chart(
        bars=[bar for place, stack in enumerate(stacks) for bar in _bars(timeline, place, stack, names, top)],
        hours=_hours(timeline),
        counts=[Tick(_LEFT, _y(count, top), f"{count:,}") for count in (0, top // 2, top)],
        marks=[Tick(_x(timeline, mark.time.timestamp()), _TOP, mark.text) for mark in timeline.marks],
        legend=[Key(colour, name, totals[colour], codes[colour]) for colour, name in enumerate(names)],
        rows=[(timeline.since + place * timeline.step, stack) for place, stack in enumerate(stacks) if any(stack)],
    )


def _bars(timeline: Timeline, place: int, stack: list[int], names: list[str], top: int) -> list[Bar]:
    begins = timeline.since + place * timeline.step
    width = (WIDTH - _LEFT) / len(timeline.slots)
    bars, below = [], 0
    for colour, count in enumerate(stack):
        if count:
            y = _y(below + count, top)
            title = f"{begins:%Y-%m-%d %H:%M} UTC: {count:,} {names[colour]}"
            bars.append(Bar(_LEFT + place * width, y, max(width - 1, 0.5), _y(below, top) - y, colour, title))
        below += count
    return bars


def _hours(timeline: Timeline) -> list[Tick]:
    is_long = timeline.step.total_seconds() * len(timeline.slots) > 2 * 86_400
    every = max(1, len(timeline.slots) // _TICKS)
    return [
        Tick(
            _LEFT + place * (WIDTH - _LEFT) / len(timeline.slots),
            HEIGHT - 6,
            (timeline.since + place * timeline.step).strftime("%d %b" if is_long else "%H:%M"),
        )
        for place in range(0, len(timeline.slots) - every // 2, every)  # the last one would be cut
    ]


def _x(timeline: Timeline, moment: float) -> float:
    share = (moment - timeline.since.timestamp()) / (timeline.step.total_seconds() * len(timeline.slots))
    return _LEFT + share * (WIDTH - _LEFT)


def _y(count: int, top: int) -> float:
    return HEIGHT - _BOTTOM - count / max(top, 1) * (HEIGHT - _TOP - _BOTTOM)


def _ceiling(count: int) -> int:
    """Return a round number that is not below a count, and even, so that its half is one, too."""
    step = int(10 ** max(len(str(count)) - 1, 0))
    steps = -(-count // step)
    return max(2, (steps + steps * step % 2) * step)


def _rest(slot: dict[str, int], shown: list[str]) -> int:
    return sum(count for code, count in slot.items() if code != "admitted" and code not in shown)
