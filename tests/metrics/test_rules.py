"""Alert rules, dashboards and scrape files against the metrics that a node and the platform really export."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dtvn.node.metrics.names import ALL
from dtvn.node.settings import SETTINGS
from tests.metrics.promql import Comparison, Expression, alternatives
from tests.metrics.scraping import Page
from tests.metrics.test_exporter import page, until
from tests.node.running import Running
from validators.data_folder.environment import VARIABLES

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
BOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
OF_PROMETHEUS = {"up": {"job"}}
OF_TARGETS = {"cluster", "node", "job", "instance"}
"""Labels that the scrape adds: see deploy/prometheus/prometheus.yml and DATA/prometheus."""
UP = "1 if its metrics could be read."
NOT_JUDGED = {
    "DtvnQuorumLost",
    "DtvnNoSpareNode",
    "DtvnNoProgress",
    "DtvnLatencyHigh",
    "DtvnViewsDiffer",
    "DtvnCheckpointLag",
    "DtvnDiskLow",
}
"""Metrics compared with each other, and a quantile: test_alerts evaluates these."""
NODE_LABELS = {metric.name: set(metric.labels) for metric in ALL}


def rules() -> list[dict[str, Any]]:
    content = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in content["groups"] for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """(where, expression) of every rule and panel."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for board in BOARDS:
        content = json.loads(board.read_text(encoding="utf-8"))
        for panel in content["panels"]:
            for target in panel["targets"]:
                yield f"{board.name}: {panel['title']}", target["expr"]
        for variable in content["templating"]["list"]:
            yield f"{board.name}: ${variable['name']}", variable["query"]["query"]


def of_platform(metric: str) -> bool:
    return metric.startswith(("dtvn_platform_", "django_"))


def used(*, platform: bool) -> dict[str, list[tuple[str, set[str]]]]:
    """Metric to where it is used and with which labels."""
    found: dict[str, list[tuple[str, set[str]]]] = {}
    for where, text in queries():
        expression = Expression(text)
        for metric, labels in expression.metrics.items():
            if where.partition(": ")[2].startswith("$") and metric in ("cluster", "node"):
                continue  # label_values(metric, label)
            if of_platform(metric) == platform and metric not in OF_PROMETHEUS:
                found.setdefault(metric, []).append((where, labels | expression.grouped))
    return found


def samples_of(page: Page) -> dict[str, set[str]]:
    """Sample name to label names, as exported now."""
    found: dict[str, set[str]] = {}
    for name, labels in page.samples:
        found.setdefault(name, set()).update(dict(labels))
    return found


def test_a_running_node_exports_what_rules_and_dashboards_read(measured: Running) -> None:
    until(measured, "dtvn_voting", 1)
    shown = page(measured)
    samples = samples_of(shown)
    for metric, uses in used(platform=False).items():
        family = re.sub(r"_(bucket|sum|count)$", "", metric) if metric not in shown.types else metric
        assert family in shown.types, f"{metric} is not exported: {uses}"
        known = NODE_LABELS.get(family, set()) | samples.get(metric, set()) | OF_TARGETS
        known |= {"le"} if metric.endswith("_bucket") else set()
        for where, labels in uses:
            assert labels <= known, f"{where}: {metric} has no label {labels - known}"


def possible(shown: Page, one: Comparison) -> tuple[float, float]:
    """Two values that it must tell apart: of a flag both, of a counter that never falls none and the first,
    else nothing and more than any threshold."""
    flag = shown.texts.get(one.metric, UP).startswith("1 if ")
    first = shown.types.get(one.metric) == "counter" and not one.function
    return (0, 1 if flag or first else math.inf)


def quiet(shown: Page, one: Comparison) -> float:
    """Its value while all is well: flags as they are shown."""
    text = shown.texts.get(one.metric, UP)
    if text.startswith("1 if "):
        return 1 if one.metric in OF_PROMETHEUS else next(iter(shown.of(one.metric).values()))
    return math.inf if text.endswith("+Inf: never.") else 0


