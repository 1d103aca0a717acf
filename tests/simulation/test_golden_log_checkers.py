"""What the checkers of the agreed log, of exports and of proved reads say when one thing in a real log, or in
what was told of it, is changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dtvn.gateway import Result
from dtvn.machine import Consume, Issue, Validate
from dtvn.machine.commands import build
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import EntryRecord, Note
from dtvn.protocol.proof_errors import Code, ProofError
from simulator.checkers import exports, reads
from simulator.checkers.exports import Exports
from simulator.checkers.history import History, Unread
from simulator.checkers.reads import Reads
from simulator.clock import MILLISECOND
from simulator.cluster import Cluster
from simulator.gateway import Request
from simulator.violation import Violation
from tests.consensus.world import make
from tests.golden import Compare
from tests.simulation.stand_ins import Story, asked, word

HERE = Path(__file__).parent / "golden"
TICKETS = 12


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """Twelve tickets were issued, validated and consumed, a batch each."""
    cluster = make(1, gateways=1)
    gateway = cluster.gateways[0]
    for number in range(TICKETS):
        for command in (Issue(), Validate(), Consume()):
            until = gateway.clock.now().wall // 1_000 + 10_000_000
            said = {"actor": "anna", "entry": "r0"}
            done = build(command, ticket=f"t{number}", valid_until=until, nonce=b"", **said)
            gateway.ask([done] if command != Validate() else [done, done])
            cluster.world.run_for(20 * MILLISECOND)
    return cluster


def log_of(cluster: Cluster) -> list[EntryRecord]:
    return [record for record in cluster.world.nodes["r0"].disk.log if record is not None]


class Log:
    """A new history that has read the log up to an entry."""

    def __init__(self, story: Story, cluster: Cluster, upto: int) -> None:
        self.story, self.log = story, log_of(cluster)
        self.history = History(cluster.world, cluster.keys)
        node: Any = SimpleNamespace(name="r0", honest=True, membership=cluster.world.epochs[0])
        self.node = node
        self.history.persisted(node, self.log[:upto])
        self.upto = upto

    def reads(self, what: str, **fields: Any) -> None:
        """The next entry, with these fields changed."""
        record = self.log[self.upto]
        body = fields.pop("body", record.body)
        entry = msgspec.structs.replace(record.entry, **fields)
        self.story.hears(what, self.history.persisted, self.node, [EntryRecord(entry, b"", body, ())])
        self.story.say(f"  {self.history.highest - self.upto} more entries are known")


def tell_wrong_entries(story: Story, cluster: Cluster) -> None:
    cases: dict[str, dict[str, Any]] = {
        "as it is": {},
        "of an epoch that is over": {"epoch": 1},
        "another time": {"timestamp": log_of(cluster)[8].entry.timestamp + 1},
        "another digest": {"batch_digest": word("batch")},
        "other results": {"results_root": word("results")},
        "another's body": {"body": log_of(cluster)[3].body},
        "the one after": {"sequence": 10},
        "the one before": {"sequence": 8},
    }
    for what, change in cases.items():
        Log(story, cluster, 8).reads(what, **change)
    null = {"batch_digest": m.NULL_BATCH_DIGEST, "body": b""}
    before = log_of(cluster)[7].entry.timestamp
    Log(story, cluster, 8).reads("a null request", timestamp=before, **null)
    Log(story, cluster, 8).reads("a null request of another time", timestamp=before + 1, **null)
    liar = Log(story, cluster, 8)
    liar.node.honest = False
    liar.reads("a liar's")


def test_history(golden: Compare, cluster: Cluster) -> None:
    story = Story()
    tell_wrong_entries(story, cluster)
    whole = Log(story, cluster, 0)
    unread = Unread(whole.history)
    story.say(f"nothing is read: {len(list(unread.bundles()))}")
    whole.history.persisted(whole.node, whole.log[:20])
    first = list(unread.bundles())
    whole.history.persisted(whole.node, whole.log)
    history = whole.history
    assert first + list(unread.bundles()) == history.bundles
    assert list(unread.operations()) == []
    assert history.highest == len(whole.log) >= 2 * TICKETS
    assert history.timestamps == {r.entry.sequence: r.entry.timestamp for r in whole.log if r.body}
    stable = [record for node in cluster.world.nodes.values() for record in node.disk.checkpoints]
    assert {record.sequence: record.state_root for record in stable}.items() <= history.roots.items()
    told = {(r.sequence, r.index): r for call in cluster.gateways[0].requests for r in call.results or ()}
    assert len(told) == 4 * TICKETS, "two validations are in one batch"
    for place, result in told.items():
        outcome = history.outcomes[place][1]
        assert (outcome.code, outcome.state) == (result.code, result.state)
    assert history.epochs == [cluster.world.epochs[0]]
    assert history.member_ids == {"r0", "r1", "r2", "r3"}
    for node, note in (("r0", Note("entered_view", {"view": 3})), ("r1", Note("left_view", {"view": 4}))):
        whole.node.name = node
        history.noticed(whole.node, note)
    whole.node.honest = False
    history.noticed(whole.node, Note("entered_view", {"view": 5}))
    assert history.entered == {(0, 3)}
    golden(HERE / "history.txt", story.text)


# --- exports -------------------------------------------------------------------------------------


def calls_of(cluster: Cluster) -> Iterator[tuple[m.Operation, Result]]:
    for request in cluster.gateways[0].requests:
        yield from zip(request.operations, request.results or (), strict=True)


class Told:
    """A checker that was told of one call's answers."""

    def __init__(self, cluster: Cluster, request: Request) -> None:
        self.checker = Exports(cluster.world, cluster.history)
        self.checker.answered(cluster.gateways[0], request)


