"""The page beside a broker: started with it, ended with it, and never in its way."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest

from doorlog.application.web_process import beside
from support.commands import free_fixed_port
from support.web_log import rotation


def test_it_serves_while_the_broker_runs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log, port = rotation(tmp_path).log.live, free_fixed_port()
    with beside(log, tmp_path / "devices.db", f"127.0.0.1:{port}") as page:
        assert page is not None
        page.start()
        said = ""
        while "the page is at" not in said:
            said += capfd.readouterr().err
        with urlopen(f"http://127.0.0.1:{port}/log", timeout=20) as answer:
            assert b"pump-17" in answer.read()
    assert page._process is not None
    assert page._process.returncode == 0


def test_a_port_that_is_taken_is_said_and_no_more(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with beside(rotation(tmp_path).log.live, None, "203.0.113.1:1") as page:
        assert page is not None
        page.start()
        assert page._process is not None
        assert page._process.wait(20) != 0
    assert re.search("doorlog: .*203.0.113.1", capfd.readouterr().err)


@pytest.mark.parametrize(("log", "bind"), [(None, "127.0.0.1:0"), (Path("x"), None)])
def test_there_need_be_none(log: Path | None, bind: str | None) -> None:
    with beside(log, None, bind) as page:
        assert page is None


def test_without_what_it_needs_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "doorlog.application.web_process.find_spec", lambda name: None if name == "jinja2" else find_spec(name)
    )
    with beside(rotation(tmp_path).log.live, None, "127.0.0.1:0") as page:
        assert page is None


def test_one_that_was_never_started_is_ended(tmp_path: Path) -> None:
    with beside(rotation(tmp_path).log.live, None, "127.0.0.1:0"):
        pass
