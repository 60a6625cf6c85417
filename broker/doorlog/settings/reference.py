"""The configuration reference, made from the models: every key, its type, its default and what it does.

``python -m doorlog.application.reference`` prints the page ``docs/configuration.md``.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from importlib import import_module
from ipaddress import IPv4Network, IPv6Network
from textwrap import dedent
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from doorlog.settings.alert_models import AlertRuleSettings, AlertRulesSettings, AlertSettings, WebhookSettings
from doorlog.settings.base import Setting
from doorlog.settings.cohort_models import CohortSettings
from doorlog.settings.log_models import (
    CheckpointSettings,
    FileLogSettings,
    FloodSettings,
    LogSettings,
    PrivacySettings,
    SinkSettings,
)
from doorlog.settings.models import (
    BrokerSettings,
    DeviceSettings,
    LimitsSettings,
    ListenerSettings,
    MonitorSettings,
    PluginSettings,
    ServiceSettings,
    Settings,
    TlsSettings,
    WebSettings,
)

GROUPS: Final[tuple[tuple[str, type[Setting]], ...]] = (
    ("listeners.NAME", ListenerSettings),
    ("listeners.NAME.tls", TlsSettings),
    ("auth", PluginSettings),
    ("acl", PluginSettings),
    ("broker", BrokerSettings),
    ("device", DeviceSettings),
    ("log", LogSettings),
    ("log.file", FileLogSettings),
    ("log.checkpoint", CheckpointSettings),
    ("log.flood", FloodSettings),
    ("log.privacy", PrivacySettings),
    ("log.sinks.NAME", SinkSettings),
    ("limits", LimitsSettings),
    ("service", ServiceSettings),
    ("monitor", MonitorSettings),
    ("cohorts", CohortSettings),
    ("alerts", AlertSettings),
    ("alerts.webhook", WebhookSettings),
    ("alerts.rules", AlertRulesSettings),
    ("alerts.rules.NAME", AlertRuleSettings),
    ("web", WebSettings),
)
"""The groups of a configuration, in the order of the page."""
PLUGINS: Final = (
    "amqtt_doorlog.PasswordFilePlugin",
    "amqtt_doorlog.ClientCertificatePlugin",
    "amqtt_doorlog.TopicAclPlugin",
)
"""Our plugins, found by their dotted path as in a configuration."""
_TYPES: Final = {
    "str": "text",
    "SecretStr": "text",
    "int": "whole number",
    "float": "number",
    "bool": "`true` or `false`",
    "Path": "path",
    "PluginSettings": "[plugins](#plugins)",
    "Any": "any",
}
_INTRODUCTION: Final = """\
# Configuration

`doorlog run -c FILE` reads one YAML file. Unknown keys are refused, and every fault is named by its place in the file;
`doorlog check -c FILE` tells all of them, and what is wrong with the files that it names, without starting anything.
Relative paths are taken from the folder of the configuration file, those in the options of plugins too if the option's
name ends in `file` or `path`. To begin with: [production.yaml](../config/production.yaml).

```yaml
listeners:
  tls: {bind: "127.0.0.1:8883", tls: {certfile: c.pem, keyfile: k.pem, cafile: ca.pem, client_certificate: optional}}
  lb: {bind: "127.0.0.1:1883", proxy_protocol: required, proxy_networks: ["127.0.0.0/8"]}
  wss: {bind: "127.0.0.1:8084", websocket: true, tls: {certfile: c.pem, keyfile: k.pem}}
auth:
  plugins: {amqtt.plugins.authentication.FileAuthPlugin: {password_file: users.txt}}
log:
  file: {path: doorlog.jsonl}
limits: {attempt_timeout: 10, connect_max_bytes: 65536}
```

A configuration that would let everybody in from other machines is refused: with amqtt's `AnonymousAuthPlugin` among the
plugins, each listener must be bound to this machine (127.0.0.1), or require a client certificate.

This page is made from `broker/doorlog/settings/models.py` and the models of the sinks by
`python -m doorlog.application.reference`.
"""
_PLUGINS_INTRODUCTION: Final = """\
## Plugins

Any plugin of amqtt, by the dotted path of its class, with its options below it:

```yaml
auth:
  plugins:
    amqtt_doorlog.PasswordFilePlugin:
      password_file: users.txt
```

In `auth` stand authentication plugins, in `acl` topic plugins, in `broker` all others. The ones below come with
doorlog. They work in a stock amqtt as well, with `amqtt_doorlog.DoorPlugin` beside them, which takes the groups
`listeners`, `log`, `limits`, `device`, `service`, `monitor`, `cohorts` and `alerts` as they stand here: see
[amqtt.md](amqtt.md).
"""
_SINKS_INTRODUCTION: Final = """\
## Sinks

More places that records go to, each by a name of yours below `log.sinks`, with its `type` and the keys of that type:

```yaml
log:
  sinks:
    central:
      type: syslog
```

