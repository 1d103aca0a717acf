"""The statements of all members give one log with every acknowledged entry, or a refusal (R11)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from dtvn.machine import Admit
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import CheckpointRecord, Prune
from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST
from dtvn.recovery import Plan, PlanFile, RecoveryError, StateFile, read_states
from dtvn.recovery.forms import Certified
from tests.recovery.paper import STABLE, Town, lost, proofs_of, retold

SEVEN = [f"T-{number}" for number in range(7)]


@pytest.fixture
def town() -> Town:
    """Four members with a stable checkpoint at 60; r2 has lost its disk, r3 is a copy of that moment."""
    made = Town()
    made.issue_and_fill(SEVEN)
    made.disks[2] = Town(4).disks[2]
    lost(made.disks[2])
    return made


def decided(plan: Plan) -> dict[int, bytes]:
    """What lies above the stable checkpoint."""
    return {slot.sequence: slot.digest for slot in plan.slots if slot.sequence > STABLE}


def test_r11_entries_that_one_member_executed_are_final(town: Town) -> None:
    sequences = [town.admit(ticket) for ticket in SEVEN]
    town.execute(0, sequences)
    town.execute(1, sequences[:2])
    plan = town.plan(town.told(0, 1))
    assert (plan.first, plan.last) == (19, 67)
    assert decided(plan) == {s: town.log.steps[s - 1].entry.batch_digest for s in sequences}
    assert plan.witnesses == (0, 1, 3), "r2 has no log at all"


def test_r11_a_prepared_batch_that_was_not_executed_is_kept(town: Town) -> None:
    """It may have been committed and acknowledged by those that lost their disks."""
    sequence = town.admit("T-0")
    town.propose(0, sequence)
    town.prepare(1, sequence)
    plan = town.plan(town.told(0, 1))
    assert plan.last == 61
    assert decided(plan) == {61: town.log.steps[60].entry.batch_digest}


def test_r11_a_gap_is_filled_with_the_null_request(town: Town) -> None:
    town.admit("T-0")
    sequence = town.admit("T-1")
    town.prepare(0, sequence)
    for index in (0, 1):
        town.propose(index, 61)
    assert decided(town.plan(town.told(0, 1))) == {
        61: NULL_BATCH_DIGEST,
        62: town.log.steps[sequence - 1].entry.batch_digest,
    }


def test_r11_the_highest_view_wins_a_sequence(town: Town) -> None:
    sequence = town.admit("T-0")
    town.prepare(0, sequence, view=0)
    for index in (0, 1):
        town.enter(index, 2)
    town.prepare(1, sequence, view=2, null=True)
    assert decided(town.plan(town.told(0, 1))) == {61: NULL_BATCH_DIGEST}
    for index in (0, 1):
        town.enter(index, 6)
    town.prepare(0, sequence, view=6)
    assert decided(town.plan(town.told(0, 1))) == {61: town.log.steps[60].entry.batch_digest}


def test_r11_an_executed_entry_is_final_despite_a_lower_prepared_view(town: Town) -> None:
    sequence = town.admit("T-0")
    for index in (0, 1):
        town.enter(index, 3)
    town.execute(0, [sequence], view=3)
    town.prepare(1, sequence, view=2, null=True)
    plan = town.plan(town.told(0, 1))
    assert decided(plan) == {61: town.log.steps[60].entry.batch_digest}
    assert plan.slots[-1].commits


def test_r11_two_decisions_for_one_sequence_are_refused(town: Town) -> None:
    sequence = town.admit("T-0")
    town.execute(0, [sequence])
    for index in (0, 1):
        town.enter(index, 2)
    town.prepare(1, sequence, view=2, null=True)
    with pytest.raises(RecoveryError, match="two different decisions for sequence 61"):
        town.plan(town.told(0, 1))


@pytest.mark.parametrize("views", [(3, 1), (1, 3)])
def test_r11_the_lowest_view_in_which_an_entry_was_decided_counts(town: Town, views: tuple[int, int]) -> None:
    """A batch that was prepared in a view between the two contradicts the entry, whichever member tells
    its state first."""
    sequence = town.admit("T-0")
    for index in (0, 1, 3):
        town.enter(index, 3)
    for index in (0, 1):
        town.execute(index, [sequence], view=views[index])
    assert town.plan(town.told(0, 1)).last == 61
    town.prepare(3, sequence, view=2, null=True)
    with pytest.raises(RecoveryError, match="two different decisions for sequence 61"):
        town.plan(town.told(0, 1))


def test_r11_an_idle_cluster_ends_at_its_checkpoint(town: Town) -> None:
    plan = town.plan(town.told(0, 1))
    assert (plan.first, plan.last) == (19, 60)
    assert plan.witnesses == (0, 1, 3)


# --- vouching ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vouchers", "refusal"),
    [
        ((), "No member vouches"),
        ((0,), "Only 1 of 4 members vouch"),
        ((0, 1, 3), "3 of 4 members vouch for their logs, and 3 decide: no recovery is needed"),
    ],
)
def test_r11_too_few_or_too_many_vouchers_are_refused(
    town: Town, vouchers: tuple[int, ...], refusal: str
) -> None:
    with pytest.raises(RecoveryError, match=refusal):
        town.plan(town.told(*vouchers))


@pytest.mark.parametrize(
    ("members", "vouchers"), [(1, None), (2, 1), (3, None), (4, 2), (5, 2), (6, 3), (7, 3)]
)
def test_r11_at_least_one_voucher_holds_every_committed_entry(members: int, vouchers: int | None) -> None:
    """n - q + 1 of them share a member with every quorum; where that is a quorum itself nothing is lost."""
    small = Town(members)
    least = None
    for count in range(members + 1):
        try:
            small.plan(small.told(*range(count)))
        except RecoveryError:
            continue
        least = count
        break
    assert least == vouchers


def test_r11_a_ledger_that_lost_its_vote_cannot_vouch(town: Town) -> None:
    with pytest.raises(RecoveryError, match="r2 is refused: it vouches for a log of which its ledger knows"):
        town.plan(town.told(0, 2))


@pytest.mark.parametrize(
    ("phase", "held"),
    [
        ("pre_prepare", lambda town, sequence: town.prepare(0, sequence, view=1)),
        ("prepare", lambda town, sequence: town.prepare(0, sequence, voters=(0, 1, 3))),
        ("commit", lambda town, sequence: town.execute(0, [sequence], voters=(0, 1, 3))),
    ],
)
def test_r11_a_vote_unknown_to_its_voucher_reveals_lost_votes(
    town: Town, phase: str, held: Callable[[Town, int], None]
) -> None:
    """r1 was restored from a copy and its operator does not know it: r0 holds what it signed since."""
    sequence = town.admit("T-0")
    held(town, sequence)
    if phase == "commit":
        town.propose(1, sequence)
    with pytest.raises(RecoveryError, match=f"r1 vouches .* r0 holds a {phase} for sequence 61"):
        town.plan(town.told(0, 1))


def test_r11_a_proposal_without_a_certificate_reveals_a_lost_vote(town: Town) -> None:
    """r1 led view 1 and was restored from a copy: r0 holds its proposal, and was cut off before it was
    prepared there. The others committed it, acknowledged it and lost their disks."""
    sequence = town.admit("T-0")
    for index in (0, 1):
        town.enter(index, 1)
    town.propose(0, sequence, view=1)
    with pytest.raises(RecoveryError, match=r"r1 vouches .* r0 holds a pre_prepare for sequence 61"):
        town.plan(town.told(0, 1))


def test_r11_a_vote_below_executed_entries_reveals_a_lost_vote(town: Town) -> None:
    """r0 has r1's PREPARE, and executed with the COMMITs of others."""
    sequence = town.admit("T-0")
    town.prepare(0, sequence, voters=(1, 3))
    step = town.log.steps[sequence - 1]
    commits = [town.say(m.Commit(0, at, 0, sequence, step.entry.batch_digest)) for at in (0, 2, 3)]
    town.disks[0].append([step.record(tuple(commits))])
    with pytest.raises(RecoveryError, match=r"r1 vouches .* r0 holds a prepare for sequence 61"):
        town.plan(town.told(0, 1))


