"""Statements, signatures and sealed files that no honest member writes, and the sentence for each (R11)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.ceremony import recovery_steps
from dtvn.machine import Admit
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.epoch_change_proof import EpochChangeProof
from dtvn.recovery import Plan, RecoveryError, SealedFile, SignedFile, StateFile, epoch_of, sealing
from dtvn.recovery.forms import Vote
from tests.recovery.paper import STABLE, Town, proofs_of, retold
from tests.recovery.steps import Steps
from tests.recovery.test_plan import changed, refuses

replaced = msgspec.structs.replace


@pytest.fixture(scope="module")
def town() -> Town:
    """Four members with a stable checkpoint at 60; r0 and r1 have prepared a batch above it."""
    made = Town()
    made.issue_and_fill(["T-0", "T-1"])
    sequence = made.admit("T-0")
    for index in (0, 1):
        made.prepare(index, sequence)
    return made


class Signed:
    """What the members of a town signed, and the whole that is sealed of it."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.file = town.told(0, 1)
        self.plan: Plan = town.plan(self.file)
        self.files = [town.sign(index, self.file, self.plan)[0] for index in range(town.n)]
        self.sealed = sealing.seal(self.file, self.plan, self.files, town.genesis)[0]
        self.ending = canonical.decode(EpochChangeProof, self.sealed.ending)

    def with_frame(self, frame: bytes) -> list[SignedFile]:
        """The files, of which the first holds this frame."""
        return [replaced(self.files[0], frame=frame), *self.files[1:]]

    def open(self, ending: bytes) -> None:
        """Read a sealed file with this ending."""
        sealed = SealedFile(self.sealed.format, self.file, ending)
        sealing.open_sealed(sealed, self.plan, self.town.genesis)


@pytest.fixture(scope="module")
def ends(town: Town) -> Signed:
    return Signed(town)


def fails(sentence: str, do: Callable[[], Any]) -> None:
    with pytest.raises(RecoveryError, match=sentence) as caught:
        do()
    assert str(caught.value).endswith(".")


# --- epochs -----------------------------------------------------------------------------------------


def with_changes(town: Town, state: StateFile, *changes: bytes, **fields: Any) -> StateFile:
    """A statement that shows these ends of epochs."""
    return retold(town, state, replaced(proofs_of(state), epoch_changes=changes), **fields)


def test_r11_the_first_proof_that_holds_leads_to_the_next_epoch() -> None:
    """A member that shows a false end of an epoch keeps nobody from the true one."""
    town = Town()
    town.issue_and_fill(["T-0"])
    told = town.told(0, 1).states
    town.log.change(leaves="r3")
    (change,) = town.log.epoch_changes
    true = canonical.encode(change)
    false = canonical.encode(replaced(change, checkpoint=change.checkpoint[:2]))
    shown = [with_changes(town, state, false, epoch=1) for state in told[:2]]
    last = with_changes(town, told[2], true, epoch=1)
    membership, used = epoch_of([*shown, last], town.genesis)
    assert (membership.epoch, len(membership.members), used) == (1, 3, (true,))
    assert epoch_of(told, town.genesis)[1] == ()
    fails("The end of epoch 0 is not proved: .*signatures", lambda: epoch_of(shown, town.genesis))
    junk = with_changes(town, told[0], b"\xc1")
    fails("^r0: an epoch change proof does not decode", lambda: epoch_of([junk], town.genesis))
    behind = [with_changes(town, told[0], true), last]
    said = "r0 speaks of epoch 0, and the newest that is proved is 1: tell its state again with `--epochs`"
    fails(said, lambda: epoch_of(behind, town.genesis))
    unreadable = replaced(told[1], proofs=b"\xc1")
    fails("^r1: its proofs cannot be read", lambda: epoch_of([unreadable], town.genesis))
    name = replaced(told[1].statement, member="r\n1")
    fails(
        "^a member with an odd name: its",
        lambda: epoch_of([replaced(unreadable, statement=name)], town.genesis),
    )


def test_r11_a_statement_of_a_stranger_or_two_of_one_member_are_no_plan(town: Town) -> None:
    states = town.told(0, 1).states
    stranger = replaced(states[3], statement=replaced(states[3].statement, member="r9"))
    genesis = town.genesis
    fails("^r9 is not a member of epoch 0", lambda: recovery_steps.planned([*states[:3], stranger], genesis))
    twice = [*states, states[1]]
    fails("^r1 told its state twice", lambda: recovery_steps.planned(twice, genesis))
    file, plan = recovery_steps.planned([*reversed(states)], genesis)
    assert (file.states, plan.last) == (states, STABLE + 1)


def test_a_file_has_at_most_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r0.state"
    path.write_bytes(bytes(8))
    monkeypatch.setattr(recovery_steps, "FILE_BYTES_MAX", 8)
    assert recovery_steps.read_bounded(path) == bytes(8)
    monkeypatch.setattr(recovery_steps, "FILE_BYTES_MAX", 7)
    fails("is too large, over 7 bytes", lambda: recovery_steps.read_bounded(path))


# --- logs that contradict each other ----------------------------------------------------------------


