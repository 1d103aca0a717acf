"""Recoveries of drawn towns, told whole: what each member tells, the plan, its end, seals and records."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.protocol.consensus.effects import CheckpointRecord, EntryRecord, StateRecord
from dtvn.recovery import Ending, Plan, PlanFile, RecoveryError, SignedFile, StateFile, sealing
from tests.gateway.wording import Wording
from tests.golden import Compare, Telling
from tests.recovery.paper import STABLE, Town, lost, proofs_of, retold

GOLDEN = Path(__file__).parent / "golden"
TICKETS = [f"T-{number}" for number in range(6)]


class DrawnTown(Telling):
    """Members that hold what was drawn for each, and the recovery that they try."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.drawn = random.Random(seed)
        self.words = Wording()
        self.end = STABLE
        """Last sequence that any member executed."""
        self.town = Town(self.drawn.choice((4, 4, 4, 5, 7)))
        self.say(f"# Town {seed}: {self.town.n} members")
        self.town.issue_and_fill(TICKETS)

    # --- what happened --------------------------------------------------------------------------

    def live(self) -> None:
        """The cluster decides some batches, and its members go out at different moments."""
        town, drawn = self.town, self.drawn
        last, view = self._decided(), drawn.choice((0, 0, 1, 3))
        able = [index for index in range(town.n) if index not in (0, view % town.n)]
        self.able = sorted(drawn.sample(able, town.n - town.q + 1)) if len(able) > town.n - town.q else able
        self.say(f"able to vouch {self.able}, decided up to {last}, view {view}")
        for index in [*self.able, *(each for each in range(town.n) if each not in self.able)]:
            if index in self.able or drawn.random() < 0.8:
                self._goes_on(index, last, view)
            elif drawn.random() < 0.5:
                self.say(f"r{index} lost its vote")
                lost(town.disks[index])
            else:
                self.say(f"r{index} has lost its disk")
                town.disks[index] = Town(town.n).disks[index]

    def _goes_on(self, index: int, last: int, view: int) -> None:
        town, drawn = self.town, self.drawn
        leads = index == self.able[0]
        ends = drawn.choice((STABLE, last - 1, last, last))
        self.end = ends if leads else self.end  # for others have its votes, and no COMMIT beyond that
        ends = min(ends, self.end)
        if ends > STABLE:
            town.execute(index, range(STABLE + 1, ends + 1), voters=self._voters(index))
        if ends >= STABLE + 10 and drawn.random() < 0.5:
            town.stable(index, STABLE + 10, self._voters(index))
        if view:
            town.enter(index, view)
        done = [f"r{index} executed up to {ends}, view {view}"]
        for sequence in range(ends + 1, last + 3):
            what = drawn.choice(("propose" if leads else "", "propose", "prepare", "prepare"))
            if what == "propose":
                town.propose(index, sequence, view, null=sequence > last)
            elif what == "prepare":
                town.prepare(index, sequence, view, self._voters(index), null=sequence > last)
            done.append(f"{what} {sequence}")
        self.say(", ".join(done))

    def _decided(self) -> int:
        for ticket in self.drawn.sample(TICKETS, self.drawn.randrange(1, 5)):
            self.town.admit(ticket)
        if self.drawn.random() < 0.4:
            self.town.log.fill(STABLE + 11)
        return len(self.town.log.steps)

    def _voters(self, index: int) -> list[int]:
        """Those whose votes a member holds: members that do not vouch, and itself."""
        others = [each for each in range(self.town.n) if each not in (index, *self.able)]
        return [*others, index, *(each for each in self.able if each != index)][: self.town.q]

    # --- the recovery ---------------------------------------------------------------------------

    def recover(self) -> None:
        """All tell, plan, sign, seal; or the sentence that stops them."""
        try:
            file = self._told()
            plan = self.town.plan(file)
            self._tell_plan(plan)
            signed = self._signed(file, plan)
            self._seal(file, plan, signed)
        except RecoveryError as error:
            self.say(f"  {type(error).__name__}: {error}")

    def _told(self) -> PlanFile:
        vouchers = self.able[: 1 if self.drawn.random() < 0.1 else None]
        file = self.town.told(*vouchers)
        if self.drawn.random() < 0.2:
            liar = self.drawn.randrange(self.town.n)
            states = list(file.states)
            states[liar] = self._lie(states[liar])
            file = msgspec.structs.replace(file, states=tuple(states))
        for state in file.states:
            self._tell_state(state)
        return file

    def _lie(self, state: StateFile) -> StateFile:
        said, proofs = state.statement, proofs_of(state)
        what: str = self.drawn.choice(
            ("executed", "stable", "view", "epoch", "votes", "head", "lost", "entries", "prepared", "heard")
        )
        self.say(f"{said.member} lies about its {what}")
        if what in ("entries", "prepared", "heard"):
            kept = getattr(proofs, what)
            place = self.drawn.randrange(len(kept) + 1)
            shorter = {what: kept[:place] + kept[place + 1 :]}
            return retold(self.town, state, msgspec.structs.replace(proofs, **shorter))
        false: Any = {"votes": said.votes[1:], "head": bytes(32), "lost": "" if said.lost else "lied"}
        return retold(self.town, state, **{what: false[what] if what in false else getattr(said, what) + 1})

    def _tell_state(self, state: StateFile) -> None:
        said, proofs = state.statement, proofs_of(state)
        votes = [
            f"{vote.phase} {vote.view}.{vote.sequence} {self._batch(vote.digest)}" for vote in said.votes
        ]
        held = [f"{each.entry.sequence}{'*' if each.commits else ''}" for each in proofs.entries]
        self.say(
            f"{said.member}: epoch {said.epoch} executed {said.executed} stable {said.stable} "
            f"view {said.view} vouches {said.vouches} lost {said.lost!r} head {self.words.name(said.head)}"
        )
        self.say(f"  votes {votes}")
        self.say(
            f"  shows {len(proofs.checkpoint)} checkpoints, entries {held}, {len(proofs.before)} peaks, "
            f"{len(proofs.prepared)} prepared, {len(proofs.heard)} heard, {len(proofs.epoch_changes)} changes"
        )

    def _tell_plan(self, plan: Plan) -> None:
        self.say(f"plan {plan.first} to {plan.last} vouched by {plan.vouchers}, executed by {plan.witnesses}")
        for slot in plan.slots:
            if slot.sequence > STABLE - 2:
                self.say(
                    f"  {slot.sequence} {self._batch(slot.digest)} bodies {len(slot.bodies)} "
                    f"commits {len(slot.commits)}"
                )

    def _batch(self, digest: bytes) -> str:
        return self.words.name(digest)

    def _signed(self, file: PlanFile, plan: Plan) -> list[tuple[SignedFile, Ending | None]]:
        town = self.town
        done: list[tuple[SignedFile, Ending | None]] = []
        for index in plan.witnesses:
            signed, ending = town.sign(index, file, plan)
            done.append((signed, ending))
            said = ending.continuation
            self.say(
                f"r{index} comes to {said.sequence} at {said.timestamp} after "
                f"{[each.entry.sequence for each in ending.entries]} "
                f"state {self.words.name(said.state_root)} log {self.words.name(said.log_root)}"
            )
        for index in range(town.n):
            if index not in plan.witnesses:
                shown = [signed for signed, _ending in done]
                few = shown[: self.drawn.randrange(len(shown) + 1)]
                for files in (few, shown):
                    try:
                        said = sealing.by_witnesses(files, plan, file)
                    except RecoveryError as error:
                        self.say(f"r{index} by {len(files)}: {error}")
                mine = msgspec.structs.replace(said, sender=index)
                done.append((sealing.signed(file, town.cluster, mine, town.signer(index), None), None))
                self.say(f"r{index} signs the same {said.sequence}")
        return done

    def _seal(self, file: PlanFile, plan: Plan, done: list[tuple[SignedFile, Ending | None]]) -> None:
        town = self.town
        files = [signed for signed, _ending in done]
        missing = files[1:] if self.drawn.random() < 0.1 else files
        sealed, wrong = sealing.seal(file, plan, missing, town.genesis)
        opened = sealing.open_sealed(sealed, plan, town.genesis)
        following = opened.following
        keys = [self.words.name(member.public_key) for member in following.members]
        self.say(
            f"sealed with wrong {wrong}: {opened.certificate.sequence} by {len(opened.certificate.frames)}, "
            f"epoch {following.epoch} after {following.after} keys {keys}, "
            f"{len(opened.epoch_changes)} changes"
        )
        for ending in (done[0][1], None):
            self.say(f"  records {[_record(each) for each in sealing.records(opened, ending)]}")


def _record(record: object) -> str:
    if isinstance(record, EntryRecord):
        return f"entry {record.entry.sequence} {len(record.commits)}"
    if isinstance(record, CheckpointRecord):
        return f"checkpoint {record.epoch} {record.sequence} {len(record.frames)}"
    if isinstance(record, StateRecord):
        return f"{record.name} {len(record.value)}"
    return repr(record)


@pytest.mark.parametrize("first", [1, 9, 17])
def test_recoveries_of_drawn_towns(golden: Compare, first: int) -> None:
    """Eight towns at a time."""
    told = []
    for seed in range(first, first + 8):
        town = DrawnTown(seed)
        town.live()
        town.recover()
        told.append(town.text)
    golden.drawn(GOLDEN / f"towns-{first}.txt", "".join(told))
