"""False or late answers that must neither mislead nor stop a replica that fetches a state or the log (R23,
R30, R35; row 17). The door may have let a message in before another one changed what is wanted.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus import InvariantBreach, Replica, epoch_change_proof
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.bodies import NULL_BATCH
from dtvn.protocol.consensus.effects import Reason, StateRecord
from dtvn.protocol.consensus.executor import Executor
from dtvn.protocol.consensus.verified import Inbound, Peer, Verified
from tests.consensus.doubles import KeyValue
from tests.consensus.helpers import MILLISECOND, Cluster, Node, config_for, is_kind, open_frame
from tests.consensus.test_fetched import answer, asked, lagging
from tests.consensus.test_log_ranges import Source, busy
from tests.consensus.test_offers import Crossed, Offered
from tests.consensus.test_transfer import ALL_SILENT, GROUP, LAG, SECOND, Far, alone


def let_in(node: Node, source: Node, message: Any) -> Verified[Any]:
    """A member's message, wanted when it arrived and not read yet."""
    header = node.door.peek(Inbound(source.peer, source.signer.link(message)))
    assert node.core.wants(header) is None
    return node.door.verify(header)


def read(node: Node, verified: Verified[Any]) -> None:
    node.take(node.core.receive(verified, node.now()))
    node.core.invariants()


def refusals(node: Node, kind: str) -> list[str]:
    return [told["reason"] for told in node.told("refused") if told["text"] == kind]


# --- what was wanted when it came ------------------------------------------------------------------


def test_p17_a_second_answer_to_one_question_is_not_read() -> None:
    """The first one says that the state is served no longer: its sender is no source any more."""
    cluster = Far()
    cluster.pass_time(100, **ALL_SILENT)
    group = cluster.asked(0)[0].groups[0]
    first = let_in(cluster.late, cluster[0], m.Groups(20, ()))
    second = let_in(cluster.late, cluster[0], m.Groups(20, ((group, GROUP),)))
    read(cluster.late, first)
    read(cluster.late, second)
    assert refusals(cluster.late, "Groups") == [Reason.NOT_ASKED.value]
    assert not cluster.late.told("poisoned")


def test_p17_groups_are_not_read_once_the_state_is_complete() -> None:
    """Nor is another state sought: the host installs this one at the end of the turn."""
    cluster = Far()
    cluster.pass_time(100, r0=10_000, r1=None, r2=None)
    held = [each for each in cluster.held if each[1] is cluster[0]]
    late = let_in(cluster.late, cluster[0], open_frame(held[0][3]))
    cluster.pass_time(2_500, r0=10_000)
    assert cluster.transfer.state.views.ended
    read(cluster.late, late)
    assert all(question.groups for question in cluster.messages(m.FetchGroups, source=3))
    cluster.sent.clear()
    cluster.advance(3 * SECOND)
    assert not cluster.messages(m.FetchSnapshot, source=3)
    assert not cluster.messages(m.FetchGroups, source=3)
    assert cluster.transfer.refuse_snapshot(0) is Reason.NOT_ASKED
    assert cluster.transfer.refuse_groups(m.Groups(20, ()), 0) is Reason.NOT_ASKED
    assert len(cluster.late.installs) == 1


def test_row_17_a_second_offer_of_one_member_is_not_read() -> None:
    cluster = Offered()
    first, second = (
        let_in(cluster.late, cluster[0], open_frame(cluster.made[0, sequence])) for sequence in (10, 20)
    )
    read(cluster.late, first)
    read(cluster.late, second)
    assert refusals(cluster.late, "Snapshot") == [Reason.NOT_ASKED.value]
    cluster.pass_time(300)
    assert cluster.began() == [(10, [0])]


def test_row_17_an_offer_that_comes_after_the_choice_changes_nothing() -> None:
    cluster = Offered()
    late = let_in(cluster.late, cluster[1], open_frame(cluster.made[1, 20]))
    cluster.offers(0, 10)
    cluster.pass_time(300, r0=None)
    assert cluster.began() == [(10, [0])]
    read(cluster.late, late)
    assert refusals(cluster.late, "Snapshot") == [Reason.NOT_ASKED.value]
    assert cluster.transfer._offers == {}


def test_r23_a_proved_checkpoint_is_a_target_whatever_members_claim() -> None:
    catch_up = Cluster(4)[0].core.catch_up
    catch_up.on_said(1, 5)
    catch_up.on_said(2, 5)
    catch_up.on_certified(20)
    assert catch_up.state.lag.target() == 20
    catch_up.on_certified(10)
    assert catch_up.state.lag.target() == 20


