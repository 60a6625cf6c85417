"""The views ``records`` and ``lines`` of a log: over its files, and over what is kept of those that are closed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from doorlog.readers.columns import select_records, structure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from doorlog.readers.held import Held, Links

_LONGEST_LINE: Final = 4_194_304
"""Bytes. The longest record that doorlog writes has about 100,000."""


class Views:
    """The views of a log, in a connection that can read nothing else from then on.

    Args:
        connection: Where they are made.
        files: Of the log.
        index: Returns what is kept of a closed segment, if anything is.
        links: Holds what is kept.
    """

    def __init__(
        self,
        connection: DuckDBPyConnection,
        files: Sequence[Held],
        index: Callable[[Path], Path | None],
        links: Links,
    ) -> None:
        self._connection = connection
        self._links = links
        self._files = files
        self._kept = {held.link: link for held in files if (link := self._kept_of(index(held.path))) is not None}
        lock(connection, links.names())

    def make(self) -> None:
        """Make both views.

        Raises:
            duckdb.Error: A file is damaged at its beginning.
        """
        lines = [held.link for held in self._files]
        texts = [link for link in lines if link not in self._kept]
        records = _records_of(texts, list(self._kept.values()))
        self._connection.execute(f"CREATE OR REPLACE VIEW lines AS {_lines_of(lines)}")
        self._connection.execute(f"CREATE OR REPLACE VIEW records AS {records}")

    def mend(self) -> bool:
        """Do without what is kept but damaged, and delete it; return whether there was any.

        Raises:
            duckdb.Error: As ``make``.
        """
        damaged = {held: link for held, link in self._kept.items() if not self._is_sound(link)}
        for held, link in damaged.items():
            del self._kept[held]
            with suppress(OSError):  # whoever may write there deletes it
                self._links.paths[link].unlink()
        if damaged:
            self.make()
        return bool(damaged)

    def _kept_of(self, table: Path | None) -> str | None:
        if table is None:
            return None
        try:
            return self._links.add(table, ".parquet")[0]
        except OSError:  # deleted just now, or not for us
            return None

    def _is_sound(self, link: str) -> bool:
        """Whether all of an index file can be read."""
        import duckdb  # noqa: PLC0415 - an optional extra

        try:
            self._connection.execute(f"SELECT max(hash(COLUMNS(*))) FROM read_parquet([{_list([link])}])").fetchall()  # noqa: S608 - a name that we made
        except duckdb.OutOfMemoryException:
            return True
        except duckdb.Error:
            return False
        return True


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


def _list(files: Iterable[str]) -> str:
    return ", ".join("'" + file.replace("'", "''") + "'" for file in files)
