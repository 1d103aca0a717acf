"""What the checkers of epochs and of whole logs say to right histories and to wrong ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from dtvn.machine import Barrier, Reconfigure
from dtvn.machine.commands import build
from dtvn.protocol import canonical
from dtvn.protocol.consensus import EPOCH, epoch_change_proof
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import CheckpointRecord, EntryRecord, StateRecord
from dtvn.protocol.consensus.membership import (
    ALIVE_FOR,
    Change,
    LivenessProof,
    Membership,
    liveness_bytes,
    window,
)
from dtvn.protocol.genesis.terms import Parameters
from dtvn.protocol.quorum import Mode
from simulator.checkers.archives import FILLED_WITHIN, Archives
from simulator.checkers.epoch_changes import EpochChanges
from simulator.checkers.fault_tolerance_kept import FaultToleranceKept
from simulator.checkers.statements import Statements
from tests.golden import Compare
from tests.simulation.stand_ins import CLUSTER, StandInHistory, StandInWorld, Story, word

HERE = Path(__file__).parent / "golden"
NOW = 1_000_000_000
BEHIND = window(Parameters())


class Changing:
    """The log has one operation; the members of the next epoch are m0 to m4, unless a test says otherwise."""

    def __init__(self, story: Story, members: int = 4, after: int = 5, mode: Mode = Mode.PBFT) -> None:
        self.story = story
        world: Any = StandInWorld(members, mode=mode)
        history: Any = StandInHistory(world)
        self.world, self.history = world, history
        self.checker = EpochChanges(world, Statements(world, world), history)
        self.tolerance = FaultToleranceKept(world, history)
        self.node = self.world.nodes["m0"]
        self.follow(*range(after))

    def follow(self, *numbers: int, sequence: int = 1) -> None:
        """Epoch 1 has these members."""
        members = tuple(map(self.world.member, numbers))
        self.history.epochs[1:] = [self.history.epochs[0].followed_by(sequence, members, Parameters())]

    def alive(
        self, *numbers: int, said: int = NOW, executed: int = 0, epoch: int = 0, signer: str = ""
    ) -> tuple[LivenessProof, ...]:
        proofs = []
        for name in (f"m{number}" for number in numbers):
            data = liveness_bytes(CLUSTER, epoch, name, executed, said)
            signature = self.world.keyring.scheme.sign(self.world.keyring.pair(signer or name)[1], data)
            proofs.append(LivenessProof(name, executed, said, signature))
        return tuple(proofs)

    def changes(
        self, what: str, *alive: LivenessProof, beside: bool = False, code: str = "ok", small: bool = False
    ) -> None:
        """The log's next operation is the change."""
        change = Change(0, allow_small=small, alive=alive)
        said: dict[str, Any] = {"actor": "anna", "entry": "m0"}
        calls = [(build(Reconfigure(change), **said), m.Outcome(code, b""))]
        if beside:
            calls.append((build(Barrier(), **said), m.Outcome("ok", b"")))
        self.history.batch(NOW, *calls)
        self.story.hears(what, self.checker.persisted, self.node, [])
        self.story.hears("  of liars", self.tolerance.persisted, self.node, [])


def tell_liveness(story: Story) -> None:
    story.chapter("who was alive")
    for what, said in {
        "now": NOW,
        "just long enough ago": NOW - ALIVE_FOR,
        "too long ago": NOW - ALIVE_FOR - 1,
        "ahead by the drift": NOW + Parameters().drift_bound,
        "ahead by more": NOW + Parameters().drift_bound + 1,
    }.items():
        case = Changing(story)
        case.changes(f"all five {what}", *case.alive(0, 1, 2, 3, 4, said=said))
    for what, numbers in {
        "four": (0, 1, 2, 4),
        "three": (0, 1, 4),
        "three and one twice": (0, 1, 4, 4),
        "three and a stranger": (0, 1, 4, 9),
        "all but the newcomer": (0, 1, 2, 3),
    }.items():
        case = Changing(story)
        case.changes(what, *case.alive(*numbers))
    case = Changing(story)
    case.changes("one signed by another", *case.alive(0, 1, 4), *case.alive(2, signer="m3"))
    case = Changing(story)
    case.changes("one of another epoch", *case.alive(0, 1, 4), *case.alive(2, epoch=1))
    for behind in (BEHIND, BEHIND + 1):
        case = Changing(story)
        case.history.highest = 2 * BEHIND
        case.follow(0, 1, 2, 3, 4, sequence=2 * BEHIND + 1)
        newest = 2 * BEHIND + 1 - behind
        case.changes(f"{behind} behind", *case.alive(0, 1, 2, 3), *case.alive(4, executed=newest))
    case = Changing(story)
    case.history.highest = 2 * BEHIND
    case.follow(0, 1, 2, 3, 4, sequence=2 * BEHIND + 1)
    case.changes("no word of the newcomer", *case.alive(0, 1, 2, 3, executed=2 * BEHIND))
    case = Changing(story, after=4)
    case.changes("nobody new, all at the beginning", *case.alive(0, 1, 2, 3))
    case = Changing(story)
    case.changes("beside another operation", *case.alive(0, 1, 2, 3, 4), beside=True)
    case = Changing(story)
    case.changes("refused", code="malformed")
    case = Changing(story)
    case.follow(0, 1, 2, 3, 4, sequence=2)
    case.changes("repeated", *case.alive())


