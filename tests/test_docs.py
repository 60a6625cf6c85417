"""What is written for people: complete, true of this very version, and without a trace of anybody's machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from doorlog.application.cli import EXIT_CODES, app
from doorlog.events.codes import Action, Code, DisconnectCause
from doorlog.settings.models import Settings
from doorlog.settings.reference import GROUPS
from support.commands import LOCAL_PORTS, doorlog

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(path: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(path), flags=re.MULTILINE | re.DOTALL)


# links


def anchors(path: Path) -> set[str]:
    """Return what can be linked to in a page: GitHub's names for its headings, and explicit ones."""
    headings = re.findall(r"^#+ (.*)$", prose(path), flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)"', text_of(path)))


def links(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the targets of a page's relative links, and the places in them."""
    for target in LINK.findall(prose(path)):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            yield file, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = [
        f"{file}#{anchor}"
        for file, anchor in links(page)
        if not (target := (page.parent / file) if file else page).exists() or (anchor and anchor not in anchors(target))
    ]

    assert broken == []


def test_every_page_can_be_found_from_the_readme() -> None:
    found = {README}
    for page in (pages := [README]):
        for file, _ in links(page):
            target = (page.parent / file).resolve()
            if target.suffix == ".md" and target not in found and target.exists():
                found.add(target)
                pages.append(target)

    assert {page.resolve() for page in PAGES} - found <= {ROOT / "CHANGELOG.md"}


# complete


@pytest.mark.parametrize("code", [*Code, *DisconnectCause, *Action])
def test_every_code_cause_and_action_is_documented(code: str) -> None:
    assert f"`{code}`" in text_of(ROOT / "docs" / "codes.md")


def test_every_setting_is_documented() -> None:
    page = text_of(ROOT / "docs" / "configuration.md")
    keys = [*Settings.model_fields, *(key for _place, group in GROUPS for key in group.model_fields)]

    assert [key for key in keys if f"| `{key}` |" not in page] == []


def commands_of(group: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield all commands with their names, those of groups, too."""
    for name, command in getattr(group, "commands", {}).items():  # typer says nothing of the kind of a group
        yield (*names, name), command
        yield from commands_of(command, *names, name)


def test_every_command_and_option_is_documented() -> None:
    commands = dict(commands_of(get_command(app)))
    assert {" ".join(names) for names in commands} == {
        "demo", "run", "check", "health", "passwd", "schema", "tail", "show", "summary", "query", "why", "web",
        "simulate", "verify", "device", "devices",
        "devices import", "devices rebuild", "alerts", "alerts test", "alerts list",
    }  # fmt: skip
    for names, command in commands.items():
        shown = "\n".join(doorlog(*names, "--help").out)
        assert command.help
        assert command.short_help
        for parameter in command.params:
            if getattr(parameter, "hidden", False):  # what only our own processes say to each other
                continue
            assert parameter.help, f"{names} {parameter.name}"
            options = (*parameter.opts, *parameter.secondary_opts)
            assert all(option in shown for option in options if option.startswith("-"))


@pytest.mark.parametrize("command", ["run", "check", "passwd", "schema", "devices"])
def test_the_readme_shows_the_commands(command: str) -> None:
    assert f"doorlog {command}" in text_of(README)


def test_the_readme_tells_the_exit_codes() -> None:
    (said,) = re.findall(r"exit codes: (.*?)\n\n", text_of(README), re.DOTALL)

    numbers = [int(number) for number in re.findall(r"\b(\d)\b", said)]
    assert numbers == [int(code) for code in EXIT_CODES]


def test_the_readme_tells_the_ports_of_a_local_broker() -> None:
    rows = re.findall(r"^\| (\d+) \|", text_of(README), flags=re.MULTILINE)

    assert [int(port) for port in rows] == list(LOCAL_PORTS.values())


def test_what_the_readme_says_of_make_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), flags=re.MULTILINE))
    said = set(re.findall(r"(?:^|`)make ([a-z-]+)", "\n".join(map(text_of, PAGES)), flags=re.MULTILINE))

    assert {"run", "test"} <= said <= targets
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(re.search(rf"^{target} ", shown, flags=re.MULTILINE) for target in said)


# nobody's machine


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    homes = re.compile(rb"/(?:home|Users)/[A-Za-z]|/" + rb"root/|/" + rb"work/|[A-Z]:\\\\Users")
    naming = [str(path.relative_to(ROOT)) for path in tracked() if path.is_file() and homes.search(path.read_bytes())]

    assert naming == []


def test_no_secret_is_in_a_file() -> None:
    begin = rb"-----BEGIN (?:[A-Z]+ )*PRIVATE" + rb" KEY-----\n[A-Za-z0-9+/]"

    assert [path.name for path in tracked() if path.is_file() and re.search(begin, path.read_bytes())] == []
