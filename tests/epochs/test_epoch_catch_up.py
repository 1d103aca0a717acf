"""A node that slept through epochs, or lost its ledger, comes to a state of the newest one (R23, R35)."""

from __future__ import annotations

import base64

import msgspec
import pytest

from dtvn.machine import Issue
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.epoch_change_proof import EpochChangeProof
from dtvn.protocol.epochs.proofs import read_answer
from tests.epochs.test_membership_changes import arrived, enlist, founded, grow
from tests.epochs.world import SECOND, Node, World, barrier

FAR = 12


def busy(world: World, count: int) -> None:
    """Order `count` further entries."""
    until = max(world.entries) + count
    number = 0
    while max(world.entries) < until:
        number += 1
        assert world.do(Issue(), f"B-{world.time}-{number}") == "ok"


def two_epochs_later(world: World, name: str) -> None:
    """A member joins and one leaves, with as many entries between as make a log that is far to go."""
    busy(world, 2 * FAR)
    grow(world, "n7")
    busy(world, 2 * FAR)
    world.reconfigure(leaves="n1")
    busy(world, 2 * FAR)
    assert world.now.find(name) is not None


def by_state(box: Node) -> bool:
    """Whether it has a state of the newest epoch, and not the log below."""
    return box.disk.base is not None and box.disk.log[0] is None


def notes(world: World, name: str, kind: str) -> int:
    return sum(note.kind == kind for note in world.noted[name])


def test_r23_a_wiped_member_takes_the_newest_epochs_state_and_no_old_log() -> None:
    world = founded(far=FAR)
    two_epochs_later(world, "n2")
    box = world.boxes["n2"]
    world.wipe(box)
    world.run(4 * SECOND)  # a state is offered from the first checkpoint on that follows
    arrived(world)
    assert by_state(box)
    assert box.membership.epoch == 2
    # R11: nothing that it may have said can be contradicted any more, though nobody asked for anything.
    assert world.run(60 * SECOND, lambda: box.core.voting)


def test_r23_a_member_that_slept_far_too_long_crosses_and_votes_at_once() -> None:
    world = founded(members=5, far=FAR)
    box = world.boxes["n4"]
    world.cut.add("n4")
    two_epochs_later(world, "n4")
    known = len(box.disk.log)
    world.cut.clear()
    world.run(4 * SECOND)
    busy(world, 12)
    arrived(world)
    assert box.disk.base is not None
    assert box.disk.log[known] is None
    assert (box.membership.epoch, box.core.voting) == (2, True)


def test_a_later_member_that_lost_its_ledger_restarts_from_genesis() -> None:
    world = founded(far=FAR)
    grow(world, "n7")
    busy(world, 2 * FAR)
    world.reconfigure(leaves="n0")
    busy(world, 2 * FAR)
    box = world.boxes["n7"]
    world.wipe(box)
    assert type(box.core).__name__ == "Learner"
    world.run(4 * SECOND)
    busy(world, 12)
    arrived(world)
    assert by_state(box)
    assert type(box.core).__name__ == "Replica"


def test_a_wiped_member_with_a_key_unknown_to_genesis_comes_back() -> None:
    world = founded(far=FAR)
    box = world.boxes["n2"]
    box.keys.append("n2 again")
    world.reconfigure(leaves="n2", joins=[world.member("n2", "n2 again")])
    arrived(world)
    busy(world, 3 * FAR)
    world.wipe(box)
    assert box.index is None
    world.run(4 * SECOND)
    busy(world, 12)
    arrived(world)
    assert (box.index, box.membership.epoch) == (2, 1)


def test_r35_a_member_removed_after_crossing_without_a_state_reads_the_log() -> None:
    world = founded(members=5, far=FAR)
    grow(world, "n7")
    arrived(world)
    box = world.boxes["n7"]
    world.cut.add("n7")
    busy(world, 2 * FAR)
    world.reconfigure(leaves="n1")
    busy(world, 2 * FAR)
    ended = len(box.disk.log)
    world.cut.clear()
    world.hold(m.Entries, m.Snapshot)
    assert world.run(20 * SECOND, lambda: box.membership.epoch == 2)
    assert len(box.disk.log) == ended
    world.hold(m.Snapshot)
    world.reconfigure(leaves="n7")
    assert world.run(20 * SECOND, lambda: box.membership.epoch == 3)
    assert box.index is None
    assert None not in box.disk.log


