"""The pages as a browser without script gets them: what they say, what they escape, and what they refuse."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from doorlog.errors import LogError
from doorlog.events.codes import Code
from doorlog.identity.evidence import Evidence, Failure, Sighting, Whose
from doorlog.identity.learner import Learner
from doorlog.identity.places import place_of
from doorlog.identity.store import open_store
from doorlog.log.segments import segment_name
from doorlog.readers.files import Advance, OpenLog, open_log
from doorlog.web.live import Live
from doorlog.web.pages import Pages
from support.web import served
from support.web_log import HOSTILE, Day, rotation

PAGES = ["/", "/numbers?since=24h", "/log", "/device/pump-17", "/numbers/device/pump-17", "/attempt/{id}", "/nowhere"]


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return rotation(tmp_path)


async def test_the_log_shows_the_latest_first_and_leads_on(day: Day) -> None:
    for number in range(150):
        day.attempt(1, "not_tls", message=f"visitor {number}")
    async with served(day.log.live) as site:
        first = await site.get("/log")
        (older,) = re.findall(r'href="(/log\?below=\d+)"', first.text)
        second = await site.get(older)

    assert re.findall(r"visitor (\d+)", first.text) == [str(number) for number in range(149, 49, -1)]
    assert re.findall(r"visitor (\d+)", second.text) == [str(number) for number in range(49, -1, -1)]
    assert "here the log begins" in second.text


async def test_filters_stand_in_the_url(day: Day) -> None:
    async with served(day.log.live) as site:
        page = await site.get("/log?device=pump-17&outcome=failure&since=1d&stage=handshake&source=192.0.2.0/24")
        wrong = await site.get("/log?since=yesterday&source=pump&stage=x")

    assert len(re.findall("<tr data-sequence", page.text)) == 3
    assert 'value="pump-17"' in page.text
    assert "<option selected>failure" in page.text
    for mistake in ("since: expected a time", "source: expected an address", "stage: expected one of"):
        assert mistake in wrong.text


async def test_an_attempt_is_told_as_a_story(day: Day) -> None:
    name = day.attempt(1, "server_certificate_unknown_ca", "pump-17", issuer="CA 2")
    async with served(day.log.live) as site:
        page = await site.get(f"/attempt/{name}")
        by_event = await site.get(f"/attempt/x-{day.log.sequence}")

    assert page.text == by_event.text.replace(
        by_event.text[by_event.text.index("found in") :], page.text[page.text.index("found in") :]
    )
    assert re.findall(r'<li class="(\w+)"><span>(\w+)', page.text) == [
        ("passed", "TCP"), ("stopped", "TLS"), ("never", "CONNECT"), ("never", "credentials"), ("never", "session"),
    ]  # fmt: skip
    assert "likely pump-17: it was here before" in page.text
    assert "The device does not trust the issuer" in page.text
    assert "Install the root CA as trust anchor" in page.text


async def test_an_attempt_is_found_with_the_log_opened_as_often_as_it_is_read(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def counted(log: Path, advance: Advance) -> AbstractContextManager[OpenLog]:
        opened.append(log)
        return open_log(log, advance)

    monkeypatch.setattr("doorlog.web.pages.open_log", counted)
    name = day.attempt(1, "not_tls")
    async with served(day.log.live) as site:
        assert (await site.get(f"/attempt/{name}")).status == 200
        assert len(opened) == 2, "for its place, and to read it"
        assert (await site.get(f"/attempt/x-{day.log.sequence}")).status == 200
        assert len(opened) == 5, "and to learn which connection it is"


async def test_an_attempt_is_looked_for_where_it_was_shown(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorlog.web.pages._BUDGET", 1)
    name = day.attempt(3, "server_certificate_unknown_ca", "pump-17")
    async with served(day.log.live) as site:
        rows = await site.get("/log")
        (link,) = re.findall(rf'href="(/attempt/{name}[^"]+)"', rows.text)
        day.log.rotate()
        for hour in (2, 1):
            day.attempt(hour, "not_tls")
            begun = day.now - timedelta(hours=hour)
            day.log.live.rename(day.log.live.with_name(segment_name(day.log.live, begun, day.log.sequence)))
        day.attempt(0, "not_tls")
        near = await site.get(link)
        unplaced = await site.get(f"/attempt/{name}")
        everywhere = await site.get(f"/attempt/{name}?all=1")
        nowhere = await site.get("/attempt/nobody?all=1")

    assert "?at=" in link
    assert (near.status, unplaced.status, everywhere.status, nowhere.status) == (200, 404, 200, 404)
    assert 'href="?all=1"' in near.text
    assert 'href="?all=1"' in unplaced.text
    assert 'href="?all=1"' not in everywhere.text + nowhere.text
    assert "where it was looked for" in unplaced.text
    assert "no attempt nobody in the log" in nowhere.text


def test_what_nobody_waits_for_any_more_is_not_read_on(day: Day) -> None:
    name = day.attempt(1, "not_tls")
    pages = Pages(day.log.live, None, Live(day.log.live), lambda _: None)
    assert pages._shown_of_all(name).records

    pages.close()
    with pytest.raises(LogError, match="the page is stopped"):
        pages._shown_of_all(name)


async def test_a_device_page_says_what_changed_before_it_began_to_fail(day: Day) -> None:
    async with served(day.log.live) as site:
        page = await site.get("/numbers/device/pump-17")
        well = await site.get("/numbers/device/pump-18")

    assert "What changed before it began to fail" in page.text
    assert "we serve another certificate, by CN=CA 2, before by CN=CA 1" in page.text
    assert "What changed" not in well.text


async def test_a_device_page_tells_what_the_broker_did_meanwhile(day: Day) -> None:
    day.started(2.5)
    async with served(day.log.live) as site:
        page = await site.get("/numbers/device/pump-17")

    table = page.text[page.text.index('id="attempts"') :]
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall("<tr.*?</tr>", table, re.DOTALL)[1:]]
    assert [row[2:] if row[1] == "broker" else row[1] for row in rows] == [
        "server_certificate_unknown_ca",
        ["the", "broker", "started"],
        "server_certificate_unknown_ca",
        "server_certificate_unknown_ca",
        ["tls", "serves", "generation", "2,", "issued", "by", "CN=CA", "2"],
        "admitted",
        "admitted",
        "admitted",
    ]
    assert len(re.findall('class="mark"', page.text)) == 4


async def test_a_device_page_tells_of_attempts_that_may_be_its_own(day: Day) -> None:
    for _ in range(3):
        day.ambiguous(1, "server_certificate_unknown_ca", "pump-17", "pump-20")
    async with served(day.log.live) as site:
        page = await site.get("/numbers/device/pump-17")
        only = await site.get("/numbers/device/pump-20")
        none = await site.get("/numbers/device/pump-18")
        (link,) = re.findall(r'href="([^"]+)">attempts where it is one of several', only.text)
        log = await site.get(link.replace("&amp;", "&"))

    assert "Besides, 3 attempts may have been this device, or one of others like it" in page.text
    assert only.status == 200
    assert "may have been" not in none.text
    assert len(re.findall("<tr data-sequence", log.text)) == 3


async def test_the_overview_counts_and_names_who_fails(day: Day) -> None:
    async with served(day.log.live) as site:
        page = await site.get("/numbers?since=24h")

    text = re.sub(r"<[^>]+>", " ", page.text)
    assert re.search(r"12\s+attempts", text)
    assert re.search(r"75\.0%\s+admitted", text)
    assert re.search(r"pump-17\s+server_certificate_unknown_ca\s+3", text)
    assert "tls serves generation 2, issued by CN=CA 2" in text


async def test_the_overview_says_first_what_is_wrong(day: Day) -> None:
    async with served(day.log.live) as site:
        page = await site.get("/numbers?since=24h")
        (link,) = re.findall(r'href="([^"]+)">These failures in the log', page.text)
        log = await site.get(link.replace("&amp;", "&"))
        day.attempt(0, "admitted", "pump-17")
        well = await site.get("/numbers?since=7d")

    said = re.sub(r"<[^>]+>", "", page.text).split("These")[0]
    assert re.search(
        r"wrong\s+pump-17 was admitted before and does not come in any more since \S+Z: it refuses our certificate "
        r"\(server_certificate_unknown_ca\), which changed at \S+Z\.\s+The device does not trust the issuer",
        said,
    )
    assert len(re.findall("<tr data-sequence", log.text)) == 3
    assert re.search(r"well\s+No device fails that was admitted since", re.sub(r"<[^>]+>", "", well.text))


async def test_the_only_device_in_the_headline_may_be_hostile(tmp_path: Path) -> None:
    day = Day(tmp_path)
    day.attempt(0.5, "admitted", HOSTILE)
    day.attempt(0.4, HOSTILE, HOSTILE)
    async with served(day.log.live) as site:
        page = await site.get("/numbers?since=1h")

    headline = page.text[: page.text.index('class="tiles"')]
    assert "does not come in any more" in headline
    assert "fails with &lt;img src=x" in headline
    assert "<img src=x" not in page.text
    assert "\u202e" not in page.text
    assert "{{7*7}}" in headline
    assert f'href="/device/{quote(HOSTILE)}"' in headline


async def test_what_the_log_does_not_tell_of_a_device_is_known_from_the_directory(tmp_path: Path) -> None:
    day = Day(tmp_path)
    day.attempt(0.5, "bad_password", "pump-17")
    with closing(open_store(tmp_path / "devices.db")) as connection, connection:
        evidence = Evidence(day.now.timestamp() - 90_000, place_of("192.0.2.17"), "look", None)
        Learner(connection).learn(Sighting("pump-17", "a", evidence))
    async with served(day.log.live, tmp_path / "devices.db") as site:
        page = await site.get("/numbers?since=1h")

    assert "pump-17</a> was admitted before and does not come in any more" in page.text


async def test_the_chart_is_a_table_too_and_each_code_leads_to_its_records(day: Day) -> None:
    codes = [code for code in Code if code != "admitted"][:9]
    for more, code in enumerate(codes):
        for _ in range(10 - more):
            day.attempt(0.1, code)
    async with served(day.log.live) as site:
        page = await site.get("/numbers?since=24h")
        (others,) = re.findall(r'href="([^"]+)"><svg[^>]+>(?:<rect[^>]+>)</svg>other codes', page.text)
        shown = await site.get(others)

    (table,) = re.findall(r"The same as a table</summary>(.*?)</details>", page.text, re.DOTALL)
    assert len(re.findall("<tr>", table)) == 1 + 4
    assert re.findall(r'<td class="number">(\d+)</td>', table.rpartition("<tr>")[2]) == [
        "10", "9", "8", "7", "6", "5", "4", "5",
    ]  # fmt: skip
    assert len(re.findall("<tr data-sequence", shown.text)) == 3 + 3 + 2


@pytest.mark.parametrize("path", PAGES)
async def test_what_a_client_chose_stands_there_as_text(day: Day, path: str) -> None:
    name = day.attempt(0.1, "bad_password", HOSTILE, message=HOSTILE, issuer=HOSTILE)
    asked = path.format(id=name).replace("pump-17", quote(HOSTILE, safe=""))
    async with served(day.log.live) as site:
        page = await site.get(asked)

    assert "<img src=x" not in page.text
    assert "alert(2)</script>" not in page.text
    assert "\u202e" not in page.text
    assert ("&lt;img" in page.text) is (path not in ("/", "/nowhere"))


@pytest.mark.parametrize("path", [*PAGES, "/static/page.js", "/static/nowhere"])
async def test_every_answer_forbids_what_it_need_not_do(day: Day, path: str) -> None:
    async with served(day.log.live) as site:
        answer = await site.get(path.format(id="x-1"))

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    assert "server" not in answer.headers
    assert not re.search(
        r"<script(?![^>]*src=)|style=|\son\w+=|https?://(?!127)", answer.text.replace("http://www.w3.org", "")
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/attempt/nothing", 404),
        ("/numbers/device/nobody", 404),
        ("/nowhere", 404),
        ("/static/../pages.py", 404),
        ("/log?below=x", 200),
    ],
)
async def test_what_is_not_there(day: Day, path: str, status: int) -> None:
    async with served(day.log.live) as site:
        assert (await site.get(path)).status == status


async def test_a_log_that_can_not_be_read_is_told_without_a_traceback(day: Day) -> None:
    async with served(day.log.live) as site:
        day.log.live.rename(day.log.live.with_suffix(".gone"))
        page = await site.get("/log")

    assert page.status == 503
    assert "is not there: name the log with --log" in page.text
    assert "Traceback" not in page.text


async def test_compressed_segments_are_indexed_and_counted(day: Day) -> None:
    day.log.rotate()
    day.log.compress()
    day.attempt(0.1, "not_tls")
    async with served(day.log.live) as site:
        page = await site.get("/numbers?since=24h")

    assert re.search(r"<b>13</b> attempts", page.text)


def known(folder: Path) -> Path:
    """A directory of a device that fails, one of which it is unclear, one that is well, and one with a hostile name."""
    path = folder / "devices.db"
    with closing(open_store(path)) as connection:
        learner = Learner(connection)
        for name in ("pump-17", "plug-13", "gateway-1", HOSTILE):
            learner.learn(Sighting(name, f"c-{name}", Evidence(1.0, place_of("192.0.2.17"), "t13", None), "anna"))
        refused = ("server_certificate_unknown_ca", "likely", "address_and_client_hello", "abc")
        learner.learn(Failure("pump-17", 2.0, *refused, Whose.OWN))
        learner.learn(Failure(HOSTILE, 2.0, HOSTILE, *refused[1:], Whose.OWN))
        learner.learn(Failure("plug-13", 2.0, refused[0], "ambiguous", *refused[2:], Whose.ONE_OF_SEVERAL))
        connection.commit()
    return path


async def test_the_devices_failing_ones_first(tmp_path: Path) -> None:
    async with served(rotation(tmp_path).log.live, known(tmp_path)) as site:
        everybody = await site.get("/devices")
        unclear = await site.get("/devices?state=unclear")
        searched = await site.get("/devices?text=GATEWAY")
        nobody = await site.get("/devices?text=nobody")
        odd = await site.get("/devices?state=%3Cscript%3E")

    assert everybody.text.index(">pump-17<") < everybody.text.index(">plug-13<") < everybody.text.index(">gateway-1<")
    assert "\u202e" not in everybody.text
    assert "<img" not in everybody.text.partition("<main")[2]
    assert ">plug-13<" in unclear.text
    assert "of this or a look-alike" in unclear.text
    assert ">pump-17<" not in unclear.text
    assert re.findall(r'href="/device/([^"]+)"', searched.text) == ["gateway-1"]
    assert "No device is like that." in nobody.text
    assert (odd.status, odd.text.count("<tr>")) == (200, 5)


async def test_the_overview_tells_who_was_last_at_the_address_of_an_unknown_device(tmp_path: Path) -> None:
    day = rotation(tmp_path)
    day.attempt(0.1, "server_certificate_unknown_ca")
    async with served(day.log.live, known(tmp_path)) as site:
        page = await site.get("/numbers?since=24h")

    assert re.search(r'last there: <a href="/device/', page.text)
    assert "were last seen there" in page.text
    assert "<img src=x" not in page.text


async def test_no_device_is_known_where_there_is_no_directory(tmp_path: Path) -> None:
    async with served(rotation(tmp_path).log.live) as site:
        assert "No device is known yet" in (await site.get("/devices")).text