def judge(shown: Page, *, platform: bool) -> None:
    """Each threshold can be crossed, and no alert fires while all is well."""
    left = set()
    for rule in rules():
        for parts in alternatives(rule["expr"]):
            simple = [part for part in parts if part is not None]
            if len(simple) < len(parts):
                left.add(rule["alert"])
                continue
            [ours] = {of_platform(part.metric) == platform for part in simple}
            for part in simple if ours else ():
                told = {part.holds(value) for value in possible(shown, part)}
                assert told == {True, False}, f"{rule['alert']}: {part}"
            fires = ours and all(part.holds(quiet(shown, part)) for part in simple)
            assert not fires, f"{rule['alert']} while all is well"
    assert left == NOT_JUDGED


def test_labels_in_alert_texts_exist() -> None:
    for rule in rules():
        expression = Expression(rule["expr"])
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        if expression.grouped:
            assert shown <= expression.grouped, rule["alert"]
            continue
        for metric in expression.metrics:
            own = NODE_LABELS.get(metric, set()) | ({"node_id"} if of_platform(metric) else set())
            assert shown <= own | OF_TARGETS, rule["alert"]


def test_each_alert_has_a_section_in_the_runbook_and_each_section_an_alert() -> None:
    text = (ROOT / "docs/operate/runbook.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (\w+)\n\n(?=\S)", text, flags=re.MULTILINE)
    alerts = [rule["alert"] for rule in rules()]
    assert sorted(sections) == sorted(alerts)
    assert len(set(alerts)) == len(alerts)
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/operate/runbook.md#{rule['alert'].lower()}"
        assert f"## {rule['alert']}\n\nSeverity: {rule['labels']['severity']}.\n" in text
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


def test_dashboards_read_the_source_that_is_provisioned() -> None:
    folder = ROOT / "deploy/grafana/provisioning"
    [source] = yaml.safe_load((folder / "datasources/dtvn.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((folder / "dashboards/dtvn.yml").read_text())["providers"]
    assert provider["options"]["path"].endswith("/deploy/grafana/dashboards")
    for board in BOARDS:
        content = json.loads(board.read_text(encoding="utf-8"))
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in content["panels"]]
        assert len(set(places)) == len(places)
        for panel in content["panels"]:
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}


def test_the_scrape_file_is_that_of_the_contract() -> None:
    content = yaml.safe_load((ROOT / "config/prometheus.yml").read_text(encoding="utf-8"))
    assert content["global"] == {
        "scrape_interval": "15s",
        "evaluation_interval": "15s",
        "external_labels": {"cluster": "dtvn", "environment": "development"},
    }
    validators, own = content["scrape_configs"]
    [group] = validators["static_configs"]
    assert validators["job_name"] == "validator-nodes"
    assert group["targets"] == [f"validator-{number}:9090" for number in range(7)]
    assert group["labels"] == {"group": "validators"}
    assert (own["job_name"], own["static_configs"]) == ("prometheus", [{"targets": ["localhost:9090"]}])


def test_the_pages_of_the_handbook_name_every_metric_variable_and_key() -> None:
    metrics = (ROOT / "docs/operate/metrics.md").read_text(encoding="utf-8")
    ours = [metric.name for metric in ALL if metric.name.startswith("dtvn_")]
    assert [name for name in ours if name not in metrics] == []
    page = (ROOT / "docs/operate/configuration.md").read_text(encoding="utf-8")
    assert [variable.name for variable in VARIABLES if f"`{variable.name}`" not in page] == []
    keys = [setting.key for setting in SETTINGS if not setting.secret]
    assert [key for key in keys if f"`{key}`" not in page] == []
    assert [s.flag for s in SETTINGS if s.flag and f"`-{s.flag}`" not in page] == []


@pytest.mark.parametrize("text", ["sum(dtvn_view", "nonsense(dtvn_view)", "dtvn_view{a}", "dtvn_view ; up"])
def test_a_broken_expression_is_noticed(text: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        Expression(text)


def test_names_and_labels_are_found_in_expressions() -> None:
    text = 'histogram_quantile(0.95, sum by (a, le) (rate(x_bucket{b="1",c!~"2"}[5m]))) > 1 and -y < +Inf'
    found = Expression(text)
    assert found.metrics == {"x_bucket": {"b", "c"}, "y": set()}
    assert found.grouped == {"a", "le"}
