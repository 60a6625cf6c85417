"""The configuration reference is made from the models, and holds all of them."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from doorlog.settings.base import Setting
from doorlog.settings.load import parse_settings
from doorlog.settings.local_models import LocalSettings
from doorlog.settings.models import DoorSettings, PluginSettings, Settings
from doorlog.settings.reference import GROUPS, PLUGINS, page


class CourierSettings(BaseModel):
    """The keys of a sink that a bird carries."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    address: str
    """Where it flies to; a text of
    two lines."""
    service: Annotated[float, Field(gt=0)] = 1.0
    """Seconds."""


@cache
def whole_page() -> str:
    return page({"bird": CourierSettings})


def section(title: str) -> list[str]:
    """Return the lines below a heading, up to the next one."""
    lines = whole_page().splitlines()
    start = next(index for index, line in enumerate(lines) if line.strip("# ") == title and line.startswith("#"))
    below = lines[start + 1 :]
    return below[: next((index for index, line in enumerate(below) if line.startswith("#")), len(below))]


def row(title: str, key: str) -> list[str]:
    (found,) = [line for line in section(title) if line.startswith(f"| `{key}` |")]
    return [cell.strip() for cell in found.strip("|").split(" | ")]


@pytest.mark.parametrize(("place", "group"), GROUPS)
def test_every_key_has_a_row_that_says_what_it_does(place: str, group: type[Setting]) -> None:
    for key, field in group.model_fields.items():
        assert row(place, key)[-1] == " ".join((field.description or "").split()).replace("``", "`")


def test_every_group_has_a_section() -> None:
    undocumented = {Setting, LocalSettings, DoorSettings, Settings} | {group for _place, group in GROUPS}
    found = list(Setting.__subclasses__())
    for model in found:
        found += model.__subclasses__()

    assert set(found) <= undocumented
    for key in Settings.model_fields:
        assert row("The file", key)


@pytest.mark.parametrize("path", PLUGINS)
def test_every_option_of_our_plugins_has_a_row(path: str) -> None:
    module, _, name = path.rpartition(".")
    for option in fields(getattr(import_module(module), name).Config):
        assert row(name, option.name)[-1].endswith(".")


@pytest.mark.parametrize(
    ("title", "key", "value", "default"),
    [
        ("listeners.NAME", "bind", "text", "required"),
        ("listeners.NAME", "tls", "[listeners.NAME.tls](#listenersnametls)", "none"),
        ("listeners.NAME", "proxy_networks", "list of networks", "none"),
        ("listeners.NAME.tls", "crlfile", "path", "none"),
        ("listeners.NAME.tls", "minimum_version", "`1.2`, `1.3`", "`'1.2'`"),
        ("limits", "attempt_timeout", "number, more than 0, at most 300", "`10.0`"),
        ("limits", "connect_max_bytes", "whole number, at least 64, at most 268,435,455", "`65536`"),
        ("broker", "session_expiry", "whole number, at least 1", "none"),
        ("service", "instance_id", "text, at most 128 characters", "none"),
        ("auth", "plugins", "keys below it", "none"),
        ("log", "stdout", "`true` or `false`", "`false`"),
        ("PasswordFilePlugin", "password_file", "path", "required"),
        ("ClientCertificatePlugin", "must_match", "`client_id`, `user_name`, `either`, `none`", "`none`"),
        ("TopicAclPlugin", "rules", "keys below it", None),
    ],
)
def test_a_row_says_what_may_be_written_and_what_holds_without_it(
    title: str, key: str, value: str, default: str | None
) -> None:
    _key, shown_value, shown_default, _meaning = row(title, key)

    assert shown_value == value
    assert shown_default == default or default is None


def test_every_sink_has_a_section_made_from_the_model_of_its_keys() -> None:
    assert section("bird")[1] == "The keys of a sink that a bird carries."
    assert row("bird", "address") == ["`address`", "text", "required", "Where it flies to; a text of two lines."]
    assert row("bird", "service")[1] == "number, more than 0", "it has nothing to do with the group of that name"


def test_groups_of_one_kind_are_told_apart() -> None:
    assert section("auth") != section("acl")
    assert [group for _place, group in GROUPS].count(PluginSettings) == 2


def test_the_example_is_a_configuration() -> None:
    example = whole_page().partition("```yaml\n")[2].partition("```")[0]

    settings = parse_settings(example, Path("doorlog.yaml"))

    assert set(yaml.safe_load(example)) <= set(Settings.model_fields)
    assert list(settings.listeners) == ["tls", "lb", "wss"]
