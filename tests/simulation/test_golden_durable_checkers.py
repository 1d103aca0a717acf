"""What the checkers of durable entries and checkpoints say to a right history and to wrong ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from dtvn.gateway import Result
from dtvn.protocol import canonical
from dtvn.protocol.consensus import RAFT_ACCEPTED
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import (
    CheckpointRecord,
    EntryRecord,
    Executed,
    Note,
    Prune,
    SlotRecord,
    StateRecord,
)
from dtvn.protocol.quorum import Mode
from simulator.checkers.agreement import Agreement
from simulator.checkers.certificates import Certificates
from simulator.checkers.durability import Durability
from simulator.checkers.learner import Learners
from simulator.checkers.low_watermark import LowWatermark
from simulator.checkers.state_roots import StateRoots
from simulator.checkers.statements import Statements
from tests.golden import Compare
from tests.simulation.stand_ins import StandInHistory, StandInWorld, Story, asked, entry, word

HERE = Path(__file__).parent / "golden"
GATE: Any = SimpleNamespace(name="gate", principal="gate")
OK = m.Outcome("ok", b"")


def operation(ticket: str, nonce: bytes = b"", valid_until: int = 9) -> m.Operation:
    return m.Operation("consume", "fair", ticket, "anna", "m0", valid_until, nonce)


class Acknowledging:
    """A durability checker whose log has operations t1, t2, … at 1.0, 2.0, …, which all disks hold."""

    def __init__(self, story: Story, *, members: int = 4, mode: Mode = Mode.PBFT, log: int = 3) -> None:
        self.story = story
        world: Any = StandInWorld(members, mode=mode)
        history: Any = StandInHistory(world)
        self.world, self.history = world, history
        self.checker = Durability(world, history)
        self.nodes = list(self.world.nodes.values())
        for sequence in range(1, log + 1):
            self.history.batch(sequence, (operation(f"t{sequence}"), OK))
            for node in self.nodes:
                node.disk.log.append(entry(sequence))
            self.checker.persisted(self.nodes[0], [entry(sequence)])

    def told(self, what: str, *sequences: int, **result: Any) -> None:
        answers = [
            (operation(f"t{at}"), msgspec.structs.replace(Result("ok", sequence=at), **result))
            for at in sequences
        ]
        self.story.hears(what, self.checker.answered, GATE, asked(*answers))

    def finish(self, what: str) -> None:
        self.story.hears(what, self.checker.finish)

    def only(self, *names: str) -> Acknowledging:
        """Only these disks still hold the log."""
        for node in self.nodes:
            if node.name not in names:
                node.disk.log.clear()
        return self


def tell_answers(story: Story) -> None:
    story.chapter("durability: what clients are told")
    case = Acknowledging(story)
    case.told("an answer as it stands in the log", 1)
    case.told("no sequence is known", 1, sequence=0, code="outcome_unknown")
    story.say(f"outcomes: {case.checker.outcomes}")
    case.told("two answers of one call", 2, 3)
    story.say(f"outcomes: {case.checker.outcomes}")
    case.told("nothing stands there", 4)
    case.told("nothing stands at that place of the batch", 3, index=1)
    case.told("another code", 2, code="already_consumed")
    other = asked((operation("t2"), Result("ok", sequence=1)))
    story.hears("another operation", case.checker.answered, GATE, other)
    late = asked((operation("t2", b"nonce"), Result("ok", sequence=1)))
    story.hears("a repeated nonce, answered with the first outcome", case.checker.answered, GATE, late)
    undated = asked((operation("t1", valid_until=0), Result("ok", sequence=1)))
    story.hears("dated by the gateway", case.checker.answered, GATE, undated)
    dated = asked((operation("t1", valid_until=8), Result("ok", sequence=1)))
    story.hears("dated otherwise by the caller", case.checker.answered, GATE, dated)


def tell_disks(story: Story) -> None:
    story.chapter("durability: how many disks hold an answer")
    Acknowledging(story).only("m0", "m1", "m2").told("a quorum of four", 3)
    Acknowledging(story).only("m0", "m1").told("two of four", 3)
    liar = Acknowledging(story).only("m0", "m1")
    liar.nodes[3].honest = False
    liar.told("two of four, one lies", 3)
    liar = Acknowledging(story).only("m0", "m3")
    liar.nodes[3].honest = False
    liar.told("one of four and the liar", 3)
    lost = Acknowledging(story).only("m0", "m1")
    lost.nodes[3].disk.voting = False
    lost.told("two of four, one lost its disk", 3)
    older = Acknowledging(story).only("m0", "m1")
    older.nodes[3].disk.older = True
    older.told("two of four, one has an older disk", 3)
    for at in (2, 3):
        recovered = Acknowledging(story).only("m0", "m1")
        recovered.world.recoveries = {at: {"m3"}}
        recovered.told(f"two of four, one lost its ledger and votes again since {at}", 3)
    none = Acknowledging(story).only()
    for node in none.nodes[1:]:
        node.disk.voting = False
    none.told("nobody holds it, three lost their disks", 3)
    case = Acknowledging(story).only("m0", "m1")
    case.nodes[2].disk.log += [entry(1), entry(2), entry(3, "other")]
    case.told("a third disk holds another entry", 3)
    case = Acknowledging(story).only("m0", "m1")
    case.nodes[2].disk.log += [None, None, None, entry(4)]
    case.told("a third disk holds a state of later", 3)
    case = Acknowledging(story)
    case.told("three of four", 3)
    case.only("m0").told("a lower answer afterwards is not counted again", 2)


def slot(phase: str, sequence: int = 3, what: str = "batch", view: int = 1, epoch: int = 0) -> SlotRecord:
    return SlotRecord(epoch, view, sequence, phase, (b"frame of " + word(what),), what.encode())


def tell_certificates_on_disks(story: Story) -> None:
    story.chapter("durability: certificates instead of entries")
    for what, record in {
        "prepared": slot("prepared"),
        "another batch": slot("prepared", what="other"),
        "another sequence": slot("prepared", 2),
        "another phase": slot("commit"),
        "no frames": msgspec.structs.replace(slot("prepared"), frames=()),
    }.items():
        case = Acknowledging(story).only("m0", "m1")
        case.nodes[2].disk.slots["key"] = record
        case.told(f"two entries and a record: {what}", 3)


def tell_raft(story: Story) -> None:
    story.chapter("durability: what a Raft member accepted")
    highest = canonical.encode((0, 2, 5))
    for what, records, kept in [
        ("accepted", [slot("append")], b""),
        ("prepared says nothing", [slot("prepared")], b""),
        ("another batch", [slot("append", what="other")], b""),
        ("another batch in a later term", [slot("append"), slot("append", what="other", view=2)], b""),
        ("the same batch in a later term", [slot("append", what="other"), slot("append", view=2)], b""),
        ("a lower entry of a later term", [slot("append"), slot("append", 2, view=2)], b""),
        ("a higher entry of a later term", [slot("append"), slot("append", 4, view=2)], b""),
        (
            "a lower entry of another epoch's later term",
            [slot("append"), slot("append", 2, view=2, epoch=1)],
            b"",
        ),
        ("accepted below a higher term", [slot("append")], highest),
        ("accepted in the term below it", [slot("append", view=5)], highest),
        ("a higher term of another epoch", [slot("append")], canonical.encode((1, 2, 5))),
        ("a higher term up to this entry", [slot("append")], canonical.encode((0, 3, 5))),
    ]:
        case = Acknowledging(story, members=3, mode=Mode.RAFT).only("m0")
        for number, record in enumerate(records):
            case.nodes[1].disk.slots[number] = record
        if kept:
            case.nodes[1].disk.states[RAFT_ACCEPTED] = StateRecord(RAFT_ACCEPTED, kept)
        case.told(what, 3)


def tell_the_end(story: Story) -> None:
    story.chapter("durability: the end of the run")
    case = Acknowledging(story)
    case.finish("nothing was told")
    case.told("the second is told", 2)
    case.finish("all have it")
    case.nodes[1].disk.log[2:] = []
    case.finish("one ends where it was told")
    case.nodes[1].disk.log[1:] = []
    case.finish("one ends before")
    case.nodes[1].up = False
    case.finish("it is down")
    case.nodes[1].up, case.nodes[1].honest = True, False
    case.finish("it lies")
    case.told("the first is told again", 1)
    case.history.highest = 1
    case.finish("the log ends before")
    case.history.highest = 2
    case.finish("the log ends there")


def test_durability(golden: Compare) -> None:
    story = Story()
    tell_answers(story)
    tell_disks(story)
    tell_certificates_on_disks(story)
    tell_raft(story)
    tell_the_end(story)
    golden(HERE / "durability.txt", story.text)


def test_durability_takes_the_first_entry_of_an_honest_node() -> None:
    story = Story()
    case = Acknowledging(story)
    case.nodes[3].honest = False
    case.checker.persisted(case.nodes[3], [entry(4, "lie")])
    assert 4 not in case.checker._entries
    case.checker.persisted(case.nodes[1], [entry(4)])
    case.checker.persisted(case.nodes[2], [entry(4, "other")])
    assert case.checker._entries[4] == entry(4)


# --- agreement -----------------------------------------------------------------------------------


def executed(record: EntryRecord) -> Executed:
    return Executed(record.entry, record.entry_hash, (), 0)


def test_agreement(golden: Compare) -> None:
    story = Story()
    world: Any = StandInWorld(learners=1)
    checker = Agreement(world)
    first, second, learner, liar = (world.nodes[name] for name in ("m0", "m1", "l0", "m3"))
    liar.honest = False
    story.hears("an entry", checker.persisted, first, [entry(1), Prune(0), entry(2)])
    story.hears("the same elsewhere", checker.persisted, second, [entry(1)])
    story.hears("another one", checker.persisted, second, [entry(2, "other")])
    story.hears("another one of a liar", checker.persisted, liar, [entry(1, "other")])
    story.hears("the liar's comes first", checker.persisted, liar, [entry(3, "lie")])
    story.hears("another one is executed", checker.noticed, learner, executed(entry(1, "other")))
    story.hears("a liar executes another one", checker.noticed, liar, executed(entry(1, "other")))
    story.hears("one is executed before it is durable", checker.noticed, learner, executed(entry(3)))
    story.hears("another one becomes durable", checker.persisted, first, [entry(3, "other")])
    story.hears("another note", checker.noticed, learner, Note("alarm", {}))
    story.say(f"chain: {[checker.chain[at] == entry(at).entry_hash for at in sorted(checker.chain)]}")
    first.disk.log += [None, entry(2), entry(3)]
    liar.disk.log += [entry(1, "other")]
    story.hears("the ledgers at the end", checker.finish)
    learner.disk.log += [entry(1), entry(2), entry(3, "other")]
    story.hears("a ledger that differs at its end", checker.finish)
    golden(HERE / "agreement.txt", story.text)


# --- certificates and low water marks ------------------------------------------------------------


class Signing:
    """Statements about sequence 5, and a story about who signed what."""

    def __init__(self) -> None:
        self.story = Story()
        world: Any = StandInWorld()
        self.world = world
        self.world.begin(
            self.world.epochs[0].followed_by(9, self.world.epochs[0].members, self.world.settings.parameters)
        )
        self.statements = Statements(world, world)
        self.node = self.world.nodes["m0"]

    def frames(self, message: Any, senders: tuple[int, ...] = (0, 1, 2)) -> tuple[bytes, ...]:
        return tuple(self.world.sign(msgspec.structs.replace(message, sender=each)) for each in senders)


def test_certificates(golden: Compare) -> None:
    case = Signing()
    checker = Certificates(case.world, case.statements)
    good = m.Commit(0, 0, 1, 5, word("batch"))

    def change(**fields: Any) -> Any:
        return msgspec.structs.replace(good, **fields)

    def hears(what: str, *frames: bytes, node: Any = case.node, record: EntryRecord | None = None) -> None:
        kept = record or entry(5, commits=frames)
        case.story.hears(what, checker.persisted, node, [Prune(1), kept])

    three = case.frames(good)
    hears("three of four members", *three)
    hears("the same once more", *three)
    hears("all four", *case.frames(good, (0, 1, 2, 3)))
    hears("two of them", *three[:2])
    hears("one twice", *three[:2], three[0])
    hears("two views", *three[:2], *case.frames(change(view=2), (2,)))
    hears("another sequence", *three[:2], *case.frames(change(sequence=6), (2,)))
    hears("another digest", *three[:2], *case.frames(change(digest=word("other")), (2,)))
    hears("another epoch", *three[:2], *case.frames(change(epoch=1), (2,)))
    hears("a PREPARE", *three[:2], *case.frames(m.Prepare(0, 0, 1, 5, word("batch")), (2,)))
    hears("a false signature", *three[:2], case.world.sign(change(sender=2), "m3"))
    hears("no COMMITs, below a checkpoint")
    wrong = msgspec.structs.replace(entry(5, commits=three), entry_hash=word("hash"))
    hears("another hash", record=wrong)
    liar = case.world.nodes["m3"]
    liar.honest = False
    hears("a liar's ledger", *three[:2], node=liar)
    hears("an honest one's again", *three[:2])
    nowhere = msgspec.structs.replace(entry(5, epoch=2, commits=case.frames(good)))
    hears("an epoch that nobody entered", record=nowhere)
    golden(HERE / "certificates.txt", case.story.text)


def test_low_water_marks(golden: Compare) -> None:
    case = Signing()
    checker = LowWatermark(case.world, case.statements)
    roots = word("state"), word("log"), 50
    good = m.Checkpoint(0, 0, 5, *roots)
    going_on = m.Continuation(0, 0, 5, *roots, (word("key"),))

    def change(**fields: Any) -> Any:
        return msgspec.structs.replace(good, **fields)

    def hears(what: str, *frames: bytes, node: Any = case.node, **fields: Any) -> None:
        record = msgspec.structs.replace(CheckpointRecord(0, 5, *roots, frames), **fields)
        case.story.hears(what, checker.persisted, node, [record])

    three = case.frames(good)
    hears("three of four members", *three)
    hears("two of them", *three[:2])
    hears("one twice", *three[:2], three[1])
    hears("none")
    hears("a false signature", *three[:2], case.world.sign(change(sender=2), "m3"))
    hears("a COMMIT", *three[:2], *case.frames(m.Commit(0, 0, 1, 5, word("batch")), (2,)))
    for field, value in {
        "sequence": 6,
        "state_root": word("x"),
        "log_root": word("x"),
        "timestamp": 51,
    }.items():
        hears(f"another {field}", *three[:2], *case.frames(change(**{field: value}), (2,)))
        hears(f"another {field} of the record", *three, **{field: value})
    hears("two epochs", *three[:2], *case.frames(change(epoch=1), (2,)))
    hears("two kinds", *three[:2], *case.frames(going_on, (2,)))
    hears("all four go on", *case.frames(going_on, (0, 1, 2, 3)))
    hears("three of four go on", *case.frames(going_on))
    other = case.frames(change(timestamp=51))
    hears("another time, all agree", *other, timestamp=51)
    liar = case.world.nodes["m3"]
    liar.honest = False
    hears("a liar's", *three[:2], node=liar)
    case.node.disk.checkpoints.append(CheckpointRecord(0, 5, *roots, three))
    for sequence in (5, 6):
        case.story.hears(f"pruned up to {sequence}", checker.persisted, case.node, [Prune(sequence)])
    case.story.hears("a liar prunes", checker.persisted, liar, [Prune(6)])
    golden(HERE / "low_water_marks.txt", case.story.text)


# --- states and learners -------------------------------------------------------------------------


def test_state_roots(golden: Compare) -> None:
    case = Signing()
    story, world = case.story, case.world
    history: Any = StandInHistory(world)
    history.roots = {5: word("state"), 6: word("state"), 7: word("state")}
    checker = StateRoots(world, history)

    def hears(what: str, name: str, said: m.Checkpoint) -> None:
        story.hears(what, checker.spoke, world.nodes[name], "m2", world.sign(said))

    good = m.Checkpoint(0, 0, 5, word("state"), word("log"), 50)
    hears("the log's state", "m0", good)
    hears("the same from another", "m1", msgspec.structs.replace(good, sender=1))
    for field, value in {"state_root": word("x"), "log_root": word("x"), "timestamp": 51}.items():
        hears(f"another {field}", "m1", msgspec.structs.replace(good, sender=1, **{field: value}))
    hears("passed on", "m2", msgspec.structs.replace(good, timestamp=52))
    hears("not the log's state", "m0", msgspec.structs.replace(good, sequence=6, state_root=word("x")))
    hears("no state of the log", "m0", msgspec.structs.replace(good, sequence=8))
    world.nodes["m3"].honest = False
    hears("a liar's", "m3", msgspec.structs.replace(good, sender=3, sequence=7, state_root=word("x")))
    hears("an honest one after it", "m0", msgspec.structs.replace(good, sequence=7))
    for name, executed_to, state in [("m0", 3, "a"), ("m1", 4, "b"), ("m2", 3, "a"), ("m3", 3, "lie")]:
        root = word(state)
        world.nodes[name].host = SimpleNamespace(
            executed=executed_to, application=SimpleNamespace(root=lambda root=root: root)
        )
    story.hears("equal states at the end", checker.finish)
    world.nodes["m1"].host.executed = 3
    story.hears("unlike states at the end", checker.finish)
    world.nodes["m1"].host = None
    story.hears("that one is down", checker.finish)
    golden(HERE / "state_roots.txt", story.text)


def test_learners(golden: Compare) -> None:
    story = Story()
    world: Any = StandInWorld(learners=2)
    checker = Learners(world)
    learner, other, member = world.nodes["l0"], world.nodes["l1"], world.nodes["m0"]
    story.hears("an alarm", checker.noticed, learner, Note("alarm", {"text": "roots differ"}))
    story.hears("another note", checker.noticed, learner, Note("entered_view", {"view": 1}))
    story.hears("a member's", checker.noticed, member, Note("alarm", {}))
    other.honest = False
    story.hears("a liar's", checker.noticed, other, Note("alarm", {}))
    member.disk.log += [entry(1), entry(2)]
    learner.disk.log += [entry(1)]
    story.hears("a learner that lags", checker.finish)
    member.up = False
    story.hears("the member ahead of it is down", checker.finish)
    member.up, learner.up = True, False
    story.hears("the learner is down", checker.finish)
    learner.up = True
    learner.disk.log += [entry(2)]
    story.hears("it has caught up", checker.finish)
    golden(HERE / "learners.txt", story.text)
