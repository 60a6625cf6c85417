"""A configuration file: every fault is named by its place and what would be right, whatever the file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.errors import SettingsError
from doorlog.settings.load import load_settings, parse_settings, validate_door_settings
from doorlog.settings.models import Settings

HERE = Path("/etc/doorlog/doorlog.yaml")
MINIMAL = "listeners: {tls: {bind: '127.0.0.1:0'}}\nauth: {plugins: {a.Plugin: {}}}\n"


def parse(text: str) -> Settings:
    return parse_settings(text, HERE)


def faults(text: str) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    lines = [": ".join(filter(None, (str(HERE), *fault))) for fault in caught.value.faults]
    assert str(caught.value).splitlines() == lines
    return list(caught.value.faults)


def fault(text: str) -> tuple[str, str]:
    (found,) = faults(text)
    return found


# what is no configuration


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.yaml"

    with pytest.raises(SettingsError) as caught:
        load_settings(path)

    assert str(caught.value) == f"{path}: can not be read: No such file or directory"
    assert caught.value.faults == (("", "can not be read: No such file or directory"),)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"listeners: \xff", "byte 11 is not UTF-8: save the file as UTF-8"),
        (b"#" * 1_048_577, "is larger than 1048576 bytes: is it a configuration file?"),
        (b"a: \x07", "character 3, #x07, is none that YAML allows: remove it"),
        (b"[" * 1_200, "the YAML is nested too deeply"),
    ],
)
def test_a_file_that_is_no_text_of_a_person(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "doorlog.yaml"
    path.write_bytes(content)

    with pytest.raises(SettingsError) as caught:
        load_settings(path)

    assert str(caught.value) == f"{path}: {expected}"


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can not be read: Is a directory"):
        load_settings(tmp_path)


@pytest.mark.parametrize("text", ["", "# nothing", "- a\n- b", "just words", "42", "---\n...\n"])
def test_something_else_than_a_mapping(text: str) -> None:
    place, sentence = fault(text)

    assert place == ""
    assert sentence == (
        "expected a mapping with the keys listeners, device, log, limits, service, monitor, cohorts, alerts, auth, "
        "acl, broker, web; see docs/configuration.md"
    )


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        ("a: {b: 1\nc: 2", "line 2, column 2", "expected ',' or '}', but got ':'"),
        ("listeners:\n\ttls: 1", "line 2, column 1", "found character '\\t' that cannot start any token"),
        ("a: b: c", "line 1, column 5", "mapping values are not allowed here"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1", 'the key "a" stands twice here'),
        ("x:\n  - {a: 1, a: 2}", "line 2, column 12", 'the key "a" stands twice here'),
        ("? [a]\n: b", "line 1, column 3", "a key is a word, not a list or a mapping"),
        ("? {a: b}\n: b", "line 1, column 3", "a key is a word, not a list or a mapping"),
        ("a: *b", "line 1, column 4", "found undefined alias 'b'"),
        (
            "a: 2001-99-99",
            "line 1, column 4",
            "this is no value: month must be in 1..12; put it in quotes if it is text",
        ),
        (
            "a: !!python/object:os.system x",
            "line 1, column 4",
            "could not determine a constructor for the tag 'tag:yaml.org,2002:python/object:os.system'",
        ),
    ],
)
def test_yaml_that_is_none_is_told_by_line_and_column(text: str, place: str, sentence: str) -> None:
    assert fault(text) == (place, sentence)


def test_a_number_that_python_refuses_to_read() -> None:
    place, sentence = fault("limits: {attempt_timeout: " + "9" * 5_000 + "}")

    assert place == "line 1, column 27"
    assert "limit" in sentence
    assert len(sentence) < 200


def test_a_small_file_that_would_be_a_huge_one() -> None:
    laughs = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))
    found = faults(f"a0: &a0 [ha]\n{laughs}\n{MINIMAL}")

    assert [place for place, _ in found] == [f"a{n}" for n in range(12)]


def test_a_mapping_that_holds_itself() -> None:
    assert ("listeners.a.a", "unknown key; known here: " + LISTENER_KEYS) in faults("listeners: &x {a: *x}")
    assert faults("x: &x [*x]\n" + MINIMAL) == [("x", "unknown key; known here: " + KEYS)]


KEYS = "acl, alerts, auth, broker, cohorts, device, limits, listeners, log, monitor, service, web"
LISTENER_KEYS = "bind, blocked_networks, origins, proxy_networks, proxy_protocol, tls, websocket"
TLS_KEYS = "alpn, cafile, certfile, ciphers, client_certificate, crlfile, keyfile, maximum_version, minimum_version"


# what is wrong with a configuration


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        ("lisners: {}", "lisners", 'unknown key; did you mean "listeners"?'),
        ("zzz: {}", "zzz", f"unknown key; known here: {KEYS}"),
        ("limits: {attempt_timout: 1}", "limits.attempt_timout", 'unknown key; did you mean "attempt_timeout"?'),
        ("log: {file: {pth: x, path: y}}", "log.file.pth", 'unknown key; did you mean "path"?'),
        ("log: {file: {}}", "log.file.path", "is missing"),
        (
            "log: {file: doorlog.jsonl}",
            "log.file",
            (
                "expected keys below it: compress, keep_bytes, keep_days, path, rotate_bytes, rotate_hours"
                ' (it is "doorlog.jsonl")'
            ),
        ),
        ("log: {stdout: maybe}", "log.stdout", 'expected true or false (it is "maybe")'),
        ("log: {console: no}", "log.console", "expected 'auto', 'always' or 'never' (it is false)"),
        ("limits: {attempt_timeout: soon}", "limits.attempt_timeout", 'expected a number (it is "soon")'),
        ("limits: {attempt_timeout: 0}", "limits.attempt_timeout", "expected more than 0 (it is 0)"),
        ("limits: {attempt_timeout: 301}", "limits.attempt_timeout", "expected at most 300 (it is 301)"),
        ("limits: {connect_max_bytes: 1}", "limits.connect_max_bytes", "expected at least 64 (it is 1)"),
        ("limits: {connect_max_bytes: 99.5}", "limits.connect_max_bytes", "expected a whole number (it is 99.5)"),
        ("limits: {connect_max_bytes: [1]}", "limits.connect_max_bytes", "expected a whole number"),
        ("limits: 7", "limits", None),
        ("service: {name: ''}", "service.name", 'expected some text (it is "")'),
        ("service: {name: 17}", "service.name", "expected text, in quotes if need be (it is 17)"),
        (f"service: {{name: {'x' * 129}}}", "service.name", "expected at most 128 characters"),
        ("acl: {plugins: [a]}", "acl.plugins", "expected keys below it"),
        ("device:", "device", "is empty: give it a value, or remove the key"),
        ("device: {id:}", "device.id", "is empty: give it a value, or remove the key"),
        ("broker: {session_expiry: 0}", "broker.session_expiry", "expected at least 1 (it is 0)"),
    ],
)
def test_a_fault_is_named_by_its_place_and_what_would_be_right(text: str, place: str, sentence: str | None) -> None:
    found_place, found_sentence = fault(MINIMAL + text)

    assert found_place == place
    assert found_sentence == sentence or (sentence is None and found_sentence.startswith("expected keys below it: "))


@pytest.mark.parametrize(
    ("listener", "place", "sentence"),
    [
        ("{}", ".bind", "is missing"),
        ("127.0.0.1:1883", "", f'expected keys below it: {LISTENER_KEYS} (it is "127.0.0.1:1883")'),
        ("{bind: 1883}", ".bind", 'expected "address:port", as in "127.0.0.1:8883" or "[::1]:8883"'),
        ("{bind: ':0', cert: x}", ".cert", f"unknown key; known here: {LISTENER_KEYS}"),
        ("{bind: ':0', tls: yes}", ".tls", f"expected keys below it: {TLS_KEYS} (it is true)"),
        ("{bind: ':0', tls: }", ".tls", "is empty: give it a value, or remove the key"),
        (
            "{bind: ':0', tls: {certfile: c, keyfile: }}",
            ".tls.keyfile",
            "is empty: give it a value, or remove the key",
        ),
        (
            "{bind: ':0', tls: {certfile: c, keyfile: k, keyfil: k}}",
            ".tls.keyfil",
            'unknown key; did you mean "keyfile"?',
        ),
        ("{bind: ':0', origins: x}", ".origins", 'expected a list (it is "x")'),
        (
            "{bind: ':0', blocked_networks: [127.0.0.0/8, 10.0.0.1/24]}",
            ".blocked_networks.1",
            '10.0.0.1/24 is an address in a network: write "10.0.0.0/24" for all of it, or "10.0.0.1" for one',
        ),
        (
            "{bind: ':0', proxy_networks: [10.0.0.1]}",
            "",
            "proxy_networks has no effect without proxy_protocol: required",
        ),
        (
            "{bind: ':0', tls: {certfile: c, keyfile: k, client_certificate: required}}",
            ".tls",
            "client_certificate: required needs cafile, the authorities that sign the devices",
        ),
    ],
)
def test_a_fault_of_a_listener(listener: str, place: str, sentence: str) -> None:
    text = f"listeners: {{good: {{bind: '127.0.0.1:0'}}, bad: {listener}}}\nauth: {{plugins: {{a.Plugin: }}}}"

    assert fault(text) == (f"listeners.bad{place}", sentence)


def test_a_port_as_the_name_of_a_listener() -> None:
    text = "listeners: {1883: {bind: '127.0.0.1:0'}}\nauth: {plugins: {a.Plugin: }}"

    assert fault(text) == ("listeners", 'put the key 1883 in quotes: "1883"')


def test_a_broker_without_listeners_or_plugins() -> None:
    assert faults("listeners: {}\nauth: {}") == [
        ("listeners", "name at least one listener"),
        ("auth", "name at least one authentication plugin: without one, nobody can be admitted"),
    ]
    assert faults("log: {stdout: true}") == [("listeners", "is missing"), ("auth", "is missing")]


def test_all_faults_are_told_at_once() -> None:
    text = """\
        listeners:
          tls: {bind: "127.0.0.1", tls: {certfile: c.pem, keyfil: k.pem}}
        auth:
        limits: {attempt_timeout: soon}
    """

    assert [place for place, _ in faults(text)] == [
        "auth",
        "listeners.tls.bind",
        "listeners.tls.tls.keyfile",
        "listeners.tls.tls.keyfil",
        "limits.attempt_timeout",
    ]


def test_a_long_value_is_not_repeated() -> None:
    _, sentence = fault(MINIMAL + f"log: {{stdout: {'x' * 100}}}")

    assert sentence == "expected true or false"


# what is right


def test_the_smallest_configuration() -> None:
    settings = parse(MINIMAL)

    assert list(settings.listeners) == ["tls"]
    assert settings.log.stdout


FIXED_KEYS = """\
listeners:
  tls:  {bind: "127.0.0.1:8883", tls: {certfile: c.pem, keyfile: k.pem, cafile: ca.pem, client_certificate: CHOICE}}
  lb:   {bind: "127.0.0.1:1883", proxy_protocol: required, proxy_networks: ["127.0.0.0/8"]}
  wss:  {bind: "127.0.0.1:8084", websocket: true, tls: {certfile: c.pem, keyfile: k.pem}}
