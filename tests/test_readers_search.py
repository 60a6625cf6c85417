"""Lines that hold a text: found without parsing the others, whatever the file is like."""

from __future__ import annotations

import re

from doorlog.readers.lines import LogFile
from doorlog.readers.search import as_json, items_at, lines_with, parsed


def test_only_lines_that_hold_the_text_are_given_whole() -> None:
    damaged: list[str] = []
    file = LogFile("a.jsonl", [b'{"id":"x"}\n{"id":"y"}\n{"i', b'd":"x","n":1}\n{"id":"x'])

    found = list(lines_with([file], re.compile(b'"id":("[^"]*")'), {b'"x"'}, damaged))

    assert found == [b'{"id":"x"}\n', b'{"id":"x","n":1}\n']
    assert damaged == ["a.jsonl"], "its last line is torn"


def test_what_is_no_record_is_none() -> None:
    assert parsed(b'{"a":1}') == {"a": 1}
    assert [parsed(line) for line in (b"", b"{", b"[1]", b"\xff", b"null")] == [None] * 5
    assert items_at({"a": {"b": [1]}}, "a", "b") == [1]
    assert items_at({"a": {"b": "text"}}, "a", "b") == []
    assert as_json('a"b') == b'"a\\"b"'
    assert as_json("\udcff") == b"\n"
