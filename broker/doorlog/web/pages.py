"""One function for each page: what was asked for, looked up in a thread, and shown."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse

from doorlog.errors import DoorlogError, LogError
from doorlog.events.codes import Code, Outcome, Stage
from doorlog.identity.overview import State
from doorlog.readers.files import open_log, reopening
from doorlog.readers.filters import time_of
from doorlog.readers.near import shown_near
from doorlog.readers.pages import page_of
from doorlog.readers.show import shown
from doorlog.readers.story import story_of
from doorlog.readers.troubles import MOST_THERE
from doorlog.text import safe_text
from doorlog.web.numbers import Numbers
from doorlog.web.query import FIELDS, attempt_url, read_query
from doorlog.web.rows import row_of
from doorlog.web.story import fields_of, stages_of
from doorlog.web.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from starlette.requests import Request

    from doorlog.readers.files import OpenLog
    from doorlog.readers.show import Shown
    from doorlog.web.live import Live

_ROWS: Final = 100
_BUDGET: Final = 67_108_864
"""Bytes of the log that are looked at for one page, so that it is there within a blink; the script looks further."""
_SPANS: Final = {"1h": "hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}
_STATES: Final = get_args(State)
_LONGEST: Final = 300
_RETRY_SECONDS: Final = 3
_BUSY: Final = "busy, retried in a moment"


class Pages:
    """All pages of one log.

    Args:
        log: The live file.
        directory: What is known of the devices.
        live: Tells what comes.
        index: Returns what is kept of a closed segment.
    """

    def __init__(self, log: Path, directory: Path | None, live: Live, index: Callable[[Path], Path | None]) -> None:
        self._log = log
        self._live = live
        self._numbers = Numbers(log, directory, index)
        self._turns = Turns()
        self._searches = Turns(0)
        """Through all of the log, which can take minutes: one at a time, and none waits."""
        self._is_closed = False
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["safe_text"] = lambda text: safe_text(str(text), _LONGEST)
        self._templates.filters["clock"] = _clock
        self._templates.globals.update(spans=_SPANS, attempt_url=attempt_url, most_there=MOST_THERE)

    async def overview(self, request: Request) -> Response:
        """``/``: the frame at once; the numbers are fetched by the script, or by a link."""
        return self._shown("overview.html", span=_span(request))

    async def numbers(self, request: Request) -> Response:
        """``/numbers``: the log in numbers, as a part of a page, or as a page of its own."""
        if self._turns.is_full:
            return self._busy(request)
        span = _span(request)
        now = datetime.now(UTC)
        found = await self._turns.take(self._numbers.overview, now - _length(span), now)
        name = "_numbers.html" if "part" in request.query_params else "numbers.html"
        return self._shown(name, span=span, **found)

    async def log(self, request: Request) -> Response:
        """``/log``: the latest records that are wanted, and from there on back."""
        query = read_query(request.query_params)
        begun = time.perf_counter()
        page = await asyncio.to_thread(self._page, query)
        return self._shown(
            "log.html",
            query=query,
            page=page,
            rows=[row_of(found) for found in page.found],
            fields=FIELDS,
            codes=list(Code),
            stages=list(Stage),
            outcomes=list(Outcome),
            took=time.perf_counter() - begun,
            megabytes=page.looked_at / 1e6,
        )

    async def events(self, request: Request) -> Response:
        """``/log/events``: what comes, as server-sent events."""
        if self._live.is_full:
            return PlainTextResponse("too many watch already\n", HTTPStatus.SERVICE_UNAVAILABLE)
        stream = self._live.watch(read_query(request.query_params).filters)
        return StreamingResponse(stream, media_type="text/event-stream")

    async def attempt(self, request: Request) -> Response:
        """``/attempt/ID``: one attempt, told as a story; looked for near ``at``, or in all of the log."""
        name, at = request.path_params["name"], time_of(request.query_params.get("at"))
        begun = time.perf_counter()
        if "all" not in request.query_params:
            found = await asyncio.to_thread(self._shown_near, name, at)
        elif self._searches.is_full:
            return self._busy(request)
        else:
            found = await self._searches.take(self._shown_of_all, name)
        if not found.records:
            where = "where it was looked for" if found.is_cut else "in the log"
            hint = "It is elsewhere, or" if found.is_cut else "It"
            return self._shown("error.html", HTTPStatus.NOT_FOUND, what=f"no attempt {safe_text(name, 80)} {where}",
                               hint=f"{hint} may have been deleted with the segment that it was in.",
                               is_cut=found.is_cut)  # fmt: skip
        return self._shown(
            "attempt.html",
            name=found.connection or name,
            steps=story_of(found.records, found.connection),
            stages=stages_of(found.records),
            records=[fields_of(record) for record in found.records],
            is_cut=found.is_cut,
            device=next((one for record in found.records if (one := _device_of(record))), None),
            took=time.perf_counter() - begun,
        )

    async def devices(self, request: Request) -> Response:
        """``/devices``: all that are known, failing ones first; of a state, or with a text in their names."""
        if self._turns.is_full:
            return self._busy(request)
        state, text = request.query_params.get("state"), request.query_params.get("text", "").strip()
        state = state if state in _STATES else None
        found = await self._turns.take(self._numbers.devices, state, text[:_LONGEST])
        return self._shown("devices.html", state=state, text=text[:_LONGEST], every=_STATES, **found)

    async def device(self, request: Request) -> Response:
        """``/device/ID``: the frame at once, as of the overview."""
        return self._shown("device.html", name=request.path_params["name"], span=_span(request, "30d"))

    async def device_numbers(self, request: Request) -> Response:
        """``/numbers/device/ID``: what happened to a device, and what changed before it began to fail."""
        if self._turns.is_full:
            return self._busy(request)
        span, name = _span(request, "30d"), request.path_params["name"]
        now = datetime.now(UTC)
        found = await self._turns.take(self._numbers.device, name, now - _length(span), now)
        is_known = found["happened"] or found["summary"] or found["ambiguous"].found
        status = HTTPStatus.OK if is_known else HTTPStatus.NOT_FOUND
        if "part" in request.query_params:  # the script leaves out what is no success
            return self._shown("_device.html", name=name, span=span, **found)
        return self._shown("device_numbers.html", status, name=name, span=span, **found)

    async def not_found(self, _request: Request, _error: Exception) -> Response:
        """Answer what nobody knows."""
        return self._shown("error.html", HTTPStatus.NOT_FOUND, what="there is no such page", hint="")

    async def failed(self, _request: Request, error: Exception) -> Response:
        """Tell an error, without a word of where in the code it arose."""
        told = str(error) if isinstance(error, DoorlogError) else "something went wrong in here"
        hint = "The broker is not affected: the page only reads its log."
        return self._shown("error.html", HTTPStatus.SERVICE_UNAVAILABLE, what=safe_text(told, _LONGEST), hint=hint)

    def close(self) -> None:
        """Answer no more questions that take long, and give up the search that goes on."""
        self._is_closed = True
        self._turns.close()
        self._searches.close()

    def _busy(self, request: Request) -> Response:
        """Tell that too many wait for numbers already; the script asks again."""
        after = {"Retry-After": str(_RETRY_SECONDS)}
        if "part" in request.query_params:
            return HTMLResponse(f'<p class="quiet">{_BUSY}</p>\n', HTTPStatus.SERVICE_UNAVAILABLE, after)
        answer = self._shown("error.html", HTTPStatus.SERVICE_UNAVAILABLE, what=_BUSY, retry=_RETRY_SECONDS,
                             hint="Others wait for an answer of this log, too.")  # fmt: skip
        answer.headers.update(after)
        return answer

    def _page(self, query: Any) -> Any:
        with open_log(self._log) as opened:
            return page_of(opened, query.filters, _ROWS, query.below, _BUDGET)

    def _shown_near(self, name: str, at: datetime | None) -> Shown:
        with self._reading() as opened:
            return shown_near(opened, name, _BUDGET, at)

    def _shown_of_all(self, name: str) -> Shown:
        with self._reading() as opened:
            return shown(lambda: opened().files, name)

    def _reading(self) -> AbstractContextManager[Callable[[], OpenLog]]:
        return reopening(lambda: open_log(self._log, self._go_on))

    def _go_on(self, _count: int) -> None:
        """Raise where nobody waits any more for what is read."""
        if self._is_closed:
            raise LogError("the page is stopped")

    def _shown(self, template: str, status: HTTPStatus = HTTPStatus.OK, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(**values), status)


def _span(request: Request, usual: str = "24h") -> str:
    wanted = request.query_params.get("since", usual)
    return wanted if wanted in _SPANS else usual


def _length(span: str) -> timedelta:
    hours = {"h": 1, "d": 24}[span[-1]] * int(span[:-1])
    return timedelta(hours=hours)


def _device_of(record: dict[str, Any]) -> str | None:
    device = record.get("device")
    name = device.get("id") if isinstance(device, dict) else None
    return name if isinstance(name, str) else None


def _clock(moment: datetime | float | None) -> str:
    """Write a moment as RFC 3339, in UTC; the script shows it in the zone of the reader."""
    if moment is None:
        return ""
    when = datetime.fromtimestamp(moment, UTC) if isinstance(moment, int | float) else moment
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
