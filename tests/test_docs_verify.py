"""docs/verify.md shows what ``doorlog verify`` says today."""

from __future__ import annotations

import re
from pathlib import Path

from doorlog.readers.report import Kind
from support.commands import doorlog
from support.verify_page import examples

PAGE = (Path(__file__).parent.parent / "docs" / "verify.md").read_text(encoding="utf-8")


def test_what_the_page_shows_is_what_is_said(tmp_path: Path) -> None:
    shown = re.findall(r"```console\n(\$ doorlog .*?)\n```", PAGE, re.DOTALL)

    assert shown == examples(tmp_path), "cd tests; python -m support.verify_page"


def test_the_page_tells_every_kind_of_finding_and_every_option() -> None:
    assert [kind for kind in Kind if f"| `{kind}` |" not in PAGE] == []
    options = set(re.findall(r" (--[a-z][a-z-]+)", "\n".join(doorlog("verify", "--help").out)))
    assert {option for option in options if f"`{option}" not in PAGE and f" {option} " not in PAGE} == {
        "--config",  # shown as -c
        "--help",
    }
