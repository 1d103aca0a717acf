"""A cluster that works, loses more disks than it can do without at any moment, and is recovered (R11): real
cores, hosts and state machine; what was acknowledged stays, and nobody executes anything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import pytest

from dtvn.machine import Admit, Issue
from dtvn.protocol import canonical
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus import new_view
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import Door, FrameSigner
from dtvn.recovery import (
    Ending,
    MemberKeys,
    Plan,
    PlanFile,
    RecoveryError,
    SignedFile,
    StateFile,
    make_plan,
    planning,
    reach,
    read_states,
    sealing,
    tell,
    why_lost,
)
from dtvn.recovery.forms import Proofs, statement_bytes
from simulator.disk import VirtualDisk
from tests.epochs.world import MILLISECOND, SECOND, Node, World, barrier

SEEDS = range(8)


class Recovered(World):
    checked = False  # the checkers do not see the entries that a recovery writes


class Story:
    """Four members, two of whom, whichever, will have lost what they had."""

    def __init__(self, seed: int | str, mode: Mode = Mode.PBFT) -> None:
        self.world = Recovered(f"recovery {seed}", mode=mode)
        self.world.open_session()
        self.scheme = self.world.keyring.scheme
        self.tickets: list[str] = []
        self.lost: list[int] = []

    @property
    def boxes(self) -> list[Node]:
        return [self.world.boxes[member.id] for member in self.world.now.members]

    def admit(self, count: int) -> None:
        """Issue and admit this number of tickets."""
        for _ in range(count):
            ticket = f"T-{len(self.tickets)}"
            assert self.world.do(Issue(), ticket) == "ok"
            assert self.world.do(Admit(), ticket) == "ok"
            self.tickets.append(ticket)

    def power_cut(self) -> None:
        """Cut the power under load: some requests are proposed, prepared or committed but not executed."""
        for number in range(12):
            self.world.client.ask(Issue(), f"LATE-{self.world.now.epoch}-{number}")
        self.world.run(self.world.dice.between(0, 40 * MILLISECOND))
        for box in self.boxes:
            box.crash()

    def copies(self) -> list[VirtualDisk]:
        """Of all disks, as they are now."""
        return [box.disk.clone() for box in self.boxes]

    def lose(self, copies: Sequence[VirtualDisk] = ()) -> None:
        """One of two members has an empty disk now, the other a copy of a former moment, if there are any."""
        dice = self.world.dice
        first = dice.below(4)
        second = (first + 1 + dice.below(3)) % 4
        self.lost = [first, second]
        for index in self.lost:
            box = self.boxes[index]
            box.disk = VirtualDisk(dice.fork(f"another {box.name}"), voting=False)
        if copies:
            self.boxes[second].disk = copies[second]

    # --- the recovery -------------------------------------------------------------------------------

    def recover(self, sound: int = 2) -> None:
        """All steps by all members, of whom the given number vouch; then all nodes start again."""
        vouchers = [index for index in range(4) if index not in self.lost][:sound]
        file = PlanFile("dtvn-recovery-plan-1", tuple(self._tell(box, vouchers) for box in self.boxes))
        plan = make_plan(read_states(file, self.world.genesis, self.scheme))
        endings: dict[str, Ending | None] = {}
        files: list[SignedFile] = []
        for index in [*plan.witnesses, *(i for i in range(4) if i not in plan.witnesses)]:
            box = self.boxes[index]
            able = plan.executes(index)
            ending = reach(plan, box.disk.load(), self.world.genesis, self.scheme) if able else None
            endings[box.name] = ending
            said = (
                sealing.by_witnesses(files, plan, file, self.scheme)
                if ending is None
                else ending.continuation
            )
            mine = msgspec.structs.replace(said, sender=index)
            files.append(sealing.signed(file, self.world.cluster, mine, self._signer(box, plan), ending))
        sealed_file, _wrong = sealing.seal(file, plan, files, self.world.genesis, self.scheme)
        sealed = sealing.open_sealed(sealed_file, plan, self.world.genesis, self.scheme)
        self.world.world.enter(sealed.following)
        for box in self.boxes:
            box.disk.append(sealing.records(sealed, endings[box.name]))
            box.keys.append(self._new_key(box))
        for box in self.boxes:
            self.world.start(box)

    def _new_key(self, box: Node) -> str:
        return f"{box.name}/{self.world.now.epoch}"

    def _tell(self, box: Node, vouchers: Sequence[int]) -> StateFile:
        world, now = self.world, self.world.now
        recovery = box.disk.load()
        secret = world.keyring.pair(box.keys[-1])[1]
        index = now.find(box.name)
        return tell(
            recovery,
            lambda first, last: box.disk.entries(first, last, 1 << 40),
            configuration.build(world.genesis, world.cluster, box.name, now),
            Door(world.cluster, MemberKeys(now), scheme=self.scheme),
            lambda data: self.scheme.sign(secret, data),
            lost=why_lost(recovery, box.disk.voting, ""),
            vouches=index in vouchers,
            new_key=world.keyring.pair(f"{box.name}/{now.epoch + 1}")[0],
        )

    def _signer(self, box: Node, plan: Plan) -> FrameSigner:
        secret = self.world.keyring.pair(box.keys[-1])[1]
        keys = MemberKeys(plan.reading.membership)
        return FrameSigner(self.world.cluster, secret, keys, scheme=self.scheme)

    def goes_on(self) -> None:
        """All members vote in the newest epoch; admissions are kept; new tickets are admitted."""
        world = self.world
        assert world.run(60 * SECOND, world.settled), [len(box.disk.log) for box in self.boxes]
        for ticket in self.tickets[-7:]:
            assert world.do(Admit(), ticket) == "already_consumed"
        self.admit(3)
        assert world.run(60 * SECOND, world.settled)
        world.check()
        assert all(box.core.voting for box in self.boxes)
        assert barrier(world) == "ok"


def played(seed: int | str, mode: Mode = Mode.PBFT) -> Story:
    """Work, a power cut in the middle of it, two disks gone, a recovery; then the same once more."""
    story = Story(seed, mode)
    for _ in range(2):
        story.admit(6)
        copies = story.copies() if story.world.dice.hit(0.7) else []
        story.admit(story.world.dice.below(8))
        story.power_cut()
        story.lose(copies)
        story.recover()
        story.goes_on()
    return story


@pytest.mark.parametrize("seed", SEEDS)
def test_r11_acknowledged_admissions_survive_a_power_cut_and_recovery(seed: int) -> None:
    assert played(seed).world.now.epoch == 2


@pytest.mark.parametrize("seed", SEEDS)
def test_r11_r44_they_survive_it_in_a_raft_cluster_too(seed: int) -> None:
    assert played(seed, Mode.RAFT).world.now.epoch == 2


# --- what would be wrong is seen ---------------------------------------------------------------------


def the_last_checkpoint(plan: Callable[..., new_view.Plan]) -> Callable[..., new_view.Plan]:
    def planned(claims: Sequence[new_view.CheckedViewChange]) -> new_view.Plan:
        return plan([msgspec.structs.replace(claim, prepared=()) for claim in claims])

    return planned


def test_r11_a_recovery_that_drops_prepared_batches_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake that R11 names: acknowledged entries lie above the last stable checkpoint."""
    monkeypatch.setattr(new_view, "plan", the_last_checkpoint(new_view.plan))
    monkeypatch.setattr(planning, "_final", lambda _told: {})
    with pytest.raises((AssertionError, RecoveryError)):
        played(0)


