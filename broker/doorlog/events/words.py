"""How a text, a duration, a date or a certificate's name is written in a sentence.

Text that a peer chose stands in double quotes, or bare if it is one plain word; it is cut to 64 characters, and
nothing in it can end the quotes or the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from doorlog.events.parts import NamePart, X509Part

TEXT_LIMIT: Final = 64
"""Characters of one name in a sentence."""

_is_plain = re.compile(r"[A-Za-z0-9._:@/+=%~-]{1,64}").fullmatch
_OLD_VERSIONS: Final = {"2.0": "SSL 2.0", "3.0": "SSL 3.0"}
_SHOWN: Final = 2
_REMEMBERED: Final = 256  # the same names come again and again; at most 2 MB of hostile ones


def counted(number: int, noun: str) -> str:
    """Say a number of things: ``1 record``, ``2 records``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def clip(text: str, limit: int = TEXT_LIMIT) -> str:
    r"""Return the text on one line, no longer than the limit, with what can not be printed as ``\uXXXX``."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in text[:limit])
    return text if len(text) <= limit else text[: limit - 1] + "…"


@lru_cache(maxsize=_REMEMBERED)
def quoted(text: str) -> str:
    """Return the text in double quotes; a double quote within becomes a single one."""
    return '"' + clip(text).replace('"', "'") + '"'


@lru_cache(maxsize=_REMEMBERED)
def bare(text: str) -> str:
    """Return the text as it is if it is one plain word, else quoted."""
    return text if _is_plain(text) else quoted(text)


def some(items: tuple[str, ...], show: Callable[[str], str]) -> str:
    """Name the first two items and count the others."""
    shown, rest = ", ".join(map(show, items[:_SHOWN])), len(items) - _SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def span(nanoseconds: int) -> str:
    """Return a duration as a person says it: ``350 ms``, ``2.5 s``, ``40 s``, ``12 min``, ``3 h 12 min``, ``4 d``."""
    seconds = nanoseconds / 1e9
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(nanoseconds / 60e9), 60)
    if not hours:
        return f"{minutes} min"
    days, hours = divmod(hours, 24)
    if not days:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{days} d {hours} h" if hours else f"{days} d"


def day(moment: datetime) -> str:
    """Return the date, as in ``2026-05-01``."""
    return moment.date().isoformat()


def is_past(moment: datetime, now: datetime) -> bool:
    """Whether a moment lies before another; one without a time zone is UTC."""
    return _aware(moment) < _aware(now)


def seconds_between(moment: datetime, later: datetime) -> float:
    """Return the seconds from a moment to a later one; one without a time zone is UTC."""
    return (_aware(later) - _aware(moment)).total_seconds()


def days_until(moment: datetime, now: datetime) -> int:
    """Count the whole days from now to a moment; negative once it is past."""
    return (_aware(moment) - _aware(now)).days


def tls_name(version: str) -> str:
    """Return ``TLS 1.3`` for ECS's ``1.3``."""
    return _OLD_VERSIONS.get(version) or "TLS " + clip(version, 8)


def name_of(name: NamePart) -> str | None:
    """Return what people call a certificate's subject or issuer."""
    for names in (name.common_name, name.organization):
        if names and names[0]:
            return names[0]
    return name.distinguished_name or None


def subject_of(certificate: X509Part) -> str | None:
    """Return what people call a certificate: its common name, else its first alternative name."""
    if not certificate.subject.common_name and certificate.alternative_names:
        return certificate.alternative_names[0]
    return name_of(certificate.subject)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