def tell_tolerance(story: Story) -> None:
    story.chapter("how many liars are tolerated")
    for before, after, small, mode in [
        (4, 3, False, Mode.PBFT),
        (4, 3, True, Mode.PBFT),
        (4, 5, False, Mode.PBFT),
        (5, 4, False, Mode.PBFT),
        (7, 4, False, Mode.PBFT),
        (3, 2, False, Mode.PBFT),
        (4, 3, False, Mode.RAFT),
    ]:
        case = Changing(story, before, after, mode)
        case.changes(
            f"{mode}: {before} to {after}{', meant' * small}", *case.alive(*range(after)), small=small
        )


class Entering(Changing):
    """Members enter epoch 1, which begins after 7."""

    def __init__(self, story: Story) -> None:
        super().__init__(story)
        self.follow(0, 1, 2, 3, 4, sequence=7)
        self.membership: Membership = self.history.epochs[1]

    def frames(self, *senders: int, kind: Any = m.Checkpoint, sequence: int = 7, epoch: int = 0) -> Any:
        keys = ((word("key"),),) if kind is m.Continuation else ()
        claim = word("state"), word("log"), 50, *keys
        return tuple(self.world.sign(kind(epoch, sender, sequence, *claim)) for sender in senders)

    def enters(self, what: str, *frames: bytes, sequence: int = 7, known: Any = None, more: Any = ()) -> None:
        value = canonical.encode_trimmed(known or self.membership)
        records = [StateRecord(EPOCH, value), *more]
        if frames:
            records.append(CheckpointRecord(0, sequence, word("state"), word("log"), 50, frames))
        self.story.hears(what, self.checker.persisted, self.node, records)


def handover(epoch: int, *frames: bytes) -> StateRecord:
    entry = m.Entry(epoch, 7, word("batch"), word("results"), 1, word("before"))
    proof = epoch_change_proof.EpochChangeProof(entry, b"leaf", (), frames)
    return StateRecord(epoch_change_proof.record_name(epoch), canonical.encode(proof))


def tell_entering(story: Story) -> None:
    story.chapter("entering an epoch")
    case = Entering(story)
    three = case.frames(0, 1, 2)
    case.enters("three signed its beginning", *three)
    case.enters("two did", *three[:2])
    case.enters("one twice", three[0], three[1], three[1])
    case.enters("of another sequence", *case.frames(0, 1, 2, sequence=6))
    case.enters("a record of another sequence", *three, sequence=6)
    case.enters(
        "with a false frame",
        *three[:2],
        case.world.sign(m.Checkpoint(0, 2, 7, word("state"), word("log"), 50), "m3"),
    )
    case.enters("three go on", *case.frames(0, 1, 2, kind=m.Continuation))
    case.enters("all four go on", *case.frames(0, 1, 2, 3, kind=m.Continuation))
    case.enters("two signed, and two go on", *three[:2], *case.frames(2, 3, kind=m.Continuation))
    case.enters("nothing is shown")
    case.enters("it kept how the epoch ended", more=[handover(0, *three)])
    case.enters("with two signatures", more=[handover(0, *three[:2])])
    case.enters("how another one ended", more=[handover(1, *three)])
    case.node.disk.states["handover"] = handover(0, *three)
    case.enters("it had kept it before")
    case.node.disk.states.clear()
    case.node.disk.checkpoints.append(CheckpointRecord(0, 7, word("state"), word("log"), 50, three))
    case.enters("its disk shows it")
    case.enters("a newer record shows less", *three[:2])
    case.enters("another membership", known=case.membership.followed_by(7, (), Parameters()))
    case.enters("other members", known=msgspec.structs.replace(case.membership, members=()))
    liar = case.world.nodes["m3"]
    liar.honest, case.node = False, liar
    case.enters("a liar")
    case = Entering(story)
    case.world.begin(case.membership)
    last = case.membership.followed_by(9, case.membership.members, Parameters())
    case.history.epochs.append(last)
    first, second = case.frames(0, 1, 2), case.frames(0, 1, 2, 3, sequence=9, epoch=1)
    case.enters("slept through two", known=last, more=[handover(0, *first), handover(1, *second)])
    case.enters("is shown the last one's end alone", known=last, more=[handover(1, *second)])
    case.enters("is shown the first one's end alone", known=last, more=[handover(0, *first)])
    case.node.membership = case.membership
    case.enters("slept through one", known=last, more=[handover(1, *second)])


