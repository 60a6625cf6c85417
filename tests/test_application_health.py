"""``doorlog health``: a broker that hangs is told from one that is busy, and no record is left for asking."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.application.health import Health, Queues, check_health, parse_table, read_queues
from doorlog.settings.models import ListenerSettings
from support.commands import free_fixed_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other kernels have no such table")

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:22B3 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 31337 1
   1: 00000000:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31338 1
   2: 0100007F:D431 0100007F:22B3 01 00000000:00000000 00:00000000 00000000  1000        0 31339 1
"""
TABLE6 = """\
   0: 00000000000000000000000000000000:22B3 00000000000000000000000000000000:0000 0A 00000000:00000001 00:00000000
   1: 00000000000000000000000001000000:075B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
"""
little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the sample is of another machine")


@contextmanager
def listening(host: str = "127.0.0.1", backlog: int = 10) -> Iterator[socket.socket]:
    with socket.create_server((host, 0), backlog=backlog) as server:
        yield server


def ask(bind: str, *, patience: float = 0.2) -> Health:
    (answer,) = check_health({"tls": ListenerSettings(bind=bind)}, patience=patience)
    return answer


def bound(server: socket.socket) -> str:
    host, port = server.getsockname()[:2]
    return f"{host}:{port}"


# brokers that do not do well


def test_a_broker_that_is_not_running() -> None:
    port = free_fixed_port()

    assert ask(f"127.0.0.1:{port}") == Health(
        "tls", healthy=False, sentence=f"nothing listens on 127.0.0.1:{port}: is the broker running?"
    )


def test_a_broker_that_hangs_leaves_those_who_come_waiting() -> None:
    with listening() as server, socket.create_connection(server.getsockname()):
        bind = bound(server)
        answer = ask(bind)

    sentence = f"{bind} is open, but nobody lets in those who wait there"
    assert answer == Health("tls", healthy=False, sentence=sentence)


def test_a_storm_that_the_broker_works_off_is_not_a_hang() -> None:
    looks: Iterator[Queues] = iter([{("127.0.0.1", 8883): waiting} for waiting in (5, 900, 1_025, 1_025, 960)])
    settings = {"tls": ListenerSettings(bind="127.0.0.1:8883")}
    last: list[Queues] = []

    def look() -> Queues:
        last[:] = [next(looks, *last)]
        return last[0]

    assert [answer.healthy for answer in check_health(settings, patience=60, look=look)] == [True]


def test_a_name_that_does_not_resolve() -> None:
    name = ".".join("a" * 200)  # too long for any resolver to ask for

    answer = ask(f"{name}:8883")

    assert not answer.healthy
    assert answer.sentence.startswith(f"{name}:8883: ")


def test_one_listener_of_two(tmp_path: Path) -> None:
    with listening() as server:
        listeners = {
            "good": ListenerSettings(bind=bound(server)),
            "bad": ListenerSettings(bind=f"127.0.0.1:{free_fixed_port()}"),
        }
        assert [(answer.listener, answer.healthy) for answer in check_health(listeners)] == [
            ("good", True),
            ("bad", False),
        ]


# brokers that do well


def test_a_broker_that_listens_is_not_even_connected_to() -> None:
    with listening() as server:
        server.setblocking(False)
        assert ask(bound(server)).healthy
        with pytest.raises(BlockingIOError):  # nobody was there
            server.accept()


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_a_broker_that_listens_everywhere(host: str) -> None:
    with listening("0.0.0.0") as server:
        assert ask(f"{host}:{server.getsockname()[1]}").healthy


def test_a_broker_on_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        assert ask(f"[::1]:{server.getsockname()[1]}").healthy


def test_without_the_kernels_table_a_connection_is_tried() -> None:
    with listening() as server:
        (answer,) = check_health({"tls": ListenerSettings(bind=bound(server))}, look=dict)
        assert answer == Health("tls", healthy=True, sentence=f"{bound(server)} accepted a connection")
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(1) == b""


def test_a_port_that_is_another_one_at_each_start() -> None:
    assert ask("127.0.0.1:0").healthy


# the kernel's table


@little_endian
def test_the_table_of_the_kernel() -> None:
    assert dict(parse_table(TABLE)) == {("127.0.0.1", 8883): 3, ("0.0.0.0", 1883): 0}
    assert dict(parse_table(TABLE6)) == {("::", 8883): 1, ("::1", 1883): 0}


@given(
    text=st.text(max_size=200) | st.text(alphabet="0123456789ABCDEF: \n", max_size=300).map(lambda s: f"0: {s} 0A {s}")
)
def test_a_table_in_another_form_says_nothing(text: str) -> None:
    for (_host, port), waiting in parse_table(text):
        assert port >= 0
        assert waiting >= 0


def test_a_port_of_ours_is_in_the_table_and_how_many_wait() -> None:
    with listening() as server, socket.create_connection(server.getsockname()):
        assert read_queues()[server.getsockname()] == 1
