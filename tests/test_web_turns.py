"""Long questions take turns: one at a time, some wait, the others are turned away at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event, get_ident
from typing import Any

import pytest

from doorlog.readers.files import open_log
from doorlog.web.numbers import Numbers
from doorlog.web.turns import MOST_WAITING, Turns
from support.web import Answer, Site, browser_page, served
from support.web_log import rotation


@pytest.fixture
def turns() -> Any:
    made = Turns()
    yield made
    made.close()


async def test_one_question_is_answered_at_a_time_in_order(turns: Turns) -> None:
    go_on, answered = Event(), []

    def question(number: int) -> int:
        assert go_on.wait(10)
        answered.append((number, get_ident()))
        return number

    asked = [asyncio.ensure_future(turns.take(question, number)) for number in range(MOST_WAITING + 1)]
    await asyncio.wait(asked, timeout=0)
    assert turns.is_full
    go_on.set()

    assert await asyncio.gather(*asked) == list(range(MOST_WAITING + 1))
    assert [number for number, _ in answered] == list(range(MOST_WAITING + 1))
    assert len({thread for _, thread in answered}) == 1
    assert not turns.is_full


async def test_a_question_that_fails_makes_room_for_the_next(turns: Turns) -> None:
    with pytest.raises(ZeroDivisionError):
        await turns.take(divmod, 1, 0)
    assert await turns.take(divmod, 7, 2) == (3, 1)
    assert not turns.is_full


class Held:
    """Questions for numbers that are not answered before they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = Event()
        for name in ("overview", "device"):
            monkeypatch.setattr(Numbers, name, self._holding(getattr(Numbers, name)))

    def _holding(self, answer: Any) -> Any:
        def held(*args: Any) -> Any:
            assert self.go_on.wait(20)
            return answer(*args)

        return held


async def one_too_many(site: Site) -> tuple[Answer, set[asyncio.Task[Answer]]]:
    """Ask for one number more than can wait; return what is answered to it, and those that wait."""
    paths = ["/numbers?since=24h", "/numbers/device/pump-17"] * MOST_WAITING
    asked = {asyncio.create_task(site.get(path)) for path in paths[: MOST_WAITING + 2]}
    (refused,), waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    return refused.result(), waiting


async def test_the_log_is_there_at_once_however_many_wait_for_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)
    name = (day := rotation(tmp_path)).attempt(1, "not_tls")
    async with served(day.log.live) as site:
        try:
            refused, waiting = await one_too_many(site)
            part = await site.get("/numbers?part&since=24h")
            device = await site.get("/numbers/device/pump-17?since=24h")
            async with asyncio.timeout(5):
                few = [await site.get(path) for path in ("/", "/log", f"/attempt/{name}", "/static/page.js")]
        finally:
            held.go_on.set()
        answered = [(await one).status for one in waiting]

    assert [one.status for one in (refused, part, device)] == [503, 503, 503]
    assert {one.headers["retry-after"] for one in (refused, part, device)} == {"3"}
    assert part.text == '<p class="quiet">busy, retried in a moment</p>\n'
    assert "busy, retried in a moment" in device.text
    assert 'data-retry="3"' in device.text
    assert [one.status for one in few] == [200] * 4
    assert answered == [200] * (MOST_WAITING + 1)


@pytest.mark.parametrize(("path", "ready"), [("/", ".tiles"), ("/device/pump-17", ".broken")])
async def test_a_browser_asks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, ready: str) -> None:
    held = Held(monkeypatch)
    async with (
        served(rotation(tmp_path).log.live) as site,
        browser_page(site, errors=("status of 503 (Service Unavailable)",)) as page,
    ):
        _, waiting = await one_too_many(site)
        await page.goto(site.url + path)
        await page.wait_for_selector("text=busy, retried in a moment")
        held.go_on.set()
        await page.wait_for_selector(ready)
        await asyncio.gather(*waiting)


async def test_one_search_through_all_of_the_log_goes_on_and_ends_with_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = rotation(tmp_path)
    name = day.attempt(1, "not_tls")
    begun, go_on = Event(), Event()

    def held(log: Path, advance: Any) -> Any:
        begun.set()
        assert go_on.wait(20)
        return open_log(log, advance)

    async with served(day.log.live) as site:
        monkeypatch.setattr("doorlog.web.pages.open_log", held)
        first = asyncio.create_task(site.get(f"/attempt/{name}?all=1"))
        await asyncio.to_thread(begun.wait, 20)
        second = await site.get(f"/attempt/{name}?all=1")
        assert (second.status, second.headers["retry-after"]) == (503, "3")
        go_on.set()
        assert (await first).status == 200
        assert (await site.get(f"/attempt/{name}?all=1")).status == 200