def test_row_17_a_range_that_was_not_asked_for_is_not_read() -> None:
    """Not even a correct one: only a question may cause the cost of reading it."""
    source = Source(forgotten=False)
    catch_up = source.node.core.catch_up
    catch_up._owing.add(0)
    first = let_in(source.node, source.cluster[0], source.entries)
    catch_up._owing.clear()
    read(source.node, first)
    assert source.node.core.executed == 0
    assert refusals(source.node, "Entries") == [Reason.NOT_ASKED.value]


@pytest.mark.parametrize("message", ["Snapshot", "Groups", "Entries"])
def test_row_17_transfer_messages_of_nonmembers_are_refused(message: str) -> None:
    """A learner, or a node that is no member any more."""
    cluster = Offered()
    offered = open_frame(cluster.made[0, 20])
    sent = {"Snapshot": offered, "Groups": m.Groups(20, ()), "Entries": m.Entries((), offered.checkpoint)}
    core = cluster.late.core
    target = core.state.lag.target()
    frame = cluster[0].signer.link(sent[message])
    header = cluster.late.door.peek(Inbound(cluster[0].peer, frame))
    header = msgspec.structs.replace(header, peer=Peer("learner", None))  # the door decodes none of a learner
    assert core.wants(header) is not None
    read(cluster.late, cluster.late.door.verify(header))
    assert (core.state.lag.target(), core.transfer._offers) == (target, {})


# --- the state with which an epoch begins (R35) ----------------------------------------------------


class Entered(Far):
    """r3 is in epoch 1, which began after `base`; its ledger has the proof of it. r0 has the state of 20."""

    def __init__(self, *, base: int, known: int = 0) -> None:
        super().__init__(known=known, ahead=20 - known)
        late = self.late
        self[0].hear(late, late.signer.link(m.FetchSnapshot(0, 19)))
        (frame,) = {frame for *_, frame in self.waiting if type(open_frame(frame)) is m.Snapshot}
        self.offer = open_frame(frame)
        proof = next(kept.frames for kept in self[0].journal.checkpoints if kept.sequence == base)
        end = epoch_change_proof.EpochChangeProof(self[0].journal.log[base - 1].entry, b"", (), proof)
        late.journal.append([StateRecord(epoch_change_proof.record_name(0), canonical.encode(end))])
        late.journal.applied = known
        self.drop(is_kind(m.Snapshot))
        self.waiting.clear()
        self.sent.clear()
        pairs = self.keys.pairs
        self.keys.member_key = lambda _epoch, index: pairs[index][0]  # type: ignore[method-assign]
        config = msgspec.structs.replace(config_for(3, 4, transfer_lag=LAG), epoch=1, base=base)
        late.core = Replica(config, late.signer, late.application, True)
        late.take(late.core.restore(late.journal.load(), late.now()))
        late.tick()

    def signed(self, members: tuple[int, ...], epoch: int = 1) -> tuple[bytes, ...]:
        """CHECKPOINTs of 20, of these members."""
        said = open_frame(self.offer.checkpoint[0])
        content = (20, said.state_root, said.log_root, said.timestamp)
        return tuple(self.sign(m.Checkpoint(epoch, member, *content)) for member in members)

    def offers(self, member: int, checkpoint: tuple[bytes, ...]) -> None:
        offer = msgspec.structs.replace(self.offer, checkpoint=checkpoint)
        read(self.late, let_in(self.late, self[member], offer))


def test_r35_a_later_state_of_this_epoch_is_proved_by_its_own_members() -> None:
    """What ended the epoch before is not its proof, though the ledger holds it."""
    cluster = Entered(base=10)
    assert cluster.late.core.state.lag.target() == 10, "an epoch began after its base, whatever anybody says"
    proof = cluster.signed((0, 1, 2))
    cluster.offers(0, proof)
    cluster.pass_time(SECOND)
    record = cluster.installed().checkpoint
    assert (record.epoch, record.sequence, record.frames) == (1, 20, proof)


@pytest.mark.parametrize(
    ("members", "epoch", "reason"),
    [((0, 1), 1, Reason.BAD_PROOF), ((), 1, Reason.BAD_PROOF), ((0, 1, 2), 0, Reason.WRONG_EPOCH)],
    ids=["too few", "none", "of the epoch before"],
)
def test_r35_the_proof_of_the_epoch_before_covers_no_other_state(
    members: tuple[int, ...], epoch: int, reason: Reason
) -> None:
    cluster = Entered(base=10)
    cluster.offers(0, cluster.signed(members, epoch))
    assert refusals(cluster.late, "Snapshot") == [reason.value]
    cluster.pass_time(SECOND)
    assert not cluster.late.told("transfer_began")


def test_r35_the_first_state_of_the_epoch_is_refused_but_is_no_lie() -> None:
    """It was asked for before this replica had it, and comes late: of no use, no more."""
    cluster = Entered(base=20, known=20)
    core = cluster.late.core
    assert core.state.has_reached_epoch
    for member in (0, 1):
        core.catch_up.on_said(member, 220)
    cluster.offers(2, ())
    assert refusals(cluster.late, "Snapshot") == [Reason.OUTSIDE_WINDOW.value]
    assert not cluster.late.told("poisoned")
    cluster.pass_time(300)
    assert not core.state.transfer.active


