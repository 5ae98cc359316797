"""The dashboard, the scrape and the alerts of the documentation: they name metrics and labels that there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from neuralrouting.telemetry.families import FAMILIES, TURNED_AWAY

DOCS = Path(__file__).parents[2] / "docs"
DASHBOARD: dict[str, Any] = json.loads((DOCS / "grafana" / "neuralrouting.json").read_text())
OBSERVABILITY = (DOCS / "observability.md").read_text()
NAMES = {family.name: family for family in FAMILIES}
SERIES: dict[str, set[str]] = {TURNED_AWAY: set()}
for family in FAMILIES:
    for suffix in ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",):
        SERIES[family.name + suffix] = set(family.labels) | ({"le"} if suffix == "_bucket" else set())
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", OBSERVABILITY, re.DOTALL)]
RULES = [rule for block in BLOCKS for group in block.get("groups", ()) for rule in group["rules"]]
QUERIES = [
    *(pytest.param(t["expr"], id=f"panel {p['title']} {t['refId']}") for p in DASHBOARD["panels"]
      for t in p.get("targets", ())),
    *(pytest.param(v["definition"], id=f"variable {v['name']}") for v in DASHBOARD["templating"]["list"]
      if "definition" in v),
    *(pytest.param(rule["expr"], id=f"alert {rule['alert']}") for rule in RULES),
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_names_series_and_labels_that_there_are(query: str):
    named = re.findall(r"neuralrouting_\w+", query)
    assert named
    assert set(named) <= SERIES.keys()
    known = set[str]().union(*(SERIES[name] for name in named))
    for name, matchers in re.findall(r"(neuralrouting_\w+)\{([^}]*)\}", query):
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= SERIES[name]
    for grouped in re.findall(r"by \(([^)]*)\)", query):
        assert {label.strip() for label in grouped.split(",")} <= known
    assert query.count("(") == query.count(")")


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_a_panel_takes_the_datasource_that_is_chosen(panel: dict[str, Any]):
    for target in panel.get("targets", ()):
        assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        labels = set[str]().union(*(SERIES[name] for name in re.findall(r"neuralrouting_\w+", target["expr"])))
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels


def test_no_two_panels_lie_on_each_other():
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        own = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & own, panel["title"]
        cells |= own


def test_the_document_lists_every_metric_with_its_labels():
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels) or "-"
        assert (
            f"| `{family.name}` | {family.kind if family.kind in ('counter', 'histogram') else 'gauge'} | {labels} |"
            in (OBSERVABILITY)
        )
    assert f"`{TURNED_AWAY}`" in OBSERVABILITY


def test_the_examples_are_a_scrape_and_rules_for_alerts():
    [scrape] = [block for block in BLOCKS if "scrape_configs" in block]
    [job] = scrape["scrape_configs"]
    assert job["authorization"]["type"] == "Bearer"
    assert job.get("metrics_path", "/metrics") == "/metrics"
    assert len(RULES) >= 5
    assert all(rule["for"] and rule["annotations"]["summary"] for rule in RULES)
