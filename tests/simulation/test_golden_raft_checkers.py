"""What the checkers of Raft and of bounds say to right members and to wrong ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import RAFT_TERM, RaftReplica
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now, SlotRecord, StateRecord
from dtvn.protocol.genesis.terms import Parameters
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import link_frame
from simulator.checkers.bounds import EMPTY_MAX, LOOK_EVERY, Bounds
from simulator.checkers.raft_clocks import KEPT_MAX, RaftClocks
from simulator.checkers.raft_elections import RaftElections
from simulator.clock import MICROSECOND, MILLISECOND, SECOND
from tests.golden import Compare
from tests.simulation.stand_ins import StandInWorld, Story, entry, word

HERE = Path(__file__).parent / "golden"
TIMEOUT = SECOND


class StandInReplica(RaftReplica):
    """A Raft member that has only what a test gives it."""

    config: Any = None  # type: ignore[assignment]
    executed: Any = 0  # type: ignore[assignment]

    def __init__(self) -> None:
        pass


def raft_core(*, view: int = 0, q: int = 2, leads: bool = True) -> Any:
    """What checkers look at in a Raft member."""
    core: Any = StandInReplica()
    core.elections = SimpleNamespace(leads=leads, heard=0)
    core.state = SimpleNamespace(
        q=q,
        now=Now(0, 0),
        timeouts=SimpleNamespace(timeout=TIMEOUT),
        views=SimpleNamespace(view=view, changing=False),
    )
    return core


class Terms:
    """A checker of elections among three members; every member's term on disk is 9 at first."""

    def __init__(self, story: Story, title: str) -> None:
        story.chapter(title)
        self.story = story
        world: Any = StandInWorld(3, mode=Mode.RAFT)
        self.world, self.checker = world, RaftElections(world)
        for node in self.world.nodes.values():
            node.core = raft_core()
            self.keeps(node.name, 0, 9)

    def keeps(self, name: str, epoch: int, term: int) -> None:
        state = StateRecord(RAFT_TERM, canonical.encode((epoch, term)))
        self.world.nodes[name].disk.states[RAFT_TERM] = state

    def frame(self, message: Any) -> bytes:
        return link_frame(message) if type(message) in m.LINK else self.world.sign(message)

    def says(self, what: str, name: str, message: Any) -> None:
        node = self.world.nodes[name]
        self.story.hears(f"{name}, {what}", self.checker.spoke, node, "m2", self.frame(message))

    def hears(self, name: str, sender: str, message: Any) -> None:
        self.checker.delivered(sender, name, self.frame(message))

    def granted(self, name: str, sender: str, term: int, **said: Any) -> None:
        fields = {"epoch": 0, "term": term, "pre": False, "granted": True, "current": term} | said
        self.hears(name, sender, m.RequestVoteResult(**fields))

    def elects(self, name: str, term: int) -> None:
        self.granted(name, "m2", term, pre=True)
        self.granted(name, "m2", term)


def appends(term: int, previous: int = 0, *bodies: bytes, epoch: int = 0) -> m.AppendEntries:
    return m.AppendEntries(epoch, term, previous, 0, bodies, 0)


def asks(term: int, *, pre: bool = False, epoch: int = 0) -> m.RequestVote:
    return m.RequestVote(epoch, term, 0, 0, 0, pre, 0)


def answers(term: int, *, pre: bool, granted: bool, current: int) -> m.RequestVoteResult:
    return m.RequestVoteResult(0, term, pre, granted, current)


def tell_durable_terms(story: Story) -> None:
    case = Terms(story, "terms that are durable")
    case.elects("m1", 9)
    case.elects("m1", 10)
    case.says("asks in the durable term", "m1", asks(9))
    case.says("asks in a higher term", "m1", asks(10))
    case.says("asks beforehand in a higher term", "m1", asks(10, pre=True))
    case.says("votes in a higher term", "m2", answers(10, pre=False, granted=True, current=9))
    case.says("refuses in a term above its own", "m2", answers(10, pre=False, granted=False, current=9))
    case.says("refuses, and names a higher term", "m2", answers(8, pre=False, granted=False, current=10))
    case.says("wants a leader beforehand", "m2", answers(10, pre=True, granted=True, current=9))
    case.says("wants one, and names a higher term", "m2", answers(10, pre=True, granted=True, current=10))
    case.says("acknowledges in a higher term", "m2", m.Commit(0, 2, 10, 1, word("batch")))
    case.says("answers in a higher term", "m2", m.AppendEntriesResult(0, 10, True, 1, 1, 0))
    case.keeps("m1", 1, 1)
    case.says("its disk is of a later epoch", "m1", asks(10))
    del case.world.nodes["m1"].disk.states[RAFT_TERM]
    case.says("nothing is durable", "m1", m.Commit(0, 1, 1, 2, word("batch")))
    case.says("the term before all", "m1", m.Commit(0, 1, 0, 2, word("batch")))


