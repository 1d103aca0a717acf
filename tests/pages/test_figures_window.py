"""The window of the nodes' metrics that the web process keeps for its pages."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.pages.learner import RealLearner
from validators import figures_window
from validators.figures_window import (
    INTERVAL,
    LATENCY,
    RECENT,
    SPAN,
    FiguresWindow,
    NodeFigures,
    Sampler,
    quantile,
    read_node_figures,
)

TEXT = """
# TYPE peer_count gauge
peer_count 3
# TYPE network_bytes_transmitted counter
network_bytes_transmitted_total{peer="a"} 10
network_bytes_transmitted_total{peer="b"} 5
# TYPE consensus_latency_seconds histogram
consensus_latency_seconds_bucket{le="0.005"} 1
consensus_latency_seconds_bucket{le="0.01"} 4
consensus_latency_seconds_bucket{le="+Inf"} 4
consensus_latency_seconds_sum 0.5
consensus_latency_seconds_count 4
"""


def counted(number: float, *, slow: float = 0.0) -> NodeFigures:
    """A node that decided `number` operations within 5 ms each, `slow` more within 10 ms."""
    return NodeFigures(
        decided=number + slow,
        gossip=2 * number,
        traffic=100 * number,
        peers=3,
        sequence=number,
        latency={0.005: number, 0.01: number + slow, math.inf: number + slow},
    )


def test_figures_of_a_node_are_sums_over_labels() -> None:
    found = read_node_figures(TEXT)
    assert (found.peers, found.traffic, found.decided) == (3, 15, 0)
    assert found.latency == {0.005: 1, 0.01: 4, math.inf: 4}


def test_an_import_counts_as_throughput() -> None:
    """Tickets that are issued or seeded are decided; sessions and barriers are no ticket's."""
    text = "".join(
        f'dtvn_operations_total{{kind="{kind}",outcome="{outcome}"}} {number}\n'
        for kind, outcome, number in (
            ("issue", "ok", 20_000.0),
            ("issue", "already_issued", 300.0),
            ("seed", "ok", 1.0),
            ("validate", "ok", 40.0),
            ("open_session", "ok", 7_000.0),
            ("barrier", "ok", 60_000.0),
        )
    )
    assert read_node_figures(text).decided == 20_341


def test_a_page_cut_off_within_a_label_is_read_up_to_there() -> None:
    found = read_node_figures('peer_count 2\nnetwork_bytes_transmitted_total{peer="')
    assert (found.peers, found.traffic) == (2, 0)


@pytest.mark.parametrize("text", ["peer_count NaN", "peer_count +Inf", "peer_count many", f"{LATENCY} 1"])
def test_a_page_with_unusable_values_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"finite|float"):
        read_node_figures(text)


def test_a_point_is_what_the_nodes_did_since_the_one_before() -> None:
    window = FiguresWindow()
    window.add(100.0, {"a": counted(10), "b": counted(4)})
    window.add(102.0, {"a": counted(16), "b": counted(9)})
    first, second = window.points(102.0)
    assert (first.throughput, first.p50, first.sequence, first.peers) == (None, None, 10, 3)
    assert second.throughput == 6 / 2, "all count the same operations: the most of any node"
    assert (second.gossip, second.traffic) == (2 * 11 / 2, 100 * 11 / 2), "each counts its own: the sum"


def test_a_node_that_began_anew_adds_nothing_to_a_rate() -> None:
    window = FiguresWindow()
    window.add(100.0, {"a": counted(10), "b": counted(400)})
    window.add(102.0, {"a": counted(12), "b": counted(1), "c": counted(50)})
    assert window.points(102.0)[-1].throughput == 1.0


def test_without_a_decision_a_point_has_no_latency() -> None:
    window = FiguresWindow()
    for at, number in ((100.0, 10), (102.0, 11), (104.0, 11)):
        window.add(at, {"a": counted(number)})
    assert [point.p95 is None for point in window.points(104.0)] == [True, False, True]
    assert window.points(104.0)[-1].throughput == 0.0


def test_percentiles_are_interpolated_within_their_bucket() -> None:
    buckets = {0.005: 50.0, 0.01: 90.0, 0.025: 98.0, math.inf: 100.0}
    assert quantile(buckets, 0.5) == pytest.approx(0.005)
    assert quantile(buckets, 0.95) == pytest.approx(0.01 + 0.015 * 5 / 8)
    assert quantile(buckets, 0.99) == 0.025, "beyond the highest finite bound"
    assert quantile({}, 0.5) is None
    assert quantile(dict.fromkeys(buckets, 0.0), 0.5) is None


def test_the_latency_of_now_covers_the_last_minute() -> None:
    window = FiguresWindow()
    window.add(100.0, {"a": counted(0)})
    window.add(102.0, {"a": counted(10)})
    assert window.latency(103.0)["p99"] == pytest.approx(0.99 * 0.005)
    window.add(150.0, {"a": counted(10, slow=10)})
    assert window.latency(151.0)["p95"] == pytest.approx(0.005 + 0.005 * 9 / 10)
    assert window.latency(165.0)["p50"] == pytest.approx(0.0075), "only the slow ones are recent"
    assert set(window.latency(300.0).values()) == {None}


def test_the_window_is_bounded_in_number_and_in_age() -> None:
    window = FiguresWindow()
    for turn in range(10_000):
        window.add(turn * INTERVAL, {"a": counted(turn)})
    now = 9_999 * INTERVAL
    points = window.points(now)
    assert len(points) == SPAN / INTERVAL
    assert points[0].at > now - SPAN
    assert len(window._latencies) == RECENT / INTERVAL
    assert [point.at for point in window.points(now, after=now - 3)] == [now - INTERVAL, now]
    assert window.points(now + SPAN) == [], "what is old is not shown, though nothing came after it"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which nodes' metrics were read; each decides one operation more at each look."""
    names: list[str] = []

    def tell(node_id: str) -> str | None:
        names.append(node_id)
        decided = f'dtvn_operations_total{{kind="admit",outcome="ok"}} {names.count(node_id)}\n'
        return None if node_id == "r3" else decided

    monkeypatch.setattr(figures_window, "read_metrics", tell)
    return names


@pytest.mark.django_db(databases=["default", "learner"])
def test_a_page_opened_later_gets_the_points_from_before(
    learner: RealLearner, client: Client, asked: list[str], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """The second page asks no node for what the first one saw."""
    now = time.time() - 20
    own = Sampler(lambda: now)
    monkeypatch.setattr("validators.dashboard.pages.sampler", own)
    client.force_login(User.objects.create_superuser("operator", password="x"))
    for _ in range(5):
        own.refresh()
        own.refresh()
        now += INTERVAL
    own.refresh()
    assert asked.count("r0") == 6, "one look an interval, however often it is wanted"
    told = client.get("/dashboard/figures").json()
    assert (told["asked"], told["answering"]) == (4, 3)
    assert [point["throughput"] for point in told["points"]] == [None, *[0.5] * 5]
    assert asked.count("r0") == 6
    newest = told["points"][-1]["at"]
    assert client.get(f"/dashboard/figures?after={newest}").json()["points"] == []
    assert client.get("/dashboard/figures?after=soon").status_code == 400
