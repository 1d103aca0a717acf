"""What a node says of itself before the others have shown which of its votes they hold (R11)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.net import ensure_seed, public_key_of, read_seed
from dtvn.node.build import build_node
from dtvn.node.layout import NodeFolder
from dtvn.node.metrics.snapshot import take
from dtvn.node.node import Node
from dtvn.node.options import NodeOptions, StartError
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.effects import Note
from tests.host.support import make_genesis
from validators.ledger import open_ledger


@pytest.fixture
def folder(tmp_path: Path) -> NodeFolder:
    """Of r1, one of three."""
    folder = NodeFolder(tmp_path / "r1")
    folder.create()
    ensure_seed(folder.key)
    genesis = make_genesis(3)
    own = replace(genesis.members[1], public_key=public_key_of(read_seed(folder.key)))
    genesis = replace(genesis, members=(genesis.members[0], own, genesis.members[2]))
    folder.genesis.write_bytes(g.encode(genesis))
    return folder


@contextmanager
def started(folder: NodeFolder, **options: Any) -> Iterator[Node]:
    chosen = NodeOptions(bind=("127.0.0.1", 0), **options)
    made = build_node(folder.root, logging.getLogger("test"), chosen, open_ledger)
    try:
        assert isinstance(made, Node)
        made.start()
        made.introduce()
        yield made
    finally:
        made.close()


def test_r11_the_state_is_waiting_until_enough_members_have_answered(folder: NodeFolder) -> None:
    with started(folder) as made:
        brief = made.brief()
        assert (brief["state"], brief["voting"]) == ("waiting", False)
        made.core.pinging._quorum_suffices = True  # as where f > 0: nobody in particular is awaited
        assert "too few have answered" in made.voting_reason


def test_r11_metrics_count_the_members_awaited(folder: NodeFolder) -> None:
    with started(folder) as made:
        assert made.awaited == ["r0", "r2"]
        assert made.brief()["awaits"] == ["r0", "r2"]
        assert "r0, r2" in made.voting_reason
        values = take(made).values
        assert (values["dtvn_awaited_members"], values["dtvn_others_are_gone"]) == (2, 0)


def test_r11_others_are_gone_is_logged_at_each_start_and_measured(
    folder: NodeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise only a query to the node itself would show that the flag is set."""
    with started(folder, others_are_gone=True):
        pass
    caplog.clear()
    with started(folder) as made:
        said = [record for record in caplog.records if record.message.startswith("others_are_gone ")]
        assert [record.levelname for record in said] == ["WARNING"]
        assert made.brief()["others_are_gone"] is True
        assert take(made).values["dtvn_others_are_gone"] == 1
        caplog.clear()
        made.watcher.notice(Note("others_are_gone_ended", {"sequence": 8}))
        assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_r11_others_are_gone_is_refused_for_a_node_that_is_no_member(folder: NodeFolder) -> None:
    """No learner ends it, so it would stand when the node is a member, in another epoch."""
    own = folder.key.read_bytes()
    folder.key.unlink()
    ensure_seed(folder.key)
    with pytest.raises(StartError, match="only for members: this node is not a member"):
        build_node(folder.root, logging.getLogger("test"), NodeOptions(others_are_gone=True), open_ledger)
    folder.key.write_bytes(own)
    with started(folder) as made:
        assert made.brief()["others_are_gone"] is False
