"""Hypothesis strategies that build any event from the models' own types, so that a new field is covered at once."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from doorlog.events.parts import EventPart
from doorlog.events.records import EVENT_MODELS, Event

_HOSTILE = st.sampled_from(
    ['"', "\n", "\r\n", "\x1b[2J", "\u202e", "\u2028", "None", "{who}", "{0}", "%s", "x" * 300, "…"]
)
_TEXT = st.one_of(st.text(max_size=80), _HOSTILE, st.lists(_HOSTILE, max_size=4).map("".join))


def events() -> st.SearchStrategy[Event]:
    """Any event of any kind, with any action that this kind has."""
    return st.one_of([_event(model) for model in EVENT_MODELS])


def _event(model: type[Event]) -> st.SearchStrategy[Event]:
    parts = _fields(EventPart) | {"action": st.sampled_from(sorted(model.actions))}
    return st.builds(model, **(_fields(model) | {"event": st.builds(EventPart, **parts)}))


def _fields(model: type[BaseModel]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: _field(field) for name, field in model.model_fields.items()}


def _field(field: FieldInfo) -> st.SearchStrategy[Any]:
    return _of(field.annotation, tuple(field.metadata))


def _of(annotation: Any, metadata: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        return st.one_of([_of(argument, metadata) for argument in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(_of(arguments[0]), max_size=3).map(tuple)
    if hasattr(annotation, "__metadata__"):
        inner = [item for field in annotation.__metadata__ for item in getattr(field, "metadata", [field])]
        return _of(arguments[0], (*metadata, *inner))
    return _plain(annotation, metadata)


def _plain(kind: Any, metadata: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if kind is float:
        return st.floats(0, 1)
    if kind is int:
        bounds = [item for item in metadata if isinstance(item, Ge | Le)]
        low: Any = next((item.ge for item in bounds if isinstance(item, Ge)), 0)
        high: Any = next((item.le for item in bounds if isinstance(item, Le)), 2**63 - 1)
        return st.integers(low, high)
    if kind is str:
        limit = next((item.max_length for item in metadata if isinstance(item, MaxLen)), 2048)
        return _TEXT.map(lambda text: text[:limit])
    if issubclass(kind, BaseModel):
        return st.deferred(lambda: st.builds(kind, **_fields(kind)))
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    simple = {bool: st.booleans(), NoneType: st.none(), datetime: st.datetimes(timezones=st.sampled_from([None, UTC]))}
    return simple[kind]