def with_other_entry(town: Town, state: StateFile, *voters: int) -> StateFile:
    """A member's statement in which its last entry has another batch, with true COMMITs of these members."""
    other = town.decide((Admit(gate="south"), "T-1")).batch
    proofs, said = proofs_of(state), state.statement
    *before, held = proofs.entries
    entry = replaced(held.entry, batch_digest=other.digest)
    sequence = entry.sequence
    commits = tuple(town.say(m.Commit(0, at, 0, sequence, other.digest)) for at in voters)
    votes = [vote for vote in said.votes if (vote.phase, vote.sequence) != ("commit", sequence)]
    votes.append(Vote("commit", 0, sequence, other.digest))
    entries = (*before, replaced(held, entry=entry, body=other.body, commits=commits))
    head = m.entry_hash(entry)
    return retold(town, state, replaced(proofs, entries=entries), head=head, votes=tuple(votes))


@pytest.mark.parametrize("stable", [False, True])
def test_r11_two_decisions_of_which_both_are_proved_are_refused(stable: bool) -> None:
    """r2 and r3 committed twice; `stable`: the one is covered by a checkpoint, not by COMMITs."""
    town = Town()
    town.issue_and_fill(["T-0", "T-1"])
    sequence = town.admit("T-0")
    town.log.fill(STABLE + 10)
    town.execute(1, [sequence], voters=(1, 2, 3))
    town.execute(0, range(sequence, STABLE + 11 if stable else sequence + 1), voters=(0, 2, 3))
    if stable:
        town.stable(0, STABLE + 10, voters=(0, 2, 3))
    file = town.told(0, 1)
    assert town.plan(file).last == (STABLE + 10 if stable else sequence)
    lie = with_other_entry(town, file.states[1], 1, 2, 3)
    refuses(town, changed(file, 1, lie), f"two different decisions for sequence {sequence}: more than f")


def test_r11_a_batch_that_is_none_is_no_entry(town: Town) -> None:
    file = town.told(0, 1)
    proofs = proofs_of(file.states[0])
    *before, held = proofs.entries
    odd = replaced(proofs, entries=(*before, replaced(held, body=b"\xc1")))
    refuses(
        town,
        changed(file, 0, retold(town, file.states[0], odd)),
        "r0 is refused: a batch that it shows is invalid",
    )


# --- signatures -------------------------------------------------------------------------------------


def test_r11_the_end_of_an_epoch_is_signed_and_nothing_else(ends: Signed) -> None:
    town, file, plan = ends.town, ends.file, ends.plan
    said = sealing.said_in(ends.files[0])
    assert (said.sender, said.sequence) == (0, STABLE + 2)
    checkpoint = town.say(m.Checkpoint(0, 0, 70, bytes(32), bytes(32), 1))
    forged = town.signer(1).sign(said)
    for frame, sentence in (
        (b"\xc1", "^A signature is invalid: "),
        (forged, "^A signature is invalid: "),
        (checkpoint, "^One of these files holds another statement than the end of this epoch"),
    ):
        files = ends.with_frame(frame)
        fails(sentence, lambda given=files: sealing.seal(file, plan, given, town.genesis))  # type: ignore[misc]
        fails(sentence, lambda given=files: sealing.by_witnesses(given, plan, file))  # type: ignore[misc]
    for frame, sentence in (
        (b"\xc1", "^A signature is invalid: "),
        (checkpoint, "^It holds another statement than the end of an epoch"),
    ):
        one = ends.with_frame(frame)[0]
        fails(sentence, lambda each=one: sealing.said_in(each))  # type: ignore[misc]


def test_r11_a_sealed_file_holds_all_signatures_of_its_plan(ends: Signed) -> None:
    ending, plan = ends.ending, ends.plan
    ends.open(ends.sealed.ending)
    junk = (b"\xc1", *ending.checkpoint[1:])
    for odd, sentence in (
        (b"\xc1", "^What all members signed cannot be read: "),
        (canonical.encode(replaced(ending, checkpoint=junk)), "^What all members signed cannot be read: "),
        (
            canonical.encode(replaced(ending, checkpoint=ending.checkpoint[:3])),
            "^These signatures are not those of all members under one end of the epoch",
        ),
        (
            canonical.encode(replaced(ending, entry=replaced(ending.entry, timestamp=1))),
            "^What all members signed does not end epoch 0: ",
        ),
    ):
        fails(sentence, lambda given=odd: ends.open(given))  # type: ignore[misc]
    other = replaced(plan, last=plan.last + 1)
    sealed = ends.sealed
    said = "^These signatures are not those of all members"
    fails(said, lambda: sealing.open_sealed(sealed, other, ends.town.genesis))


# --- steps ------------------------------------------------------------------------------------------


def test_r11_a_key_that_was_made_anew_is_not_installed(sealed: Steps) -> None:
    folder = sealed.data.node("r0")
    key = folder.recovery_key.read_bytes()
    folder.recovery_key.unlink()
    sealed.run("state", "--out", sealed.file("again.state"), node="r0")
    assert folder.recovery_key.read_bytes() != key
    with pytest.raises(Exception, match="The next key of r0 is another one than all members signed"):
        sealed.install("r0")
    folder.recovery_key.write_bytes(key)
    assert "r0" in sealed.install("r0")
