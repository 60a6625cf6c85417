"""docs/log.md shows what the broker of today writes, and has a line for every field."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from doorlog.events.codes import Action
from doorlog.log.schema import json_schema
from support.log_fields import FIELDS
from support.log_page import live_records, page, pretty, schema_fields
from support.log_promises import PROMISES
from support.records import validate_record

PAGE = Path(__file__).parent.parent / "docs" / "log.md"


def examples() -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)]


async def test_the_page_in_docs_is_made_from_records_of_a_broker_that_runs(tmp_path: Path) -> None:
    assert await page(tmp_path) == PAGE.read_text(encoding="utf-8"), "make docs"


def test_every_field_of_the_schema_has_its_line_and_no_other() -> None:
    documented = [field for fields in FIELDS.values() for field in fields]

    assert sorted(documented) == sorted(schema_fields(json_schema()))
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{field}`" in text for field in documented)


def test_there_is_an_example_of_every_kind_of_record() -> None:
    shown = examples()

    missing = {Action.AUDIT_GAP, Action.FLOOD}  # a log that is broken, and a storm: codes.md says what they tell
    assert {example["event"]["action"] for example in shown} == set(Action) - missing
    for example in shown:
        validate_record(example)


@pytest.mark.parametrize(("promise", "test"), PROMISES)
def test_every_promise_is_proven_by_a_test_that_is_there(promise: str, test: str) -> None:
    file, _, name = test.partition("::")
    text = (Path(__file__).parent / file).read_text("utf-8")
    assert re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE), promise


def test_nothing_of_the_machine_that_made_them_is_in_the_examples() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert "127.0.0.1" not in text
    assert not re.search(r"/tmp|/home|/root|pytest", text)
    assert {example["source"]["ip"] for example in examples() if "source" in example} == {"10.0.0.9"}


async def test_the_commands_that_read_the_log_do(tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("no jq here")
    await live_records(tmp_path)
    console = re.search(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert console is not None
    for line in console[1].splitlines():
        command = line.replace("tail -f", "cat").replace("5b1e1d0a77c3f2e4", "nobody")
        read = subprocess.run(  # noqa: ASYNC221 - nothing else is going on
            ["sh", "-c", command], cwd=tmp_path / "log", capture_output=True, text=True, check=False
        )
        assert (read.returncode, read.stderr) == (0, ""), command
        assert read.stdout or "nobody" in command, command


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({}, "{}"),
        ({"a": 1}, '{\n  "a": 1\n}'),
        ({"a": {"b": [1, "é"]}}, '{\n  "a": {"b": [1, "é"]}\n}'),
        ({"a": ["x" * 60, "y" * 60]}, '{\n  "a": [\n    "' + "x" * 60 + '",\n    "' + "y" * 60 + '"\n  ]\n}'),
    ],
)
def test_json_for_a_person_is_json(value: Any, shown: str) -> None:
    assert pretty(value) == shown or value == {}
    assert json.loads(pretty(value)) == value
