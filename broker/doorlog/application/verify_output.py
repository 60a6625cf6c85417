"""What ``doorlog verify`` found, for a person: coloured on a terminal, plain in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from doorlog.readers.report import counted
from doorlog.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from doorlog.readers.report import Finding, Report

_LIMIT: Final = 2_000
_GAPS_SHOWN: Final = 20


def print_report(log: Path, report: Report, *, has_keys: bool) -> None:
    """Print what was found.

    Args:
        log: What was verified.
        report: What was found in it.
        has_keys: Whether public keys were given.
    """
    console = Console(highlight=False, soft_wrap=True)
    verdict = ("whole", "bold green") if report.whole else ("NOT WHOLE", "bold red")
    console.print(Text.assemble(f"{safe_text(str(log), _LIMIT)}: ", verdict))
    if report.finding is not None:
        for line in _finding(report.finding):
            console.print(line)
    for sentence in _sentences(report, has_keys=has_keys):
        console.print(Text(f"  {safe_text(sentence, _LIMIT)}"))


def _finding(finding: Finding) -> Iterator[Text]:
    sequence = f" (event.sequence {finding.sequence})" if finding.sequence is not None else ""
    place = safe_text(finding.place, _LIMIT)
    yield Text.assemble("  ", (place, "bold"), f"{sequence}: ", (finding.kind, "bold red"))
    yield Text(f"    {safe_text(finding.sentence, _LIMIT)}")
    yield Text(f"    to do: {safe_text(finding.look, _LIMIT)}")


def _sentences(report: Report, *, has_keys: bool) -> Iterator[str]:
    read = f"{counted(report.records, 'record')} in {counted(report.files, 'file')}"
    yield f"{read} {'' if report.whole else 'up to there '}{_span(report)}".rstrip()
    if report.first_sequence is not None and not report.from_start:
        yield (
            f"the log begins with record {report.first_sequence:,}: what was before it was deleted, by log.file's "
            "retention or by somebody; whole means whole from there on"
        )
    for gap in report.gaps[:_GAPS_SHOWN]:
        yield f"gap declared at {gap.file} line {gap.line}: {gap.sentence}"
    if report.gap_count > _GAPS_SHOWN:
        yield f"and {counted(report.gap_count - _GAPS_SHOWN, 'more declared gap')}; --json lists up to 1,000"
    yield _vouched(report, has_keys=has_keys)
    if report.kept_checkpoints and report.whole:
        verb = "was kept elsewhere is" if report.kept_checkpoints == 1 else "were kept elsewhere are all"
        yield f"{counted(report.kept_checkpoints, 'checkpoint')} that {verb} here, byte for byte"
    yield from report.notes


def _span(report: Report) -> str:
    if report.first_sequence is None:
        return ""
    return (
        f"(event.sequence {report.first_sequence} to {report.last_sequence}, {report.first_time} to {report.last_time})"
    )


def _vouched(report: Report, *, has_keys: bool) -> str:
    if not has_keys:
        signed = f"; {counted(report.signed_checkpoints, 'signature')} not looked at" * bool(report.signed_checkpoints)
        return f"no --key was given: only the chain was checked, which whoever can write the file can make anew{signed}"
    vouched = report.vouched
    if vouched is None:
        return "no record is vouched for by a signature of the keys given"
    keys = ", ".join(f"{counted(count, 'signature')} of key {key}" for key, count in vouched.keys.items())
    rest = f"the {counted(vouched.behind, 'record')} behind the last checkpoint only by the chain"
    end = "" if not vouched.behind else f"; {rest}"
    return f"records {report.first_sequence:,} to {vouched.last_sequence:,} are vouched for by {keys}{end}"
