"""The configuration reference with the sinks that are installed: ``python -m doorlog.application.reference``.

The settings do not know the log; here, both are known.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from doorlog.errors import SettingsError
from doorlog.log.registry import sink_class, sink_types
from doorlog.settings.reference import page

if TYPE_CHECKING:
    from pydantic import BaseModel

_OURS: Final = "doorlog."


def our_sinks() -> dict[str, type[BaseModel]]:
    """Return the model of the keys of each type of sink that comes with doorlog, by the name of the type.

    A type that needs a package that is not installed is left out.
    """
    found = {}
    for kind in sink_types():
        with suppress(SettingsError):
            loaded = sink_class(f"log.sinks.{kind}", kind)
            if loaded.__module__.startswith(_OURS):
                found[kind] = loaded.Settings
    return found


def main() -> None:
    """Print ``docs/configuration.md``."""
    sys.stdout.write(page(our_sinks()))


if __name__ == "__main__":
    main()
