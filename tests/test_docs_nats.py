"""docs/nats.md is true of the sink, and of the configuration of the cluster that is shipped."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from doorlog.log.nats_settings import NatsSettings
from doorlog.log.nats_subject import token
from support.nats import CONFIG, NODES, PASSWORDS

PAGE = (Path(__file__).parent.parent / "docs" / "nats.md").read_text(encoding="utf-8")
COMMON = (CONFIG / "common.conf").read_text(encoding="utf-8")


def test_every_key_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| (`[^|]*`) \|([^|]*)\|", PAGE, flags=re.MULTILINE)
    documented = {key: default.strip("` ") for keys, default in rows for key in re.findall(r"`(\w+)`", keys)}
    fields = NatsSettings.model_fields
    assert list(documented) == list(fields)
    for key, field in fields.items():
        if isinstance(field.default, bool):
            assert documented[key] == str(field.default).lower()
        elif isinstance(field.default, str | int | float):
            assert documented[key] == str(field.default).removesuffix(".0")


def test_the_example_is_a_configuration() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    keys = yaml.safe_load(example)["log"]["sinks"]["central"]
    assert keys.pop("type") == "nats"
    assert NatsSettings(**keys).replicas == len(NODES)


def test_the_token_of_the_example_is_right() -> None:
    assert f"`pump.17` is `{token('pump.17')}`" in PAGE


def test_every_password_comes_from_the_environment() -> None:
    assert set(re.findall(r"password: (\S+)", COMMON)) == {f"${name}" for name in PASSWORDS}
    assert all(f"{name}=" in PAGE for name in PASSWORDS)
