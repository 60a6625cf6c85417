"""What an operator writes into a CSV file is taken as it is meant, or every fault of it is named and nothing taken."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorlog.errors import DirectoryError
from doorlog.identity import inventory
from doorlog.identity.inventory import LONGEST, MOST_VALUES, Imported, read_inventory, store_inventory
from doorlog.identity.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "devices.csv"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_store(tmp_path / "devices.db")) as connection:
        yield connection


def taken(file: Path, content: str | bytes) -> list[Imported]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_inventory(file)


def faults_of(file: Path, content: str | bytes) -> list[str]:
    with pytest.raises(DirectoryError) as caught:
        taken(file, content)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{file}: ") and line.isprintable() for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]


# what is meant


PUMP = Imported("pump-17", "Pump 17", "berlin", "P2", "A12", ("192.0.2.17", "2001:db8::17"), ("water", "old"))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
def test_what_spreadsheets_write_is_read(file: Path, separator: str, end: str, begin: str) -> None:
    header = ["id", "name", "site", "model", "serial", "addresses", "tags"]
    row = ["pump-17", "Pump 17", "berlin", "P2", "A12", "192.0.2.17 2001:db8::17", "water old"]

    assert taken(file, begin + end.join(separator.join(cells) for cells in (header, row)) + end) == [PUMP]


def test_only_the_id_must_be_there_and_columns_come_in_any_order_and_case(file: Path) -> None:
    assert taken(file, "Site, ID \nberlin, pump-17 \n,pump-18\n") == [
        Imported("pump-17", site="berlin"),
        Imported("pump-18"),
    ]


def test_rows_may_be_short_or_empty_and_the_last_one_without_an_end(file: Path) -> None:
    assert taken(file, "id,site,tags\n\npump-17\n,,\n  \npump-18,,x") == [
        Imported("pump-17"),
        Imported("pump-18", tags=("x",)),
    ]


def test_quotes_hold_separators_and_quotes(file: Path) -> None:
    assert taken(file, 'id,name\n"a,b","the ""old"" one"\n') == [Imported("a,b", 'the "old" one')]


def test_names_may_be_of_any_language(file: Path) -> None:
    assert taken(file, "id,name,site\npümp,ポンプ\u3000二,Saint\u00a0Étienne\n")[0].name == "ポンプ\u3000二"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("192.0.2.17", ("192.0.2.17",)),
        ("2001:0DB8:0:0:0:0:0:17", ("2001:db8::17",)),
        ("::ffff:192.0.2.17", ("192.0.2.17",)),
        ("fe80::1%eth0", ("fe80::1",)),
        ("::1 0:0:0:0:0:0:0:1  ::1", ("::1",)),
    ],
)
def test_addresses_are_understood_in_any_notation(file: Path, written: str, meant: tuple[str, ...]) -> None:
    assert taken(file, f"id,addresses\npump-17,{written}\n")[0].addresses == meant


# what can not be meant


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "line 1: has no column id: the first line names the columns, of id, name, site"),
        ("\n\n", "line 1: has no column id"),
        ("pump-17,berlin\n", "line 1: has no column id"),
        ("id,site\n", "line 2: there is no device: write a line for each"),
        ("id,colour\nx,red\n", "line 1: column 'colour' is not known; there are id, name, site, model, serial"),
        ("id,\x1b[31m\nx,red\n", "line 1: column '\\u001B[31m' is not known"),
        ("id,id\nx,y\n", "line 1: column id is there twice: remove one of them"),
        ("id,site,,\nx,y,,\n", "line 1: column 3 has no name: name it, or remove it and its separators"),
        ("id,site\n,berlin\n", "line 2: id: is empty: write it as it stands in device.id of the records"),
        ("site,id\nberlin\n", "line 2: id: is empty"),
        ("id\nx\ny\nx\n", "line 4: id: 'x' is there twice: give each device one line"),
        ("id,site\nx,a,b\n", "line 2: has 3 values for 2 columns: put a value that holds the separator in quotes"),
        ("id\nx\x1b[2J\n", "line 2: id: is longer than 256 characters, or holds control characters: shorten it"),
        ("id\nx\0y\n", "line 2: id: is longer"),
        ("id,name\nx,evil\u202egpj\n", "line 2: name: is longer"),
        (f"id,name\nx,{'n' * (LONGEST + 1)}\n", "line 2: name: is longer"),
        ("id,tags\nx,a\x07b\n", "line 2: tags: one is longer than 256 characters, or holds control characters"),
        (f"id,tags\nx,{' '.join(map(str, range(MOST_VALUES + 1)))}\n", "line 2: tags: has more than 64 values"),
        ("id,addresses\nx,192.0.2.300\n", "line 2: addresses: '192.0.2.300' is no IPv4 or IPv6 address: write them"),
        ("id,addresses\nx,192.0.2.017\n", "line 2: addresses: '192.0.2.017' is no"),
        ("id,addresses\nx,[::1]:8883\n", "line 2: addresses: '[::1]:8883' is no"),
        ("id,addresses\nx,10.0.0.0/8\n", "line 2: addresses: '10.0.0.0/8' is no"),
        ('id,addresses\nx,"10.0.0.1,10.0.0.2"\n', "line 2: addresses: '10.0.0.1,10.0.0.2' is no"),
        ("id,addresses\nx,\x1b]0;y\x07\n", "line 2: addresses: '\\u001B]0;y\\u0007' is no"),
        ('id,name\nx,a\ny,"never closed\nz,b\n', "line 3: is no CSV (unexpected end of data): close each quote"),
        ('id,name\nx,"a"b\n', "line 2: is no CSV (',' expected after '\"'): close each quote"),
        ('"id\nx\n', "line 1: is no CSV (unexpected end of data): close each quote"),
        ('id,name\nx,"two\nlines"\ny,ok\n,no id\n', "line 2: name: is longer"),
        (f"id,name\nx,{'n' * 10_000_000}\n", "line 2: it is longer than 65,536 characters: end each device with a"),
        (f'id,name\nx,"{("n" * 60_000 + chr(10)) * 100}', "line 2: is no CSV (field larger than field limit"),
        (b"id,name\nx,caf\xe9\n", "line 2: it is no UTF-8 text: save the file as CSV UTF-8"),
        ("id,name\nx,y\n".encode("utf-16"), "line 1: it is no UTF-8 text: save the file as CSV UTF-8"),
        (b"id\nx\xed\xa0\x80\n", "line 2: it is no UTF-8 text"),
    ],
)
def test_every_fault_is_told_with_its_line_and_the_remedy(file: Path, content: str | bytes, fault: str) -> None:
    assert faults_of(file, content)[0].startswith(fault)


def test_a_fault_behind_values_of_several_lines_has_its_line(file: Path) -> None:
    assert [fault[:7] for fault in faults_of(file, 'id,name\nx,"two\nlines"\ny,ok\n,no id\n')] == ["line 2:", "line 5:"]


def test_all_faults_are_told_at_once_up_to_twenty(file: Path) -> None:
    assert len(faults_of(file, "id,addresses\n,nowhere\nx,y\n")) == 3
    assert len(faults_of(file, "id\n" + "x,y\n" * 30)) == 20


def test_more_devices_than_can_be_taken_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "MOST_DEVICES", 3)
    assert len(taken(file, "id\n1\n2\n3\n")) == 3
    assert faults_of(file, "id\n1\n2\n3\n4\n") == ["line 5: id: there are more than 3 devices: leave some out"]


def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "nowhere.csv", "No such file or directory")):
        with pytest.raises(DirectoryError, match="can not be read") as caught:
            read_inventory(path)
        assert str(caught.value) == f"{path}: can not be read: {why}"


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"id,name\n{text}".encode()))
def test_whatever_is_in_the_file_it_is_taken_or_its_faults_are_told(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "anything.csv"
    file.write_bytes(content)
    try:
        devices = read_inventory(file)
    except DirectoryError as error:
        assert all(line.startswith(f"{file}: line ") for line in str(error).split("\n"))  # noqa: PT017 - or taken
    else:
        assert devices
        assert all(len(device.id) <= LONGEST for device in devices)


# into the directory


def stored(directory: sqlite3.Connection) -> dict[str, tuple[str | None, list[str]]]:
    """Return the site and the addresses of each device of the inventory."""
    sites = dict(directory.execute("SELECT id, site FROM inventory").fetchall())
    found = directory.execute("SELECT id, address FROM inventory_address ORDER BY address").fetchall()
    return {name: (site, [address for id_, address in found if id_ == name]) for name, site in sites.items()}


def test_devices_are_stored_and_replaced_by_their_id(directory: sqlite3.Connection) -> None:
    one, two = Imported("1", site="berlin", addresses=("192.0.2.1", "::1")), Imported("2")
    assert store_inventory(directory, [one, two], replace=False) == (2, 0)

    assert store_inventory(directory, [one._replace(site="rome", addresses=("::2",))], replace=False) == (0, 0)
    assert stored(directory) == {"1": ("rome", ["::2"]), "2": (None, [])}


def test_only_what_is_to_be_replaced_is_removed(directory: sqlite3.Connection) -> None:
    store_inventory(directory, [Imported("1", addresses=("::1",)), Imported("2")], replace=False)

    assert store_inventory(directory, [Imported("2"), Imported("3")], replace=True) == (1, 1)
    assert stored(directory) == {"2": (None, []), "3": (None, [])}
    assert directory.execute("SELECT count(*) FROM inventory_address").fetchone() == (0,)


def test_all_or_nothing(directory: sqlite3.Connection) -> None:
    store_inventory(directory, [Imported("1", site="berlin")], replace=False)

    def breaking_off() -> Iterator[Imported]:
        yield Imported("1", site="rome")
        yield Imported("2")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_inventory(directory, breaking_off(), replace=True)
    assert stored(directory) == {"1": ("berlin", [])}


def test_a_directory_that_can_not_be_written_is_told(directory: sqlite3.Connection) -> None:
    directory.execute("PRAGMA query_only = ON")

    with pytest.raises(DirectoryError, match=r"can not be written: .*; nothing was imported"):
        store_inventory(directory, [Imported("1")], replace=False)
