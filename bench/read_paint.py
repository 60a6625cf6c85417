"""How long it takes until the page shows something: first contentful paint in a real Chromium, of ``doorlog web``."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_PAINT = """() => new Promise(tell => new PerformanceObserver(list => tell(list.getEntries()[0].startTime))
    .observe({type: "paint", buffered: true}))"""
_PATIENCE = 30.0


class Paint(NamedTuple):
    """Milliseconds from asking for a page to its first paint, the best and the worst of some times."""

    best: float
    worst: float


def paints(log: Path, paths: dict[str, str], *, rounds: int) -> dict[str, Paint] | None:
    """Open each page as often as that; the first round warms the browser up and does not count.

    Args:
        log: What is looked at.
        paths: What each is called, and its path with its query.
        rounds: How often each is opened.

    Returns:
        None where there is no Chromium.
    """
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        return None
    with _page(log) as url:
        times = asyncio.run(_measured(browser, url, paths, rounds + 1))
    return {name: Paint(min(found[1:]), max(found[1:])) for name, found in times.items()}


@contextmanager
def _page(log: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "doorlog", "web", "--log", str(log), "--bind", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    yield found[0]
                    return
            raise RuntimeError("the page did not start")
        finally:
            process.terminate()


async def _measured(browser: str, url: str, paths: dict[str, str], rounds: int) -> dict[str, list[float]]:
    from playwright.async_api import async_playwright  # noqa: PLC0415 - only where there is a browser

    times: dict[str, list[float]] = {name: [] for name in paths}
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = await chromium.new_page()
        for _ in range(rounds):
            for name, path in paths.items():
                times[name].append(await _paint(page, url + path))
        await chromium.close()
    return times


async def _paint(page: Any, url: str) -> float:
    begun = time.perf_counter()
    await page.goto(url, wait_until="commit")
    paint: float = await asyncio.wait_for(page.evaluate(_PAINT), _PATIENCE)
    assert paint <= 1000 * (time.perf_counter() - begun)
    if await page.query_selector("[data-part]"):  # a person looks at the numbers before going on
        await page.wait_for_selector("[data-part] section", timeout=1000 * _PATIENCE)
    return paint
