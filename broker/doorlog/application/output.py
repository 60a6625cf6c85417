"""Findings for a person: coloured on a terminal, plain in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from doorlog.application.check import Finding
from doorlog.text import safe_text

_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_LIMIT = 2_000


def print_findings(config: Path, findings: Sequence[Finding]) -> None:
    """Print a line for each finding, and how many there are.

    Args:
        config: The file that was checked.
        findings: What was found in it.
    """
    console = Console(highlight=False, soft_wrap=True)  # rich knows terminals, NO_COLOR and FORCE_COLOR
    for severity, place, sentence in findings:
        line = Text.assemble((severity, _STYLES[severity]), ": ")
        if place:
            line.append(safe_text(place, _LIMIT), "bold").append(": ")
        console.print(line.append(safe_text(sentence, _LIMIT)))
    console.print(Text.assemble(f"{config}: ", _sums(findings)))


def _sums(findings: Sequence[Finding]) -> str | tuple[str, str]:
    if not findings:
        return "nothing to complain about", "green"
    counts = {kind: sum(finding.severity == kind for finding in findings) for kind in ("error", "warning")}
    said = [f"{count} {kind}{'s'[: count != 1]}" for kind, count in counts.items() if count]
    return ", ".join(said) or "fit to start"
