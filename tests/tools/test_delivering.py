"""Holders are kept for tickets that are, or may be, in the network: a corrected file replaces all others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.api.errors import TicketError
from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from tests.tools.test_commands import NAMED, Ran, at  # noqa: F401
from tests.tools.test_holders import ticket
from tickets.importing import Holder, ImportedTicket
from tickets.importing.delivering import Part, deliver
from tickets.importing.ordering import Order, order_tickets
from tickets.importing.platform import Refused
from tickets.importing.sending import BATCH_SIZE, Delivery, NetworkSilent
from tickets.models import TicketHolder
from tickets.rest import writes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick")]


def answering(**codes: str) -> Order:
    """A cluster that answers each request with the code of its event, else with "ok"."""

    def order(requests: Sequence[Request]) -> Sequence[Decision]:
        return [Decision(one, Result(codes.get(one.event, "ok"), b"", 1)) for one in requests]

    return order


def imported(tickets: Sequence[ImportedTicket], order: Order, *, size: int = 100) -> Delivery:
    delivery = Delivery()

    def send(part: Part, own: Delivery) -> None:
        order_tickets(part, own, order=order, patience=0.01, told=lambda _: None)

    deliver(tickets, send, delivery, size=size)
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


@pytest.mark.django_db(transaction=True, databases=["default", "learner"])
def test_the_command_stores_holders_with_the_tickets_sent_next(
    at: list[str],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a run that is killed leaves those of tickets that it never sent, and one that is stopped deletes
    those of tickets that another run of the same file has issued since."""
    honest, stored = writes.batch, list[int]()

    def counting(requests: list[Request], **options: Any) -> list[Decision]:
        stored.append(TicketHolder.objects.count())
        return honest(requests, **options)

    monkeypatch.setattr(writes, "batch", counting)
    path = tmp_path / "many.csv"
    path.write_text("ticket_id,name\n" + "".join(f"T-{number},Ada\n" for number in range(BATCH_SIZE + 1)))
    assert Ran("import_tickets", str(path), "--in-flight", "1", *NAMED, *at).code == 0
    assert stored == [BATCH_SIZE, BATCH_SIZE + 1]
