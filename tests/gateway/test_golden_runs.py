"""EventRuns told step by step: what is asked when, what is recorded together, and each outcome of it."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from dtvn.events.config import Algorithm, ConfigError, ConsensusConfig
from dtvn.events.judging import AlgorithmNotOffered, Vote
from dtvn.gateway import Overloaded, Result
from dtvn.gateway.event_runs import EventRuns
from dtvn.gateway.events_face import RunIsLive
from dtvn.machine import reasons
from dtvn.machine.rows import RunRow
from dtvn.protocol import canonical
from dtvn.protocol.quorum import Mode
from tests.events.judging.support import electorate
from tests.gateway.run_telling import TellingWorld, few
from tests.gateway.test_events import CLOSE, END, OPEN, RUN, START, TEXT
from tests.gateway.wording import Wording
from tests.golden import Compare, Telling

GOLDEN = Path(__file__).parent / "golden"
SECOND = 1_000
"""Milliseconds."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> TellingWorld:
    few(monkeypatch)
    return TellingWorld()


def test_records(golden: Compare, world: TellingWorld) -> None:
    """Records of several runs in one submission, and each outcome of them."""
    _together(world)
    _outcomes(world)
    _found(world)
    _backlog(world)
    _merges(world)
    _other_states(world)
    golden(GOLDEN / "run-records.txt", world.text)


def _large(world: TellingWorld, run: str, *chunks: int) -> None:
    """Chunks that are recorded alone, each with its number of events."""
    for count in chunks:
        world.asked(run, *[TEXT] * count)
        world.turns()


def _together(world: TellingWorld) -> None:
    world.chapter("Records of three runs of two threads in one submission; the first run was given up since")
    for thread, run in (("t", "given-up"), ("t", "b"), ("u", "c"), ("u", "plain")):
        world.begun(thread, run, recorded=run != "plain")
        world.asked(run, START, OPEN)
        world.turns()
    with pytest.raises(RunIsLive) as live:
        world.begun("t", "b")
    world.say(f"refused: {live.value}")
    _large(world, "given-up", 5)
    _large(world, "plain", 3)
    world.ending("given-up", wait=700_000_000)
    world.ending("plain", wait=700_000_000)
    world.turns()
    world.standing()
    world.later(SECOND)
    world.turns()
    world.logged(0)
    world.standing()
    world.logged()
    world.turns()
    world.ending("b")
    world.ending("c")
    world.turns()
    world.standing()
    world.chapter("Three runs, one of which sends two records: the next begins another submission")
    for run in ("d", "e", "f"):
        world.begun("t", run)
        world.asked(run, START)
        world.turns()
    _large(world, "e", 4, 4)
    world.later(SECOND)
    world.turns()
    world.lost()
    world.logged()
    world.turns()
    world.later(SECOND)
    world.turns()
    for run in ("d", "e", "f"):
        world.ending(run)
    world.turns()
    world.logged()
    world.turns()
    world.standing()


def _outcomes(world: TellingWorld) -> None:
    for code in ("busy", "unavailable", "outcome_unknown", "wrong_epoch", "not_next", "not_permitted"):
        world.chapter(f"The second of three records is answered {code}")
        world.begun("outcomes", code, event="agents", actor="proxy")
        world.asked(code, START, OPEN, *[TEXT] * 3)
        world.turns()
        _large(world, code, 4, 4)
        world.logged(-1, "", code)
        world.turns()
        world.asked(code, CLOSE)
        world.turns()
        world.standing()
        world.later(SECOND)
        world.turns()
        if world.submitted:
            world.logged()
            world.turns()
        world.ending(code)
        world.turns()
        world.all_logged()
        world.later(5 * SECOND)
        world.turns()


def _found(world: TellingWorld) -> None:
    world.chapter(
        "A record is refused, and the log names the head: of the second, of none, of no form, of none"
    )
    row = RunRow("gateway", 1, 50, 3, 60, 9, 0, b"", b"", ended=False)
    for name in ("second", "other", "formless"):
        world.begun("found", name)
        world.asked(name, *[TEXT] * 4)
        world.turns()
        _large(world, name, 5, 6)
        heads = [item.place.head for item in world.live[name].recorder._items]  # type: ignore[union-attr]
        state = {
            "second": canonical.encode(RunRow("gateway", 1, 50, 3, 60, 9, 0, heads[1], b"", ended=False)),
            "other": canonical.encode(row),
            "formless": b"\xc1",
        }[name]
        world.given(Result(reasons.NOT_NEXT, state), Result(reasons.NOT_NEXT), Result(reasons.NOT_NEXT))
        world.turns()
        world.asked(name, CLOSE)
        world.turns()
        world.standing()
        world.ending(name)
        world.turns()
        if world.submitted:
            world.given(Result(reasons.NOT_NEXT), *[Result(reasons.BUSY)] * 1)
            world.turns()
            world.standing()
            world.later(SECOND)
            world.turns()
            world.given(Result(reasons.NOT_NEXT))
            world.turns()


