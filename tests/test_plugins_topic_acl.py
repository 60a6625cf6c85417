"""The topic rules: nothing that a device calls itself or asks for gets it more than the rule says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from amqtt.contexts import Action
from amqtt.errors import PluginInitError, PluginLoadError
from amqtt.plugins.topic_checking import TopicAccessControlListPlugin
from amqtt.session import Session
from hypothesis import example, given
from hypothesis import strategies as st

from amqtt_doorlog import TopicAclPlugin
from doorlog.errors import SettingsError
from support.amqtt_plugins import load_plugin, session

PATH = "amqtt_doorlog.TopicAclPlugin"
RULES: dict[str, dict[str, list[str]]] = {
    "backend": {"publish": ["lp/+/commands"], "subscribe": ["#", "$SYS/#"], "receive": ["lp/#"]},
    "alice": {"publish": ["lp/alice"], "subscribe": ["lp/+"]},
    "anonymous": {"publish": ["hello/%c"]},
    "*": {"publish": ["lp/%u/state", "%u/#", "%c/x", "id-%u-%c/x"], "subscribe": ["lp/%u/#", "dev/%c"]},
}


def plugin(rules: Any = None) -> TopicAclPlugin:
    return load_plugin(TopicAclPlugin, PATH, rules=RULES if rules is None else rules)


def user(name: str | None, client_id: str = "device-17") -> Session:
    """Behind the door: the plugins have vouched for this name, or for nobody."""
    shown = session(name, "x", client_id=client_id)
    shown.attributes["doorlog.principal"] = name
    return shown


async def may(acl: TopicAclPlugin, who: Session, action: Action, topic: str) -> bool:
    answer = await acl.topic_filtering(session=who, topic=topic, action=action)
    assert isinstance(answer, bool)
    return answer


# --- attacks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["+", "#", "a/b", "/", "", "+/+", "%c", "%u", "*", "anonymous", "$SYS", "a\0", "\ud800"]
)
@pytest.mark.parametrize("as_client_id", [False, True])
async def test_no_name_widens_a_rule(name: str, as_client_id: bool) -> None:
    acl = plugin()
    attacker = user("mallory", client_id=name) if as_client_id else user(name, client_id="device-17")
    others = ["lp/alice/state", "lp/state", "alice/x", "dev/device-18", "hello/device-18", "$SYS/broker", "a/b", "x"]
    for topic in others:
        assert not await may(acl, attacker, Action.PUBLISH, topic), topic
        assert not await may(acl, attacker, Action.RECEIVE, topic), topic
        assert not await may(acl, attacker, Action.SUBSCRIBE, topic), topic
    for wide in ["#", "+", "lp/#", "lp/+", "lp/+/#", "lp/+/state", "+/#", "dev/+", "dev/#", "$SYS/#"]:
        assert not await may(acl, attacker, Action.SUBSCRIBE, wide), wide


@given(
    name=st.text(alphabet="ab+#/$%uc*", max_size=4),
    client_id=st.text(alphabet="ab+#/$%uc*", max_size=4),
    topic=st.text(alphabet="abp/+#$", min_size=1, max_size=6),
)
@example(name="$", client_id="", topic="$/a")
@example(name="+", client_id="+", topic="+/a")
@example(name="a/b", client_id="#", topic="a/b/a")
@example(name="%c", client_id="a", topic="a/a")
def test_a_name_reaches_its_own_level_and_no_other(name: str, client_id: str, topic: str) -> None:
    async def question() -> list[bool]:
        acl = plugin({"*": {"publish": ["%u/#", "p%c/+"], "subscribe": ["%u/#", "p%c/+"]}})
        return [await may(acl, user(name, client_id), action, topic) for action in Action]

    if any(asyncio.run(question())):
        assert topic.split("/", maxsplit=1)[0] in {name, f"p{client_id}"}
        assert not topic.startswith("$")


async def test_a_name_that_nobody_has_verified_has_no_rules_of_its_own() -> None:
    acl = plugin()
    claims = session("alice", "x", client_id="device-17")
    claims.attributes["doorlog.principal"] = None  # the door asked, and nobody vouched
    assert not await may(acl, claims, Action.PUBLISH, "lp/alice")
    assert not await may(acl, claims, Action.SUBSCRIBE, "lp/alice/x")
    assert await may(acl, claims, Action.PUBLISH, "hello/device-17")

    stock = session("alice", "x")
    assert await may(acl, stock, Action.PUBLISH, "lp/alice")  # amqtt's own plugins have verified it
    stock.is_anonymous = True  # AnonymousAuthPlugin has not
    assert not await may(acl, stock, Action.PUBLISH, "lp/alice")

    certificate = user("pump-17")
    certificate.username = "alice"  # claimed next to a certificate of pump-17
    assert not await may(acl, certificate, Action.PUBLISH, "lp/alice")
    assert await may(acl, certificate, Action.PUBLISH, "lp/pump-17/state")


@pytest.mark.parametrize("principal", [7, b"alice", ["alice"]])
async def test_a_senseless_principal_is_anonymous(principal: object) -> None:
    who = user("alice")
    who.attributes["doorlog.principal"] = principal
    assert not await may(plugin(), who, Action.PUBLISH, "lp/alice")
    assert await may(plugin(), who, Action.PUBLISH, "hello/device-17")


async def test_a_subscription_passes_only_if_all_of_it_is_allowed() -> None:
    acl, alice = plugin(), user("alice")
    assert await may(acl, alice, Action.SUBSCRIBE, "lp/+")
    assert await may(acl, alice, Action.SUBSCRIBE, "lp/7")
    for wider in ("lp/#", "#", "lp/+/+", "+/x", "lp", "+/+"):
        assert not await may(acl, alice, Action.SUBSCRIBE, wider)
    assert TopicAccessControlListPlugin.topic_ac("lp/#", "lp/+")  # what made this plugin necessary


@pytest.mark.parametrize("topic", ["lp/#", "lp/+", "#", "+", "lp/a\0", "lp/\ud800", "", "lp/" + "a" * 65_535])
async def test_what_is_no_topic_name_is_published_and_received_by_nobody(topic: str) -> None:
    acl, everything = plugin({"*": {"publish": ["#"], "subscribe": ["#"]}}), user("alice")
    assert not await may(acl, everything, Action.PUBLISH, topic)
    assert not await may(acl, everything, Action.RECEIVE, topic)


@pytest.mark.parametrize("topic_filter", ["", "lp/a+", "#/a", "lp/#/x", "a\0"])
async def test_what_is_no_filter_is_subscribed_to_by_nobody(topic_filter: str) -> None:
    assert not await may(plugin({"*": {"subscribe": ["#"]}}), user("alice"), Action.SUBSCRIBE, topic_filter)


async def test_questions_that_lack_something_are_refused() -> None:
    acl = plugin({"*": {"publish": ["#"], "subscribe": ["#"]}})
    for shown in (None, user("alice")):
        for topic in (None, "", "a"):
            for action in (None, Action.PUBLISH):
                allowed = await acl.topic_filtering(session=shown, topic=topic, action=action)
                assert allowed is (shown is not None and topic == "a" and action is not None)
    assert await acl.topic_filtering() is False


# --- what the rules mean -----------------------------------------------------------------------


async def test_the_example_of_the_docstring_means_what_it_says() -> None:
    acl = plugin()
    backend, pump = user("backend"), user("pump-17", client_id="c1")
    assert await may(acl, backend, Action.PUBLISH, "lp/7/commands")
    assert not await may(acl, backend, Action.PUBLISH, "lp/7/state")
    assert await may(acl, backend, Action.SUBSCRIBE, "#")
    assert await may(acl, backend, Action.SUBSCRIBE, "$SYS/broker/#")
    assert await may(acl, backend, Action.RECEIVE, "lp/7/x")
    assert not await may(acl, backend, Action.RECEIVE, "$SYS/broker")  # receive stands for itself
    assert await may(acl, pump, Action.PUBLISH, "lp/pump-17/state")
    assert await may(acl, pump, Action.PUBLISH, "pump-17/a/b")
    assert await may(acl, pump, Action.PUBLISH, "c1/x")
    assert await may(acl, pump, Action.PUBLISH, "id-pump-17-c1/x")
    assert await may(acl, pump, Action.SUBSCRIBE, "lp/pump-17/#")
    assert await may(acl, pump, Action.RECEIVE, "lp/pump-17")
    assert await may(acl, pump, Action.RECEIVE, "dev/c1")
    assert not await may(acl, pump, Action.PUBLISH, "dev/c1")


async def test_without_a_rule_everything_is_refused() -> None:
    cases: list[dict[str, Any]] = [{}, {"alice": {}}, {"bob": {"publish": ["#"]}}]
    for rules in cases:
        for action in Action:
            assert not await may(plugin(rules), user("alice"), action, "a")


async def test_receive_may_be_forbidden_altogether() -> None:
    acl = plugin({"alice": {"subscribe": ["#"], "receive": []}})
    assert await may(acl, user("alice"), Action.SUBSCRIBE, "#")
    assert not await may(acl, user("alice"), Action.RECEIVE, "a")


async def test_an_anonymous_device_has_no_user_to_fill_in() -> None:
    acl, nobody = plugin(), user(None, client_id="device-17")
    assert await may(acl, nobody, Action.PUBLISH, "hello/device-17")
    assert await may(acl, nobody, Action.PUBLISH, "device-17/x")  # "*" is everybody
    assert not await may(acl, nobody, Action.PUBLISH, "lp//state")
    assert not await may(acl, nobody, Action.PUBLISH, "lp/None/state")
    assert not await may(acl, nobody, Action.PUBLISH, "lp/anonymous/state")


async def test_a_literal_dollar_in_a_rule_is_the_operators_wish() -> None:
    acl = plugin({"*": {"publish": ["$apps/%u", "$%u/x"]}})
    assert await may(acl, user("alice"), Action.PUBLISH, "$apps/alice")
    assert await may(acl, user("alice"), Action.PUBLISH, "$alice/x")


async def test_it_leaves_no_trace_in_the_session() -> None:
    alice = user("alice")
    before = dict(alice.attributes)
    await may(plugin(), alice, Action.PUBLISH, "forbidden")
    assert alice.attributes == before


# --- how it is configured ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["publish", "subscribe", "receive"])
@pytest.mark.parametrize("text", ["", "a+", "#/a", "a/#/b", "%u+"])
async def test_a_wrong_filter_is_named_with_its_place(kind: str, text: str) -> None:
    with pytest.raises(PluginInitError) as caught:
        plugin({"alice": {kind: ["ok/#", text]}})
    assert isinstance(caught.value.__cause__, SettingsError)
    assert str(caught.value.__cause__).startswith(f'rules: alice: {kind}: "{text}" is no topic filter')


@pytest.mark.parametrize(
    "rules", [{"alice": {"pubish": []}}, {"alice": ["#"]}, {"alice": {"publish": "#"}}, {17: {}}, [], {"alice": None}]
)
async def test_amqtt_refuses_rules_of_another_shape(rules: object) -> None:
    with pytest.raises(PluginLoadError):
        plugin(rules)
