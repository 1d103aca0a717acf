"""What follows the issue of a ticket: each step until it has its codes and its guest is inside, each answer
taken for what it says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import pytest

from dtvn.api.errors import TicketError, Unavailable
from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import (
    Admit,
    Command,
    Issue,
    build,
)
from dtvn.machine.codes import code_digest
from tests.pages.learner import RealLearner
from tickets.importing import ImportedTicket
from tickets.importing.completing import complete, next_step
from tickets.importing.delivery import Delivery
from tickets.importing.until_final import NetworkSilent, Refused
from tickets.models import TicketCode
from tickets.services.codes import digest_of, salt_of
from validators.ledger import read
from validators.services.decide import batch

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "learner"]),
    pytest.mark.usefixtures("quick"),
]
EVENT = "default"
OLD = tuple(f"old-{number}" for number in range(9))
"""More than a ticket has at once."""


def ticket(number: int = 1, **fields: Any) -> ImportedTicket:
    """Its codes replaced OLD, and its guest is inside."""
    known: dict[str, Any] = {"row": number + 1, "ticket_id": f"T-{number}", "event": EVENT, "codes": ("new",)}
    return ImportedTicket(
        **known | {"revoked": OLD, "entered": True, "entered_at": 7, "gate": "north"} | fields
    )


def guest(number: int) -> ImportedTicket:
    return ticket(number, codes=(), revoked=())


def run(learner: RealLearner, name: str, *commands: Command) -> None:
    until = time.time_ns() // 1_000 + 60_000_000
    for command in commands:
        one = build(command, ticket=name, event=EVENT, actor="desk", entry="r0", valid_until=until)
        (result,) = learner.gateway.submit([one]).result()
        assert result.code == "ok", command


def digests(*texts: str) -> tuple[bytes, ...]:
    return tuple(digest_of(EVENT, text) for text in texts)


def issued(learner: RealLearner, number: int, *texts: str) -> None:
    run(learner, f"T-{number}", Issue(codes=digests(*texts)))


def ordered(requests: Sequence[Request]) -> list[Decision]:
    return batch(requests, actor="desk")


class Network:
    """Answers the requests of each call with the next of these codes, then has them ordered in truth. Codes
    in capitals refuse the whole call, "" has it ordered."""

    def __init__(self, *answers: str) -> None:
        self._answers = [*answers]
        self.asked: list[list[str]] = []
        """The tickets of each call."""

    def __call__(self, requests: Sequence[Request]) -> Sequence[Decision]:
        self.asked.append([one.ticket for one in requests])
        answer = self._answers.pop(0) if self._answers else ""
        if answer == "UNAVAILABLE":
            raise Unavailable
        if answer.isupper():
            raise TicketError(answer.lower())
        return [Decision(one, Result(answer, b"", 1)) for one in requests] if answer else ordered(requests)


def completed(*tickets: ImportedTicket, order: Any = ordered, patience: float = 5.0) -> Delivery:
    delivery = Delivery()
    complete(tickets, delivery, order=order, patience=patience)
    return delivery


# --- the next step ----------------------------------------------------------------------------------


def step(name: str, wanted: ImportedTicket) -> Command | None:
    row = read.read_ticket("learner", EVENT, name)
    assert row is not None
    request = next_step(wanted, row, salt_of(EVENT, read.event_row("learner", EVENT)))
    assert request is None or (request.ticket, request.event) == (name, EVENT)
    return None if request is None else request.command


@pytest.mark.parametrize("texts", [("other",), ("new", "other"), OLD[8:], ()])
def test_a_ticket_with_other_codes_stays_as_it_is(learner: RealLearner, texts: tuple[str, ...]) -> None:
    issued(learner, 1, *texts)
    assert step("T-1", ticket()) is None


# --- all steps --------------------------------------------------------------------------------------


def test_all_steps_are_taken_and_the_guests_inside_are_counted(learner: RealLearner) -> None:
    issued(learner, 1, *OLD[:8])
    issued(learner, 2)
    found = completed(ticket(), guest(2))
    assert (found.entered, found.wrong) == (2, [])
    row = read.read_ticket("learner", EVENT, "T-1")
    assert row is not None
    assert (row.state, row.codes, row.revoked) == ("CONSUMED", digests("new"), digests(*OLD))
    assert set(TicketCode.objects.values_list("code", flat=True)) == {*OLD[8:], "new"}


@pytest.mark.parametrize(
    "passing", ["unavailable", "UNAVAILABLE", "outcome_unknown", "cluster_contradiction", "busy", "expired"]
)
def test_a_passing_answer_is_asked_again(learner: RealLearner, passing: str) -> None:
    """`busy` and `expired` did nothing: the guest would come in once more."""
    issued(learner, 1)
    network = Network(passing)
    found = completed(guest(1), order=network)
    assert (found.entered, found.wrong, network.asked) == (1, [], [["T-1"]] * 2)


@pytest.mark.parametrize("passing", ["busy", "UNAVAILABLE"])
def test_a_network_without_a_final_answer_ends_it(learner: RealLearner, passing: str) -> None:
    issued(learner, 1)
    with pytest.raises(NetworkSilent, match="no final answer"):
        completed(guest(1), order=Network(*repeat(passing, 500)), patience=0.05)


def test_a_refused_step_is_said_and_the_others_go_on(learner: RealLearner) -> None:
    for number in (1, 2):
        issued(learner, number)

    def order(requests: Sequence[Request]) -> list[Decision]:
        codes = {"T-1": "blocked", "T-2": "busy" if len(requests) == 2 else "already_consumed"}
        if len(requests) == 1:
            run(learner, "T-2", Admit(gate="south"))
        return [Decision(one, Result(codes[one.ticket], b"", 1)) for one in requests]

    found = completed(guest(1), guest(2), order=order)
    ((row, reason),) = [(wrong.row, wrong.reason) for wrong in found.wrong]
    assert (row, reason.startswith("T-1: ")) == (2, True)
    assert found.entered == 1, "who has entered in the meantime is inside"


def test_a_call_that_is_refused_as_a_whole_ends_it(learner: RealLearner) -> None:
    issued(learner, 1)
    with pytest.raises(Refused):
        completed(guest(1), order=Network("NOT_PERMITTED"))


def test_a_guest_whose_ticket_has_other_codes_is_said(learner: RealLearner) -> None:
    issued(learner, 1, "other")
    issued(learner, 2, "other-2")
    found = completed(ticket(), ticket(2, entered=False))
    assert [wrong.row for wrong in found.wrong] == [2]
    assert "entered elsewhere" in found.wrong[0].reason
    assert found.entered == 0


def test_a_copy_that_lags_behind_the_issue_is_not_read(learner: RealLearner) -> None:
    issued(learner, 1)
    delivery = Delivery(sequence=1_000)
    with pytest.raises(NetworkSilent, match="lags behind"):
        complete([guest(1)], delivery, order=ordered, patience=0.01)


def test_the_digest_of_a_step_is_salted_for_its_event(learner: RealLearner) -> None:
    issued(learner, 1, *OLD[:8])
    row = read.read_ticket("learner", EVENT, "T-1")
    assert row is not None
    assert next_step(ticket(), row, b"another salt") is None
    assert code_digest(salt_of(EVENT, read.event_row("learner", EVENT)), "new") == digests("new")[0]
