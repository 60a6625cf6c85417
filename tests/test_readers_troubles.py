"""The headline: what an operator wants to know first, in the words of somebody who looked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from doorlog.events.codes import Code
from doorlog.readers.summary import Failing, Served, Summary, summary_of
from doorlog.readers.table import open_table
from doorlog.readers.troubles import Headline, Named, Remembered, headline_of, judged
from support.web_log import HOSTILE, rotation

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
UNKNOWN_CA = str(Code.SERVER_CERTIFICATE_UNKNOWN_CA)


def at(clock: str) -> datetime:
    return NOON.replace(hour=int(clock[:2]), minute=int(clock[3:]))


def device(
    name: str | None = "pump-17", code: str = UNKNOWN_CA, admitted: str | None = "09:00", **facts: Any
) -> Failing:
    usual = Failing(
        device=name, source=None if name else "192.0.2.1", attempts=3, before=0, code=code, first=at("10:04"),
        last=at("11:30"), admitted=at(admitted) if admitted else None, claimed=False,
    )  # fmt: skip
    return usual._replace(**facts)


def served(first: str, listener: str = "tls") -> Served:
    return Served(listener, first, "CN=mqtt", "CN=CA", None, 1, at(first), 0, 0)


def summary(*devices: Failing, certificates: tuple[Served, ...] = ()) -> Summary:
    return Summary(NOON - DAY, NOON, 10, 5, (0, 0), 0, 0, [], list(devices), list(certificates))


def told(headline: Headline) -> str:
    return "".join(
        f"{part:%H:%M}" if isinstance(part, datetime) else part.device if isinstance(part, Named) else part
        for part in headline.parts
    )


def test_a_rotation_that_breaks_devices() -> None:
    pumps = [device(f"pump-{number}") for number in range(4)]
    found = headline_of(
        summary(*pumps, device("meter", "bad_password"), certificates=(served("08:00"), served("10:03"))), {}
    )

    assert told(found) == (
        "5 devices that were admitted before do not come in any more, 4 of them since 10:04: "
        "they refuse our certificate (server_certificate_unknown_ca), which changed at 10:03. "
        "1 other fails for another reason."
    )
    assert (found.is_bad, found.code, found.codes) == (True, UNKNOWN_CA, [UNKNOWN_CA])
    assert found.means.startswith("The device does not trust")


def test_a_rotation_is_refused_in_many_ways() -> None:
    codes = (UNKNOWN_CA, "reset_after_server_certificate", "closed_before_connect", "bad_password", "throttled")
    devices = [device(f"pump-{number}", code) for number, code in enumerate(codes)]

    rotated = headline_of(summary(*devices, certificates=(served("08:00"), served("10:03"))), {})
    assert told(rotated) == (
        "5 devices that were admitted before do not come in any more, 3 of them since 10:04: they refuse our "
        "certificate, or leave at the sight of it, which changed at 10:03. 2 others fail for other reasons."
    )
    assert rotated.codes == sorted(codes[:3])
    assert headline_of(summary(*devices), {}).codes == sorted(codes[:2]), "who leaves late may have any reason"


PUMP = "pump-17 was admitted before and does not come in any more since"
TWO = "2 devices that were admitted before do not come in any more"
OTHER = "1 other fails for another reason."
REFUSE = "refuse our certificate (server_certificate_unknown_ca)."
ADDRESS = f"In the last hour attempts from 1 address failed whose device is not known: they {REFUSE}"


@pytest.mark.parametrize(
    ("devices", "sentence"),
    [
        ([device()], f"{PUMP} 10:04: it {REFUSE.replace(' ', 's ', 1)}"),
        ([device(), device("b")], f"{TWO} since 10:04: they {REFUSE}"),
        (
            [device(), device("b", "bad_password")],
            f"{TWO}, 1 of them since 10:04: it fails with bad_password. {OTHER}",
        ),
        (
            [device(code="closed_after_server_certificate")],
            f"{PUMP} 10:04: it leaves at the sight of our certificate (closed_after_server_certificate).",
        ),
        (
            [device(code="client_certificate_expired")],
            f"{PUMP} 10:04: it shows no certificate that we accept (client_certificate_expired).",
        ),
        ([device(admitted="10:30")], f"{PUMP} 10:30: it {REFUSE.replace(' ', 's ', 1)}"),
        ([device(None)], ADDRESS),
        (
            [device(None, last_there=("plug-13",))],
            ADDRESS.replace(": they", ", but plug-13 was last seen there: they"),
        ),
        (
            [device(None, last_there=("a", "b", "c", "d"))],
            ADDRESS.replace(": they", ", but a, b, c and others were last seen there: they"),
        ),
        ([device(code="bad_password"), device(None)], f"{PUMP} 10:04: it fails with bad_password. {ADDRESS}"),
    ],
)
def test_what_is_wrong(devices: list[Failing], sentence: str) -> None:
    found = headline_of(summary(*devices), {})
    assert told(found) == sentence
    assert found.is_bad


@pytest.mark.parametrize(
    ("devices", "sentence"),
    [
        ([], "No device fails that was admitted before."),
        ([device(admitted=None)], "No device fails that was admitted before; 1 other does."),
        ([device(admitted=None), device("b", admitted=None)], "No device fails that was admitted before; 2 others do."),
        ([device(admitted="11:31")], "No device fails that was admitted before."),
        ([device(claimed=True)], "No device fails that was admitted before."),
        ([device(None, "not_tls")], "No device fails that was admitted before."),
        ([device(None, last=at("10:59"))], "No device fails that was admitted before."),
    ],
)
def test_nothing_is_wrong(devices: list[Failing], sentence: str) -> None:
    found = headline_of(summary(*devices), {})
    assert told(found) == sentence
    assert (found.is_bad, found.code, found.means) == (False, None, "")


def test_admissions_that_the_log_does_not_show_are_known_from_elsewhere() -> None:
    silent = device(admitted=None)
    assert "pump-17 was admitted before" in told(headline_of(summary(silent), {"pump-17": NOON - 5 * DAY}))
    assert "No device fails" in told(headline_of(summary(silent), {"pump-17": at("11:45")}))
    assert told(headline_of(summary())) == "No device fails that was admitted since 12:00."


def test_a_device_that_failed_all_along_did_not_begin_in_the_span() -> None:
    found = headline_of(summary(device(before=4, admitted=None)), {"pump-17": NOON - 5 * DAY})
    assert "does not come in any more since before 12:00: it refuses" in told(found)


@pytest.mark.parametrize(
    "certificates",
    [
        (),
        (served("10:03"),),
        (served("08:00", "a"), served("10:03", "b")),
        (served("08:00"), served("10:05")),
    ],
)
def test_a_certificate_that_did_not_change_before_is_not_named(certificates: tuple[Served, ...]) -> None:
    assert "changed" not in told(headline_of(summary(device(), certificates=certificates), {}))


def test_what_no_version_explains() -> None:
    assert headline_of(summary(device(code=HOSTILE)), {}).means == ""
    assert told(headline_of(summary(device()._replace(code=None)), {})).endswith("10:04: it fails with no code.")


def test_the_headline_of_a_log(tmp_path: Path) -> None:
    day = rotation(tmp_path)
    until = day.now + timedelta(seconds=1)
    with open_table(day.log.live) as table:
        found = headline_of(summary_of(table, until - DAY, until))

    began, changed = (day.now - timedelta(hours=hours) for hours in (4, 5))
    assert told(found) == (
        f"pump-17 was admitted before and does not come in any more since {began:%H:%M}: it refuses our certificate "
        f"(server_certificate_unknown_ca), which changed at {changed:%H:%M}."
    )


def test_what_is_remembered_of_those_that_failed() -> None:
    remembered = Remembered({"pump-17": 0.0}, {"pump-17"}, {"192.0.2.1": ("plug-13", "plug-14")})
    found, headline = judged(
        summary(device(claimed=True), device(None), device(None, source="198.51.100.1")), remembered
    )

    assert [(one.device, one.claimed, one.last_there) for one in found.devices] == [
        ("pump-17", False, ()),
        (None, False, ("plug-13", "plug-14")),
        (None, False, ()),
    ]
    assert found.sources == ["192.0.2.1", "198.51.100.1"]
    assert headline.is_bad
    assert judged(found, None)[0] is found