def _backlog(world: TellingWorld) -> None:
    world.chapter("Events wait for the log, until a chunk waits too, and then fails")
    world.begun("backlog", "slow")
    _large(world, "slow", 5)
    world.later(SECOND)
    world.turns()
    _large(world, "slow", 6, 7)
    world.asked("slow", OPEN, wait=2_000_000_000)
    world.turns()
    world.asked("slow", CLOSE)
    world.asked("slow", b"not json")
    world.turns()
    world.standing()
    world.later(1_999)
    world.turns()
    world.later(1)
    world.turns()
    world.logged()
    world.turns()
    world.asked("slow", TEXT)
    world.turns()
    world.ending("slow")
    world.all_logged()
    world.later(5 * SECOND)
    world.turns()
    world.standing()


def _small(world: TellingWorld, run: str, *texts: bytes) -> None:
    """Chunks that are judged again as one."""
    world.begun("merges", run)
    for text in texts:
        world.asked(run, text)
        world.turns()
    world.later(SECOND)
    world.turn()


def _third_differs(vote: Vote) -> Vote:
    """The third event of a chunk is refused by another rule."""
    errors = tuple((place, "LIE" if place == 2 else code) for place, code in vote.errors)
    return msgspec.structs.replace(vote, errors=errors)


def _merges(world: TellingWorld) -> None:
    world.chapter("The votes of a merge do not come, then only those of its first part, then all")
    _small(world, "late", *RUN[:3])
    world.hear(1)
    world.held.clear()
    for member in range(4):
        world.liars[member] = lambda vote: vote
    world.links(1)
    for pause in (251, 4_748, 1, 999, 1):
        world.later(pause)
        world.turn()
        world.standing()
    world.links(0, 1, 2, 3)
    for member in (2, 3):
        world.liars[member] = lambda vote: msgspec.structs.replace(vote, errors=((1, "LIE"),))
    world.turns()
    world.later(5 * SECOND)
    world.turns()
    world.liars.clear()
    world.all_logged()
    world.later(SECOND)
    world.turns()
    world.all_logged()
    world.standing()
    world.chapter("Votes on a merge differ within a chunk that it is made of")
    _small(world, "split", b"not json")
    world.logged()
    world.turns()
    _large(world, "split", 3, 2)
    for member in (0, 1):
        world.liars[member] = _third_differs
    for _second in range(3):
        world.later(SECOND)
        world.turns()
        world.standing()
        world.all_logged()
    world.liars.clear()
    world.ending("split")
    world.turns()


def _other_states(world: TellingWorld) -> None:
    world.chapter("All members come to another state than this process: in a merge, and in a chunk")
    _small(world, "other-merge", *RUN[:2])
    for member in range(4):
        world.liars[member] = lambda vote: msgspec.structs.replace(vote, after=bytes(32))
    world.held.clear()
    world.later(SECOND)
    world.turns()
    world.standing()
    world.begun("merges", "other-chunk")
    world.asked("other-chunk", START, OPEN)
    world.asked("other-chunk", TEXT)
    world.turns()
    world.asked("other-chunk", CLOSE)
    world.turns()
    world.standing()
    _all_end(world, "late", "other-merge", "other-chunk")
    world.standing()


def _all_end(world: TellingWorld, *runs: str) -> None:
    for run in runs:
        world.ending(run)
    world.turns()
    world.all_logged()
    world.later(6 * SECOND)
    world.turns()


def test_judging(golden: Compare, world: TellingWorld) -> None:
    """Members that are slow, gone, of two minds; large calls; limits; epochs."""
    _calls(world)
    _silence(world)
    _epochs(world)
    golden(GOLDEN / "run-judging.txt", world.text)


