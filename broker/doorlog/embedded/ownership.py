"""A client id belongs to the user that holds it: nobody else can take over, wipe or inherit its session."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(slots=True)
class _Hold:
    principal: str | None
    count: int


class ClientIdOwnership:
    """Who holds which client id; an id is free again when everything that held it has let go.

    Claims are plain calls without an await: of two logins at the same moment one claims first, and the other
    sees it. One principal may claim an id many times (a take-over, a stored session) and releases each claim.

    Args:
        limit: Ids held at a time.
        limit_per_principal: Ids that one principal may hold, so that no user can use up the others' share.
    """

    __slots__ = ("_by_principal", "_holds", "_limit", "_limit_per_principal")

    def __init__(self, limit: int = 100_000, limit_per_principal: int = 50_000) -> None:
        self._limit = limit
        self._limit_per_principal = limit_per_principal
        self._holds: dict[str, _Hold] = {}
        self._by_principal: Counter[str | None] = Counter()

    def __len__(self) -> int:
        """How many ids are held."""
        return len(self._holds)

    def claim(self, client_id: str, principal: str | None) -> bool:
        """Hold a client id for a principal, once more if it holds it already.

        Args:
            client_id: Not empty.
            principal: Who was authenticated; None, nobody in particular, is a principal like any other.

        Returns:
            Whether it is held now. False: another principal holds it, or too many are held.
        """
        hold = self._holds.get(client_id)
        if hold is not None:
            if hold.principal != principal:
                return False
            hold.count += 1
            return True
        if len(self._holds) >= self._limit or self._by_principal[principal] >= self._limit_per_principal:
            return False
        self._holds[client_id] = _Hold(principal, 1)
        self._by_principal[principal] += 1
        return True

    def release(self, client_id: str, principal: str | None) -> None:
        """Undo one claim of this principal; without effect if it has none."""
        hold = self._holds.get(client_id)
        if hold is None or hold.principal != principal:
            return
        hold.count -= 1
        if hold.count == 0:
            del self._holds[client_id]
            self._by_principal[principal] -= 1
            if self._by_principal[principal] == 0:
                del self._by_principal[principal]

    def holds(self, client_id: str, principal: str | None) -> bool:
        """Whether this principal holds the client id."""
        hold = self._holds.get(client_id)
        return hold is not None and hold.principal == principal
