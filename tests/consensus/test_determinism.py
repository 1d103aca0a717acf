"""Same input, same output; rows may lag, the log may not (R2, R4, R9, R22)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import EntryRecord, Now
from tests.consensus.helpers import Cluster, Node
from tests.support.table import table


def story(cluster: Cluster) -> None:
    """Some work, a view change, more work."""
    for number in range(12):
        cluster.request(f"T-{number}", to=[0, 1, 2, 3])
        cluster.advance(3)
    cluster.advance(300)
    cluster[0].crash()
    for number in range(12, 16):
        cluster.request(f"T-{number}", to=[1, 2, 3])
    cluster.advance(2_500)
    cluster[0].restart()
    cluster.advance(1_500)


def records(cluster: Cluster) -> list[list[object]]:
    return [[record for turn in node.journal.turns for record in turn] for node in cluster.nodes]


def test_r4_equal_inputs_give_equal_bytes() -> None:
    first, second = Cluster(4), Cluster(4)
    story(first)
    story(second)
    assert records(first) == records(second)
    assert first.sent == second.sent
    assert len(set(first.executed())) == 1
    assert first[1].core.snapshot().view == 1


def test_r2_monotonic_time_is_neither_stored_nor_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs whose monotonic clocks differ by years and whose wall clocks agree."""
    first = Cluster(4)
    story(first)

    def later(node: Node) -> Now:
        time = node.cluster.time
        return Now(time + 10**17, 1_700_000_000_000_000_000 + time + node.skew)

    advance = Cluster.advance

    def shifted(cluster: Cluster, milliseconds: float, *, deliver: bool = True) -> None:
        for node in cluster.nodes:
            inner = node.core.deadline
            if not hasattr(inner, "shifted"):
                node.core.deadline = _shift(inner)
        advance(cluster, milliseconds, deliver=deliver)

    monkeypatch.setattr(Node, "now", later)
    monkeypatch.setattr(Cluster, "advance", shifted)
    second = Cluster(4)
    story(second)
    assert records(first) == records(second)


def _shift(inner):  # type: ignore[no-untyped-def]
    def deadline() -> int | None:
        due = inner()
        return None if due is None else due - 10**17

    deadline.shifted = True  # type: ignore[attr-defined]
    return deadline


@table("lag", range(0, 14, 3), count=5)
def test_r9_rows_may_lag_the_log_by_any_amount(lag: int) -> None:
    """Loaded rows and a replay from `applied_sequence + 1` give the same root."""
    cluster = Cluster(4)
    node = cluster[2]
    for number in range(14):
        cluster.request(f"T-{number}")
        cluster.stabilize()
        if number == 13 - lag:
            node.journal.materialise(node.application.changes())
    root = node.application.root()
    node.crash()
    node.restart()
    assert node.journal.applied == 14 - lag
    assert node.application.root() == root
    assert node.core.snapshot().executed == 14


def test_r9_a_ledger_whose_replay_differs_is_refused() -> None:
    """An entry with other results: the state would not be the one that was signed."""
    cluster = Cluster(4)
    for number in range(3):
        cluster.request(f"T-{number}")
        cluster.stabilize()
    node = cluster[1]
    record = node.journal.log[1]
    entry = m.Entry(0, 2, record.entry.batch_digest, b"x" * 32, record.entry.timestamp, record.entry.previous)
    node.journal.log[1] = EntryRecord(entry, m.entry_hash(entry), record.body, record.commits)
    node.crash()
    with pytest.raises(Exception, match="replay of 2 gives other results"):
        node.restart()


@pytest.mark.parametrize("members", [1, 2, 3])
def test_r37_small_clusters_restart_too(members: int) -> None:
    cluster = Cluster(members)
    for number in range(12):
        cluster.request(f"T-{number}")
        cluster.advance(3)
    length = cluster.executed()[0]
    for node in cluster.nodes:
        node.crash()
    for node in cluster.nodes:
        node.restart()
    cluster.request("T-after")
    cluster.advance(50)
    assert cluster.executed() == [length + 1] * members
    assert cluster[0].core.snapshot().stable == 10
