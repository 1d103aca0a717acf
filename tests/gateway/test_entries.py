"""The entry node of an operation: members that answer take turns, by load balancer and breakers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from dtvn.events.balancing import BreakerState
from dtvn.events.config import LoadBalancerConfig
from dtvn.gateway.entries import LAG_MAX, TURNS, Entries
from dtvn.gateway.questions import STATUS_EVERY, Questions
from dtvn.protocol.consensus.messages import Operation
from dtvn.watch import MemberReport
from tests.gateway.test_questions import Poll
from tests.support.table import table

NAMES = ("r0", "r1", "r2", "r3")
FRONT = LAG_MAX + 1_000
ALL = frozenset(range(4))
NOTHING: Mapping[int, object] = {}


def view(index: int, **changes: Any) -> MemberReport:
    """A healthy member but for the changes."""
    told = {"connected": True, "primary": index == 0, "sequence": FRONT, "heard": 0.0}
    return MemberReport(id=NAMES[index], index=index, **told | changes)


def entries(**fields: Any) -> Entries:
    """With the fields of a load balancer; without, as a gateway that was given none."""
    config = LoadBalancerConfig(**fields) if fields else TURNS
    return Entries(NAMES, 1, random.Random(0), 0.0, config)


def chosen(found: Entries, *views: MemberReport, now: float = 0.0) -> set[str]:
    """The entry nodes of eight operations."""
    return {found.choose(views, now) for _ in range(8)}


def operation(entry: str) -> Operation:
    return Operation("void", "", "", "gateway", entry, 0, b"", b"")


def four(**changes: dict[str, Any]) -> list[MemberReport]:
    return [view(index, **changes.get(name, {})) for index, name in enumerate(NAMES)]


@table(
    ("changes", "wanted"),
    [
        ({}, "r0 r1 r2 r3"),
        ({"r1": {"sequence": FRONT - LAG_MAX - 1}, "r2": {"connected": False}}, "r0 r3"),
        ({"r1": {"sequence": FRONT - LAG_MAX}, "r2": {"heard": None}}, "r0 r1 r3"),
        # the last report of a lost member, or a false high sequence, makes no other member lag
        ({"r0": {"connected": False, "sequence": 10 * FRONT}}, "r1 r2 r3"),
        ({"r0": {"sequence": 10 * FRONT}}, "r0 r1 r2 r3"),
        # without a healthy member the connected ones take turns, else all
        (
            {
                "r0": {"connected": False},
                "r1": {"heard": None},
                "r2": {"heard": None},
                "r3": {"connected": False},
            },
            "r1 r2",
        ),
        ({name: {"connected": False} for name in NAMES}, "r0 r1 r2 r3"),
    ],
    count=7,
)
def test_members_that_are_connected_and_not_behind_take_turns(
    changes: dict[str, dict[str, Any]], wanted: str
) -> None:
    assert chosen(entries(), *four(**changes)) == set(wanted.split())


class Gate:
    """A gateway's questions to four members and its choice, one second at a time."""

    def __init__(self, **fields: Any) -> None:
        self.questions = Questions(4)
        self.entries = entries(**fields)
        self.seconds = 0

    def second(
        self,
        *answering: int,
        connected: frozenset[int] = ALL,
        worked: Mapping[int, object] = NOTHING,
        after: int = 20_000_000,
    ) -> None:
        """All connected members are asked; the answers of those named are here `after` nanoseconds.
        `worked`: the processor seconds that a member says it has used."""
        now = self.seconds * STATUS_EVERY
        self.questions.overdue(now)
        poll = Poll(self.questions, now, connected)
        poll.now = now + after
        for member in answering:
            clock = {"monotonic_seconds": 1e5 + self.seconds}
            said = {"processor_seconds": worked[member], **clock} if member in worked else {}
            poll.answer(member, sequence=FRONT, **said)
        self.entries.observe(self.questions.statuses, float(self.seconds))
        self.seconds += 1

    def chosen(self) -> set[str]:
        return chosen(self.entries, *four(), now=float(self.seconds))

    def state(self, name: str) -> BreakerState:
        return self.entries.balance().nodes[name].circuit_state