def tell_elections(story: Story) -> None:
    case = Terms(story, "elections")
    case.says("nobody wanted it", "m1", asks(1))
    case.granted("m1", "m1", 1, pre=True)
    case.says("it wanted itself", "m1", asks(1))
    case.granted("m1", "m2", 1, pre=True, granted=False)
    case.says("it was refused", "m1", asks(1))
    case.granted("m1", "m2", 2, pre=True)
    case.says("another wanted it in another term", "m1", asks(1))
    case.granted("m1", "m2", 1)
    case.says("another voted already", "m1", asks(1))
    case.granted("m1", "m2", 1, pre=True)
    case.says("another wanted it", "m1", asks(1))
    case.says("leads", "m1", appends(1))
    case.says("leads a term without votes", "m1", appends(4))
    case.elects("m1", 3)
    case.says("leads another's term", "m1", appends(3))
    case.says("leads the first term without a vote", "m0", appends(0))
    case.checker.stopped(case.world.nodes["m1"])
    case.says("leads again in another life", "m1", appends(1))
    case.elects("m1", 7)
    case.says("leads a later term in that life", "m1", appends(7))


def tell_entries(story: Story) -> None:
    case = Terms(story, "entries of one term")
    case.says("acknowledged", "m1", m.Commit(0, 1, 4, 1, word("batch")))
    case.says("by another", "m2", m.Commit(0, 2, 4, 1, word("batch")))
    case.says("another digest", "m2", m.Commit(0, 2, 4, 1, word("other")))
    case.says("in another term", "m2", m.Commit(0, 2, 5, 1, word("other")))
    case.says("at another index", "m2", m.Commit(0, 2, 4, 2, word("other")))
    case = Terms(story, "entries on a leader's disk")
    case.says("sends what it has not", "m0", appends(0, 0, b"one"))
    disk = case.world.nodes["m0"].disk
    disk.slots["a"] = SlotRecord(0, 0, 1, "append", (), b"one")
    disk.slots["b"] = SlotRecord(0, 0, 2, "prepare", (), b"two")
    case.says("sends what it has", "m0", appends(0, 0, b"one"))
    case.says("sends it at another index", "m0", appends(0, 1, b"one"))
    case.says("sends another body", "m0", appends(0, 0, b"two"))
    case.says("and one that it has not", "m0", appends(0, 0, b"one", b"two"))
    disk.log += [entry(1), entry(2)]
    case.says("sends what was executed", "m0", appends(0, 0, b"one", b"two"))
    case.says("and the next", "m0", appends(0, 0, b"one", b"two", b"three"))


def tell_completeness(story: Story) -> None:
    for what, term, epoch, prepare in [
        ("without it", 4, 0, ""),
        ("with it in its ledger", 4, 0, "log"),
        ("with it accepted", 4, 0, "append"),
        ("in the term that decided it", 3, 0, ""),
        ("of another epoch", 4, 1, ""),
    ]:
        case = Terms(story, f"an entry of term 3 was decided: {what}")
        case.world.begin(case.world.epochs[0].followed_by(9, case.world.epochs[0].members, Parameters()))
        commit = case.frame(m.Commit(epoch, 0, 3, 1, word("batch")))
        decided = entry(1, epoch=epoch, commits=(commit,))
        case.checker.persisted(case.world.nodes["m2"], [decided, entry(2)])
        name = f"m{term % 3}"
        disk = case.world.nodes[name].disk
        if prepare == "log":
            disk.log.append(decided)
        elif prepare:
            disk.slots["a"] = SlotRecord(0, 3, 1, "append", (), decided.body)
        case.elects(name, term)
        case.says("leads", name, appends(term))