def test_r11_the_primary_of_a_new_view_knows_its_reproposed_batches(town: Town) -> None:
    """Power is lost right after the NEW-VIEW: only that record holds its PRE-PREPAREs."""
    sequence = town.admit("T-0")
    town.prepare(0, sequence)
    for index in (0, 1):
        town.enter(index, 1, demands=[sequence])
    assert town.plan(town.told(0, 1)).last == sequence


def test_r11_a_vote_in_a_view_that_the_voucher_left_reveals_no_loss(town: Town) -> None:
    """r1 led view 1, where r0 prepared and r1 did not; view 2 made r1 forget its NEW-VIEW."""
    sequence = town.admit("T-0")
    town.prepare(0, sequence, view=1)
    for index in (0, 1):
        town.enter(index, 2)
    assert town.plan(town.told(0, 1)).last == sequence


def test_r11_a_view_unknown_to_the_voucher_reveals_lost_votes(town: Town) -> None:
    town.enter(0, 3)
    with pytest.raises(RecoveryError, match=r"r1 vouches .* r0 holds a view change to view 3"):
        town.plan(town.told(0, 1))
    town.enter(1, 3)
    assert town.plan(town.told(0, 1)).last == 60


def test_r11_a_checkpoint_unknown_to_the_voucher_reveals_lost_votes(town: Town) -> None:
    town.log.fill(70)
    town.execute(0, range(61, 71))
    town.stable(0, 70)
    town.execute(3, range(61, 71))
    with pytest.raises(RecoveryError, match=r"r1 vouches .* holds a checkpoint of sequence 70"):
        town.plan(town.told(0, 1))