def test_a_silent_member_leaves_the_choice_and_comes_back_by_probing() -> None:
    """Its link stays up: only the unanswered questions tell."""
    gate = Gate()
    for _ in range(20):
        gate.second(0, 1, 2, 3)
    assert gate.chosen() == set(NAMES)
    for _ in range(4):
        gate.second(0, 1, 2)
    assert gate.chosen() == {"r0", "r1", "r2"}
    assert gate.state("r3") is BreakerState.CLOSED
    for _ in range(8):
        gate.second(0, 1, 2)
    assert gate.state("r3") is BreakerState.OPEN
    for _ in range(60):
        gate.second(0, 1, 2)
        assert gate.chosen() == {"r0", "r1", "r2"}, "a half-open breaker lets questions through, no entries"
    back = gate.seconds
    while gate.chosen() != set(NAMES):
        gate.second(0, 1, 2, 3)
    assert gate.seconds - back <= TURNS.circuit_breaker_timeout + TURNS.healthy_threshold + 1
    for _ in range(8):
        gate.second(0, 1, 2, 3)
    assert gate.state("r3") is BreakerState.CLOSED


def test_a_member_that_starts_late_has_a_closed_breaker() -> None:
    gate = Gate()
    for _ in range(20):
        gate.second(0, 1, 2, connected=frozenset({0, 1, 2}))
    assert gate.state("r3") is BreakerState.OPEN
    gate.second(0, 1, 2, 3)
    assert gate.state("r3") is BreakerState.CLOSED
    assert gate.chosen() == set(NAMES)


def test_a_member_that_answers_every_third_question_has_an_open_breaker() -> None:
    gate = Gate()
    for second in range(30):
        gate.second(0, 1, 2, *([3] if second % 3 == 0 else []))
    assert gate.state("r3") is not BreakerState.CLOSED
    assert "r3" not in gate.chosen()


def test_with_all_members_silent_there_is_an_entry_node() -> None:
    gate = Gate()
    for _ in range(20):
        gate.second()
    assert {gate.state(name) for name in NAMES} != {BreakerState.CLOSED}
    assert gate.chosen() == set(NAMES)


def test_operations_of_one_ticket_have_one_entry_node_by_consistent_hash() -> None:
    found, views = entries(algorithm="consistent_hash"), four()
    by_ticket = {f"T-{n}": {found.choose(views, 0.0, f"T-{n}") for _ in range(3)} for n in range(40)}
    assert {len(each) for each in by_ticket.values()} == {1}
    assert set.union(*by_ticket.values()) == set(NAMES)
    assert len({found.choose(views, 0.0) for _ in range(9)}) == 1, "operations about no ticket"


def test_the_member_with_fewest_calls_under_way_is_next() -> None:
    found, views = entries(algorithm="least_connections"), four()
    for call, wanted in enumerate(("r0", "r1", "r2", "r3", "r0")):
        assert found.choose(views, 0.0) == wanted
        found.begin(call, [operation(wanted), operation(wanted), operation("no-member")])
    found.end(2)
    found.end(99)
    assert found.choose(views, 0.0) == "r2"
    assert [node.active_connections for node in found.balance().nodes.values()] == [2, 1, 0, 1]
    found.begin(5, [operation("r2"), operation("r3")])
    assert [node.active_connections for node in found.balance().nodes.values()] == [2, 1, 1, 2]
    for call in range(6):
        found.end(call)
    assert [node.active_connections for node in found.balance().nodes.values()] == [0, 0, 0, 0]


