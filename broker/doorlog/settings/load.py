"""From a YAML file to frozen settings; every fault is named by its place in the file and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from doorlog.errors import SettingsError
from doorlog.settings.models import DoorSettings, PluginSettings, Setting, Settings

_MAX_BYTES = 1_048_576
_Model = TypeVar("_Model", bound=DoorSettings)


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping: YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[Any] = set()
        for key_node, _value in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key "{key}" stands twice here', key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


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
        raise SettingsError(f"{path}: {_yaml_fault(error)}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: the YAML is nested too deeply") from error
    if not isinstance(data, dict):
        raise SettingsError(
            f"{path}: expected a mapping with the keys listeners, auth, log ...; see docs/configuration.md"
        )
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
    try:
        settings = model.model_validate(data)
    except ValidationError as error:
        faults = [_fault(details) for details in error.errors(include_url=False)]
        raise SettingsError("\n".join(f"{path}: {fault}" for fault in faults)) from error
    anchored: _Model = _anchor(settings, path.absolute().parent)
    return anchored


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: can not be read: {error.strerror}") from error
    if len(raw) > _MAX_BYTES:
        raise SettingsError(f"{path}: is larger than {_MAX_BYTES} bytes: is it a configuration file?")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8") from error


def _yaml_fault(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it is not valid YAML"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem


def _fault(details: ErrorDetails) -> str:
    place = ".".join(str(part) for part in details["loc"])
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{place}: unknown key{_did_you_mean(details['loc'])}"
    if kind == "missing":
        return f"{place}: is missing"
    if kind == "value_error":
        return f"{place}: {context['error']}"
    if kind == "too_short" and place == "listeners":
        return f"{place}: name at least one listener"
    message = details["msg"].replace("Input should", "it should")
    given = details["input"]
    shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool) and len(repr(given)) < 80 else ""
    return f"{place}: {message}{shown}"


def _did_you_mean(location: tuple[int | str, ...]) -> str:
    *parents, wrong = location
    known = sorted(_keys_at(parents))
    close = difflib.get_close_matches(str(wrong), known, n=1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known here: {', '.join(known)}" if known else ""


def _keys_at(parents: list[int | str]) -> set[str]:
    kind: Any = Settings
    for part in parents:
        model = _model_of(kind)
        if model is not None and part in model.model_fields:
            kind = model.model_fields[str(part)].annotation
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
    model = _model_of(kind)
    return set(model.model_fields) if model else set()


def _model_of(kind: Any) -> type[BaseModel] | None:
    choices = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return next((choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel)), None)


def _anchor(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return value if value.is_absolute() else folder / value
    if isinstance(value, PluginSettings):
        value = value.model_copy(update={"plugins": _anchored_options(value.plugins, folder)})
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
