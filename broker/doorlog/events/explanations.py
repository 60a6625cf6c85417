"""What each code means, why it happens and what to do: data, and the page made from it and from what devices print.

``python -m doorlog.events.explanations`` prints the page ``docs/codes.md``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Final

from pydantic import Field

from doorlog.events.base import Part
from doorlog.events.codes import Action, Code, DisconnectCause, GapCause, Stage
from doorlog.events.data import read_data
from doorlog.events.device_texts import Unreached, device_texts, devices_print, unreached

Sentences = tuple[str, ...]
_CONNACK_NAMES: Final = (
    "connection accepted",
    "unacceptable protocol version",
    "identifier rejected",
    "server unavailable",
    "bad user name or password",
    "not authorized",
)


class Remedies(Part):
    """What to check or to do first, on each side."""

    device: Sentences = ()
    broker: Sentences = ()


class Explanation(Part):
    """All that is known of a code, a cause or an action, in plain words."""

    means: str
    """One to three sentences. "We" are the broker."""
    stage: Stage | None = None
    """Where an attempt with this code stops; None if that can be anywhere."""
    causes: Sentences = ()
    """The likeliest first."""
    checks: Sentences = ()
    """How to find out which of them it is."""
    do: Remedies = Remedies()
    connack: Annotated[int, Field(ge=0, le=5)] | None = None
    """The return code that the device gets (MQTT 3.1.1, 3.2.2.3), None for no CONNACK."""


class Explanations(Part):
    """Everything that is explained, by kind."""

    codes: dict[Code, Explanation]
    disconnects: dict[DisconnectCause, Explanation]
    actions: dict[Action, Explanation]
    gaps: dict[GapCause, Explanation]


@cache
def explanations() -> Explanations:
    """Return all explanations; they are read at the first call."""
    return Explanations.model_validate(read_data("explanations.yaml"))


def explanation(code: str) -> Explanation:
    """Explain a code, a cause of a disconnect or an action.

    Args:
        code: ``event.code`` or ``event.action`` of a record, or a member of its enumeration. A plain text that
            stands for both a code and a cause (``server_shutdown``) is taken as the code.

    Raises:
        KeyError: Nothing has this name.
    """
    everything = explanations()
    if isinstance(code, DisconnectCause):
        return everything.disconnects[code]
    if code in everything.gaps:
        return everything.gaps[GapCause(code)]
    if code in everything.codes:
        return everything.codes[Code(code)]
    if code in everything.disconnects:
        return everything.disconnects[DisconnectCause(code)]
    if code in everything.actions:
        return everything.actions[Action(code)]
    raise KeyError(code)


# The page.

_STAGES: Final[dict[Stage | None, str]] = {
    Stage.ACCEPT: "Turned away before a byte was read.",
    Stage.PROXY: "The PROXY protocol header, which a load balancer puts in front to name the device's address.",
    Stage.HELLO: "The first message of TLS, the ClientHello.",
    Stage.HANDSHAKE: "TLS. Either side may refuse the other; `tls.alert.direction` says who did.",
    Stage.CONNECT: "The first MQTT packet, CONNECT, and the WebSocket handshake before it.",
    Stage.CREDENTIALS: "Who is it, and may it come in?",
    Stage.SESSION: "Admitted.",
    None: "The broker itself ended the attempt, at whatever stage it was.",
}
_INTRODUCTION: Final = """\
# Codes

Every record says in `event.action` what it is about. A `connect` record says in `event.code` why the attempt failed
(or `admitted`), and in `doorlog.stage` how far it got; a `disconnect` record says in `event.code` how the session
ended. Here is what each of them means, why it happens (likeliest first) and what to do about it.

