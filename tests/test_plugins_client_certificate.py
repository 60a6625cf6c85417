"""The client certificate as a credential: real certificates, verified by real handshakes."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any

import pytest
import trustme
from amqtt.errors import PluginLoadError
from argon2 import PasswordHasher
from cryptography import x509
from cryptography.x509.oid import NameOID

from amqtt_doorlog import ClientCertificatePlugin
from doorlog.embedded.credentials import AuthVerdict, ask_plugins
from doorlog.events.codes import Code
from support import third_party
from support.amqtt_plugins import load_plugin, load_plugins, session
from support.client_certificates import handshake, issue, named, rewritten

PATH = "amqtt_doorlog.ClientCertificatePlugin"
LONG = 30.0


@cache
def pump_17() -> bytes:
    return issue(
        [(NameOID.COMMON_NAME, "pump-17"), (NameOID.ORGANIZATION_NAME, "Example, Pumps")],
        [
            x509.DNSName("pump-17.example"),
            x509.DNSName("pump-17.local"),
            x509.UniformResourceIdentifier("urn:example:pump:17"),
            x509.RFC822Name("pump-17@example.org"),
        ],
    )


def plugin(**config: Any) -> ClientCertificatePlugin:
    return load_plugin(ClientCertificatePlugin, PATH, **config)


async def ask(judge: ClientCertificatePlugin, certificate: bytes | None, **shown: Any) -> AuthVerdict:
    of = session(ssl_object=handshake(certificate), **shown)
    return await ask_plugins([judge], of, timeout=LONG)


# --- impostors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("must_match", "client_id", "username", "admitted"),
    [
        ("client_id", "pump-17", None, True),
        ("client_id", "pump-18", "pump-17", False),
        ("client_id", "PUMP-17", None, False),
        ("client_id", "pump-17 ", None, False),
        ("client_id", "", None, False),
        ("user_name", "x", "pump-17", True),
        ("user_name", "pump-17", "pump-18", False),
        ("user_name", "pump-17", None, False),
        ("either", "pump-17", "pump-18", True),
        ("either", "pump-18", "pump-17", True),
        ("either", "pump-18", None, False),
        ("none", "pump-18", "pump-18", True),
    ],
)
async def test_connect_must_repeat_the_name(
    must_match: str, client_id: str, username: str | None, admitted: bool
) -> None:
    verdict = await ask(plugin(must_match=must_match), pump_17(), client_id=client_id, username=username)

    assert verdict.admitted is admitted
    assert verdict.method == "certificate"
    assert verdict.code is (Code.ADMITTED if admitted else Code.NOT_AUTHORIZED)
    assert verdict.principal == ("pump-17" if admitted else None)
    if verdict.reason is not None:
        assert "refused the device: its certificate's subject_common_name is not" in verdict.reason
        assert "pump" not in verdict.reason


async def test_a_claimed_user_name_does_not_become_the_principal() -> None:
    verdict = await ask(plugin(), pump_17(), username="admin", password="guess")
    assert verdict.admitted
    assert verdict.principal == "pump-17"


@pytest.mark.parametrize("name", ["pump-17\nadmin", "pump-17\0.example", "\x1b[2Jpump-17", "pump\u202e71-"])
async def test_a_name_with_control_characters_counts_for_nothing(name: str) -> None:
    verdict = await ask(plugin(allowed=["*"]), named(name))
    assert verdict.code is Code.NOT_AUTHORIZED
    assert verdict.reason == "ClientCertificatePlugin refused the device: its certificate has no subject_common_name"


@pytest.mark.parametrize("identity", ["subject_common_name", "san_dns", "san_uri", "san_email"])
async def test_a_certificate_without_the_wanted_name_is_refused(identity: str) -> None:
    nameless = issue([(NameOID.ORGANIZATION_NAME, "pump-17")], [])
    verdict = await ask(plugin(identity=identity), nameless)
    assert verdict.code is Code.NOT_AUTHORIZED
    assert verdict.reason is not None
    assert identity in verdict.reason


async def test_a_certificate_without_any_name_is_refused() -> None:
    empty = issue([], [x509.DNSName("pump-17.example")])
    assert (await ask(plugin(identity="subject"), empty)).code is Code.NOT_AUTHORIZED
    assert (await ask(plugin(identity="san_dns"), empty)).principal == "pump-17.example"


async def test_a_sloppy_certificate_is_its_own_name_or_none() -> None:
    by_subject = plugin(identity="subject")
    long = issue([(NameOID.COMMON_NAME, "x" * 600), (NameOID.COUNTRY_NAME, "DEU")], [])
    assert (await ask(by_subject, long)).principal == "C=DEU,CN=" + "x" * 600
    assert (await ask(by_subject, named("pump-17\nadmin"))).code is Code.NOT_AUTHORIZED

    latin_1 = rewritten(named("pump-17"), b"\x0c\x07pump-17", b"\x14\x07pump\xff17")  # as a TeletexString
    assert (await ask(plugin(), latin_1)).principal == "pump\xff17"
    assert (await ask(by_subject, latin_1)).code is Code.NOT_AUTHORIZED


async def test_a_certificate_that_tls_did_not_ask_for_proves_nothing() -> None:
    unasked = session(ssl_object=handshake(pump_17(), ssl.CERT_NONE))
    assert await plugin().authenticate(session=unasked) is None


def test_a_certificate_of_another_authority_never_gets_here() -> None:
    stranger = issue([(NameOID.COMMON_NAME, "pump-17")], [], issuer=trustme.CA())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(stranger)


# --- who is left to other plugins --------------------------------------------------------------


async def test_without_tls_or_without_a_certificate_others_decide() -> None:
    judge = plugin(must_match="client_id", allowed=[])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    unfinished = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    for tls in (None, handshake(None), unfinished):
        assert await judge.authenticate(session=session("alice", "x", ssl_object=tls)) is None
        verdict = await ask_plugins([judge], session(ssl_object=tls), timeout=LONG)
        assert verdict.code is Code.NO_CREDENTIALS


async def test_what_an_earlier_connection_showed_is_forgotten() -> None:
    judge = plugin()
    shared = session(ssl_object=handshake(pump_17()))
    assert await judge.authenticate(session=shared) is True
    assert shared.attributes == {"doorlog.principal": "pump-17", "doorlog.auth.method": "certificate"}
    shared.ssl_object = None
    assert await judge.authenticate(session=shared) is None
    assert shared.attributes == {}


# --- who comes in ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "principal"),
    [
        ("subject_common_name", "pump-17"),
        ("san_dns", "pump-17.example"),
        ("san_uri", "urn:example:pump:17"),
        ("san_email", "pump-17@example.org"),
        ("subject", "O=Example\\, Pumps,CN=pump-17"),
    ],
)
async def test_the_name_becomes_the_principal(identity: str, principal: str) -> None:
    verdict = await ask(plugin(identity=identity), pump_17())
    assert (verdict.admitted, verdict.principal, verdict.method) == (True, principal, "certificate")


async def test_of_several_names_the_one_that_agrees_counts() -> None:
    by_id = plugin(identity="san_dns", must_match="client_id")
    assert (await ask(by_id, pump_17(), client_id="pump-17.local")).principal == "pump-17.local"
    only_local = plugin(identity="san_dns", allowed=["*.local"])
    assert (await ask(only_local, pump_17())).principal == "pump-17.local"
    both = plugin(identity="san_dns", must_match="client_id", allowed=["*.local"])
    assert not (await ask(both, pump_17(), client_id="pump-17.example")).admitted
    two = issue([(NameOID.COMMON_NAME, "first"), (NameOID.COMMON_NAME, "second")], [])
    assert (await ask(plugin(), two)).principal == "first"
    assert (await ask(plugin(must_match="client_id"), two, client_id="second")).principal == "second"


@pytest.mark.parametrize(
    ("allowed", "admitted"),
    [
        (None, True),
        ([], False),
        (["pump-17"], True),
        (["valve-*", "pump-*"], True),
        (["pump-1[0-5]"], False),
        (["Pump-*"], False),
        (["pump"], False),
        ([".*"], False),
    ],
)
async def test_only_allowed_names_come_in(allowed: list[str] | None, admitted: bool) -> None:
    config = {} if allowed is None else {"allowed": allowed}
    verdict = await ask(plugin(**config), pump_17())
    assert verdict.admitted is admitted
    if not admitted:
        assert verdict.reason is not None
        assert verdict.reason.endswith("its certificate's subject_common_name is not allowed")


@pytest.mark.parametrize("first", ["password", "certificate"])
async def test_a_verified_user_name_goes_before_the_certificate(first: str, tmp_path: Any) -> None:
    path = tmp_path / "users.txt"
    path.write_text(f"alice:{PasswordHasher(1, 8, 1).hash('x')}")
    path.chmod(0o600)
    plugins = {"amqtt_doorlog.PasswordFilePlugin": {"password_file": str(path)}, PATH: {}}
    if first == "certificate":
        plugins = dict(reversed(plugins.items()))
    manager = load_plugins(plugins)
    try:
        both = session("alice", "x", ssl_object=handshake(pump_17()))
        verdict = await ask_plugins(manager._auth_plugins, both, timeout=LONG)
        assert (verdict.admitted, verdict.principal, verdict.method) == (True, "alice", "password")

        wrong = session("alice", "guess", ssl_object=handshake(pump_17()))
        refused = await ask_plugins(manager._auth_plugins, wrong, timeout=LONG)
        assert (refused.code, refused.principal) == (Code.BAD_PASSWORD, None)

        alone = session(ssl_object=handshake(pump_17()))
        verdict = await ask_plugins(manager._auth_plugins, alone, timeout=LONG)
        assert (verdict.admitted, verdict.principal, verdict.method) == (True, "pump-17", "certificate")
    finally:
        await manager.close()


async def test_a_vouched_name_is_left_alone() -> None:
    of = session("alice", "x", ssl_object=handshake(pump_17()))
    of.attributes.update({"doorlog.principal": "alice", "doorlog.auth.method": "password"})
    before = dict(of.attributes)
    assert await plugin().authenticate(session=of) is True
    assert of.attributes == before


async def test_another_plugin_still_may_deny() -> None:
    of = session(ssl_object=handshake(pump_17()))
    verdict = await ask_plugins([plugin(), load_plugin(third_party.Denies)], of, timeout=LONG)
    assert verdict.code is Code.NOT_AUTHORIZED
    assert of.attributes["doorlog.principal"] is None


@pytest.mark.parametrize(
    "config", [{"identity": "serial"}, {"must_match": "nothing"}, {"allowed": "pump-*"}, {"alowed": []}]
)
async def test_amqtt_refuses_options_that_there_are_not(config: dict[str, Any]) -> None:
    with pytest.raises(PluginLoadError):
        plugin(**config)
