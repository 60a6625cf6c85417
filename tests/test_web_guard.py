"""Who may ask: this machine by its own names, or whoever knows the password; and nobody changes anything."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from support.web import served
from support.web_log import rotation

PASSWORD = "a long password, ümlaut"


def basic(password: str, user: str = "anybody") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "192.0.2.1", "[::2]"]
)
async def test_a_name_that_is_not_ours_is_refused_on_loopback(tmp_path: Path, host: str) -> None:
    async with served(rotation(tmp_path).log.live) as site:
        answer = await site.get("/log", Host=host)

    assert answer.status == 421
    assert "pump-17" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8880", "127.0.0.1:1", "[::1]:8880", "[::1]"])
async def test_our_own_names_are_answered(tmp_path: Path, host: str) -> None:
    async with served(rotation(tmp_path).log.live) as site:
        assert (await site.get("/log", Host=host)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("wrong"),
        basic(""),
        basic(PASSWORD + "x"),
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic"},
        {"Authorization": f"Bearer {PASSWORD}"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
    ],
    ids=range(8),
)
@pytest.mark.parametrize("path", ["/", "/log", "/log/events", "/static/page.js", "/nowhere"])
async def test_without_the_password_there_is_nothing(tmp_path: Path, headers: dict[str, str], path: str) -> None:
    async with served(rotation(tmp_path).log.live, password=PASSWORD) as site:
        answer = await site.get(path, **headers)

    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert answer.text == "the password of the page, please\n"


async def test_with_the_password_any_name_and_user_will_do(tmp_path: Path) -> None:
    async with served(rotation(tmp_path).log.live, password=PASSWORD) as site:
        answer = await site.get("/log", Host="page.example", **basic(PASSWORD, user=""))

    assert answer.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"])
async def test_there_is_nothing_to_change(tmp_path: Path, method: str) -> None:
    async with served(rotation(tmp_path).log.live) as site:
        answer = await site.get("/log", method)

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
