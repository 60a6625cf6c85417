"""The command line: what each command says, on which stream, and with which exit code it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from doorlog import __main__, __version__
from doorlog.application.cli import EXIT_CODES, ExitCode, app
from doorlog.errors import DoorlogError
from doorlog.log.schema import json_schema
from doorlog.passwords import read_users, set_password
from support.broker import FREE, tls
from support.commands import Said, doorlog, free_fixed_port, free_offset, write_yaml
from support.pki import Pki

COMMANDS = (
    "demo", "run", "check", "health", "passwd", "schema", "tail", "show", "summary", "query", "why", "web", "simulate",
    "verify", "device", "devices", "alerts",
)  # fmt: skip
USERS = {"plugins": {"amqtt_doorlog.PasswordFilePlugin": {"password_file": "users.txt"}}}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that is fit to start."""
    set_password(tmp_path / "users.txt", "pump-17", "secret")
    return write_yaml(
        tmp_path / "doorlog.yaml",
        listeners={"plain": {"bind": f"127.0.0.1:{free_fixed_port()}"}},
        auth=USERS,
        log={"file": {"path": "doorlog.jsonl"}},
    )


# wrong usage


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("walk",), "No such command 'walk'"),
        (("run", "--prot-offset", "1"), "--port-offset"),
        (("run", "--port-offset", "ten"), "--port-offset"),
        (("run", "--port-offset", "50001"), "less than or equal to 50000"),
        (("run", "--port-offset", "-1"), "greater than or equal to 0"),
        (("run", "extra"), "extra"),
        (("check",), "'--config'"),
        (("health", "-c"), "-c"),
        (("passwd", "users.txt"), "USER"),
        (("passwd", "users.txt", "pump-17", "secret"), "secret"),
        (("run", "-c", "x.yaml", "--bind-all"), "--bind-all: has no effect with -c: set it in x.yaml"),
        (("run", "-c", "x.yaml", "--port-offset", "0"), "--port-offset: has no effect with -c"),
        (("run", "-c", "x.yaml", "--folder", "."), "--folder: has no effect with -c"),
    ],
)
def test_wrong_usage_is_told_on_standard_error(argv: tuple[str, ...], expected: str) -> None:
    said = doorlog(*argv)

    assert said.code == ExitCode.USAGE
    assert said.out == []
    assert expected in said.err[-1]


def test_no_command_shows_the_commands() -> None:
    said = doorlog()

    assert said.code == ExitCode.USAGE
    assert all(any(line.strip().startswith(command) for line in said.out + said.err) for command in COMMANDS)


# help


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_tells_the_commands_and_the_exit_codes(flag: str) -> None:
    said = doorlog(flag)

    assert (said.code, said.err) == (0, [])
    listed = [line.split()[0] for line in said.out if re.match(r"  [a-z]+ {2,}[A-Z]", line)]
    assert listed == list(COMMANDS)
    for code, words in EXIT_CODES.items():
        assert f"    {code}  {words}" in said.out
    assert set(EXIT_CODES) == set(ExitCode)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_has_an_example_that_is_one(command: str) -> None:
    said = doorlog(command, "--help")

    assert (said.code, said.err) == (0, [])
    usage, examples = "\n".join(said.out).split("  Examples:\n")
    commands = re.findall(r"doorlog (\S+)((?: (?![|&>])\S+)*)", examples)
    assert commands
    for name, words in commands:
        assert name == command
        assert all(f" {word}" in usage for word in words.split() if word.startswith("-"))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_narrow_terminal_examples_aside(command: str) -> None:
    out = doorlog(command, "--help").out

    assert max(map(len, out[: out.index("  Examples:")])) <= 80


def test_the_version() -> None:
    assert doorlog("--version") == Said(0, [f"doorlog {__version__}"], [])


def test_help_and_version_load_nothing_that_they_do_not_need() -> None:
    code = "import sys; import doorlog.application.cli; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "typer" in loaded
    assert {"amqtt", "cryptography", "structlog", "doorlog.door"}.isdisjoint(loaded)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_commands_and_options(shell: str) -> None:
    script = CliRunner().invoke(app, ["--show-completion", shell], prog_name="doorlog", env={"SHELL": f"/bin/{shell}"})

    assert script.exit_code == 0
    assert "_DOORLOG_COMPLETE" in script.stdout


def test_completion_knows_the_commands() -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "doorlog"],
        env={"_DOORLOG_COMPLETE": "complete_bash", "COMP_WORDS": "doorlog ", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert completed.stdout.split() == list(COMMANDS)


def test_main_is_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["doorlog", "--version"])

    with pytest.raises(SystemExit) as caught:
        __main__.main()

    assert caught.value.code == 0
    assert capsys.readouterr().out == f"doorlog {__version__}\n"


# run


