"""What the figures were measured on, without the machine's name."""

from __future__ import annotations

import os
import platform
import ssl
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def describe() -> dict[str, str]:
    """Return the facts that figures depend on."""
    return {
        "Date": datetime.now(UTC).date().isoformat(),
        "Kernel": f"{platform.system()} {platform.release()}",
        "CPU": f"{_cpu_model()}, {os.cpu_count()} cores",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "OpenSSL": ssl.OPENSSL_VERSION,
        "uvloop": _version("uvloop"),
        "amqtt": _version("amqtt"),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
