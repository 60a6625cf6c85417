"""The local broker: everything is made once and kept, and the lines that it prints work as pasted."""

from __future__ import annotations

import asyncio
import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from doorlog.application.check import check_settings
from doorlog.application.development import development_settings, welcome
from doorlog.application.service import Service
from doorlog.embedded.authority import EmbeddedAuthority
from doorlog.errors import CertificateError
from doorlog.settings.models import Settings
from support.commands import LOCAL_PORTS, free_offset


def settings_in(folder: Path, *, bind_all: bool = False) -> Settings:
    return development_settings(folder, bind_all=bind_all, port_offset=0)[0]


def names_of(folder: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate((folder / "server.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def test_only_this_machine_gets_in(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)

    assert {name: listener.bind for name, listener in settings.listeners.items()} == {
        name: f"127.0.0.1:{port}" for name, port in LOCAL_PORTS.items()
    }
    assert names_of(tmp_path) == {"localhost", "127.0.0.1", "::1"}


def test_devices_on_the_network_get_in_only_with_credentials(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, bind_all=True)

    assert {listener.address[0] for listener in settings.listeners.values()} == {"0.0.0.0"}
    assert [finding for finding in check_settings(settings) if finding.severity == "error"] == []
    assert socket.gethostname() in names_of(tmp_path)


def test_the_settings_are_fit_to_start_without_a_complaint(tmp_path: Path) -> None:
    assert check_settings(settings_in(tmp_path)) == []


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(CertificateError, match="Make it writable, or use another folder"):
        settings_in(tmp_path / "file" / ".doorlog")


def welcome_of(folder: Path, *, bind_all: bool = False) -> str:
    settings, pki = development_settings(folder, bind_all=bind_all, port_offset=free_offset())

    async def greet() -> str:
        async with Service(settings, lambda on_refusal: EmbeddedAuthority(settings, on_refusal)) as service:
            return welcome(pki, settings, service.door)

    return asyncio.run(greet())


def shell_words(line: str) -> list[str]:
    """Return the words of which a command consists, as the shell takes them."""
    said = subprocess.run(["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()


def commands(text: str) -> list[str]:
    return re.findall(r"^  (mosquitto_pub .*)$", text, flags=re.MULTILINE)


def test_the_lines_to_paste_name_files_as_the_shell_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("a folder's $HOME") / ".doorlog"

    text = welcome_of(folder)

    words = [shell_words(line) for line in commands(text)]
    files = [[Path(word) for word in command if word.startswith("a folder")] for command in words]
    assert [len(named) for named in files] == [1, 3, 0]
    assert all(file.is_file() for named in files for file in named)
    assert (folder / "demo.password").read_text(encoding="utf-8") in words[0]
    assert f"Records: {shlex.quote(str(folder / 'log' / 'doorlog.jsonl'))} " in text
    assert "Devices on your network" not in text


def test_a_folder_elsewhere_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    assert f"--cafile {tmp_path}/there/ca.crt" in welcome_of(tmp_path / "there")


def test_devices_on_the_network_are_told_where_to_go(tmp_path: Path) -> None:
    text = welcome_of(tmp_path, bind_all=True)

    (line,) = [line for line in text.splitlines() if line.startswith("Devices on your network")]
    assert socket.gethostname() in line
    assert "ca.crt to trust" in line
    assert "127.0.0.1" not in line
