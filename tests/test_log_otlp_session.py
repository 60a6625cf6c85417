"""A request has one try, trusts what the settings say, and tells in one sentence why it failed."""

from __future__ import annotations

import http.client
import socket
import ssl
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
import urllib3.exceptions
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import ConnectTimeout, ReadTimeout, RequestException

from doorlog.errors import SinkError
from doorlog.log.otlp_session import ANSWER_LIMIT, HEADERS_LIMIT, OneTry, Refused, read_headers
from support.otlp_receiver import Answer, OtlpReceiver, otlp_receiver, rejecting
from support.ports import free_port


def session(**changes: Any) -> OneTry:
    return OneTry(**{"verify": True, "cert": None, "headers_file": None, "timeout": 5.0, **changes})


def post(receiver: OtlpReceiver, one_try: OneTry, **headers: str) -> requests.Response:
    return one_try.post(receiver.endpoint, data=b"", headers=headers)


# headers


def test_headers_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_bytes(b"# of the operator\n\nAuthorization: Bearer a:b=c \r\nX-Scope-OrgID:tenant\tone\n")

    assert read_headers(path) == {"Authorization": "Bearer a:b=c", "X-Scope-OrgID": "tenant\tone"}


@pytest.mark.parametrize(
    "line",
    [
        "secret-token",
        "Authorization Bearer secret-token",
        "Authorization: ",
        ": secret-token",
        "Autho rization: secret-token",
        "X: secret-token\x00",
        "X: secret-token\x85Y: z",
        "X: secr\u00e9t-token",
        "Content-Length: 7",
        "host: secret-token",
        "Transfer-Encoding: chunked",
    ],
)
def test_a_line_that_is_no_header_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "headers"
    path.write_text(f"X-First: 1\n{line}\n", encoding="latin-1")

    with pytest.raises(SinkError, match=rf"^headers_file {path}: line 2") as error:
        read_headers(path)
    assert "secr" not in str(error.value)


def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"headers: No such file or directory$"):
        read_headers(tmp_path / "headers")
    (tmp_path / "headers").write_bytes(b"#" * (HEADERS_LIMIT + 1))
    with pytest.raises(SinkError, match=f"it has more than {HEADERS_LIMIT} bytes$"):
        read_headers(tmp_path / "headers")


def test_a_token_that_was_replaced_is_sent_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    with otlp_receiver() as receiver, session(headers_file=path) as one_try:
        for token in ("old", "new"):
            path.write_text(f"Authorization: Bearer {token}\n")
            post(receiver, one_try)

    assert [got.headers["authorization"] for got in receiver.got] == ["Bearer old", "Bearer new"]


def test_nothing_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with otlp_receiver() as receiver, session() as one_try:
        post(receiver, one_try, **{"User-Agent": "exporter", "X-Of-The-Environment": "secret"})

    assert set(receiver.got[0].headers) == {"host", "content-length", "accept-encoding", "user-agent"}
    assert receiver.got[0].headers["user-agent"] == "exporter"


# answers


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_success_is_one(status: int) -> None:
    with otlp_receiver() as receiver, session() as one_try:
        receiver.answers.append(Answer(status))
        post(receiver, one_try)

    assert (one_try.failure, one_try.rejected) == (None, 0)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (302, "it answered HTTP 302 Found"),
        (401, "it answered HTTP 401 Unauthorized; see headers_file"),
        (403, "it answered HTTP 403 Forbidden; see headers_file"),
        (404, "it answered HTTP 404 Not Found"),
        (429, "it answered HTTP 429 Too Many Requests"),
        (503, "it answered HTTP 503 Service Unavailable"),
        (799, "it answered HTTP 799"),
    ],
)
def test_what_may_pass_is_told_with_its_status(status: int, sentence: str) -> None:
    with otlp_receiver() as receiver, session() as one_try:
        receiver.answers.append(Answer(status, headers={"Location": receiver.endpoint, "Retry-After": "60"}))
        with pytest.raises(SinkError) as error:
            post(receiver, one_try)

    assert (str(error.value), error.value.retry, len(receiver.got)) == (sentence, True, 1)
    assert one_try.failure is error.value


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_will_never_be_taken_is_told_apart(status: int) -> None:
    with otlp_receiver() as receiver, session() as one_try:
        receiver.answers.append(Answer(status, b"\x1b[2Jfrom the receiver"))
        with pytest.raises(Refused, match=rf"^it refused records for good: HTTP {status} [A-Z][A-Za-z ]+$") as error:
            post(receiver, one_try)

    assert not error.value.retry


@pytest.mark.parametrize(
    ("body", "headers", "rejected"),
    [
        (rejecting(3), {}, 3),
        (rejecting(-3), {}, 0),
        (b"", {}, 0),
        (b"<html>", {}, 0),
        (b"\x00" * ANSWER_LIMIT, {}, 0),
        (rejecting(3) + b"\x00" * ANSWER_LIMIT, {}, 0),
        (b"", {"Content-Length": "-1"}, 0),
        (b"", {"Content-Length": "9" * 400}, 0),
    ],
)
def test_only_a_short_and_sound_answer_rejects_records(body: bytes, headers: dict[str, str], rejected: int) -> None:
    with otlp_receiver() as receiver, session() as one_try:
        receiver.answers.append(Answer(200, body, headers))
        post(receiver, one_try)
        assert one_try.rejected == rejected
        post(receiver, one_try)

    assert one_try.rejected == 0


# no answer


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ConnectTimeout(), "no connection within 5 s"),
        (ReadTimeout(), "no answer within 5 s"),
        (NoConnection(urllib3.exceptions.ProtocolError("aborted", http.client.RemoteDisconnected("gone"))), None),
        (NoConnection(ConnectionResetError(104, "Connection reset by peer")), "Connection reset by peer"),
        (NoConnection(ssl.SSLError(1, "[SSL] wrong")), "TLS: failed"),
        (RequestException("anything"), None),
    ],
)
def test_an_error_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, error: RequestException, sentence: str | None
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(requests.Session, "send", fails)
    with session() as one_try, pytest.raises(SinkError) as told:
        one_try.post("http://127.0.0.1/v1/logs")

    assert str(told.value) == (sentence or "the connection was closed without an answer")


def test_a_port_where_nobody_listens_is_told_after_one_try() -> None:
    with session() as one_try, pytest.raises(SinkError, match=r"^Connection refused$"):
        one_try.post(f"http://127.0.0.1:{free_port()}/v1/logs")


def test_a_receiver_that_does_not_speak_tls_is_told() -> None:
    with otlp_receiver() as receiver, session() as one_try, pytest.raises(SinkError, match=r"^TLS: [a-z ]+$"):
        one_try.post(receiver.endpoint.replace("http", "https"))


def test_a_receiver_that_does_not_speak_http_is_told() -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"\xff" * 100 + b"\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server, session() as one_try:
        thread = Thread(target=answer, args=(server,))
        thread.start()
        with pytest.raises(SinkError, match=r"^the connection was closed without an answer$"):
            one_try.post(f"http://127.0.0.1:{server.getsockname()[1]}/v1/logs")
        thread.join()