def tell_disturbances(story: Story) -> None:
    wants = answers(5, pre=True, granted=True, current=0)
    for what, heard, change in [
        ("that spoke a moment ago", 9_700 * MILLISECOND, ""),
        ("that spoke in this turn", 9_990 * MILLISECOND, ""),
        ("that spoke long ago", 9_400 * MILLISECOND, ""),
        ("of another term", 9_700 * MILLISECOND, "term"),
        ("while it changes the term", 9_700 * MILLISECOND, "changing"),
        ("after it slept", 9_700 * MILLISECOND, "slept"),
        ("before it started anew", 9_700 * MILLISECOND, "stopped"),
        ("before another stopped", 9_700 * MILLISECOND, "another stopped"),
    ]:
        case = Terms(story, f"a member wants another leader than one {what}")
        node = case.world.nodes["m2"]
        case.world.time = heard
        case.hears("m2", "m0", appends(1 if change == "term" else 0))
        case.world.time = 10 * SECOND
        node.slept = (0, 9 * SECOND if change == "slept" else 0)
        node.core.state.views.changing = change == "changing"
        if change.endswith("stopped"):
            case.checker.stopped(case.world.nodes["m1" if change.startswith("another") else "m2"])
        case.says("wants another", "m2", wants)
        case.says("does not", "m2", answers(5, pre=True, granted=False, current=0))


def tell_unheard_leaders(story: Story) -> None:
    for what, at, change in [
        ("one answered a moment ago", 15, ""),
        ("one answered long ago", 14, ""),
        ("nobody ever answered", None, ""),
        ("nobody ever answered, and it follows", None, "follows"),
        ("nobody ever answered, and it is alone", None, "alone"),
        ("nobody ever answered, and it slept", None, "slept"),
        ("nobody ever answered, and it leads since a moment", None, "heard"),
        ("only another leader was answered", 15, "other"),
    ]:
        case = Terms(story, f"a leader of 20 s: {what}")
        node = case.world.nodes["m0"]
        if at is not None:
            case.world.time = at * SECOND
            to = "m1" if change == "other" else "m0"
            case.hears(to, "m2", m.AppendEntriesResult(0, 1, True, 1, 1, 0))
        case.world.time = 20 * SECOND
        node.core = raft_core(q=1 if change == "alone" else 2, leads=change != "follows")
        node.core.state.now = Now(120 * SECOND, 0)
        node.core.elections.heard = (117 if change == "heard" else 101) * SECOND
        node.slept = (0, 16 * SECOND if change == "slept" else 0)
        story.hears("its turn", case.checker.turning, node)


def test_raft_elections(golden: Compare) -> None:
    story = Story()
    tell_durable_terms(story)
    tell_elections(story)
    tell_entries(story)
    tell_completeness(story)
    tell_disturbances(story)
    tell_unheard_leaders(story)
    golden(HERE / "raft_elections.txt", story.text)


# --- clocks --------------------------------------------------------------------------------------


def batch(proposed: int, *requests: bytes, view: int = 0) -> bytes:
    return canonical.encode(m.Batch(view, proposed, requests))


class Clocks:
    """A leader of five whose monotonic clock shows 1 s; the drift bound is 1 000 us."""

    def __init__(self, story: Story, title: str) -> None:
        story.chapter(title)
        self.story = story
        world: Any = StandInWorld(5, mode=Mode.RAFT)
        self.world = world
        self.world.settings.parameters = msgspec.structs.replace(Parameters(), drift_bound=1_000)
        self.checker = RaftClocks(world)
        self.node = self.world.nodes["m0"]
        self.node.core = raft_core(q=3)
        self.monotonic = 1_000_000
        self.node.clock = SimpleNamespace(now=lambda: Now(self.monotonic * MICROSECOND, 0))

    def told(self, sender: str, clock: int, receiver: str = "m0") -> None:
        frame = link_frame(m.AppendEntriesResult(0, 0, True, 1, 1, clock))
        self.world.nodes[receiver].clock = self.node.clock
        self.checker.delivered(sender, receiver, frame)

    def proposes(self, what: str, body: bytes, phase: str = "append", view: int = 0) -> None:
        record = SlotRecord(0, view, 7, phase, (), body)
        self.story.hears(what, self.checker.persisted, self.node, [entry(1), record])


