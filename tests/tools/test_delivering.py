"""Holders are kept for tickets that are, or may be, in the network: a corrected file replaces all others."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from dtvn.api.errors import TicketError
from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from tests.tools.test_holders import ticket
from tickets.importing import Holder, ImportedTicket
from tickets.importing.delivering import Delivering
from tickets.importing.delivery import Delivery
from tickets.importing.ordering import Order
from tickets.importing.platform import NetworkSilent, Refused
from tickets.models import TicketHolder

pytestmark = [
    pytest.mark.django_db(databases=["default", "learner"]),
    pytest.mark.usefixtures("quick", "learner"),
]


def answering(**codes: str) -> Order:
    """A cluster that answers each request with the code of its event, else with "ok"."""

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        return [Decision(one, Result(codes.get(one.event, "ok"), b"", 1)) for one in requests]

    return order


def imported(tickets: Sequence[ImportedTicket], order: Order, *, size: int = 100) -> Delivery:
    delivery = Delivery()
    Delivering(order, source="", patience=0.01, told=lambda _: None).deliver(tickets, delivery, size=size)
    return delivery


def of_events(*events: str, holder: str = "Ada") -> list[ImportedTicket]:
    tickets = [ticket(number, Holder(holder)) for number in range(len(events))]
    pairs = zip(tickets, events, strict=True)
    return [msgspec.structs.replace(one, event=event) for one, event in pairs]


def names() -> dict[str, str]:
    return dict(TicketHolder.objects.values_list("event", "name"))


def test_a_corrected_file_is_taken_after_an_import_that_stopped() -> None:
    """`b` was not ordered for want of a quorum, `c` not even sent."""
    with pytest.raises(NetworkSilent):
        imported(of_events("a", "b", "c"), answering(b="unavailable"))
    assert names() == {"a": "Ada"}
    again = imported(of_events("b", "c", holder="Ada King"), answering())
    assert (again.issued, again.wrong) == (2, [])
    assert names() == {"a": "Ada", "b": "Ada King", "c": "Ada King"}


def test_the_holder_of_a_ticket_that_may_be_issued_is_kept() -> None:
    with pytest.raises(NetworkSilent):
        imported(of_events("a"), answering(a="outcome_unknown"))
    assert names() == {"a": "Ada"}
    assert imported(of_events("a", holder="Ada King"), answering(a="ticket_exists")).existed == 1
    assert names() == {"a": "Ada King"}, "the file's last word, for a ticket that was not known to exist"


def test_no_holder_is_kept_when_all_requests_are_refused() -> None:
    def refusing(_: Sequence[Request]) -> Sequence[Decision]:
        raise TicketError("not_permitted")

    with pytest.raises(Refused):
        imported(of_events("a"), refusing)
    assert names() == {}


def test_holders_are_stored_with_the_part_that_is_sent_next() -> None:
    """A worker that is killed leaves none of tickets that it never sent."""
    stored: list[int] = []

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        stored.append(TicketHolder.objects.count())
        return answering()(requests)

    assert imported([ticket(number) for number in range(5)], order, size=2).issued == 5
    assert stored == [2, 4, 5]
