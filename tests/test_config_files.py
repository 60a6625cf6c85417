"""The files that ship: configurations that are fit to start, and a container that runs with next to no rights."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.utils import import_string

from doorlog.application.check import Finding, check_file
from doorlog.errors import SettingsError
from doorlog.passwords import set_password
from doorlog.settings.load import load_settings, parse_settings, validate_door_settings
from support.clients.base import Target
from support.clients.raw_tls import handshake_then
from support.commands import free_fixed_port
from support.dockerfile import faults, parse_dockerfile, stages
from support.packets import connect
from support.pki import Pki
from support.processes import run, serving
from support.records import parse_records, read_records

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "config"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
DOCKERFILE = parse_dockerfile((ROOT / "Dockerfile").read_text(encoding="utf-8"))
BROKER = COMPOSE["services"]["doorlog"]
USER_ID = 10001
SECRETS, LOG_FOLDER = "/run/secrets", "/var/log/doorlog"


# YAML


def test_every_yaml_file_is_in_good_style() -> None:
    files = [*CONFIG.glob("*.yaml"), ROOT / "docker-compose.yml"]

    linted = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", *files], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert len(files) >= 4
    assert (linted.returncode, linted.stdout) == (0, "")


# configurations


def mapped(name: str, replacements: dict[str, str], folder: Path) -> Path:
    """Write a configuration of ours with its paths mapped into a folder."""
    text = (CONFIG / name).read_text(encoding="utf-8")
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def secrets(folder: Path) -> None:
    """Put what an operator would into a folder: a chain, its key, and users."""
    folder.mkdir()
    made = folder.with_name("pki")
    made.mkdir()
    server = Pki(made).server()
    shutil.copy(server.certfile, folder / "chain.pem")
    shutil.copy(server.keyfile, folder / "key.pem")
    set_password(folder / "users.txt", "pump-17", "wonderland")


def severities(findings: list[Finding]) -> dict[str, str]:
    return {str(finding): finding.severity for finding in findings}


def test_the_configuration_for_production_is_fit_to_start(tmp_path: Path) -> None:
    secrets(tmp_path / "tls")
    paths = {
        "/etc/doorlog/tls": str(tmp_path / "tls"),
        "/etc/doorlog/users.txt": str(tmp_path / "tls" / "users.txt"),
        LOG_FOLDER: str(tmp_path / "log"),
    }
    config = mapped("production.yaml", paths, tmp_path)

    assert severities(check_file(config)) == {}


def test_what_is_commented_out_for_production_is_right_too() -> None:
    text = (CONFIG / "production.yaml").read_text(encoding="utf-8")
    uncommented = re.sub(r"^  # (?= *(\w+:))", "  ", text, flags=re.MULTILINE)

    settings = parse_settings(uncommented, CONFIG / "production.yaml")

    assert set(settings.listeners) == {"mqtts", "mutual", "balanced"}
    assert settings.listeners["balanced"].proxy_protocol == "required"


def test_the_configuration_for_docker_is_fit_to_start(tmp_path: Path) -> None:
    secrets(tmp_path / "secrets")
    paths = {SECRETS: str(tmp_path / "secrets"), LOG_FOLDER: str(tmp_path / "log")}

    assert severities(check_file(mapped("docker.yaml", paths, tmp_path))) == {}


@pytest.mark.parametrize("name", ["production.yaml", "docker.yaml"])
def test_exposed_listeners_ask_for_credentials_and_encrypt(name: str) -> None:
    for listener in load_settings(CONFIG / name).listeners.values():
        assert listener.tls is not None
        assert not listener.is_loopback


def test_the_configuration_for_a_stock_amqtt_has_a_door_and_no_other_way_in() -> None:
    path = CONFIG / "amqtt.yaml"
    given = yaml.safe_load(path.read_text(encoding="utf-8"))

    assert {listener["type"] for listener in given["listeners"].values()} == {"external"}
    door = validate_door_settings(given["plugins"].pop("amqtt_doorlog.DoorPlugin"), path)
    assert door.listeners["mqtts"].tls is not None
    assert door.log.file is not None
    kinds = {import_string(path): options for path, options in given["plugins"].items()}
    assert any(issubclass(kind, BaseAuthPlugin) for kind in kinds)
    assert all(set(options) <= {field.name for field in fields(kind.Config)} for kind, options in kinds.items())


def test_a_configuration_for_amqtt_is_not_mistaken_for_one_of_ours() -> None:
    with pytest.raises(SettingsError, match=r"plugins: unknown key"):
        load_settings(CONFIG / "amqtt.yaml")


# the image


def test_the_dockerfile_keeps_the_rules() -> None:
    assert list(faults((ROOT / "Dockerfile").read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("FROM python", "the base is not pinned"),
        ("FROM python:latest", "the base is not pinned"),
        ("FROM python:3", "the base is not pinned"),
        ("FROM python:3.13\nADD . /", "COPY does not unpack"),
        ("FROM python:3.13\nRUN pip install x", "pip leaves its cache"),
        ("FROM python:3.13\nRUN curl x \\\n  | sh", "RUN does something careless"),
        ("FROM python:3.13\nWORKDIR src", "WORKDIR is relative"),
        ("FROM python:3.13\nUSER root", "the last USER is no number"),
        ("FROM python:3.13\nUSER 0", "the last USER is no number"),
        ("FROM python:3.13", "the last USER is no number"),
        ("FROM python:3.13\nUSER 1\nRUN x", "something is installed after USER"),
        ("FROM python:3.13\nUSER 1\nCMD doorlog run", "Expecting value"),
        ("FROM python:3.13\nUSER 1", "there is not one ENTRYPOINT"),
    ],
)
def test_the_rules_find_what_is_wrong(text: str, fault: str) -> None:
    assert any(found.startswith(fault) for found in faults(text))


def ignored(path: str) -> bool:
    """Tell whether .dockerignore keeps a file out of the build: the last line that matches decides."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        if fnmatch.fnmatch(Path(path).parts[0], pattern) or fnmatch.fnmatch(path, pattern):
            verdict = not line.startswith("!")
    return verdict


