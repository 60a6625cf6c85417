"""One attempt told in words: how it came, what each side said, where it stopped, which device it was, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from doorlog.events.codes import Action, Code, DisconnectCause
from doorlog.events.explanations import explanation
from doorlog.readers.record import number_at, text_at, value_at
from doorlog.readers.search import items_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_STEPS: Final = 2
"""What is told of what to do, for each side; the page of codes has all of it."""
_NANOSECONDS: Final = 1_000_000_000
_WHO: Final = {"received": "the device refused us", "sent": "we refused the device"}


class Step(NamedTuple):
    """One step of the story."""

    name: str
    """As in ``TLS``."""
    text: str
    """Holds what the peer chose: to be escaped wherever it is shown."""


def story_of(records: Sequence[dict[str, Any]], connection: str | None) -> list[Step]:
    """Tell what happened to one connection.

    Args:
        records: Its own, and those that explain it, the earliest first; anything may stand in them.
        connection: Its id; None for a record that is of none.
    """
    own = [record for record in records if text_at(record, "doorlog", "connection_id") == connection]
    steps: list[Step] = []
    for record in own:
        if text_at(record, "event", "action") == Action.CONNECT:
            steps += _attempt(record)
        else:
            steps.append(Step(_name_of(record), _told(record)))
    others = [record for record in records if text_at(record, "doorlog", "connection_id") != connection]
    steps += [Step("explained", _told(record)) for record in others]
    return [*steps, *_end(own)]


def _attempt(record: dict[str, Any]) -> Iterator[Step]:
    yield Step("TCP", _accepted(record))
    proxy = text_at(record, "doorlog", "proxy", "ip")
    if proxy is not None:
        yield Step("PROXY", f"a load balancer at {proxy} told the device's address")
    yield from (Step("TLS", text) for text in _tls(record) if text)
    if text_at(record, "mqtt", "protocol_version") is not None or text_at(record, "mqtt", "client_id") is not None:
        yield Step("CONNECT", _connect(record))
    for verdict in items_at(record, "doorlog", "auth", "verdicts"):
        plugin, said = text_at(verdict, "plugin"), text_at(verdict, "verdict")
        yield Step("credentials", _list(f"{plugin}: {said}", _after(number_at(verdict, "duration"))))
    if text_at(record, "event", "code") == Code.ADMITTED:
        yield Step("session", _list("admitted", _answer(record), _after(number_at(record, "event", "duration"))))


def _accepted(record: dict[str, Any]) -> str:
    source, port = text_at(record, "source", "ip"), number_at(record, "source", "port")
    listener, ours = text_at(record, "doorlog", "listener"), number_at(record, "destination", "port")
    where = f"{source or 'an unknown address'}{f' port {port}' if port is not None else ''}"
    return f"accepted from {where} at listener {listener}{f', port {ours}' if ours is not None else ''}"


def _tls(record: dict[str, Any]) -> Iterator[str]:
    tls = value_at(record, "tls")
    if tls is None:
        return
    offered = _list(
        _joined("TLS ", items_at(tls, "client", "supported_versions")),
        _worded("server name", text_at(tls, "client", "server_name")),
        _joined("ALPN ", items_at(tls, "client", "alpn")),
        _worded("JA4", text_at(tls, "client", "ja4")),
    )
    yield f"the device offered {offered}" if offered else ""
    served = _certificate(value_at(tls, "server", "x509"))
    generation = number_at(tls, "server", "generation")
    yield _list(f"we served {served}", _worded("generation", generation)) if served else ""
    shown = _certificate(value_at(tls, "client", "x509"))
    yield f"the device showed {shown}" if shown else ""
    alert = text_at(tls, "alert", "description")
    if alert is not None:
        yield f"{_WHO.get(text_at(tls, 'alert', 'direction') or '', 'somebody refused')}: alert {alert}"
    if value_at(tls, "established") is True:
        resumed = "resumed" if value_at(tls, "resumed") is True else "established"
        yield _list(f"{resumed}: TLS {text_at(tls, 'version')}", text_at(tls, "cipher"))


def _certificate(x509: Any) -> str:
    subject, issuer = (
        text_at(x509, who, "distinguished_name") or ", ".join(map(str, items_at(x509, who, "common_name")))
        for who in ("subject", "issuer")
    )
    if not subject and not issuer:
        return ""
    until = text_at(x509, "not_after")
    return _list(f"the certificate of {subject or 'nobody'} by {issuer}", _worded("valid until", until))


def _connect(record: dict[str, Any]) -> str:
    client = text_at(record, "mqtt", "client_id")
    return _list(
        f"client id {client}" if client else "no client id",
        _worded("user", text_at(record, "user", "name")),
        _worded("MQTT", text_at(record, "mqtt", "protocol_version")),
        _answer(record) if text_at(record, "event", "code") != Code.ADMITTED else "",
    )


def _answer(record: dict[str, Any]) -> str:
    code, name = number_at(record, "mqtt", "connack", "code"), text_at(record, "mqtt", "connack", "name")
    return f"CONNACK {code} ({name})" if code is not None else ""


def _end(own: Sequence[dict[str, Any]]) -> Iterator[Step]:
    """Tell where it stopped, whose it was and what to do, as the verdict on the attempt and the end of it say."""
    connects = [record for record in own if text_at(record, "event", "action") == Action.CONNECT]
    ends = [record for record in own if text_at(record, "event", "action") == Action.DISCONNECT]
    for record in connects[:1]:
        if text_at(record, "event", "code") != Code.ADMITTED:
            stage, code = text_at(record, "doorlog", "stage"), text_at(record, "event", "code")
            yield Step("stopped at", f"{stage or 'an unknown stage'}: {code}")
            yield Step("because", text_at(record, "event", "reason") or _told(record))
        elif not ends:
            yield Step("still open", "no end of this session is in the log")
    for record in (connects or own)[:1]:
        yield Step("device", _device(record))
    for record in (ends or connects)[-1:]:
        yield from _what_to_do(record, is_end=bool(ends))


def _device(record: dict[str, Any]) -> str:
    device, evidence = text_at(record, "device", "id"), value_at(record, "doorlog", "device")
    sure = text_at(evidence, "confidence") or "unknown"
    reasons = "; ".join(map(str, items_at(evidence, "evidence")))
    candidates = [
        f"{text_at(one, 'id')} {score:.2f}"
        for one in items_at(evidence, "candidates")
        if isinstance(score := value_at(one, "score"), float | int)
    ]
    several = candidates if len(candidates) > 1 else []
    told = " ".join(filter(None, (sure, device)))
    return _list(told, _worded("one of", ", ".join(several))) + (f": {reasons}" if reasons else "")


def _what_to_do(record: dict[str, Any], *, is_end: bool) -> Iterator[Step]:
    code = text_at(record, "event", "code") or ""
    try:
        known = explanation(DisconnectCause(code) if is_end else Code(code))
    except (KeyError, ValueError):  # of another version, or changed
        return
    yield Step("means", known.means)
    yield from (Step("on the device", text) for text in known.do.device[:_MOST_STEPS])
    yield from (Step("on the broker", text) for text in known.do.broker[:_MOST_STEPS])


def _name_of(record: dict[str, Any]) -> str:
    action = text_at(record, "event", "action") or "record"
    return {Action.DISCONNECT.value: "end", Action.DEVICE_CONFIRMED.value: "explains"}.get(action, action)


def _told(record: dict[str, Any]) -> str:
    return text_at(record, "message") or text_at(record, "event", "reason") or "(no message)"


def _after(nanoseconds: int | None) -> str:
    return f"after {nanoseconds / _NANOSECONDS:.3f} s" if nanoseconds is not None else ""


def _worded(word: str, value: object) -> str:
    return f"{word} {value}" if value not in (None, "") else ""


def _joined(word: str, values: Sequence[object]) -> str:
    return word + " ".join(map(str, values)) if values else ""


def _list(*parts: str | None) -> str:
    return ", ".join(filter(None, parts))
