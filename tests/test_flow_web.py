"""The page in a real Chromium: live, by keyboard, for everybody, and with hostile names on it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.web import browser_page, problems, served
from support.web_log import HOSTILE, Day, rotation

if TYPE_CHECKING:
    from playwright.async_api import Page, Route

ROWS = "#records tbody tr"


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return rotation(tmp_path)


async def is_live(page: Page) -> None:
    await page.wait_for_selector("#live.ok")


async def test_what_comes_appears_on_top_and_can_be_paused(day: Day) -> None:
    async with served(day.log.live) as site, browser_page(site) as page:
        await page.goto(f"{site.url}/log?outcome=failure")
        await is_live(page)
        day.attempt(0, "admitted", "pump-18")
        day.attempt(0, "bad_password", "pump-19", message="came just now")
        await page.wait_for_selector(f"{ROWS}:first-child >> text=came just now")
        assert await page.locator(ROWS).count() == 4
        assert await page.locator(f"{ROWS}:first-child time").get_attribute("title")

        await page.click("#pause")
        day.attempt(0, "not_tls", message="came while paused")
        await page.wait_for_selector("#pause >> text=Go on (1 new)")
        assert await page.locator(ROWS).count() == 4
        await page.click("#pause")
        await page.wait_for_selector(f"{ROWS}:first-child >> text=came while paused")


async def test_a_storm_keeps_the_page_alive(day: Day) -> None:
    async with served(day.log.live) as site, browser_page(site) as page:
        await page.goto(f"{site.url}/log")
        await is_live(page)
        for number in range(3_000):
            day.attempt(0, "not_tls", message=f"visitor {number}")
        await page.wait_for_selector(f"{ROWS}:first-child >> text=visitor 2999")
        assert await page.locator(ROWS).count() == 200


@pytest.fixture
def far_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Day:
    """Each page looks at one segment of twenty: a device is in the first, and in the sixteenth."""
    monkeypatch.setattr("doorlog.web.pages._BUDGET", 1)
    day = Day(tmp_path)
    for number in range(20):
        day.attempt(1, "bad_password", "valve-2" if number in (0, 15) else "pump-17")
        day.log.rotate()
    day.attempt(0, "bad_password", "pump-17")
    return day


async def test_what_is_far_back_appears_by_itself(far_back: Day) -> None:
    async with served(far_back.log.live) as site, browser_page(site) as page:
        await page.goto(f"{site.url}/log?device=valve-2")
        await page.wait_for_selector(f"{ROWS} >> text=record 16")
        assert await page.locator("#nothing").count() == 0

        await page.wait_for_selector(".more:not(:has(button)) >> text=older")
        assert await page.locator(ROWS).count() == 1, "after so many looks it is asked whether to go on"
        async with page.expect_navigation():
            await page.click(".more a")
        await page.wait_for_selector(".more:not(:has(button)) >> text=older")
        assert await page.locator("#nothing").count() == 1
        await page.click(".more a")
        await page.wait_for_selector(f"{ROWS} >> text=record 1:")
        await page.wait_for_selector("text=here the log begins")


async def test_looking_further_back_can_be_stopped(far_back: Day) -> None:
    async with served(far_back.log.live) as site, browser_page(site) as page:
        held = asyncio.Event()

        async def hold(route: Route) -> None:
            await held.wait()
            await route.continue_()

        await page.route("**/log?*below=*", hold)
        await page.goto(f"{site.url}/log?device=valve-2")
        await page.click("text=Stop")
        held.set()
        await page.wait_for_selector(".more:not(:has(button)) >> text=older")
        assert await page.locator("#nothing").count() == 1
        assert await problems(page) == []


async def test_a_log_of_no_records_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorlog.web.pages._BUDGET", 1)
    day = Day(tmp_path)
    day.log.append_raw(b"no record\n" * 20)
    async with served(day.log.live) as site, browser_page(site) as page:
        await page.goto(f"{site.url}/log?device=pump-17")
        await is_live(page)
        assert await page.locator("text=Nothing here passes the filters.").count() == 1


async def test_an_attempt_is_opened_by_keyboard(day: Day) -> None:
    async with served(day.log.live) as site, browser_page(site) as page:
        await page.goto(f"{site.url}/log?outcome=failure")
        await is_live(page)
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_selector(".stages .stopped >> text=TLS")
        await page.go_back()
        await page.keyboard.press("/")
        await page.keyboard.type("pump-18")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**text=pump-18**")


async def test_from_the_overview_to_a_device_to_the_reason(day: Day) -> None:
    async with served(day.log.live) as site, browser_page(site) as page:
        await page.goto(site.url)
        await page.click("text=pump-17")
        await page.wait_for_selector("text=we serve another certificate, by CN=CA 2, before by CN=CA 1")
        await page.click("text=its first failure, told as a story")
        await page.wait_for_selector("text=Install the root CA as trust anchor")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
async def test_everybody_can_use_the_pages(day: Day, scheme: str, width: int) -> None:
    name = day.attempt(0.1, "client_certificate_expired", "a-very-long-name-" * 8)
    async with (
        served(day.log.live) as site,
        browser_page(site, color_scheme=scheme, viewport={"width": width, "height": 800}) as page,
    ):
        for path, ready in (
            ("/", ".tiles"),
            ("/log", "#live.ok"),
            (f"/attempt/{name}", ".stages"),
            ("/device/pump-17", ".lanes"),
            ("/devices", "h1"),
        ):
            await page.goto(site.url + path)
            await page.wait_for_selector(ready)
            await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
            assert await problems(page) == [], path
            wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{path} is wider than the screen"


async def test_on_a_phone_filters_that_are_not_in_use_are_folded(day: Day) -> None:
    async with served(day.log.live) as site, browser_page(site, viewport={"width": 360, "height": 780}) as page:
        await page.goto(f"{site.url}/log")
        await is_live(page)
        assert not await page.locator(".filters").is_visible()
        await page.click("summary >> text=Filters")
        await page.fill("input[name=device]", "pump-17")
        await page.click("text=Show")
        await page.wait_for_url("**device=pump-17**")
        assert await page.locator(".filters").is_visible()

        wide = await page.locator(f"{ROWS}:first-child .message").bounding_box()
        assert wide is not None
        assert wide["width"] > 300, "a message has the whole width"
        await page.goto(site.url)
        code = await page.locator("section:has(#who) td a").first.bounding_box()
        assert code is not None
        assert code["height"] < 30, "a code is not broken into syllables"
    async with served(day.log.live) as site, browser_page(site) as page:
        await page.goto(f"{site.url}/log")
        assert await page.locator(".filters").is_visible()
        assert not await page.locator("summary >> text=Filters").is_visible()


async def test_hostile_names_do_nothing(day: Day) -> None:
    name = day.attempt(0.1, "bad_password", HOSTILE, message=HOSTILE, issuer=HOSTILE)
    async with served(day.log.live) as site, browser_page(site) as page:
        for path, ready in (("/", ".tiles"), (f"/attempt/{name}", ".stages"), ("/log", "#live.ok")):
            await page.goto(site.url + path)
            await page.wait_for_selector(ready)
        day.attempt(0, "bad_password", HOSTILE, message=f"live {HOSTILE}")
        await page.wait_for_selector(f"{ROWS}:first-child >> text=live <img")
        await page.click(f"{ROWS}:first-child td:nth-child(3) a")
        await page.wait_for_selector("h1")
        assert await page.locator("img[src=x], script:not([src])").count() == 0
        assert HOSTILE.partition("\u202e")[0] in await page.inner_text("h1")


async def test_without_script_the_pages_say_the_same(day: Day) -> None:
    async with served(day.log.live) as site, browser_page(site, java_script_enabled=False) as page:
        await page.goto(site.url)
        await page.click("text=show the numbers")
        await page.click("text=pump-17")
        await page.click("text=show what is known")
        assert "What changed before it began to fail" in await page.inner_text("main")


async def test_a_server_that_comes_back_is_watched_again(day: Day) -> None:
    async with served(day.log.live) as site, browser_page(site) as page:
        await page.goto(f"{site.url}/log")
        await is_live(page)
        await page.context.set_offline(True)
        await page.context.set_offline(False)
        day.attempt(0, "not_tls", message="after the break")
        async with asyncio.timeout(20):
            await page.wait_for_selector(f"{ROWS} >> text=after the break")
