"""``doorlog alerts``: whether a message reaches its receiver, and what would be told."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import typer

from doorlog.application.commands import AsJson, Config, ExitCode, examples, fail
from doorlog.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from doorlog.settings.alert_models import AlertSettings

# As in cli: what a command needs is imported when it runs, and its flags are booleans.
# ruff: noqa: PLC0415, FBT002

app = typer.Typer(
    epilog=examples(
        "doorlog alerts test -c /etc/doorlog/doorlog.yaml   send a test message",
        "doorlog alerts list -c /etc/doorlog/doorlog.yaml   the rules with their limits",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
ALERTS: Final[dict[str, Any]] = {
    "name": "alerts",
    "short_help": "Try the webhook of alerts, and list the rules.",
    "help": "Try the webhook of alerts, and list the rules. Each takes -c FILE, a configuration with alerts.",
}
"""How it is registered."""


@app.command(
    "test",
    short_help="Send a test message.",
    epilog=examples("doorlog alerts test -c doorlog.yaml", "doorlog alerts test -c doorlog.yaml --json"),
)
def send_test(config: Config, as_json: AsJson = False) -> None:
    """Send a test message to the webhook of a configuration, and say what it answered; exit code 1 if not taken.

    One try, within alerts.webhook.timeout. Its address is never shown. With --json: taken, status, seconds, sentence.
    """
    from doorlog.watch.alert_message import TEST, body_of, message_of
    from doorlog.watch.alerts import Notice
    from doorlog.watch.webhook_post import post

    alerts, service = _alerts_of(config)
    answer = post(alerts.webhook, body_of(message_of(Notice("firing", TEST, time.time()), service)))
    if as_json:
        told = {"taken": answer.taken, "status": answer.status, "seconds": round(answer.seconds, 3)}
        typer.echo(json.dumps({**told, "sentence": answer.sentence}, indent=2))
    elif answer.taken:
        typer.echo(f"alerts.webhook: the message was taken: {answer.sentence}, after {answer.seconds:.2f} s")
    if not answer.taken:
        line = f"alerts.webhook: the message was not taken: {answer.sentence}, after {answer.seconds:.2f} s"
        fail(line, ExitCode.FAILED)


@app.command(
    "list",
    short_help="List the rules with their limits.",
    epilog=examples("doorlog alerts list -c doorlog.yaml", "doorlog alerts list -c doorlog.yaml --json"),
)
def list_rules(config: Config, as_json: AsJson = False) -> None:
    """List the rules of a configuration: whether each is on, its limit, and for how many seconds it must be so.

    With --json: a list of objects with rule, enabled, pending, limit and meaning.
    """
    from doorlog.settings.alert_models import DEFAULTS, AlertRulesSettings

    alerts, _service = _alerts_of(config)
    rows = [
        {
            "rule": name,
            **alerts.rules.rule(name)._asdict(),
            "meaning": (AlertRulesSettings.model_fields[name].description or "").replace("``", ""),
        }
        for name in DEFAULTS
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(_line(row))


def _line(row: dict[str, Any]) -> str:
    state = f"for {row['pending']:g} s" if row["enabled"] else "off"
    limit = f"limit {row['limit']:g}" if row["limit"] is not None else "no limit"
    return f"{row['rule']:<32}{state:<12}{limit:<12}{row['meaning']}"


def _alerts_of(config: Path) -> tuple[AlertSettings, str]:
    """Return the alerts of a configuration and the name of its broker, or end."""
    from doorlog.settings.load import load_settings

    try:
        settings = load_settings(config)
    except SettingsError as error:
        fail(str(error), ExitCode.SETTINGS)
    if settings.alerts is None:
        fail(f"{config}: alerts: is not set: name a webhook, see docs/alerts.md", ExitCode.SETTINGS)
    return settings.alerts, settings.service.name
