"""Confirmed changes are carried out step by step: each answer is taken for what it says, and holders and
codes are kept for tickets that are, or may be, in the network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import pytest

from dtvn.api.errors import TicketError, Unavailable
from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import Admit, Block, Command, ImportEntry, Issue, Replace, build
from tests.pages.learner import RealLearner
from tickets.importing import Holder, ImportedTicket
from tickets.importing.applying import Applying
from tickets.importing.changes import Change, key_of_new, new_ticket
from tickets.importing.holders import erase_holders
from tickets.importing.network import entries_made
from tickets.importing.sending import Order
from tickets.importing.until_final import NetworkSilent, Refused
from tickets.models import TicketCode, TicketHolder
from tickets.services.codes import digest_of
from validators import feed
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
    known: dict[str, Any] = {"row": number + 1, "ticket_id": f"T-{number}", "event": EVENT}
    return ImportedTicket(**known | fields)


def guest(number: int, **fields: Any) -> ImportedTicket:
    """Entered elsewhere."""
    return ticket(number, **{"entered": True, "entered_at": 7, "gate": "north"} | fields)


def digests(*texts: str) -> tuple[bytes, ...]:
    return tuple(digest_of(EVENT, text) for text in texts)


def run(learner: RealLearner, name: str, *commands: Command) -> None:
    """Somebody else's operations."""
    until = time.time_ns() // 1_000 + 60_000_000
    for command in commands:
        one = build(command, ticket=name, event=EVENT, actor="desk", entry="r0", valid_until=until)
        (result,) = learner.gateway.submit([one]).result()
        assert result.code == "ok", command


def honest(requests: Sequence[Request]) -> list[Decision]:
    return batch(requests, actor="desk")


def answering(*answers: str) -> Order:
    """A network that answers the requests of each call with the next of these codes, then honestly. Codes in
    capitals refuse the whole call."""
    waiting = list(answers)

    def order(requests: Sequence[Request]) -> list[Decision]:
        code = waiting.pop(0) if waiting else ""
        if code == "UNAVAILABLE":
            raise Unavailable
        if code.isupper():
            raise TicketError(code.lower())
        return [Decision(one, Result(code, b"", 1)) for one in requests] if code else honest(requests)

    return order


class Applied:
    """What became of changes."""

    def __init__(
        self, *changes: Change | ImportedTicket, order: Order = honest, patience: float = 5.0, size: int = 100
    ) -> None:
        self.done: dict[str, str] = {}
        self.counted = 0
        self.ended: Exception | None = None
        self._applying = Applying(
            order, source="shop", patience=patience, progress=self._count, done=self.done.update
        )
        try:
            self._applying.apply(
                [one if isinstance(one, Change) else new_ticket(one) for one in changes], size=size
            )
        except (NetworkSilent, Refused) as error:
            self.ended = error

    def _count(self, count: int) -> None:
        self.counted += count

    @property
    def counts(self) -> tuple[int, int]:
        """(Issued, there before)."""
        return self._applying.issued, self._applying.existed

    @property
    def wrong(self) -> dict[int, str]:
        return {wrong.row: wrong.reason for wrong in self._applying.wrong}


def stored(name: str) -> Any:
    row = read.read_ticket("learner", EVENT, name)
    assert row is not None
    return row


# --- steps of a new ticket --------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 100])
def test_a_new_ticket_gets_its_codes_one_after_another_and_its_entry(learner: RealLearner, size: int) -> None:
    first, second = guest(1, codes=("new",), revoked=OLD), guest(2, entries=3)
    applied = Applied(first, second, size=size)
    assert (applied.counts, applied.wrong, applied.counted) == ((2, 0), {}, 2)
    assert applied.done == {key_of_new(one): "new" for one in (first, second)}
    row = stored("T-1")
    assert (row.state, row.codes, row.revoked) == ("CONSUMED", digests("new"), digests(*OLD))
    assert stored("T-2").state == "CONSUMED"
    assert set(TicketCode.objects.values_list("code", flat=True)) == {*OLD, "new"}