auth:
  plugins: {amqtt.plugins.authentication.FileAuthPlugin: {password_file: users.txt}}
log:
  file: {path: doorlog.jsonl}
limits: {attempt_timeout: 10, connect_max_bytes: 65536}
"""


@pytest.mark.parametrize("choice", ["none", "optional", "required"])
def test_the_keys_that_are_fixed(choice: str) -> None:
    settings = parse(FIXED_KEYS.replace("CHOICE", choice))

    tls, lb, wss = (settings.listeners[name] for name in ("tls", "lb", "wss"))
    assert tls.tls is not None
    assert tls.address == ("127.0.0.1", 8883)
    assert tls.tls.client_certificate == choice
    assert (lb.proxy_protocol, [str(network) for network in lb.proxy_networks]) == ("required", ["127.0.0.0/8"])
    assert wss.websocket
    assert wss.tls is not None
    assert settings.limits.attempt_timeout == 10
    assert settings.limits.connect_max_bytes == 65536


def test_relative_paths_are_taken_from_the_folder_of_the_file() -> None:
    settings = parse(FIXED_KEYS.replace("CHOICE", "optional").replace("k.pem", "/run/secrets/k.pem"))

    tls = settings.listeners["tls"].tls
    assert tls is not None
    assert (tls.certfile, tls.keyfile, tls.cafile, tls.crlfile) == (
        Path("/etc/doorlog/c.pem"),
        Path("/run/secrets/k.pem"),
        Path("/etc/doorlog/ca.pem"),
        None,
    )
    assert settings.log.file is not None
    assert settings.log.file.path == Path("/etc/doorlog/doorlog.jsonl")
    assert settings.auth.plugins == {
        "amqtt.plugins.authentication.FileAuthPlugin": {"password_file": "/etc/doorlog/users.txt"}
    }


def test_of_a_plugins_options_only_files_are_paths() -> None:
    options = "{db_path: a.db, password_file: /users, profile: 7, realm: home, certfile: c.pem}"
    settings = parse(f"listeners: {{x: {{bind: '127.0.0.1:0'}}}}\nauth: {{plugins: {{a.Plugin: {options}}}}}")

    assert settings.auth.plugins["a.Plugin"] == {
        "db_path": "/etc/doorlog/a.db",
        "password_file": "/users",
        "profile": 7,
        "realm": "home",
        "certfile": "/etc/doorlog/c.pem",
    }


def test_a_relative_configuration_is_anchored_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "doorlog.yaml").write_text(MINIMAL + "log: {file: {path: log/x.jsonl}}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    file = load_settings(Path("conf/doorlog.yaml")).log.file

    assert file is not None
    assert file.path == tmp_path / "conf" / "log" / "x.jsonl"


def test_repetition_may_be_saved_with_a_merge_key() -> None:
    settings = parse(
        """\
        listeners:
          a: {bind: "127.0.0.1:0", tls: &ours {certfile: c.pem, keyfile: k.pem}}
          b: {bind: "127.0.0.1:0", tls: {<<: *ours, minimum_version: 1.3}}
        auth: {plugins: {a.Plugin: }}
        """
    )

    tls = settings.listeners["b"].tls
    assert tls is not None
    assert (tls.certfile, tls.minimum_version) == (Path("/etc/doorlog/c.pem"), "1.3")


def test_the_door_in_front_of_another_broker_has_the_same_keys() -> None:
    groups: dict[str, Any] = {"listeners": {"tls": {"bind": "127.0.0.1:0"}}, "log": {"file": {"path": "x"}}}

    settings = validate_door_settings({**groups, "limits": None, "device": {}}, HERE)

    assert settings.log.file is not None
    assert settings.log.file.path == Path("/etc/doorlog/x")
    with pytest.raises(SettingsError, match=r"limits\.attempt_timout: unknown key; did you mean"):
        validate_door_settings({**groups, "limits": {"attempt_timout": 1}}, HERE)


# whatever is written

NAMES = f"{KEYS}, {LISTENER_KEYS}, {TLS_KEYS}".split(", ")
KEYS_OR_TEXT: st.SearchStrategy[Any] = st.sampled_from(NAMES) | st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS_OR_TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(text=st.text(alphabet="ab:{}[],-?&*!|>'\"#%@` \n\t1.<=~\u2028é", max_size=60))
def test_any_text_is_settings_or_a_sentence(text: str) -> None:
    assert faults(text)


@given(data=st.dictionaries(KEYS_OR_TEXT | st.integers(), VALUES, max_size=6))
def test_any_value_is_settings_or_a_sentence_for_each_fault(data: dict[Any, Any]) -> None:
    found: tuple[tuple[str, str], ...] = (("", "nothing"),)
    try:
        validate_door_settings(data, HERE)
    except SettingsError as error:
        found = error.faults

    assert found
    assert all(sentence for _place, sentence in found)
