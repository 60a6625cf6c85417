"""amqtt plugins, built by amqtt's own plugin manager, and the sessions that it would show them."""

from __future__ import annotations

from typing import Any, TypeVar

from amqtt.contexts import BaseContext
from amqtt.plugins.base import BasePlugin
from amqtt.plugins.manager import PluginManager
from amqtt.session import Session

P = TypeVar("P", bound=BasePlugin[Any])


def load_plugins(plugins: dict[str, dict[str, Any]]) -> PluginManager[BaseContext]:
    """Load as a broker does from the ``plugins`` of its YAML; needs a running loop."""
    context = BaseContext()
    context.config = {"plugins": plugins}
    return PluginManager("doorlog.test", context)


def load_plugin(plugin: type[P], path: str | None = None, **config: Any) -> P:
    """Load one plugin, by the dotted path of its class or another one."""
    manager = load_plugins({path or f"{plugin.__module__}.{plugin.__qualname__}": config})
    (loaded,) = manager.plugins
    assert isinstance(loaded, plugin)
    return loaded


def session(
    username: str | None = None,
    password: str | None = None,
    *,
    client_id: str = "device-17",
    ssl_object: Any = None,
) -> Session:
    """What a plugin sees of a CONNECT."""
    shown = Session()
    shown.username = username
    shown.password = password
    shown.client_id = client_id
    shown.ssl_object = ssl_object
    return shown
