"""The page in tests: served on a free port, asked by HTTP or by a real Chromium that tolerates no error."""

from __future__ import annotations

import asyncio
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from playwright.async_api import async_playwright

from doorlog.web.server import Server, bound, build

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

AXE = Path(__file__).parent / "clients" / "node" / "node_modules" / "axe-core" / "axe.min.js"
_ASKING = ThreadPoolExecutor(32, "test-asks")  # the threads of the loop are those of the page that is asked


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: dict[str, str]
    text: str


class Site(NamedTuple):
    """A page that is served."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(_ASKING, self._get, path, method, headers)

    def _get(self, path: str, method: str, headers: dict[str, str]) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            lower = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, lower, answer.read().decode())
        finally:
            connection.close()


@asynccontextmanager
async def served(log: Path, directory: Path | None = None, password: str | None = None) -> AsyncIterator[Site]:
    """Serve the page of a log."""
    started = asyncio.Event()
    server = Server(build(log, directory, password), started.set)
    with bound("127.0.0.1", 0) as listening:
        serving = asyncio.create_task(server._serve([listening]))  # without its own handlers of signals
        try:
            async with asyncio.timeout(20):
                await started.wait()
            yield Site(listening.getsockname()[1])
        finally:
            server.should_exit = True
            await serving


def chromium() -> str:
    """Return Chromium, or skip the test; it must be there where all clients are required."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("DOORLOG_REQUIRE_CLIENTS") == "1":
            raise RuntimeError("chromium is missing (see .ci/apt-packages.txt)")
        pytest.skip("no Chromium")
    return found


@asynccontextmanager
async def browser_page(site: Site, *, errors: tuple[str, ...] = (), **options: Any) -> AsyncIterator[Page]:
    """Return a page of a browser that is closed afterwards.

    An error on it that is none of those that a test wants, or a request elsewhere, fails the test.
    """
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        context = await browser.new_context(timezone_id="UTC", **options)
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: None if request.url.startswith(site.url) else complaints.append(request.url))
        try:
            yield page
        finally:
            await browser.close()
    complaints = [one for one in complaints if not any(error in one for error in errors)]
    assert not complaints, "\n".join(complaints)


async def problems(page: Page) -> list[str]:
    """Return what axe-core finds wrong with a page for people who can not see it well, or use no mouse."""
    source = await asyncio.to_thread(AXE.read_text, encoding="utf-8")
    found = await page.evaluate(f"async () => {{ {source}; return (await axe.run(document)).violations }}")
    return [f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}" for one in found]
