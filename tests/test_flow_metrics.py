"""Metrics of a broker that is used and attacked: the counts add up, and no client chooses a label."""

from __future__ import annotations

import subprocess
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

import support.packets as mqtt
from doorlog.application.service import Service
from doorlog.embedded.authority import EmbeddedAuthority
from doorlog.events.codes import Code, DisconnectCause, Stage
from doorlog.identity.inventory import Imported, store_inventory
from doorlog.identity.store import open_store
from doorlog.settings.models import Settings
from support.broker import ANYBODY, FREE, Running, listeners, running, tls
from support.clients.raw import Dial, open_wire, send_then, tcp_open_and_close
from support.clients.raw_tls import Offer, handshake_then, hello_then
from support.doors import until
from support.monitor import MONITOR, ask_monitor_of, health_of, samples_of, total
from support.pki import Pki
from support.promtool import needs_promtool, read, told
from support.records import following, read_records
from support.users import our_auth, write_users

HOSTILE = 'x"} 1 # evil{a="b"}\\'


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


async def storm(broker: Running) -> None:
    """Let clients of every kind come, most of them with something of their own invention."""
    plain, encrypted = broker.target("plain"), broker.target("tls")
    for number in range(12):
        await tcp_open_and_close(plain)
        await send_then(plain, f"GET /{HOSTILE}{number} HTTP/1.1\r\n\r\n".encode(), "fin")
        await hello_then(encrypted, "fin", Offer(server_name=f"h{number}.example.org"))
        async with open_wire(plain) as device:
            await device.send(mqtt.connect(f"{HOSTILE}{number}", user_name=f"u{number}{HOSTILE}", password=b"wrong"))
            await device.drain()
    await handshake_then(encrypted, "fin")


async def test_the_counts_add_up_and_no_label_is_a_clients(tmp_path: Path, pki: Pki) -> None:
    users = write_users(tmp_path / "users.txt", {"anna": "wonderland-17"})
    async with running(tmp_path, listeners(pki), auth=our_auth(users), monitor=MONITOR) as broker:
        async with open_wire(broker.target("plain")) as device:
            await device.send(mqtt.connect("pump-17", user_name="anna", password=b"wonderland-17"))
            assert await device.receive() == b"\x20\x02\x00\x00"
            await storm(broker)
            door = broker.service.door
            await until(lambda: door.connects == door.accepted)
            text = (await ask_monitor_of(broker, "/metrics")).decode()
            health = await health_of(broker)
        samples = samples_of(text)

        assert total(samples, "doorlog_attempts_total") == door.accepted == 50
        assert total(samples, "doorlog_attempt_duration_seconds_count") == door.accepted
        assert total(samples, "doorlog_attempts_total", code="admitted") == 1
        assert total(samples, "doorlog_attempts_total", listener="plain", stage="credentials") == 12
        assert total(samples, "doorlog_sessions") == 1
        assert total(samples, "doorlog_generation_attempts_total", listener="tls", generation="1") == 13
        assert sum(row["count"] for row in health["attempts"]) == door.accepted
        assert health["sessions"]["plain"] == 1
        assert set(health["certificates"]) == {"tls", "mtls", "wss"}

    assert set(read(text)) == set(told()), "what rules, dashboard and page are compared with is what a broker tells"
    allowed = {
        "listener": set(listeners(pki)),
        "stage": set(map(str, Stage)),
        "code": set(map(str, Code)),
        "cause": {*map(str, DisconnectCause), "overflow", "write_failed", "interrupted", "truncated"},
        "outcome": {"success", "failure"},
        "generation": {"1"},
        "state": {"ok", "failing", "unclear", "silent"},
        "kind": {"subscribe", "publish", "will"},
    }
    for name, labels in samples:
        for label, value in labels:
            if label not in {"le", "version", "python"}:
                assert value in allowed[label], name


@needs_promtool
async def test_promtool_finds_nothing_to_say_of_the_metrics(tmp_path: Path, pki: Pki) -> None:
    async with running(tmp_path, listeners(pki), monitor=MONITOR) as broker:
        await tcp_open_and_close(broker.target("plain"))
        text = await ask_monitor_of(broker, "/metrics")
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)  # noqa: ASYNC221 - the broker is gone
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


async def test_what_the_log_folds_is_counted_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.jsonl"
    settings = Settings.model_validate(
        {
            "listeners": {"plain": {"bind": FREE}},
            "auth": {"plugins": ANYBODY},
            "log": {"file": {"path": path}, "console": "never", "flood": {"enabled": True, "after": 2}},
            "monitor": MONITOR,
        }
    )
    with following(path) as log:
        async with Service(settings, partial(EmbeddedAuthority, settings)) as service:
            broker = Running(service, log)
            for _ in range(20):
                await tcp_open_and_close(broker.target("plain"))
            await until(lambda: service.door.connects == 20)
            samples = samples_of((await ask_monitor_of(broker, "/metrics")).decode())
        (flood,) = [record for record in read_records(path) if record["event"]["action"] == "flood"]

    assert flood["doorlog"]["flood"]["count"] == 18
    assert total(samples, "doorlog_attempts_total", listener="plain") == 20


async def test_a_site_is_counted_though_its_devices_failed_before_they_said_who_they_are(
    tmp_path: Path, pki: Pki
) -> None:
    """As in the founding story: the chain is not trusted, there is no client id, and the log folds most of it."""
    directory = tmp_path / "devices.db"
    with closing(open_store(directory)) as connection:
        pump = Imported("pump-17", site="berlin", addresses=("127.7.0.17",))
        store_inventory(connection, [pump, Imported("valve-18", site="paris")], replace=True)
    cohorts = [
        {"name": "berlin-net", "network": "127.7.0.0/24"},
        {"name": "by-user", "user_prefix": "pump"},
        {"name": "both", "site": "berlin", "server_name": "*.example.org"},
    ]
    more = {"device": {"directory": directory}, "cohorts": cohorts, "monitor": MONITOR}
    log = {"file": {"path": tmp_path / "doorlog.jsonl"}, "console": "never", "flood": {"enabled": True, "after": 3}}
    settings = Settings.model_validate(
        {
            "listeners": {"tls": {"bind": FREE, "tls": tls(pki.server())}},
            "auth": {"plugins": ANYBODY},
            "log": log,
            **more,
        }
    )
    with following(tmp_path / "doorlog.jsonl") as records:
        async with Service(settings, partial(EmbeddedAuthority, settings)) as service:
            broker = Running(service, records)
            tally = service._instruments.tally
            for number in range(10):  # three of them have records of their own
                await hello_then(broker.target("tls"), "fin", Offer(server_name="mqtt.example.org"), Dial("127.7.0.17"))
                await until(lambda: tally.counts().cohorts["site:berlin", "failure"] > number)  # noqa: B023 - at once
            samples = samples_of((await ask_monitor_of(broker, "/metrics")).decode())

    failed = {
        cohort: total(samples, "doorlog_cohort_attempts_total", cohort=cohort, outcome="failure")
        for cohort in ("berlin-net", "site:berlin", "both", "site:paris", "by-user")
    }
    assert failed == {"berlin-net": 10, "site:berlin": 10, "both": 10, "site:paris": 0, "by-user": 0}
    assert total(samples, "doorlog_cohort_attempts_total", outcome="success") == 0
