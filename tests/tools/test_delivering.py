"""Holders are kept for tickets that are, or may be, in the network: a corrected file replaces all others."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from dtvn.api.errors import TicketError
from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import Block
from tests.tools.test_holders import ticket
from tickets.importing import Holder, ImportedTicket
from tickets.importing.completing import Order
from tickets.importing.delivering import Delivering
from tickets.importing.delivery import Delivery
from tickets.importing.holders import erase_holders
from tickets.importing.ordering import Ordering
from tickets.importing.until_final import NetworkSilent, Refused
from tickets.models import TicketCode, TicketHolder
from validators.services.decide import batch

pytestmark = [
    pytest.mark.django_db(databases=["default", "learner"]),
    pytest.mark.usefixtures("quick", "learner"),
]


def answering(**codes: str) -> Order:
    """A cluster that answers each request with the code of its event, else with "ok"."""

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        return [Decision(one, Result(codes.get(one.event, "ok"), b"", 1)) for one in requests]

    return order


def imported(
    tickets: Sequence[ImportedTicket], order: Order, *, size: int = 100, patience: float = 0.01
) -> Delivery:
    delivery = Delivery()
    delivering = Delivering(
        order, source="", patience=patience, told=lambda _: None, delivered=lambda _: None
    )
    delivering.deliver(tickets, delivery, size=size)
    return delivery


def of_events(*events: str, holder: str = "Ada") -> list[ImportedTicket]:
    tickets = [ticket(number, Holder(holder)) for number in range(len(events))]
    pairs = zip(tickets, events, strict=True)
    return [msgspec.structs.replace(one, event=event) for one, event in pairs]


def names() -> dict[str, str]:
    return dict(TicketHolder.objects.values_list("event", "name"))


def test_the_holder_of_a_ticket_that_may_be_issued_is_kept() -> None:
    with pytest.raises(NetworkSilent):
        imported(of_events("a"), answering(a="outcome_unknown"))
    assert names() == {"a": "Ada"}
    assert imported(of_events("a", holder="Ada King"), answering(a="ticket_exists")).existed == 1
    assert names() == {"a": "Ada King"}, "the file's last word, for a ticket that was not known to exist"


def in_turn(*answers: str, sequence: int = 1) -> Order:
    """A cluster that answers the requests of each call with the next of these codes, the last one for ever;
    a code in capitals refuses the whole call."""
    waiting = list(answers)

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        code = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if code.isupper():
            raise TicketError(code.lower())
        return [Decision(one, Result(code, b"", sequence)) for one in requests]

    return order


STOPPED = (NetworkSilent, Refused)


@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        (("outcome_unknown", "NOT_PERMITTED"), True),
        (("outcome_unknown", "unavailable"), True),
        (("outcome_unknown", "unavailable", "NOT_PERMITTED"), True),
        (("busy", "NOT_PERMITTED"), True),
        (("unavailable", "NOT_PERMITTED"), False),
        (("unavailable", "outcome_unknown", "NOT_PERMITTED"), True),
        (("unavailable",), False),
        (("cluster_contradiction",), False),
    ],
)
def test_a_request_that_may_have_been_executed_is_never_forgotten(
    answers: tuple[str, ...], kept: bool
) -> None:
    """A later refusal, or a later call that was not sent, says nothing about an earlier one."""
    delivery = Delivery()
    once = Delivering(
        in_turn(*answers), source="", patience=0.5, told=lambda _: None, delivered=lambda _: None
    )
    with pytest.raises(STOPPED):
        once.deliver([msgspec.structs.replace(of_events("a")[0], codes=("c-1",))], delivery)
    assert names() == ({"a": "Ada"} if kept else {})
    assert TicketCode.objects.filter(event="a").exists() is kept


def test_no_holder_is_kept_when_all_requests_are_refused() -> None:
    def refusing(_: Sequence[Request]) -> Sequence[Decision]:
        raise TicketError("not_permitted")

    with pytest.raises(Refused):
        imported(of_events("a"), refusing)
    assert names() == {}


def settled(requests: Sequence[Request], order: Order) -> list[tuple[str, str]]:
    """(ticket, code) of each final decision, in order."""
    ordering = Ordering(order, patience=0.5, told=lambda _: None)
    return [(one.request.ticket, one.code) for one in ordering.settle(requests)]


def changes(*tickets: str) -> list[Request]:
    return [Request(Block("a reason"), ticket, "fest") for ticket in tickets]


def test_a_refused_change_is_final_and_a_silent_network_ends_the_others() -> None:
    assert settled(changes("A"), in_turn("blocked", "busy")) == [("A", "blocked")]
    with pytest.raises(NetworkSilent):
        settled(changes("A"), in_turn("busy"))


def test_no_code_is_stored_of_a_ticket_whose_holder_was_erased() -> None:
    first, second = of_events("a", "a")
    imported([first], answering())
    assert erase_holders("a", [first.ticket_id]) == 1
    coded = [
        msgspec.structs.replace(one, codes=(f"code {number}",), revoked=(f"old {number}",))
        for number, one in enumerate((first, second))
    ]
    again = imported(coded, answering())
    assert [wrong.row for wrong in again.wrong] == [first.row]
    stored = set(TicketCode.objects.filter(event="a").values_list("ticket", flat=True))
    assert stored == {second.ticket_id}


def test_only_what_is_as_the_file_says_counts_as_delivered() -> None:
    """A ticket that was refused is asked for no entry, although one of its id is there, and what is refused
    later is no more delivered than what was refused at once."""
    asked, delivered = list[list[tuple[str, str]]](), list[list[str]]()
    refused = {("Issue", "T-1"): "not_permitted", ("ImportEntry", "T-2"): "disputed"}

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        asked.append([(type(one.command).__name__, one.ticket) for one in requests])
        codes = [refused.get(each, "") for each in asked[-1]]
        return [
            Decision(one, Result(code, b"", 1)) if code else batch([one], actor="desk")[0]
            for one, code in zip(requests, codes, strict=True)
        ]

    tickets = [ticket(number, Holder()) for number in (1, 2, 3)]
    assert imported(tickets, lambda requests: batch(requests, actor="desk")).issued == 3
    delivering = Delivering(
        order,
        source="",
        patience=5.0,
        told=lambda _: None,
        delivered=lambda part: delivered.append([one.ticket_id for one in part]),
    )
    delivery = Delivery()
    delivering.deliver([msgspec.structs.replace(one, entered=True) for one in tickets], delivery)
    assert asked == [
        [("Issue", "T-1"), ("Issue", "T-2"), ("Issue", "T-3")],
        [("ImportEntry", "T-2"), ("ImportEntry", "T-3")],
    ]
    assert delivered == [["T-3"]]
    assert (delivery.existed, delivery.entered, [one.row for one in delivery.wrong]) == (2, 1, [2, 3])
