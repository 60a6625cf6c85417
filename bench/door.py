"""``doorlog run`` as a process of its own: ``python -m bench.door CONFIG [asyncio]``."""

from __future__ import annotations

import sys


def main() -> None:
    config, *loop = sys.argv[1:]
    if loop == ["asyncio"]:
        sys.modules["uvloop"] = None  # type: ignore[assignment] # what makes an import fail
    from doorlog.application.cli import app  # noqa: PLC0415 - after uvloop was hidden

    app(["run", "-c", config])


if __name__ == "__main__":
    main()
