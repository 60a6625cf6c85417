"""``make demo-picture``: what ``doorlog demo`` shows, as docs/demo.svg; it fetches no font, nor anything else."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from doorlog.application.demo_output import Story, tell_of_one_device, tell_what_happened, tell_what_it_comes_to
from doorlog.demo.play import play

PICTURE: Final = Path(__file__).parents[2] / "docs" / "demo.svg"
_WIDTH: Final = 118
_FORMAT: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" \
aria-label="What doorlog demo shows: devices that refuse a new certificate, each with its name and the reason">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""As rich's own, without the font that its picture would fetch."""
_BRIGHT: Final = [(128, 128, 128), (255, 123, 114), (126, 231, 135), (227, 179, 65)]
_THEME: Final = TerminalTheme(
    (13, 17, 23),
    (230, 237, 243),
    [(72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34), (88, 166, 255), (188, 140, 255), (57, 197, 207)],
    [*_BRIGHT, (121, 192, 255), (210, 168, 255), (86, 212, 221), (255, 255, 255)],
)


def draw() -> str:
    """Play the demo in the current folder, and return the picture."""
    folder = Path("first-look")
    folder.mkdir()
    played = asyncio.run(play(folder))
    console = Console(
        record=True, force_terminal=True, color_system="standard", width=_WIDTH, file=io.StringIO(), highlight=False
    )
    story = Story(console, ("--log", str(played.log)))
    story.command(("doorlog", "demo"))
    tell_what_happened(story, played)
    tell_of_one_device(story)
    tell_what_it_comes_to(story, played)
    return console.export_svg(title="doorlog demo", theme=_THEME, code_format=_FORMAT, unique_id="demo")


def main() -> None:
    """Draw it where nothing of this machine can be seen."""
    sys.argv[0] = "doorlog"
    with tempfile.TemporaryDirectory() as scratch:
        before = Path.cwd()
        os.chdir(scratch)
        try:
            PICTURE.write_text(draw(), encoding="utf-8")
        finally:
            os.chdir(before)


if __name__ == "__main__":
    main()
