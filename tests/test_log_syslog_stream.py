"""A stream to receivers that close, reset, chatter, refuse us or fall silent: what may be lost comes again."""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest

from doorlog.errors import SinkError
from doorlog.log import syslog_stream
from doorlog.log.syslog_link import Server
from doorlog.log.syslog_stream import StreamLink
from support.pki import Pki

TIMEOUT = 5.0


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.settimeout(TIMEOUT)
        yield opened


def link_to(
    listener: socket.socket, context: Callable[[], ssl.SSLContext] | None = None, timeout: float = TIMEOUT
) -> StreamLink:
    return StreamLink(Server("tls" if context else "tcp", "127.0.0.1", listener.getsockname()[1]), timeout, context)


def accept(listener: socket.socket) -> socket.socket:
    accepted, _ = listener.accept()
    accepted.settimeout(TIMEOUT)
    return accepted


def read(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := stream.recv(size - len(data))):
        data += piece
    return data


def reset(stream: socket.socket) -> None:
    """Close as a kernel does for a program that was killed with something unread."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


def noticed(link: StreamLink) -> None:
    """Wait until the receiver's end or reset is with us."""
    assert link._socket is not None
    poll = select.poll()  # a read would take the reset away
    poll.register(link._socket, select.POLLRDHUP)
    assert poll.poll(TIMEOUT * 1000)


def hung_up(link: StreamLink) -> None:
    """Wait until a reset of the receiver is with us."""
    assert link._socket is not None
    poll = select.poll()
    poll.register(link._socket, 0)  # errors alone
    assert poll.poll(TIMEOUT * 1000)


# TCP


def test_frames_follow_each_other_on_one_connection(listener: socket.socket) -> None:
    link = link_to(listener)
    link.send([b"3 one", b"3 two"])
    link.send([b"5 three"])
    with accept(listener) as stream:
        assert read(stream, 17) == b"3 one3 two5 three"
        link._drop()
        assert stream.recv(1) == b""


def test_nobody_there_is_said_and_nothing_is_kept(listener: socket.socket) -> None:
    link = link_to(listener)
    listener.close()
    for _ in range(2):
        with pytest.raises(SinkError, match=r"^Connection refused$") as caught:
            link.send([b"3 one"])
        assert caught.value.lost is None
    link.close()


def test_a_receiver_that_closed_in_good_order_gets_the_next_record_over_a_new_connection(
    listener: socket.socket,
) -> None:
    link = link_to(listener)
    link.send([b"3 one"])
    with accept(listener) as first:
        assert read(first, 5) == b"3 one"
    noticed(link)
    link.send([b"3 two"])
    with accept(listener) as second:
        assert read(second, 5) == b"3 two"
    link.close()


def test_a_receiver_that_died_with_something_unread_gets_it_again(listener: socket.socket) -> None:
    link = link_to(listener)
    link.send([b"3 one"])
    reset(accept(listener))
    noticed(link)
    with pytest.raises(SinkError, match=r"reset|Broken pipe"):
        link.send([b"3 two"])
    link.send([b"3 two"])
    with accept(listener) as stream:
        assert read(stream, 10) == b"3 one3 two"
    link.close()