def test_r45_a_newcomer_takes_a_state_and_is_ready_to_join() -> None:
    """Its liveness proof needs it within a window of now (R36), and nobody replays from genesis."""
    world = founded(far=FAR)
    busy(world, 3 * FAR)
    grow(world, "n7")
    arrived(world)
    box = world.boxes["n7"]
    assert by_state(box)
    assert (box.membership.epoch, box.core.voting) == (1, True)
    box.crash()
    world.start(box)
    arrived(world)


def test_r45_a_removed_member_that_slept_takes_the_newest_epochs_state() -> None:
    """It is no member there; the members that are serve followers, too."""
    world = founded(members=5, far=FAR)
    box = world.boxes["n4"]
    world.cut.add("n4")
    busy(world, 2 * FAR)
    world.reconfigure(leaves="n4")
    busy(world, 2 * FAR)
    world.hold(m.Entries)  # else it may have read them before it learned how far it is behind
    world.cut.clear()
    assert world.run(20 * SECOND, lambda: box.membership.epoch == 1)
    world.hold()
    busy(world, FAR)
    assert world.run(20 * SECOND, lambda: len(box.disk.log) == max(world.entries))
    assert box.index is None
    assert box.disk.base is not None
    assert None in box.disk.log
    world.check()


def no_member_offers_a_state(world: World, sleeper: str) -> None:
    """Members start again with a log above their checkpoint, and one stays away: `sleeper` is needed."""
    for member in world.now.members:
        if member.id != sleeper:
            world.boxes[member.id].crash()
            world.start(world.boxes[member.id])
    world.boxes["n0"].crash()
    world.cut.clear()


@pytest.mark.parametrize("far", [2, 1_000])
def test_r23_the_log_is_read_where_a_state_would_need_the_sleepers_vote(far: int) -> None:
    world = founded(members=5, far=far)
    box = world.boxes["n4"]
    world.cut.add("n4")
    two_epochs_later(world, "n4")
    busy(world, 3)
    slept = len(box.disk.log)
    no_member_offers_a_state(world, "n4")
    assert world.run(60 * SECOND, lambda: box.membership.epoch == 2 and box.core.state.may_sign_votes), (
        "it waits for a state"
    )
    assert None not in box.disk.log[slept:]
    assert barrier(world) == "ok"
    world.check()


def test_r23_a_long_log_is_not_read_to_its_end_once_a_state_is_offered() -> None:
    world = founded(members=5, far=FAR)
    box = world.boxes["n4"]
    world.cut.add("n4")
    two_epochs_later(world, "n4")
    world.hold(m.Snapshot, m.Entries)
    world.cut.clear()
    assert world.run(20 * SECOND, lambda: box.membership.epoch == 2)
    assert world.run(20 * SECOND, lambda: box.membership.epoch == 0), "nobody offers a state"
    assert world.run(20 * SECOND, lambda: box.membership.epoch == 2), "nobody gives the log either"
    world.hold()
    busy(world, 12)
    arrived(world)
    assert box.disk.base is not None


def test_r11_a_wiped_member_votes_at_once_under_a_key_that_never_voted() -> None:
    world = founded(members=5, far=FAR)
    busy(world, 2 * FAR)
    box = world.boxes["n4"]
    box.keys.append("n4 again")
    world.wipe(box)
    assert not box.core.voting
    world.reconfigure(leaves="n4", joins=[world.member("n4", "n4 again")])
    arrived(world)
    assert (box.keys[-1], box.core.voting) == ("n4 again", True)


def test_without_a_source_of_the_log_a_state_is_taken_even_at_a_small_lag() -> None:
    world = founded(members=5)
    world.cut.add("n4")
    grow(world, "n7")
    world.cut.clear()
    world.hold(m.Entries)
    assert world.run(20 * SECOND, lambda: world.boxes["n4"].membership.epoch == 1)
    busy(world, 12)
    assert world.run(20 * SECOND, lambda: world.boxes["n4"].disk.base is not None)
    world.hold()
    arrived(world)
    assert world.boxes["n4"].disk.base is not None


def test_an_epoch_that_ends_while_its_state_is_fetched_is_crossed_too() -> None:
    world = founded(members=5, far=FAR)
    box = world.boxes["n4"]
    world.cut.add("n4")
    two_epochs_later(world, "n4")
    enlist(world, "n8")  # it takes a state, too
    world.cut.clear()
    world.hold(m.Groups)
    assert world.run(20 * SECOND, lambda: box.membership.epoch == 2)
    busy(world, 12)
    world.run(2 * SECOND)
    assert len(box.disk.log) < world.now.after
    world.reconfigure(joins=[world.member("n8")])
    world.hold()
    world.run(8 * SECOND)
    busy(world, 2 * FAR)
    arrived(world)
    assert (box.membership.epoch, box.core.voting) == (3, True)


