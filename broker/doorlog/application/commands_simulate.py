"""``doorlog simulate``: a fleet of devices whose truth is known, in front of the real door."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from doorlog.application.commands import AsJson, ExitCode, examples, fail
from doorlog.errors import AddressError, DoorlogError

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

HELP: Final[dict[str, Any]] = {
    "short_help": "Simulate a fleet of devices and a certificate rotation that breaks some.",
    "epilog": examples(
        "doorlog simulate                                        a bit of everything, in doorlog-simulation",
        "doorlog simulate --scenario nat10mixed --folder nat     sites of 10 devices behind one address",
        "doorlog simulate --devices 50 --days 3 --json | jq .per_device.coverage",
    ),
}
"""How it is registered."""


def simulate(
    scenario: Annotated[str, typer.Option(metavar="NAME", help="Which fleet and network, see below.")] = "mixed",
    devices: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=5_000,
            metavar="N",
            help="About so many devices.  [default: as the scenario says]",
            show_default=False,
        ),
    ] = None,
    days: Annotated[
        float, typer.Option(min=0.5, max=90, metavar="N", help="Days before the rotation; one day follows it.")
    ] = 14.0,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same fleet doing the same.")] = 1,
    folder: Annotated[
        Path, typer.Option(metavar="FOLDER", help="A new or empty folder for the log and the truth.")
    ] = Path("doorlog-simulation"),
    until_now: Annotated[
        bool, typer.Option("--until-now", help="It ends now, instead of on a day that is the same for all.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Simulate a fleet of devices, and a certificate rotation that breaks some of them.

    They connect to a real door on this machine, from addresses of 127.0.0.0/8, with real TLS; only the time is
    simulated. Written are the log as a broker writes it, and truth.jsonl: for each connection_id which device it was,
    or none. Then it is told how well the log names the devices that failed before they could say who they are.

    Scenarios: static, dhcp, nat2, nat10 and nat100 (look-alikes behind one
    address, all of them broken), nat2one and nat10one (one of them broken),
    nat10mixed and nat10varied (10 devices as they are sold, or of 10 models),
    cgnat, mtls (certificates that we refuse), mtlspinned (devices that refuse
    us before they show theirs) and mixed: docs/simulate.md.

    Exit codes: 0 simulated, 3 the folder or the scenario can not be used, 4 an address can not be bound.
    """
    from doorlog.application.simulate_output import as_json as to_json
    from doorlog.application.simulate_output import print_played
    from doorlog.application.simulation import simulated
    from doorlog.simulation.plan import Plan
    from doorlog.simulation.play import Order
    from doorlog.simulation.scenarios import scenario as scenario_named

    try:
        chosen = scenario_named(scenario)
        plan = Plan(before=days)
        if until_now:
            plan = replace(plan, begin=datetime.now(UTC) - (plan.moment(plan.end) - plan.begin))
        order = Order(chosen, devices or chosen.devices, plan, seed)
        played = simulated(order, folder)
    except AddressError as error:
        fail(str(error), ExitCode.ADDRESS)
    except DoorlogError as error:
        fail(str(error), ExitCode.SETTINGS)
    if as_json:
        typer.echo(json.dumps(to_json(order, played, folder), indent=2))
    else:
        print_played(order, played, folder)
