"""The types of sinks: entry points of the group ``doorlog.sinks``, and their keys checked by their own models."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from doorlog.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from doorlog.log.sink import RegisteredSink, SinkContext

GROUP: Final = "doorlog.sinks"


def sink_types() -> list[str]:
    """Return the names of all types that are installed."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def sink_class(place: str, kind: str) -> type[RegisteredSink]:
    """Load a type of sink.

    Args:
        place: Where it stands in the configuration, for example ``log.sinks.central``.
        kind: Its name.

    Raises:
        SettingsError: There is none, or what it needs is not installed.
    """
    found = next(iter(entry_points(group=GROUP, name=kind)), None)
    if found is None:
        raise _error(f"{place}.type", f'no sink is called "{kind}"; installed are {", ".join(sink_types())}')
    try:
        loaded: type[RegisteredSink] = found.load()
    except ImportError as error:
        remedy = f'pip install "doorlog[{kind}]"' if found.value.startswith("doorlog.") else "install it again"
        raise _error(f"{place}.type", f"{kind} needs a package that is not installed ({error}): {remedy}") from error
    except AttributeError as error:
        raise _error(f"{place}.type", f"{found.value} is not there ({error}): install its package again") from error
    if not hasattr(loaded, "Settings"):
        raise _error(f"{place}.type", f"{found.value} is no sink: it has no Settings")
    return loaded


def sink_settings(place: str, kind: str, options: Mapping[str, Any]) -> BaseModel:
    """Check the keys of a sink by the model of its type.

    Raises:
        SettingsError: With one line for each fault: its place, what is wrong.
    """
    try:
        return sink_class(place, kind).Settings.model_validate(dict(options))
    except ValidationError as error:
        faults = tuple(
            (".".join((place, *map(str, fault["loc"]))), _words(fault["type"], fault["msg"]))
            for fault in error.errors(include_url=False)
        )
        # Without its cause: that shows what was given, a password perhaps.
        raise SettingsError("\n".join(f"{where}: {what}" for where, what in faults), faults) from None


def build_sink(place: str, kind: str, options: Mapping[str, Any], context: SinkContext) -> RegisteredSink:
    """Make a sink.

    Raises:
        SettingsError: Its type or a key is wrong.
        SinkError: It can never work.
    """
    return sink_class(place, kind)(sink_settings(place, kind, options), context)


def _words(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "is missing"
    return message.removeprefix("Value error, ")


def _error(place: str, fault: str) -> SettingsError:
    return SettingsError(f"{place}: {fault}", ((place, fault),))