def test_r35_after_a_missed_epoch_a_member_asks_no_log_and_never_suspects() -> None:
    """It could not read that log; and what it lacks is not the primary's fault (R30)."""
    cluster = Crossed(offered=False)
    core = cluster.late.core
    assert core.catch_up.is_dispensable(), "the others decide without it"
    cluster.pass_time(10 * SECOND)
    assert not cluster.messages(m.FetchEntries, source=3)
    assert cluster.messages(m.FetchSnapshot, source=3)
    assert core.catch_up.deadline() is None
    assert core.state.is_catching_up


# --- when it asks, and whom ------------------------------------------------------------------------


def test_r23_one_entry_that_no_member_has_starts_a_state_transfer() -> None:
    cluster = Far(known=9, ahead=1)
    cluster.advance(6 * SECOND)
    assert cluster.installed().checkpoint.sequence == 10


def test_row_17_several_slow_sources_are_not_given_up() -> None:
    """No better source is left: only a single source is given up for its slowness."""
    cluster = Far()
    cluster.pass_time(100, **ALL_SILENT)
    cluster.transfer.shift(-20 * SECOND * MILLISECOND)
    cluster.late.tick()
    assert len(cluster.transfer._sources) == 3
    assert not cluster.late.told("transfer_ended")
    cluster.transfer._sources[1].due += 1
    assert cluster.transfer.deadline() == cluster.transfer._sources[0].due, "the first of their times"


def test_row_17_slow_sources_are_remembered_for_the_next_choice() -> None:
    """Silent three times in a row, or alone for too long."""
    cluster = Far()
    cluster.pass_time(4 * SECOND, **ALL_SILENT)
    assert not cluster.transfer._slow
    cluster.pass_time(3 * SECOND, **ALL_SILENT)
    assert cluster.transfer._slow == {0, 1, 2}
    cluster = alone()
    cluster.pass_time(500, r0=None)
    cluster.transfer.shift(-15 * SECOND * MILLISECOND)
    cluster.late.tick()
    assert cluster.late.told("transfer_ended") == [{"reason": "slow"}]
    assert cluster.transfer._slow == {0}


def test_r30_a_member_fetching_a_state_is_dispensable_while_others_go_on() -> None:
    """However near it is; when they stand still, they may be waiting for it."""
    cluster = Far()
    cluster.pass_time(100, **ALL_SILENT)
    catch_up = cluster.late.core.catch_up
    assert catch_up.state.lag.target() < catch_up.state.executed + catch_up.state.config.window
    assert cluster.transfer.state.transfer.active
    assert catch_up.is_dispensable()
    cluster.time += 10 * SECOND * MILLISECOND
    cluster.late.tick()
    assert cluster.late.told("paused")
    assert catch_up.is_dispensable(), "a pause is no time in which they stood still (R31)"
    cluster.pass_time(2 * SECOND, **ALL_SILENT)
    assert not catch_up.is_dispensable()


@pytest.mark.parametrize(("executed", "gap", "wait"), [(0, 2, 0), (3, 2, 250), (3, 10, 250), (3, 11, 0)])
def test_r23_entries_that_may_be_in_transit_are_not_asked_at_once(executed: int, gap: int, wait: int) -> None:
    """After a start nothing is, and a gap wider than a checkpoint is no loss of a few messages."""
    cluster = Cluster(4)
    busy(cluster, executed)
    core = cluster[3].core
    core.tick(cluster[3].now())
    for said in (executed, executed + gap):
        core.state.outbox.take()
        for member in (0, 1):
            core.catch_up.on_said(member, said)
    questions = [
        send for send in core.state.outbox.take().send if type(open_frame(send.frame)) is m.FetchEntries
    ]
    assert len(questions) == (not wait)
    assert not core.catch_up.is_dispensable(), "one so near is waited for"
    if wait:
        assert core.catch_up.deadline() == cluster.time + wait * MILLISECOND
        core.catch_up.shift(SECOND * MILLISECOND)
        assert core.catch_up.deadline() == cluster.time + (SECOND + wait) * MILLISECOND, "(R31)"
        core.catch_up.shift(-SECOND * MILLISECOND)
        cluster.time += wait * MILLISECOND
        cluster[3].tick()
        assert [(first, last) for _member, first, last in asked(cluster, 3)] == [(4, executed + gap)]


