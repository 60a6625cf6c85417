"""A log as a table: DuckDB over its files, closed or being written, and over the index of those that are closed.

Nothing is imported into a database. DuckDB reads the lines in place, on all cores, and only what a query needs of them.
What is no record (a torn line, one that somebody changed beyond recognition) is no row.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from doorlog.errors import LogError, QueryError
from doorlog.log.segments import segments
from doorlog.readers.columns import select_records, structure
from doorlog.readers.files import telling
from doorlog.readers.spans import files_between

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from duckdb import DuckDBPyConnection

_LONGEST_LINE: Final = 4_194_304
"""Bytes. The longest record that doorlog writes has about 100,000."""
_MOST_FILES: Final = 20_000
_SUFFIXES: Final = (".zst", ".gz")

Row = tuple[Any, ...]


class Answer(NamedTuple):
    """What a query yields."""

    columns: Sequence[str]
    types: Sequence[str]
    """Of DuckDB, one for each column."""
    rows: Iterator[Row]


class Table:
    """The records of a log, as the views ``records`` and ``lines``; ``open_table`` makes one.

    Args:
        connection: Where the views are.
        size: Bytes on disk of what is looked at.
    """

    def __init__(self, connection: DuckDBPyConnection, size: int) -> None:
        self._connection = connection
        self.size = size

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Return what one of our own queries yields.

        Args:
            sql: With ``$name`` for each parameter.
            parameters: By name.

        Raises:
            LogError: A file of the log can not be read, or there is too little memory.
        """
        import duckdb  # noqa: PLC0415 - an optional extra

        try:
            return self._connection.execute(sql, dict(parameters or {})).fetchall()
        except duckdb.Error as error:
            raise LogError(f"the log can not be read: {_first_line(error)}") from error

    def ask(self, sql: str) -> Answer:
        """Return what a query of somebody else yields; it can read the views, and nothing but them.

        Raises:
            QueryError: It is not one ``SELECT``, or there is something wrong with it; also while the rows are read.
        """
        import duckdb  # noqa: PLC0415 - an optional extra

        try:
            statements = self._connection.extract_statements(sql)
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise QueryError("expected one SELECT: the log is only read")
            result = self._connection.execute(statements[0])
        except duckdb.Error as error:
            raise QueryError(str(error)) from error
        described = result.description or []
        return Answer([name for name, *_ in described], [str(kind) for _, kind, *_ in described], _fetched(result))


@contextmanager
def open_table(
    log: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    index: Callable[[Path], Path | None] = lambda _: None,
    memory: str | None = None,
) -> Iterator[Table]:
    """Open a log as it is now.

    Args:
        log: The live file, or a folder that holds one log.
        since: Files that hold only earlier records may be left out; rows earlier than that may come all the same.
        until: As ``since``, for later ones.
        index: Returns what was kept of a closed segment, if anything was.
        memory: How much may be used, as in ``1GB``; None for most of the machine's.

    Raises:
        LogError: There is no log, it can not be read, or DuckDB is not installed.
    """
    with telling(log):
        found = segments(log)
    files = list(files_between(found, since, until)) or found[-1:]
    if len(files) > _MOST_FILES:
        raise LogError(f"{log}: {len(files):,} files are too many: name a shorter time, or remove old segments")
    with TemporaryDirectory(prefix="doorlog-") as folder, closing(connect(memory)) as connection:
        with telling(log):
            _make_views(connection, files, index, Links(Path(folder)))
        yield Table(connection, sum(map(_size, files)))


def _make_views(
    connection: DuckDBPyConnection, files: Sequence[Path], index: Callable[[Path], Path | None], links: Links
) -> None:
    kept = [index(path) for path in files]
    lines = [links.add(path, segment_suffix(path)) for path in files]
    texts = [link for table, link in zip(kept, lines, strict=True) if table is None]
    tables = [links.add(table, ".parquet") for table in kept if table is not None]
    connection.execute(f"CREATE VIEW lines AS {_lines_of(lines)}")
    connection.execute(f"CREATE VIEW records AS {_records_of(texts, tables)}")
    lock(connection, [*lines, *tables])


class Links:
    """Links with names that mean nothing to DuckDB, to files whose names may.

    Args:
        folder: Where they are made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def add(self, path: Path, suffix: str) -> str:
        """Return a link to a file, ending in a suffix by which DuckDB knows what it is."""
        self._number += 1
        link = self._folder / f"{self._number}{suffix}"
        link.symlink_to(path.absolute())
        return str(link)


def connect(memory: str | None = None) -> DuckDBPyConnection:
    """Return a connection to an empty database in memory.

    Raises:
        LogError: DuckDB is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise LogError('this needs DuckDB, which is not installed: pip install "doorlog[query]"') from error
    connection = duckdb.connect(":memory:")
    connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'; SET temp_directory = ''")
    if memory is not None:
        connection.execute(f"SET memory_limit = '{memory}'")
    return connection


def lock(connection: DuckDBPyConnection, files: Iterable[str], folders: Iterable[str] = ()) -> None:
    """Let a connection read these files, and write in these folders, for ever, and nothing else of the machine."""
    connection.execute(f"SET allowed_paths = [{_list(files)}]; SET allowed_directories = [{_list(folders)}]")
    connection.execute("SET python_enable_replacements = false")  # a table is no variable of ours
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")


def read_lines(files: Sequence[str]) -> str:
    """Return the table function that reads lines of records, whatever stands in them."""
    return (
        f"read_ndjson([{_list(files)}], columns = {structure()}, ignore_errors = true,"
        f" maximum_object_size = {_LONGEST_LINE}, compression = 'auto')"
    )


def _records_of(texts: Sequence[str], tables: Sequence[str]) -> str:
    parts = [f"SELECT * FROM read_parquet([{_list(tables)}])"] if tables else []  # noqa: S608 - names that we made
    if texts or not tables:
        parts.append(select_records(read_lines(texts)))
    return " UNION ALL BY NAME ".join(parts)


def _lines_of(files: Sequence[str]) -> str:
    source = f"read_ndjson_objects([{_list(files)}], ignore_errors = true, maximum_object_size = {_LONGEST_LINE})"
    return f"SELECT json AS line FROM {source} WHERE json IS NOT NULL"  # noqa: S608 - names that we made


def _fetched(result: DuckDBPyConnection) -> Iterator[Row]:
    import duckdb  # noqa: PLC0415 - an optional extra

    try:
        while rows := result.fetchmany(1_000):
            yield from rows
    except duckdb.Error as error:
        raise QueryError(_first_line(error)) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it was deleted just now
        return 0


def segment_suffix(path: Path) -> str:
    """Return the suffix by which DuckDB knows how a file of a log is compressed."""
    return ".jsonl" + (path.suffix if path.suffix in _SUFFIXES else "")


def _list(files: Iterable[str]) -> str:
    return ", ".join("'" + file.replace("'", "''") + "'" for file in files)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
