"""``python -m doorlog`` and the ``doorlog`` command."""

from __future__ import annotations

from doorlog.application.cli import app


def main() -> None:
    """Run the command line."""
    app(prog_name="doorlog")


if __name__ == "__main__":
    main()
