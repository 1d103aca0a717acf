"""What a built node hands its parts, where every part has its own tests with a stand-in."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import pytest

from validators.canonical import decode
from validators.consensus import messages as m
from validators.consensus.verified import Peer
from validators.log_server import CONNECTIONS_MAX
from validators.node.build import Node, build_node
from validators.node.layout import ClusterFolder
from validators.node.options import NodeOptions
from validators.node.provision import create_demo_cluster
from validators.wire import Envelope


def test_a_follower_without_a_place_is_told_where_members_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_demo_cluster(tmp_path, nodes=2, host="127.0.0.1", ports=[1, 2])
    root = ClusterFolder(tmp_path).node("node0").root
    made = build_node(root, logging.getLogger("test"), NodeOptions(bind=("127.0.0.1", 0)))
    try:
        assert isinstance(made, Node)
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
    finally:
        made.close()