@pytest.mark.parametrize("given", [1, 2])
def test_a_ticket_that_is_there_goes_on_from_what_it_has(learner: RealLearner, given: int) -> None:
    one = guest(1, codes=("new",), revoked=OLD)
    run(learner, "T-1", Issue(codes=digests(*OLD[:8])), *[Replace(digests(OLD[8]))][: given - 1])
    applied = Applied(one)
    assert (applied.counts, applied.wrong) == ((0, 1), {})
    row = stored("T-1")
    assert (row.state, row.codes, row.revoked) == ("CONSUMED", digests("new"), digests(*OLD))


@pytest.mark.parametrize("texts", [("other",), ("new", "other"), OLD[8:], ()])
def test_a_ticket_with_other_codes_stays_as_it_is(learner: RealLearner, texts: tuple[str, ...]) -> None:
    """Its guest may not be inside, which is said."""
    run(learner, "T-1", Issue(codes=digests(*texts)))
    before = stored("T-1")
    applied = Applied(guest(1, codes=("new",), revoked=OLD), ticket(2))
    assert (applied.counts, list(applied.wrong), len(applied.done)) == ((1, 1), [2], 1)
    assert "entered elsewhere" in applied.wrong[2]
    assert stored("T-1") == before


def test_entries_that_were_made_are_not_made_again(learner: RealLearner) -> None:
    run(learner, "T-1", Issue(entries=3), Admit(gate="south"), Admit(gate="south"))
    assert Applied(guest(1, entries=3, made=2)).wrong == {}
    assert stored("T-1").state == "VALIDATED"


@pytest.mark.parametrize(
    "passing", ["unavailable", "UNAVAILABLE", "outcome_unknown", "cluster_contradiction", "busy", "expired"]
)
def test_a_passing_answer_is_asked_again(learner: RealLearner, passing: str) -> None:
    applied = Applied(guest(1), order=answering(passing, "", passing))
    assert (applied.counts, applied.wrong, stored("T-1").state) == ((1, 0), {}, "CONSUMED")


@pytest.mark.parametrize("is_new", [True, False])
def test_an_entry_in_doubt_that_was_made_is_not_made_twice(learner: RealLearner, is_new: bool) -> None:
    """One of three persons entered elsewhere, and the answer to that is lost."""
    lost = list[Decision]()

    def order(requests: Sequence[Request]) -> list[Decision]:
        decisions = honest(requests)
        if lost or not isinstance(requests[0].command, ImportEntry):
            return decisions
        lost.extend(decisions)
        assert feed.wait_for(decisions[0].result.sequence, 5.0)
        return [Decision(one, Result("outcome_unknown")) for one in requests]

    if is_new:
        applied = Applied(guest(1, entries=3, made=1), order=order)
    else:
        run(learner, "T-1", Issue(entries=3))
        applied = Applied(
            Change(kind="entry", row=2, event=EVENT, ticket_id="T-1", commands=(ImportEntry(),)), order=order
        )
    assert (len(applied.done), len(lost), entries_made(stored("T-1"))) == (1, 1, 1)


@pytest.mark.parametrize("passing", ["busy", "UNAVAILABLE"])
def test_what_was_done_before_the_network_fell_silent_is_known(learner: RealLearner, passing: str) -> None:
    applied = Applied(ticket(1), guest(2), order=answering("", *repeat(passing, 500)), patience=0.05)
    assert isinstance(applied.ended, NetworkSilent)
    assert applied.done == {key_of_new(ticket(1)): "new"}
    assert Applied(guest(2)).counts == (0, 1)
    assert stored("T-2").state == "CONSUMED"


