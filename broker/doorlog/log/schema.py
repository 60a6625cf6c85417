"""What a record looks like, as JSON Schema (draft 2020-12), made from the models of the events."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from doorlog.events.codes import Action, Code, DisconnectCause
from doorlog.events.records import ANY_EVENT, EVENT_MODELS

if TYPE_CHECKING:
    from pydantic_core import core_schema

SCHEMA_ID: Final = "urn:doorlog:record:1"
"""The 1 is ``doorlog.schema_version``."""

_UTC: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$"
_UTC_IN_MICROSECONDS: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
_SET_BY_THE_LOG: Final = {"EventPart": ("sequence", "id")} | {
    model.__name__: ("message", "service") for model in EVENT_MODELS
}
_CODES: Final[dict[Action, type[StrEnum]]] = {Action.CONNECT: Code, Action.DISCONNECT: DisconnectCause}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema that every line of the log is valid against.

    A field that has nothing to say is absent, never null. ``event.action`` tells which kind of record it is.
    """
    schema = ANY_EVENT.json_schema(mode="serialization", schema_generator=_RecordSchema)
    definitions = schema["$defs"]
    for name, fields in _SET_BY_THE_LOG.items():
        definition = definitions[name]
        definition["required"] = sorted({*definition.get("required", ()), *fields})
    for model in EVENT_MODELS:
        properties = definitions[model.__name__]["properties"]
        properties["event"] |= _what_happened(model.actions)
        properties["@timestamp"]["pattern"] = _UTC_IN_MICROSECONDS
    schema = orjson.loads(orjson.dumps(schema).replace(b"``", b"`"))  # docstrings mark code up for Sphinx
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": SCHEMA_ID,
        "title": "doorlog record",
        "description": "One line of doorlog's log, shaped after the Elastic Common Schema.",
        **schema,
    }


def _what_happened(actions: frozenset[Action]) -> dict[str, Any]:
    """Tie a kind of record to its actions, and these to their codes."""
    properties: dict[str, Any] = {"action": {"enum": sorted(actions)}}
    codes = next((_CODES[action] for action in actions if action in _CODES), None)
    if codes is None:
        return {"properties": properties}
    return {"properties": properties | {"code": {"enum": list(codes)}}, "required": ["code"]}


class _RecordSchema(GenerateJsonSchema):
    """pydantic's schema of what is written with ``exclude_none``."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        json_schema = super().default_schema(schema)
        json_schema.pop("default", None)
        return json_schema

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,  # noqa: ARG002, FBT001 - pydantic's signature
    ) -> bool:
        """A field with a default is always written, unless the default is None."""
        inner = field["schema"]
        return inner["type"] != "default" or inner.get("default") is not None

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        return super().datetime_schema(schema) | {"pattern": _UTC}