An installed package can bring more types, as entry points of the group `doorlog.sinks`. The ones below come with
doorlog.
"""


def page(sinks: Mapping[str, type[BaseModel]]) -> str:
    """Return ``docs/configuration.md``.

    Args:
        sinks: The model of the keys of each type of sink, by the name of the type.
    """
    blocks = [_INTRODUCTION, _contents(), "## The file\n", _table(sorted(_settings("", Settings), key=_position))]
    for place, group in GROUPS:
        blocks += [f"## {place}\n", _about(place, group), _table(_settings(place, group))]
    blocks.append(_PLUGINS_INTRODUCTION)
    for path in PLUGINS:
        module, _, name = path.rpartition(".")
        plugin = getattr(import_module(module), name)
        blocks += [f"### {name}\n", _sentences(plugin), _table(_options(plugin.Config))]
    blocks.append(_SINKS_INTRODUCTION)
    for kind, keys in sinks.items():
        blocks += [f"### {kind}\n", _sentences(keys), _table(_settings("log.sinks.NAME", keys))]
    return "\n".join(blocks)


def _contents() -> str:
    titles = ("The file", *(place for place, _group in GROUPS), "Plugins", "Sinks")
    return "".join(f"- [{title}](#{_anchor(title)})\n" for title in titles)


def _position(row: tuple[str, ...]) -> int:
    return next(index for index, (place, _group) in enumerate(GROUPS) if f"`{place.partition('.')[0]}`" == row[0])


def _anchor(title: str) -> str:
    """Return what GitHub makes of a heading."""
    return title.lower().replace(" ", "-").replace(".", "")


def _about(place: str, group: type[Setting]) -> str:
    """Say what a group is for: in the words of the key that holds it, if it is one of several of its kind."""
    if group is PluginSettings:
        return f"{Settings.model_fields[place].description}\n"
    return _sentences(group)


def _sentences(described: type[Any]) -> str:
    first, _, rest = (inspect.getdoc(described) or "").partition("\n\n")
    # Sections such as Raises are for who reads the source.
    prose = "\n\n".join(part for part in rest.split("\n\n") if part and not part.startswith(("Raises:", "Args:")))
    return "\n\n".join(filter(None, (first, prose))).replace("``", "`") + "\n"


def _settings(place: str, group: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    for key, field in group.model_fields.items():
        below = f"{place}.{key}" if place else key
        yield f"`{key}`", _kind(field, below), _default(field), _meaning(field.description or "")


def _options(config: type[Any]) -> Iterator[tuple[str, ...]]:
    docstrings = _attribute_docstrings(config)
    for field in fields(config):
        kind = _words(inspect.get_annotations(config, eval_str=True)[field.name])
        yield f"`{field.name}`", kind, _option_default(field), _meaning(docstrings[field.name])


def _meaning(docstring: str) -> str:
    """Return a text as Markdown on one line, since it stands in a table."""
    return " ".join(docstring.split()).replace("``", "`")


def _attribute_docstrings(described: type[Any]) -> dict[str, str]:
    """Read the texts that stand below the attributes of a class."""
    (definition,) = ast.parse(dedent(inspect.getsource(described))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - it is the source of a class
    found = {}
    for attribute, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(attribute, ast.AnnAssign) and isinstance(below, ast.Expr):
            found[ast.unparse(attribute.target)] = inspect.cleandoc(ast.literal_eval(below.value))
    return found


def _kind(field: FieldInfo, place: str) -> str:
    """Say what a value is, with its bounds; a group is a link to its section."""
    section = next((name for name, _group in GROUPS if name in (place, f"{place}.NAME")), None)
    if section is not None:
        return f"[{section}](#{_anchor(section)})"
    return _bounded(_words(field.annotation), field.metadata)


def _bounded(words: str, constraints: Iterable[Any]) -> str:
    return ", ".join(filter(None, (words, *map(_bound, constraints))))


def _bound(constraint: Any) -> str:
    if isinstance(constraint, FieldInfo):
        return _bounded("", constraint.metadata)
    for name, words in (("gt", "more than"), ("ge", "at least"), ("le", "at most")):
        if (value := getattr(constraint, name, None)) is not None:
            return f"{words} {value:,}"
    if (length := getattr(constraint, "max_length", None)) is not None:
        return f"at most {length} characters"
    return ""


def _words(annotation: Any) -> str:
    """Say a type as who writes YAML knows it."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return "network" if inner[0] == IPv4Network | IPv6Network else _bounded(_words(inner[0]), inner[1:])
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in inner)
    if origin in (Union, UnionType):
        kinds = [_words(kind) for kind in inner if kind is not type(None)]
        return kinds[0] if "path" not in kinds else "path"
    if origin in (tuple, list):
        return f"list of {_words(inner[0]).partition(',')[0]}s"
    if origin is dict:
        return "keys below it"
    return _TYPES.get(getattr(annotation, "__name__", str(annotation)), "keys below it")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Setting):
        return ""
    return _shown(value)


def _option_default(field: Field[Any]) -> str:
    if field.default is not MISSING:
        return _shown(field.default)
    return "required" if field.default_factory is MISSING else _shown(field.default_factory())


def _shown(value: Any) -> str:
    if value is None or value in ((), {}, []):
        return "none"
    text = yaml.safe_dump(value, default_flow_style=True, width=1_000).removesuffix("\n...\n").rstrip()
    return f"`{text}`"


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = [("key", "value", "default", "meaning"), ("---",) * 4, *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
