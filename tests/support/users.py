"""Password files for tests, with hashes that cost next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

_CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def write_users(path: Path, passwords: Mapping[str, str]) -> Path:
    """Write a password file as both doorlog and amqtt read it: a user and an Argon2 hash a line."""
    path.write_text("".join(f"{user}:{_CHEAP.hash(password)}\n" for user, password in passwords.items()), "utf-8")
    path.chmod(0o600)
    return path


def our_auth(password_file: Path, **options: Any) -> dict[str, dict[str, Any]]:
    """Return the plugin for `auth.plugins` that checks a password file."""
    return {"amqtt_doorlog.PasswordFilePlugin": {"password_file": str(password_file), **options}}


def amqtts_auth(password_file: Path) -> dict[str, dict[str, Any]]:
    """Return amqtt's own plugin for the same."""
    return {"amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(password_file)}}