def test_the_member_that_answers_soonest_is_preferred() -> None:
    gate = Gate(algorithm="least_response_time")
    questions, poll = gate.questions, Poll(gate.questions, 0, ALL)
    for member, after in enumerate((30, 10, 40, 20)):
        poll.now = after * 1_000_000
        poll.answer(member, sequence=FRONT)
    gate.entries.observe(questions.statuses, 1.0)
    picks = Counter(gate.entries.choose(four(), 1.0) for _ in range(600))
    assert sorted(picks, key=picks.__getitem__, reverse=True) == ["r1", "r3", "r0"], "the slowest never"


def test_thresholds_are_those_of_the_configuration() -> None:
    gate = Gate(algorithm="random", unhealthy_threshold=1, enable_circuit_breaker=False)
    for second in range(20):
        gate.second(0, 1, 2, *([3] if second == 0 else []))
    assert gate.chosen() == {"r0", "r1", "r2"}
    assert gate.state("r3") is BreakerState.CLOSED
    gate = Gate(max_load_per_node=0.4)
    for second in range(2):
        gate.second(0, 1, 2, 3, worked={0: 0.5 * second})
    assert gate.chosen() <= {"r1", "r2", "r3"}


def test_the_balance_counts_choices_and_questions() -> None:
    gate = Gate()
    for _ in range(3):
        gate.second(0, 1, 2, connected=frozenset({0, 1, 2}))
    gate.chosen()
    balance = gate.entries.balance()
    metrics = balance.metrics
    assert (metrics.algorithm, metrics.total_requests, metrics.total_errors) == ("round_robin", 12, 3)
    assert metrics.error_rate == 0.25
    assert (sum(balance.chosen.values()), balance.chosen["r3"]) == (8, 0), "without a link: three misses"
    r0, r3 = balance.nodes["r0"], balance.nodes["r3"]
    assert (r0.processed_requests, r0.failed_requests, r0.response_time_ms) == (3, 0, 20)
    assert (r3.processed_requests, r3.failed_requests, r3.is_healthy) == (3, 3, False)


def test_the_load_is_what_a_member_worked_between_two_answers() -> None:
    gate = Gate()
    for second in range(3):
        gate.second(0, worked={0: 7.0 + 0.25 * second})
    assert gate.entries.balance().nodes["r0"].current_load == 0.25
    gate.second()
    gate.second(0, worked={0: 8.5})
    assert gate.entries.balance().nodes["r0"].current_load == 0.5, "two seconds have passed"
    assert gate.entries.balance().nodes["r1"].current_load == 0.0


def test_answers_that_are_late_do_not_change_the_load() -> None:
    gate = Gate()
    for second, after in enumerate((20_000_000, 900_000_000, 1_000_000, 1_000_000)):
        gate.second(0, worked={0: 0.25 * second}, after=after)
        assert gate.entries.balance().nodes["r0"].current_load == (0.25 if second else 0.0)


def test_a_member_that_uses_a_whole_processor_is_no_entry_node() -> None:
    gate = Gate()
    for second in range(2):
        gate.second(0, 1, 2, 3, worked={0: float(second), 1: 0.5 * second})
    assert [gate.entries.balance().nodes[name].current_load for name in ("r0", "r1")] == [1.0, 0.5]
    assert gate.chosen() == {"r1", "r2", "r3"}


@table("said", ["9", True, None, -(10**300), 10**300, 1e300, [1]], count=7)
@table("name", ["processor_seconds", "monotonic_seconds"], count=2)
def test_a_false_processor_time_is_a_load_from_0_to_1(said: object, name: str) -> None:
    known, questions = entries(), Questions(4)
    true = {"processor_seconds": 1.0, "monotonic_seconds": 1.0}
    for second, told in enumerate((true, true | {name: said}, true | {name: said}, true | {name: 1e3})):
        poll = Poll(questions, second * STATUS_EVERY, ALL)
        poll.answer(0, **told)
        known.observe(questions.statuses, float(second))
        assert 0 <= known.balance().nodes["r0"].current_load <= 1


def test_a_balance_is_a_value() -> None:
    assert msgspec.json.decode(msgspec.json.encode(entries().balance()))["chosen"] == dict.fromkeys(NAMES, 0)