def _calls(world: TellingWorld) -> None:
    world.chapter("Calls are split by events and by bytes, and carried out in their order")
    world.begun("t", "calls", recorded=False, drop_unknown=True)
    world.asked("calls", START, OPEN, *[TEXT] * 17)
    world.asked("calls", _unheard(600 - len(TEXT)), TEXT, CLOSE)
    world.turn()
    world.asked("calls", _unheard(601 - len(TEXT)), TEXT, END, b"not json", TEXT)
    world.turns()
    world.standing()
    world.chapter("Too many bytes wait")
    world.begun("t", "many", recorded=False)
    for size in (1_200, 1_800):
        world.asked("many", *[b"x" * 600] * (size // 600))
    with pytest.raises(Overloaded) as full:
        world.asked("many", b"x")
    world.say(f"refused: {full.value}")
    world.turns()
    world.asked("many", *[b"x" * 600] * 5)
    world.turns()
    world.ending("many", wait=0)
    world.turns()
    world.standing()
    with pytest.raises(KeyError):
        world.asked("many", TEXT)
    world.begun("t", "many", place=world.live["calls"].place)
    world.asked("many", *RUN)
    world.turns()
    world.standing()


def _unheard(size: int) -> bytes:
    """An event of this many bytes whose type nobody knows."""
    frame = b'{"type":"UNHEARD_OF","text":"%s"}'
    return frame % (b"x" * (size + 2 - len(frame)))


def _silence(world: TellingWorld) -> None:
    world.chapter("Members are slow, gone, and back")
    for algorithm in (Algorithm.PBFT, Algorithm.MAJORITY, Algorithm.UNANIMOUS):
        name = f"slow-{algorithm.value}"
        world.begun("t", name, algorithm=algorithm)
        world.asked(name, START, OPEN, wait=1_200_000_000)
        world.turns(0)
        for pause in (249, 2, 300, 200, 460):
            world.later(pause)
            world.turns(0, 2) if pause == 300 else world.turns(0)
        world.standing()
        world.turns()
        world.asked(name, TEXT, wait=400_000_000)
        world.asked(name, TEXT, wait=400_000_000)
        world.links(1, 3)
        world.turns(1)
        world.later(201)
        world.turns(1)
        world.links(0, 1, 3)
        world.turns()
        world.ending(name)
        world.links(0, 1, 2, 3)
        world.turns()
        world.all_logged()
        world.later(6 * SECOND)
        world.turns()
    world.say("junk and a stranger")
    world.runs.receive(1, b"\xc1")
    world.runs.receive(9, b"")
    world.runs.receive(2, canonical.encode((b"junk",)))
    world.standing()


def _epochs(world: TellingWorld) -> None:
    world.chapter("An epoch ends while one run is asked about, one merges, one flies, one rests")
    for name in ("asked", "merges", "flies", "rests"):
        world.begun("epochs", name, algorithm=Algorithm.PBFT)
    _large(world, "flies", 5, 5)
    for text in (START, OPEN, TEXT):
        world.asked("merges", text)
        world.turns()
    world.later(SECOND)
    world.turn()
    world.hear(0)
    world.asked("asked", *RUN[:3])
    world.asked("asked", *RUN[3:])
    world.turns(1)
    world.entered(7, 1)
    world.standing()
    world.turns()
    world.logged(0)
    world.turns()
    world.later(SECOND)
    world.turns()
    world.all_logged()
    world.standing()
    world.chapter("The next epoch has too few members for the algorithm; the one after it has enough")
    world.runs._given_config = ConsensusConfig(
        algorithm=Algorithm.PBFT, min_nodes=4, byzantine_fault_tolerance=1
    )
    world.asked("flies", TEXT)
    world.asked("flies", TEXT, CLOSE)
    world.asked("merges", TEXT)
    world.turn()
    world.hear(0, 1)
    world.entered(3, 2)
    world.standing()
    world.asked("rests", START)
    world.turns()
    world.entered(4, 3)
    world.asked("rests", START)
    world.turns()
    _all_end(world, "asked", "merges", "flies", "rests")
    world.standing()


def test_algorithms(golden: Compare) -> None:
    """What the members of each epoch offer, with the settings that were given and without."""
    told, words = Telling(), Wording()
    given = ConsensusConfig(algorithm=Algorithm.MAJORITY, min_nodes=4, byzantine_fault_tolerance=1)
    for config in (None, given, msgspec.structs.replace(given, quorum_size=5, min_nodes=5)):
        told.chapter(f"With {words(config)}")
        runs = EventRuns(electorate(4, 0), config=config)
        for epoch, (members, mode) in enumerate(
            ((4, Mode.PBFT), (3, Mode.PBFT), (7, Mode.PBFT), (5, Mode.RAFT), (1, Mode.PBFT))
        ):
            if epoch:
                runs.enter(msgspec.structs.replace(electorate(members, epoch), mode=mode), 0)
            told.say(f"{members} members, {mode.value}: {words(runs.offered)}")
            for name, promise in runs.promises.items():
                told.say(f"  {name}: {words(promise)}")
            for algorithm in (None, *Algorithm):
                try:
                    told.say(f"  rule {algorithm}: {words(runs.rule(algorithm))}")
                except (AlgorithmNotOffered, ConfigError) as error:
                    told.say(f"  rule {algorithm}: {words(error)}")
    golden(GOLDEN / "run-algorithms.txt", told.text)


def test_a_merge_without_its_algorithm(golden: Compare, world: TellingWorld) -> None:
    """An epoch whose members cannot decide by it begins while a run merges; the run records no more."""
    given = ConsensusConfig(algorithm=Algorithm.PBFT, min_nodes=4, byzantine_fault_tolerance=1)
    world.runs._given_config = given
    for name in ("merges", "waits"):
        world.later(300)
        world.begun("t", name, algorithm=Algorithm.PBFT)
        for text in (START, OPEN):
            world.asked(name, text)
            world.turns()
    world.later(800)
    world.turn()
    world.held.clear()
    world.entered(3, 1)
    world.turns()
    world.standing()
    world.later(SECOND)
    world.turns()
    world.standing()
    world.entered(4, 2)
    for name in ("merges", "waits"):
        world.asked(name, TEXT)
    world.turns()
    for name in ("merges", "waits"):
        world.ending(name)
    for _second in range(6):
        world.later(SECOND)
        world.turns()
        world.all_logged()
    world.standing()
    golden(GOLDEN / "run-without-algorithm.txt", world.text)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_runs_as_it_happens(golden: Compare, world: TellingWorld, seed: int) -> None:
    """What happens is drawn: runs, events, answers that come late or never, lost links, outcomes, epochs."""
    drawn = random.Random(seed)
    for number in range(160):
        _drawn_step(world, drawn, number)
    world.links(*range(world.members))
    for name, run in world.live.items():
        if run.number in world.runs._runs:
            world.ending(name)
    for _second in range(12):
        world.turns()
        while world.submitted:
            world.logged(0)
        world.later(SECOND)
    world.standing()
    golden.drawn(GOLDEN / f"runs-drawn-{seed}.txt", world.text)


def _drawn_step(world: TellingWorld, drawn: random.Random, number: int) -> None:
    live = [name for name, run in world.live.items() if run.number in world.runs._runs]
    what = drawn.choice(("begin", "judge", "judge", "judge", "turn", "turn", "wait", "log", "log", "rare"))
    if what == "begin" and len(live) < 4:
        algorithm = drawn.choice((None, Algorithm.PBFT, Algorithm.MAJORITY, Algorithm.UNANIMOUS))
        recorded = drawn.choice((None, None, True, False))
        drop = drawn.random() < 0.5
        world.begun("t", f"r{number}", algorithm=algorithm, recorded=recorded, drop_unknown=drop)
    elif what == "judge" and live:
        texts = drawn.choices((*RUN, TEXT, TEXT, b"not json"), k=drawn.choice((1, 1, 2, 3, 9)))
        try:
            world.asked(drawn.choice(live), *texts, wait=drawn.choice((400, 5_000)) * 1_000_000)
        except Overloaded as full:
            world.say(f"refused: {full}")
    elif what == "turn":
        world.turn()
        world.hear(*[member for member in range(world.members) if drawn.random() < 0.7])
    elif what == "wait":
        world.later(drawn.choice((1, 5, 260, 500, 1_000)))
        world.turn()
    elif what == "log" and world.submitted:
        code = drawn.choice(("", "", "", "busy", "wrong_epoch", "not_next", "outcome_unknown"))
        if drawn.random() < 0.15:
            world.lost(0)
        else:
            world.logged(0, *[""] * drawn.randrange(len(world.submitted[0][1])), code)
        world.turn()
    elif what == "rare":
        _drawn_rarity(world, drawn, live)


def _drawn_rarity(world: TellingWorld, drawn: random.Random, live: list[str]) -> None:
    what = drawn.choice(("links", "links", "end", "end", "epoch"))
    if what == "links":
        world.links(*[member for member in range(world.members) if drawn.random() < 0.8])
    elif what == "end" and live:
        world.ending(drawn.choice(live), wait=drawn.choice((0, 1_000, 5_000)) * 1_000_000)
    elif what == "epoch" and drawn.random() < 0.4:
        world.held.clear()
        world.entered(drawn.choice((4, 5, 7)), world.epoch + 1)
