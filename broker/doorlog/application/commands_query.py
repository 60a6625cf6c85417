"""``doorlog query``: SQL over a log, which is only read."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

import typer

from doorlog.application.commands import AsJson, ExitCode, LogConfig, LogOption, examples, fail, log_of
from doorlog.errors import DoorlogError, QueryError

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

HELP: Final[dict[str, Any]] = {
    "short_help": "Ask the log in SQL.",
    "epilog": examples(
        'doorlog query "SELECT code, sum(attempts) FROM records GROUP BY code ORDER BY 2 DESC"',
        "doorlog query \"FROM records SELECT time, message WHERE device_id = 'pump-17' ORDER BY time DESC LIMIT 20\"",
        'doorlog query "DESCRIBE records"',
        'echo "SELECT count(*) FROM records" | doorlog query - --json',
    ),
}
"""How it is registered."""
_LONGEST: Final = 1_000_000
"""Characters of a query."""


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT; - reads it from standard input.")],
    log: LogOption = None,
    config: LogConfig = None,
    as_json: AsJson = False,
) -> None:
    """Ask the log in SQL, as DuckDB speaks it: over all segments, closed, compressed or being written.

    The view records has a column for each field that matters: DESCRIBE records. The view lines has each whole record
    as JSON in its column line: SELECT line->>'$.tls.client.alpn' FROM lines. The log is only read, and no other file.

    Printed are aligned columns on a terminal (row by row where they are too wide), tab-separated ones in a pipe, and
    with --json an object a line.
    """
    from doorlog.application.log_table import table_of, working
    from doorlog.application.query_output import print_answer
    from doorlog.application.tail_output import let_go_of_stdout

    text = sys.stdin.read(_LONGEST) if sql == "-" else sql
    try:
        with table_of(log_of(log, config)) as table:
            with working(table, "asking"):
                answer = table.ask(text)
            print_answer(answer, as_json=as_json)
    except BrokenPipeError:
        let_go_of_stdout()
    except QueryError as error:
        fail(str(error), ExitCode.USAGE)
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
