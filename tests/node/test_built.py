"""Connections between the parts of a built node; each part alone has its own tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
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
from dtvn.protocol.consensus.effects import Note, Send
from dtvn.protocol.consensus.retransmission import MemberView
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


@contextmanager
def first_of(members: int, data: Path) -> Iterator[Node]:
    """The first member of so many, whose loop does not turn."""
    create_demo_cluster(data, nodes=members, host="127.0.0.1", ports=[*range(1, members + 1)])
    root = ClusterFolder(data).node("node0").root
    node = build_node(root, logging.getLogger("test"), NodeOptions(bind=("127.0.0.1", 0)), open_ledger)
    try:
        assert isinstance(node, Node)
        yield node
    finally:
        node.close()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Node]:
    with first_of(2, tmp_path) as node:
        yield node


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
    assert msgspec.json.decode(answer.text) == {
        "members": {"node0": own, "node1": "127.0.0.1:2"},
        "children": [],
    }


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


def test_a_node_is_behind_what_an_honest_member_says_it_executed(tmp_path: Path) -> None:
    with first_of(4, tmp_path) as made:
        made.start()
        heard = made.core.retransmission.members
        shown = []
        for sender, executed in ((1, 900), (2, 7), (3, 5)):
            status = m.Status(0, sender, 0, False, executed, 0, executed, (), True)
            heard[sender] = MemberView(status, heard=0)
            shown.append(take(made).values["dtvn_behind"])
        assert shown == [0, 7, 7], "900 is what one member says, which may lie"


def test_waiting_and_dropped_frames_are_shown_by_direction(made: Node) -> None:
    peer, bulk = Peer("node1", 1), b"bulk"
    made.transport.send(Send(1, bulk))  # there is no link
    made.transport.mute_bulk(peer)
    for _ in range(2):
        made.transport.inbox.put(peer, bulk, 0)
    made.transport.inbox.put(peer, bulk, 1 << 62)
    values = take(made).values
    assert values["dtvn_queue_frames"] == {("inbound",): 1, ("outbound",): 0}
    dropped = values["dtvn_dropped_frames_total"]
    assert isinstance(dropped, dict)
    assert (dropped["node1", "inbound"], dropped["node1", "outbound"]) == (2, 1)
    assert (values["network_messages_received_total"], values["network_messages_sent_total"]) == (3, 0)
    assert (values["dtvn_peer_connected"], values["peer_count"]) == ({("node1",): 0.0}, 0)
