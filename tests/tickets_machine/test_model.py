"""Random operations against a model of plain dictionaries (R12, R13, R14, R19; P9)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dtvn.machine import (
    Admit,
    Command,
    Consume,
    Dispute,
    ImportEntry,
    Issue,
    Resolve,
    Validate,
)
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.consensus.verified import VerifiedBundle
from tests.tickets_machine.support import HOUR, MINUTE, SECOND, Machine, genesis

TICKETS = ["T-1", "T-2", "T-3"]
COMMANDS: list[Command] = [
    Issue(),
    Issue(seat="A1"),
    Validate(),
    Validate(data=b"x"),
    Consume(gate="n"),
    Admit(gate="n"),
    Admit(gate="s"),
    Dispute(reason="r"),
    Resolve(verdict="clear"),
    Resolve(verdict="uphold"),
]
ARROWS = {
    ("validate", "ISSUED"): "VALIDATED",
    ("consume", "VALIDATED"): "CONSUMED",
    ("admit", "ISSUED"): "CONSUMED",
    ("admit", "VALIDATED"): "CONSUMED",
    ("dispute", "VALIDATED"): "DISPUTED",
    ("clear", "DISPUTED"): "VALIDATED",
    ("uphold", "DISPUTED"): "UPHELD",
}

operations = st.tuples(
    st.sampled_from(COMMANDS),
    st.sampled_from(TICKETS),
    st.sampled_from([b"", b"", b"n1", b"n2"]),
    st.sampled_from(["anna", "bert"]),
    st.sampled_from(["node0", "node3"]),
    st.sampled_from([-SECOND, MINUTE, 11 * MINUTE]),
)


class Model:
    """The expected state in plain dictionaries: states, first outcomes by nonce, the last change."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.first: dict[tuple[str, bytes], tuple[Any, str]] = {}
        self.applied = 0
        self.admissions: dict[str, int] = {}

    def apply(self, operation: Operation, now: int) -> str:
        body = (operation.kind, operation.ticket, operation.payload)
        key = (operation.actor, operation.nonce)
        if operation.nonce and key in self.first:
            known, code = self.first[key]
            return code if known == body else "nonce_reused"
        if operation.valid_until < now:
            return "expired"
        if operation.valid_until > now + 10 * MINUTE:
            return "too_far_ahead"
        done = self.change(operation, body)
        if operation.nonce:
            self.first[key] = (body, "ok" if done else "refused")
        return "ok" if done else "refused"

    def change(self, operation: Operation, body: Any) -> bool:
        name, state = operation.ticket, self.states.get(operation.ticket, "")
        action = operation.kind
        if action == "resolve":
            action = "clear" if b"clear" in operation.payload else "uphold"
        after = "ISSUED" if action == "issue" and not state else ARROWS.get((action, state))
        if after is None:
            return False
        self.states[name] = after
        self.applied += 1
        if after == "CONSUMED":
            self.admissions[name] = self.admissions.get(name, 0) + 1
        return True


class Lives(RuleBasedStateMachine):
    """Time moves by seconds only, so that nonces are remembered: forgetting them has tests of its own."""

    @initialize()
    def begin(self) -> None:
        self.machine = Machine(genesis(sessions_max=4))
        self.machine.session()
        self.model = Model()
        self.sent: list[VerifiedBundle] = []

    def ask(self, asked: tuple[Any, ...]) -> Operation:
        command, ticket, nonce, actor, entry, valid_for = asked
        return self.machine.operation(
            command, ticket, nonce=nonce, actor=actor, entry=entry, valid_for=valid_for
        )

    @rule(asked=st.lists(st.lists(operations, min_size=1, max_size=4), min_size=1, max_size=3))
    def order(self, asked: list[list[tuple[Any, ...]]]) -> None:
        """New bundles in one batch do what the model does, operation by operation."""
        bundles = [self.machine.bundle(map(self.ask, items)) for items in asked]
        self.sent += bundles
        execution = self.machine.execute(bundles)
        for verified, result in zip(bundles, execution.results, strict=True):
            assert result is not None
            for operation, outcome in zip(verified.bundle.operations, result.outcomes, strict=True):
                expected = self.model.apply(operation, self.machine.now)
                if expected == "refused":
                    assert outcome.code not in ("ok", "expired", "nonce_reused", "too_far_ahead")
                else:
                    assert outcome.code == expected

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """Earlier bundles, repeated in any order and number, are skipped."""
        if self.sent:
            again = data.draw(st.lists(st.sampled_from(self.sent), min_size=1, max_size=4))
            execution = self.machine.execute(again)
            assert set(execution.results) == {None}

    @rule(other=st.integers(0, 2))
    def others_come_and_go(self, other: int) -> None:
        """Sessions of others never evict the one in use, which executed more recently."""
        nonce = bytes([other, self.machine.sequence % 251, self.machine.sequence // 251])
        self.machine.execute([self.machine.opening(nonce=nonce)])
        self.machine.do(Validate(), "none")

    @rule()
    def forget_what_is_done(self) -> None:
        number = self.machine.numbers["gateway"]
        bundle = self.machine.bundle([self.machine.operation(Validate(), "none")], done_below=number)
        self.machine.execute([bundle])

    @rule(seconds=st.integers(1, 20))
    def wait(self, seconds: int) -> None:
        self.machine.now += seconds * SECOND

    @rule(backwards=st.booleans())
    def restart(self, backwards: bool) -> None:
        """A node that starts from its rows continues exactly where it was."""
        self.machine.restart(backwards=backwards)

    @invariant()
    def states_agree(self) -> None:
        assert {n: self.machine.state(n) for n in TICKETS if self.machine.state(n)} == (self.model.states)

    @invariant()
    def nobody_is_admitted_twice(self) -> None:
        assert all(count == 1 for count in self.model.admissions.values())

    @invariant()
    def the_clock_counts_what_was_applied(self) -> None:
        clocks = [state.clock for n in TICKETS if (state := self.machine.show(n))]
        assert max((sum(clock) for clock in clocks), default=0) <= self.model.applied


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)


def test_after_an_hour_nonces_are_forgotten_and_tickets_are_kept() -> None:
    """The model above never waits that long; the late retry is recognised by the ticket itself."""
    machine = Machine()
    machine.do(Issue(), "T-1")
    machine.do(Admit(gate="n"), "T-1", nonce=b"n1")
    machine.now += 2 * HOUR
    assert machine.do(Admit(gate="n"), "T-1", nonce=b"n1") == "ok"
    assert machine.do(Admit(gate="n"), "T-1", nonce=b"n2") == "already_consumed"


@pytest.mark.parametrize(
    "other",
    [Admit(gate="n"), ImportEntry(gate="n"), Consume(), Dispute()],
    ids=lambda command: type(command).__name__,
)
def test_a_nonce_that_a_ticket_bears_is_reused_by_no_other_operation(other: Command) -> None:
    """This holds after the nonce is forgotten too: only its own operation may be sent under it."""
    machine = Machine()
    machine.do(Issue(), "T-1")
    assert machine.do(Validate(), "T-1", nonce=b"n1") == "ok"
    machine.now += 2 * HOUR
    before = machine.show("T-1")
    assert machine.do(other, "T-1", nonce=b"n1") == "nonce_reused"
    assert machine.show("T-1") == before
    assert machine.do(Validate(), "T-1", nonce=b"n1") == "ok"
