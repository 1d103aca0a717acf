"""Members of a cluster that continues another one: their log begins behind sequence 10 of that one (R11)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dtvn.machine import Admit, TicketApplication
from dtvn.machine.continued_state import initial_rows, proved_items
from dtvn.proof.continuation import certified
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.effects import ApplicationChange, CheckpointRecord, Install
from dtvn.protocol.consensus.rejoin_sequences import RejoinSequences
from simulator.clock import MICROSECOND
from simulator.scheme import Keyring
from simulator.violation import Violation
from simulator.world import Settings
from tests.epochs.test_epoch_catch_up import busy, notes
from tests.epochs.test_membership_changes import arrived, grow
from tests.epochs.world import SECOND, START, Node, World, barrier
from tests.proof.continuing import ADMITTED, LOST, head_of, old_log

HEAD, PIECES = head_of(old_log())
CONTINUED = certified(HEAD)
AHEAD = CONTINUED.timestamp + 3_600_000_000 - START
"""Microseconds of the wall clocks ahead of other worlds': an hour after the old cluster's end."""


class ContinuedWorld(World):
    """Every member's disk holds the state with which it begins, as its first start installs it."""

    checked = False  # they execute the log from its beginning, which is not here

    @property
    def wall(self) -> int:
        return super().wall + AHEAD

    def found(self, settings: Settings, keyring: Keyring) -> g.Genesis:
        return g.continuing(super().found(settings, keyring), CONTINUED)

    def begin(self, node: Node) -> None:
        node.clock.skew = AHEAD * MICROSECOND
        node.disk.install(self.beginning())
        super().begin(node)

    def beginning(self) -> Install:
        def rows() -> list[ApplicationChange]:
            items = proved_items(CONTINUED.cluster, HEAD.manifest, CONTINUED.state_root, PIECES)
            return list(initial_rows(items, [member.id for member in self.genesis.members], searched=False))

        application = TicketApplication(self.genesis, self.cluster)
        application.load(rows())
        record = CheckpointRecord(
            0, CONTINUED.sequence, application.root(), CONTINUED.log_root, CONTINUED.timestamp, ()
        )
        return Install(record, HEAD.entry, HEAD.peaks, rows)


def begun(seed: int = 0) -> ContinuedWorld:
    world = ContinuedWorld(seed)
    world.open_session()
    assert min(world.entries) == CONTINUED.sequence + 1
    return world


@pytest.mark.parametrize("seed", range(3))
def test_r11_a_continued_cluster_works_behind_its_old_log(seed: int) -> None:
    world = begun(seed)
    assert world.do(Admit(), ADMITTED[0]) == "already_consumed"
    assert world.do(Admit(), LOST) == "ok"
    for box in world.boxes.values():  # before any checkpoint of its own
        box.crash()
        world.start(box)
    assert world.do(Admit(), LOST) == "already_consumed"
    grow(world, "n7")
    arrived(world)
    assert world.do(Admit(), LOST) == "already_consumed"


def test_r29_a_view_is_changed_before_the_first_checkpoint() -> None:
    """Its VIEW-CHANGEs rest on no checkpoint: the one that genesis names is stable for all members."""
    world = begun()
    world.cut = {"n0"}
    assert world.do(Admit(), LOST) == "ok"
    assert any(box.core.state.views.view for box in world.boxes.values())
    world.cut = set()
    assert world.do(Admit(), ADMITTED[1]) == "already_consumed"
    busy(world, 25)
    world.run(4 * SECOND)
    world.check()
    assert {box.core.state.log.stable > CONTINUED.sequence for box in world.boxes.values()} == {True}


def test_r11_a_lost_ledger_awaits_the_first_checkpoint_and_takes_its_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = begun()
    box = world.boxes["n3"]
    world.wipe(box)
    with monkeypatch.context() as patched:
        patched.setattr(RejoinSequences, "is_wanted", lambda _self: False)  # as if all were granted before
        world.run(30 * SECOND)  # nobody has a state to give: it must not begin again and again
    assert (box.core.executed, box.core.voting) == (0, False)
    assert notes(world, "n3", "follower") <= 2
    assert world.run(60 * SECOND, lambda: box.core.executed > CONTINUED.sequence)
    assert notes(world, "n3", "transfer_complete") == 1
    assert barrier(world) == "ok"
    assert world.run(60 * SECOND, lambda: box.core.voting)
    world.check()


def test_r35_a_member_that_slept_from_the_beginning_crosses_epochs() -> None:
    """Its newest checkpoint is the one with which the cluster began."""
    world = ContinuedWorld(0, far=12)
    world.cut = {"n3"}
    world.open_session()
    busy(world, 24)
    grow(world, "n7")
    busy(world, 24)
    box = world.boxes["n3"]
    assert box.core.executed == CONTINUED.sequence
    world.cut = set()
    world.run(4 * SECOND)
    busy(world, 24)
    arrived(world)
    assert box.membership.epoch == 1
    assert world.do(Admit(), ADMITTED[0]) == "already_consumed"


def test_r11_an_unsigned_checkpoint_counts_only_where_genesis_begins() -> None:
    world = World(0)
    world.open_session()
    busy(world, 12)
    world.run(2 * SECOND)
    box = world.boxes["n0"]
    box.crash()
    box.disk.checkpoints[-1] = replace(box.disk.checkpoints[-1], frames=())
    with pytest.raises(Violation) as lost:
        world.start(box)
    assert "nobody signed checkpoint" in str(lost.value)
