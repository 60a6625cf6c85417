"""The columns of the view are fields of the record, each once, and can hold what the schema allows."""

from __future__ import annotations

from typing import Any

import pytest

from doorlog.log.schema import json_schema
from doorlog.readers.columns import COLUMNS, Column, described, structure


def fields_of(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of a part, whatever it may be."""
    found: dict[str, Any] = {}
    for one in [part, *part.get("anyOf", []), *part.get("oneOf", [])]:
        target = schema["$defs"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        found |= target.get("properties", {})
    return found


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_column_is_a_field_of_a_record(column: Column) -> None:
    schema = json_schema()
    parts = [{"$ref": f"#/$defs/{name}"} for name in schema["$defs"] if name.endswith("Event")]
    for name in column.path.split("."):
        fields = [fields_of(schema, part) for part in parts]
        parts = [found[name] for found in fields if name in found]
        assert parts, f"{column.path}: no record has {name}"


def test_each_column_has_a_name_of_its_own() -> None:
    names = [column.name for column in described()]

    assert len(set(names)) == len(names)
    assert structure().startswith('{"@timestamp": \'TIMESTAMP\', "event": \'STRUCT(')
