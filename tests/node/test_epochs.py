"""Which epoch a node's folder belongs to, and under which key the node stands in it (R11, R35)."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from msgspec.structs import replace

from dtvn.files import whole
from dtvn.net import ensure_seed, public_key_of, read_seed
from dtvn.node import epochs
from dtvn.node.build import build_node
from dtvn.node.epochs import other_sources, own_place
from dtvn.node.keys import VotedStamp
from dtvn.node.layout import NodeFolder
from dtvn.node.node import Node
from dtvn.node.non_member import NonMember
from dtvn.node.options import NodeOptions
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.consensus.epoch_change import EPOCH
from dtvn.protocol.consensus.membership import Membership, founding
from dtvn.protocol.genesis import cluster_id
from tests.host.support import make_genesis
from validators.ledger import open_ledger


@pytest.fixture
def folder(tmp_path: Path) -> NodeFolder:
    made = NodeFolder(tmp_path / "r1")
    made.create()
    ensure_seed(made.key)
    return made


def full() -> None:
    raise OSError("the disk is full")


def named(folder: NodeFolder, path: Path) -> Membership:
    """An epoch in which the key in `path` is that of member r1."""
    now = founding(make_genesis(4))
    member = replace(now.members[1], public_key=public_key_of(read_seed(path)))
    return replace(now, epoch=1, after=9, members=(now.members[0], member, *now.members[2:]))


def test_r35_the_next_key_takes_its_place_only_in_the_epoch_that_names_it(folder: NodeFolder) -> None:
    ensure_seed(folder.next_key)
    old = folder.key.read_bytes()
    assert own_place(folder, named(folder, folder.key)) == (1, read_seed(folder.key), False)
    VotedStamp(folder.identity).write()
    upcoming = read_seed(folder.next_key)
    held = folder.identity.parent / "held"
    held.hardlink_to(folder.key)  # the bytes of the old key, wherever its name has gone
    with pytest.raises(OSError, match="the disk is full"):
        own_place(folder, named(folder, folder.next_key), full)
    renewed: list[int] = []
    assert own_place(folder, named(folder, folder.next_key), lambda: renewed.append(1)) == (1, upcoming, True)
    assert renewed == [1], "the interrupted start did not count"
    assert held.read_bytes() == bytes(len(old)), "erased"
    assert not folder.next_key.exists()
    assert old not in [path.read_bytes() for path in folder.identity.iterdir()]
    assert not VotedStamp(folder.identity).present
    assert own_place(folder, named(folder, folder.key)) == (1, upcoming, False)


@pytest.mark.parametrize("point", ["replaced", "synced"])
def test_r35_a_crash_during_a_key_change_leaves_one_complete_key(
    folder: NodeFolder, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    ensure_seed(folder.next_key)
    upcoming, now = read_seed(folder.next_key), named(folder, folder.next_key)

    def cut(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if point == "replaced":
            patched.setattr(whole, "sync_folder", cut)
        else:
            patched.setattr(epochs.os, "fsync", cut)
        with pytest.raises(KeyboardInterrupt):
            own_place(folder, now)
    assert read_seed(folder.key) == upcoming
    assert own_place(folder, now)[:2] == (1, upcoming)


def test_a_node_whose_key_genesis_does_not_name_starts_as_a_follower(folder: NodeFolder) -> None:
    assert own_place(folder, founding(make_genesis(4))) == (None, read_seed(folder.key), False)


@pytest.mark.django_db
def test_r11_a_ledger_votes_again_for_a_key_that_never_voted(tmp_path: Path) -> None:
    cluster = cluster_id(make_genesis(4))
    with_past = {"cluster_id": cluster, "expect_existing": True}
    ledger = open_ledger(tmp_path, **with_past)
    ledger.load()
    ledger.append([StateRecord("voting", b"0")])
    assert not ledger.voting
    ledger.vote_again()
    assert ledger.voting
    ledger.close()
    ledger = open_ledger(tmp_path, **with_past)
    assert (ledger.voting, ledger.state_value("voting")) == (True, b"1")
    ledger.close()


@pytest.mark.parametrize("lost", [False, True])
def test_r11_a_member_unknown_to_genesis_votes_unless_its_ledger_was_lost(
    folder: NodeFolder, lost: bool
) -> None:
    """On the way it is a follower, whose core knows nothing of votes: its ledger must remember for it."""
    genesis = make_genesis(4)
    folder.genesis.write_bytes(g.encode(genesis))
    if lost:
        VotedStamp(folder.identity).write()
    logger, options = logging.getLogger("test"), NodeOptions(bind=("127.0.0.1", 0))
    made = build_node(folder.root, logger, options, open_ledger)
    assert isinstance(made, NonMember)
    made.ledger.load()
    made.ledger.append([StateRecord(EPOCH, canonical.encode_trimmed(named(folder, folder.key)))])
    made.close()
    made = build_node(folder.root, logger, options, open_ledger)
    try:
        assert isinstance(made, Node)
        assert (made.core.voting, made.state) == ((False, "following") if lost else (True, "voting"))
        assert ("lost" in made.voting_reason) == lost
    finally:
        made.close()


@pytest.mark.parametrize(("epoch", "asked"), [(0, []), (1, []), (2, ["r1@2"])])
def test_r36_only_those_of_a_later_epoch_whose_keys_are_new_are_asked_besides(
    folder: NodeFolder, epoch: int, asked: list[str]
) -> None:
    now = replace(founding(make_genesis(4)), epoch=1)
    assert other_sources(folder.sources, now) == ()
    later = replace(named(folder, folder.key), epoch=epoch)
    folder.sources.write_bytes(canonical.encode_trimmed(later))
    found = other_sources(folder.sources, now)
    assert [member.id for member in found] == asked
    assert all(member.public_key == later.members[1].public_key for member in found)
