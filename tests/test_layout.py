"""The rooms of the house: who may import whom, how long a file may be, and that each has its test."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*(ROOT / "broker").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
TESTS = {path.name for path in (ROOT / "tests").glob("test_*.py")}

FLOORS: tuple[tuple[str, ...], ...] = (
    ("addresses", "errors", "files", "text", "topics"),
    ("events", "passwords"),
    ("certificates", "settings"),
    ("log", "identity", "door", "watch"),
    ("embedded", "readers"),
    ("simulation", "web"),
    ("demo",),
    ("application",),
    ("__main__",),
)
"""DESIGN.md, Layout: each room imports only rooms on lower floors, so neighbours do not know each other."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
PLUGINS = "amqtt_doorlog"
MAX_LINES = 300
UNTESTED = {"__init__", "__main__"}
"""What only names or starts other modules."""
TESTED_THROUGH = {
    "test_door_assurance.py": "test_door_protocol.py",  # an interface, and the one that promises nothing
    "test_application_commands.py": "test_application_cli.py",
    "test_application_verify_output.py": "test_application_commands_verify.py",
    "test_application_show_output.py": "test_application_commands_show.py",
    "test_application_tail_output.py": "test_application_commands_tail.py",
    "test_application_query_output.py": "test_application_commands_query.py",
    "test_application_summary_output.py": "test_application_commands_summary.py",
    "test_web_numbers.py": "test_web_pages.py",
    "test_web_server.py": "test_web_pages.py",
    "test_application_log_progress.py": "test_application_commands_verify.py",
    "test_application_directory_options.py": "test_application_commands_devices.py",
    "test_door_authority.py": "test_door_protocol.py",  # an interface, and the shape of an answer
    "test_door_connect_fields.py": "test_door_connect_packet.py",
    "test_door_proxy_extensions.py": "test_door_proxy_header.py",
    "test_application_signals.py": "test_flow_run.py",  # signals are for a process of its own
    "test_events_base.py": "test_events_parts.py",
    "test_events_data.py": "test_events_explanations.py",
    "test_events_audit_parts.py": "test_events_parts.py",
    "test_settings_base.py": "test_settings_models.py",
    "test_settings_log_models.py": "test_settings_models.py",
    "test_settings_local_models.py": "test_settings_models.py",
    "test_settings_networks.py": "test_settings_models.py",
    "test_application_own_events.py": "test_application_service.py",
    "test_log_status.py": "test_log_writer.py",  # the shape of an answer
    "test_embedded_session_attributes.py": "test_embedded_credentials.py",
    "test_identity_counters.py": "test_identity_learner.py",
    "test_identity_gathering.py": "test_identity_view.py",
    "test_events_device_parts.py": "test_events_parts.py",
    "test_application_simulate_output.py": "test_application_commands_simulate.py",
    "test_application_simulation.py": "test_application_commands_simulate.py",
    "test_application_demo_output.py": "test_application_commands_demo.py",
    "test_simulation_models.py": "test_simulation_fleet.py",
    "test_simulation_plan.py": "test_simulation_calendar.py",
    "test_simulation_recorder.py": "test_simulation_stage.py",
    "test_simulation_steps.py": "test_simulation_calendar.py",
    "test_simulation_truth.py": "test_simulation_play.py",
    "test_readers_views.py": "test_readers_table.py",
    "test_readers_around.py": "test_readers_verify.py",
    "test_readers_breaks.py": "test_readers_verify.py",
    "test_readers_usual.py": "test_readers_verify.py",
}
"""Modules that have no other door than their neighbour's."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import in a source file."""

    path: Path
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.module}"

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    @property
    def room(self) -> str | None:
        """The room of doorlog that is imported; ``__init__`` for the package itself."""
        package, _, rest = self.module.partition(".")
        return (rest.partition(".")[0] or "__init__") if package == "doorlog" else None


def room_of(path: Path) -> str:
    """Return the room of a source file of doorlog, or the name of the other package."""
    package, *rest = path.relative_to(ROOT).with_suffix("").parts[1:]
    return rest[0] if package == "doorlog" else package


def imports_of(path: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(path, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the room"
            assert node.module is not None
            yield Import(path, node.lineno, node.module)


IMPORTS = [found for path in SOURCES for found in imports_of(path)]


def test_every_room_has_its_floor() -> None:
    rooms = {room_of(path) for path in SOURCES} - {"__init__", PLUGINS}
    assert rooms == set(FLOOR)


def test_each_room_imports_only_rooms_below_it() -> None:
    wrong = []
    for found in IMPORTS:
        room, other = room_of(found.path), found.room
        if room in FLOOR and other not in {None, "__init__", room} and FLOOR[room] <= FLOOR[str(other)]:
            wrong.append(str(found))
    assert not wrong


def test_events_know_nobody() -> None:
    """Readers, stores and other programs may use them alone."""
    ours = {found.room for found in IMPORTS if room_of(found.path) == "events"} - {None, "events"}
    assert ours <= {"errors", "text"}


def test_readers_never_know_the_door() -> None:
    """What reads a log can be used where no broker is."""
    ours = {found.room for found in IMPORTS if room_of(found.path) == "readers"} - {None, "readers"}
    assert ours <= {"errors", "text", "events", "log"}


def test_doorlog_never_imports_its_plugins() -> None:
    assert not [str(found) for found in IMPORTS if room_of(found.path) != PLUGINS and found.package == PLUGINS]


@pytest.mark.parametrize(
    ("package", "rooms"),
    [
        ("amqtt", {"embedded", "application", PLUGINS}),  # the door, the log and the events serve any broker
        ("transitions", {"embedded"}),
        ("websockets", {"door"}),
        ("structlog", {"log"}),
        ("opentelemetry", {"log"}),
        ("requests", {"log"}),
        ("typer", {"application"}),
        ("uvloop", {"application"}),
    ],
)
def test_a_library_stays_in_its_room(package: str, rooms: set[str]) -> None:
    assert {room_of(found.path) for found in IMPORTS if found.package == package} <= rooms


def test_only_declared_libraries_are_imported() -> None:
    """By the names of their packages; see ``dependencies`` in pyproject.toml."""
    declared = {
        "amqtt", "argon2", "cryptography", "dacite", "duckdb", "google", "jinja2", "nats", "opentelemetry", "orjson",
        "prometheus_client", "pydantic", "pydantic_core", "requests", "rich", "starlette", "structlog", "transitions",
        "typer", "uvicorn", "uvloop", "websockets", "yaml", "zstandard",
    }  # fmt: skip
    used = {found.package for found in IMPORTS} - set(sys.stdlib_module_names) - {"doorlog", PLUGINS}
    assert used <= declared


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_every_file_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring
    assert len(docstring.splitlines()[0]) <= 120


def name_of_test(path: Path) -> str:
    """Return ``test_door_client_hello.py`` for ``doorlog/door/client_hello.py``."""
    package, *rest = path.relative_to(ROOT).with_suffix("").parts[1:]
    return "_".join(["test", *(["plugins"] if package == PLUGINS else []), *rest]) + ".py"


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_every_file_has_its_test(path: Path) -> None:
    name = name_of_test(path)
    if path.stem not in UNTESTED:
        assert TESTED_THROUGH.get(name, name) in TESTS


def test_no_exception_is_out_of_date() -> None:
    assert set(TESTED_THROUGH) <= {name_of_test(path) for path in SOURCES}
    assert not set(TESTED_THROUGH) & TESTS
