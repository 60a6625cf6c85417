"""Why we think that it was this device, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from doorlog.events.codes import NEVER_ADMITTED, NEVER_HERE
from doorlog.identity.likelihood import accepted

if TYPE_CHECKING:
    from doorlog.identity.evidence import Evidence
    from doorlog.identity.resolve import Connected, Resolution
    from doorlog.identity.view import Known

_UNITS: Final = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"))


def reasons(evidence: Evidence, resolution: Resolution, connected: Connected) -> tuple[str, ...]:
    """Say what speaks for the first candidate, and what keeps it from being named; nothing if there is none.

    Returns:
        Short sentences without a period, none of which holds text that a peer has chosen.
    """
    if not resolution.candidates:
        return ()
    first = resolution.candidates[0].known
    return tuple(
        filter(
            None,
            (
                _place(evidence, first),
                _look(evidence, first),
                _presence(first, connected),
                _acceptance(evidence, resolution),
                _doubt(resolution),
            ),
        )
    )


def claim_reason(evidence: Evidence, known: Known | None) -> tuple[str, bool]:
    """Say what is known of a device whose name a refused CONNECT wrote.

    Returns:
        One short sentence, and whether it speaks for the device: anybody can write its name, few from where it is.
    """
    if known is None:
        return NEVER_ADMITTED, False
    if known.count_here:
        return _place(evidence, known), True
    if _is_near(evidence, known) and evidence.look is not None and known.look == evidence.look:
        return f"{_place(evidence, known)}, with the same ClientHello", True
    return NEVER_HERE, False


def _place(evidence: Evidence, known: Known) -> str:
    if known.last_here is not None and known.first_here is not None:
        times = _times(known.count_here, known.last_here - known.first_here)
        seen = max(known.last_here, known.last_seen) if known.address == evidence.place.address else known.last_here
        return f"admitted from this address {times}, last there {span(evidence.moment - seen)} ago"
    if not known.connects:
        return "never admitted; this address is the one that was imported for it"
    if known.address == evidence.place.address:
        return "this address is the one that was imported for it"
    if known.follows:
        return f"last seen {span(evidence.moment - known.last_seen)} ago at an address from which others have come here"
    where = "this network" if _is_near(evidence, known) else "another network"
    of = f" of {where}" if evidence.place.network else ""
    return f"last seen {span(evidence.moment - known.last_seen)} ago at another address{of}"


def _is_near(evidence: Evidence, known: Known) -> bool:
    """Whether it is the same network; pseudonyms of addresses have none."""
    return bool(known.network) and known.network == evidence.place.network


def _times(count: int, seconds: float) -> str:
    if count == 1:
        return "once"
    return f"{count} times in {span(seconds)}" if seconds >= _UNITS[-1][0] else f"{count} times"


def _look(evidence: Evidence, known: Known) -> str:
    if evidence.look is None:
        return "no ClientHello came"
    if not known.connects:
        return ""
    if evidence.look == known.look:
        return "its ClientHello looks as it did then"
    if evidence.look == known.former_look:
        return "its ClientHello looks as it did before the last change"
    return "its ClientHello never looked like this"


def _presence(known: Known, connected: Connected) -> str:
    return "it has a session right now" if known.id in connected else "it has no session right now"


def _acceptance(evidence: Evidence, resolution: Resolution) -> str:
    if evidence.acceptance >= 1.0 or evidence.served is None:
        return ""
    devices = [candidate.known for candidate in resolution.candidates]
    if accepted(evidence, devices[0]):
        return "it has accepted this certificate before"
    others = sum(accepted(evidence, known) for known in devices[1:])
    return (
        f"{others} other {'candidates have' if others > 1 else 'candidate has'} accepted this certificate"
        if others
        else ""
    )


def _doubt(resolution: Resolution) -> str:
    alike = resolution.look_alikes
    if resolution.crowd:
        return f"{resolution.crowd + len(resolution.candidates)} devices come into question"
    if alike:
        return f"{alike} other {'devices look' if alike > 1 else 'device looks'} just like it here"
    return ""


def span(seconds: float) -> str:
    """Say a time span in its largest unit: ``3 hours``; ``moments`` for less than a minute."""
    for size, unit in _UNITS:
        if seconds >= size:
            count = int(seconds / size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "moments"
