"""docs/reading.md: its table and its answers are those of this version, and each of its queries can be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorlog.readers.table import open_table
from support.log_files import WrittenLog
from support.reading_page import answer, columns, columns_shown, queries, whys


def test_the_columns_of_the_page_are_those_of_the_view() -> None:
    assert columns_shown() == columns(), "make docs"


def test_the_answers_of_the_page_are_those_of_doorlog_why() -> None:
    assert len(whys()) >= 1
    for asked, shown in whys():
        assert shown == answer(asked), "make docs"


@pytest.mark.parametrize("sql", queries(), ids=range(len(queries())))
def test_each_query_of_the_page_can_be_asked(tmp_path: Path, sql: str) -> None:
    log = WrittenLog(tmp_path)
    log.append(3, device="pump-17")

    with open_table(log.live) as table:
        assert table.ask(sql).columns
