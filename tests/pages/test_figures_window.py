"""The window of the nodes' metrics that the web process keeps for its pages."""

from __future__ import annotations

import logging
import math
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.integration.web_process import web_process
from tests.pages.learner import RealLearner
from tests.waiting import PATIENCE
from validators import figures_window
from validators.data_folder.folder import DataFolder
from validators.figures_window import (
    INTERVAL,
    INTERVAL_UNSEEN,
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


def test_a_log_that_is_replayed_is_no_throughput() -> None:
    """A newcomer that fetched 5,000 operations drew a peak of 2,500 a second."""
    window = FiguresWindow()
    newcomer = [NodeFigures(decided=d, sequence=s, behind=b) for d, s, b in ((9, 9, 0), (5_009, 80, 20))]
    for at, old, new in zip((100.0, 102.0), (100, 104), newcomer, strict=True):
        window.add(at, {"a": counted(old), "e": new})
    assert window.points(102.0)[-1].throughput == 2.0
    window.add(104.0, {"e": msgspec.structs.replace(newcomer[1], behind=5_000)})
    window.add(106.0, {"e": NodeFigures(decided=9_000, sequence=1_000)})
    assert window.points(106.0)[-1].throughput is None, "no other node is there to tell"


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


def test_a_sample_taken_while_a_page_reads_does_not_disturb_it() -> None:
    """The page's thread reads the window while the sampler's adds to it."""
    window = FiguresWindow()
    window.add(100.0, {"a": counted(1)})

    class Meanwhile(float):
        def __sub__(self, other: float) -> float:
            window.add(102.0, {"a": counted(2)})
            return float(self) - other

    now = Meanwhile(103.0)
    assert [point.at for point in window.points(now)] == [100.0]
    assert window.latency(now)["p50"] is not None


def filled(now: float) -> Sampler:
    """A sampler whose newest sample is `now`."""
    made = Sampler(lambda: now)
    for turn in range(1_000):
        made.window.add(now - INTERVAL * (999 - turn), {"a": counted(turn)})
    return made


def test_the_window_of_an_earlier_process_is_shown(tmp_path: Path) -> None:
    now, file = 10_000.0, tmp_path / "figures"
    old = filled(now)
    old.keep_in(file)
    old.save()
    assert file.stat().st_size < figures_window.FILE_BYTES_MAX / 10
    new = Sampler(lambda: now + 100)
    new.keep_in(file)
    assert new.window.points(now + 1) == [one for one in old.window.points(now) if one.at > now - SPAN + 100]
    assert set(new.window.latency(now + 100).values()) == {None}, "that of the last minute only"
    new.window.add(now + 100, {"a": counted(5_000)})
    assert new.window.points(now + 100)[-1].throughput is None, "nobody counted between the two processes"
    quick = Sampler(lambda: now)
    quick.keep_in(file)
    assert quick.window.latency(now) == old.window.latency(now)
    earlier = Sampler(lambda: now - 1_000)
    earlier.keep_in(file)
    assert earlier.window.points(now) == [], "of a clock that was set back"


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_damaged_file_of_the_window_is_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: int
) -> None:
    now, file = 10_000.0, tmp_path / "figures"
    old = filled(now)
    old.keep_in(file)
    old.save()
    file.write_bytes(file.read_bytes()[:cut])
    new = Sampler(lambda: now)
    new.keep_in(file)
    assert new.window.points(now) == []
    assert [str(file) in record.message for record in caplog.records] == [True]
    new.save()
    Sampler(lambda: now).keep_in(file)
    assert len(caplog.records) == 1, "the next save replaced it"


def test_a_full_disk_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = Sampler()
    own.keep_in(tmp_path / "missing" / "figures")
    for _ in range(3):
        own.save()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    (tmp_path / "missing").mkdir()
    own.save()
    assert len(caplog.records) == 1


@pytest.mark.exhaustive
@pytest.mark.integration
@pytest.mark.timeout(120)
def test_a_web_process_hands_its_window_to_the_next(tmp_path: Path) -> None:
    """It ends by SIGTERM, as when `up` replaces it."""
    file = DataFolder(tmp_path).figures
    file.parent.mkdir(parents=True)
    before = filled(time.time())
    before.keep_in(file)
    before.save()
    written = file.stat().st_mtime_ns
    with web_process(tmp_path) as web:
        web.process.send_signal(signal.SIGTERM)
        web.process.wait(PATIENCE)
    assert file.stat().st_mtime_ns > written
    points = msgspec.msgpack.decode(file.read_bytes(), type=figures_window.Saved).points
    assert points[-1] == before.window.points(time.time())[-1], "what it found when it began"


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
def test_nodes_are_read_less_often_while_no_page_asks_and_rates_stay_right(
    learner: RealLearner, asked: list[str]
) -> None:
    now = 10_000.0
    own = Sampler(lambda: now)
    for _ in range(15):
        own.refresh(INTERVAL_UNSEEN)
        now += 1
    own.refresh()
    now += INTERVAL
    own.refresh(INTERVAL_UNSEEN)
    own.refresh()
    points = own.window.points(now)
    apart = [after.at - before.at for before, after in pairwise(points)]
    assert apart == [5, 5, 5, 2]
    assert [point.throughput for point in points[1:]] == [1 / seconds for seconds in apart]


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
    assert told["interval"] == INTERVAL_UNSEEN, "lines join points that far apart"
    assert [point["throughput"] for point in told["points"]] == [None, *[0.5] * 5]
    assert asked.count("r0") == 6
    newest = told["points"][-1]["at"]
    assert client.get(f"/dashboard/figures?after={newest}").json()["points"] == []
    assert client.get("/dashboard/figures?after=soon").status_code == 400
