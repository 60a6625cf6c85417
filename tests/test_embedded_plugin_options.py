"""Every fault of a plugin is named by its place in the configuration, with what would be right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from amqtt.errors import PluginImportError, PluginInitError, PluginLoadError
from amqtt.plugins.authentication import FileAuthPlugin
from amqtt.plugins.base import BaseAuthPlugin

from amqtt_doorlog import ClientCertificatePlugin, PasswordFilePlugin
from doorlog.embedded.plugin_options import configured_plugins, load_fault
from doorlog.errors import SettingsError
from doorlog.settings.models import Settings
from support.broker import FREE

PASSWORDS = "amqtt_doorlog.PasswordFilePlugin"
CERTIFICATES = "amqtt_doorlog.ClientCertificatePlugin"
ACL = "amqtt_doorlog.TopicAclPlugin"
HERE = "test_embedded_plugin_options"


class NoDataclass(BaseAuthPlugin):
    """Its Config can not be built."""

    class Config: ...  # that is the mistake


class Checks(BaseAuthPlugin):
    """Its Config looks at its options itself."""

    @dataclass
    class Config:
        """As strangers write it."""

        url: str = ""
        count: int | None = None

        def __post_init__(self) -> None:
            if not self.url:
                raise FileNotFoundError("no url")


class Outdated(BaseAuthPlugin):
    """Its Config names a type that is not there any more."""

    @dataclass
    class Config:
        """As strangers leave it behind."""

        backend: Nothing  # type: ignore[name-defined] # noqa: F821 - that is the mistake


def settings(auth: dict[str, Any], **groups: dict[str, Any]) -> Settings:
    plugins = {name: {"plugins": group} for name, group in {"auth": auth, **groups}.items()}
    return Settings.model_validate({"listeners": {"plain": {"bind": FREE}}, **plugins})


def fault(auth: dict[str, Any], **groups: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        configured_plugins(settings(auth, **groups))
    return str(caught.value)


@pytest.mark.parametrize(
    ("auth", "sentence"),
    [
        (
            {"nothing.LikeThis": {}},
            (
                "auth.plugins.nothing.LikeThis: can not be imported: ModuleNotFoundError: No module named 'nothing'; "
                "is its package installed here?"
            ),
        ),
        (
            {"amqtt_doorlog.Nope": {}},
            (
                "auth.plugins.amqtt_doorlog.Nope: can not be imported: ImportError: "
                'Module "amqtt_doorlog" does not define a "Nope" attribute/class; is its package installed here?'
            ),
        ),
        (
            {"noDots": {}},
            (
                "auth.plugins.noDots: can not be imported: ImportError: noDots doesn't look like a module path; "
                "is its package installed here?"
            ),
        ),
        ({ACL: {}}, f"auth.plugins.{ACL}: is no amqtt plugin of this kind (BaseAuthPlugin)"),
        (
            {"doorlog.text.safe_text": {}},
            "auth.plugins.doorlog.text.safe_text: is no amqtt plugin of this kind (BaseAuthPlugin)",
        ),
        (
            {f"{HERE}.NoDataclass": {}},
            f"auth.plugins.{HERE}.NoDataclass: amqtt can not load it: its Config is no dataclass",
        ),
        ({f"{HERE}.Checks": {}}, f"auth.plugins.{HERE}.Checks: FileNotFoundError: no url"),
        (
            {PASSWORDS: {"password_fil": "users.txt"}},
            f'auth.plugins.{PASSWORDS}.password_fil: unknown option; did you mean "password_file"?',
        ),
        (
            {CERTIFICATES: {"x": 1}},
            f"auth.plugins.{CERTIFICATES}.x: unknown option; known here: allowed, identity, must_match",
        ),
        (
            {"support.third_party.Allows": {"x": 1}},
            "auth.plugins.support.third_party.Allows.x: unknown option; known here: none",
        ),
        ({PASSWORDS: {}}, f"auth.plugins.{PASSWORDS}.password_file: is missing"),
        (
            {PASSWORDS: {"password_file": "users.txt", "workers": "two"}},
            f"auth.plugins.{PASSWORDS}.workers: expected int, got str",
        ),
        (
            {PASSWORDS: {"password_file": 17}},
            f"auth.plugins.{PASSWORDS}.password_file: expected str | pathlib.Path, got int",
        ),
        (
            {CERTIFICATES: {"allowed": "*"}},
            f"auth.plugins.{CERTIFICATES}.allowed: expected list[str] | None, got str",
        ),
    ],
)
def test_a_fault_is_named_by_its_place(auth: dict[str, Any], sentence: str) -> None:
    assert fault(auth) == sentence


def test_a_fault_further_down_is_named_by_its_place() -> None:
    here: dict[str, Any] = {"support.third_party.Allows": {}}

    assert fault(here, acl={ACL: {"rules": {"anna": {"publish": "#"}}}}).startswith(f"acl.plugins.{ACL}.rules")
    assert fault(here, acl={ACL: {"rules": {"anna": {"publsh": ["#"]}}}}) == (
        f"acl.plugins.{ACL}: unknown option further down: publsh"
    )
    assert fault({f"{HERE}.Outdated": {"backend": {}}}).startswith(f"auth.plugins.{HERE}.Outdated: can not resolve")


def test_a_value_that_may_be_a_secret_is_not_shown() -> None:
    assert "hunter2" not in fault({PASSWORDS: {"password_file": "users.txt", "workers": "hunter2"}})
    assert "hunter2" not in fault({f"{HERE}.Checks": {"url": "x", "count": "hunter2"}})


def test_a_plugin_stands_once() -> None:
    options = {"password_file": "users.txt"}

    assert fault({PASSWORDS: options}, broker={PASSWORDS: options}) == (
        f"broker.plugins.{PASSWORDS}: stands at auth.plugins.{PASSWORDS}, too; keep one"
    )


def test_all_of_them_in_order() -> None:
    plugins = configured_plugins(
        settings({CERTIFICATES: {}, PASSWORDS: {"password_file": "users.txt"}}, acl={ACL: {"rules": {}}})
    )

    assert [plugin.place for plugin in plugins] == [
        f"auth.plugins.{CERTIFICATES}",
        f"auth.plugins.{PASSWORDS}",
        f"acl.plugins.{ACL}",
    ]
    assert [plugin.path for plugin in plugins] == [CERTIFICATES, PASSWORDS, ACL]
    assert plugins[1].kind is PasswordFilePlugin
    assert plugins[1].options == {"password_file": "users.txt"}


# What amqtt itself stumbles over.


def failing(error: Exception, cause: Exception | None, path: Path = Path("users.txt")) -> str:
    auth = {CERTIFICATES: {}, PASSWORDS: {"password_file": str(path)}}
    error.__cause__ = cause
    return str(load_fault(error, configured_plugins(settings(auth))))


def test_a_plugin_that_explains_itself() -> None:
    said = failing(PluginInitError(PasswordFilePlugin), SettingsError("line 1: wrong\nline 2: wrong, too"))

    assert said == f"auth.plugins.{PASSWORDS}: line 1: wrong\nauth.plugins.{PASSWORDS}: line 2: wrong, too"


def test_a_plugin_that_raises_anything_else() -> None:
    said = failing(PluginInitError(ClientCertificatePlugin), ValueError("no\n  database"))
    silent = failing(PluginInitError(ClientCertificatePlugin), ValueError())

    assert said == f"auth.plugins.{CERTIFICATES}: can not be loaded: ValueError: no database"
    assert silent == f"auth.plugins.{CERTIFICATES}: can not be loaded: ValueError"


def test_what_amqtt_itself_refuses() -> None:
    named = failing(PluginLoadError(f"Auth plugin {PASSWORDS} has non-async authenticate method."), None)
    nameless = failing(PluginImportError("'on_x' is not a coroutine"), None)
    foreign = failing(PluginInitError(FileAuthPlugin), ValueError("?"))

    assert named.startswith(f"auth.plugins.{PASSWORDS}: can not be loaded: PluginLoadError: Auth plugin ")
    assert nameless == "plugins: can not be loaded: PluginImportError: 'on_x' is not a coroutine"
    assert foreign == "plugins: can not be loaded: ValueError: ?"
