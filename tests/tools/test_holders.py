"""Persons are not in the log: it has a salted commitment, the platform an erasable row."""

from __future__ import annotations

import pytest

from tickets.importing import Holder, ImportedTicket
from tickets.importing.changes import Change, FieldChange
from tickets.importing.holders import (
    change_holders,
    commitment,
    erase_holders,
    forget_holders,
    remember_holders,
)
from tickets.models import TicketHolder

pytestmark = pytest.mark.django_db

ADA = Holder("Ada Lovelace", "ada@example.org")


def ticket(number: int, holder: Holder = ADA, secret: str = "", order: str = "") -> ImportedTicket:
    return ImportedTicket(
        row=number + 1,
        ticket_id=f"T-{number}",
        event="default",
        product="",
        seat="",
        not_before=0,
        not_after=0,
        holder=holder,
        codes=(secret,) if secret else (),
        order=order,
    )


def test_an_order_is_kept_outside_the_commitment_and_erased() -> None:
    first = remember_holders([ticket(1), ticket(2, Holder(), order="R-9")])
    assert first.commitments.keys() == {"T-1"}
    again = remember_holders([ticket(1, order="R-7"), ticket(2, Holder(), order="R-8")])
    assert again.commitments == first.commitments
    assert list(TicketHolder.objects.values_list("ticket", "order")) == [("T-1", "R-7"), ("T-2", "R-8")]
    erase_holders("default", ["T-1", "T-2"])
    assert set(TicketHolder.objects.values_list("order", flat=True)) == {""}


def test_an_order_is_of_the_file_that_named_it_last() -> None:
    """Two sellers count their orders from 1."""
    remember_holders([ticket(1, order="R-7"), ticket(2)], source="shop")
    change_holders("default", [another(2, "Bo")], source="box office")
    assert sources() == {"T-1": "shop", "T-2": "box office"}
    remember_holders([ticket(1, order="R-7")], source="box office")
    erase_holders("default", ["T-2"])
    assert sources() == {"T-1": "box office", "T-2": ""}


def sources() -> dict[str, str]:
    return dict(TicketHolder.objects.values_list("ticket", "source"))


def test_a_ticket_that_came_to_nothing_keeps_its_salt() -> None:
    remember_holders([ticket(1)])
    salt = bytes(TicketHolder.objects.get().salt)
    again = remember_holders([ticket(1, Holder("Ada King"))])
    assert again.commitments == {"T-1": commitment(Holder("Ada King"), salt)}
    assert (TicketHolder.objects.get().name, again.fresh) == ("Ada King", set())


def another(number: int, name: str) -> Change:
    fields = (FieldChange("name", "", name), FieldChange("order", "", "R-7"))
    return Change(kind="holder", row=2, event="default", ticket_id=f"T-{number}", fields=fields)


def test_the_commitment_stays_that_of_the_first_holder() -> None:
    """What the log keeps can still be checked by who knows the first holder: the salt stays."""
    first = remember_holders([ticket(1)]).commitments["T-1"]
    other = Change(kind="block", row=3, event="default", ticket_id="T-3")
    change_holders("default", [another(1, "Bo"), another(2, "Cem"), other])
    bo, cem = TicketHolder.objects.order_by("ticket")
    assert (bo.name, bo.email, bo.order) == ("Bo", "ada@example.org", "R-7")
    assert commitment(ADA, bytes(bo.salt)) == first
    assert (cem.name, cem.email, len(bytes(cem.salt))) == ("Cem", "", 32)


def test_an_erased_person_is_not_stored_by_the_next_import() -> None:
    remember_holders([ticket(1)])
    erase_holders("default", ["T-1"])
    commitments, wrong, _ = remember_holders([ticket(1)])
    assert commitments == {}
    assert "erased" in wrong[0].reason
    assert TicketHolder.objects.get().name == ""


def test_holders_of_tickets_that_were_not_issued_can_be_removed() -> None:
    assert remember_holders([ticket(1), ticket(2)]).fresh == {"T-1", "T-2"}
    forget_holders("default", {"T-1", "T-9"})
    assert remember_holders([ticket(1, Holder("Ada King")), ticket(2)]).fresh == {"T-1"}
