"""The membership changes while the cluster works (R35-R37, P10 and P18)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from dtvn.machine import AddPrincipal, Barrier, Issue, Reconfigure
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import membership as ms
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.wire import PeerError
from tests.epochs.world import MILLISECOND, SECOND, Node, World, barrier


def founded(seed: int | str = 0, **settings: int) -> World:
    world = World(seed, **settings)
    world.open_session()
    return world


def enlist(world: World, name: str) -> Node:
    """A new machine that follows the log as a learner (R36)."""
    assert world.do(AddPrincipal(name, world.keyring.pair(name)[0])) == "ok"
    box = world.add_box(name)
    last = max(world.entries)
    assert world.run(60 * SECOND, lambda: len(box.disk.log) >= last), "the newcomer does not catch up"
    return box


def grow(world: World, name: str) -> None:
    enlist(world, name)
    world.reconfigure(joins=[world.member(name)])


def arrived(world: World) -> None:
    """All members are in the newest epoch, and it decides."""
    assert world.run(60 * SECOND, world.settled), f"seed {world.seed}: not all arrive in {world.now.epoch}"
    assert barrier(world) == "ok"
    world.run(2 * SECOND)
    world.check()


def ids(world: World) -> list[str]:
    return [member.id for member in world.now.members]


def test_r35_a_newcomer_joins_and_votes_in_the_next_epoch() -> None:
    world = founded()
    grow(world, "n4")
    arrived(world)
    assert ids(world) == ["n0", "n1", "n2", "n3", "n4"]
    assert world.boxes["n4"].core.voting
    assert world.epoch_of[world.now.after] == 0
    assert world.epoch_of[world.now.after + 1] == 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("members", [1, 2, 3])
def test_r35_the_smallest_clusters_grow_too(members: int, seed: int) -> None:
    """No other member can be asked, and every later step needs the newcomer."""
    world = founded(seed, members=members)
    grow(world, f"n{members}")
    arrived(world)
    assert world.boxes[f"n{members}"].core.voting


def test_r35_a_newcomer_catches_up_with_only_one_first_member_left() -> None:
    world = founded()
    for name in ("n4", "n5", "n6", "n7"):
        grow(world, name)
    arrived(world)
    for name in ("n0", "n2", "n3"):
        world.reconfigure(leaves=name)
    arrived(world)
    for name in ("n0", "n2", "n3"):
        world.boxes[name].crash()
    enlist(world, "n8")


def test_row_18_a_cluster_grows_from_four_to_seven_and_shrinks_back() -> None:
    world = founded()
    for name in ("n4", "n5", "n6"):
        grow(world, name)
    arrived(world)
    assert (len(ids(world)), world.boxes["n6"].core.state.q) == (7, 5)
    for name in ("n0", "n2", "n4"):
        world.reconfigure(leaves=name)
    arrived(world)
    assert (ids(world), world.now.epoch) == (["n1", "n3", "n5", "n6"], 6)
    assert world.boxes["n1"].core.state.q == 3


@pytest.mark.parametrize("leaver", ["n0", "n1"])
def test_row_18_the_primary_may_be_the_one_that_leaves(leaver: str) -> None:
    world = founded(members=5)
    if leaver == "n1":
        world.boxes["n0"].crash()
        assert barrier(world) == "ok"
        assert world.boxes["n1"].core.state.is_primary
        world.start(world.boxes["n0"])
        world.run(3 * SECOND)
    world.reconfigure(leaves=leaver)
    arrived(world)
    assert leaver not in ids(world)
    assert world.boxes[leaver].index is None
    assert type(world.boxes[leaver].core).__name__ == "Learner"


def test_a_dead_member_is_replaced_by_a_newcomer() -> None:
    world = founded()
    enlist(world, "n4")
    world.boxes["n3"].crash()
    world.reconfigure(leaves="n3", joins=[world.member("n4")])
    arrived(world)
    assert ids(world) == ["n0", "n1", "n2", "n4"]


def test_r35_from_the_next_epoch_only_the_rotated_key_signs() -> None:
    world = founded(2)
    box = world.boxes["n2"]
    old = world.keyring.pair("n2")[1]
    box.keys.append("n2 again")
    world.reconfigure(leaves="n2", joins=[world.member("n2", "n2 again")])
    arrived(world)
    assert (ids(world), box.index, box.keys[-1]) == (["n0", "n1", "n2", "n3"], 2, "n2 again")
    assert box.core.voting
    receiver = world.boxes["n1"]
    assert receiver.host is not None
    stale = receiver.host.signer
    stale._secret = old
    receiver.host.door._frames = 0  # of those that the simulator asks about
    for epoch, reason in ((1, Reason.BAD_SIGNATURE), (2, Reason.UNKNOWN_SENDER)):
        forged = stale.sign(m.Suspect(epoch, 2, 5, "progress"))
        with pytest.raises(PeerError) as refused:
            receiver.host.door.verify(receiver.host.door.peek(Inbound(Peer("n2", 2), forged)))
        assert refused.value.reason is reason
    late = receiver.host.door.peek(Inbound(Peer("n2", 2), stale.sign(m.Suspect(0, 2, 5, "progress"))))
    assert receiver.core.wants(late) is Reason.WRONG_EPOCH


def test_parameters_change_with_an_epoch_of_their_own() -> None:
    world = founded()
    wanted = replace(world.now.parameters, checkpoint_interval=20)
    world.reconfigure(parameters=(wanted,))
    arrived(world)
    assert {box.core.config.checkpoint_interval for box in world.boxes.values()} == {20}


# --- what a change must bring with it (R36, R37) ---------------------------------------------------


def doctored(world: World, command: Reconfigure, alive: Iterable[ms.LivenessProof]) -> Reconfigure:
    return Reconfigure(replace(command.change, alive=tuple(alive)))


def test_r36_too_few_living_members_or_a_lagging_newcomer_forbid_a_change() -> None:
    world = founded()
    enlist(world, "n4")
    command = world.change(joins=[world.member("n4")])
    said = {alive.member: alive for alive in command.change.alive}
    assert set(said) == {"n0", "n1", "n2", "n3", "n4"}
    few = [said["n0"], said["n1"], said["n4"]]
    assert world.do(doctored(world, command, few)) == "not_ready"
    assert world.do(doctored(world, command, few * 2)) == "not_ready"
    assert world.do(doctored(world, command, [said[n] for n in ("n0", "n1", "n2", "n3")])) == "not_ready"
    forged = replace(said["n3"], executed=said["n3"].executed + 1)
    assert world.do(doctored(world, command, [*few, forged])) == "not_ready"
    assert world.now.epoch == 0
    for number in range(40):
        world.client.ask(Issue(), f"T-{number}")
        world.run(200 * MILLISECOND)
    assert max(world.entries) > said["n4"].executed + ms.window(world.now.parameters)
    assert world.do(doctored(world, command, said.values())) == "not_ready"  # it lags by now
    world.reconfigure(joins=[world.member("n4")])
    arrived(world)


def test_r36_liveness_proofs_older_than_thirty_seconds_count_no_more() -> None:
    world = founded()
    enlist(world, "n4")
    command = world.change(joins=[world.member("n4")])
    world.run(31 * SECOND)
    assert world.do(command) == "not_ready"
    world.reconfigure(joins=[world.member("n4")])


def test_r20_a_change_to_an_epoch_that_cannot_start_is_refused() -> None:
    """A VIEW-CHANGE over the wire limit: `build` refuses it, in every node at once and for good."""
    world = founded()
    wide = replace(world.now.parameters, checkpoint_interval=4_000)
    assert world.do(world.change(parameters=(wide,))) == "malformed"
    widest = replace(world.now.parameters, checkpoint_interval=3_000)
    world.reconfigure(parameters=(widest,))
    arrived(world)
    enlist(world, "n4")
    assert world.do(world.change(joins=[world.member("n4")])) == "full"
    arrived(world)


def test_r37_fewer_than_four_members_need_explicit_consent() -> None:
    world = founded()
    assert world.do(world.change(leaves="n3")) == "too_few_members"
    world.reconfigure(leaves="n3", allow_small=True)
    arrived(world)
    assert len(ids(world)) == 3
    world.reconfigure(leaves="n2")
    world.reconfigure(leaves="n1")
    arrived(world)
    assert ids(world) == ["n0"]
    assert world.do(world.change(leaves="n0")) == "too_few_members"


def test_impossible_changes_are_refused_with_their_reason() -> None:
    world = founded()
    enlist(world, "n4")
    four, one = world.member("n4"), world.member("n1")
    gateway = g.Member("n9", world.keyring.pair("gateway")[0], "host", 1)
    assert world.do(world.change(leaves="n8")) == "member_not_found"
    assert world.do(world.change(joins=[one])) == "member_exists"
    assert world.do(world.change(joins=[replace(one, id="n9")])) == "key_in_use"
    assert world.do(world.change(joins=[gateway])) == "key_in_use"
    assert world.do(world.change(leaves="n1", joins=[one])) == "malformed"
    assert world.do(world.change()) == "malformed"
    sized = replace(world.now.parameters, sessions_max=5)
    assert world.do(world.change(parameters=(sized,))) == "malformed"
    assert world.do(world.change(leaves="n1", parameters=(sized,))) == "malformed"
    command = world.change(joins=[four])
    assert world.do(command) == "ok"
    assert world.do(command) == "wrong_epoch"
    arrived(world)
    world.boxes["n4"].crash()
    world.reconfigure(leaves="n4")
    gone = world.change(joins=[replace(four, id="n7")])
    assert world.do(gone) == "key_in_use"


def test_r35_beside_other_operations_a_change_does_nothing() -> None:
    world = founded()
    command = world.change(leaves="n3", allow_small=True)
    client = world.client
    both = [
        world.operation(command),
        world.operation(Barrier()),
    ]
    digest = client.send(both)
    assert world.run(30 * SECOND, lambda: digest in client.done)
    codes = [each if isinstance(each, str) else each.code for each in client.done[digest][1]]
    assert codes == ["not_alone", "ok"]
    assert world.now.epoch == 0


# --- around the end of an epoch (R35) --------------------------------------------------------------


def test_r35_requests_waiting_at_an_epochs_end_are_decided_in_the_next() -> None:
    world = founded()
    enlist(world, "n4")
    command = world.change(joins=[world.member("n4")])
    asked = [world.client.ask(Issue(), f"A-{number}") for number in range(20)]
    change = world.client.ask(command)
    asked += [world.client.ask(Issue(), f"B-{number}") for number in range(20)]
    assert world.run(60 * SECOND, lambda: not world.client.waiting)
    assert world.client.code(change) == "ok"
    assert {world.client.code(digest) for digest in asked} == {"ok"}
    assert {world.epoch_of[world.client.done[digest][0]] for digest in asked} >= {1}
    arrived(world)


def test_r35_a_client_that_asked_once_is_answered_across_an_epochs_end() -> None:
    """Waiting requests enter the pools of the next epoch: no client has to repeat them."""
    world = founded()
    said: set[bytes] = set()
    say = world.client._say

    def once(digest: bytes) -> None:
        if digest not in said:
            said.add(digest)
            say(digest)

    world.client._say = once  # type: ignore[method-assign]
    world.hold(m.Commit, m.SupplyFrames)
    world.client.ask(world.change(leaves="n3", allow_small=True))
    world.run(50 * MILLISECOND)
    asked = [world.client.ask(Issue(), f"T-{number}") for number in range(5)]
    world.run(50 * MILLISECOND)
    world.hold()
    assert world.run(30 * SECOND, lambda: not world.client.waiting)
    assert {world.epoch_of[world.client.done[digest][0]] for digest in asked} == {1}


def test_r35_no_batch_is_proposed_or_prepared_above_a_pending_change() -> None:
    """The COMMITs are held back, so that the change stays open while more is asked."""
    world = founded()
    enlist(world, "n4")
    world.hold(m.Commit, m.SupplyFrames)
    world.client.ask(world.change(joins=[world.member("n4")]))
    world.run(50 * MILLISECOND)
    s = max(world.entries) + 1
    for number in range(5):
        world.client.ask(Issue(), f"T-{number}")
    world.run(100 * MILLISECOND)
    for name in ("n0", "n1", "n2", "n3"):
        core = world.boxes[name].core
        assert core.state.log.slots[s].prepared is not None
        assert core.state.log.highest == s
    # A lying primary proposes above it all the same: nobody gives a PREPARE.
    liar = world.boxes["n0"].core.state
    batch = liar.bodies.get(liar.log.slots[s].digest)
    digest = m.batch_digest(0, batch.batch.proposed + 1, ())
    frame = liar.signer.sign(m.PrePrepare(0, 0, 0, s + 1, digest))
    for name in ("n1", "n2", "n3"):
        box = world.boxes[name]
        core = box.core
        core.ordering.on_pre_prepare(core.state.signer.open(frame))
        core.state.outbox.take()
        slot = core.state.log.slots[s + 1]
        core.state.bodies.add(replace(batch, digest=digest), s + 1, core.executed)
        core.ordering.try_prepare(slot)
        assert slot.abstain_reason is Reason.EPOCH_ENDS
        assert slot.my_prepare is None
    world.hold()
    assert world.run(60 * SECOND, lambda: not world.client.waiting)
    arrived(world)


def test_r35_a_refused_change_ends_no_epoch_and_delays_nothing() -> None:
    world = founded()
    refused = world.client.ask(world.change(leaves="nobody"))
    asked = [world.client.ask(Issue(), f"T-{number}") for number in range(20)]
    assert world.run(30 * SECOND, lambda: not world.client.waiting)
    assert world.client.code(refused) == "member_not_found"
    assert {world.client.code(digest) for digest in asked} == {"ok"}
    assert world.now.epoch == 0


def test_a_crash_of_all_between_the_end_and_its_checkpoint_loses_nothing() -> None:
    world = founded()
    enlist(world, "n4")
    world.hold(m.Checkpoint, m.SupplyFrames)
    digest = world.client.ask(world.change(joins=[world.member("n4")]))
    assert world.run(30 * SECOND, lambda: digest in world.client.done)
    world.run(SECOND)
    assert {world.boxes[name].membership.epoch for name in ("n0", "n1", "n2", "n3")} == {0}
    assert {world.boxes[name].core.epoch_change.ends_at for name in ("n0", "n1")} == {max(world.entries)}
    for box in world.boxes.values():
        box.crash()
    world.hold()
    for box in world.boxes.values():
        world.start(box)
    arrived(world)
    assert world.now.epoch == 1


def test_a_member_that_slept_through_three_epochs_catches_up() -> None:
    world = founded(members=5)
    world.cut.add("n4")
    for name in ("n5", "n6", "n7"):
        grow(world, name)
    world.run(5 * SECOND)
    assert world.boxes["n4"].membership.epoch == 0
    world.cut.clear()
    arrived(world)
    assert world.boxes["n4"].membership.epoch == 3


def test_row_10_statements_of_equal_keys_in_another_cluster_are_refused() -> None:
    """The cluster id is in every signature: a change ordered there is nothing here."""
    one, other = founded("one"), founded("one", interval=20)
    assert one.cluster != other.cluster
    said = other.change(leaves="n3", allow_small=True)
    assert one.do(said) == "not_ready"
    assert one.do(one.change(leaves="n3", allow_small=True)) == "ok"
