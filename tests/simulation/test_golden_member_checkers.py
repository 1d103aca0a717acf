"""What the checkers of single members say to what these send, keep and start with, right and wrong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import Replica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.causes import AMPLIFIED, NO_NEW_VIEW, NO_PROGRESS, SILENT
from dtvn.protocol.consensus.contradiction import RECORD, Contradiction
from dtvn.protocol.consensus.effects import (
    CheckpointRecord,
    Executed,
    Note,
    Now,
    Reason,
    SlotRecord,
    StateRecord,
)
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import link_frame
from simulator.checkers.durable_before_send import DurableBeforeSend
from simulator.checkers.evidence import EvidenceKept
from simulator.checkers.no_spurious_view_change import NoSpuriousViewChange
from simulator.checkers.quiescence import TURNS_MAX, Quiescence
from simulator.checkers.statements import Statements
from simulator.checkers.stops_on_fork import READ_WITHIN, StopsOnFork
from simulator.checkers.voting_rights import VotingRights
from simulator.clock import SECOND
from tests.golden import Compare
from tests.simulation.stand_ins import StandInWorld, Story, entry, word

HERE = Path(__file__).parent / "golden"


class StandInReplica(Replica):
    """A member that has only what a test gives it."""

    config: Any = None
    executed: Any = 0  # type: ignore[assignment]

    def __init__(self) -> None:
        pass


def world_of(*, mode: Mode = Mode.PBFT, learners: int = 0) -> Any:
    return StandInWorld(mode=mode, learners=learners)


def view_change(view: int, sender: int = 0, epoch: int = 0) -> m.ViewChange:
    return m.ViewChange(epoch, sender, view, (), ())


def statement(
    kind: Any = m.Prepare, *, view: int = 1, sequence: int = 5, what: str = "batch", sender: int = 0
) -> Any:
    return kind(0, sender, view, sequence, word(what))


# --- votes ---------------------------------------------------------------------------------------


def test_voting_rights(golden: Compare) -> None:
    story, world = Story(), world_of()
    checker = VotingRights(world)
    node, liar = world.nodes["m0"], world.nodes["m3"]
    liar.honest = liar.disk.voting = False

    def says(what: str, message: Any, who: Any = node) -> None:
        story.hears(what, checker.spoke, who, "m1", world.sign(message))

    says("with a vote", statement())
    says("leaves a view with a vote", view_change(2))
    story.hears("gives up its vote", checker.noticed, node, Note("follower", {"reason": "gone"}))
    node.losses = 1
    story.hears("after it lost its disk once", checker.noticed, node, Note("follower", {}))
    node.losses, node.disk.voting = 0, False
    story.hears("without a vote", checker.noticed, node, Note("follower", {}))
    story.hears("a liar", checker.noticed, liar, Note("follower", {}))
    says("a liar without a vote", statement(sender=3), liar)
    says("votes without one", statement())
    says("leaves a view without one", view_change(3))
    says("sends the old VIEW-CHANGE again", view_change(2))
    says("passes on another's", statement(sender=1))
    proposal = world.sign(statement(m.PrePrepare, sequence=6))
    new_view = world.sign(m.NewView(0, 0, 1, (), (proposal,)))
    node.disk.slots["a"] = SlotRecord(0, 1, 5, "prepare", (world.sign(statement()),))
    node.disk.slots["b"] = SlotRecord(0, 1, 0, "new_view", (new_view,))
    says("what its ledger holds, before it starts", statement())
    story.hears("starts", checker.started, node)
    says("what its ledger holds", statement())
    says("of another kind", statement(m.Commit))
    says("what a NEW-VIEW in it proposes", statement(m.PrePrepare, sequence=6))
    says("the NEW-VIEW itself", m.NewView(0, 0, 1, (), (proposal,)))
    says("something else", statement(sequence=7))
    node.disk.slots.clear()
    story.hears("starts with an empty ledger", checker.started, node)
    says("what its ledger held", statement())
    golden(HERE / "voting_rights.txt", story.text)


class Speaking:
    """Member m0 speaks, and its disk holds what a test puts there."""

    def __init__(self, story: Story, title: str, mode: Mode = Mode.PBFT) -> None:
        story.chapter(title)
        self.story, self.world = story, world_of(mode=mode)
        self.checker = DurableBeforeSend(self.world)
        self.node = self.world.nodes["m0"]

    def keeps(
        self, phase: str, message: Any = None, *, view: int = 1, sequence: int = 5, body: bytes = b""
    ) -> None:
        frames = () if message is None else (self.world.sign(message),)
        self.node.disk.slots[0, view, sequence, phase] = SlotRecord(0, view, sequence, phase, frames, body)

    def says(self, what: str, message: Any, name: str = "m0") -> None:
        frame = self.world.sign(message)
        self.story.hears(what, self.checker.spoke, self.world.nodes[name], "m1", frame)


def tell_phases(story: Story) -> None:
    case = Speaking(story, "what must be durable for each statement")
    claim = word("state"), word("log"), 50
    for message, phase in [
        (statement(m.PrePrepare), "pre_prepare"),
        (statement(m.Prepare), "pre_prepare"),
        (statement(m.Commit), "prepared"),
        (m.Checkpoint(0, 0, 5, *claim), "checkpoint"),
        (view_change(1), "view_change"),
        (m.NewView(0, 0, 1, (), ()), "new_view"),
    ]:
        name = type(message).__name__
        place: dict[str, Any] = {
            "view": getattr(message, "view", 0),
            "sequence": getattr(message, "sequence", 0),
        }
        case.node.disk.slots.clear()
        case.says(f"{name}, and nothing is durable", message)
        for kept in ("pre_prepare", "prepared", "commit", "checkpoint", "view_change", "new_view"):
            if kept != phase:
                case.keeps(kept, message, **place)
        case.checker = DurableBeforeSend(case.world)
        case.says(f"{name}, and all but {phase}", message)
        case.keeps(phase, message, **place)
        case.checker = DurableBeforeSend(case.world)
        case.says(f"{name}, and {phase}", message)
        case.world.nodes["m1"].disk.slots.clear()


def tell_contradictions(story: Story) -> None:
    case = Speaking(story, "what a member said before")
    for sequence in (5, 6, 8):
        case.keeps("pre_prepare", statement(sequence=sequence), sequence=sequence)
        case.keeps("pre_prepare", statement(sequence=sequence, view=2), view=2, sequence=sequence)
    case.says("a PREPARE", statement())
    case.says("again", statement())
    case.says("another digest", statement(what="other"))
    case.says("at another sequence", statement(sequence=6))
    case.says("in another view", statement(view=2))
    case.says("by another member", statement(what="other", sender=1), "m1")
    case.says("passed on by another", statement(what="other"), "m1")
    case.world.nodes["m2"].honest = False
    case.says("by a liar", statement(what="other", sender=2), "m2")
    frame = case.world.sign(statement())
    envelope, message = case.world.frame_cache.read(frame)
    changed = frame[:2] + b"\0"
    case.world.frame_cache.decoded[changed] = msgspec.structs.replace(envelope, signature=bytes(64)), message
    story.hears("in other bytes", case.checker.spoke, case.node, "m1", changed)
    case.keeps("view_change", view_change(2), view=2, sequence=0)
    case.says("leaves for view 2", view_change(2))
    case.says("a vote in view 2", statement(view=2, sequence=6))
    case.says("a vote in view 1", statement(sequence=8))
    case.keeps("pre_prepare", statement(sequence=9, what="other"), sequence=9, view=2)
    case.says("another digest is durable", statement(sequence=9, view=2))
    case.keeps("new_view", statement(m.PrePrepare, sequence=7, view=2), view=2, sequence=0)
    case.says("a proposal of its NEW-VIEW", statement(m.PrePrepare, sequence=7, view=2))
    case.says("one that is not in it", statement(m.PrePrepare, sequence=7, view=2, what="other"))
    case.says("a PREPARE of it", statement(sequence=7, view=2))
    case.node.disk.checkpoints.append(CheckpointRecord(0, 20, b"", b"", 0, ()))
    case.says("below a stable checkpoint", statement(sequence=20, view=2))
    case.says("above it", statement(sequence=21, view=2))


def tell_heads_and_acknowledgements(story: Story) -> None:
    case = Speaking(story, "heads")
    case.node.disk.log += [entry(1), entry(2)]
    for sequence in (1, 2, 3):
        case.says(f"a head of {sequence}", m.Head(0, 0, sequence, word("entry"), 1))
    case.says("passes on a head of 9", m.Head(0, 1, 9, word("entry"), 1))
    case = Speaking(story, "acknowledgements of Raft", Mode.RAFT)
    body = canonical.encode(m.Batch(1, 7, ()))
    said = m.Commit(0, 0, 1, 5, m.batch_digest(1, 7, ()))
    case.keeps("prepared", said)
    case.says("no commit is durable", said)
    case.checker = DurableBeforeSend(case.world)
    case.keeps("commit", said)
    case.says("no entry is", said)
    for what, sequence, phase, kept in [
        ("another's entry", 6, "append", body),
        ("another entry", 5, "append", canonical.encode(m.Batch(1, 8, ()))),
        ("another record", 5, "prepare", body),
        ("the entry", 5, "append", body),
    ]:
        case.checker = DurableBeforeSend(case.world)
        case.keeps(phase, sequence=sequence, body=kept)
        case.says(f"{what} is", said)
    del case.node.disk.slots[0, 1, 5, "append"]
    case.node.disk.log += [entry(at) for at in range(1, 5)]
    case.checker = DurableBeforeSend(case.world)
    case.says("the log ends before", said)
    case.node.disk.log.append(entry(5))
    case.checker = DurableBeforeSend(case.world)
    case.says("it is in the log", said)


def test_durable_before_send(golden: Compare) -> None:
    story = Story()
    tell_phases(story)
    tell_contradictions(story)
    tell_heads_and_acknowledgements(story)
    golden(HERE / "durable_before_send.txt", story.text)


# --- evidence ------------------------------------------------------------------------------------


class Contradicting:
    """Member m3 lies to m1, which has slots 1 to 9 open in view 1."""

    def __init__(self) -> None:
        self.world = world_of(learners=1)
        self.world.nodes["m3"].honest = False
        for node in self.world.nodes.values():
            views = SimpleNamespace(is_active=lambda view: view == 1)
            log = SimpleNamespace(slots=dict.fromkeys(range(10)))
            node.core = SimpleNamespace(state=SimpleNamespace(views=views, log=log), executed=0)
        self.checker = EvidenceKept(self.world, Statements(self.world, self.world))

    def hears(
        self, what: str, *, sender: str = "m3", receiver: str = "m1", signer: str = "", **said: Any
    ) -> None:
        message = statement(what=what, **{"sender": 3} | said)
        self.checker.delivered(sender, receiver, self.world.sign(message, signer))

    def contradicts(self, times: int, **said: Any) -> Contradicting:
        for sequence in range(1, 1 + times):
            for what in ("one", "two"):
                self.hears(what, **{"sequence": sequence} | said)
        return self

    def ends(self) -> str:
        story = Story()
        story.hears("ends", self.checker.finish)
        return story.text.strip()


def test_evidence(golden: Compare) -> None:
    story = Story()
    for what, case in {
        "five contradictions": Contradicting().contradicts(5),
        "four": Contradicting().contradicts(4),
        "four and one twice": Contradicting().contradicts(4).contradicts(1),
        "five PREPAREs and COMMITs": Contradicting().contradicts(3).contradicts(2, kind=m.Commit),
        "of another view": Contradicting().contradicts(5, view=2),
        "to a learner": Contradicting().contradicts(5, receiver="l0"),
        "to a client": Contradicting().contradicts(5, receiver="gate"),
        "to the liar itself": Contradicting().contradicts(5, receiver="m3"),
        "from an honest one": Contradicting().contradicts(5, sender="m2"),
        "of another's name": Contradicting().contradicts(5, signer="m2"),
    }.items():
        story.say(f"{what}: {case.ends()}")
    case = Contradicting()
    for number, receiver in enumerate(("m0", "m1", "m2")):
        case.hears(f"{number}", receiver=receiver)
    story.say(f"each member hears another one: {case.checker._contradictions}")
    case.hears("9", receiver="m1")
    story.say(f"one of them both: {case.checker._contradictions}")
    case.world.nodes["m1"].core.executed = 5
    case.contradicts(9)
    story.say(f"five are executed: {case.checker._contradictions}")
    case.world.nodes["m1"].host = None
    case.contradicts(9)
    story.say(f"it is down: {case.checker._contradictions}")
    case.checker.delivered("m3", "m0", b"\x95\x03noise")
    story.say(f"a frame that does not decode: {case.checker._contradictions}")
    case = Contradicting().contradicts(5)
    member, liar = case.world.nodes["m1"], case.world.nodes["m3"]
    accusing = {"sender": 2, "text": "two PREPAREs"}
    story.hears("a liar accuses", case.checker.noticed, liar, Note("evidence", accusing))
    story.say(f"it does not count: {case.ends()}")
    story.hears("an honest one is accused", case.checker.noticed, member, Note("evidence", accusing))
    story.hears("a liar is accused", case.checker.noticed, member, Note("evidence", accusing | {"sender": 3}))
    story.say(f"there is evidence: {case.ends()}")
    golden(HERE / "evidence.txt", story.text)


# --- turns ---------------------------------------------------------------------------------------


def test_a_member_takes_no_more_turns_in_a_second_than_allowed() -> None:
    story, world = Story(), world_of()
    checker = Quiescence(world)
    node, other, liar = (world.nodes[name] for name in ("m0", "m1", "m3"))
    liar.honest = False
    for _ in range(TURNS_MAX):
        checker.turning(node)
        checker.turning(liar)
    node.inbox = [b"frame"]
    story.hears("one more", checker.turning, node)
    story.hears("another member's", checker.turning, other)
    story.hears("a liar's", checker.turning, liar)
    world.clock.time = SECOND - 1
    story.hears("in the same second", checker.turning, node)
    world.clock.time = SECOND
    story.hears("in the next one", checker.turning, node)
    assert story.lines == [
        "one more: quiescence: m0 takes 20001 turns in a second, 1 frames wait",
        "another member's: nothing to say",
        "a liar's: nothing to say",
        "in the same second: quiescence: m0 takes 20002 turns in a second, 1 frames wait",
        "in the next one: nothing to say",
    ]


# --- view changes --------------------------------------------------------------------------------


def tell_leaving(story: Story) -> None:
    for title, suspects, leaves in [
        ("nobody wants it", (), ()),
        ("it wants it itself", ((0, 1),), ()),
        ("one other", ((0, 1), (1, 1)), ()),
        ("two others", ((1, 1), (2, 1)), ()),
        ("two others, a lower view", ((1, 1), (2, 0)), ()),
        ("two others, a higher view", ((1, 1), (2, 3)), ()),
        ("a higher view, and then a lower one", ((1, 1), (2, 3), (2, 0)), ()),
        ("two left", (), ((1, 1), (2, 1))),
        ("one left and one wants it", ((1, 1),), ((2, 1),)),
        ("one left", (), ((2, 1),)),
        ("two left for a lower view", (), ((1, 1), (2, 0))),
        ("two left, one for a higher view", (), ((1, 1), (2, 2))),
        ("a higher view, and then again a lower one", (), ((1, 1), (2, 2), (2, 0))),
    ]:
        world = world_of()
        checker = NoSpuriousViewChange(world)
        for node in world.nodes.values():
            node.honest = node.name == "m0"
        for sender, view in suspects:
            frame = world.sign(m.Suspect(0, sender, view, "silent"))
            checker.spoke(world.nodes[f"m{sender}"], "m0", frame)
        for sender, view in leaves:
            checker.spoke(world.nodes[f"m{sender}"], "m0", world.sign(view_change(view, sender)))
        frame = world.sign(view_change(1))
        story.hears(f"leaves for view 1: {title}", checker.spoke, world.nodes["m0"], "m1", frame)
        story.hears("says so again", checker.spoke, world.nodes["m0"], "m2", frame)
        story.hears("another passes it on", checker.spoke, world.nodes["m1"], "m2", frame)
        story.hears("noise", checker.spoke, world.nodes["m1"], "m2", b"\x95\x07noise")


class Waking:
    """Member m0 slept from 1 s to 11 s of the world; T is one second, and it had waited `waited`."""

    def __init__(self, story: Story, title: str, *, waited: float = 0.0, asleep: int = 1) -> None:
        self.story, self.title, self.world = story, title, world_of()
        self.world.settings.parameters = msgspec.structs.replace(
            self.world.settings.parameters, view_timeout=1_000_000
        )
        self.checker = NoSpuriousViewChange(self.world)
        self.node = self.world.nodes["m0"]
        core: Any = StandInReplica()
        last = 100 * SECOND
        since = last - int(waited * SECOND)
        core.suspicion = SimpleNamespace(
            progress_due=lambda _wait: since, new_view_due=lambda _wait: None, primary_heard=since
        )
        self.slots: list[Any] = []
        core.state = SimpleNamespace(
            now=Now(last, 0),
            timeouts=SimpleNamespace(timeout=SECOND),
            views=SimpleNamespace(primary=1),
            log=SimpleNamespace(unexecuted=lambda _executed: self.slots),
        )
        core.rejoin_views = SimpleNamespace(waits=lambda primary: False)
        core.executed = 4
        self.core = self.node.core = core
        self.node.slept = (asleep * SECOND, 11 * SECOND)

    def wakes(self) -> Waking:
        self.world.time = 11 * SECOND
        self.checker.turning(self.node)
        return self

    def suspects(self, reason: str = SILENT) -> None:
        note = Note("suspected", {"view": 1, "reason": reason})
        self.story.hears(f"{self.title}: {reason}", self.checker.noticed, self.node, note)

    def notes(self, kind: str) -> None:
        self.checker.noticed(self.node, Note(kind, {"view": 1, "reason": AMPLIFIED}))


def tell_waking(story: Story) -> None:
    case = Waking(story, "woke up").wakes()
    for reason in (SILENT, NO_PROGRESS, NO_NEW_VIEW, AMPLIFIED):
        case.checker.started(case.node)
        case.suspects(reason)
    case = Waking(story, "woke up and suspects twice").wakes()
    case.suspects()
    case.suspects()
    case = Waking(story, "woke up a moment ago").wakes()
    case.world.time += 1
    case.suspects()
    Waking(story, "had waited nearly long enough", waited=0.99).wakes().suspects()
    Waking(story, "had waited long enough", waited=1).wakes().suspects()
    Waking(story, "had waited for progress", waited=1).wakes().suspects(NO_PROGRESS)
    Waking(story, "waits for no NEW-VIEW", waited=1).wakes().suspects(NO_NEW_VIEW)
    Waking(story, "slept for two timeouts", asleep=9).wakes().suspects()
    case = Waking(story, "its next primary has no vote").wakes()
    case.core.rejoin_views.waits = lambda primary: primary == 1
    case.suspects(NO_NEW_VIEW)
    case = Waking(story, "suspected before it slept")
    case.notes("suspected")
    case.wakes().suspects()
    for kind in ("suspicion_expired", "left_view", "entered_view"):
        case = Waking(story, f"suspected before it slept, and then {kind}")
        case.world.time = SECOND // 2
        case.notes("suspected")
        case.notes(kind)
        case.wakes().suspects()
    case = Waking(story, "a learner").wakes()
    case.node.index = None
    case.suspects()
    case = Waking(story, "a liar").wakes()
    case.node.honest = False
    case.suspects()


def tell_withheld(story: Story) -> None:
    for what, sequence, view, reason in [
        ("the next one", 5, 1, Reason.BAD_TIMESTAMP),
        ("a later one", 6, 1, Reason.BAD_TIMESTAMP),
        ("the next of another view", 5, 0, Reason.BAD_TIMESTAMP),
        ("the next for another reason", 5, 1, Reason.BAD_BATCH),
    ]:
        case = Waking(story, f"withheld its vote for {what}")
        case.slots.append(SimpleNamespace(sequence=sequence, view=view, abstain_reason=reason))
        case.wakes().suspects(NO_PROGRESS)
        case.checker.started(case.node)
        case.suspects(SILENT)
    case = Waking(story, "executes as it wakes up, and withheld its vote for the next one")
    case.slots.append(SimpleNamespace(sequence=6, view=1, abstain_reason=Reason.BAD_TIMESTAMP))
    case.wakes()
    case.checker.noticed(case.node, Executed(entry(5).entry, word("hash"), (), 1))
    case.suspects(NO_PROGRESS)


def test_no_spurious_view_changes(golden: Compare) -> None:
    story = Story()
    story.chapter("who wanted to leave a view")
    tell_leaving(story)
    story.chapter("who blames a primary for its own sleep")
    tell_waking(story)
    tell_withheld(story)
    golden(HERE / "no_spurious_view_changes.txt", story.text)


# --- forks ---------------------------------------------------------------------------------------


class Forked:
    """Member m0 holds state `one` after 5 as certified; others show it `two`."""

    def __init__(self, story: Story) -> None:
        self.story, self.world = story, world_of()
        self.checker = StopsOnFork(self.world, Statements(self.world, self.world))
        self.node = self.world.nodes["m0"]
        self.holds("m0", "one")

    def holds(self, name: str, what: str, sequence: int = 5) -> None:
        record = CheckpointRecord(0, sequence, word(what), word("log"), 50, ())
        node = self.world.nodes[name]
        node.disk.checkpoints.append(record)
        self.checker.persisted(node, [entry(1), record])

    def frames(self, what: str, senders: tuple[int, ...] = (0, 1, 2), sequence: int = 5) -> tuple[bytes, ...]:
        claim = word(what), word("log"), 50
        return tuple(self.world.sign(m.Checkpoint(0, each, sequence, *claim)) for each in senders)

    def shows(self, *frames: bytes, sender: str = "m1") -> Forked:
        frame = link_frame(m.Pong(1, 5, (), frames or self.frames("two")))
        self.checker.delivered(sender, "m0", frame)
        return self

    def keeps(
        self, mine: tuple[bytes, ...], theirs: tuple[bytes, ...], kind: str = "checkpoint", name: str = RECORD
    ) -> Forked:
        self.node.halted = "a fork"
        kept = canonical.encode(Contradiction(1, kind, 0, 5, mine, theirs))
        self.node.disk.states[name] = StateRecord(name, kept)
        return self

    def refuses(self, reason: str, *, later: int = 0, peer: str = "m1") -> Forked:
        self.world.time = later
        self.checker.noticed(self.node, Note("refused", {"reason": reason, "peer": peer}))
        return self

    def ends(self, what: str) -> None:
        self.story.hears(what, self.checker.finish)


def tell_what_is_shown(story: Story) -> None:
    case = Forked(story)
    case.ends("nothing was shown")
    case.shows(*case.frames("one")).ends("the same state was shown")
    case.shows(*case.frames("two", (0, 1))).ends("two signed another one")
    case.shows(*case.frames("two", (1, 1, 2))).ends("two signed another one, one twice")
    case.shows(*case.frames("two", (0, 1)), case.world.sign(view_change(1))).ends("with another statement")
    false = case.world.sign(m.Checkpoint(0, 2, 5, word("two"), word("log"), 50), "m3")
    case.shows(*case.frames("two", (0, 1)), false).ends("with a false signature")
    case.shows(*case.frames("two", sequence=6)).ends("at another sequence")
    case.node.paused = True
    case.shows().ends("while it was paused")
    case.node.paused, case.node.up = False, False
    case.shows().ends("while it was down")
    case.node.up, case.node.honest = True, False
    case.shows().ends("to a liar")
    case.node.honest = True
    case.holds("m0", "one", 6)
    case.shows().ends("at an older checkpoint")
    Forked(story).shows().ends("three signed another one")


def tell_what_is_refused(story: Story) -> None:
    for what, case in {
        "unasked": Forked(story).shows().refuses(Reason.NOT_ASKED),
        "for another reason": Forked(story).shows().refuses(Reason.BAD_PROOF),
        "unasked, of another peer": Forked(story).shows().refuses(Reason.NOT_ASKED, peer="m2"),
        "unasked, long afterwards": Forked(story).shows().refuses(Reason.NOT_ASKED, later=READ_WITHIN),
        "unasked, in time": Forked(story).shows().refuses(Reason.NOT_ASKED, later=READ_WITHIN - 1),
        "unasked, and shown again": Forked(story).shows().refuses(Reason.NOT_ASKED).shows(sender="m2"),
    }.items():
        case.ends(f"it was refused {what}")


def tell_what_is_kept(story: Story) -> None:
    case = Forked(story).shows()
    one, two, three = (case.frames(what) for what in ("one", "two", "three"))
    case.node.halted = "a fork"
    case.ends("it stopped, and kept nothing")
    case.keeps(one, two).ends("it kept both")
    case.keeps(one, two[:2]).ends("too few of theirs")
    case.keeps(one[:2], two).ends("too few of its own")
    case.keeps(one[:2], two, "state").ends("too few of its own, for its state")
    case.keeps(two, two).ends("the same twice")
    case.keeps(two, two, "state").ends("the same twice, for its state")
    case.keeps(one, two[:2] + three[2:]).ends("theirs are two")
    case.keeps(one[:2] + three[2:], two).ends("its own are two")
    case.keeps(one, (two[0], two[1], two[1])).ends("one of theirs twice")
    case = Forked(story).shows()
    case.keeps(one, two, name="another").ends("under another name")
    case = Forked(story)
    case.holds("m1", "two")
    case.ends("two sides met unseen")
    case.world.nodes["m1"].up = False
    case.ends("one of them is down")
    case = Forked(story)
    case.holds("m1", "two", 6)
    case.world.nodes["m2"].honest = False
    case.holds("m2", "two")
    case.ends("a liar holds another one")


def test_members_stop_on_forks(golden: Compare) -> None:
    story = Story()
    story.chapter("what is shown")
    tell_what_is_shown(story)
    story.chapter("what is refused")
    tell_what_is_refused(story)
    story.chapter("what is kept")
    tell_what_is_kept(story)
    story.chapter("who stopped")
    case = Forked(story)
    note = Note("contradiction", {"sequence": 5})
    for what, who in {"an honest one": "m0", "a liar": "m3"}.items():
        case.world.nodes[who].honest = who == "m0"
        story.hears(what, case.checker.noticed, case.world.nodes[who], note)
    case.world.settings.beyond = True
    story.hears("beyond what is tolerated", case.checker.noticed, case.node, note)
    for node in (case.node, case.world.nodes["m1"]):
        story.hears(f"{node.name} starts", case.checker.started, node)
        story.hears(f"{node.name} speaks", case.checker.spoke, node, "m2", b"frame")
        case.world.nodes["m1"].halted = "two states differ"
    golden(HERE / "stops_on_fork.txt", story.text)
