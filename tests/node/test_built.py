"""Connections between the parts of a built node; each part alone has its own tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dtvn.node.build import build_node
from dtvn.node.layout import ClusterFolder
from dtvn.node.metrics.snapshot import SHOWN_APART, take
from dtvn.node.node import Node
from dtvn.node.options import NodeOptions
from dtvn.node.provision import create_demo_cluster
from dtvn.protocol.canonical import decode
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Note
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.host.log_server import CONNECTIONS_MAX
from dtvn.protocol.wire import Envelope
from validators.ledger import open_ledger

METRICS = {
    "suspected": "dtvn_suspicions_total",
    "left_view": "dtvn_view_changes_attempted_total",
    "entered_view": "dtvn_view_changes_installed_total",
    "evidence": "dtvn_evidence_total",
    "checkpoint_differs": "dtvn_checkpoint_differs_total",
    "paused": "dtvn_pauses_total",
    "caught_up": "dtvn_caught_up_total",
}
"""Kind of a note to the metric that counts it. `muted` has none: dtvn_mutes_total counts links."""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Node]:
    """A member of two whose loop does not turn."""
    create_demo_cluster(tmp_path, nodes=2, host="127.0.0.1", ports=[1, 2])
    root = ClusterFolder(tmp_path).node("node0").root
    node = build_node(root, logging.getLogger("test"), NodeOptions(bind=("127.0.0.1", 0)), open_ledger)
    assert isinstance(node, Node)
    yield node
    node.close()


def test_a_follower_without_a_place_gets_the_members_addresses(
    made: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bytes] = []
    monkeypatch.setattr(made.transport, "answer", lambda _peer, frame: told.append(frame))
    for number in range(CONNECTIONS_MAX + 1):
        peer = Peer("learner", None, bytes([number]))
        made.host.log_server.on_request(peer, m.Follow(0, 1), made.clock.now())
    [frame] = told
    answer = decode(m.Answer, decode(Envelope, frame).body)
    own = "{}:{}".format(*made.transport.address)
    assert answer.code == "busy"
    assert msgspec.json.decode(answer.text) == {"members": {"node0": own, "node1": "127.0.0.1:2"}}


def test_each_kind_of_core_note_has_a_metric_of_its_own(made: Node) -> None:
    assert set(METRICS) == SHOWN_APART - {"muted"}
    made.start()
    before = take(made).values
    made.core.contradictions.note(10, 1)
    [differs] = made.core.state.outbox.take().notes
    made.watcher.notice(differs)
    for number, kind in enumerate(METRICS, start=1):
        for _ in range(number - (kind == differs.kind)):
            made.watcher.notice(Note(kind, {}))
    after = take(made).values
    assert after["dtvn_notes_total"] == before["dtvn_notes_total"]
    for number, (kind, metric) in enumerate(METRICS.items(), start=1):
        assert after[metric] == before[metric] + number, kind  # type: ignore[operator]
