"""Collectors against the real ticket machine: sessions evicted, bundles repeated, outcomes exactly once.

One machine stands for all honest members, since they execute the same (R22).
"""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.gateway import Collector
from dtvn.machine import Admit, Issue, TicketApplication, build
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.wire import Door
from tests.gateway.support import MILLISECOND, SECOND, START, Desk, Executed, Members, path_to
from tests.host.support import Paper, make_genesis

SESSIONS = 4


class Machine(Members):
    """The members of the collector's tests, with the real machine inside."""

    def __init__(self) -> None:
        super().__init__(4)
        parameters = msgspec.structs.replace(make_genesis(4).parameters, sessions_max=SESSIONS)
        paper = Paper(4)
        paper.genesis = msgspec.structs.replace(paper.genesis, parameters=parameters)
        paper.cluster = g.cluster_id(paper.genesis)
        paper.door = Door(paper.cluster, paper.keys)
        self.paper = paper
        self.application = TicketApplication(paper.genesis, paper.cluster)
        self.timestamp = START // 1_000

    def order(self, *frames: bytes) -> list[Executed]:
        """Execute these bundles as one batch; what the machine skips is left out."""
        self.sequence += 1
        self.timestamp += 1_000
        read = [(*self.read(frame), frame) for frame in frames]
        bundles = [VerifiedBundle(bundle, request, frame) for bundle, request, frame in read]
        execution = self.application.execute(bundles, sequence=self.sequence, timestamp=self.timestamp)
        ran = [(v, r) for v, r in zip(bundles, execution.results, strict=True) if r is not None]
        trees = [result.subtree for _verified, result in ran]
        previous = self.sequence.to_bytes(32, "big")
        entry = m.Entry(0, self.sequence, bytes(32), canonical.merkle_root(trees), self.timestamp, previous)
        done = [
            Executed(v.bundle, v.digest, entry, result.first_index, result.outcomes, path_to(trees, place))
            for place, (v, result) in enumerate(ran)
        ]
        self.executed |= {item.request: item for item in done}
        return done

    def answers(self, member: int, frame: bytes) -> bytes | None:
        """What a member answers to a bundle that it sees again."""
        bundle, request = self.read(frame)
        if self.application.repeated(bundle) is not None:
            return self.repeat(member, self.executed[request])
        reason = self.application.refuse(bundle, self.timestamp)
        return None if reason is None else self.busy(frame, reason.value)


class MachineDesk(Desk):
    """A collector over a machine that several share."""

    def __init__(self, machine: Machine, client: bytes) -> None:
        super().__init__(4, session=False)
        self.members = machine
        self.collector = Collector(
            machine.paper.genesis,
            principal="gateway",
            client=client,
            signer=machine.paper.signer("gateway"),
            door=machine.paper.door,
        )
        self.collector.connected(frozenset(range(4)), self.now)

    def run(self) -> None:
        """Order what was sent, and answer it, until nothing is sent any more."""
        machine = self.members
        assert isinstance(machine, Machine)
        while frames := self.bundles():
            machine.order(*frames)
            for frame in frames:
                item = machine.executed.get(machine.read(frame)[1])
                for member in range(4):
                    answer = machine.reply(member, item) if item else machine.answers(member, frame)
                    if answer is not None:
                        self.receive(member, answer)


def issue(ticket: str) -> m.Operation:
    return operation(Issue(), ticket)


def operation(command: Issue | Admit, ticket: str, nonce: bytes = b"") -> m.Operation:
    until = START // 1_000 + 60_000_000
    return build(command, ticket=ticket, actor="gate-a", entry="r0", valid_until=until, nonce=nonce)


def test_outcomes_of_the_machine_arrive_complete() -> None:
    desk = MachineDesk(Machine(), b"client-1")
    call = desk.submit(issue("A"), operation(Admit(gate="north"), "A"), operation(Admit(), "A"))
    desk.run()
    assert desk.codes(call) == ("ok", "ok", "already_consumed")


