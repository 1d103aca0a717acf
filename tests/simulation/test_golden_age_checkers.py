"""What the checkers of ages, of proposals' times and of floods say to members that are right, and wrong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import Replica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Executed, Note, Now, Reason, SlotRecord
from dtvn.protocol.genesis.terms import Parameters
from simulator.checkers.ages import KNOWN_WITHIN, LOOK_EVERY, ON_THE_WAY, SETTLED, WORD, Ages
from simulator.checkers.opening_flood_borne import FLOODING, OpeningFloodBorne
from simulator.checkers.proposal_time import LATE_MAX, ProposalTime
from simulator.clock import MICROSECOND, SECOND
from simulator.seams import peer_limits
from tests.golden import Compare
from tests.simulation.stand_ins import StandInWorld, Story, entry, word

HERE = Path(__file__).parent / "golden"
SLACK = SECOND // 10
DRIFT = 1_000


class Ageing:
    """All members got their first entry at 10 s and their second at 20 s; the follower says how old it is."""

    def __init__(self, story: Story) -> None:
        self.story = story
        world: Any = StandInWorld(learners=1)
        self.world, self.checker = world, Ages(world)
        self.follower = self.world.nodes["l0"]
        self.age: int | None = 0
        self.follower.host = SimpleNamespace(executed=0, age=lambda: self.age)
        for node in self.world.nodes.values():
            node.clock = SimpleNamespace(skew=0)
            self.checker.started(node)
        self.world.run_for = lambda time: story.say(f"  runs for {time // SECOND} s")

    def write(self, at: int, *names: str) -> Ageing:
        """These members get another entry at a second."""
        self.world.time = at * SECOND
        for name in names:
            node = self.world.nodes[name]
            node.disk.log.append(entry(len(node.disk.log) + 1))
            self.checker.persisted(node, [node.disk.log[-1]])
        return self

    def looks(self, what: str, at: int, age: int | None, executed: int = 1) -> None:
        """The follower begins a turn at a nanosecond, with an age in nanoseconds."""
        self.world.time = at
        self.age = None if age is None else age // MICROSECOND
        self.follower.host.executed = executed
        self.story.hears(what, self.checker.turning, self.follower)


def ageing(story: Story) -> Ageing:
    everybody = ("m0", "m1", "m2", "m3")
    return Ageing(story).write(10, *everybody).write(20, *everybody)


def tell_ages(story: Story) -> None:
    then = 30 * SECOND
    young = 10 * SECOND - SLACK
    ageing(story).looks("as old as it is", then, young + MICROSECOND)
    ageing(story).looks("younger", then, young)
    ageing(story).looks("younger, with the whole log", then, young, 2)
    ageing(story).looks("younger, with an empty log", then, 20 * SECOND - SLACK, 0)
    ageing(story).looks("of no age", then, None)
    case = ageing(story)
    case.looks("a first look", then, 30 * SECOND)
    case.looks("too soon for another", then + LOOK_EVERY - 1, 0)
    case.looks("the next one", then + LOOK_EVERY, 0)
    case = ageing(story)
    case.follower.honest = False
    case.looks("a liar", then, 0)
    case = ageing(story)
    case.follower.index = 4
    case.looks("a member", then, 0)
    case = ageing(story)
    case.follower.host = None
    story.hears("it is down", case.checker.turning, case.follower)
    for count in (1, 2):
        case = ageing(story)
        for name in ("m0", "m1")[:count]:
            node = case.world.nodes[name]
            node.clock.skew = 1
            case.checker.turning(node)
        case.looks(f"{count} clocks went ahead", then, young - ON_THE_WAY + MICROSECOND)
        case.looks("and it is younger still", then + SECOND, young + SECOND - ON_THE_WAY)


def tell_settled(story: Story) -> None:
    for what, name, at in [
        ("all members have it", "m3", 0),
        ("one lacks it", "", 0),
        ("it is down", "", -1),
        ("it had just started", "", 20 * SECOND - SETTLED + 1),
        ("it started before", "", 20 * SECOND - SETTLED),
        ("it lies", "", -2),
    ]:
        case = Ageing(story)
        last = case.world.nodes["m3"]
        last.up, last.honest = at != -1, at != -2
        case.world.time = max(at, 0)
        case.checker.started(last)
        case.write(20, "m0", "m1", "m2", *([name] if name else []))
        case.looks(f"{what}: of five seconds", 40 * SECOND, 5 * SECOND, 0)
        case.looks("  of ten and less", 41 * SECOND, 21 * SECOND - WORD - SLACK, 0)


def test_ages(golden: Compare) -> None:
    story = Story()
    story.chapter("how old a follower is")
    tell_ages(story)
    story.chapter("whose log counts")
    tell_settled(story)
    story.chapter("the end")
    for age in (None, KNOWN_WITHIN, KNOWN_WITHIN + MICROSECOND):
        case = ageing(story)
        case.age = None if age is None else age // MICROSECOND
        case.follower.host.executed = 2
        story.hears(f"an age of {case.age}", case.checker.finish)
    case = ageing(story)
    case.world.time = 50 * SECOND
    story.hears("too young", case.checker.finish)
    case.follower.host = None
    story.hears("it is down", case.checker.finish)
    golden(HERE / "ages.txt", story.text)


# --- times of proposals --------------------------------------------------------------------------


class StandInReplica(Replica):
    """A member that has only what a test gives it."""

    def __init__(self, state: Any) -> None:
        self.state = state


class Voting:
    """Member m1, whose wall clock shows `wall` microseconds, hears of a proposal of 5 s."""

    def __init__(self, story: Story) -> None:
        self.story = story
        world: Any = StandInWorld()
        self.world = world
        world.settings.parameters = msgspec.structs.replace(Parameters(), drift_bound=DRIFT)
        self.checker = ProposalTime(world)
        self.node = world.nodes["m1"]
        self.wall = 5_000_000
        self.node.clock = SimpleNamespace(now=lambda: Now(0, self.wall * MICROSECOND))
        self.batch = m.Batch(1, 5_000_000, ())
        self.proposal = m.PrePrepare(0, 0, 1, 7, word("batch"))
        slot = SimpleNamespace(digest=word("batch"), view=1, sequence=7, abstain_reason=Reason.BAD_TIMESTAMP)
        self.state: Any = SimpleNamespace(
            log=SimpleNamespace(slots={7: slot}),
            timeouts=SimpleNamespace(timeout=SECOND),
            bodies={word("batch"): SimpleNamespace(batch=self.batch)},
        )
        self.node.core = StandInReplica(self.state)

    def arrives(self, wall: int, *, taken: int | None = None) -> Voting:
        self.wall = wall
        self.checker.delivered("m0", "m1", self.world.sign(self.proposal))
        if taken is not None:
            self.wall = taken
            self.checker.turning(self.node)
        return self

    def votes(self, what: str, wall: int, *phases: str, view: int = 1, **said: Any) -> None:
        self.wall = wall
        batch = canonical.encode(msgspec.structs.replace(self.batch, **said))
        frame = self.world.sign(self.proposal)
        records = [SlotRecord(0, view, 7, "pre_prepare", (frame,), batch)]
        records += [SlotRecord(0, view, 7, phase, ()) for phase in phases or ("prepare",)]
        self.story.hears(what, self.checker.persisted, self.node, records)

    def withholds(self, what: str, reason: Reason = Reason.BAD_TIMESTAMP) -> None:
        note = Note("abstained", {"sequence": 7, "reason": reason.value})
        self.story.hears(what, self.checker.noticed, self.node, note)


def tell_votes(story: Story) -> None:
    now = 5_000_000
    for what, off in {
        "in time": 0,
        "as far ahead as allowed": -DRIFT,
        "too far ahead": -DRIFT - 1,
        "as late as allowed": DRIFT + LATE_MAX,
        "too late": DRIFT + LATE_MAX + 1,
    }.items():
        Voting(story).votes(f"votes for one {what}", now + off)
    far = now - DRIFT - 1
    Voting(story).arrives(now).votes("it had arrived in time", far)
    Voting(story).arrives(far, taken=now).votes("it was taken in time", far)
    Voting(story).arrives(far, taken=far).votes("it was never in time", far)
    Voting(story).arrives(far).arrives(now).votes("it arrived again in time, and was not taken", far)
    Voting(story).arrives(far, taken=far).arrives(far, taken=now).votes("it was taken again in time", far)
    Voting(story).votes("no vote", far, "commit")
    Voting(story).votes("carried over", far, origin_view=0)
    case = Voting(story)
    case.proposal = msgspec.structs.replace(case.proposal, digest=m.NULL_BATCH_DIGEST)
    case.votes("a null request", far)
    case = Voting(story)
    case.node.index = None
    case.votes("a learner", far)
    case = Voting(story)
    case.node.honest = False
    case.arrives(now).votes("a liar", far)
    case.checker.delivered("m0", "m2", b"\x95\x01noise")


def tell_withheld_votes(story: Story) -> None:
    now, late = 5_000_000, 2_000_000
    for what, off in {
        "in time": 0,
        "as far ahead as allowed": -DRIFT,
        "too far ahead": -DRIFT - 1,
        "as late as a slow cluster makes it": DRIFT + late,
        "later": DRIFT + late + 1,
    }.items():
        Voting(story).arrives(now, taken=now + off).withholds(f"withholds its vote for one {what}")
    Voting(story).arrives(now).withholds("it was not taken yet")
    Voting(story).arrives(now, taken=now).withholds("for another reason", Reason.BAD_BATCH)
    case = Voting(story).arrives(now, taken=now + DRIFT + late)
    case.state.timeouts.timeout = SECOND - MICROSECOND
    case.withholds("its timeout became shorter")
    for what, change in {
        "in another view": {"abstain_reason": None},
        "its slot has no proposal": {"digest": None},
        "another digest": {"digest": word("other")},
        "another slot's view": {"view": 2},
    }.items():
        case = Voting(story).arrives(now, taken=now)
        vars(case.state.log.slots[7]).update(change)
        case.withholds(what)
    case = Voting(story).arrives(now, taken=now)
    case.state.bodies.clear()
    case.withholds("its batch is unknown")
    case = Voting(story).arrives(now, taken=now)
    case.node.honest = False
    case.withholds("a liar")


def test_times_of_proposals(golden: Compare) -> None:
    story = Story()
    story.chapter("votes")
    tell_votes(story)
    story.chapter("votes that are withheld")
    tell_withheld_votes(story)
    golden(HERE / "proposal_times.txt", story.text)


# --- floods --------------------------------------------------------------------------------------


def test_a_flood_of_openings_harms_nobody_else() -> None:
    story, world = Story(), StandInWorld(learners=1)
    anyway: Any = world
    checker = OpeningFloodBorne(anyway)
    most = 4 * (peer_limits.OPENINGS_BURST + peer_limits.OPENINGS_PER_SECOND)

    def opens(what: str, name: str, count: int, principal: str = FLOODING, session: Any = m.UNOPENED) -> None:
        bundle = m.Bundle(0, principal, b"client", session, 1, 0, ())
        note = Executed(entry(5).entry, word("hash"), ((bundle, 0, ()),) * count, 0)
        story.hears(what, checker.noticed, anyway.nodes[name], note)

    opens("as many as links bring", "m0", most)
    opens("another principal's", "m0", 1, "gate")
    opens("of an open session", "m0", 1, session=(1, 0))
    opens("at another member", "m1", most)
    opens("at a learner", "l0", most + 1)
    world.time = SECOND - 1
    opens("one more", "m0", 1)
    world.time = SECOND
    opens("a second later", "m0", 1)
    anyway.nodes["m3"].honest = False
    for name in ("m3", "l0", "m2"):
        story.hears(f"{name} suspects", checker.noticed, anyway.nodes[name], Note("suspected", {"view": 1}))
    assert [line.partition(": ")[2] for line in story.lines] == [
        *["nothing to say"] * 5,
        f"opening-flood-borne: m0 executed {most + 1} openings of a flood (P15)",
        *["nothing to say"] * 3,
        "opening-flood-borne: m2 suspects the primary beside a flood of openings: {'view': 1} (R30)",
    ]