def tell_gateways(story: Story) -> None:
    story.chapter("what gateways believe")
    case = Entering(story)

    def believes(what: str, membership: Membership, principal: str = "gate") -> None:
        epochs = SimpleNamespace(present=membership)
        gateway: Any = SimpleNamespace(
            name=principal, principal=principal, collector=SimpleNamespace(epochs=epochs)
        )
        case.checker.gateways[:] = [gateway]
        story.hears(what, case.checker.turning, case.node)

    believes("the first epoch", case.history.epochs[0])
    believes("the second", case.membership)
    never = msgspec.structs.replace(case.membership, after=8)
    believes("one that never was", never)
    believes("the same still, which was told", never)
    believes("another gateway does", never, "office")
    believes("the one after", case.membership.followed_by(9, case.membership.members, Parameters()))


def test_epoch_changes(golden: Compare) -> None:
    story = Story()
    tell_liveness(story)
    tell_tolerance(story)
    tell_entering(story)
    tell_gateways(story)
    golden(HERE / "epoch_changes.txt", story.text)


# --- whole logs ----------------------------------------------------------------------------------


class Filling:
    """Members whose logs are whole, unless a test changes them."""

    def __init__(self, story: Story) -> None:
        self.story, self.world = story, StandInWorld()
        self.waited: list[tuple[int, bool]] = []
        anyway: Any = self.world
        anyway.run_for = lambda time, done: self.waited.append((time, done()))
        self.checker = Archives(anyway)
        self.node = self.world.nodes["m1"]
        for name in ("m0", "m1", "m2"):
            self.world.nodes[name].disk.log += self.log(3)

    def log(self, count: int, request: bytes | None = None) -> list[EntryRecord]:
        records: list[EntryRecord] = []
        previous = m.NO_PREDECESSOR
        for sequence in range(1, count + 1):
            body, digest = b"", m.NULL_BATCH_DIGEST
            if sequence == 2:
                bundle = m.Bundle(0, "gate", b"client", (1, 0), 1, 0, ())
                frame = request or self.world.sign(bundle, "gate")
                body = canonical.encode(m.Batch(0, 9, (frame,)))
                digest = m.batch_digest(0, 9, (m.bundle_digest(canonical.encode(bundle)),))
            entry = m.Entry(0, sequence, digest, word("results"), sequence, previous)
            previous = m.entry_hash(entry)
            records.append(EntryRecord(entry, previous, body, ()))
        return records

    def ends(self, what: str) -> None:
        self.story.hears(what, self.checker.finish)

    def change(self, at: int, **fields: Any) -> None:
        self.node.disk.log[at - 1] = msgspec.structs.replace(self.node.disk.log[at - 1], **fields)


def test_archives(golden: Compare) -> None:
    story = Story()
    case = Filling(story)
    case.ends("all are whole")
    case.node.disk.log[0] = case.node.disk.log[1] = None
    case.ends("two are missing")
    case.node.up = False
    case.ends("it is down")
    case.node.up, case.node.honest = True, False
    case.ends("it lies")
    story.say(f"waited: {[(time // FILLED_WITHIN, done) for time, done in case.waited]}")
    case = Filling(story)
    case.change(3, entry_hash=word("other"))
    case.ends("another hash than others have")
    case = Filling(story)
    case.world.nodes["m0"].honest = case.world.nodes["m2"].honest = False
    case.change(3, entry_hash=word("other"))
    case.ends("another hash than its entry")
    case = Filling(story)
    case.node.disk.log[1:2] = []
    case.ends("a shorter log of other entries")
    case = Filling(story)
    case.world.nodes["m0"].honest = case.world.nodes["m2"].honest = False
    case.node.disk.log[0:1] = []
    case.ends("a log without its beginning")
    case = Filling(story)
    case.change(3, body=case.node.disk.log[1].body)
    case.ends("a batch for a null request")
    case = Filling(story)
    case.change(2, body=b"")
    case.ends("no batch where there is one")
    frame = case.world.sign(m.Bundle(0, "gate", b"client", (1, 0), 1, 0, ()), "gate")
    envelope = case.world.frame_cache.read(frame)[0]
    for what, fields in {
        "a short signature": {"signature": bytes(63)},
        "an attachment": {"attachment": b"x"},
        "another kind": {"kind": m.KIND_OF[m.Commit]},
        "another body": {"body": b"x"},
        "nothing else": {},
    }.items():
        case = Filling(story)
        changed = msgspec.structs.replace(envelope, **fields)  # type: ignore[arg-type]
        case.change(2, body=canonical.encode(m.Batch(0, 9, (canonical.encode(changed),))))
        case.ends(f"a request with {what}")
    golden(HERE / "archives.txt", story.text)
