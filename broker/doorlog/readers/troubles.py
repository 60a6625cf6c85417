"""Is something wrong right now? One headline, made of what a summary counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from doorlog.events.codes import (
    LOOKS_LATE,
    lacks_good_certificate,
    leaves_at_our_certificate,
    refuses_our_certificate,
)
from doorlog.events.explanations import explanation
from doorlog.readers.summary import vouched, with_neighbours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorlog.readers.summary import Failing, Summary

_REFUSES_US: Final = "server_certificate_"
"""Stands for all ways to refuse our certificate."""
_NOW: Final = timedelta(hours=1)
"""Attempts of nobody knows whom are no news for longer: whoever made them may be in again, under its name."""


MOST_THERE: Final = 3
"""Devices that are named of those that were last at an address."""


class Named(NamedTuple):
    """A device that is named in a sentence."""

    device: str


if TYPE_CHECKING:
    Part = str | datetime | Named


class Headline(NamedTuple):
    """What there is to know first."""

    is_bad: bool
    parts: Sequence[Part]
    """One or two sentences; holds what a client chose: to be escaped wherever it is shown."""
    code: str | None
    """What most of them fail with."""
    means: str
    """What the code means; empty without one."""
    codes: Sequence[str] = ()
    """All codes that the sentence is about."""


class Remembered(NamedTuple):
    """What the directory of devices knows of those that failed."""

    admissions: Mapping[str, float]
    """When they were last admitted, seconds since 1970, UTC."""
    own_failures: Collection[str]
    """Those whose failures are their own, also where only a name says it."""
    last_there: Mapping[str, tuple[str, ...]]
    """Devices that were last admitted from the addresses of unknown ones, the latest first."""


def judged(summary: Summary, remembered: Remembered | None) -> tuple[Summary, Headline]:
    """Return a summary with what is remembered of its devices, and what there is to know first.

    Args:
        summary: Of a span that ends now.
        remembered: None where nothing is.
    """
    if remembered is None:
        return summary, headline_of(summary)
    known = with_neighbours(vouched(summary, remembered.own_failures), remembered.last_there)
    admitted = {name: datetime.fromtimestamp(moment, UTC) for name, moment in remembered.admissions.items()}
    return known, headline_of(known, admitted)


def headline_of(summary: Summary, admissions: Mapping[str, datetime] | None = None) -> Headline:
    """Tell whether devices fail that were admitted before.

    Args:
        summary: Of a span that ends now.
        admissions: When devices were last admitted, by id, as far as that is known from elsewhere; None: it is not.
    """
    failing = [
        one for one in summary.devices if one.device and not one.claimed and not _is_in(one, summary, admissions or {})
    ]
    broken = [one for one in failing if _admitted(one, admissions or {}) is not None]
    unknown = [
        one for one in summary.devices
        if not one.device and refuses_our_certificate(one.code) and summary.until - one.last <= _NOW
    ]  # fmt: skip
    if not broken and not unknown:
        return Headline(False, list(_well(summary, len(failing), admissions)), None, "")
    alike = _most(broken or unknown, may_be_late=bool(_changes(summary)))
    code = _first(alike)
    parts = list(_broken(broken, alike, summary, admissions or {})) if broken else []
    if unknown:
        parts += [" "] * bool(broken) + list(_unknown(unknown, summary))
    return Headline(True, parts, code, _meaning(code), sorted({one.code for one in alike if one.code}))


def _is_in(one: Failing, summary: Summary, admissions: Mapping[str, datetime]) -> bool:
    """Whether a device was admitted after its last failure in the span."""
    moment = _admitted(one, admissions)
    return moment is not None and one.last < moment <= summary.until


def _admitted(one: Failing, admissions: Mapping[str, datetime]) -> datetime | None:
    known = (one.admitted, admissions.get(one.device or ""))
    return max((moment for moment in known if moment is not None), default=None)


def _well(summary: Summary, failing: int, admissions: Mapping[str, datetime] | None) -> Iterator[Part]:
    if admissions is None:
        yield "No device fails that was admitted since "
        yield summary.since - (summary.until - summary.since)
    else:
        yield "No device fails that was admitted before"
    yield f"; {_counted(failing, 'other does', 'others do')}." if failing else "."


def _broken(
    broken: Sequence[Failing], alike: Sequence[Failing], summary: Summary, admissions: Mapping[str, datetime]
) -> Iterator[Part]:
    first = min(alike, key=lambda one: _began(one, admissions))
    if len(broken) == 1:
        yield Named(first.device or "")
        yield " was admitted before and does not come in any more"
    else:
        yield f"{len(broken):,} devices that were admitted before do not come in any more"
    if len(alike) < len(broken):
        yield f", {len(alike):,} of them"
    admitted = _admitted(first, admissions)
    has_failed_before = first.before > 0 and admitted is not None and admitted < summary.since
    yield " since before " if has_failed_before else " since "
    yield summary.since if has_failed_before else _began(first, admissions)
    yield f": {'it' if len(alike) == 1 else 'they'} {_do(alike)}"
    yield from _changed(alike, max(_began(one, admissions) for one in alike), summary)
    others = len(broken) - len(alike)
    if others:
        yield f" {_counted(others, 'other fails for another reason', 'others fail for other reasons')}."


def _unknown(unknown: Sequence[Failing], summary: Summary) -> Iterator[Part]:
    many = _counted(len(unknown), "address", "addresses")
    yield f"In the last hour attempts from {many} failed whose device is not known"
    if len(unknown) == 1 and unknown[0].last_there:
        yield from _last_there(unknown[0].last_there)
    yield f": they {_does(_first(unknown), is_one=False)}"
    yield from _changed(unknown, max(one.first for one in unknown), summary)


def _last_there(devices: Sequence[str]) -> Iterator[Part]:
    yield ", but "
    for number, device in enumerate(devices[:MOST_THERE]):
        yield ", " if number else ""
        yield Named(device)
    yield " and others" if len(devices) > MOST_THERE else ""
    yield f" {'was' if len(devices) == 1 else 'were'} last seen there"


def _changes(summary: Summary) -> list[datetime]:
    """Return when a listener began to serve another certificate than before."""
    return [new.first for old, new in pairwise(summary.certificates) if old.listener == new.listener]


def _changed(alike: Sequence[Failing], until: datetime, summary: Summary) -> Iterator[Part]:
    """Tell when the certificate changed that devices refuse."""
    changes = [moment for moment in _changes(summary) if moment <= until]
    if _kind(_first(alike), may_be_late=bool(changes)) == _REFUSES_US and changes:
        yield ", which changed at "
        yield max(changes)
    yield "."


def _does(code: str | None, *, is_one: bool) -> str:
    code = code or "no code"
    ending = "s" if is_one else ""
    if refuses_our_certificate(code):
        return f"refuse{ending} our certificate ({code})"
    if leaves_at_our_certificate(code):
        return f"leave{ending} at the sight of our certificate ({code})"
    if lacks_good_certificate(code):
        return f"show{ending} no certificate that we accept ({code})"
    return f"fail{ending} with {code}"


def _began(one: Failing, admissions: Mapping[str, datetime]) -> datetime:
    """Return when a device began to fail; where it also failed before it was last admitted, not before that."""
    return max(one.first, _admitted(one, admissions) or one.first)


def _most(failing: Sequence[Failing], *, may_be_late: bool) -> list[Failing]:
    """Return the devices that fail in the most frequent way; of several, the first one in the order of the alphabet."""
    kinds = Counter(_kind(one.code, may_be_late=may_be_late) for one in failing)
    most = min(kinds, key=lambda kind: (-kinds[kind], kind))
    return [one for one in failing if _kind(one.code, may_be_late=may_be_late) == most]


def _kind(code: str | None, *, may_be_late: bool) -> str:
    """Return the code; one name for all ways to refuse our certificate, with or without a word, at once or late."""
    is_late = may_be_late and code in LOOKS_LATE
    is_about_us = refuses_our_certificate(code) or leaves_at_our_certificate(code) or is_late
    return _REFUSES_US if is_about_us else code or ""


def _first(failing: Sequence[Failing]) -> str | None:
    codes = Counter(one.code for one in failing)
    return min(codes, key=lambda code: (-codes[code], code or ""))


def _do(alike: Sequence[Failing]) -> str:
    codes = {one.code for one in alike}
    if len(codes) == 1:
        return _does(_first(alike), is_one=len(alike) == 1)
    return "refuse our certificate, or leave at the sight of it"


def _meaning(code: str | None) -> str:
    try:
        return explanation(code or "").means
    except KeyError:  # of another version, or changed
        return ""


def _counted(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"
