"""One POST: taken or not by its status alone, within one deadline, and not a word of its address."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from doorlog.settings.alert_models import WebhookSettings
from doorlog.watch.webhook_post import Answer, post
from support.pki import Pki
from support.webhook_receiver import receiving

BODY = b'{"text": "x"}'
SECRETS = ("s3cret", "t0ken", "/hook", "localhost:", "127.0.0.1")


def answer_of(url: str, **keys: Any) -> Answer:
    answer = post(WebhookSettings.model_validate({"url": url, "timeout": 5, **keys}), BODY)
    assert not any(secret in answer.sentence for secret in SECRETS), answer.sentence
    return answer


@contextmanager
def serving(answer: Callable[[socket.socket, Event], None]) -> Iterator[str]:
    """Accept one connection, and do with it what a test wants."""
    over = Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                answer(connection, over)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/hook/s3cret?token=t0ken"
        finally:
            over.set()
            thread.join()


def test_a_message_that_is_taken() -> None:
    with receiving() as receiver:
        answer = answer_of(receiver.url.replace("http://", "http://us%40er:pa%3Ass@"))
    ((path, headers, message),) = receiver.got
    assert (answer.taken, answer.status, answer.sentence) == (True, 200, "HTTP 200 OK")
    assert (path, message) == ("/hook/s3cret?token=t0ken", {"text": "x"})
    assert headers["content-type"] == "application/json"
    assert headers["authorization"] == "Basic dXNAZXI6cGE6c3M="
    assert "@" not in headers["host"]


@pytest.mark.parametrize(
    ("status", "sentence", "is_final"),
    [
        (204, "HTTP 204 No Content", False),
        (302, "HTTP 302 Found", False),
        (400, "HTTP 400 Bad Request", True),
        (404, "HTTP 404 Not Found", False),
        (503, "HTTP 503 Service Unavailable", False),
        (599, "HTTP 599", False),
    ],
)
def test_the_status_alone_decides_and_redirects_are_not_followed(status: int, sentence: str, is_final: bool) -> None:
    with receiving() as receiver:
        receiver.statuses.append(status)
        receiver.headers["Location"] = receiver.url
        answer = answer_of(receiver.url)
    assert (answer.taken, answer.sentence, answer.is_final) == (status == 204, sentence, is_final)
    assert len(receiver.got) == 1


def test_a_certificate_is_verified(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    with receiving(pki.server()) as receiver:
        assert answer_of(receiver.url, cafile=pki.cafile).taken
        untrusted = answer_of(receiver.url)
    with receiving(pki.server_wrong_host()) as other:
        assert answer_of(other.url, cafile=pki.cafile).sentence == "its certificate is for another name"
    assert untrusted.sentence.startswith("its certificate is not trusted: ")
    assert (len(receiver.got), len(other.got)) == (1, 0)


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert answer_of(f"http://127.0.0.1:{port}/s3cret").sentence == "Connection refused"


@pytest.mark.parametrize("host", ["a" * 64 + ".example", ".s3cret"])
def test_a_host_that_no_name_system_could_know(host: str) -> None:
    assert not answer_of(f"http://{host}/").taken


def test_a_receiver_that_hangs_up() -> None:
    def hang_up(connection: socket.socket, _over: Event) -> None:
        connection.recv(65_536)

    with serving(hang_up) as url:
        assert not answer_of(url).taken


def test_a_receiver_that_says_nothing_like_http() -> None:
    def babble(connection: socket.socket, _over: Event) -> None:
        connection.recv(65_536)
        connection.sendall(b"220 s3cret ESMTP\r\n")

    with serving(babble) as url:
        assert answer_of(url).sentence == "the connection was closed without an answer"


def test_one_deadline_holds_for_a_receiver_that_always_says_a_little_more() -> None:
    def drip(connection: socket.socket, over: Event) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        try:
            while not over.wait(0.1):
                connection.sendall(b"x: y\r\n")
        except OSError:
            return  # it was cut

    with serving(drip) as url:
        answer = answer_of(url, timeout=1)
    assert answer.sentence == "no answer within 1 s"
    assert 1 <= answer.seconds < 4


def test_the_deadline_holds_for_a_name_that_is_looked_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    over = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(20) and [])
    answer = answer_of("http://localhost/s3cret", timeout=1)
    over.set()
    assert answer.sentence == "no answer within 1 s"


def test_an_address_that_stands_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "hook.url"
    hook = WebhookSettings(url_file=file)
    assert post(hook, BODY).sentence == f"url_file {file}: No such file or directory"
    file.write_text("s3cret", "utf-8")
    assert post(hook, BODY).sentence.startswith(f"url_file {file}: expected an address as in ")
    with receiving() as receiver:
        file.write_text(f"{receiver.url}\n", "utf-8")
        assert post(hook, BODY).taken


def test_authorities_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    url = "https://localhost/"
    assert answer_of(url, cafile=file).sentence == f"cafile {file}: No such file or directory"
    file.write_text("no certificate", "utf-8")
    assert answer_of(url, cafile=file).sentence == f"cafile {file}: holds no certificate"
