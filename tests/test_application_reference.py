"""The page docs/configuration.md holds the sinks that come with doorlog, and is the one that the command prints."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from doorlog.application.reference import main, our_sinks
from doorlog.log import registry
from doorlog.log.sink import SinkOptions
from doorlog.settings.reference import page

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"


class Strange:
    """A sink of somebody else."""

    Settings = SinkOptions


class Ours(Strange):
    """One that comes with doorlog."""

    __module__ = "doorlog.log.ours_sink"


def test_the_page_in_docs_is_the_one_that_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "doorlog.application.reference"], check=True, capture_output=True, text=True
    ).stdout
    main()

    assert printed == capsys.readouterr().out == page(our_sinks())
    assert PAGE.read_text(encoding="utf-8") == printed, "make docs"


def test_every_key_of_our_sinks_says_what_it_does() -> None:
    for kind, keys in our_sinks().items():
        assert [key for key, field in keys.model_fields.items() if not field.description] == [], kind


def test_only_sinks_that_come_with_doorlog_and_can_be_loaded_are_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(*, group: str, name: str | None = None) -> list[EntryPoint]:
        targets = {"strange": f"{__name__}:Strange", "ours": f"{__name__}:Ours", "absent": "doorlog.log.nowhere:Sink"}
        return [EntryPoint(kind, target, group) for kind, target in targets.items() if name in {None, kind}]

    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.setattr(registry, "entry_points", installed)

    assert our_sinks() == {"ours": SinkOptions}
