"""``python -m bench``: prints what doorlog costs against stock amqtt and mosquitto, with the targets that it has."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import costs, latency, machine, memory, promise
from bench.options import FULL, QUICK, SMOKE
from bench.results import Results
from bench.servers import ROOT, Setup, make_certificates

SCENARIOS = {
    "1": "a client refuses our certificate (unknown_ca)",
    "2": "TLS connect and disconnect",
    "3": "plain connect and disconnect",
    "4": "a wrong password",
    "5": "memory of idle clients",
    "6": "memory of silent, unauthenticated connections",
    "7": "PINGRESP of an admitted client under failing handshakes",
    "8": "accepted sockets = connect records under a hostile load",
    "9": "PINGRESP of an admitted client under wrong passwords with Argon2",
}


def main() -> None:
    arguments = _parse()
    size, options = ("smoke", SMOKE) if arguments.smoke else ("quick", QUICK) if arguments.quick else ("full", FULL)
    results = Results({**machine.describe(), "Run": size})
    wanted = arguments.scenario or list(SCENARIOS)
    with tempfile.TemporaryDirectory(prefix="doorlog-bench-") as folder:
        setup = Setup(Path(folder), make_certificates(Path(folder)), limits=costs.LIMITS)
        for part in (costs, memory, latency, promise):
            part.run(setup, options, results, wanted, _say)
    results.checks.sort(key=lambda check: check.scenario)
    results.measurements.sort(key=lambda measurement: measurement.scenario)
    print(json.dumps(results.as_json(), indent=2) if arguments.json else results.as_markdown())
    if arguments.write:
        (ROOT / "docs" / "benchmarks.md").write_text(results.as_markdown())


def _parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    scenarios = "\n".join(f"  {number}  {what}" for number, what in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=f"scenarios:\n{scenarios}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help="all of them by default")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    size.add_argument("--smoke", action="store_true", help="next to nothing, to see that everything still runs")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--write", action="store_true", help="also write docs/benchmarks.md")
    return parser.parse_args(argv)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
