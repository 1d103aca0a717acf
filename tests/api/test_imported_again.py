"""What is stored of a file's tickets is read in few queries, whatever names them: id, code or source."""

from __future__ import annotations

from collections.abc import Callable
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


def test_a_second_file_is_compared_with_the_platforms_copy(fest: Api) -> None:
    assert fest.post("tickets/admit", {"barcode": "C-3", "event": "fest"}).status_code == 200
    second = file(
        row(1, ticket_id="other", holder=Holder("Bo")),
        row(2, admits=False, blocked=True, block_reason="void"),
        row(3, product="VIP"),
        row(7),
    )
    found = compare(second, read_network(second, source="shop"))
    assert [(one.ticket_id, one.kind) for one in found.found] == [("T-1", "holder"), ("T-2", "cancel")]
    assert [(one.ticket_id, one.kind) for one in found.unchanged] == [("T-3", "change")]
    assert [one.ticket_id for one in found.new] == ["T-7"]
    assert [one.ticket_id for one in found.gone] == ["T-4"]


def test_another_source_has_no_tickets_that_are_gone(fest: Api) -> None:
    same = file(row(1))
    found = compare(same, read_network(same, source="other shop"))
    assert (found.same, found.gone) == (1, [])


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


def test_many_tickets_cost_few_queries(fest: Api, django_assert_max_num_queries: Callable[..., Any]) -> None:
    many = file(*(row(number) for number in range(1, 1_501)))
    with django_assert_max_num_queries(16), django_assert_max_num_queries(16, using="learner"):
        network = read_network(many, source="shop")
    assert len(network.tickets) == 4


def test_a_source_has_only_its_tickets_of_the_same_event(fest: Api) -> None:
    """Ids of two events may be the same."""
    assert fest.post("tickets", {"ticket_id": "T-4", "event": "gala", "product": "Day"}).status_code == 200
    of_gala = file(row(9, event="gala", holder=Holder()))
    found = compare(of_gala, read_network(of_gala, source="shop"))
    assert (len(found.new), found.gone) == (1, [])