def evicted() -> MachineDesk:
    """A desk that issued ticket A; others have opened sessions since, until its own had no room."""
    machine = Machine()
    desk = MachineDesk(machine, b"client-0")
    desk.submit(issue("A"))
    desk.run()
    desk.pass_time(2 * SECOND)
    for number in range(1, SESSIONS + 1):
        other = MachineDesk(machine, f"client-{number}".encode())
        other.submit(issue(f"T-{number}"))
        other.run()
    return desk


def test_r12_an_evicted_session_costs_no_outcome_that_a_nonce_protects() -> None:
    desk = evicted()
    call = desk.submit(operation(Admit(), "A", nonce=b"scan-1"))
    desk.run()
    assert desk.codes(call) == ("ok",)
    again = desk.submit(operation(Admit(), "A", nonce=b"scan-1"), operation(Admit(), "A"))
    desk.run()
    assert desk.codes(again) == ("ok", "already_consumed")


def test_r12_an_evicted_session_leaves_bare_outcomes_unknown_and_undone() -> None:
    desk = evicted()
    call = desk.submit(operation(Admit(), "A"), wait=5 * SECOND)
    desk.run()
    desk.pass_time(5 * SECOND)
    assert desk.codes(call) == ("outcome_unknown",)
    later = desk.submit(operation(Admit(), "A"))
    desk.run()
    assert desk.codes(later) == ("ok",)


def test_r13_a_retry_ordered_after_its_time_gets_the_first_outcome() -> None:
    """It waited past `valid_until` while others' batches passed: no member may hint `expired`."""
    machine = Machine()
    desk = MachineDesk(machine, b"client-0")
    desk.submit(issue("A"), operation(Admit(), "A", nonce=b"scan-1"))
    desk.run()
    retry = desk.submit(operation(Admit(), "A", nonce=b"scan-1"), wait=90 * SECOND)
    machine.timestamp = START // 1_000 + 61_000_000
    machine.order()
    (frame,) = desk.bundles()
    assert [machine.answers(member, frame) for member in range(4)] == [None] * 4
    desk.sent.append((0, frame))
    desk.run()
    assert desk.codes(retry) == ("ok",)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_lost_and_late_answers_never_change_an_outcome(data: st.DataObject) -> None:
    """Bundles ordered late, twice or in another order, answers lost: each ticket admitted once."""
    machine = Machine()
    desk = MachineDesk(machine, b"client-1")
    tickets = ["A", "B", "C"]
    desk.submit(*(issue(ticket) for ticket in tickets))
    desk.run()
    calls = [
        desk.submit(operation(Admit(), data.draw(st.sampled_from(tickets))), wait=30 * SECOND)
        for _ in range(data.draw(st.integers(1, 8)))
    ]
    for _ in range(60):
        if all(desk.codes(call) is not None for call in calls):
            break
        frames = desk.bundles()
        chosen = [frame for frame in frames if data.draw(st.booleans(), label="ordered")]
        items = machine.order(*data.draw(st.permutations(chosen + chosen[:1]))) if chosen else []
        for item in items:
            for member in data.draw(st.sets(st.integers(0, 3)), label="heard"):
                desk.receive(member, machine.reply(member, item))
        for frame in frames:
            for member in data.draw(st.sets(st.integers(0, 3)), label="repeated"):
                answer = machine.answers(member, frame)
                if answer is not None:
                    desk.receive(member, answer)
        desk.pass_time(400 * MILLISECOND)
    codes = [code for call in calls for code in desk.codes(call) or ()]
    states = [machine.application.ticket("default", ticket) for ticket in tickets]
    consumed = sum(state is not None and state.operation == "admit" for state in states)
    assert codes.count("ok") <= consumed, "nobody is told `ok` for an admission that is another's"
    if len(codes) == len(calls) and "outcome_unknown" not in codes:
        assert codes.count("ok") == consumed
