"""The alert rules on written series, by promtool: a healthy deployment of the handbook fires nothing, and
each fault of the runbook fires the alert that its section says, in time.

A sample is taken every 15 s; `AT` is the sample at which a fault begins.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

RULES = Path(__file__).resolve().parent.parent.parent / "deploy/prometheus/rules.yml"
STEP, SAMPLES, AT = 15, 100, 40
MINUTE = 60 // STEP
GONE = "stale"
NODES = tuple(f"node{number}" for number in range(4))
PROMTOOL = shutil.which("promtool")

pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="Prometheus is not installed")

OF_NODE = {
    "dtvn_voting": 1,
    "dtvn_members": 4,
    "dtvn_members_needed": 3,
    "dtvn_waiting_operations": 0,
    "dtvn_log_time_ahead_seconds": 0,
    "dtvn_view": 0,
    "dtvn_view_changes_installed_total": 0,
    "dtvn_evidence_total": 0,
    "dtvn_contradiction": 0,
    "dtvn_checkpoint_differs_total": 0,
    "dtvn_figures_age_seconds": 0.4,
    "dtvn_behind": 0,
    "dtvn_changing_view": 0,
    "dtvn_checkpoint_lag": 60,
    "dtvn_checkpoint_interval": 128,
    "dtvn_disk_full": 0,
    "dtvn_disk_full_in_seconds": 1e9,
    "dtvn_disk_free_bytes": 8e10,
    "dtvn_disk_size_bytes": 1e11,
    "dtvn_clock_offset_seconds": 0.001,
    "dtvn_mutes_total": 0,
    "dtvn_strangers_total": 0,
    "dtvn_queue_frames": 3,
    "dtvn_rebuilds_total": 0,
    "dtvn_api_unforeseen_errors_total": 0,
}
OF_PLATFORM = {
    "dtvn_platform_database_up": 1,
    "dtvn_platform_network_cut": 0,
    "dtvn_platform_network_cuts_total": 0,
    "dtvn_platform_lines_bad": 0,
    "dtvn_platform_decides": 1,
    "dtvn_platform_waiting_seconds": 0.02,
    "dtvn_platform_members": 4,
    "dtvn_platform_members_agreeing": 4,
    "dtvn_platform_members_needed": 3,
    "dtvn_platform_members_stopped": 0,
    "dtvn_platform_learner_lag_sequences": 1,
    "dtvn_platform_follower_age_seconds": 0,
    "dtvn_platform_log_time_ahead_seconds": 0,
    "dtvn_platform_unforeseen_errors_total": 0,
    "dtvn_platform_event_owed": 0,
}
PER_OWN_NODE = {
    "dtvn_platform_node_wanted": 1,
    "dtvn_platform_node_up": 1,
    "dtvn_platform_node_restarts_total": 0,
}


class Series:
    """What one Prometheus has scraped: each series as its value at every sample."""

    def __init__(self) -> None:
        self._values: dict[str, list[Any]] = {}
        self.platforms: list[tuple[str, tuple[str, ...]]] = []
        """Clusters whose platform is scraped, and the nodes that it runs."""

    def node(self, cluster: str, name: str) -> None:
        self._values[f'up{{job="dtvn-nodes",cluster="{cluster}",node="{name}"}}'] = [1] * SAMPLES
        for metric, value in OF_NODE.items():
            self._values[f'{metric}{{job="dtvn-nodes",cluster="{cluster}",node="{name}"}}'] = [
                value
            ] * SAMPLES
        latency = f'job="dtvn-nodes",cluster="{cluster}",node="{name}"'
        for bound in ("0.05", "+Inf"):
            bucket = f'consensus_latency_seconds_bucket{{{latency},le="{bound}"}}'
            self._values[bucket] = [100 * sample for sample in range(SAMPLES)]

    def platform(self, cluster: str, own: tuple[str, ...], **changed: float) -> None:
        self.platforms.append((cluster, own))
        where = f'job="dtvn-platform",cluster="{cluster}"'
        self._values[f"up{{{where}}}"] = [1] * SAMPLES
        for metric, value in (OF_PLATFORM | changed).items():
            self._values[f"{metric}{{{where}}}"] = [value] * SAMPLES
        for name in own:
            for metric, value in PER_OWN_NODE.items():
                self._values[f'{metric}{{{where},node_id="{name}"}}'] = [value] * SAMPLES

    def set(self, metric: str, value: Any, *, at: int = AT, samples: int = SAMPLES, **labels: str) -> None:
        """Give a metric another value for so many samples; `value`: or a function of their number."""
        found = [name for name in self._values if name.startswith(f"{metric}{{") and _has(name, labels)]
        assert found, (metric, labels)
        for name in found:
            for place in range(at, min(at + samples, SAMPLES)):
                self._values[name][place] = value(place - at) if callable(value) else value

    def lose(self, *, at: int, samples: int, job: str, **labels: str) -> None:
        """A target does not answer for so many samples: its counters begin anew."""
        for name in self._values:
            if _has(name, labels | {"job": job}):
                is_up = name.startswith("up{")
                for place in range(at, min(at + samples, SAMPLES)):
                    self._values[name][place] = 0 if is_up else GONE if place == at else "_"

    def text(self) -> list[dict[str, str]]:
        return [
            {"series": name, "values": " ".join(map(str, values))} for name, values in self._values.items()
        ]

    def firing(self, at: int) -> set[tuple[str, str]]:
        """(alert, severity) of all that fire at this sample."""
        return self.firing_at([at])[at]

    def firing_at(self, places: Iterable[int]) -> dict[int, set[tuple[str, str]]]:
        """The same at each of these samples."""
        query = 'count by (alertname, severity) (ALERTS{alertstate="firing"})'
        never = [{"labels": '{alertname="never"}', "value": 1}]
        asked = [{"expr": query, "eval_time": f"{place * STEP}s", "exp_samples": never} for place in places]
        told = _promtool({"input_series": self.text(), "interval": f"{STEP}s", "promql_expr_test": asked})
        found: dict[int, set[tuple[str, str]]] = {}
        for each in told.split("expr:")[1:]:
            place = round(_seconds(each.partition("time: ")[2].partition(",")[0])) // STEP
            got = each.partition("got:")[2]
            names = [part.partition('"')[0] for part in got.split('alertname="')[1:]]
            levels = [part.partition('"')[0] for part in got.split('severity="')[1:]]
            found[place] = {*zip(names, levels, strict=True)}
        assert {*found} == {*places}, told
        return found


def _has(name: str, labels: dict[str, str]) -> bool:
    return all(f'{label}="{value}"' in name for label, value in labels.items())


def _seconds(text: str) -> float:
    """ "10m15s" as promtool writes it."""
    total, number = 0.0, ""
    for sign in text.strip():
        if sign.isdigit() or sign == ".":
            number += sign
        else:
            total += float(number or 0) * {"h": 3_600, "m": 60, "s": 1}[sign]
            number = ""
    return total


def _promtool(test: dict[str, Any]) -> str:
    content = {"rule_files": [str(RULES)], "evaluation_interval": f"{STEP}s", "tests": [test]}
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "test", "rules", "/dev/stdin"],
        input=yaml.safe_dump(content, width=10**9),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def one_host() -> Series:
    """`make up` on one machine."""
    series = Series()
    for name in NODES:
        series.node("cup", name)
    series.platform("cup", NODES)
    return series


def a_party_of_four() -> Series:
    """Each party has a Prometheus of its own, which scrapes what it runs itself."""
    series = Series()
    series.node("cup", "node0")
    series.platform("cup", NODES[:1])
    return series


def two_networks() -> Series:
    """Two clusters, one Prometheus."""
    series = one_host()
    for name in NODES:
        series.node("fair", name)
    series.platform("fair", NODES)
    return series


def follower() -> Series:
    """A read-only copy asks no member."""
    series = Series()
    agreeing = dict.fromkeys(("members", "members_agreeing", "members_needed", "decides"), 0)
    series.platform("cup", (), **{f"dtvn_platform_{name}": value for name, value in agreeing.items()})
    series.set("dtvn_platform_follower_age_seconds", 1.5, at=0)
    return series


def nodes_alone() -> Series:
    """A host of nodes without a platform."""
    series = Series()
    series.node("cup", "node0")
    return series


DEPLOYMENTS: list[Callable[[], Series]] = [one_host, a_party_of_four, two_networks, follower, nodes_alone]


def steady(series: Series) -> None:
    """Nothing happens."""


def one_restart(series: Series) -> None:
    """A node of the platform is restarted: it votes again within 45 s."""
    for cluster, own in series.platforms:
        for name in own[:1]:
            _restart(series, cluster, name, AT)


def a_rolling_upgrade(series: Series) -> None:
    """All members, of this party and of others, one after the other; each may have been the primary."""
    for cluster, own in series.platforms:
        if not own:
            continue
        for turn, name in enumerate(NODES):
            at = AT + turn * 2 * MINUTE
            if name in own:
                _restart(series, cluster, name, at)
            else:
                _without(series, cluster, at)
        series.set("dtvn_view_changes_installed_total", lambda sample: min(4, sample // 8), cluster=cluster)
        series.set("dtvn_view", lambda sample: min(4, sample // 8), cluster=cluster)
        series.lose(at=AT + 40, samples=2, job="dtvn-platform", cluster=cluster)


def a_node_stopped_on_purpose(series: Series) -> None:
    """By its own platform; it stays away."""
    for cluster, own in series.platforms:
        for name in own[:1]:
            series.lose(at=AT, samples=SAMPLES, job="dtvn-nodes", cluster=cluster, node=name)
            series.set("dtvn_platform_node_wanted", 0, cluster=cluster, node_id=name)
            series.set("dtvn_platform_node_up", 0, cluster=cluster, node_id=name)
            series.set("dtvn_platform_members_stopped", 1, cluster=cluster)
            series.set("dtvn_platform_members_agreeing", 3, cluster=cluster)


def _restart(series: Series, cluster: str, name: str, at: int) -> None:
    series.lose(at=at, samples=2, job="dtvn-nodes", cluster=cluster, node=name)
    series.set("dtvn_platform_node_up", 0, at=at, samples=2, cluster=cluster, node_id=name)
    series.set("dtvn_voting", 0, at=at + 2, samples=1, cluster=cluster, node=name)
    _without(series, cluster, at)


def _without(series: Series, cluster: str, at: int) -> None:
    series.set("dtvn_platform_members_agreeing", 3, at=at, samples=3, cluster=cluster)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each.__name__)
@pytest.mark.parametrize(
    "happening",
    [steady, one_restart, a_rolling_upgrade, a_node_stopped_on_purpose],
    ids=lambda each: each.__name__,
)
def test_a_healthy_cluster_fires_nothing(
    deployment: Callable[[], Series], happening: Callable[[Series], None]
) -> None:
    series = deployment()
    happening(series)
    fired = series.firing_at(range(AT - 1, SAMPLES, 2))
    assert {place: alerts for place, alerts in fired.items() if alerts} == {}


CUP = {"cluster": "cup"}
NODE = CUP | {"node": "node1"}


def quorum_lost(series: Series) -> None:
    series.set("dtvn_platform_members_agreeing", 2, **CUP)
    series.set("dtvn_platform_decides", 0, **CUP)


def no_progress(series: Series) -> None:
    series.set("dtvn_platform_waiting_seconds", lambda sample: STEP * sample, **CUP)
    series.set("dtvn_platform_decides", 0, **CUP)


def node_lost(series: Series) -> None:
    series.lose(at=AT, samples=SAMPLES, job="dtvn-nodes", **NODE)
    series.set("dtvn_platform_node_up", 0, node_id="node1", **CUP)
    series.set("dtvn_platform_members_agreeing", 3, **CUP)


def line_comes_and_goes(series: Series) -> None:
    series.set("dtvn_platform_network_cuts_total", lambda sample: min(5, 1 + sample), **CUP)
    series.set("dtvn_platform_network_cut", lambda sample: int(sample < 5 and sample % 2 == 0), **CUP)


def changed(metric: str, value: Any, **labels: str) -> Callable[[Series], None]:
    def change(series: Series) -> None:
        series.set(metric, value, **labels)

    change.__name__ = metric
    return change


PAGE, TICKET = "page", "ticket"
FAULTS: list[tuple[Callable[[Series], None], float, set[tuple[str, str]]]] = [
    (quorum_lost, 0.5, {("DtvnQuorumLost", PAGE)}),
    (no_progress, 1.25, {("DtvnNoProgress", PAGE)}),
    (node_lost, 2.25, {("DtvnNodeNotStarting", TICKET), ("DtvnNoSpareNode", PAGE)}),
    (changed("dtvn_platform_members_agreeing", 3, **CUP), 2.25, {("DtvnNoSpareNode", PAGE)}),
    (changed("dtvn_platform_network_cut", 1, **CUP), 0.75, {("DtvnNetworkCut", TICKET)}),
    (line_comes_and_goes, 2.0, {("DtvnLineUnsteady", TICKET)}),
    (changed("dtvn_platform_lines_bad", 1, **CUP), 6.0, {("DtvnLineUnsteady", TICKET)}),
    (changed("dtvn_platform_log_time_ahead_seconds", 35, **CUP), 0.5, {("DtvnLogTimeAhead", PAGE)}),
    (changed("dtvn_platform_database_up", 0, **CUP), 1.25, {("DtvnPlatformDatabaseDown", PAGE)}),
    (changed("dtvn_platform_learner_lag_sequences", 900, **CUP), 1.25, {("DtvnLearnerLag", TICKET)}),
    (changed("dtvn_platform_follower_age_seconds", 90, **CUP), 1.25, {("DtvnFollowerOld", TICKET)}),
    (changed("dtvn_disk_full", 1, **NODE), 0.25, {("DtvnDiskFull", PAGE)}),
    (changed("dtvn_evidence_total", 1, **NODE), 0.25, {("DtvnEvidence", PAGE)}),
    (changed("dtvn_contradiction", 1, **NODE), 0.25, {("DtvnContradiction", PAGE)}),
    (changed("dtvn_figures_age_seconds", 9, **NODE), 0.5, {("DtvnNodeHangs", TICKET)}),
    (changed("dtvn_voting", 0, **NODE), 1.25, {("DtvnNodeNotVoting", TICKET)}),
    (changed("dtvn_behind", 900, **NODE), 1.25, {("DtvnNodeBehind", TICKET)}),
    (changed("dtvn_changing_view", 1, **NODE), 1.25, {("DtvnViewChangeStuck", PAGE)}),
    (changed("dtvn_clock_offset_seconds", -30, **NODE), 2.25, {("DtvnClockOffset", TICKET)}),
    (changed("dtvn_queue_frames", 5_000, **NODE), 1.25, {("DtvnOverloaded", TICKET)}),
    (changed("dtvn_mutes_total", 1, **NODE), 0.5, {("DtvnForgeries", TICKET)}),
]


@pytest.mark.parametrize(
    ("fault", "minutes", "alerts"), FAULTS, ids=lambda each: getattr(each, "__name__", "")
)
def test_a_fault_fires_the_alert_of_its_section_in_time(
    fault: Callable[[Series], None], minutes: float, alerts: set[tuple[str, str]]
) -> None:
    series = one_host()
    fault(series)
    assert series.firing(AT + round(minutes * MINUTE)) == alerts


@pytest.mark.parametrize("fault", [quorum_lost, no_progress], ids=lambda each: each.__name__)
def test_a_party_that_scrapes_one_node_pages_by_what_its_platform_knows(
    fault: Callable[[Series], None],
) -> None:
    series = a_party_of_four()
    fault(series)
    [(alert, severity)] = series.firing(AT + round(1.25 * MINUTE))
    assert (alert, severity) in {("DtvnQuorumLost", PAGE), ("DtvnNoProgress", PAGE)}


def test_of_two_networks_the_one_in_trouble_pages_alone() -> None:
    series = two_networks()
    quorum_lost(series)
    assert series.firing(AT + 2) == {("DtvnQuorumLost", PAGE)}


def test_without_a_platform_a_node_that_is_down_is_told_by_its_target() -> None:
    series = nodes_alone()
    series.lose(at=AT, samples=SAMPLES, job="dtvn-nodes", **CUP)
    assert series.firing(AT + MINUTE + 1) == {("DtvnNodeDown", TICKET)}
