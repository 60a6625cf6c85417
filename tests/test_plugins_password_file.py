"""The password file as a plugin: the same work for everybody, off the event loop, and never more than is bounded."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from amqtt.errors import PluginInitError, PluginLoadError
from amqtt.plugins.authentication import FileAuthPlugin
from argon2 import PasswordHasher, extract_parameters
from pwdlib.hashers.argon2 import Argon2Hasher

from amqtt_doorlog import PasswordFilePlugin
from doorlog.embedded.credentials import AuthVerdict, ask_plugins
from doorlog.errors import SettingsError
from doorlog.events.codes import Code
from support import third_party
from support.amqtt_plugins import load_plugin, session

LONG = 30.0
PATH = "amqtt_doorlog.PasswordFilePlugin"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
OTHER = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)


def write_users(path: Path, users: dict[str, str], hasher: PasswordHasher = CHEAP) -> Path:
    path.write_text("".join(f"{user}:{hasher.hash(password)}\n" for user, password in users.items()), "utf-8")
    path.chmod(0o600)
    return path


def write_text(path: Path, text: str | None, mode: int = 0o600) -> None:
    """Write; None removes the file."""
    if text is None:
        path.unlink()
    else:
        path.write_text(text, "utf-8")
        path.chmod(mode)


@pytest.fixture
def users_file(tmp_path: Path) -> Path:
    return write_users(tmp_path / "users.txt", {"alice": "wonderland", "bob": "builder"})


@asynccontextmanager
async def running(password_file: Path, **config: Any) -> AsyncIterator[PasswordFilePlugin]:
    plugin = load_plugin(PasswordFilePlugin, PATH, password_file=str(password_file), **config)
    try:
        yield plugin
    finally:
        await plugin.close()


def occupied(plugin: PasswordFilePlugin) -> int:
    places = vars(plugin._places)
    return int(places["_initial_value"] - places["_value"])


async def until_occupied(plugin: PasswordFilePlugin, places: int) -> None:
    """Wait until so many passwords are being verified or wait for it."""
    async with asyncio.timeout(LONG):
        while occupied(plugin) != places:  # noqa: ASYNC110 - a semaphore of threads wakes no event loop
            await asyncio.sleep(0)


async def ask(plugin: PasswordFilePlugin, user: str | None, password: str | None) -> AuthVerdict:
    return await ask_plugins([plugin], session(user, password), timeout=LONG)


class WatchedHasher(PasswordHasher):
    """The real one, which also tells what it was asked to do, and waits before it does."""

    def __init__(self) -> None:
        super().__init__()
        self.costs: list[Any] = []
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.go.set()
        self.started = threading.Event()
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:  # noqa: A002 - argon2-cffi's name
        self.costs.append(extract_parameters(str(hash)))
        self.threads.add(threading.get_ident())
        self.started.set()
        assert self.go.wait(LONG)
        self.before()
        try:
            return super().verify(hash, password)
        finally:
            self.after()


def watch(plugin: PasswordFilePlugin) -> WatchedHasher:
    hasher = WatchedHasher()
    plugin._hasher = hasher
    return hasher


# --- attacks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "password", "code"),
    [
        ("alice", "guess", Code.BAD_PASSWORD),
        ("alice", "wonderland\0", Code.BAD_PASSWORD),
        ("alice", "builder", Code.BAD_PASSWORD),
        ("alice", "", Code.BAD_PASSWORD),
        ("alice", None, Code.BAD_PASSWORD),
        ("alice", "\ud800", Code.BAD_PASSWORD),
        ("alice", "x" * 65_535, Code.BAD_PASSWORD),
        ("ALICE", "wonderland", Code.UNKNOWN_USER),
        ("alice ", "wonderland", Code.UNKNOWN_USER),
        ("mallory", "wonderland", Code.UNKNOWN_USER),
        ("mallory", None, Code.UNKNOWN_USER),
        ("\ud800", "wonderland", Code.UNKNOWN_USER),
        ("alice\n", "wonderland", Code.UNKNOWN_USER),
    ],
)
async def test_every_refusal_is_exactly_one_verification_of_the_same_cost(
    users_file: Path, user: str, password: str | None, code: Code
) -> None:
    async with running(users_file) as plugin:
        hasher = watch(plugin)
        verdict = await ask(plugin, user, password)
        refused = list(hasher.costs)
        assert (await ask(plugin, "alice", "wonderland")).admitted

    assert verdict.code is code
    assert not verdict.admitted
    assert [str(costs) for costs in refused] == [str(hasher.costs[-1])]
    assert threading.get_ident() not in hasher.threads


async def test_a_storm_of_wrong_passwords_leaves_the_event_loop_alone(tmp_path: Path) -> None:
    costly = PasswordHasher(time_cost=2, memory_cost=65_536, parallelism=1)
    path = write_users(tmp_path / "users.txt", {"alice": "wonderland"}, costly)
    loop = asyncio.get_running_loop()
    ticks: list[float] = []
    storm_is_over = False

    def tick() -> None:
        ticks.append(time.perf_counter())
        if not storm_is_over:
            loop.call_later(0.001, tick)

    spans: list[float] = []
    ticks_during: list[int] = []
    async with running(path) as plugin:
        hasher = watch(plugin)

        def before() -> None:
            spans.append(time.perf_counter())
            ticks_during.append(len(ticks))

        def after() -> None:
            spans[-1] = time.perf_counter() - spans[-1]
            ticks_during[-1] = len(ticks) - ticks_during[-1]

        hasher.before, hasher.after = before, after
        tick()
        storm = [ask(plugin, user, "guess") for user in ("alice", "mallory") * 2]
        verdicts = await asyncio.gather(*storm)
        storm_is_over = True

    assert [verdict.code for verdict in verdicts] == [Code.BAD_PASSWORD, Code.UNKNOWN_USER] * 2
    # Hashing on the event loop would stop it for the whole of a verification, and let it tick not once.
    assert all(ticked >= 3 for ticked in ticks_during)
    gaps = [later - earlier for earlier, later in pairwise(ticks)]
    assert max(gaps) < min(spans)


async def test_what_does_not_fit_into_the_queue_is_refused_at_once(users_file: Path) -> None:
    async with running(users_file, workers=1, queue_size=2) as plugin:
        hasher = watch(plugin)
        hasher.go.clear()
        waiting = [asyncio.create_task(ask(plugin, "alice", "wonderland")) for _ in range(3)]
        await until_occupied(plugin, 3)

        for user in ("alice", "mallory"):  # the same for both: it is decided before anybody is looked up
            refused = await ask(plugin, user, "wonderland")
            assert refused.code is Code.THROTTLED
            assert refused.reason == "PasswordFilePlugin has too many credentials waiting to be checked"

        hasher.go.set()
        assert all(verdict.admitted for verdict in await asyncio.gather(*waiting))
        assert len(hasher.costs) == 3
        assert (await ask(plugin, "alice", "wonderland")).admitted


async def test_devices_that_give_up_leave_their_places_to_others(users_file: Path) -> None:
    async with running(users_file, queue_size=4) as plugin:
        hasher = watch(plugin)
        hasher.go.clear()
        running_one = asyncio.create_task(ask(plugin, "alice", "wonderland"))
        await asyncio.to_thread(hasher.started.wait, LONG)
        for _ in range(20):
            given_up = [asyncio.create_task(ask(plugin, "alice", "guess")) for _ in range(4)]
            await until_occupied(plugin, 5)
            for task in given_up:
                task.cancel()
            await until_occupied(plugin, 1)
        late = await ask_plugins([plugin], session("alice", "wonderland"), timeout=0.01)
        assert late.code is Code.AUTH_TIMEOUT
        await until_occupied(plugin, 1)

        patient = asyncio.create_task(ask(plugin, "alice", "wonderland"))
        await until_occupied(plugin, 2)
        hasher.go.set()
        assert (await running_one).admitted
        assert (await patient).admitted
        assert len(hasher.costs) == 2  # what nobody waited for was not verified


async def test_a_plugin_that_hangs_or_raises_beside_it_harms_only_its_own_attempts(users_file: Path) -> None:
    async with running(users_file) as plugin:
        hangs, raises = load_plugin(third_party.Hangs), load_plugin(third_party.Raises)
        shown = session("alice", "wonderland")
        assert (await ask_plugins([plugin, raises], shown, timeout=LONG)).code is Code.AUTH_BACKEND_ERROR
        assert (await ask_plugins([hangs, plugin], shown, timeout=0.05)).code is Code.AUTH_TIMEOUT
        assert (await ask(plugin, "alice", "wonderland")).admitted


async def test_a_name_that_changes_while_we_verify_is_not_vouched_for(users_file: Path) -> None:
    """amqtt lets two connections of one client id share a Session: an attacker could change it under us."""
    async with running(users_file) as plugin:
        hasher = watch(plugin)
        hasher.go.clear()
        shared = session("alice", "wonderland")
        asked = asyncio.create_task(plugin.authenticate(session=shared))
        await until_occupied(plugin, 1)
        shared.username = "root"
        hasher.go.set()
        assert await asked is True
        assert shared.attributes["doorlog.principal"] == "alice"


async def test_nothing_secret_is_shown(users_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    encoded = CHEAP.hash("wonderland")
    write_text(users_file, f"alice:{encoded}")
    async with running(users_file) as plugin:
        verdicts = [await ask(plugin, "alice", password) for password in ("wonderland", "guess-4711")]
        shown = f"{plugin!r}{plugin.config!r}{vars(plugin)!r}{verdicts!r}{caplog.text}"
    for secret in ("wonderland", "guess-4711", encoded.split("$")[-1], "$argon2"):
        assert secret not in shown


# --- who comes in ------------------------------------------------------------------------------


async def test_a_right_password_is_admitted_by_name(users_file: Path) -> None:
    async with running(users_file, workers=2) as plugin:
        verdict = await ask(plugin, "bob", "builder")
    assert (verdict.admitted, verdict.code, verdict.reason) == (True, Code.ADMITTED, None)
    assert (verdict.principal, verdict.method) == ("bob", "password")
    assert [(said.plugin, said.verdict) for said in verdict.verdicts] == [("PasswordFilePlugin", "allow")]


@pytest.mark.parametrize("user", [None, ""])
async def test_a_device_without_a_user_name_is_left_to_others(users_file: Path, user: str | None) -> None:
    async with running(users_file) as plugin:
        hasher = watch(plugin)
        known = session("alice", "wonderland")
        assert await plugin.authenticate(session=known) is True
        known.username = user  # the same session, connecting anew
        assert await plugin.authenticate(session=known) is None
        assert not known.attributes
        assert len(hasher.costs) == 1
        assert (await ask(plugin, user, None)).code is Code.NO_CREDENTIALS


async def test_a_file_of_amqtt_works_in_both_plugins(tmp_path: Path) -> None:
    path = tmp_path / "users.txt"
    path.write_text(f"# made for amqtt\n\nalice:{Argon2Hasher().hash('wonderland')}\n", "utf-8")
    path.chmod(0o600)
    stock = load_plugin(FileAuthPlugin, password_file=str(path))
    async with running(path) as plugin:
        for password, right in (("wonderland", True), ("guess", False)):
            assert await stock.authenticate(session=session("alice", password)) is right
            assert await plugin.authenticate(session=session("alice", password)) is right


async def test_a_hash_that_argon2_itself_can_not_handle_is_an_error_of_ours(
    tmp_path: Path,
) -> None:
    huge = CHEAP.hash("x").replace("m=8,", "m=4294967295,")
    path = tmp_path / "users.txt"
    path.write_text(f"alice:{huge}\nbob:{CHEAP.hash('x')}\nc:{CHEAP.hash('x')}\n", "utf-8")
    async with running(path) as plugin:
        verdict = await ask(plugin, "alice", "x")
        assert verdict.code is Code.AUTH_BACKEND_ERROR
        assert (await ask(plugin, "bob", "x")).admitted
        assert (await ask(plugin, "mallory", "x")).code is Code.UNKNOWN_USER


# --- the file changes --------------------------------------------------------------------------


async def test_a_changed_file_is_seen(users_file: Path) -> None:
    async with running(users_file, reload_seconds=0) as plugin:
        assert (await ask(plugin, "carol", "new")).code is Code.UNKNOWN_USER
        write_users(users_file, {"alice": "changed", "carol": "new"})
        assert (await ask(plugin, "carol", "new")).admitted
        assert (await ask(plugin, "alice", "wonderland")).code is Code.BAD_PASSWORD
        assert (await ask(plugin, "bob", "builder")).code is Code.UNKNOWN_USER


@pytest.mark.parametrize("broken", ["alice:in-the-clear", None])
async def test_a_broken_file_locks_nobody_out_and_is_told_once(
    users_file: Path, caplog: pytest.LogCaptureFixture, broken: str | None
) -> None:
    async with running(users_file, reload_seconds=0) as plugin:
        write_text(users_file, broken)
        for _ in range(3):
            assert (await ask(plugin, "alice", "wonderland")).admitted
        errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 1
        assert errors[0].startswith(f"The users stay as they were: {users_file}")
        assert "in-the-clear" not in caplog.text

        write_users(users_file, {"alice": "mended"})
        assert (await ask(plugin, "alice", "mended")).admitted


async def test_the_file_is_not_looked_at_for_every_device(users_file: Path) -> None:
    async with running(users_file, reload_seconds=3600) as plugin:
        write_text(users_file, None)
        assert (await ask(plugin, "alice", "wonderland")).admitted


async def test_what_weakens_the_file_is_told(users_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = [f"{user}:{hasher.hash('x')}" for user, hasher in (("a", CHEAP), ("b", CHEAP), ("c", OTHER))]
    write_text(users_file, "\n".join(lines), mode=0o644)
    async with running(users_file):
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    loose, outliers = sorted(record.getMessage() for record in warnings)
    assert loose == f"{users_file} can be read or changed by others: chmod 600"
    assert "1 users have hashes of other costs" in outliers
    assert {record.name for record in warnings} == {"doorlog.test.PasswordFilePlugin"}


# --- how it is configured ----------------------------------------------------------------------


@pytest.mark.parametrize("config", [{}, {"password_fiel": "x"}, {"password_file": 7}, {"workers": "two"}])
async def test_amqtt_refuses_options_that_there_are_not(config: dict[str, Any]) -> None:
    with pytest.raises(PluginLoadError):
        load_plugin(PasswordFilePlugin, PATH, **config)


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"workers": 0}, "workers: expected 1 to 64"),
        ({"workers": 65}, "workers: expected 1 to 64"),
        ({"queue_size": -1}, "queue_size"),
        ({"reload_seconds": -0.5}, "reload_seconds"),
        ({"password_file": "/nowhere/users.txt"}, "/nowhere/users.txt: the password file can not be read"),
    ],
)
async def test_a_wrong_option_is_named(users_file: Path, config: dict[str, Any], fault: str) -> None:
    with pytest.raises(PluginInitError) as caught:
        load_plugin(PasswordFilePlugin, PATH, **{"password_file": str(users_file)} | config)
    assert isinstance(caught.value.__cause__, SettingsError)
    assert fault in str(caught.value.__cause__)


async def test_after_the_end_nobody_is_verified(users_file: Path) -> None:
    async with running(users_file, queue_size=3) as plugin:
        hasher = watch(plugin)
        hasher.go.clear()
        first_task = asyncio.create_task(ask(plugin, "alice", "wonderland"))
        await asyncio.to_thread(hasher.started.wait, LONG)
        tasks = [first_task, *(asyncio.create_task(ask(plugin, "alice", "wonderland")) for _ in range(2))]
        await until_occupied(plugin, 3)
    hasher.go.set()

    first, *dropped = await asyncio.gather(*tasks)
    assert first.admitted  # it was being verified
    assert {verdict.code for verdict in dropped} == {Code.AUTH_BACKEND_ERROR}
    assert (await ask(plugin, "alice", "wonderland")).code is Code.AUTH_BACKEND_ERROR
