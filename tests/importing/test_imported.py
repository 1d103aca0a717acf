"""What a ticket of a file asks for, and what is counted of its import."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tickets.importing import Holder, ImportedTicket
from tickets.importing.delivery import Delivery, steps
from tickets.importing.imported import WrongRow


def ticket(**fields: Any) -> ImportedTicket:
    return ImportedTicket(row=2, ticket_id="T-1", event="fest", **fields)


def test_a_holder_is_whoever_anything_is_known_of() -> None:
    assert not Holder()
    for field in msgspec.structs.fields(Holder):
        assert Holder(**{field.name: "x"}), field.name


@pytest.mark.parametrize(
    ("fields", "needs", "made"),
    [
        ({}, False, 1),
        ({"codes": ("new",), "blocked": True}, False, 1),
        ({"entered": True}, True, 1),
        ({"revoked": ("old",)}, True, 1),
        ({"entries": 4}, False, 4),
        ({"entries": 4, "made": 2, "entered": True}, True, 2),
    ],
)
def test_entries_and_replaced_codes_need_more_than_an_issue(
    fields: dict[str, Any], needs: bool, made: int
) -> None:
    assert (ticket(**fields).needs_operate, ticket(**fields).entries_made) == (needs, made)


def test_a_ticket_gets_its_replaced_codes_first_as_many_at_once_as_it_may_have() -> None:
    old = tuple(f"old-{number}" for number in range(17))
    assert steps(ticket(codes=("new",))) == [("new",)]
    assert steps(ticket(revoked=old[:8])) == [old[:8], ()]
    assert steps(ticket(codes=("new",), revoked=old)) == [old[:8], old[8:16], old[16:], ("new",)]


def test_the_parts_of_an_import_add_up() -> None:
    whole = Delivery(1, 2, 3, [WrongRow(2, "a")], 9, {"T-1"})
    whole.add(Delivery(10, 20, 30, [WrongRow(3, "b")], 99, {"T-2"}))
    assert whole == Delivery(11, 22, 33, [WrongRow(2, "a"), WrongRow(3, "b")], 9, {"T-1"})
    assert whole.present == 33
