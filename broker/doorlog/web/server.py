"""The application: its routes, what stands before all of them, and how it is served."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from doorlog.errors import AddressError
from doorlog.web.guard import Guard
from doorlog.web.keeper import Keeper
from doorlog.web.live import Live
from doorlog.web.pages import Pages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_STATIC: Final = Path(__file__).parent / "static"
_MOST_CONNECTIONS: Final = 200


def build(log: Path, directory: Path | None, password: str | None = None) -> Guard:
    """Make the application.

    Args:
        log: The live file of the log.
        directory: What is known of the devices (``devices.db``); None, or not there: nothing is.
        password: What must be given; None where only this machine can ask.

    Raises:
        LogError: There is no log.
    """
    keeper, live = Keeper(log), Live(log)
    pages = Pages(log, directory, live, keeper.of)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        with keeper:
            yield
        pages.close()
        live.close()

    routes = [
        Route("/", pages.overview),
        Route("/numbers", pages.numbers),
        Route("/numbers/device/{name:path}", pages.device_numbers),
        Route("/log", pages.log),
        Route("/log/events", pages.events),
        Route("/attempt/{name:path}", pages.attempt),
        Route("/devices", pages.devices),
        Route("/device/{name:path}", pages.device),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
    handlers = {404: pages.not_found, 500: pages.failed}
    return Guard(Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers), password)


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        AddressError: The address can not be bound.
    """
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = infos[0]
        return socket.create_server(address[:2], family=family, backlog=64)
    except OSError as error:
        raise AddressError(f"web: {host}:{port}: {error.strerror or error}: choose another with --bind") from error


class Server(uvicorn.Server):
    """Serves the page on a socket that is bound already.

    Args:
        app: What ``build`` made.
        on_started: Called once requests are answered.
    """

    def __init__(self, app: Guard, on_started: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=15, timeout_graceful_shutdown=2, h11_max_incomplete_event_size=16_384, lifespan="on",
        )  # fmt: skip
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self._on_started()
