"""An older disk is put back while its cluster enters another epoch, where no liar is tolerated (R11, R35)."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.machine import Barrier, Reconfigure, build
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.membership import Change
from dtvn.protocol.consensus.pinging import Pinging
from dtvn.protocol.genesis import Member
from simulator.clock import MICROSECOND, MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.gateway import Gateway, Request
from simulator.membership_changes import liveness_proof
from simulator.violation import Violation
from simulator.world import Settings

pytestmark = pytest.mark.ci


class TwoBecomeThree:
    """r0 and r1 execute the change that admits n0. r0 hears r1's CHECKPOINT and r1 does not hear r0's: r0 is
    in the next epoch with n0, r1 in the first."""

    def __init__(self) -> None:
        self.cluster = Cluster(0, Settings(members=2, spares=1, learners=0, gateways=2))
        world = self.world = self.cluster.world
        self.r0, self.r1, self.n0 = (world.nodes[name] for name in ("r0", "r1", "n0"))
        self.cluster.start()
        world.run_for(500 * MILLISECOND)
        self.ask(self.cluster.gateways[0], Barrier())
        late = world.network.when(kind=m.Checkpoint, sender="r1", receiver="r0").drop()
        world.network.when(kind=m.Checkpoint, sender="r0", receiver="r1").drop()
        joins = (Member("n0", world.keyring.pair("n0")[0], "world", 1),)
        alive = tuple(liveness_proof(node.world, node) for node in (self.r0, self.r1, self.n0))
        change = Change(epoch=0, leaves="", joins=joins, parameters=(), allow_small=True, alive=alive)
        self.ask(self.cluster.operator, Reconfigure(change))
        both = (self.r0, self.r1)
        world.run_for(
            5 * SECOND, done=lambda: all(node.core.epoch_change.ends_at is not None for node in both)
        )
        self.older = self.r0.disk.clone()
        self.older.older = True
        world.network.forget(late)
        world.run_for(5 * SECOND, done=lambda: self.r0.membership.epoch == 1)
        self.apart("r1")
        world.run_for(10 * SECOND, done=lambda: self.n0.membership.epoch == 1)

    def ask(self, gateway: Gateway | None, command: Any) -> Request:
        assert gateway is not None
        until = (gateway.clock.now().wall + 120 * SECOND) // MICROSECOND
        operation = build(command, ticket="", actor="op", entry="r0", valid_until=until, nonce=b"")
        request = gateway.ask([operation], wait=5 * SECOND)
        assert request is not None
        self.world.run_for(5 * SECOND, done=lambda: request.over)
        return request

    def apart(self, name: str) -> None:
        """One node reaches nobody; the others reach each other and all clients."""
        clients = [gateway for gateway in (*self.cluster.gateways, self.cluster.operator) if gateway]
        rest = [node.name for node in (self.r0, self.r1, self.n0) if node.name != name]
        self.world.network.cuts.clear()
        self.world.network.part([name], [*rest, *(client.name for client in clients)])

    def r0_comes_back_on_its_older_disk(self) -> None:
        """Its possible statements to n0 in the next epoch are lost. It reaches r1 alone."""
        self.ask(self.cluster.gateways[0], Barrier())
        self.r0.crash()
        self.r0.disk = self.older
        self.world.network.rules.clear()
        self.apart("n0")
        self.world.start(self.r0)
        self.world.run_for(SECOND)

    def to_its_end(self) -> Request:
        self.r0_comes_back_on_its_older_disk()
        request = self.ask(self.cluster.gateways[1], Barrier())
        self.all_hear_each_other()
        return request

    def all_hear_each_other(self) -> None:
        self.world.network.cuts.clear()
        self.world.run_for(15 * SECOND)


def test_r11_a_restored_member_waits_for_all_in_the_next_epoch_too() -> None:
    """r1 truthfully shows the statements of r0 that it holds, all from the first epoch. Only n0 would know
    those that r0 may have made in the next one."""
    story = TwoBecomeThree()
    assert story.r0.core.state.voting_right.holding, "r0 says nothing there before r1 has answered, either"
    (result,) = story.to_its_end().results or ()
    assert not result.sequence, "nothing was decided while n0 was silent"
    assert all(node.core.voting for node in (story.r0, story.r1, story.n0))
    (result,) = story.ask(story.cluster.gateways[1], Barrier()).results or ()
    assert result.sequence, "all have heard each other"


def test_r11_without_this_wait_an_honest_member_contradicts_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Pinging.begin

    def waits_in_the_first_epoch_only(self: Pinging, tail: Any) -> None:
        right(self, tail)
        self._quorum_suffices |= self.state.config.epoch > 0

    monkeypatch.setattr(Pinging, "begin", waits_in_the_first_epoch_only)
    story = TwoBecomeThree()
    with pytest.raises(Violation):
        story.to_its_end()