# --- what proves nothing ----------------------------------------------------------------------------


def changed(file: PlanFile, index: int, state: object) -> PlanFile:
    states = list(file.states)
    states[index] = state  # type: ignore[call-overload]
    return msgspec.structs.replace(file, states=tuple(states))


def refuses(town: Town, file: PlanFile, sentence: str) -> None:
    with pytest.raises(RecoveryError, match=sentence) as caught:
        town.plan(file)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_r11_a_statement_of_each_member_is_needed_under_its_old_key(town: Town) -> None:
    file = town.told(0, 1)
    refuses(town, msgspec.structs.replace(file, states=file.states[:3]), "The statement of r3 is missing")
    refuses(town, msgspec.structs.replace(file, states=()), "No member told anything")
    refuses(town, msgspec.structs.replace(file, states=tuple(reversed(file.states))), "in its order")
    forged = msgspec.structs.replace(file.states[3], signature=bytes(64))
    refuses(town, changed(file, 3, forged), "r3 is refused: its signature is not by the key")
    twice = retold(town, file.states[3], new_key=file.states[0].statement.new_key)
    refuses(town, changed(file, 3, twice), "r3 names a key for the next epoch that is not new")
    old = retold(town, file.states[3], new_key=town.genesis.members[0].public_key)
    refuses(town, changed(file, 3, old), "r3 names a key for the next epoch that is not new")


def test_r11_a_statement_of_another_epoch_or_cluster_is_refused(town: Town) -> None:
    file = town.told(0, 1)
    refuses(town, changed(file, 1, retold(town, file.states[1], epoch=1)), "r1 speaks of epoch 1")
    with pytest.raises(RecoveryError, match="r0 is refused: its signature"):
        read_states(file, msgspec.structs.replace(town.genesis, name="another"))


