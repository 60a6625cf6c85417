"""What devices print when a broker turns them away, word for word, and which of our codes it may mean: data."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from pydantic import Field

from doorlog.events.base import Part
from doorlog.events.codes import Code
from doorlog.events.data import read_data


class Printed(Part):
    """One text that a stack prints, or the number that stands for it."""

    text: Annotated[str, Field(min_length=1)]
    number: int | None = None
    """What stands for it in log lines: an error number, an alert, a return code."""
    codes: Annotated[tuple[Code, ...], Field(min_length=1)]
    """What it may mean, the likeliest first."""


class Stack(Part):
    """A TLS or MQTT library, or a firmware, as its users call it."""

    source: Annotated[str, Field(pattern="^https://")]
    """Where its texts stand."""
    texts: Annotated[tuple[Printed, ...], Field(min_length=1)]


class DeviceText(Part):
    """A text with the stack that prints it."""

    stack: str
    source: str
    text: str
    number: int | None
    codes: tuple[Code, ...]


class Unreached(Part):
    """What it means that a device did not reach the broker, which leaves no record, and how that is printed."""

    means: str
    causes: tuple[str, ...]
    """The likeliest first."""
    checks: tuple[str, ...]
    texts: Annotated[tuple[str, ...], Field(min_length=1)]


class _Everything(Part):
    stacks: dict[str, Stack]
    unreached: Unreached


@cache
def _everything() -> _Everything:
    return _Everything.model_validate(read_data("device_texts.yaml"))


@cache
def device_texts() -> tuple[DeviceText, ...]:
    """Return all texts, by stack; they are read at the first call."""
    return tuple(
        DeviceText(stack=name, source=stack.source, text=one.text, number=one.number, codes=one.codes)
        for name, stack in _everything().stacks.items()
        for one in stack.texts
    )


def unreached() -> Unreached:
    """Return what is known of devices that did not reach the broker."""
    return _everything().unreached


def devices_print(code: Code) -> list[DeviceText]:
    """Return what devices may print where the broker records a code: first what means nothing else."""
    found = [one for one in device_texts() if code in one.codes]
    return sorted(found, key=lambda one: one.codes.index(code))