def test_raft_clocks(golden: Compare) -> None:
    story = Story()
    case = Clocks(story, "whose clocks confirm a time")
    case.proposes("nobody told its clock", batch(5_000_000, b"request"))
    case.told("m1", 5_000_000)
    case.told("m1", 5_000_000)
    case.proposes("one did, twice", batch(5_000_000, b"request"))
    case.told("m2", 5_004_000)
    case.proposes("another's is too far away", batch(5_000_000, b"request"))
    case.proposes("between them", batch(5_002_000, b"request"))
    case.proposes("too early by a microsecond", batch(5_001_999, b"request"))
    case.proposes("too late by a microsecond", batch(5_002_001, b"request"))
    case.monotonic += 500_000
    case.proposes("half a second later", batch(5_502_000, b"request"))
    case.proposes("the time of before", batch(5_002_000, b"request"))
    case.proposes("an empty batch of the first term", batch(1))
    case.proposes("another record", batch(1, b"request"), "prepare")
    case.node.core.state.views.view = 1
    case.proposes("carried over into it", batch(1, b"request"), view=1)
    case.proposes("of a term that is over", batch(1, b"request"))
    case.proposes("its first of a later term", batch(1, view=1), view=1)
    case.proposes("its second", batch(1, b"request", view=1), view=1)
    case.node.core.elections.leads = False
    case.proposes("it follows", batch(1, b"request", view=1), view=1)
    case = Clocks(story, "what it forgets")
    for sender in ("m1", "m2"):
        case.told(sender, 5_000_000)
    case.told("m1", 9_000_000, "m3")
    case.checker.stopped(case.world.nodes["m3"])
    case.proposes("another starts anew", batch(5_000_000, b"request"))
    for _ in range(KEPT_MAX - 1):
        case.told("m1", 6_000_000)
    case.proposes("the oldest answer still counts", batch(5_000_000, b"request"))
    case.told("m1", 6_000_000)
    case.proposes("now it does not", batch(5_000_000, b"request"))
    for sender in ("m1", "m2"):
        case.told(sender, 7_000_000)
    case.checker.stopped(case.node)
    case.proposes("it started anew", batch(7_000_000, b"request"))
    golden(HERE / "raft_clocks.txt", story.text)


# --- bounds --------------------------------------------------------------------------------------


def small_config() -> Any:
    return SimpleNamespace(
        n=4,
        window=20,
        pipeline=3,
        batch_operations_max=2,
        batch_bytes_max=1_000,
        watermark_span=30,
        pool_operations_max=50,
    )


def limited_core(core: Any) -> Any:
    """With these bounds, a stable checkpoint at 10 and 28 executed."""
    core.config = small_config()
    core.executed = 28
    core.state.log = SimpleNamespace(stable=10, slots={}, certificates={}, late={}, decisions={})
    core.policy = SimpleNamespace(size=lambda: (0, core.waiting))
    core.waiting = 0
    return core


def tell_proposals(story: Story, world: Any, checker: Bounds) -> None:
    node = world.nodes["m1"]
    node.core = limited_core(SimpleNamespace(state=SimpleNamespace()))
    done = m.Operation("consume", "fair", "a", "anna", "m0", 9, b"", b"x" * 10)

    def request(operations: int = 1, size: int = 10) -> bytes:
        each = msgspec.structs.replace(done, payload=b"x" * size)
        return bytes(world.sign(m.Bundle(0, "gate", b"client", (1, 0), 1, 0, (each,) * operations), "gate"))

    def proposes(
        what: str,
        sequence: int,
        *requests: bytes,
        sender: int = 1,
        origin: int = 5,
        phase: str = "pre_prepare",
    ) -> None:
        frames = (world.sign(m.PrePrepare(0, sender, 5, sequence, word("batch"))),)
        record = SlotRecord(0, 5, sequence, phase, frames, batch(1, *requests, view=origin))
        story.hears(what, checker.persisted, node, [entry(1), record])

    proposes("in its window", 30, request())
    proposes("above it", 31, request())
    node.core.executed = 27
    proposes("in its pipeline", 30, request())
    node.core.executed = 26
    proposes("above it", 30, request())
    proposes("another's", 30, request(), sender=2)
    proposes("carried over", 30, request(), origin=4)
    proposes("another record", 30, request(), phase="prepare")
    proposes("two operations", 29, request(2))
    proposes("three in two requests", 29, request(2), request())
    proposes("too many bytes", 29, request(1, 900))
    proposes("appended by the leader of the term", 30, request(), phase="append")
    proposes("an empty one", 40, phase="append")
    node.index = 2
    proposes("appended by a follower", 40, request(), phase="append")
    node.index, node.honest = 1, False
    proposes("a liar's", 40, request())
    node.index, node.honest = None, True
    proposes("a learner's", 40, request(), phase="append")
    node.index = 1


