"""The data files of this room, read as plain values."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml


def read_data(name: str) -> Any:
    """Return what a YAML file beside this module holds.

    Args:
        name: Of the file, as in ``explanations.yaml``.
    """
    text = (files("doorlog.events") / name).read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads it ten times as fast
    return yaml.load(text, Loader=loader)  # noqa: S506 - both loaders are safe ones
