"""The dashboard: Grafana's schema, panels that do not overlap, queries that Prometheus reads and has metrics for."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import yaml

from support.promtool import METRIC, metrics, needs_promtool, promtool

DASHBOARD: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "config" / "grafana" / "doorlog.json").read_text("utf-8")
)
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
QUERIES: list[str] = [
    *(target["expr"] for panel in PANELS for target in panel.get("targets", [])),
    *(note["expr"] for note in DASHBOARD["annotations"]["list"]),
]


def without_variables(query: str) -> str:
    """Put in what Grafana would."""
    return query.replace("$__rate_interval", "1m").replace("$instance", ".*")


def test_it_is_a_dashboard_of_grafanas_schema() -> None:
    assert DASHBOARD["schemaVersion"] == 39  # of Grafana 10.3 and 11
    assert "id" not in DASHBOARD, "an id is of one Grafana alone"
    assert DASHBOARD["uid"] == "doorlog"
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "instance"}
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    for panel in PANELS:
        assert panel["type"] in {"row", "stat", "timeseries", "bargauge"}
        assert panel["type"] == "row" or panel["targets"]


def test_no_panel_covers_another() -> None:
    cells = [
        set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        for at in (panel["gridPos"] for panel in PANELS)
    ]
    assert all(x < 24 for x, _ in set().union(*cells))
    assert sum(map(len, cells)) == len(set().union(*cells))


def test_each_query_asks_for_metrics_that_are_told() -> None:
    for query in QUERIES:
        asked = set(METRIC.findall(re.sub(r'"[^"]*"', '""', query)))
        assert asked, query
        assert asked <= metrics(), query


def test_no_query_is_left_without_its_broker() -> None:
    for query in QUERIES:
        assert query.count('job="doorlog",instance=~"$instance"') == query.count("{"), query


@needs_promtool
def test_prometheus_reads_each_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"dashboard:query:{number}", "expr": without_variables(query)}
        for number, query in enumerate(QUERIES)
    ]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    assert f"{len(QUERIES)} rules found" in promtool("check", "rules", "queries.yml", cwd=tmp_path)
