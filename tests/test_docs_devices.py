"""docs/devices.md shows what ``doorlog devices`` and ``doorlog device`` say today."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from doorlog.identity.inventory import COLUMNS, LONGEST, MOST_DEVICES, MOST_FAULTS, MOST_VALUES
from doorlog.identity.overview import DeviceSummary, LastFailure, State
from doorlog.readers.history import Mark
from support.commands import doorlog
from support.devices_page import examples

PAGE = (Path(__file__).parent.parent / "docs" / "devices.md").read_text(encoding="utf-8")


def test_what_the_page_shows_is_what_is_said(tmp_path: Path) -> None:
    shown = re.findall(r"```console\n(\$ doorlog .*?)\n```", PAGE, re.DOTALL)

    assert sorted(shown) == sorted(examples(tmp_path)), "cd tests; python -m support.devices_page"


def test_every_state_mark_and_column_is_explained() -> None:
    explained = [*get_args(State), *get_args(Mark), *COLUMNS]
    assert [name for name in explained if f"| `{name}` |" not in PAGE] == []


def test_every_field_of_the_list_is_named() -> None:
    inventory = {"name", "site", "model", "serial", "tags"}
    fields = {*DeviceSummary._fields, *LastFailure._fields} - inventory
    assert [name for name in sorted(fields) if f"`{name}`" not in PAGE] == []


def test_every_option_is_told() -> None:
    commands = (["devices"], ["devices", "import"], ["devices", "rebuild"], ["device"])
    shown = "\n".join("\n".join(doorlog(*command, "--help").out) for command in commands)
    options = set(re.findall(r" (--[a-z][a-z-]+)", shown))
    assert {option for option in options if f"`{option}" not in PAGE} == {"--config", "--help"}  # shown as -c


def test_the_bounds_are_those_of_the_code() -> None:
    assert f"at most {LONGEST} characters" in PAGE
    assert f"at most {MOST_DEVICES:,} devices" in PAGE
    assert f"up to {MOST_FAULTS}:" in PAGE
    assert PAGE.count(f"at most {MOST_VALUES} |") == 2