def test_r11_proofs_must_be_the_signed_ones_and_each_must_be_valid(town: Town) -> None:
    sequences = [town.admit(ticket) for ticket in SEVEN[:3]]
    town.execute(0, sequences[:2])
    town.prepare(0, sequences[2])
    file = town.told(0, 1)
    state = file.states[0]
    proofs = proofs_of(state)
    refuses(
        town,
        changed(file, 0, msgspec.structs.replace(state, proofs=file.states[1].proofs)),
        "r0 is refused: its proofs are not those that it signed",
    )
    replaced = msgspec.structs.replace
    *covered, first, second = proofs.entries
    below = tuple(covered)
    (certified,) = proofs.prepared
    other = town.decide((Admit(gate="south"), "T-5")).batch.body
    for changes, sentence in (
        ({"checkpoint": proofs.checkpoint[:2]}, "do not prove the stable checkpoint 60"),
        ({"checkpoint": ()}, "its stable checkpoint 60 is not proved"),
        ({"entries": (*below, second)}, "its entry 62 does not continue its log"),
        ({"entries": (*below, first)}, "its log ends at 62, its entries at 61"),
        ({"entries": (*below, first, replaced(second, commits=second.commits[:2]))}, "do not prove entry 62"),
        ({"entries": (*below, first, replaced(second, commits=()))}, "do not prove entry 62"),
        ({"entries": (*below, first, replaced(second, commits=first.commits))}, "do not prove entry 62"),
        (
            {"entries": (*below, first, replaced(second, body=other))},
            "the batch of its entry 62 is another one",
        ),
        (
            {"entries": (*below, first, replaced(second, entry=replaced(second.entry, previous=bytes(32))))},
            "its entry 62 does not continue its log",
        ),
        (
            {"entries": (*below, first, replaced(second, entry=replaced(second.entry, timestamp=1)))},
            "its last entry is not the one that it signed",
        ),
        ({"entries": (*below[1:9], *below[10:], first, second)}, "its entry 29 does not continue its log"),
        ({"prepared": (replaced(certified, body=other),)}, "the batch that it prepared at 63 is another one"),
        ({"prepared": (certified, certified)}, "one of its prepared certificates proves nothing"),
        ({"prepared": (Certified(m.PreparedProof(certified.proof.pre_prepare, ()), b""),)}, "proves nothing"),
        ({"heard": (b"nonsense",)}, "a statement that it shows is invalid"),
    ):
        told = retold(town, state, replaced(proofs, **changes))
        refuses(town, changed(file, 0, told), f"r0 is refused: .*{sentence}")


def test_r11_a_prepared_certificate_beyond_the_window_is_refused(town: Town) -> None:
    """No honest member takes in so high a sequence."""
    reach = read_states(town.told(0, 1), town.genesis).config.watermark_span
    town.prepare(0, STABLE + reach, null=True)
    assert town.plan(town.told(0, 1)).last == STABLE + reach
    town.prepare(0, STABLE + reach + 1, null=True)
    refuses(town, town.told(0, 1), "r0 is refused: one of its prepared certificates proves nothing")


def test_r11_the_checkpoint_proof_must_match_the_statement_of_the_member(town: Town) -> None:
    file = town.told(0, 1)
    lower = retold(town, file.states[0], stable=50)
    refuses(town, changed(file, 0, lower), "do not prove the stable checkpoint 50")
    shorter = retold(town, file.states[0], executed=59)
    refuses(town, changed(file, 0, shorter), "do not prove the stable checkpoint 60")


def garbled(town: Town, state: StateFile, sequence: int) -> StateFile:
    """A member's statement whose log has the null request at `sequence`, and goes on from that."""
    proofs = proofs_of(state)
    entries, previous = [], b""
    for held in proofs.entries:
        entry, body = held.entry, held.body
        if previous:
            entry = msgspec.structs.replace(entry, previous=previous)
        if entry.sequence == sequence:
            entry, body = msgspec.structs.replace(entry, batch_digest=NULL_BATCH_DIGEST), b""
        entries.append(msgspec.structs.replace(held, entry=entry, body=body))
        if entry.sequence >= sequence:
            previous = m.entry_hash(entry)
    return retold(town, state, msgspec.structs.replace(proofs, entries=tuple(entries)), head=previous)


