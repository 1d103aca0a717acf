"""What is stored of a file's tickets is read in few queries, whatever names them: id, code or source."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Api
from tickets.importing import Holder, ImportedTicket, ImportPlan
from tickets.importing.comparing import compare
from tickets.importing.holders import remember_holders
from tickets.importing.network import read_network
from tickets.services.codes import digest_of, remember_codes

pytestmark = pytest.mark.django_db(databases=["default", "learner"])
ADA = Holder("Ada")


def row(number: int, **fields: Any) -> ImportedTicket:
    known: dict[str, Any] = {"row": number + 1, "ticket_id": f"T-{number}", "codes": (f"C-{number}",)}
    return ImportedTicket(**{"event": "fest", "product": "Day", "holder": ADA, **known, **fields})


def file(*tickets: ImportedTicket) -> ImportPlan:
    return ImportPlan(
        tickets=[one for one in tickets if one.admits],
        refused=[one for one in tickets if not one.admits],
        read={"product": ["product"], "name": ["name"]},
    )


@pytest.fixture
def fest(api: Api) -> Api:
    """An event in which ids are no codes, with tickets T-1 to T-4 of one source."""
    assert api.call("PUT", "events/fest", {"products": [{"name": "Day", "admits": True}]}).status_code == 200
    tickets = [row(number) for number in range(1, 5)]
    remember_holders(tickets)
    remember_codes("fest", ((one.ticket_id, one.codes) for one in tickets), source="shop")
    for one in tickets:
        fields = {"ticket_id": one.ticket_id, "event": "fest", "product": "Day", "barcodes": list(one.codes)}
        assert api.post("tickets", fields).status_code == 200
    return api


def test_a_replaced_code_still_names_its_ticket(fest: Api) -> None:
    body = {"ticket_id": "T-1", "event": "fest", "barcodes": ["D-1"]}
    assert fest.post("tickets/replace", body).status_code == 200
    old = file(row(1, ticket_id="other"))
    stored = read_network(old, source="shop").tickets["fest", "T-1"]
    assert (stored.codes, stored.revoked) == ((digest_of("fest", "D-1"),), (digest_of("fest", "C-1"),))
    (one,) = compare(old, read_network(old, source="shop")).unchanged
    assert one.kind == "replace"


def test_where_ids_are_codes_a_code_names_the_ticket_of_this_id(api: Api) -> None:
    assert api.post("tickets", {"ticket_id": "C-1", "product": "Day"}).status_code == 200
    old = file(row(1, event="default", holder=Holder()))
    assert compare(old, read_network(old, source="")).same == 1
