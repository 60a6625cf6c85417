"""``make screenshots``: each page, light, dark and on a phone, of a simulated fleet after a rotation."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from doorlog.readers.summary import summary_of
from doorlog.readers.table import open_table
from support.web import Site, browser_page, served

if TYPE_CHECKING:
    from playwright.async_api import Page

FOLDER: Final = Path(__file__).parents[2] / "docs" / "screenshots"
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1180, "height": 820}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1180, "height": 820}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 780}, "device_scale_factor": 2},
}


async def _take(page: Page, site: Site, device: str, look: str) -> None:
    places = {
        "overview": ("/", ".tiles"),
        "log": ("/log?outcome=failure", "#live.ok"),
        "attempt": (f"/log?device={device}&code=server_certificate_unknown_ca", "a.open"),
        "device": (f"/device/{device}", ".lanes"),
        "devices": ("/devices", "tbody"),
    }
    for name, (path, ready) in places.items():
        await page.goto(site.url + path)
        await page.wait_for_selector(ready)
        if name == "attempt":
            await page.click("a.open >> nth=0")
            await page.wait_for_selector(".stages")
        await page.screenshot(path=FOLDER / f"{name}-{look}.png")


async def take(log: Path) -> None:
    """Take all pictures of a log."""
    now = datetime.now(UTC)
    with open_table(log / "doorlog.jsonl") as table:
        summary = summary_of(table, now - timedelta(days=1), now)
    code = "server_certificate_unknown_ca"
    device = next(one.device for one in summary.devices if one.device and one.code == code and not one.recovered)
    FOLDER.mkdir(exist_ok=True)
    async with served(log / "doorlog.jsonl", log / "devices.db") as site:
        for look, options in LOOKS.items():
            async with browser_page(site, **options) as page:
                await _take(page, site, device, look)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        fleet = Path(made) / "fleet"
        command = [sys.executable, "-m", "doorlog", "simulate", "--until-now", "--folder", str(fleet)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        asyncio.run(take(fleet / "log"))