def test_what_the_image_is_built_from_is_there_and_nothing_secret_is() -> None:
    for instruction in DOCKERFILE:
        if instruction.name == "COPY" and "--from" not in instruction.words:
            *sources, _target = instruction.words.split()
            for source in sources:
                assert (ROOT / source).exists()
                assert not ignored(source)
    assert all(ignored(name) for name in (".git", ".venv", ".doorlog", "secrets", "config", "tests"))


def test_a_wheel_can_be_built_from_what_the_image_gets(tmp_path: Path) -> None:
    for name in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        source = ROOT / name.removeprefix("!")
        if name.startswith("!") and source.is_dir():
            shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif name.startswith("!"):
            shutil.copy(source, tmp_path)

    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stderr
    assert [path.suffix for path in (tmp_path / "dist").iterdir()] == [".whl"]


# the container


def mounts() -> dict[str, str]:
    """Return what is mounted: target to source and mode."""
    return {target: f"{source}:{mode}".rstrip(":") for source, target, mode in map(split_mount, BROKER["volumes"])}


def split_mount(volume: str) -> tuple[str, str, str]:
    source, target, mode = (*volume.split(":"), "")[:3]
    return source, target, mode


def test_the_container_may_do_next_to_nothing() -> None:
    assert BROKER["read_only"] is True
    assert BROKER["user"] == f"{USER_ID}:{USER_ID}"
    assert BROKER["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in BROKER["security_opt"]
    assert BROKER.get("privileged") is None
    assert {"pids_limit", "mem_limit"} <= set(BROKER)
    assert stages(DOCKERFILE)[-1][-1].name == "CMD"
    assert [words for name, words in stages(DOCKERFILE)[-1] if name == "USER"] == [BROKER["user"]]


def test_only_the_log_is_mounted_to_be_written_and_it_outlives_the_container() -> None:
    writable = {target: source for target, source in mounts().items() if not source.endswith(":ro")}

    assert writable == {LOG_FOLDER: "log"}
    assert "log" in COMPOSE["volumes"]
    assert [words for name, words in stages(DOCKERFILE)[-1] if name == "VOLUME"] == [LOG_FOLDER]


def test_the_configuration_names_what_is_mounted() -> None:
    settings = load_settings(CONFIG / "docker.yaml")
    (listener,) = settings.listeners.values()

    assert mounts()["/etc/doorlog/doorlog.yaml"] == "./config/docker.yaml:ro"
    assert mounts()[SECRETS] == "./secrets:ro"
    assert listener.tls is not None
    assert {str(file.parent) for file in (listener.tls.certfile, listener.tls.keyfile)} == {SECRETS}
    assert settings.log.file is not None
    assert str(settings.log.file.path.parent) == LOG_FOLDER
    assert BROKER["ports"] == ["8883:8883"]
    assert listener.address == ("0.0.0.0", 8883)


def test_a_stop_has_the_time_that_it_may_take_and_health_is_asked_for() -> None:
    assert int(BROKER["stop_grace_period"].removesuffix("s")) > 20
    check = BROKER["healthcheck"]
    assert check["test"] == ["CMD", "doorlog", "health", "-c", "/etc/doorlog/doorlog.yaml"]
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)
    assert int(check["timeout"].removesuffix("s")) > 2  # for which health waits at most


@cache
def compose_works() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0


def test_docker_compose_takes_the_file() -> None:
    if not compose_works():
        pytest.skip("no docker compose here")
    subprocess.run(["docker", "compose", "-f", ROOT / "docker-compose.yml", "config", "--quiet"], check=True)


# the entry point, run as compose would run it


