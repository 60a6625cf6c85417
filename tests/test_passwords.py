"""The password file: what is wrong in it is named by its line and never shown, what is stored is stored whole."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError
from hypothesis import given
from hypothesis import strategies as st

from doorlog.errors import SettingsError
from doorlog.passwords import hash_password, read_users, set_password

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
OTHER = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
GOOD = CHEAP.hash("x", salt=bytes(16))  # fixed, since the names of the tests show it
SALT, TAG = GOOD.split("$")[-2:]


def password_file(folder: Path, content: str | bytes) -> Path:
    path = folder / "users.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


# --- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"alice", "expected a user name, a colon and an Argon2 hash"),
        (b":" + GOOD.encode(), "expected a user name, a colon and an Argon2 hash"),
        (GOOD.encode(), "expected a user name, a colon and an Argon2 hash"),
        (b"alice:", "no Argon2 hash"),
        (b"alice:in-the-clear", "no Argon2 hash; give the user a new password"),
        (b"alice:" + GOOD.encode() + b":extra", "no Argon2 hash"),
        (b"alice:" + GOOD.encode() + b" # comment", "no Argon2 hash"),
        (b"alice:$6$saltsalt$abcdefgh", "SHA-512 hashes are not supported; give the user a new password"),
        (b"alice:$2b$12$abcdefghijklmnopqrstuv", "bcrypt hashes are not supported"),
        (b"alice:$7$101$abcd$abcd", "PBKDF2 hashes are not supported"),
        (f"alice:$argon2id$v=19$m=8,t=1,p=2${SALT}${TAG}".encode(), "damaged"),  # too little memory for two lanes
        (f"alice:$argon2id$v=19$m=8,t=0,p=1${SALT}${TAG}".encode(), "no Argon2 hash"),
        (f"alice:$argon2id$v=19$m=8,t=1,p=1${SALT}${TAG}AB".encode(), "damaged"),
        (f"alice:$argon2id$v=19$m=8,t=1,p=1${SALT[:-1]}B${TAG}".encode(), "damaged"),  # bits beyond its end
        (f"alice:$argon2id$v=19$m=8,t=1,p=1${SALT}".encode(), "no Argon2 hash"),
        (f"alice:$argon2xx$v=19$m=8,t=1,p=1${SALT}${TAG}".encode(), "no Argon2 hash"),
        (b"\xff\xfe:" + GOOD.encode(), "not UTF-8"),
        (b"bob:" + GOOD.encode(), "stands in an earlier line too"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_never_shown(tmp_path: Path, line: bytes, fault: str) -> None:
    path = password_file(tmp_path, b"# users\n\nbob:" + GOOD.encode() + b"\n" + line + b"\nnever reached\n")

    with pytest.raises(SettingsError) as caught:
        read_users(path)

    sentence = str(caught.value)
    assert sentence.startswith(f"{path}, line 4: ")
    assert fault in sentence
    assert TAG not in sentence
    assert "alice" not in sentence  # if the line is mangled, it may be half a password
    assert "in-the-clear" not in sentence


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path if kind == "folder" else tmp_path / "users.txt"
    with pytest.raises(SettingsError, match=f"{path}: the password file can not be read: "):
        read_users(path)


def test_what_editors_leave_behind_is_understood(tmp_path: Path) -> None:
    content = f"\ufeffalice:{GOOD}\r\n  \r\n# a comment: of nobody\r\n jürgen :{GOOD}  \r\n"
    users = read_users(password_file(tmp_path, content))
    assert dict(users.hashes) == {"alice": GOOD, "jürgen ": GOOD}


@pytest.mark.parametrize("kind", ["argon2id", "argon2i", "argon2d"])
def test_every_kind_of_argon2_is_read(tmp_path: Path, kind: str) -> None:
    encoded = GOOD.replace("argon2id", kind)
    assert read_users(password_file(tmp_path, f"alice:{encoded}")).hashes["alice"] == encoded


@given(content=st.binary(max_size=80) | st.text(alphabet="a:$argon2idv=19m,tp\n#", max_size=80).map(str.encode))
def test_no_content_makes_it_fail_otherwise(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = password_file(tmp_path_factory.getbasetemp(), content)
    faults = []
    try:
        assert not read_users(path).hashes
    except SettingsError as error:
        faults.append(str(error))
    assert all(fault.startswith(f"{path}, line ") for fault in faults)


@pytest.mark.parametrize(
    ("mode", "loose"), [(0o600, False), (0o400, False), (0o640, False), (0o644, True), (0o660, True), (0o602, True)]
)
def test_a_mode_that_others_can_use_is_noticed(tmp_path: Path, mode: int, loose: bool) -> None:
    path = password_file(tmp_path, f"alice:{GOOD}")
    path.chmod(mode)
    assert read_users(path).is_loose is loose


def test_no_hash_is_shown_by_accident(tmp_path: Path) -> None:
    users = read_users(password_file(tmp_path, f"alice:{GOOD}"))
    assert TAG not in repr(users)
    assert "$" not in repr(users)


# --- the stranger ------------------------------------------------------------------------------


def test_the_stranger_costs_what_most_users_cost(tmp_path: Path) -> None:
    lines = [f"a:{CHEAP.hash('1')}", f"b:{OTHER.hash('2')}", f"c:{OTHER.hash('3')}"]
    users = read_users(password_file(tmp_path, "\n".join(lines)))

    assert users.outliers == 1
    assert extract_parameters(users.stranger) == extract_parameters(users.hashes["b"])
    for guess in ("", "1", "2", "stranger"):
        with pytest.raises(VerifyMismatchError):  # which says that the whole work was done
            PasswordHasher().verify(users.stranger, guess)


def test_without_users_the_stranger_costs_what_a_new_user_would(tmp_path: Path) -> None:
    users = read_users(password_file(tmp_path, "# nobody yet\n"))
    assert (dict(users.hashes), users.outliers) == ({}, 0)
    assert extract_parameters(users.stranger) == extract_parameters(hash_password("x"))


def test_every_file_has_a_stranger_of_its_own(tmp_path: Path) -> None:
    path = password_file(tmp_path, f"alice:{GOOD}")
    assert read_users(path).stranger != read_users(path).stranger


# --- writing -----------------------------------------------------------------------------------


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doorlog.passwords._hasher", CHEAP)


@pytest.mark.parametrize(
    "user", ["", "a:b", "#a", " a", "a ", "a\n", "a\nroot:x", "a\r", "\0", "\x1b[2J", "\ud800", "a\u2028", "é" * 32_768]
)
def test_a_user_name_that_would_break_the_file_is_refused(tmp_path: Path, user: str) -> None:
    path = tmp_path / "users.txt"
    with pytest.raises(SettingsError, match="a user name is printable"):
        set_password(path, user, "x")
    assert not path.exists()


@pytest.mark.parametrize("password", ["", "a" * 65_536, "\ud800"])
def test_a_password_that_no_connect_can_carry_is_refused(tmp_path: Path, password: str) -> None:
    with pytest.raises(SettingsError, match="a password has 1 to 65535 bytes"):
        set_password(tmp_path / "users.txt", "alice", password)
    with pytest.raises(SettingsError):
        hash_password(password)


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "users.txt"
    previous = os.umask(0)
    try:
        set_password(path, "alice", "wonder:land ü")
    finally:
        os.umask(previous)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    users = read_users(path)
    assert not users.is_loose
    assert PasswordHasher().verify(users.hashes["alice"], "wonder:land ü")
    assert "wonder" not in path.read_text(encoding="utf-8")


@pytest.mark.usefixtures("cheap")
def test_everything_else_in_the_file_stays(tmp_path: Path) -> None:
    path = password_file(tmp_path, f"# ours\r\nbob:{GOOD}\r\nalice:$6$old$old\n\nalicia:{GOOD}\nalice:twice")
    path.chmod(0o644)

    set_password(path, "alice", "new")
    set_password(path, "carol", "new")

    comment, bob, alice, empty, alicia, carol, end = path.read_bytes().decode().split("\n")
    assert (comment, bob, empty, end) == ("# ours\r", f"bob:{GOOD}\r", "", "")
    assert alicia == f"alicia:{GOOD}"
    assert CHEAP.verify(alice.removeprefix("alice:"), "new")
    assert carol.startswith("carol:$argon2id$")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(read_users(path).hashes) == ["bob", "alice", "alicia", "carol"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["users.txt"]


@pytest.mark.usefixtures("cheap")
def test_an_empty_file_and_a_symbolic_link_are_kept(tmp_path: Path) -> None:
    real, link = password_file(tmp_path, ""), tmp_path / "link"
    link.symlink_to(real)
    set_password(link, "alice", "x")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8").startswith("alice:")


@pytest.mark.usefixtures("cheap")
def test_users_added_at_the_same_time_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "users.txt"
    names = [f"user-{number}" for number in range(16)]
    threads = [threading.Thread(target=set_password, args=(path, name, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_users(path).hashes) == sorted(names)


@pytest.mark.usefixtures("cheap")
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = password_file(tmp_path, f"bob:{GOOD}\n")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("doorlog.passwords.os.fsync", full)
    with pytest.raises(SettingsError, match="can not be written: No space left on device"):
        set_password(path, "alice", "x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["users.txt"]
    assert path.read_text(encoding="utf-8") == f"bob:{GOOD}\n"


@pytest.mark.usefixtures("cheap")
def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "users.txt"
    with pytest.raises(SettingsError, match=f"{path}: the password file can not be written: No such file"):
        set_password(path, "alice", "x")
