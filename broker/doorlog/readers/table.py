"""A log as a table: DuckDB over its files, closed or being written, and over the index of those that are closed.

Nothing is imported into a database. DuckDB reads the lines in place, on all cores, and only what a query needs of them.
What is no record (a torn line, one that somebody changed beyond recognition) is no row.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from doorlog.errors import LogError, QueryError
from doorlog.readers.files import telling
from doorlog.readers.held import Links, hold
from doorlog.readers.questions import asked
from doorlog.readers.views import Views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

MEMORY: Final = "25%"
"""Of the machine's memory (of its container's), as DuckDB counts it: how much a query may use."""
_VERIFY: Final = "doorlog verify names what is damaged"
_REMEDY: Final = "take a shorter time, or fewer columns"

Row = tuple[Any, ...]
Result = TypeVar("Result")


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
        views: The views.
        links: What they read.
        size: Bytes on disk of what is looked at.
    """

    def __init__(self, connection: DuckDBPyConnection, views: Views, links: Links, size: int) -> None:
        self._connection = connection
        self._views = views
        self._links = links
        self.size = size

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Return what one of our own queries yields.

        Args:
            sql: With ``$name`` for each parameter.
            parameters: By name. A moment may have any zone: times of the log are in UTC, without a zone.

        Raises:
            LogError: A file of the log can not be read, or there is too little memory.
            KeyboardInterrupt: Ctrl-C came.
        """
        import duckdb  # noqa: PLC0415 - an optional extra

        values = {name: _in_utc(value) for name, value in (parameters or {}).items()}
        try:
            return self._mended(lambda: self._connection.execute(sql, values).fetchall())
        except duckdb.Error as error:
            raise self._log_error(error) from error

    def ask(self, sql: str) -> Answer:
        """Return what a query of somebody else yields; it can read the views, and nothing but them.

        Raises:
            QueryError: It is not one ``SELECT``, or there is something wrong with it; also while the rows are read.
            LogError: A file of the log can not be read; also while the rows are read.
        """
        import duckdb  # noqa: PLC0415 - an optional extra

        try:
            statements = self._connection.extract_statements(sql)
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise QueryError("expected one SELECT: the log is only read")
            first, described = self._mended(lambda: self._begun(statements[0]))
        except duckdb.Error as error:
            raise self._error(error) from error
        return Answer([name for name, *_ in described], [str(kind) for _, kind, *_ in described], self._fetched(first))

    def abandon(self) -> None:
        """Leave nothing behind on disk, whatever is being asked: the process is about to end. Never raises."""
        self._links.abandon()

    def _begun(self, statement: Any) -> tuple[list[Row], list[tuple[Any, ...]]]:
        result = self._connection.execute(statement)
        described = list(result.description or [])
        return result.fetchmany(_BATCH), described

    def _fetched(self, rows: list[Row]) -> Iterator[Row]:
        import duckdb  # noqa: PLC0415 - an optional extra

        try:
            while rows:
                yield from rows
                rows = asked(lambda: self._connection.fetchmany(_BATCH))
        except duckdb.Error as error:
            if self._is_mended(error):
                raise LogError("what was kept of a closed segment is damaged, and deleted: ask again") from error
            raise self._error(error) from error

    def _mended(self, ask: Callable[[], Result]) -> Result:
        """Ask, and once more without what is kept of closed segments but damaged."""
        import duckdb  # noqa: PLC0415 - an optional extra

        def answer() -> Result:
            try:
                return ask()
            except duckdb.Error as error:
                if not self._is_mended(error):
                    raise
                return ask()

        return asked(answer)

    def _is_mended(self, error: Exception) -> bool:
        """Whether an error came of what is kept but damaged, which is no longer used now."""
        import duckdb  # noqa: PLC0415 - an optional extra

        others = (
            duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.ConversionException,
            duckdb.OutOfMemoryException, duckdb.InterruptException, duckdb.PermissionException,
        )  # fmt: skip
        return not isinstance(error, others) and self._views.mend()

    def _error(self, error: Exception) -> QueryError | LogError:
        """Tell who is to blame: the query, or the log."""
        import duckdb  # noqa: PLC0415 - an optional extra

        if isinstance(error, duckdb.OutOfMemoryException):
            return QueryError(f"too little memory for this: {_REMEDY}")
        is_renamed = isinstance(error, duckdb.PermissionException) and self._links.are_in(str(error))
        if isinstance(error, duckdb.IOException) or is_renamed:
            return self._log_error(error)
        return QueryError(self._links.named(str(error)))

    def _log_error(self, error: Exception) -> LogError:
        import duckdb  # noqa: PLC0415 - an optional extra

        if isinstance(error, duckdb.OutOfMemoryException):
            return LogError(f"too little memory for so much of the log: {_REMEDY}")
        return _unreadable(error, self._links)


_BATCH: Final = 1_000
"""Rows that are fetched at once."""


@contextmanager
def open_table(
    log: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    index: Callable[[Path], Path | None] = lambda _: None,
    memory: str = MEMORY,
) -> Iterator[Table]:
    """Open a log as it is now. It stays so, while a broker renames, compresses and deletes its files.

    Args:
        log: The live file, or a folder that holds one log.
        since: Files that hold only earlier records may be left out; rows earlier than that may come all the same.
        until: As ``since``, for later ones.
        index: Returns what was kept of a closed segment, if anything was.
        memory: How much may be used, as in ``1GB``, or a percentage of the machine's.

    Raises:
        LogError: There is no log, it can not be read, or DuckDB is not installed.
    """
    with Links() as links, closing(connect(memory)) as connection:
        with telling(log):
            files = hold(log, links, since, until)
            views = Views(connection, files, index, links)
        _make(views, links)
        yield Table(connection, views, links, sum(held.size for held in files))


def _make(views: Views, links: Links) -> None:
    import duckdb  # noqa: PLC0415 - an optional extra

    try:
        try:
            views.make()
        except duckdb.Error:
            if not views.mend():
                raise
    except duckdb.Error as error:
        raise _unreadable(error, links) from error


def connect(memory: str) -> DuckDBPyConnection:
    """Return a connection to an empty database in memory.

    Args:
        memory: How much it may use, as in ``1GB``, or a percentage of the machine's.

    Raises:
        LogError: DuckDB is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise LogError('this needs DuckDB, which is not installed: pip install "doorlog[query]"') from error
    connection = duckdb.connect(":memory:")
    connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'; SET temp_directory = ''")
    connection.execute(f"SET memory_limit = '{memory}'")
    return connection


def _unreadable(error: Exception, links: Links) -> LogError:
    import duckdb  # noqa: PLC0415 - an optional extra

    if isinstance(error, duckdb.PermissionException):  # under a name that nobody could expect
        return LogError("a file of the log was renamed while it was read: try again")
    return LogError(f"the log can not be read: {links.named(str(error).splitlines()[0])}: {_VERIFY}")


def _in_utc(value: object) -> object:
    is_moment = isinstance(value, datetime) and value.tzinfo is not None
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and is_moment else value