"We" are the broker, "the device" is whoever connected. What a device prints is quoted from its stack, to be searched
for: see [what devices print](#what-devices-print).

`doorlog why` tells the same in a terminal, for a code or for what a device printed.

This page is made from `explanations.yaml` and `device_texts.yaml` by `python -m doorlog.events.explanations`.
"""
# Names of fields, settings and codes, outside of what already stands in backticks.
_NAME = re.compile(r"`[^`]*`|\b[a-z][a-z0-9]*(?:[._][a-z0-9]+)+\b")


def page() -> str:
    """Return ``docs/codes.md``: a table and the details for each stage, then disconnects, actions, device texts."""
    everything = explanations()
    blocks = [_INTRODUCTION, _contents()]
    for stage in _STAGES:
        codes = {code: entry for code, entry in everything.codes.items() if entry.stage is stage}
        blocks += [f"## {_title(stage)}\n\n{_STAGES[stage]}\n", _overview(codes)]
        blocks += [_details(code, entry) for code, entry in codes.items()]
    blocks += ["## Disconnects\n\n`event.code` of a `disconnect` record.\n"]
    blocks += [_table(("code", "meaning", "why", "what to do"), _cause_rows(everything.disconnects, "disconnect"))]
    blocks += ["## Gaps\n\n`event.code` of an `audit_gap` record.\n"]
    blocks += [_table(("code", "meaning", "why", "what to do"), _cause_rows(everything.gaps, "gap"))]
    blocks += ["## Actions\n\n`event.action` of every record.\n"]
    blocks += [_table(("action", "meaning", "what to do"), _action_rows(everything.actions))]
    blocks += ["## What devices print\n", _table(("stack", "prints", "number", "code"), _print_rows())]
    blocks += ["## No record at all\n", _no_record(unreached())]
    return "\n".join(blocks)


def _title(stage: Stage | None) -> str:
    return f"Stage {stage}" if stage else "Any stage"


def _contents() -> str:
    titles = (*map(_title, _STAGES), "Disconnects", "Gaps", "Actions", "What devices print", "No record at all")
    return "".join(f"- [{title}](#{title.lower().replace(' ', '-')})\n" for title in titles)


def _overview(codes: Mapping[Code, Explanation]) -> str:
    rows = (
        (f"[`{code}`](#{code})", _marked(entry.means.partition(". ")[0].rstrip(".") + "."), _first(entry.do))
        for code, entry in codes.items()
    )
    return _table(("code", "meaning", "first thing to do"), rows)


def _first(do: Remedies) -> str:
    sides = (("Device", do.device), ("Broker", do.broker))
    return "<br>".join(f"{side}: {_marked(steps[0])}" for side, steps in sides if steps)


def _details(code: Code, entry: Explanation) -> str:
    parts = [f"### {code}\n\n{_marked(entry.means)}\n"]
    if entry.connack is not None:
        parts.append(f"The device gets CONNACK {entry.connack} ({_CONNACK_NAMES[entry.connack]}).\n")
    if entry.causes:
        steps = (f"{number}. {_marked(cause)}" for number, cause in enumerate(entry.causes, 1))
        parts.append("Why, likeliest first:\n\n" + "\n".join(steps) + "\n")
    if entry.checks:
        parts.append("How to find out:\n\n" + "\n".join(f"- {_marked(step)}" for step in entry.checks) + "\n")
    parts += [
        f"On the {side}:\n\n" + "\n".join(f"- {_marked(step)}" for step in steps) + "\n"
        for side, steps in (("device", entry.do.device), ("broker", entry.do.broker))
        if steps
    ]
    printed = devices_print(code)
    if printed:
        texts = (f"- {item.stack}: `{item.text}`" for item in printed)
        parts.append("Devices print:\n\n" + "\n".join(texts) + "\n")
    return "\n".join(parts)


def _cause_rows(
    causes: Mapping[DisconnectCause, Explanation] | Mapping[GapCause, Explanation], kind: str
) -> Iterator[tuple[str, ...]]:
    for cause, entry in causes.items():
        why = "<br>".join(map(_marked, entry.causes))
        yield f'<a id="{kind}-{cause}"></a>`{cause}`', _marked(entry.means), why, _all(entry.do)


def _action_rows(actions: Mapping[Action, Explanation]) -> Iterator[tuple[str, ...]]:
    for action, entry in actions.items():
        yield f'<a id="action-{action}"></a>`{action}`', _marked(entry.means), _all(entry.do)


def _print_rows() -> Iterator[tuple[str, ...]]:
    for item in sorted(device_texts(), key=lambda item: (item.stack.lower(), item.text)):
        number = "" if item.number is None else written(item.number)
        yield item.stack, f"`{item.text}`", number, "<br>".join(f"[`{code}`](#{code})" for code in item.codes)


def _no_record(known: Unreached) -> str:
    steps = (f"{number}. {_marked(cause)}" for number, cause in enumerate(known.causes, 1))
    checks = (f"- {_marked(check)}" for check in known.checks)
    printed = ", ".join(f"`{text}`" for text in known.texts)
    parts = (known.means, "Why, likeliest first:", "\n".join(steps), "How to find out:", "\n".join(checks))
    return "\n\n".join((*parts, f"Devices print: {printed}.")) + "\n"


def written(number: int) -> str:
    """Write a number as those who meet it do: small ones in decimal, others in hexadecimal."""
    return str(number) if abs(number) < 6_000 else f"{'-' if number < 0 else ''}0x{abs(number):04X}"


def _all(do: Remedies) -> str:
    sides = (("Device", do.device), ("Broker", do.broker))
    return "<br>".join(f"{side}: {_marked(step)}" for side, steps in sides for step in steps)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _marked(text: str) -> str:
    """Set the names in a text as code, and link those of codes."""
    return _NAME.sub(_mark, text)


def _mark(match: re.Match[str]) -> str:
    name = match[0]
    if name.startswith("`"):
        return name
    return f"[`{name}`](#{name})" if name in list(Code) else f"`{name}`"


if __name__ == "__main__":
    sys.stdout.write(page())