def test_a_refused_step_is_said_and_the_others_go_on(learner: RealLearner) -> None:
    """No entry is asked for a ticket that was refused, although one of its id is there."""
    refused = {("Issue", "T-1"): "not_permitted", ("ImportEntry", "T-2"): "disputed"}

    def order(requests: Sequence[Request]) -> list[Decision]:
        codes = [refused.get((type(one.command).__name__, one.ticket), "") for one in requests]
        return [
            Decision(one, Result(code, b"", 1)) if code else honest([one])[0]
            for one, code in zip(requests, codes, strict=True)
        ]

    run(learner, "T-1", Issue())
    applied = Applied(guest(1), guest(2), guest(3), order=order)
    assert (applied.counts, list(applied.wrong)) == ((2, 0), [2, 3])
    assert applied.done == {key_of_new(guest(3)): "new"}
    assert [stored(f"T-{number}").state for number in (1, 2, 3)] == ["ISSUED", "ISSUED", "CONSUMED"]


def test_a_copy_that_lags_behind_the_issue_is_not_read(learner: RealLearner) -> None:
    def ahead(requests: Sequence[Request]) -> list[Decision]:
        return [Decision(one, Result("ok", b"", 1_000)) for one in requests]

    assert "lags behind" in str(Applied(guest(1), order=ahead, patience=0.01).ended)


def test_a_refused_change_is_said_and_is_not_done(learner: RealLearner) -> None:
    run(learner, "T-1", Issue())
    block = Change(kind="block", row=2, event=EVENT, ticket_id="T-1", commands=(Block("a reason"),))
    applied = Applied(block, order=answering("not_permitted"))
    assert (list(applied.wrong), applied.done) == ([2], {})
    assert Applied(block).done == Applied(block).done == {block.key: "block"}, "also if it is so already"


# --- holders and codes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        (("outcome_unknown", "NOT_PERMITTED"), True),
        (("outcome_unknown", *["unavailable"] * 500), True),
        (("outcome_unknown", "unavailable", "NOT_PERMITTED"), True),
        (("outcome_unknown", "not_permitted"), True),
        (("busy", "NOT_PERMITTED"), True),
        (("unavailable", "NOT_PERMITTED"), False),
        (("unavailable", "outcome_unknown", "NOT_PERMITTED"), True),
        (("unavailable",) * 500, False),
        (("cluster_contradiction",) * 500, False),
        (("not_permitted",), False),
        (("NOT_PERMITTED",), False),
    ],
)
def test_a_request_that_may_have_been_executed_is_never_forgotten(
    learner: RealLearner, answers: tuple[str, ...], kept: bool
) -> None:
    """A later refusal, or a later call that was not sent, says nothing about an earlier one."""
    run(learner, "T-9", Issue())
    Applied(ticket(1, holder=Holder("Ada"), codes=("c-1",)), order=answering(*answers), patience=0.1)
    assert TicketHolder.objects.filter(name="Ada").exists() is kept
    assert TicketCode.objects.filter(ticket="T-1").exists() is kept


def test_the_file_has_the_last_word_on_a_holder_of_a_ticket_in_doubt(learner: RealLearner) -> None:
    Applied(ticket(1, holder=Holder("Ada")), order=answering(*["outcome_unknown"] * 500), patience=0.05)
    run(learner, "T-1", Issue())
    assert Applied(ticket(1, holder=Holder("Ada King"))).counts == (0, 1)
    assert TicketHolder.objects.get().name == "Ada King"


def test_no_code_is_stored_of_a_ticket_whose_holder_was_erased(learner: RealLearner) -> None:
    Applied(ticket(1, holder=Holder("Ada")))
    assert erase_holders(EVENT, ["T-1"]) == 1
    applied = Applied(*(ticket(number, holder=Holder("Ada"), codes=(f"c-{number}",)) for number in (1, 2)))
    assert (list(applied.wrong), applied.counted) == ([2], 2)
    assert set(TicketCode.objects.values_list("ticket", flat=True)) == {"T-2"}
    assert TicketHolder.objects.get(ticket="T-1").name == ""