def test_r11_entries_below_a_checkpoint_are_proved_by_it(town: Town) -> None:
    """r0 shows another batch below its checkpoint than r3 executed with COMMITs: only r0 is named."""
    town.log.fill(70)
    town.execute(0, range(61, 71), voters=(0, 2, 3))
    town.stable(0, 70, voters=(0, 2, 3))
    town.execute(3, [61], voters=(0, 2, 3))
    file = town.told(0, 1)
    for sequence in (61, 65):
        refuses(town, changed(file, 0, garbled(town, file.states[0], sequence)), "r0 is refused: .*covers")
    proofs = proofs_of(file.states[0])
    commits = proofs_of(file.states[3]).entries[-1].commits
    first = msgspec.structs.replace(proofs.entries[0], commits=commits)
    for changes, sentence in (
        ({"before": proofs.before[1:]}, "its entries are not those that its stable checkpoint 70 covers"),
        ({"before": ()}, "its entries are not those that its stable checkpoint 70 covers"),
        ({"entries": (first, *proofs.entries[1:])}, "its COMMITs do not prove entry 29"),
    ):
        told = retold(town, file.states[0], msgspec.structs.replace(proofs, **changes))
        refuses(town, changed(file, 0, told), f"r0 is refused: {sentence}")


def test_r11_a_log_with_a_completed_membership_change_is_refused(town: Town) -> None:
    """The epoch ended with it, unsealed: nothing behind it is of this epoch."""
    town.log.change(leaves="r3")
    town.prepare(0, 61)
    file = town.told(0, 1)
    with pytest.raises(RecoveryError, match=r"took effect at 61.*genesis continue --help"):
        town.sign(0, file, town.plan(file))


def test_r11_a_prepared_batch_that_no_member_has_prevents_a_plan(town: Town) -> None:
    sequence = town.admit("T-0")
    town.prepare(0, sequence)
    file = town.told(0, 1)
    proofs = proofs_of(file.states[0])
    bare = msgspec.structs.replace(proofs.prepared[0], body=b"")
    told = retold(town, file.states[0], msgspec.structs.replace(proofs, prepared=(bare,)))
    refuses(town, changed(file, 0, told), "Nobody shows the batch that was prepared at sequence 61")


def test_r11_an_empty_ledger_reports_no_proofs_and_no_entries(town: Town) -> None:
    file = town.told(0, 1)
    empty = proofs_of(file.states[2])
    assert (empty.checkpoint, empty.entries, empty.prepared) == ((), (), ())
    assert (file.states[2].statement.executed, file.states[2].statement.head) == (0, bytes(32))


# --- executing it -----------------------------------------------------------------------------------


def test_r11_a_voucher_below_the_others_checkpoint_executes_the_plan_too(town: Town) -> None:
    """Its log ends at 61; r0 shows what lies between that and its checkpoint at 70."""
    town.log.fill(71)
    town.execute(1, [61])
    town.propose(1, 62)
    town.execute(0, range(61, 72), voters=(0, 2, 3))
    town.stable(0, 70, voters=(0, 2, 3))
    file = town.told(0, 1)
    plan = town.plan(file)
    ends = [town.sign(index, file, plan)[1].continuation for index in (0, 1, 3)]
    assert plan.last == 71
    assert ends[0] == ends[1] == ends[2]


def test_r11_a_plan_that_fewer_than_f_plus_1_can_execute_is_refused(town: Town) -> None:
    """No other member could sign, and a member that signed does not start: its log cannot be fetched."""
    town.log.fill(121)
    town.execute(0, range(61, 122), voters=(0, 2, 3))
    town.stable(0, 120, voters=(0, 2, 3))
    said = "only r0 can go on from there, where 2 must.*r1 at 60, r2 at 0, r3 at 60"
    with pytest.raises(RecoveryError, match=said):
        town.plan(town.told(0, 1))