def test_a_configuration_that_is_wrong_is_told_line_by_line(tmp_path: Path) -> None:
    path = write_yaml(tmp_path / "doorlog.yaml", listeners={"a": {"bind": "x"}}, auth={"plugins": {}})

    said = doorlog("run", "-c", path)

    assert said.code == ExitCode.SETTINGS
    assert said.out == []
    assert said.err == [
        f'doorlog: {path}: listeners.a.bind: expected "address:port", as in "127.0.0.1:8883" or "[::1]:8883"',
        f"doorlog: {path}: auth: name at least one authentication plugin: without one, nobody can be admitted",
    ]


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.yaml"

    assert doorlog("run", "-c", path) == Said(
        ExitCode.SETTINGS, [], [f"doorlog: {path}: can not be read: No such file or directory"]
    )


def test_a_port_that_is_taken(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        path = write_yaml(config, listeners={"plain": {"bind": bind}}, auth=USERS, log={"stdout": True})
        said = doorlog("run", "-c", path)

    assert said.code == ExitCode.ADDRESS
    remedy = "stop what listens there, or choose another port"
    assert said.err == [f"doorlog: listeners.plain.bind: {bind}: Address already in use: {remedy}"]


def stop_when_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the broker stop as soon as it has said that it is ready."""
    import typer  # noqa: PLC0415 - its echo is about to be listened to

    echo = typer.echo

    def listen(message: str, *, err: bool = False) -> None:
        echo(message, err=err)
        if "doorlog is ready" in message or "doorlog: ready" in message:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(typer, "echo", listen)


def test_a_broker_runs_until_it_is_told_to_stop(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_when_ready(monkeypatch)

    said = doorlog("run", "-c", config)

    assert said.code == 0
    assert said.out == []
    assert re.fullmatch(r"doorlog: ready: plain mqtt://127\.0\.0\.1:\d+", said.err[0])


def test_warnings_are_told_on_standard_error(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_when_ready(monkeypatch)
    path = write_yaml(config, listeners={"plain": {"bind": "0.0.0.0:0"}}, auth=USERS, log={"stdout": True})

    said = doorlog("run", "-c", path)

    assert said.code == 0
    assert said.err[0].startswith(f"doorlog: warning: {path}: listeners.plain: passwords travel unencrypted")


def test_a_local_broker_says_how_to_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_when_ready(monkeypatch)
    monkeypatch.chdir(tmp_path)

    said = doorlog("run", "--port-offset", str(free_offset()), "--no-console")

    assert (said.code, said.err) == (0, [])
    assert said.out[0] == "doorlog is ready. Publish with the demo user over TLS:"
    assert (tmp_path / ".doorlog" / "log" / "doorlog.jsonl").is_file()


def test_a_folder_of_ones_own_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_when_ready(monkeypatch)
    monkeypatch.chdir(tmp_path)

    assert doorlog("run", "--folder", "elsewhere", "--port-offset", str(free_offset())).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


# check


def test_a_configuration_without_a_fault(config: Path) -> None:
    assert doorlog("check", "-c", config) == Said(0, [f"{config}: nothing to complain about"], [])


def test_findings_go_to_standard_output_and_the_verdict_to_standard_error(config: Path) -> None:
    path = write_yaml(config, listeners={"a": {"bind": "x"}, "b": {"bind": ":0"}}, auth=USERS, log={"stdot": True})

    said = doorlog("check", "-c", path)

    assert said.code == ExitCode.SETTINGS
    assert said.out == [
        'error: listeners.a.bind: expected "address:port", as in "127.0.0.1:8883" or "[::1]:8883"',
        'error: log.stdot: unknown key; did you mean "stdout"?',
        f"{path}: 2 errors",
    ]
    assert said.err == [f"doorlog: {path}: 2 errors would keep the broker from starting"]


def test_a_line_of_the_file_is_named_where_the_yaml_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "doorlog.yaml"
    path.write_text("listeners:\n  a: {bind: x\n", encoding="utf-8")

    said = doorlog("check", "-c", path)

    assert said.code == ExitCode.SETTINGS
    assert said.out[0].startswith("error: line 3, column 1: ")
    assert said.err == [f"doorlog: {path}: 1 error would keep the broker from starting"]


def test_warnings_do_not_keep_a_broker_from_starting(config: Path, tmp_path: Path) -> None:
    server = Pki(tmp_path).server_expired()
    path = write_yaml(config, listeners={"tls": {"bind": FREE, "tls": tls(server)}}, auth=USERS, log={"stdout": True})

    said = doorlog("check", "-c", path)

    assert (said.code, said.err) == (0, [])
    assert said.out[0].startswith("warning: listeners.tls.tls.certfile: ")
    assert said.out[-1] == f"{path}: 1 warning"


def test_findings_for_a_program(config: Path) -> None:
    assert json.loads("".join(doorlog("check", "-c", config, "--json").out)) == []
    path = write_yaml(config, listeners={"a": {"bind": "x"}}, auth=USERS)

    said = doorlog("check", "--json", "--config", path)

    assert said.code == ExitCode.SETTINGS
    assert json.loads("".join(said.out)) == [
        {
            "severity": "error",
            "place": "listeners.a.bind",
            "sentence": 'expected "address:port", as in "127.0.0.1:8883" or "[::1]:8883"',
        }
    ]


def test_what_check_refuses_run_refuses_in_the_same_words(tmp_path: Path) -> None:
    path = write_yaml(
        tmp_path / "doorlog.yaml",
        listeners={"plain": {"bind": ":0"}, "tls": {"bind": FREE, "tls": {"certfile": "c", "keyfile": "k"}}},
        auth={"plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": None, "no.Such": {}}},
        log={"file": {"path": "."}},
    )
    path.write_text(path.read_text(encoding="utf-8").replace(": null", ":"), encoding="utf-8")

    checked, ran = doorlog("check", "-c", path), doorlog("run", "-c", path)

    errors = [line.removeprefix("error: ") for line in checked.out if line.startswith("error: ")]
    assert len(errors) == 5
    assert ran.err == [f"doorlog: {path}: {line}" for line in errors]
    assert (checked.code, ran.code) == (ExitCode.SETTINGS, ExitCode.SETTINGS)


# health


def test_a_broker_that_is_not_there_is_not_healthy(config: Path) -> None:
    said = doorlog("health", "-c", config)

    assert said.code == ExitCode.FAILED
    assert said.out == []
    (line,) = said.err
    assert re.fullmatch(r"doorlog: plain: nothing listens on 127\.0\.0\.1:\d+: is the broker running\?", line)


def test_a_broker_that_is_there_is(config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        bind = f"127.0.0.1:{server.getsockname()[1]}"
        path = write_yaml(config, listeners={"plain": {"bind": bind}}, auth=USERS)
        assert doorlog("health", "-c", path) == Said(0, [f"plain: {bind} accepts connections"], [])
        said = doorlog("health", "-c", path, "--json")

    assert (said.code, said.err) == (0, [])
    assert json.loads("".join(said.out)) == [
        {"listener": "plain", "healthy": True, "sentence": f"{bind} accepts connections"}
    ]


def test_health_for_a_program_is_json_in_bad_times_too(config: Path) -> None:
    said = doorlog("health", "-c", config, "--json")

    assert said.code == ExitCode.FAILED
    assert [answer["healthy"] for answer in json.loads("".join(said.out))] == [False]


def test_the_health_of_no_configuration(tmp_path: Path) -> None:
    said = doorlog("health", "-c", tmp_path / "doorlog.yaml")

    assert said.code == ExitCode.SETTINGS
    assert said.err == [f"doorlog: {tmp_path / 'doorlog.yaml'}: can not be read: No such file or directory"]


# passwd


def test_a_password_from_a_pipe(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"

    assert doorlog("passwd", file, "pump-17", stdin=b"secret\n") == Said(0, [f"{file}: pump-17 has a new password"], [])
    assert doorlog("passwd", file, "pump-18", stdin=b"other").code == 0

    assert list(read_users(file).hashes) == ["pump-17", "pump-18"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"secret" not in file.read_bytes()


@pytest.mark.parametrize(
    ("user", "stdin", "code"),
    [
        ("a:b", b"secret\n", ExitCode.SETTINGS),
        ("#a", b"secret\n", ExitCode.SETTINGS),
        ("", b"secret\n", ExitCode.SETTINGS),
        ("pump-17", b"\n", ExitCode.SETTINGS),
        ("pump-17", b"", ExitCode.SETTINGS),
        ("pump-17", b"\xff\n", ExitCode.FAILED),
        ("pump-17", b"x" * 70_000, ExitCode.FAILED),
    ],
)
def test_what_can_not_be_stored_changes_nothing(tmp_path: Path, user: str, stdin: bytes, code: int) -> None:
    said = doorlog("passwd", tmp_path / "users.txt", user, stdin=stdin)

    assert said.code == code
    assert said.out == []
    assert len(said.err) == 1
    assert said.err[0].startswith("doorlog: ")
    assert "secret" not in said.err[0]
    assert list(tmp_path.iterdir()) == []


def test_a_password_file_that_can_not_be_written(tmp_path: Path) -> None:
    said = doorlog("passwd", tmp_path / "no" / "users.txt", "pump-17", stdin=b"secret\n")

    assert said.code == ExitCode.SETTINGS
    assert said.err == [
        f"doorlog: {tmp_path / 'no' / 'users.txt'}: the password file can not be written: No such file or directory"
    ]


# schema


def test_the_schema_is_the_one_that_records_are_checked_with() -> None:
    said = doorlog("schema")
    printed = json.loads("".join(said.out))

    assert (said.code, said.err) == (0, [])
    assert printed == json_schema()
    Draft202012Validator.check_schema(printed)


# exit codes


def test_every_error_of_ours_has_an_exit_code(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    from doorlog.application import start  # noqa: PLC0415 - it is about to be changed

    def fail(*_: object, **__: object) -> None:
        raise DoorlogError("something else")

    monkeypatch.setattr(start, "run_configured", fail)

    assert doorlog("run", "-c", config) == Said(ExitCode.SETTINGS, [], ["doorlog: something else"])
