"""Liars, removed members and power cuts around the end of an epoch (R35, P18)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from dtvn.machine import Issue
from dtvn.protocol import canonical
from dtvn.protocol.consensus import epoch_change_proof
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.certificate import CommitCertificate
from dtvn.protocol.consensus.effects import Record
from dtvn.protocol.consensus.replica import Replica
from dtvn.protocol.consensus.verified import Inbound, Peer, VerifiedBatch
from dtvn.protocol.wire import FrameSigner, decode_envelope, link_frame
from simulator.disk import PowerCut
from tests.epochs.test_membership_changes import arrived, enlist, founded, ids
from tests.epochs.world import MILLISECOND, SECOND, Node, World, barrier

EMPTY = bytes(32)


def statements(epoch: int, sender: int, view: int, s: int) -> list[object]:
    """One of each kind that could count somewhere."""
    return [
        m.PrePrepare(epoch, sender, view, s, EMPTY),
        m.Prepare(epoch, sender, view, s, EMPTY),
        m.Commit(epoch, sender, view, s, EMPTY),
        m.Checkpoint(epoch, sender, s, EMPTY, EMPTY, 1),
        m.Suspect(epoch, sender, view + 1, "progress"),
        m.ViewChange(epoch, sender, view + 1, (), ()),
        m.NewView(epoch, sender, view + 1, (), ()),
    ]


def shout(world: World, frames: Sequence[bytes], peer: Peer) -> dict[str, int]:
    """These frames arrive at every member over a link of `peer`; how often each reason refused them."""
    before = {name: len(noted) for name, noted in world.noted.items()}
    for member in world.now.members:
        box = world.boxes[member.id]
        box.inbox.extend(Inbound(peer, frame) for frame in frames)
        box.wake(world.time)
    world.run(50 * MILLISECOND)
    reasons: dict[str, int] = {}
    for name, noted in world.noted.items():
        for note in noted[before.get(name, 0) :]:
            if note.kind == "refused" and note.fields["peer"] == peer.name:
                reason = str(note.fields["reason"])
                reasons[reason] = reasons.get(reason, 0) + 1
    return reasons


def signed_by(world: World, key: str, messages: Sequence[object]) -> list[bytes]:
    reader = world.boxes[world.now.members[0].id]
    assert reader.host is not None
    pair = world.keyring.pair(key)
    keys = reader.host.door.keys
    signer = FrameSigner(world.cluster, pair[1], keys, scheme=world.keyring.scheme)
    return [signer.sign(message) for message in messages]


def test_r35_a_removed_members_statements_do_not_count_without_it() -> None:
    world = founded(members=5)
    world.reconfigure(leaves="n4")
    arrived(world)
    s = max(world.entries) + 1
    liar = Peer("n4", None)
    for epoch, sender, reason in ((0, 4, "wrong_epoch"), (1, 4, "unknown_sender"), (1, 3, "bad_signature")):
        said = signed_by(world, "n4", statements(epoch, sender, 0, s))
        # As a stranger's it is refused unread; over the stolen link of a member by what it says.
        assert set(shout(world, said, liar)) <= {"not_member"}
        found = shout(world, said, Peer("n3", 3))
        assert found.get(reason, 0) >= 3 * len(said), (epoch, sender, found)
    assert all(
        box.core.state.views.view == 0 for box in world.boxes.values() if isinstance(box.core, Replica)
    )
    assert barrier(world) == "ok"


def test_r35_a_replaced_key_signs_nothing_more_under_the_same_name() -> None:
    world = founded()
    world.boxes["n2"].keys.append("n2 again")
    world.reconfigure(leaves="n2", joins=[world.member("n2", "n2 again")])
    arrived(world)
    stolen = signed_by(world, "n2", statements(1, 2, 0, max(world.entries) + 1))
    found = shout(world, stolen, Peer("n2", 2))
    # Each of the three others refuses each of them; its owner knows better what it said.
    assert found["bad_signature"] >= 3 * (len(stolen) - 1), found
    assert barrier(world) == "ok"
    arrived(world)


def test_r35_a_quorum_of_an_old_epoch_decides_nothing_in_the_new_one() -> None:
    """n0, n1, n2 were a quorum of four; of seven they are not, whatever they sign together."""
    world = founded()
    for name in ("n4", "n5", "n6"):
        enlist(world, name)
        world.reconfigure(joins=[world.member(name)])
    arrived(world)
    target = world.boxes["n6"]
    s = max(world.entries) + 1
    digest = m.batch_digest(0, world.wall, ())
    frames: list[bytes] = []
    for index, key in enumerate(("n0", "n1", "n2")):
        words: list[object] = [m.Prepare(3, index, 0, s, digest)] if index else []
        frames += signed_by(world, key, [*words, m.Commit(3, index, 0, s, digest)])
    executed = target.core.executed
    target.inbox.extend(Inbound(Peer("n1", 1), frame) for frame in frames)
    target.wake(world.time)
    world.run(MILLISECOND)  # not so long that n0 hears of them: it would rightly give up its vote
    assert s not in target.core.state.log.decisions
    assert target.core.executed == executed


def test_r35_a_decision_above_the_end_is_void_for_every_member_and_learner() -> None:
    """A liar may propose s + 1 to members that do not know yet that s is the end, and q of them may COMMIT
    it. A replica that executed it in the old epoch would have another s + 1 than the next epoch.
    """
    world = founded(members=5)
    enlist(world, "n5")
    world.cut |= {"n4", "n5"}
    world.hold(m.Commit, m.SupplyFrames)
    world.client.ask(world.change(leaves="n3"))
    world.run(50 * MILLISECOND)
    s = max(world.entries) + 1
    batch = m.Batch(0, world.wall, ())
    digest, body = m.batch_digest(0, world.wall, ()), canonical.encode(batch)
    commits = tuple(
        signed_by(world, f"n{index}", [m.Commit(0, index, 0, s + 1, digest)])[0] for index in range(4)
    )
    for name in ("n0", "n1", "n2", "n3"):
        core = world.boxes[name].core
        core.state.bodies.add(VerifiedBatch(batch=batch, digest=digest, body=body, bundles=()), s + 1, s)
        core.state.log.decisions[s + 1] = CommitCertificate(0, s + 1, digest, commits)
    world.hold()
    assert world.run(10 * SECOND, lambda: world.boxes["n0"].membership.epoch == 1)
    assert world.epoch_of[s] == 0
    assert world.epoch_of.get(s + 1, 1) == 1, "executed, though it is void"
    # And for those that fetch the log: a member, and a learner.
    log = world.boxes["n0"].disk.log
    void = m.Entry(0, s + 1, digest, canonical.EMPTY_ROOT, world.wall, log[s - 1].entry_hash)
    for name in ("n4", "n5"):
        box = world.boxes[name]
        asking = box.core.catch_up if isinstance(box.core, Replica) else box.core
        asking._owing.add(0)
        known = [(each.entry, each.body, each.commits) for each in log[len(box.disk.log) : s]]
        assert known
        answer = link_frame(m.Entries((*known, (void, body, commits)), ()))
        box.inbox.append(Inbound(Peer("n0", 0), answer))
        box.wake(world.time)
        world.run(10 * MILLISECOND)
        assert len(box.disk.log) == s, name
    world.cut.clear()
    arrived(world)


@pytest.mark.parametrize("seed", range(4))
def test_r35_a_change_amid_a_view_change_is_done_exactly_once(seed: int) -> None:
    """The primary dies with the change prepared by some; the next one must repropose it, or ask anew."""
    world = founded(f"view {seed}", members=5)
    enlist(world, "n5")
    world.links(loss=0.1)
    change = world.client.ask(world.change(joins=[world.member("n5")]))
    asked = [world.client.ask(Issue(), f"T-{number}") for number in range(8)]
    world.run((3 + 4 * seed) * MILLISECOND)
    world.boxes["n0"].crash()
    assert world.run(60 * SECOND, lambda: not world.client.waiting), f"seed {world.seed}"
    world.start(world.boxes["n0"])
    world.links(loss=0.0)
    assert world.client.code(change) == "ok"
    assert {world.client.code(digest) for digest in asked} == {"ok"}
    arrived(world)
    assert (world.now.epoch, len(ids(world))) == (1, 6)


@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("turn", range(6))
def test_row_11_a_power_cut_at_every_write_of_the_switch_over(turn: int, after: bool) -> None:
    """One member dies at the n-th write from the one that executes the change on, before or after it."""
    world = founded()
    enlist(world, "n4")
    box = world.boxes["n1"]
    append, writes = box.disk.append, 0

    def cutting(records: Sequence[Record], **how: bool) -> None:
        nonlocal writes
        if writes or any(getattr(record, "name", "").startswith("handover/") for record in records):
            writes += 1
        if writes == turn + 1:
            writes += 1
            if after:
                append(records, **how)
            world.at(SECOND, world.start, box)
            raise PowerCut
        append(records, **how)

    box.disk.append = cutting  # type: ignore[method-assign]
    world.reconfigure(joins=[world.member("n4")])
    for number in range(turn + 2):
        assert world.do(Issue(), f"T-{number}") == "ok"
    arrived(world)
    assert writes > turn + 1, "the power never went"
    assert box.core.config.epoch == 1
    assert box.core.voting
    assert world.boxes["n4"].core.voting


def test_r35_a_checkpoint_that_names_another_state_does_not_end_an_epoch() -> None:
    """f liars sign another state for the last sequence: the honest q are waited for."""
    world = founded()
    enlist(world, "n4")
    world.hold(m.Checkpoint, m.SupplyFrames)
    digest = world.client.ask(world.change(joins=[world.member("n4")]))
    assert world.run(30 * SECOND, lambda: digest in world.client.done)
    s = max(world.entries)
    world.boxes["n3"].honest = False
    forged = signed_by(world, "n3", [m.Checkpoint(0, 3, s, EMPTY, EMPTY, 1)])
    for name in ("n0", "n1", "n2"):
        box = world.boxes[name]
        box.inbox.extend(Inbound(Peer("n3", 3), frame) for frame in forged)
        box.wake(world.time)
    world.run(SECOND)
    assert {world.boxes[name].membership.epoch for name in ("n0", "n1", "n2")} == {0}
    world.hold()
    arrived(world)
    for name in ("n0", "n1", "n2"):
        found = epoch_change_proof.read(world.boxes[name].disk.states.values(), 0)
        assert found is not None
        roots = {decode_envelope(frame)[1].state_root for frame in found.checkpoint}
        assert len(found.checkpoint) == 3
        assert len(roots) == 1
        assert EMPTY not in roots


def test_r11_a_removed_members_statement_does_not_bind_its_successor() -> None:
    """One liar shows a wiped member a statement of another member under the same index, an epoch ago."""
    world = founded(members=5)
    world.reconfigure(leaves="n0")
    arrived(world)
    victim, shown = world.boxes["n1"], 0
    assert victim.index == 0
    (stolen,) = signed_by(world, "n0", [m.ViewChange(0, 0, 2**40, (), ())])

    class Shows:
        """n4's answers to the wiped member carry the stolen frame too."""

        def on_send(self, node: Node, receiver: str, frame: bytes) -> list[tuple[str, bytes]]:
            nonlocal shown
            message = decode_envelope(frame)[1]
            if receiver == victim.name and isinstance(message, m.Pong):
                frame, shown = link_frame(replace(message, frames=(*message.frames, stolen))), shown + 1
            return [(receiver, frame)]

    world.boxes["n4"].send_hook = Shows()
    world.wipe(victim)
    core = victim.core
    for _ in range(190):
        assert barrier(world) == "ok"
        core = victim.core
        if isinstance(core, Replica) and core.config.epoch == 1 and core.voting:
            break
    world.run(30 * SECOND, lambda: isinstance(victim.core, Replica) and victim.core.voting)
    core = victim.core
    assert shown
    assert isinstance(core, Replica)
    assert core.voting, (core.rejoin.waits_for(), core.rejoin.view_due())
