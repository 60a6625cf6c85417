"""What ``doorlog check`` says about plugins: each fault by its place, and no door open to everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from doorlog.application.check_plugins import check_plugins, open_doors
from doorlog.passwords import set_password
from doorlog.settings.models import Settings
from support.broker import tls
from support.pki import Pki

ANONYMOUS = "amqtt.plugins.authentication.AnonymousAuthPlugin"
FILE_AUTH = "amqtt.plugins.authentication.FileAuthPlugin"
PASSWORDS = "amqtt_doorlog.PasswordFilePlugin"
CERTIFICATES = "amqtt_doorlog.ClientCertificatePlugin"
ACL = "amqtt_doorlog.TopicAclPlugin"
HERE = {"plain": {"bind": "127.0.0.1:1883"}}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def users(tmp_path: Path) -> str:
    path = tmp_path / "users.txt"
    set_password(path, "pump-17", "secret")
    return str(path)


def settings(auth: dict[str, Any], listeners: dict[str, Any] | None = None, **groups: Any) -> Settings:
    plugins = {name: {"plugins": group} for name, group in {"auth": auth, **groups}.items()}
    return Settings.model_validate({"listeners": listeners or HERE, **plugins})


# open doors


@pytest.mark.parametrize(
    "bind", ["0.0.0.0:1883", ":1883", "[::]:1883", "192.168.1.9:1883", "[fe80::1]:1883", "broker.example.com:1883"]
)
@pytest.mark.parametrize("options", [{}, {"allow_anonymous": True}])
def test_nobody_gets_in_from_elsewhere_without_credentials(bind: str, options: dict[str, Any]) -> None:
    ((severity, place, sentence),) = open_doors(settings({ANONYMOUS: options}, {"plain": {"bind": bind}}))

    assert (severity, place) == ("error", "listeners.plain")
    assert sentence == (
        f"whoever reaches {bind} comes in without credentials (auth.plugins.{ANONYMOUS}). Name another plugin, "
        "such as amqtt_doorlog.PasswordFilePlugin, add tls with client_certificate: required, or bind to 127.0.0.1"
    )


def test_a_password_plugin_beside_it_does_not_close_the_door(users: str) -> None:
    auth = {PASSWORDS: {"password_file": users}, ANONYMOUS: {}}

    assert [severity for severity, _, _ in open_doors(settings(auth, {"plain": {"bind": ":1883"}}))] == ["error"]


def test_a_name_without_a_password_is_no_credential() -> None:
    ((severity, _, sentence),) = open_doors(
        settings({ANONYMOUS: {"allow_anonymous": False}}, {"plain": {"bind": ":1883"}})
    )

    assert severity == "error"
    assert "with any user name and any password" in sentence


def test_a_name_that_another_plugin_checks_is_one(users: str) -> None:
    auth = {PASSWORDS: {"password_file": users}, ANONYMOUS: {"allow_anonymous": False}}

    assert list(open_doors(settings(auth, {"plain": {"bind": ":1883"}}))) == []


def test_a_required_client_certificate_is_a_credential_on_its_own_listener_only(pki: Pki) -> None:
    ca = str(pki.cafile)
    doors = {
        "mutual": {"bind": ":8884", "tls": tls(pki.server(), cafile=ca, client_certificate="required")},
        "asked": {"bind": ":8883", "tls": tls(pki.server(), cafile=ca, client_certificate="optional")},
        "tls": {"bind": ":8885", "tls": tls(pki.server())},
        "local": {"bind": "127.0.0.1:1883"},
    }

    found = list(open_doors(settings({ANONYMOUS: {}}, doors)))

    assert [(severity, place) for severity, place, _ in found] == [
        ("error", "listeners.asked"),
        ("error", "listeners.tls"),
    ]
    assert all("set client_certificate: required" in sentence for _, _, sentence in found)


def test_a_load_balancer_on_this_machine_lets_others_in() -> None:
    lb = {"bind": "127.0.0.1:1883", "proxy_protocol": "required", "proxy_networks": ["127.0.0.0/8"]}

    ((severity, place, sentence),) = open_doors(settings({ANONYMOUS: {}}, {"lb": lb}))

    assert (severity, place) == ("warning", "listeners.lb")
    assert "whoever the load balancer lets through comes in without credentials" in sentence


def test_on_this_machine_everybody_may_try(users: str) -> None:
    assert list(open_doors(settings({ANONYMOUS: {}}))) == []
    assert list(open_doors(settings({PASSWORDS: {"password_file": users}}, {"plain": {"bind": ":1883"}}))) == []
    assert list(open_doors(settings({"nothing.LikeThis": {}}, {"plain": {"bind": ":1883"}}))) == []


# plugins that can not be loaded


def test_good_plugins_are_not_complained_about(users: str) -> None:
    auth = {PASSWORDS: {"password_file": users}, CERTIFICATES: {"must_match": "client_id"}}
    acl = {ACL: {"rules": {"*": {"publish": ["lp/%u/#"]}}}}

    assert list(check_plugins(settings(auth, acl=acl))) == []


def test_each_fault_is_told_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("pump-17:secret\n", encoding="utf-8")
    missing = str(tmp_path / "missing.txt")
    auth = {
        "nothing.LikeThis": {},
        "noDots": {},
        "amqtt_doorlog.Nope": {},
        "doorlog.settings.models.Settings": {},
        FILE_AUTH: {"password_fil": "x"},
        PASSWORDS: {"password_file": str(tmp_path / "users.txt")},
        CERTIFICATES: {"must_match": "shoe_size"},
    }

    found = list(check_plugins(settings(auth, acl={ACL: {"rules": {"a": {"publish": ["a/#/b"]}}}, PASSWORDS: {}})))

    assert {severity for severity, _, _ in found} == {"error"}
    sentences = {place: sentence for _, place, sentence in found}
    assert list(sentences) == [
        "auth.plugins.nothing.LikeThis",
        "auth.plugins.noDots",
        "auth.plugins.amqtt_doorlog.Nope",
        "auth.plugins.doorlog.settings.models.Settings",
        f"auth.plugins.{FILE_AUTH}.password_fil",
        f"auth.plugins.{PASSWORDS}",
        f"auth.plugins.{CERTIFICATES}.must_match",
        f"acl.plugins.{ACL}",
        f"acl.plugins.{PASSWORDS}",
    ]
    assert sentences[f"auth.plugins.{FILE_AUTH}.password_fil"] == 'unknown option; did you mean "password_file"?'
    assert "users.txt, line 1" in sentences[f"auth.plugins.{PASSWORDS}"]
    assert "secret" not in str(found)
    assert missing not in str(found)


def test_a_password_file_that_is_missing(tmp_path: Path) -> None:
    missing = str(tmp_path / "users.txt")

    for plugin in (PASSWORDS, FILE_AUTH):
        ((severity, place, sentence),) = check_plugins(settings({plugin: {"password_file": missing}}))
        assert (severity, place) == ("error", f"auth.plugins.{plugin}")
        assert missing in sentence


def test_a_plugin_that_stands_in_two_groups(users: str) -> None:
    options = {"password_file": users}

    ((severity, place, sentence),) = check_plugins(settings({PASSWORDS: options}, broker={PASSWORDS: options}))

    assert (severity, place) == ("error", f"broker.plugins.{PASSWORDS}")
    assert "keep one" in sentence


async def test_a_running_event_loop_is_left_alone(users: str) -> None:
    assert list(check_plugins(settings({PASSWORDS: {"password_file": users}}))) == []