@pytest.mark.parametrize("while_fetching", [False, True])
def test_a_power_cut_during_catch_up_restarts_it(while_fetching: bool) -> None:
    world = founded(members=5, far=FAR)
    box = world.boxes["n4"]
    world.cut.add("n4")
    two_epochs_later(world, "n4")
    world.cut.clear()
    world.hold(*[m.Groups][:while_fetching])
    assert world.run(20 * SECOND, lambda: box.membership.epoch == 2)
    if while_fetching:
        busy(world, 12)
    box.crash()
    world.start(box)
    assert box.membership.epoch == 2
    assert not box.core.state.may_sign_votes
    world.hold()
    world.run(2 * SECOND)
    busy(world, 12)
    arrived(world)


def test_r35_a_crossed_member_is_silent_until_it_has_a_state() -> None:
    world = founded(members=5, far=FAR)
    box = world.boxes["n4"]
    world.cut.add("n4")
    two_epochs_later(world, "n4")
    world.cut.clear()
    world.hold(m.Groups, m.Snapshot)
    assert world.run(20 * SECOND, lambda: box.membership.epoch == 2)
    said: list[type] = []
    send = box.send

    def listen(sending: object) -> None:
        envelope = msgspec.msgpack.decode(sending.frame)  # type: ignore[attr-defined]
        said.append(m.KINDS[envelope[0]])
        send(sending)  # type: ignore[arg-type]

    box.send = listen  # type: ignore[method-assign, assignment]
    for name in ("n0", "n2", "n3", "n7"):
        assert world.boxes[name].host is not None
    busy(world, 12)
    world.boxes["n0"].crash()  # the others lack one voice now, and do without
    world.run(3 * SECOND)
    votes = {m.PrePrepare, m.Prepare, m.Commit, m.Checkpoint, m.ViewChange, m.NewView, m.Suspect}
    assert said
    assert not votes & set(said)


# --- what a liar shows ------------------------------------------------------------------------------


class Forger:
    """Answers of one member to the question for epoch change proofs, changed on their way."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.pages: list[list[bytes]] = []
        host = world.boxes[name].host
        assert host is not None
        self._answer = host.epoch_changes.answer
        host.epoch_changes.answer = self.answer  # type: ignore[method-assign]

    def answer(self, query: m.Query) -> m.Answer:
        found = read_answer(self._answer(query).text)
        forged = self.change(found)
        text = msgspec.json.encode([base64.b64encode(each).decode() for each in forged]).decode()
        return m.Answer(query.number, "", text)

    def change(self, found: list[bytes]) -> list[bytes]:
        raise NotImplementedError


class Skips(Forger):
    def change(self, found: list[bytes]) -> list[bytes]:
        return found[1:]


class Renames(Forger):
    def change(self, found: list[bytes]) -> list[bytes]:
        changed = []
        for data in found:
            epoch_change_proof = msgspec.msgpack.decode(data, type=EpochChangeProof)
            leaf = epoch_change_proof.leaf.replace(b"n7", b"nX")
            changed.append(msgspec.msgpack.encode(msgspec.structs.replace(epoch_change_proof, leaf=leaf)))
        return changed


class Unsigned(Forger):
    def change(self, found: list[bytes]) -> list[bytes]:
        opened = [msgspec.msgpack.decode(data, type=EpochChangeProof) for data in found]
        return [
            msgspec.msgpack.encode(msgspec.structs.replace(each, checkpoint=each.checkpoint[:2]))
            for each in opened
        ]


@pytest.mark.parametrize("forger", [Skips, Renames, Unsigned])
def test_a_forged_chain_moves_no_member_and_the_liar_is_counted(forger: type[Forger]) -> None:
    world = founded(members=5, far=FAR)
    box = world.boxes["n4"]
    world.cut.add("n4")
    two_epochs_later(world, "n4")
    for name in world.boxes.keys() - {"n4"}:  # who was removed answers too
        forger(world, name)
    world.cut.clear()
    world.hold(m.Entries)
    world.run(12 * SECOND)
    assert box.membership.epoch == 0
    assert any(
        note.fields.get("reason") == "bad_proof" for note in world.noted["n4"] if note.kind == "refused"
    )
    world.hold()
    arrived(world)  # by the log, which proves itself
    assert barrier(world) == "ok"