def test_a_record_that_met_a_receiver_which_had_just_closed_comes_again(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end has come, and our record is answered with a reset that a read does not show."""
    link = link_to(listener)
    link.send([b"3 one"])
    first = accept(listener)
    assert read(first, 5) == b"3 one"
    with monkeypatch.context() as patch:
        patch.setattr(syslog_stream, "_has_ended", lambda _: False)  # the end is on its way to us
        first.close()
        link.send([b"3 two"])
    hung_up(link)
    with pytest.raises(SinkError, match="Broken pipe"):
        link.send([b"5 three"])
    link.send([b"5 three"])
    with accept(listener) as second:
        assert read(second, 12) == b"3 two5 three"
    link.close()


def test_a_record_on_its_way_to_a_receiver_that_closes_comes_again(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = link_to(listener)
    link.send([b"3 one"])
    with accept(listener) as first:
        assert read(first, 5) == b"3 one"
    noticed(link)
    monkeypatch.setattr(syslog_stream, "_unacknowledged", lambda _: 5)  # no receiver of ours is as slow to say so
    with pytest.raises(SinkError, match="in the middle of records"):
        link.send([b"3 two"])
    link.send([b"3 two"])
    with accept(listener) as second:
        assert read(second, 10) == b"3 one3 two"
    link.close()


def test_what_was_sent_again_is_sent_again_once_more_if_need_be(listener: socket.socket) -> None:
    link = link_to(listener)
    for sent in (b"1 a", b"1 b"):
        while True:
            try:
                link.send([sent])
                break
            except SinkError:
                pass
        reset(accept(listener))
        noticed(link)
    with pytest.raises(SinkError):
        link.send([b"1 c"])
    link.send([b"1 c"])
    with accept(listener) as stream:
        assert read(stream, 9) == b"1 a1 b1 c"
    link.close()


def test_what_may_have_to_be_sent_again_is_bounded(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog_stream, "_UNSURE_BYTES", 6)
    link = link_to(listener)
    for index, sent in enumerate((b"1 a", b"1 b", b"1 c", b"1 d")):
        if index:
            with pytest.raises(SinkError):
                link.send([sent])
        link.send([sent])
        reset(accept(listener))
        noticed(link)
        assert len(link._last) <= 6
    link.close()


def test_a_receiver_that_closes_while_we_write_is_noticed_behind_the_last_byte(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = link_to(listener)
    link.send([b"3 one"])
    stream = accept(listener)
    write = StreamLink._write

    def closing(self: StreamLink, opened: socket.socket, data: bytes) -> None:
        write(self, opened, data)
        assert read(stream, 10) == b"3 one3 two"
        stream.close()
        noticed(self)

    monkeypatch.setattr(StreamLink, "_write", closing)
    with pytest.raises(SinkError, match="closed the connection in the middle of records"):
        link.send([b"3 two"])
    link.close()


def test_a_receiver_that_talks_is_heard_out_and_not_believed(listener: socket.socket) -> None:
    link = link_to(listener)
    link.send([b"3 one"])
    with accept(listener) as stream:
        stream.sendall(b"503 go away\r\n" * 10_000)
        link.send([b"3 two"])
        assert read(stream, 10) == b"3 one3 two"
        link._drop()


def test_a_receiver_that_does_not_read_is_given_up_after_the_timeout(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link = link_to(listener, timeout=0.1)
    began = time.monotonic()
    with pytest.raises(SinkError, match=r"^no sign of life for 0.1 s$"):
        link.send([b"x" * 32_000_000])
    assert time.monotonic() - began < 5
    assert link._socket is None


def test_the_end_waits_until_the_receiver_has_read_all(listener: socket.socket) -> None:
    link = link_to(listener)
    link.send([b"3 one"])
    stream = accept(listener)
    stream.sendall(b"unread words would turn our end into a reset")
    closing = Thread(target=link.close)
    closing.start()
    assert read(stream, 100) == b"3 one"
    stream.close()
    closing.join()


def test_the_end_waits_for_nobody_for_long(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog_stream, "_FAREWELL_SECONDS", 0.05)
    link = link_to(listener)
    link.send([b"3 one"])
    link.close()
    with accept(listener) as stream:
        assert read(stream, 100) == b"3 one"
    monkeypatch.setattr(syslog_stream, "_FAREWELL_SECONDS", 0.0)
    link.send([b"3 two"])
    link.close()


def test_a_system_without_these_timers_and_counters_will_do(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> bytes:
        raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")

    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT")
    monkeypatch.setattr(fcntl, "ioctl", unknown)
    link = link_to(listener)
    link.send([b"3 one"])
    link.send([b"3 two"])
    link._drop()


# TLS


def context_of(pki: Pki, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Callable[[], ssl.SSLContext]:
    def make() -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=pki.cafile)
        context.minimum_version = context.maximum_version = version
        return context

    return make


@contextmanager
def tls_receiver(
    listener: socket.socket, pki: Pki, *, tickets: int = 2, whom: Path | None = None
) -> Iterator[SimpleQueue[Any]]:
    """Accept connections, and put each one, or why there is none, in a queue."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server().certfile, pki.server().keyfile)
    context.num_tickets = tickets
    if whom is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(whom)
    found: SimpleQueue[Any] = SimpleQueue()

    def serve() -> None:
        while True:
            try:
                accepted = accept(listener)
            except OSError:
                return
            try:
                found.put(context.wrap_socket(accepted, server_side=True))
            except OSError as error:
                found.put(error)

    thread = Thread(target=serve)
    thread.start()
    yield found
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_frames_over_tls_up_to_the_farewell(listener: socket.socket, pki: Pki, version: ssl.TLSVersion) -> None:
    with tls_receiver(listener, pki) as found:
        link = link_to(listener, context_of(pki, version))
        link.send([b"3 one"])
        link.send([b"3 two"])
        stream = found.get(timeout=TIMEOUT)
        assert read(stream, 10) == b"3 one3 two"
        closing = Thread(target=link.close)
        closing.start()
        assert stream.recv(1) == b""
        stream.unwrap().close()  # raises unless close_notify came (RFC 5425, 4.4)
        closing.join()


def test_a_tls_receiver_that_sends_no_tickets_is_waited_for_a_moment_only(listener: socket.socket, pki: Pki) -> None:
    with tls_receiver(listener, pki, tickets=0) as found:
        link = link_to(listener, context_of(pki))
        link.send([b"3 one"])
        with found.get(timeout=TIMEOUT) as stream:
            assert read(stream, 5) == b"3 one"
            link._drop()


def test_a_tls_13_receiver_that_refuses_us_is_noticed_before_a_record_is_written(
    listener: socket.socket, pki: Pki
) -> None:
    """Our side of the handshake is over by then: the first write would vanish."""
    with tls_receiver(listener, pki, whom=pki.cafile) as found:
        link = link_to(listener, context_of(pki))
        with pytest.raises(SinkError, match=r"certificate required|reset"):
            link.send([b"3 one"])
        assert isinstance(found.get(timeout=TIMEOUT), ssl.SSLError)
        assert link._last == link._again == b""


def test_a_tls_13_receiver_that_closes_right_after_the_handshake_is_noticed(listener: socket.socket, pki: Pki) -> None:
    with tls_receiver(listener, pki, tickets=0) as found:
        closing = Thread(target=lambda: found.get(timeout=TIMEOUT).close())
        link = link_to(listener, context_of(pki))
        closing.start()
        with pytest.raises(SinkError, match=r"closed the connection right after|reset|closed"):
            link.send([b"3 one"])
        closing.join()


def test_a_tls_receiver_that_closed_gets_the_next_record_over_a_new_connection(
    listener: socket.socket, pki: Pki
) -> None:
    with tls_receiver(listener, pki) as found:
        link = link_to(listener, context_of(pki))
        link.send([b"3 one"])
        with found.get(timeout=TIMEOUT) as first:
            assert read(first, 5) == b"3 one"
        noticed(link)
        link.send([b"3 two"])
        with found.get(timeout=TIMEOUT) as second:
            assert read(second, 5) == b"3 two"
            link._drop()


def test_files_that_vanished_are_a_fault_and_leave_no_socket(listener: socket.socket) -> None:
    def vanished() -> ssl.SSLContext:
        raise SinkError("cafile ca.pem: No such file or directory")

    with pytest.raises(SinkError, match="cafile"):
        link_to(listener, vanished).send([b"3 one"])
    with accept(listener) as stream:
        assert stream.recv(1) == b""


def test_what_is_no_tls_receiver_is_said(listener: socket.socket, pki: Pki) -> None:
    def answer() -> None:
        with accept(listener) as stream:
            stream.sendall(b"220 hello\r\n")
            stream.recv(4096)

    talking = Thread(target=answer)
    talking.start()
    with pytest.raises(SinkError, match=r"^TLS failed: wrong version number$"):
        link_to(listener, context_of(pki)).send([b"3 one"])
    talking.join()
