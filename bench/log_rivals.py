"""The same facts written by the logging that everybody has: python-json-logger, and structlog over logging."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import structlog
from pythonjsonlogger.json import JsonFormatter

from doorlog.events.sentences import message_of, reason_of
from doorlog.identity.stated import identify

Record = Callable[[Any], None]


class Rival(Protocol):
    """Opens a log in a folder; yields what records an event in it."""

    def __call__(self, path: Path) -> Any: ...


@contextmanager
def _logger(path: Path, formatter: logging.Formatter) -> Iterator[logging.Logger]:
    """A logger of the standard library with one file, as its documentation shows it."""
    logger = logging.getLogger(f"bench.{path.name}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.FileHandler(path)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        handler.close()


def _facts(event: Any, number: int) -> tuple[str, dict[str, Any]]:
    """The message, and the fields that doorlog's record has; the chain aside, which neither rival makes."""
    event = identify(event)
    fields = event.model_dump(by_alias=True, exclude_none=True, mode="json")
    fields["event"] |= {"reason": reason_of(event), "sequence": number, "id": f"bench-{number}"}
    fields["service"] = {"name": "doorlog", "version": "0", "instance": {"id": "bench"}}
    return message_of(event), fields


@contextmanager
def json_logger(path: Path) -> Iterator[Record]:
    """``logging`` with python-json-logger: the fields are ``extra``, the formatter is the default one."""
    sequence = iter(range(1, 10**9))
    with _logger(path, JsonFormatter("%(message)s")) as logger:

        def record(event: Any) -> None:
            message, fields = _facts(event, next(sequence))
            logger.info(message, extra=fields)

        yield record


@contextmanager
def structlog_logger(path: Path) -> Iterator[Record]:
    """structlog's integration with ``logging``, with the processors that its documentation lists for JSON."""
    sequence = iter(range(1, 10**9))
    with _logger(path, logging.Formatter("%(message)s")) as stdlib:
        logger: Any = structlog.wrap_logger(
            stdlib,
            wrapper_class=structlog.stdlib.BoundLogger,
            cache_logger_on_first_use=True,
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                structlog.stdlib.PositionalArgumentsFormatter(),
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                structlog.processors.UnicodeDecoder(),
                structlog.processors.EventRenamer("message", "_event"),
                structlog.processors.JSONRenderer(),
            ],
        )

        def record(event: Any) -> None:
            message, fields = _facts(event, next(sequence))
            logger.info(message, _event=fields.pop("event"), **fields)

        yield record


RIVALS = {"logging + python-json-logger": (json_logger, 5.0), "structlog + logging": (structlog_logger, 2.0)}
"""What it is, how it is opened, and how many times as fast doorlog should be."""
