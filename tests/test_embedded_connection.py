"""Both doors hand over what the broker expects."""

from __future__ import annotations

from doorlog.door.connection import DoorConnection
from doorlog.embedded.connection import AdmittedConnection
from support import broker_door
from support.broker_memory import MemoryConnection, connected


def accepted(connection: AdmittedConnection) -> AdmittedConnection:
    return connection


def _the_type_checker_agrees(real: DoorConnection, tests_own: broker_door.DoorConnection) -> None:
    accepted(real)
    accepted(tests_own)


async def test_every_member_is_there() -> None:
    members = {name for name in vars(AdmittedConnection) if not name.startswith("_")}
    assert {"connect", "reader", "write", "drain", "close", "disconnect_seen", "principal"} < members
    assert not {name for name in members if not hasattr(DoorConnection, name)}
    assert not {name for name in members if not hasattr(accepted(connected()), name)}
    assert isinstance(accepted(connected()), MemoryConnection)