def test_r44_a_recovery_that_drops_accepted_entries_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A majority had accepted them, and one of it had executed them and answered."""
    monkeypatch.setattr(planning, "_newest_log", lambda _told: {})
    monkeypatch.setattr(planning, "_final", lambda _told: {})
    with pytest.raises((AssertionError, RecoveryError)):
        played(0, Mode.RAFT)


def test_r11_one_voucher_of_four_is_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """With only one voucher for the newest log, acknowledged entries may be lost."""
    story = Story("one voucher")
    story.admit(7)
    story.power_cut()
    story.lose()
    with pytest.raises(RecoveryError, match="Only 1 of 4 members vouch"):
        story.recover(sound=1)


def test_r11_a_member_absent_from_a_recovery_rejoins_after_it() -> None:
    """It installed what all signed, and starts when the others have long gone on."""
    story = Story("late")
    story.admit(6)
    story.power_cut()
    story.lose()
    story.recover()
    late = story.boxes[story.lost[0]]
    late.crash()
    story.admit(12)
    story.world.start(late)
    story.goes_on()


def test_r11_a_log_that_ends_before_the_epoch_contributes_nothing() -> None:
    """An empty disk in the second epoch: what its member shows from there is not its own."""
    story = Story("empty")
    story.admit(3)
    story.power_cut()
    story.lose()
    story.recover()
    story.goes_on()
    story.power_cut()
    story.lose()
    states = [story._tell(box, ()) for box in story.boxes]
    empty, sound = (
        states[story.lost[0]],
        next(s for s in states if canonical.decode(Proofs, s.proofs).entries),
    )
    proofs = canonical.decode(Proofs, empty.proofs)
    shown = canonical.decode(Proofs, sound.proofs)
    lie = canonical.encode_trimmed(
        msgspec.structs.replace(proofs, prepared=shown.prepared, entries=shown.entries)
    )
    statement = msgspec.structs.replace(empty.statement, proofs=canonical.digest(lie))
    box = story.boxes[story.lost[0]]
    secret = story.world.keyring.pair(box.keys[-1])[1]
    signature = story.scheme.sign(secret, statement_bytes(story.world.cluster, statement))
    states[story.lost[0]] = StateFile(empty.format, statement, signature, lie)
    with pytest.raises(RecoveryError, match="it shows what its log does not reach"):
        read_states(PlanFile("dtvn-recovery-plan-1", tuple(states)), story.world.genesis, story.scheme)
