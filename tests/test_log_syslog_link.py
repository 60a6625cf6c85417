"""Where a receiver is, and datagrams to one that comes and goes."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from doorlog.errors import SinkError
from doorlog.log.syslog_link import DatagramLink, Server, connected, in_words

TIMEOUT = 5.0


@pytest.mark.parametrize(
    ("text", "server", "shown"),
    [
        ("udp://logs", Server("udp", "logs", 514), "udp://logs:514"),
        ("tcp://10.0.0.1", Server("tcp", "10.0.0.1", 601), "tcp://10.0.0.1:601"),
        ("tls://logs.example.com", Server("tls", "logs.example.com", 6514), "tls://logs.example.com:6514"),
        ("tls://[2001:DB8::1]:65535", Server("tls", "2001:db8::1", 65535), "tls://[2001:db8::1]:65535"),
    ],
)
def test_where_a_receiver_is(text: str, server: Server, shown: str) -> None:
    assert Server.parse(text) == server
    assert str(server) == shown
    assert Server.parse(shown) == server


@pytest.mark.parametrize(
    "text",
    [
        "", "logs:514", "http://logs", "TLS://logs", "tls://", "tls://:6514", "tls://logs:0", "tls://logs:65536",
        "tls://logs:x", "tls://a b", "tls://user:secret@logs", "tls://logs/path", "tls://2001:db8::1", "tls://[1.2.3.4]",
        "tls://[:::]", "udp://logs\n", "udp://a..b", "udp://" + "a" * 64,
    ],
)  # fmt: skip
def test_what_is_no_receiver_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|port|IPv6|'"):
        Server.parse(text)


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    error.verify_message = "certificate has expired"
    return error


def alert() -> ssl.SSLError:
    error = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]")
    error.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (untrusted(), "its certificate is refused: certificate has expired (cafile says whom to trust)"),
        (alert(), "TLS failed: tlsv13 alert certificate required"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "TLS failed: the receiver closed the connection"),
        (socket.gaierror(-2, "Name or service not known"), "its name leads nowhere: Name or service not known"),
        (TimeoutError(), "no sign of life for 5 s"),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), "no sign of life for 5 s"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (OSError("odd"), "odd"),
    ],
)
def test_an_operator_is_told_in_words(error: OSError, words: str) -> None:
    assert in_words(error, TIMEOUT) == words


# connecting


def addresses(*targets: tuple[str, int]) -> Any:
    def getaddrinfo(_host: str, _port: int, **options: Any) -> list[Any]:
        return [(socket.AF_INET, options["type"], 0, "", target) for target in targets]

    return getaddrinfo


def test_the_next_address_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed, socket.create_server(("127.0.0.1", 0)) as listener:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(socket, "getaddrinfo", addresses(closed.getsockname(), listener.getsockname()))
        with connected(Server("tcp", "logs", 1), socket.SOCK_STREAM, TIMEOUT) as opened:
            assert opened.getpeername() == listener.getsockname()
            assert opened.gettimeout() == TIMEOUT


def test_a_name_without_addresses_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", addresses())
    with pytest.raises(TimeoutError):
        connected(Server("tcp", "logs", 1), socket.SOCK_STREAM, TIMEOUT)


def test_an_ipv6_receiver() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("::1", 0))
        link = DatagramLink(Server.parse(f"udp://[::1]:{receiver.getsockname()[1]}"), TIMEOUT)
        link.send([b"one"])
        link.close()
        assert receiver.recv(100) == b"one"


# datagrams


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with udp_on(0) as opened:
        yield opened


def udp_on(port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("127.0.0.1", port))
    opened.settimeout(TIMEOUT)
    return opened


def link_to(receiver: socket.socket) -> DatagramLink:
    return DatagramLink(Server("udp", "127.0.0.1", receiver.getsockname()[1]), TIMEOUT)


def test_each_message_is_a_datagram(receiver: socket.socket) -> None:
    link = link_to(receiver)
    link.send([b"one", b"two"])
    link.send([])
    assert [receiver.recv(100) for _ in range(2)] == [b"one", b"two"]
    link.close()
    link.close()


def test_what_a_port_without_a_listener_refused_is_sent_again(receiver: socket.socket) -> None:
    link, port = link_to(receiver), receiver.getsockname()[1]
    receiver.close()
    link.send([b"one"])  # the kernel learns only now that nobody listens
    for _ in range(3):
        with pytest.raises(SinkError, match=r"^Connection refused$") as caught:
            link.send([b"two", b"three"])
        assert caught.value.lost == 2
    with udp_on(port) as again:
        link.send([b"two", b"three"])
        assert [again.recv(100) for _ in range(3)] == [b"one", b"two", b"three"]
    link.close()


def test_one_that_was_refused_within_a_batch_is_held_until_the_next(receiver: socket.socket) -> None:
    link, port = link_to(receiver), receiver.getsockname()[1]
    receiver.close()
    with pytest.raises(SinkError) as caught:
        link.send([b"one", b"two", b"three"])
    assert caught.value.lost == 2
    with udp_on(port) as again:
        link.send([b"two", b"three"])
        assert [again.recv(100) for _ in range(3)] == [b"one", b"two", b"three"]
    link.close()


def test_a_name_that_leads_nowhere_costs_nothing_but_time(
    monkeypatch: pytest.MonkeyPatch, receiver: socket.socket
) -> None:
    link = link_to(receiver)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", nowhere)
        with pytest.raises(SinkError, match="its name leads nowhere: no such host") as caught:
            link.send([b"one"])
    assert caught.value.lost == 1
    link.send([b"one"])
    assert receiver.recv(100) == b"one"
    link.close()


def nowhere(*_: Any, **__: Any) -> Any:
    raise socket.gaierror(-2, "no such host")
