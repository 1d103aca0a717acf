"""What a node says of itself before the others have shown which of its votes they hold (R11)."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from tests.hostcore.support import make_genesis
from validators import canonical
from validators.consensus.membership import founding
from validators.host import EpochOver, TurnLost
from validators.link import ensure_seed, public_key_of, read_seed
from validators.node.build import Node, build_node
from validators.node.layout import NodeFolder
from validators.node.options import NodeOptions
from validators.node.run import Loop


def test_r11_before_enough_have_answered_its_state_is_waiting(tmp_path: Path) -> None:
    folder = NodeFolder(tmp_path / "r1")
    folder.create()
    ensure_seed(folder.key)
    genesis = make_genesis(3)
    own = replace(genesis.members[1], public_key=public_key_of(read_seed(folder.key)))
    genesis = replace(genesis, members=(genesis.members[0], own, genesis.members[2]))
    folder.genesis.write_bytes(canonical.encode(genesis))
    made = build_node(folder.root, logging.getLogger("test"), NodeOptions(bind=("127.0.0.1", 0)))
    try:
        assert isinstance(made, Node)
        made.start()
        brief = made.brief()
        assert (brief["state"], brief["voting"], made.awaited) == ("waiting", False, [])
        assert "too few have answered" in made.voting_reason
    finally:
        made.close()


@pytest.mark.parametrize("voting", [True, False])
def test_r11_a_disk_is_known_in_the_next_epoch_only_if_the_node_voted_in_this_one(voting: bool) -> None:
    """Else the others may have left this epoch long ago, and hold votes of the next one that it forgot."""
    ledger = SimpleNamespace(goes_on=False)
    process: Any = SimpleNamespace(
        ledger=ledger,
        logger=logging.getLogger("test"),
        journal=SimpleNamespace(),
        brief=lambda: {"voting": voting},
    )
    heart: Any = SimpleNamespace(alive=None)
    over: Any = SimpleNamespace(membership=founding(make_genesis(3)))
    lost = TurnLost("the epoch is over")
    lost.__cause__ = EpochOver(over)
    Loop(process, lambda: False, heart)._recover(lost)
    assert ledger.goes_on == voting
