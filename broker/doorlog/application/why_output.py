"""What ``doorlog why`` tells, for a person and for a program."""

from __future__ import annotations

import json
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from doorlog.application.commands import LOCAL_LOG
from doorlog.application.hints import command
from doorlog.events.codes import Code
from doorlog.events.device_texts import devices_print, unreached
from doorlog.events.explanations import explanation, explanations, written

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorlog.events.device_texts import DeviceText
    from doorlog.events.explanations import Explanation
    from doorlog.events.matching import Match

_MOST_TEXTS: Final = 8
_MOST_OTHERS: Final = 6
_INDENT: Final = 2
_NARROWEST: Final = 40
_AS_IT_IS: Final[Any] = {"break_long_words": False, "break_on_hyphens": False}
"""A command that is copied must not be cut."""


def as_plain_answer(codes: Sequence[Code], matches: Sequence[Match]) -> dict[str, Any]:
    """Return an answer as JSON values.

    Args:
        codes: What it may be, the likeliest first.
        matches: What was recognised; nothing where somebody named the code.
    """
    return {
        "matches": [_plain_text(match.text) | {"score": round(match.score, 3)} for match in matches],
        "codes": [
            {"code": code}
            | explanation(code).model_dump(mode="json", exclude_none=True)
            | {"devices_print": [_plain_text(one) for one in devices_print(code)]}
            for code in codes
        ],
    }


def print_answer(codes: Sequence[Code], matches: Sequence[Match]) -> None:
    """Print what was recognised, all about the likeliest code, and which others it may be."""
    console = Console(highlight=False, soft_wrap=True)
    if matches:
        console.print(Text("recognised:", "bold"))
        for match in matches[:_MOST_TEXTS]:
            console.print(_item(_quoted(match.text), name=f"{match.text.stack}: ", style="cyan"))
        console.print()
    console.print(*_explained(codes[0], is_named=not matches), sep="\n")
    if len(codes) > 1:
        console.print(Text("\nit may also be", "bold"))
        for code in codes[1 : 1 + _MOST_OTHERS]:
            console.print(_item(_first_sentence(explanation(code).means), name=f"{code}: "))
    log_options = () if LOCAL_LOG.exists() else ("--log", "LOG")
    look = command(("tail", "--since", "24h", "--code", codes[0]), log_options)
    console.print(Text.assemble("\nin the log:  ", (look or "", "bold")))


def print_unreached(said: str, *, as_json: bool) -> None:
    """Print what it means that a device did not reach the broker.

    Args:
        said: The text that says so.
        as_json: Whether for a program.
    """
    known = unreached()
    if as_json:
        plain = known.model_dump(mode="json", exclude={"texts"})
        typer.echo(json.dumps({"matches": [], "codes": [], "unreached": {"text": said} | plain}, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text("recognised:", "bold"), _item(f'"{said}"'), Text(), _item(known.means), sep="\n")
    console.print(*_section("usual causes, the likeliest first", known.causes, numbered=True), sep="\n")
    console.print(*_section("how to find out", known.checks), sep="\n")


def print_codes(*, as_json: bool) -> None:
    """Print all codes with their first sentence, by stage."""
    everything = explanations().codes
    if as_json:
        plain = [{"code": code, "stage": entry.stage, "means": entry.means} for code, entry in everything.items()]
        typer.echo(json.dumps(plain, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    stage: str | None = ""
    for code, entry in everything.items():
        if entry.stage != stage:
            stage = entry.stage
            console.print(Text(f"{stage or 'at any stage'}", "bold cyan"))
        console.print(_item(_first_sentence(entry.means), name=f"{code}: "))


def _explained(code: Code, *, is_named: bool) -> Iterator[Text]:
    entry = explanation(code)
    where = f", at stage {entry.stage}" if entry.stage is not None else ""
    yield Text.assemble((code, "bold red" if code is not Code.ADMITTED else "bold green"), where)
    yield _item(entry.means)
    yield from _section("the log holds", [_recorded(code, entry)])
    yield from _section("usual causes, the likeliest first", entry.causes, numbered=True)
    yield from _section("how to find out", entry.checks)
    yield from _section("on the device", entry.do.device)
    yield from _section("on the broker", entry.do.broker)
    printed = devices_print(code)
    if is_named and printed:
        shown = [f"{one.stack}: {_quoted(one)}" for one in printed[:_MOST_TEXTS]]
        more = len(printed) - len(shown)
        yield from _section("devices print", [*shown, *([f"and {more} more: docs/codes.md"] if more else [])])


def _recorded(code: Code, entry: Explanation) -> str:
    outcome = "success" if code is Code.ADMITTED else "failure"
    stage = f", doorlog.stage {entry.stage}" if entry.stage is not None else ""
    answer = f"; the device gets CONNACK {entry.connack}" if entry.connack is not None else ""
    return f"a connect record with event.code {code}, event.outcome {outcome}{stage}{answer}"


def _section(title: str, sentences: Sequence[str], *, numbered: bool = False) -> Iterator[Text]:
    if sentences:
        yield Text(f"\n{title}", "bold")
        for number, sentence in enumerate(sentences, 1):
            yield _item(sentence, f"{number}." if numbered else "-")


def _item(text: str, mark: str = "", *, name: str = "", style: str = "bold") -> Text:
    """Set a paragraph in, what stands before it out; ``name`` is how it begins."""
    first = " " * _INDENT + (f"{mark} " if mark else "")
    width = Console().width
    lines = wrap(
        name + text, max(width, _NARROWEST), initial_indent=first, subsequent_indent=" " * len(first), **_AS_IT_IS
    )
    item = Text("\n".join(lines))
    item.stylize(style, len(first), len(first) + len(name))
    return item


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".") + "."


def _quoted(one: DeviceText) -> str:
    number = f" ({written(one.number)})" if one.number is not None and written(one.number) not in one.text else ""
    return f'"{one.text}"{number}'


def _plain_text(one: DeviceText) -> dict[str, Any]:
    return one.model_dump(mode="json", exclude={"codes"}, exclude_none=True)