def test_r23_a_replica_that_progresses_asks_for_nothing() -> None:
    """Each executed sequence postpones its request for entries, as the missing ones are arriving."""
    cluster = Cluster(4)
    busy(cluster, 3)
    late = cluster[3]
    late.tick()
    for step in range(5):
        for member in (0, 1):
            late.core.catch_up.on_said(member, 3 + 3 * step)
        busy(cluster, 1)
        cluster.time += 200 * MILLISECOND
        late.tick()
    assert late.core.executed == 8 < late.core.state.lag.target()
    held = cluster.time + 2 * late.core.state.timeouts.timeout
    assert late.core.state.lag.held_until == held, "and the primary is not blamed (R30)"
    assert not asked(cluster, 3)


def test_r23_on_a_far_link_an_answer_has_two_round_trips(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, late = lagging(40)
    catch_up = late.core.catch_up
    monkeypatch.setattr(late.core.state.round_trips, "of_quorum", lambda: 400 * MILLISECOND)
    late.tick()
    for member in (0, 1):
        catch_up.on_said(member, 40)
    assert catch_up.source is not None
    assert catch_up.deadline() == cluster.time + 800 * MILLISECOND


def test_r23_a_member_with_nothing_is_not_asked_while_others_bring_entries() -> None:
    cluster, late = lagging(40)
    cluster.drop(is_kind(m.Status, m.Ping, m.Pong, m.SupplyFrames))
    for member, executed in ((0, 0), (1, 40), (2, 40)):
        late.core.catch_up.on_said(member, executed)
    for first in range(1, 7):
        member = late.core.catch_up.source
        assert member in (1, 2)
        read(late, let_in(late, cluster[member], open_frame(answer(cluster, first, first))))
        cluster.advance(300)
    assert late.core.executed == 6
    assert {member for member, _first, _last in asked(cluster, 3)} == {1, 2}


def test_r30_a_member_that_has_caught_up_suspects_again_at_once() -> None:
    """And has the bodies that a view change may ask for, no older ones."""
    cluster, late = lagging(40)
    cluster.advance(600)
    member = late.core.catch_up.source
    assert member is not None
    assert late.core.state.is_catching_up
    assert late.hear(cluster[member], answer(cluster, 1, 40)) is None
    assert late.core.executed == 40
    assert not late.core.state.is_catching_up
    assert late.core.catch_up.source is None
    assert {first for _member, first, _last in asked(cluster, 3)} == {1}, "there is nothing left to ask for"
    kept = [late.core.state.bodies.get(record.entry.batch_digest) is not None for record in late.journal.log]
    assert kept == [record.entry.sequence > 40 - late.core.state.log.window for record in late.journal.log]


def test_r23_a_slow_log_does_not_count_as_a_stalled_one() -> None:
    """An entry every two seconds: no state is wanted, and no member is suspected. Then nothing for five."""
    cluster, late = lagging(40)
    cluster.advance(600)
    for first in (1, 2, 3):
        member = late.core.catch_up.source
        assert member is not None
        assert late.hear(cluster[member], answer(cluster, first, first)) is None
        assert late.core.state.is_catching_up
        cluster.advance(2 * SECOND)
    assert late.core.executed == 3
    assert not cluster.messages(m.FetchSnapshot, source=3)
    cluster.advance(2_900)
    assert not cluster.messages(m.FetchSnapshot, source=3)
    cluster.advance(600)
    assert cluster.messages(m.FetchSnapshot, source=3)


def test_row_17_a_lie_of_the_present_source_moves_on_to_the_next() -> None:
    """And one of a source that was passed over changes nothing for the one that is waited for."""
    cluster, late = lagging(40)
    catch_up = late.core.catch_up
    cluster.advance(600)
    passed, present = [member for member, _first, _last in asked(cluster, 3)][-2:]
    assert catch_up.source == present
    due = catch_up.deadline()
    (entry, body, commits), *_rest = cluster[0].journal.range(1, 4).entries  # type: ignore[union-attr]
    lie = m.Entries(((entry, body, commits[:2]),), ())
    read(late, let_in(late, cluster[passed], lie))
    assert catch_up.deadline() == due
    read(late, let_in(late, cluster[present], lie))
    assert catch_up.deadline() == cluster.time + 50 * MILLISECOND
    assert refusals(late, "Entries") == [Reason.BAD_PROOF.value] * 2
    assert late.core.executed == 0


def test_r28_a_certified_time_unlike_the_executed_one_stops_the_replica() -> None:
    """Of a null batch it is all that is certified beside the root of nothing."""
    source = Source(forgotten=True)
    entry = source.entries.entries[0][0]
    core = source.node.core
    step = Executor(0, KeyValue()).execute(NULL_BATCH)
    core.catch_up._must_equal(step, step.entry.results_root, step.entry.timestamp)
    with pytest.raises(InvariantBreach, match="certified other results for sequence 1"):
        core.catch_up._must_equal(step, step.entry.results_root, entry.timestamp)
