"""Persons are not in the log: it has a salted commitment, the platform an erasable row."""

from __future__ import annotations

import pytest

from tickets.importing import Holder, ImportedTicket, holders
from tickets.importing.differences import Difference, FieldChange
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


STAYS = {"id", "event", "ticket", "imported_at", "erased_at"}
"""What says that there was a holder, and that the person is gone."""


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


def test_the_commitment_says_nothing_without_its_salt() -> None:
    commitments, wrong, _ = remember_holders([ticket(1), ticket(2)])
    assert wrong == []
    assert commitments["T-1"] != commitments["T-2"], "two tickets of one person cannot be linked"
    salt = bytes(TicketHolder.objects.get(ticket="T-1").salt)
    assert len(salt) == 32
    assert commitments["T-1"] == commitment(ADA, salt)
    assert commitments["T-1"] != commitment(ADA, bytes(32))


def test_a_repeated_import_takes_up_the_same_salt() -> None:
    first = remember_holders([ticket(1)])
    assert remember_holders([ticket(1)]) == (first.commitments, [], set())
    assert TicketHolder.objects.count() == 1


def test_a_ticket_without_a_person_has_no_row() -> None:
    assert remember_holders([ticket(1, Holder())]) == ({}, [], set())
    assert not TicketHolder.objects.exists()


def test_an_order_is_kept_outside_the_commitment_and_erased() -> None:
    first = remember_holders([ticket(1), ticket(2, Holder(), order="R-9")])
    assert first.commitments.keys() == {"T-1"}
    again = remember_holders([ticket(1, order="R-7"), ticket(2, Holder(), order="R-8")])
    assert again.commitments == first.commitments
    assert list(TicketHolder.objects.values_list("ticket", "order")) == [("T-1", "R-7"), ("T-2", "R-8")]
    erase_holders("default", ["T-1", "T-2"])
    assert set(TicketHolder.objects.values_list("order", flat=True)) == {""}


def test_of_an_erased_holder_nothing_is_left() -> None:
    """This holds for every field of a holder, also for one that is added later."""
    whole = Holder(*(f"the {name}" for name in Holder.__struct_fields__))
    remember_holders([ticket(1, whole, order="R-9")])
    personal = [name for name in TicketHolder.objects.values()[0] if name not in STAYS]
    assert {*Holder.__struct_fields__, "order", "salt"} == {*personal}
    assert all(TicketHolder.objects.values(*personal)[0].values())
    assert erase_holders("default", ["T-1"]) == 1
    assert not any(TicketHolder.objects.values(*personal)[0].values())
    assert erase_holders("default", ["T-1"]) == 0, "it was erased before"


def test_a_ticket_that_came_to_nothing_keeps_its_salt() -> None:
    remember_holders([ticket(1)])
    salt = bytes(TicketHolder.objects.get().salt)
    again = remember_holders([ticket(1, Holder("Ada King"))])
    assert again.commitments == {"T-1": commitment(Holder("Ada King"), salt)}
    assert (TicketHolder.objects.get().name, again.fresh) == ("Ada King", set())


def another(number: int, name: str) -> Difference:
    fields = (FieldChange("name", "", name), FieldChange("order", "", "R-7"))
    return Difference(kind="holder", row=2, event="default", ticket_id=f"T-{number}", fields=fields)


def test_the_commitment_stays_that_of_the_first_holder() -> None:
    """What the log keeps can still be checked by who knows the first holder: the salt stays."""
    first = remember_holders([ticket(1)]).commitments["T-1"]
    other = Difference(kind="block", row=3, event="default", ticket_id="T-3")
    assert change_holders([another(1, "Bo"), another(2, "Cem"), other]) == 2
    bo, cem = TicketHolder.objects.order_by("ticket")
    assert (bo.name, bo.email, bo.order) == ("Bo", "ada@example.org", "R-7")
    assert commitment(ADA, bytes(bo.salt)) == first
    assert (cem.name, cem.email, len(bytes(cem.salt))) == ("Cem", "", 32)


def test_another_holder_is_not_written_where_the_first_was_erased() -> None:
    remember_holders([ticket(1)])
    erase_holders("default", ["T-1"])
    assert change_holders([another(1, "Bo")]) == 0
    assert TicketHolder.objects.get().name == ""


def test_holders_are_kept_changed_and_forgotten_however_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "ROWS_AT_ONCE", 2)
    names = [f"T-{number}" for number in range(5)]
    assert list(remember_holders([ticket(number) for number in range(5)]).commitments) == names
    assert change_holders([another(number, "Bo") for number in range(5)]) == 5
    assert list(TicketHolder.objects.values_list("ticket", "name")) == [(name, "Bo") for name in names]
    forget_holders("default", names[:4])
    assert TicketHolder.objects.get().ticket == "T-4"


def test_erasing_forgets_the_person_and_the_salt() -> None:
    remember_holders([ticket(1), ticket(2)])
    assert erase_holders("default", ["T-1", "T-9"]) == 1
    row = TicketHolder.objects.get(ticket="T-1")
    assert (row.name, row.email, bytes(row.salt)) == ("", "", b"")
    assert TicketHolder.objects.get(ticket="T-2").name == "Ada Lovelace"
    assert erase_holders("default", ["T-1"]) == 0


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


def test_removing_holders_keeps_the_rows_of_erased_ones() -> None:
    remember_holders([ticket(1)])
    erase_holders("default", ["T-1"])
    forget_holders("default", {"T-1"})
    assert TicketHolder.objects.exists()


def test_many_tickets_cost_few_queries(django_assert_max_num_queries: object) -> None:
    with django_assert_max_num_queries(40):  # type: ignore[operator]
        commitments, _, _ = remember_holders([ticket(number) for number in range(2_000)])
    assert len(commitments) == 2_000