def pbft_tables() -> Any:
    core = limited_core(SimpleNamespace(state=SimpleNamespace()))
    core.state.future = SimpleNamespace(_count=[0, 0], _frames_share=7)
    core.state.views = SimpleNamespace(view_changes={})
    core.suspicion = SimpleNamespace(suspects={})
    return core


def raft_tables() -> Any:
    core = limited_core(raft_core())
    core.log = SimpleNamespace(last=0, floor=0, _batches={})
    core.replication = SimpleNamespace(commits={})
    core.statuses = SimpleNamespace(members={})
    core.clocks = SimpleNamespace(_offsets={})
    return core


def tell_tables(story: Story, checker: Bounds, node: Any, core: Any) -> Any:
    """Looks at what fills up to its bound and above it; returns what does so."""
    node.core = core

    def looks(what: str) -> None:
        for _ in range(LOOK_EVERY - 1):
            checker.turning(node)
        story.hears(what, checker.turning, node)

    def fills(what: str, table: dict[Any, Any], most: int) -> None:
        table.update(dict.fromkeys(range(most), ()))
        looks(f"{most} {what}")
        table[most] = ()
        looks(f"{most + 1} {what}")
        table.clear()

    return looks, fills


def test_bounds(golden: Compare) -> None:
    story = Story()
    world: Any = StandInWorld()
    checker = Bounds(world)
    story.chapter("proposals")
    tell_proposals(story, world, checker)
    story.chapter("tables")
    node = world.nodes["m1"]
    core = pbft_tables()
    looks, fills = tell_tables(story, checker, node, core)
    log = core.state.log
    for what, table in [("slots", log.slots), ("certificates", log.certificates), ("late", log.late)]:
        fills(what, table, 30)
    fills("decisions", log.decisions, 30)
    fills("view changes", core.state.views.view_changes, 4)
    fills("suspects", core.suspicion.suspects, 4)
    for core.waiting in (50, 51):
        looks(f"{core.waiting} waiting")
    core.waiting = 0
    for core.state.future._count in ([7, 0], [0, 8]):
        looks(f"{core.state.future._count} of later views")
    node.index = None
    looks("a learner")
    node.index, node.host = 1, None
    looks("it is down")
    node.host = SimpleNamespace()
    for _ in range(LOOK_EVERY - 1):
        checker.turning(node)
    story.hears("a look that is due", checker.turning, node)
    golden(HERE / "bounds.txt", story.text)


def test_bounds_of_raft(golden: Compare) -> None:
    story = Story()
    world: Any = StandInWorld(mode=Mode.RAFT)
    checker = Bounds(world)
    core = raft_tables()
    looks, fills = tell_tables(story, checker, world.nodes["m1"], core)
    most = 30 + EMPTY_MAX
    core.log.floor = 5
    for core.log.last in (5 + most, 6 + most):
        looks(f"entries from 5 to {core.log.last}")
    core.log.last = 5
    fills("bodies", core.log._batches, most)
    fills("indexes of COMMITs", core.replication.commits, most)
    fills("decisions", core.state.log.decisions, most)
    fills("statuses", core.statuses.members, 4)
    fills("clocks", core.clocks._offsets, 4)
    for size in (4, 5):
        core.replication.commits.update({1: [], 2: [0] * size})
        looks(f"{size} COMMITs of one index")
    core.replication.commits.clear()
    for core.waiting in (50, 51):
        looks(f"{core.waiting} waiting")
    golden(HERE / "bounds_of_raft.txt", story.text)
