"""The amqtt plugins of a configuration, looked at before amqtt does, whose errors name neither place nor cause."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from amqtt.plugins.base import BaseAuthPlugin, BasePlugin, BaseTopicPlugin
from amqtt.utils import import_string
from dacite import Config, DaciteError, MissingValueError, UnexpectedDataError, WrongTypeError, from_dict

from doorlog.errors import DoorlogError, SettingsError
from doorlog.settings.models import Settings

_KINDS: dict[str, type[BasePlugin[Any]]] = {
    "auth": BaseAuthPlugin,
    "acl": BaseTopicPlugin,
    "broker": BasePlugin,
}


@dataclass(frozen=True, slots=True)
class ConfiguredPlugin:
    """One plugin: where it stands in the configuration, its dotted path, its class and its options."""

    place: str
    path: str
    kind: type[BasePlugin[Any]]
    options: dict[str, Any]


def configured_plugins(settings: Settings) -> list[ConfiguredPlugin]:
    """Import every plugin and check its options.

    Returns:
        In the order of the groups ``auth``, ``acl``, ``broker``, and of the file within them.

    Raises:
        SettingsError: With the place of the plugin or option, what is wrong, and the remedy.
    """
    found: dict[str, ConfiguredPlugin] = {}
    for group, plugins in (("auth", settings.auth), ("acl", settings.acl), ("broker", settings.broker)):
        for path, options in plugins.plugins.items():
            place = f"{group}.plugins.{path}"
            if path in found:
                raise SettingsError(f"{place}: stands at {found[path].place}, too; keep one")
            plugin = ConfiguredPlugin(place, path, _imported(place, path, _KINDS[group]), options)
            _check_options(plugin)
            found[path] = plugin
    return list(found.values())


def load_fault(error: Exception, plugins: list[ConfiguredPlugin]) -> SettingsError:
    """Say why amqtt could not load the plugins.

    Args:
        error: What amqtt raised; for a plugin whose constructor failed, its ``__cause__`` is what that raised.
        plugins: What it was to load.
    """
    text = str(error)
    place = next((known.place for known in plugins if repr(known.kind) in text or known.path in text), "plugins")
    cause = error.__cause__ or error
    if isinstance(cause, DoorlogError):
        return SettingsError("\n".join(f"{place}: {line}" for line in str(cause).splitlines()))
    said = " ".join(str(cause).split())
    return SettingsError(f"{place}: can not be loaded: {type(cause).__name__}{f': {said}' if said else ''}")


def _imported(place: str, path: str, base: type[BasePlugin[Any]]) -> type[BasePlugin[Any]]:
    try:
        plugin = import_string(path)
    except Exception as error:
        raise SettingsError(
            f"{place}: can not be imported: {type(error).__name__}: {error}; is its package installed here?"
        ) from error
    if not (isinstance(plugin, type) and issubclass(plugin, base)):
        raise SettingsError(f"{place}: is no amqtt plugin of this kind ({base.__name__})")
    return plugin


def _check_options(plugin: ConfiguredPlugin) -> None:
    """Build the plugin's ``Config`` as amqtt will."""
    place, config = plugin.place, plugin.kind.Config
    if not is_dataclass(config):
        raise SettingsError(f"{place}: amqtt can not load it: its Config is no dataclass")
    _check_names(plugin)
    try:
        from_dict(config, plugin.options, Config(strict=True))
    except UnexpectedDataError as error:
        raise SettingsError(f"{place}: unknown option further down: {', '.join(sorted(error.keys))}") from error
    except MissingValueError as error:
        raise SettingsError(f"{place}.{error.field_path}: is missing") from error
    except WrongTypeError as error:
        # The value is not shown: it may be a secret.
        expected, given = _type_name(error.field_type), type(error.value).__name__
        raise SettingsError(f"{place}.{error.field_path}: expected {expected}, got {given}") from error
    except DaciteError as error:
        raise SettingsError(f"{place}: {error}") from error
    except Exception as error:
        raise SettingsError(f"{place}: {type(error).__name__}: {error}") from error


def _check_names(plugin: ConfiguredPlugin) -> None:
    known = {field.name for field in fields(plugin.kind.Config)}
    unknown = sorted(set(plugin.options) - known)
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(sorted(known)) or 'none'}"
        raise SettingsError(f"{plugin.place}.{unknown[0]}: unknown option; {hint}")


def _type_name(kind: Any) -> str:
    return (
        kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind).replace("typing.", "")
    )