@dataclass(frozen=True, slots=True)
class Container:
    """A folder that stands for the root of a container, and the user that is in it."""

    root: Path
    port: int
    as_user: tuple[str, ...]

    def command(self, *argv: str) -> list[str]:
        """Return an argv of the image, with its paths mapped into the folder, for the container's user."""
        paths = [word.replace("/etc/doorlog", str(self.root / "etc")) for word in argv]
        executable = Path(sys.executable).with_name(paths[0])
        return ["env", "-i", *self._environment(), *self.as_user, str(executable), *paths[1:]]

    def _environment(self) -> list[str]:
        """Return the variables of the Dockerfile; there is no HOME."""
        (words,) = (words for name, words in stages(DOCKERFILE)[-1] if name == "ENV")
        given = dict(word.split("=", 1) for word in words.split())
        return [f"{name}={value.replace('$PATH', os.environ['PATH'])}" for name, value in given.items()]


CAPABILITY = "+dac_read_search"  # to read an interpreter below a home of root's; nothing can be written with it
SWITCH_USER = ("setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups", "--no-new-privs")
AS_USER = (
    (*SWITCH_USER, "--bounding-set=-all"),
    (*SWITCH_USER, f"--inh-caps={CAPABILITY}", f"--ambient-caps={CAPABILITY}"),
)


@cache
def as_user() -> tuple[str, ...]:
    """Return what runs a command as the container's user, or nothing where that can not be done."""
    for prefix in AS_USER if os.getuid() == 0 and shutil.which("setpriv") else ():
        probe = [*prefix, sys.executable, "-c", "import doorlog.application.cli"]
        if subprocess.run(probe, capture_output=True, cwd="/", check=False).returncode == 0:
            return prefix
    return ()


@pytest.fixture
def container() -> Iterator[Container]:
    # Not below pytest's own folder, which only its user may enter.
    root = Path(tempfile.mkdtemp(prefix="doorlog-container-"))
    try:
        for name in ("etc", "log", "empty"):
            (root / name).mkdir()
        port = free_fixed_port()
        secrets(root / "secrets")
        paths = {SECRETS: str(root / "secrets"), LOG_FOLDER: str(root / "log"), "0.0.0.0:8883": f"0.0.0.0:{port}"}
        mapped("docker.yaml", paths, root / "etc").rename(root / "etc" / "doorlog.yaml")
        root.chmod(0o755)
        if as_user():
            for path in (root / "log", *(root / "secrets").iterdir()):
                os.chown(path, USER_ID, USER_ID)
        (root / "empty").chmod(0o555)
        yield Container(root, port, as_user())
    finally:
        shutil.rmtree(root)


def entry_point() -> list[str]:
    by_name = {instruction.name: instruction for instruction in stages(DOCKERFILE)[-1]}
    return [*by_name["ENTRYPOINT"].argv, *by_name["CMD"].argv]


def everything_in(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if "log" not in path.relative_to(root).parts}


def owner_of(pid: int) -> int:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Uid:"))
    return int(line.split()[1])


async def test_the_entry_point_runs_with_the_rights_of_the_container(container: Container) -> None:
    before = everything_in(container.root)
    health = container.command(*BROKER["healthcheck"]["test"][1:])
    quoted = ["sh", "-c", f'exec "$@" >{container.root / "out.jsonl"}', "sh", *container.command(*entry_point())]
    async with serving(
        quoted, ready="^doorlog: ready: ", patience=30, cwd=container.root / "empty", grace=25
    ) as server:
        if container.as_user:
            assert owner_of(server.process.pid) == USER_ID
        healthy = await run(health, cwd=container.root / "empty")
        seen = await handshake_then(
            Target("127.0.0.1", container.port),
            "fin",
            data=connect("pump-17", user_name="pump-17", password="wonderland"),
            expect=4,
        )
        server.process.send_signal(signal.SIGTERM)
        assert await server.process.wait() == 0
    sick = await run(health, cwd=container.root / "empty")

    assert seen.plaintext == b"\x20\x02\x00\x00"
    assert (healthy.exit_code, sick.exit_code) == (0, 1), f"{healthy.output}{sick.output}"
    records = read_records(container.root / "log" / "doorlog.jsonl")
    assert [record["event"]["action"] for record in records] == [
        "audit_started",
        "certificate_served",
        "connect",  # and none for the question after its health
        "disconnect",
        "audit_stopped",
        "audit_checkpoint",
    ]
    assert parse_records((container.root / "out.jsonl").read_bytes().splitlines()) == records
    assert everything_in(container.root) - before == {container.root / "out.jsonl"}


async def test_a_log_volume_of_somebody_else_is_told(container: Container) -> None:
    if not container.as_user:
        pytest.skip("root may write everywhere")
    os.chown(container.root / "log", 0, 0)

    finished = await run(container.command(*entry_point()), cwd=container.root / "empty", patience=30)

    assert finished.exit_code == 3
    assert "can not be created in" in finished.output
    assert "give it to the broker's user" in finished.output
