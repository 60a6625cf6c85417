"""The configurations of config/shippers, as far as they can be checked without the programs that read them."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from doorlog.log.schema import json_schema
from doorlog.log.segments import closed_segments
from support.log_page import schema_fields
from support.shipped_lines import Lines
from support.shippers import SHIPPERS

PAGE = SHIPPERS.parent.parent / "docs" / "shippers.md"
FILES = sorted(path for path in SHIPPERS.rglob("*") if path.is_file())
YAML = [path for path in FILES if path.suffix == ".yaml"]
FIELD = re.compile(
    r"(?:(?<=attributes\.)|(?<![\w./-]))(?:event|source|doorlog|tls|mqtt|user|device|service|destination)(?:\??\.[a-z_0-9]+)+"
)
NO_FIELDS = {"doorlog.alloy", "doorlog.conf", "doorlog.db", "doorlog.jsonl", "doorlog.receiver", "doorlog.service",
             "doorlog.targets", "service.telemetry"}  # fmt: skip
"""Names of files and of parts of a configuration that look like fields."""
LIVE = "/var/log/doorlog/doorlog.jsonl"


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def loaded(name: str) -> Any:
    return yaml.safe_load(text_of(SHIPPERS / name))


def ini(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=True, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names as they are written
    parser.read_string(text_of(SHIPPERS / name))
    return parser


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from (key, *leaves(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def fields_in(text: str) -> set[str]:
    found = {
        field.replace("?", "") for field in FIELD.findall(re.sub(r"^\s*(?:#|//).*$", "", text, flags=re.MULTILINE))
    }
    return found - NO_FIELDS


# every file


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SHIPPERS)))
def test_each_names_only_fields_that_records_have(path: Path) -> None:
    known = schema_fields(json_schema())

    assert {field for field in fields_in(text_of(path)) if field not in known} == set()


def test_the_search_for_fields_finds_them() -> None:
    assert {"event.code", "source.ip", "doorlog.stage"} <= fields_in(text_of(SHIPPERS / "promtail.yaml"))
    assert {"event.outcome", "service.instance.id"} <= fields_in(text_of(SHIPPERS / "otel-collector.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SHIPPERS)))
def test_each_begins_with_what_it_does_and_how_to_try_it(path: Path) -> None:
    comments = [line for line in text_of(path).splitlines() if line.startswith(("#", "//"))]

    assert re.match(r"(?:#|//) [A-Za-z0-9() -]+: ", comments[0])
    assert re.search(r"check it with: |try it with: ", "\n".join(comments[:4])), "how to try it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SHIPPERS)))
def test_each_is_on_the_page_with_an_honest_mark(path: Path) -> None:
    (row,) = re.findall(
        rf"^\| \[[^\]]+\]\(\.\./config/shippers/{re.escape(str(path.relative_to(SHIPPERS)))}\) \|.*$",
        text_of(PAGE),
        re.MULTILINE,
    )

    tested = path.stem in {"rsyslog", "syslog-ng", "logrotate"} or "fail2ban" in path.parts
    assert ("tested with the real program" in row) is tested
    assert ("checked without the program" in row) is not tested


def test_no_secret_and_no_machine_of_somebody_stands_in_them() -> None:
    for path in FILES:
        hosts = set(re.findall(r"https?://([\w.-]+)", text_of(path)))
        assert all(host.endswith(".example.com") for host in hosts), path
        assert not re.search(r"(?i)(password|token|api_key)\s*[:=]\s*[\"']?[A-Za-z0-9+/]{6}", text_of(path)), path


# which files they follow


def patterns() -> dict[str, list[str]]:
    """Return the names of files that each shipper follows."""
    alloy = re.findall(r'__path__ = "([^"]+)"', text_of(SHIPPERS / "alloy.alloy"))
    (filebeat,) = loaded("filebeat.yaml")["filebeat.inputs"]
    (fluent_bit,) = loaded("fluent-bit.yaml")["pipeline"]["inputs"]
    (promtail,) = loaded("promtail.yaml")["scrape_configs"]
    return {
        "alloy": alloy,
        "filebeat": filebeat["paths"],
        "fluent-bit": fluent_bit["path"].split(","),
        "otel-collector": loaded("otel-collector.yaml")["receivers"]["filelog/doorlog"]["include"],
        "promtail": [each["labels"]["__path__"] for each in promtail["static_configs"]],
        "vector": loaded("vector.yaml")["sources"]["doorlog_file"]["include"],
    }


@pytest.mark.parametrize(("shipper", "globs"), patterns().items())
def test_each_follows_the_live_file_and_no_compressed_one(shipper: str, globs: list[str]) -> None:
    names = ("doorlog-20260301T150211Z-0000000000000000001.jsonl", "doorlog.jsonl-20260301-1772377331")

    assert any(fnmatch(LIVE, glob) for glob in globs)
    for name, suffix in product((*names, "doorlog.jsonl"), (".zst", ".gz", ".tmp")):
        assert not any(fnmatch(f"/var/log/doorlog/{name}{suffix}", glob) for glob in globs)
    renamed = [any(fnmatch(f"/var/log/doorlog/{name}", glob) for glob in globs) for name in names]
    assert renamed == [shipper not in {"alloy", "promtail"}] * 2, "those that know a file by its name do not"


def test_what_logrotate_makes_is_one_of_the_renamed_files(tmp_path: Path) -> None:
    live = tmp_path / "doorlog.jsonl"
    for name in (live.name, "doorlog.jsonl-20260301-1772377331", "doorlog.jsonl-20260228-1772290931.gz"):
        (tmp_path / name).write_bytes(b"" if name.endswith("gz") else b'{"event":{"sequence":1}}\n')

    assert "dateformat -%Y%m%d-%s" in text_of(SHIPPERS / "logrotate.conf")
    (tmp_path / "doorlog.jsonl-20260228-1772290931.gz").unlink()
    assert [path.name for path in closed_segments(live)] == ["doorlog.jsonl-20260301-1772377331"]


def test_splunk_follows_the_same_files() -> None:
    (whitelist,) = [section["whitelist"] for name, section in ini("splunk/inputs.conf").items() if name != "DEFAULT"]

    assert re.search(whitelist, LIVE)
    assert re.search(whitelist, "/var/log/doorlog/doorlog-20260301T150211Z-0000000000000000001.jsonl")
    assert re.search(whitelist, "/var/log/doorlog/doorlog.jsonl-20260301-1772377331")
    assert not re.search(whitelist, f"{LIVE}.zst")
    assert not re.search(whitelist, f"{LIVE}-20260301-1772377331.gz")


# what they make of a line


def test_the_first_256_bytes_tell_files_apart() -> None:
    """Filebeat, the Collector and Splunk know a file by how it begins; the shortest record is longer than that."""
    lines = Lines().next(40)

    assert min(map(len, lines)) > 256
    assert all(re.match(rb'\{"@timestamp":"[^"]{27}","message":', line) for line in lines)
    assert loaded("otel-collector.yaml")["receivers"]["filelog/doorlog"]["fingerprint_size"] == 256
    assert loaded("filebeat.yaml")["filebeat.inputs"][0]["prospector.scanner.fingerprint"]["length"] == 256


def test_splunk_finds_the_time_at_the_beginning_and_lines_at_their_ends() -> None:
    props = ini("splunk/props.conf")["doorlog"]
    line = Lines().next(1)[0].decode()
    prefix = re.match(props["TIME_PREFIX"], line)

    assert prefix is not None
    stamp = line[prefix.end() :][: int(props["MAX_TIMESTAMP_LOOKAHEAD"])]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stamp)
    assert re.findall(props["LINE_BREAKER"], line + line) == ["\n", "\n"]


def test_what_loki_gets_as_labels_has_few_values() -> None:
    stages = loaded("promtail.yaml")["scrape_configs"][0]["pipeline_stages"]
    named = {key: value for stage in stages for key, value in stage.items()}
    expressions = named["json"]["expressions"]

    assert {expressions[label] for label in named["labels"]} == {
        "event.action", "event.outcome", "event.code", "doorlog.listener", "service.instance.id",
    }  # fmt: skip
    pairs = re.compile(r'^\s+(\w+)\s*= "(?:\\")?([\w.@]+)(?:\\")?",$', re.MULTILINE)
    alloy = dict(pairs.findall(text_of(SHIPPERS / "alloy.alloy")))
    assert {name: path.strip('"') for name, path in expressions.items()}.items() <= alloy.items()


def test_the_parts_of_each_fit_together() -> None:
    collector = loaded("otel-collector.yaml")
    (pipeline,) = collector["service"]["pipelines"].values()
    assert set(pipeline["receivers"]) == set(collector["receivers"])
    assert set(pipeline["exporters"]) == set(collector["exporters"])
    assert set(collector["service"]["extensions"]) == set(collector["extensions"])

    vector = loaded("vector.yaml")
    assert vector["transforms"]["doorlog_record"]["inputs"] == list(vector["sources"])
    assert vector["sinks"]["console"]["inputs"] == list(vector["transforms"])

    fluent_bit = loaded("fluent-bit.yaml")
    (source,), (target,) = fluent_bit["pipeline"]["inputs"], fluent_bit["pipeline"]["outputs"]
    assert source["parser"] in {parser["name"] for parser in fluent_bit["parsers"]}
    assert fnmatch(source["tag"], target["match"])


def test_braces_and_quotes_of_the_other_languages_are_closed() -> None:
    for name in ("alloy.alloy", "rsyslog.conf", "syslog-ng.conf", "logrotate.conf"):
        text = re.sub(r"(?:^|(?<=\s))(?:#|//) .*$", "", text_of(SHIPPERS / name), flags=re.MULTILINE)
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
        assert '"' not in bare, name
        assert all(bare.count(opening) == bare.count(closing) for opening, closing in ("{}", "()", "[]")), name


def test_a_record_is_shorter_than_what_each_of_them_cuts() -> None:
    """The longest that the door writes: every text of a stranger at its limit, each character escaped six-fold."""
    longest = 2_048 * 6 * 8 + 16_384

    assert longest < 262_144 == 256 * 1024
    assert 'maxMessageSize="256k"' in text_of(SHIPPERS / "rsyslog.conf")
    assert "log-msg-size(262144)" in text_of(SHIPPERS / "syslog-ng.conf")
    assert loaded("vector.yaml")["sources"]["doorlog_file"]["max_line_bytes"] > longest
    assert int(ini("splunk/props.conf")["doorlog"]["TRUNCATE"]) > longest
    assert max(map(len, Lines().next(40))) > 65_536, "the flow tests send longer ones than the programs cut unasked"


def test_every_yaml_file_is_one_document_of_names() -> None:
    for path in YAML:
        assert all(isinstance(name, str) for name in yaml.safe_load(text_of(path))), path
        assert orjson.dumps(list(leaves(yaml.safe_load(text_of(path))))), path