def test_exports(golden: Compare, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story()
    calls = list(calls_of(cluster))
    done, result = calls[3]
    story.say(f"{done.kind} {done.ticket}: {result.code} at {result.sequence}.{result.index}")
    for what, told in {
        "as it is": (done, result),
        "another code": (done, msgspec.structs.replace(result, code="already_consumed")),
        "another ticket": (msgspec.structs.replace(done, ticket="t9"), result),
        "another kind": (msgspec.structs.replace(done, kind="validate"), result),
        "another event": (msgspec.structs.replace(done, event="gala"), result),
        "another place": (done, msgspec.structs.replace(result, sequence=result.sequence + 1)),
        "no place": (done, msgspec.structs.replace(result, sequence=0)),
    }.items():
        checker = Told(cluster, asked(told)).checker
        story.hears(what, checker.finish)
        story.say(f"  {checker.verified} hold, {checker.refused} forged ones do not")
    story.chapter("which answers are kept")
    checker = Exports(cluster.world, cluster.history)
    for request in cluster.gateways[0].requests:
        checker.answered(cluster.gateways[0], request)
    for kind, (place, operation, code) in checker._told.items():
        story.say(f"{kind}: {operation.kind} {operation.ticket} is {code} at {place}")
    for node in cluster.world.nodes.values():
        monkeypatch.setattr(node, "honest", False)
    checker.finish()
    story.say(f"nobody honest has them: {checker.verified} hold")
    monkeypatch.undo()
    story.chapter("a verifier")
    real = vars(exports)["verify"]
    story.hears("that proves nothing", _fails(monkeypatch, cluster, (done, result)).finish)
    for refused in range(5):
        count = iter(range(99))

        def believes(certificate: Any, chain: Any, refused: int = refused, count: Any = count) -> Any:
            if next(count) == refused + 1:
                return None
            return real(certificate, chain)

        monkeypatch.setattr(exports, "verify", believes)
        story.hears(f"that believes forgery {refused}", Told(cluster, asked((done, result))).checker.finish)
    golden(HERE / "exports.txt", story.text)


def _fails(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, call: tuple[m.Operation, Result]) -> Exports:
    def refuses(certificate: Any, chain: Any) -> Any:
        raise ProofError(Code.UNREADABLE, "file", "no")

    monkeypatch.setattr(exports, "verify", refuses)
    return Told(cluster, asked(call)).checker


# --- proved reads --------------------------------------------------------------------------------


def test_proved_reads(golden: Compare, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story()
    node, stable = cluster.world.nodes["r1"], Note("checkpoint_stable", {})
    asking: list[tuple[str, str]] = []
    real = vars(reads)["proved_ticket"]

    def proves(shown: bytes, chain: Any, event: str, ticket: str, read: Any) -> Any:
        asking.append((event, ticket))
        return real(shown, chain, event, ticket, read)

    monkeypatch.setattr(reads, "proved_ticket", proves)
    checker = Reads(cluster.world, cluster.history)

    def asks(what: str, times: int = 1) -> None:
        asking.clear()
        said = "nothing to say"
        for number in range(1, times + 1):
            try:
                checker.noticed(node, stable)
            except Violation as violation:
                said = f"{violation}, after {number} events"
                break
        story.say(f"{what}: {said}")
        counts = checker.proved, checker.absent, checker.changed_since, checker.refused
        story.say(f"  asked for {asking}; (proved, absent, changed since, refused) is {counts}")

    asks("23 events", 23)
    asks("the 24th")
    asks("up to the next question", 27)
    asks("and it")
    for number in range(4):
        asks(f"question {number + 3}", 150)
    for name in checker._states:
        checker._states[name] = [(1, b"other")]
    asks("the log has another state", 300)
    node.honest = False
    asks("a liar", 300)
    node.honest = True
    checker = Reads(cluster.world, cluster.history)
    monkeypatch.setattr(reads, "proved_ticket", lambda *_arguments: (0, None))
    asks("another sequence is proved", 24)
    checker = Reads(cluster.world, cluster.history)
    believed: list[Any] = []

    def believes(shown: bytes, chain: Any, event: str, ticket: str, read: Any) -> Any:
        believed.append(believed[0] if believed else real(shown, chain, event, ticket, read))
        return believed[-1]

    monkeypatch.setattr(reads, "proved_ticket", believes)
    for number in range(3):
        believed.clear()
        asks(f"forgery {number} is believed", 150)
    golden(HERE / "proved_reads.txt", story.text)