def test_r11_every_member_executes_the_plan_to_the_same_end(town: Town) -> None:
    """What was executed, then what was prepared, then `recover`: as one cluster would have executed it."""
    sequences = [town.admit(ticket) for ticket in SEVEN]
    town.execute(0, sequences[:4])
    town.prepare(0, sequences[4])
    file = town.told(0, 1)
    plan = town.plan(file)
    (one, ended), (two, _ended) = (town.sign(index, file, plan) for index in (0, 1))
    assert one.ending == two.ending
    assert plan.last == sequences[4]
    assert [record.entry.sequence for record in ended.entries] == [65, 66]
    assert ended.entries[-1].entry.epoch == 0
    assert ended.epoch_change_proof.entry == ended.entries[-1].entry


def test_r11_a_log_with_a_state_other_than_signed_is_refused(town: Town) -> None:
    """The entries are those of the checkpoint: what executes them is damaged, or was where it was signed."""
    town.log.fill(70)
    town.execute(0, range(61, 71), voters=(0, 2, 3))
    said = msgspec.structs.replace(town.log._checkpoint(70), state_root=bytes(32))
    frames = tuple(town.say(msgspec.structs.replace(said, sender=at)) for at in (0, 2, 3))
    content = (said.state_root, said.log_root, said.timestamp)
    town.disks[0].append([CheckpointRecord(0, 70, *content, frames), Prune(70)])
    file = town.told(0, 1)
    with pytest.raises(RecoveryError, match="another state than 3 members signed at checkpoint 70"):
        town.sign(1, file, town.plan(file))


def unsigned(body: bytes) -> bytes:
    """The same batch, whose first request has no valid signature."""
    batch = canonical.decode(m.Batch, body)
    frame = list(msgspec.msgpack.decode(batch.requests[0]))
    frame[2] = bytes(64)
    return canonical.encode(msgspec.structs.replace(batch, requests=(canonical.encode(tuple(frame)),)))


def test_r11_unsigned_requests_are_not_executed(town: Town) -> None:
    """Their signatures are in no digest: who tells a batch may put other bytes there."""
    sequence = town.admit("T-0")
    town.prepare(0, sequence)
    file = town.told(0, 1)
    proofs = proofs_of(file.states[0])
    prepared = (msgspec.structs.replace(proofs.prepared[0], body=unsigned(proofs.prepared[0].body)),)
    told = retold(town, file.states[0], msgspec.structs.replace(proofs, prepared=prepared))
    forged = changed(file, 0, told)
    with pytest.raises(RecoveryError, match="No request of the batch at sequence 61 is signed"):
        town.sign(1, forged, town.plan(forged))


def test_r11_of_two_versions_of_a_batch_the_signed_one_is_executed(town: Town) -> None:
    """A member that shows unsigned requests before all others keeps nobody from the end."""
    sequence = town.admit("T-0")
    for index in (0, 1):
        town.prepare(index, sequence)
    file = town.told(0, 1)
    proofs = proofs_of(file.states[0])
    prepared = msgspec.structs.replace(proofs.prepared[0], body=unsigned(proofs.prepared[0].body))
    told = retold(town, file.states[0], msgspec.structs.replace(proofs, prepared=(prepared,)))
    forged = changed(file, 0, told)
    plan = town.plan(forged)
    assert plan.slots[-1].bodies == (prepared.body, proofs.prepared[0].body)
    honest, shown = (town.sign(3, each, town.plan(each))[1] for each in (file, forged))
    assert shown == honest


def test_r11_only_the_body_of_the_decided_batch_is_executed(town: Town) -> None:
    """What reads the statements compares each body with its digest; what executes them does so again."""
    sequence = town.admit("T-0")
    town.prepare(0, sequence)
    other = town.decide((Admit(gate="south"), "T-5")).batch.body
    file = town.told(0, 1)
    plan = town.plan(file)
    *below, slot = plan.slots
    both = msgspec.structs.replace(slot, bodies=(other, *slot.bodies))
    _signed, ending = town.sign(1, file, msgspec.structs.replace(plan, slots=(*below, both)))
    assert ending == town.sign(1, file, plan)[1]
    foreign = msgspec.structs.replace(slot, bodies=(other,))
    with pytest.raises(RecoveryError, match="No request of the batch at sequence 61 is signed"):
        town.sign(1, file, msgspec.structs.replace(plan, slots=(*below, foreign)))
