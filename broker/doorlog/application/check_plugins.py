"""What looks wrong with the plugins of a configuration, and whether they leave a door open to everybody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from amqtt.plugins.authentication import AnonymousAuthPlugin
from amqtt.utils import import_string

from doorlog.application.check_listeners import Found
from doorlog.embedded import authority
from doorlog.errors import SettingsError
from doorlog.settings.models import BrokerSettings, ListenerSettings, PluginSettings, Settings

_NO_PLUGINS = {"auth": PluginSettings(), "acl": PluginSettings(), "broker": BrokerSettings()}


def check_plugins(settings: Settings) -> Iterator[Found]:
    """Load each plugin as a start does, one by one, so that each fault is found.

    Args:
        settings: The configuration.

    Returns:
        Severity, place and sentence of each finding.
    """
    found = [finding for alone in _one_by_one(settings) for finding in _check(alone)]
    yield from found or _check(settings)  # the latter: what is wrong with all of them together


def open_doors(settings: Settings) -> Iterator[Found]:
    """Look for ports that others can reach and that let everybody in: such a configuration is not served.

    Args:
        settings: The configuration.

    Returns:
        Severity, place and sentence of each finding.
    """
    gap = _gap(settings)
    if gap is None:
        return
    for name, listener in settings.listeners.items():
        if listener.tls is not None and listener.tls.client_certificate == "required":
            continue
        if not listener.is_loopback:
            yield "error", f"listeners.{name}", f"whoever reaches {listener.bind} comes in {gap}. {_remedy(listener)}"
        elif listener.proxy_protocol == "required":
            yield "warning", f"listeners.{name}", f"whoever the load balancer lets through comes in {gap}"


def _gap(settings: Settings) -> str | None:
    """Say what nobody is asked for."""
    for path, options in settings.auth.plugins.items():
        if not _is_anonymous(path):
            continue
        if options.get("allow_anonymous", True):
            return f"without credentials (auth.plugins.{path})"
        if len(settings.auth.plugins) == 1:  # it allows each user name, whatever the password is
            return f"with any user name and any password (auth.plugins.{path})"
    return None


def _is_anonymous(path: str) -> bool:
    with suppress(Exception):  # what can not be imported is a finding of check_plugins
        plugin = import_string(path)
        return isinstance(plugin, type) and issubclass(plugin, AnonymousAuthPlugin)
    return False


def _remedy(listener: ListenerSettings) -> str:
    certificate = "set client_certificate: required" if listener.tls else "add tls with client_certificate: required"
    return f"Name another plugin, such as amqtt_doorlog.PasswordFilePlugin, {certificate}, or bind to 127.0.0.1"


def _one_by_one(settings: Settings) -> Iterator[Settings]:
    for group in _NO_PLUGINS:
        plugins: PluginSettings = getattr(settings, group)
        for path, options in plugins.plugins.items():
            alone = {**_NO_PLUGINS, group: plugins.model_copy(update={"plugins": {path: options}})}
            yield settings.model_copy(update=alone)


def _check(settings: Settings) -> list[Found]:
    try:
        authority.check_plugins(settings)
    except SettingsError as error:
        parts = (line.partition(": ") for line in str(error).splitlines())
        return [("error", place, sentence) for place, _, sentence in parts]
    return []
