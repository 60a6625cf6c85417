"""From a YAML file to frozen settings; every fault is named by its place in the file and what would be right."""

from __future__ import annotations

import difflib
import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from doorlog.errors import SettingsError
from doorlog.settings.base import Setting
from doorlog.settings.log_models import SinkSettings
from doorlog.settings.models import DoorSettings, PluginSettings, Settings

_MAX_BYTES = 1_048_576
_SHOWN = 80
_MERGE = "tag:yaml.org,2002:merge"
_DEEPEST = 4  # listeners.NAME.tls.certfile
_EXPECTED = {
    "string_type": "text, in quotes if need be",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "dict_type": "keys below it",
    "tuple_type": "a list",
    "path_type": "a path",
    "literal_error": "{expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "string_too_short": "some text",
    "string_too_long": "at most {max_length} characters",
}
"""What would be right, by pydantic's name of the fault."""
_Model = TypeVar("_Model", bound=DoorSettings)


class _Loader(yaml.SafeLoader):
    """A SafeLoader that names the place of whatever is wrong, and lets nothing pass in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        # YAML would silently take the last of two equal keys.
        seen: set[Any] = set()
        for key_node, _value in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise _at(key_node, "a key is a word, not a list or a mapping")
            if key in seen:
                raise _at(key_node, f'the key "{key}" stands twice here')
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:  # a date that does not exist, a number of 5,000 digits
            raise _at(
                node, f"this is no value: {str(error).partition(':')[0]}; put it in quotes if it is text"
            ) from error


def _at(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def load_settings(path: Path) -> Settings:
    """Read a configuration file.

    Args:
        path: A YAML file; relative paths in it are taken from its folder.

    Raises:
        SettingsError: With one line for each fault: its place, what is wrong, what would be right.
    """
    return parse_settings(_read(path), path)


def parse_settings(text: str, path: Path) -> Settings:
    """Read a configuration from text.

    Args:
        text: YAML.
        path: Where the text comes from, for messages and for relative paths.

    Raises:
        SettingsError: As for ``load_settings``.
    """
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise _error(path, [_yaml_fault(error)]) from error
    except RecursionError as error:
        raise _error(path, [("", "the YAML is nested too deeply")]) from error
    if not isinstance(data, dict):
        groups = ", ".join(_keys_at([]))
        raise _error(path, [("", f"expected a mapping with the keys {groups}; see docs/configuration.md")])
    return _validated(Settings, data, path)


def validate_door_settings(data: dict[str, Any], path: Path) -> DoorSettings:
    """Check the part of a configuration that the door needs, for a broker that has a configuration of its own.

    Args:
        data: The groups of ``DoorSettings``; empty groups count as absent.
        path: Where they come from, for messages and for relative paths.

    Raises:
        SettingsError: As for ``load_settings``.
    """
    return _validated(DoorSettings, {key: group for key, group in data.items() if group}, path)


def _validated(model: type[_Model], data: dict[str, Any], path: Path) -> _Model:
    faults = [(_place(location), "is empty: give it a value, or remove the key") for location in _empty(data)]
    try:
        settings = model.model_validate(data)
    except ValidationError as error:
        others = (_fault(details) for details in error.errors(include_url=False) if details["input"] is not None)
        raise _error(path, [*faults, *others]) from error
    if faults:
        raise _error(path, faults)
    anchored: _Model = _anchor(settings, path.absolute().parent)
    return anchored


def _empty(data: Mapping[Any, Any] | list[Any], above: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    """Find keys without a value: ``tls:`` with all below it commented out must not become a port without TLS."""
    for key, value in data.items() if isinstance(data, Mapping) else enumerate(data):
        place = (*above, key)
        if value is None:
            yield place
        elif isinstance(value, Mapping | list) and key != "plugins" and len(place) < _DEEPEST:
            yield from _empty(value, place)


def _error(path: Path, faults: Sequence[tuple[str, str]]) -> SettingsError:
    lines = (": ".join(filter(None, (str(path), *fault))) for fault in faults)
    return SettingsError("\n".join(lines), tuple(faults))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _error(path, [("", f"can not be read: {error.strerror}")]) from error
    if len(raw) > _MAX_BYTES:
        raise _error(path, [("", f"is larger than {_MAX_BYTES} bytes: is it a configuration file?")])
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _error(path, [("", f"byte {error.start} is not UTF-8: save the file as UTF-8")]) from error


def _yaml_fault(error: yaml.YAMLError) -> tuple[str, str]:
    if isinstance(error, yaml.reader.ReaderError):
        return "", f"character {error.position}, #x{error.character:02x}, is none that YAML allows: remove it"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}", error.problem or "it is not valid YAML"
    return "", "it is not valid YAML"


def _fault(details: ErrorDetails) -> tuple[str, str]:
    """Say one fault: its place, and what is wrong or would be right."""
    location, kind, given = details["loc"], details["type"], details["input"]
    if location[-1:] == ("[key]",):
        return _place(location[:-2]), f'put the key {given} in quotes: "{given}"'
    if kind == "extra_forbidden":
        return _place(location), f"unknown key{_did_you_mean(location)}"
    if kind == "too_short" and location == ("listeners",):
        return _place(location), "name at least one listener"
    return _place(location), _sentence(details)


def _sentence(details: ErrorDetails) -> str:
    """Say what would be right, and what is there unless it is long."""
    kind, given = details["type"], details["input"]
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if kind == "missing":
        return "is missing"
    expected = _EXPECTED.get(kind)
    if kind in {"model_type", "model_attributes_type"}:
        expected = f"keys below it: {', '.join(sorted(_keys_at(list(details['loc']))))}"
    message = f"expected {expected.format(**details.get('ctx', {}))}" if expected else details["msg"]
    shown = f" (it is {json.dumps(given, ensure_ascii=False)})" if isinstance(given, str | int | float) else ""
    # An address may hold a secret, and stand where it does not belong.
    return message + (shown if len(shown) < _SHOWN and "://" not in shown else "")


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _did_you_mean(location: tuple[int | str, ...]) -> str:
    *parents, wrong = location
    known = sorted(_keys_at(parents))
    close = difflib.get_close_matches(str(wrong), known, n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; known here: {', '.join(known)}"


def _keys_at(parents: Sequence[int | str]) -> list[str]:
    kind: Any = Settings
    for part in parents:
        model = _model_of(kind)
        if model is not None and part in model.model_fields:
            kind = model.model_fields[str(part)].annotation
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif get_origin(kind) is tuple:
            kind = get_args(kind)[0]
    model = _model_of(kind)
    return list(model.model_fields) if model else []


def _model_of(kind: Any) -> type[BaseModel] | None:
    choices = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return next((choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel)), None)


def _anchor(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return value if value.is_absolute() else folder / value
    if isinstance(value, PluginSettings):
        value = value.model_copy(update={"plugins": _anchored_options(value.plugins, folder)})
    if isinstance(value, SinkSettings):
        return value.model_copy(update=_anchored_options({"": value.options}, folder)[""])
    if isinstance(value, Setting):
        anchored = {name: _anchor(getattr(value, name), folder) for name in type(value).model_fields}
        return value.model_copy(update=anchored)
    if isinstance(value, Mapping):
        return {key: _anchor(item, folder) for key, item in value.items()}
    return value


def _anchored_options(plugins: dict[str, dict[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
    # A plugin's options are its own; by their names, these are files beside the configuration.
    return {
        plugin: {
            name: str(folder / option) if isinstance(option, str) and name.endswith(("file", "path")) else option
            for name, option in options.items()
        }
        for plugin, options in plugins.items()
    }
