"""Types of sinks come from entry points; what is wrong with one, or with its keys, is named by its place."""

from __future__ import annotations

import traceback
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, ClassVar, Literal

import pytest
from pydantic import field_validator

from doorlog.errors import SettingsError
from doorlog.log import registry
from doorlog.log.registry import build_sink, sink_class, sink_settings, sink_types
from doorlog.log.sink import SinkContext, SinkOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

PLACE = "log.sinks.central"
CONTEXT = SinkContext(name="central", service_name="doorlog", instance_id="a1", version="0")


class BirdSettings(SinkOptions):
    """What a bird needs."""

    address: str
    """Where it flies to."""
    birds: int = 1
    """How many."""
    token: str = ""
    """What it says at the gate."""

    @field_validator("token")
    @classmethod
    def _is_short(cls, value: str) -> str:
        if len(value) > 8:
            raise ValueError("at most 8 characters fit on its leg")
        return value


class BirdSink:
    """Records go by bird."""

    Settings: ClassVar = BirdSettings
    buffer: ClassVar[Literal["memory", "file"]] = "memory"

    def __init__(self, settings: BirdSettings, context: SinkContext) -> None:
        self.name = f"bird to {settings.address} from {context.name}"

    def write(self, lines: Sequence[bytes]) -> None:
        """Let it fly."""

    def close(self) -> None:
        """Let it rest."""


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        "bird": f"{__name__}:BirdSink",
        "lame": f"{__name__}:LameSink",
        "plain": "datetime:datetime",
        "nats": "doorlog.log.no_such_module:NatsSink",
        "kafka": "no_such_package:KafkaSink",
    }

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        assert group == "doorlog.sinks"
        return [EntryPoint(kind, value, group) for kind, value in points.items() if name in {None, kind}]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    monkeypatch.setattr(EntryPoint, "load", _load)


def _load(point: EntryPoint) -> object:
    """Load as an entry point does; pytest imports this module under no name that could be imported again."""
    if point.module == __name__:
        return BirdSink if point.attr == "BirdSink" else getattr(registry, point.attr)
    return _real_load(point)


_real_load = EntryPoint.load


def fault(**options: object) -> tuple[tuple[str, str], ...]:
    with pytest.raises(SettingsError) as caught:
        sink_settings(PLACE, "bird", options)
    assert str(caught.value).splitlines() == [": ".join(one) for one in caught.value.faults]
    return caught.value.faults


def test_a_sink_is_made_from_its_type_and_keys() -> None:
    sink = build_sink(PLACE, "bird", {"address": "Kiel"}, CONTEXT)

    assert sink.name == "bird to Kiel from central"
    assert sink_types() == ["bird", "kafka", "lame", "nats", "plain"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("brid", 'no sink is called "brid"; installed are bird, kafka, lame, nats, plain'),
        ("", 'no sink is called ""; installed are'),
        ("nats", 'nats needs a package that is not installed .*: pip install "doorlog\\[nats\\]"'),
        ("kafka", "kafka needs a package that is not installed .*: install it again"),
        ("lame", "LameSink is not there .*: install its package again"),
        ("plain", "datetime:datetime is no sink: it has no Settings"),
    ],
)
def test_a_type_that_can_not_be_had(kind: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"^log.sinks.central.type: .*{said}") as caught:
        sink_class(PLACE, kind)

    ((where, what),) = caught.value.faults
    assert (where, str(caught.value)) == ("log.sinks.central.type", f"{where}: {what}")


def test_every_wrong_key_is_named_by_its_place() -> None:
    assert fault(birds="many", adress="Kiel") == (
        ("log.sinks.central.address", "is missing"),
        ("log.sinks.central.birds", "Input should be a valid integer, unable to parse string as an integer"),
        ("log.sinks.central.adress", "unknown key"),
    )
    assert fault(address="Kiel", token="123456789") == (
        ("log.sinks.central.token", "at most 8 characters fit on its leg"),
    )


def test_no_fault_tells_what_was_given_since_it_may_be_a_secret() -> None:
    token = "hunter2" * 2  # put together, since a traceback shows this line

    with pytest.raises(SettingsError) as caught:
        sink_settings(PLACE, "bird", {"address": "Kiel", "token": token})

    assert token not in "".join(traceback.format_exception(caught.value))


def test_our_own_types_are_registered() -> None:
    from importlib.metadata import entry_points  # noqa: PLC0415 - the real one

    assert {"mqtt", "nats", "otlp", "syslog"} <= {point.name for point in entry_points(group=registry.GROUP)}
