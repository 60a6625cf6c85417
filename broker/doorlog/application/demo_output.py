"""What ``doorlog demo`` shows: a story in seven steps, told by the commands that anybody would use."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.text import Text

from doorlog.application.hints import program
from doorlog.demo.broker import CONFIG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from doorlog.demo.play import Played

_AS_CALLED: Final = "import sys; sys.argv[:2] = sys.argv[1:2]; from doorlog.__main__ import main; main()"
"""Has a command suggest others by the name by which we were called."""
_PINNED: Final = "pump-11"
_REFUSES: Final = "server_certificate_unknown_ca"
_SUMMARY, _CAUSES = 6, 17
"""Lines that are shown of these commands."""
_PATIENCE: Final = 60.0
"""Seconds that a command may take."""


def as_plain_demo(played: Played) -> dict[str, Any]:
    """Return what was done, and what the log says of it, as JSON values."""
    return {
        "folder": str(played.folder),
        "log": str(played.log),
        "config": str(played.folder / CONFIG),
        "rotated": _moment(played),
        "attempts": [
            {
                "name": attempt.visitor.name,
                "source": {"ip": attempt.visitor.address, "port": attempt.port},
                "why": attempt.visitor.why if attempt in played.after else None,
                "expected": attempt.code,
                **_found(record),
            }
            for attempt, record in played.recorded
        ],
    }


def print_demo(played: Played, console: Console | None = None) -> None:
    """Tell the story: coloured and cut to its width on a terminal, plain in a pipe.

    Args:
        played: What was done.
        console: Where; None for standard output.
    """
    console = console or Console(highlight=False, soft_wrap=True)
    story = Story(console, ("--log", str(played.log)))
    tell_what_happened(story, played)
    story.step("who fails, since when, and why")
    story.run("summary", "--since", "1h", lines=_SUMMARY)
    story.run("devices")
    tell_of_one_device(story)
    story.step("what it means, and what to do")
    story.run("why", _REFUSES, with_log=False, lines=_CAUSES)
    tell_what_it_comes_to(story, played)
    _print_what_to_try(story, played)


def tell_what_happened(story: Story, played: Played) -> None:
    """Tell the first steps: what was done, what another log shows of it, and what this one does."""
    before, after, since = len(played.before), len(played.after), ("--since", _moment(played))
    devices = len({attempt.visitor.name for attempt in played.before})
    pinned = sum(attempt.visitor.pin is not None for attempt in played.after)
    admitted = sum(attempt.visitor.is_admitted for attempt in played.after)
    story.step("a fleet comes in")
    story.say(f"{devices} devices connect over TLS, {before} times in all, and are admitted.")
    story.step("the broker's certificate is rotated")
    story.say(
        "The broker is started again with a new certificate, by a new intermediate under the same root. Devices that"
    )
    story.say(
        f"trust the root notice nothing. But {pinned} had pinned the old intermediate, or the old certificate itself."
    )
    story.say(f"Other things go wrong at the same time, as they do: of {after} attempts, {admitted} are admitted.")
    story.step("what a log shows that begins with authentication")
    story.run("tail", "--stage", "credentials", "--outcome", "failure", *since)
    story.say(f"Passwords and users. Not one of the {pinned} devices that refused the new certificate.")
    story.step("what doorlog shows of the same moment")
    story.run("tail", "-n", "100", "--outcome", "failure", *since, lines=pinned)
    found = sum(record is not None for _, record in played.recorded)
    story.say(f"Connections that were made: {before + after}. Records of them in the log: {found}.")


def tell_of_one_device(story: Story) -> None:
    """Tell the step about a device that was named though it never said who it is."""
    story.step("one of them: it never came to say who it is")
    story.run("device", _PINNED, "--last", "2")


def tell_what_it_comes_to(story: Story, played: Played) -> None:
    """Tell which devices the rotation has broken, and how sure that is."""
    broken = [record or {} for attempt, record in played.recorded_after if attempt.visitor.pin]
    likely = sorted({record["device"]["id"] for record in broken if "device" in record})
    alike = sorted({one["id"] for record in broken for one in _candidates(record) if "device" not in record})
    story.heading("what it comes to")
    story.say(f"The new certificate locked out {', '.join(likely)}: likely these, since only they fit.")
    story.say(
        f"{' and '.join(alike)} look alike behind one address: each time it was one of both, and nobody guesses which."
    )
    story.say(
        "Serve the old chain again, have these devices trust the root, then rotate. The others have other troubles."
    )


def _print_what_to_try(story: Story, played: Played) -> None:
    """End in commands that work as pasted."""
    story.heading("look around yourself")
    query = "SELECT code, sum(attempts) FROM records GROUP BY code ORDER BY 2 DESC"
    last = next(record for attempt, record in played.recorded_after if record and attempt.code == _REFUSES)
    for words, argv in (
        ("the same in a browser", ("web", *story.log)),
        ("all reasons, and who fails for them", ("summary", *story.log)),
        ("two that look alike", ("device", "plug-13", *story.log)),
        ("one attempt, told in words", ("show", last["event"]["id"], *story.log)),
        ("what your own device prints", ("why", "certificate is not correctly signed by the trusted CA")),
        ("whatever you want to know", ("query", query, *story.log)),
        ("whether anybody changed the log", ("verify", *story.log)),
        ("a broker for your own devices", ("run", "--bind-all")),
    ):
        story.suggest(words, (*program(), *argv))
    story.suggest("when you have seen enough", ("rm", "-r", str(played.folder)))


class Story:
    """Prints headings, sentences, and commands with what they print.

    Args:
        console: Where.
        log: What tells a command where the log is.
    """

    def __init__(self, console: Console, log: tuple[str, str]) -> None:
        self._console = console
        self.log = log
        self._steps = 0

    def step(self, title: str) -> None:
        """Begin a step."""
        self._steps += 1
        self.heading(f"{self._steps}  {title}")

    def heading(self, title: str) -> None:
        """Begin a part that is no step."""
        self._console.print(Text())
        self._console.print(Text(title.upper(), "bold cyan"))

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self._console.print(Text(sentence))

    def run(self, *argv: str, with_log: bool = True, lines: int | None = None) -> None:
        """Run one of our commands, and show it with what it prints, or the first lines of it."""
        self.command((*program(), *argv, *(self.log if with_log else ())))
        environment = os.environ | {"COLUMNS": str(self._console.width)}
        if self._console.is_terminal and not self._console.no_color:
            environment["FORCE_COLOR"] = "1"
        ended = subprocess.run(  # noqa: S603 - our own program
            (sys.executable, "-c", _AS_CALLED, sys.argv[0], *argv, *(self.log if with_log else ())),
            capture_output=True, check=False, encoding="utf-8", env=environment, timeout=_PATIENCE,
        )  # fmt: skip
        printed = (ended.stdout if ended.returncode == 0 else ended.stdout + ended.stderr).splitlines()
        for line in printed[:lines]:
            self._line(Text.from_ansi(line))
        if lines is not None and len(printed) > lines:
            self._console.print(Text(f"… {len(printed) - lines} more lines", "dim"))

    def suggest(self, words: str, argv: Sequence[str]) -> None:
        """Print a command to be pasted, and what it is good for."""
        self._console.print(Text(f"# {words}", "dim"))
        self._console.print(Text(shlex.join(argv), "bold"))

    def command(self, argv: Sequence[str]) -> None:
        """Print a command as it is typed."""
        self._line(Text.assemble(("$ ", "dim"), (shlex.join(argv), "bold")))

    def _line(self, line: Text) -> None:
        if self._console.is_terminal:  # one line for each: what is cut off is in the log
            line.truncate(self._console.width, overflow="ellipsis")
        self._console.print(line)


def _moment(played: Played) -> str:
    return played.rotated.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _candidates(record: dict[str, Any]) -> list[dict[str, Any]]:
    candidates: list[dict[str, Any]] = record.get("doorlog", {}).get("device", {}).get("candidates", [])
    return candidates


def _found(record: dict[str, Any] | None) -> dict[str, Any]:
    if record is None:
        return {"recorded": None}
    return {
        "recorded": record["event"]["code"],
        "stage": record["doorlog"]["stage"],
        "device": record.get("device", {}).get("id"),
        "confidence": record["doorlog"].get("device", {}).get("confidence"),
        "candidates": [candidate["id"] for candidate in _candidates(record)],
        "event_id": record["event"]["id"],
    }
