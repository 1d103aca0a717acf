"""Events of tickets over REST: created and changed by an ordered operation, listed with what they hold."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.api.errors import InvalidRequest
from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from tickets.services import events
from validators.services import api_keys

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

FEST = {
    "name": "Fest 2026",
    "zone": "Europe/Berlin",
    "doors": "2026-07-31T18:00:00+02:00",
    "products": [{"name": "Parking", "admits": False}, {"name": "Adult", "admits": True}],
}
NONE = {"ISSUED": 0, "VALIDATED": 0, "CONSUMED": 0, "DISPUTED": 0, "UPHELD": 0}


def put(api: Api, slug: str, **fields: Any) -> tuple[int, Any]:
    response = api.call("PUT", f"events/{slug}", fields)
    return response.status_code, read(response)


MAIN = {
    "list": "main",
    "name": "",
    "products": None,
    "not_before": None,
    "not_after": None,
    "rule": "once",
    "times": 0,
    "returns": False,
    "exit_first": False,
    "capacity": 0,
}


def test_an_event_is_created_shown_changed_and_listed(api: Api) -> None:
    status, made = put(api, "fest", **FEST)
    expected = {
        "slug": "fest",
        "name": "Fest 2026",
        "zone": "Europe/Berlin",
        "doors": "2026-07-31T18:00:00+02:00",
        "ids_are_codes": False,
        "products": [{"name": "Adult", "admits": True}, {"name": "Parking", "admits": False}],
        "lists": [MAIN],
        "declared": True,
        "tickets": NONE,
        "blocked": 0,
    }
    assert (status, made["data"]) == (200, expected)
    assert read(api.get("events/fest"))["data"] == expected
    _, changed = put(api, "fest", doors=1_785_510_000, name="Fest")
    assert changed["data"] == expected | {"doors": "2026-07-31T17:00:00+02:00", "name": "Fest"}
    for ticket, blocked in (("A", True), ("B", False)):
        api.post("tickets", {"event": "fest", "ticket_id": ticket, "blocked": blocked})
    listed = read(api.get("tickets/events"))["data"]
    assert [(one["slug"], one["tickets"]["ISSUED"], one["blocked"]) for one in listed] == [("fest", 2, 1)]
    cleared = put(api, "fest", zone="", doors=0, products=[])[1]["data"]
    assert (cleared["zone"], cleared["doors"], cleared["products"]) == ("", None, [])


def test_a_change_of_the_name_drops_no_product_unknown_to_the_copy(
    api: Api, fake: FakeGateway, tables: Any
) -> None:
    assert put(api, "fest", products=[{"name": "Parking", "admits": False}])[0] == 200
    tables.lagging = True
    api.post("tickets", {"event": "fest", "ticket_id": "V", "product": "VIP", "barcodes": ["v"]})
    _, named = put(api, "fest", name="Gala")
    assert [product["name"] for product in named["data"]["products"]] == ["Parking", "VIP"]
    tables.catch_up()
    assert api.post("tickets/admit", {"event": "fest", "barcode": "v"}).status_code == 200


def test_what_is_set_of_an_undeclared_event_counts_more_than_what_it_did(api: Api) -> None:
    for ticket, product in (("A", "Adult"), ("B", "Parking")):
        api.post("tickets", {"event": "old", "ticket_id": ticket, "product": product})
    products = (("Parking", False),)
    decision = events.set_event("old", name="Old", products=products, others_stay=True, actor="user:olga")
    assert decision.code == "ok"
    assert read(api.get("events/old"))["data"]["products"] == [
        {"name": "Adult", "admits": True},
        {"name": "Parking", "admits": False},
    ]


def test_who_holds_tickets_of_an_event_that_nobody_created_is_not_shut_out(api: Api) -> None:
    for ticket, product in (("A", "Adult"), ("B", "Child"), ("C", "")):
        api.post("tickets", {"event": "old", "ticket_id": ticket, "product": product})
    undeclared = read(api.get("events/old"))["data"]
    assert (undeclared["declared"], undeclared["ids_are_codes"], undeclared["products"]) == (False, True, [])
    _, named = put(api, "old", name="The old one")
    assert (named["data"]["declared"], named["data"]["ids_are_codes"]) == (True, True)
    assert [product["name"] for product in named["data"]["products"]] == ["Adult", "Child"]
    for ticket in "ABC":
        answer = api.post("tickets/admit", {"event": "old", "barcode": ticket})
        assert (answer.status_code, read(answer)["outcome"]) == (200, "admitted")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"zone": "Berlin"}, "zone: 'Berlin' is unknown"),
        ({"zone": "../../etc/passwd"}, "zone: "),
        ({"zone": "Z" * 65}, "zone must be a time zone's name"),
        ({"zone": 5}, "zone must be a time zone's name"),
        ({"doors": "2026-07-31T18:00:00"}, "doors must be Unix seconds, or an RFC 3339 time with its offset"),
        ({"doors": "18:00"}, "doors must be Unix seconds"),
        ({"doors": -1}, "doors must be Unix seconds"),
        ({"doors": 10**12}, "doors must be Unix seconds"),
        ({"doors": True}, "doors must be Unix seconds"),
        ({"name": "n" * 200}, "name must be a string of at most"),
        ({"name": "a\nb"}, "name must be a string of at most"),
        ({"ids_are_codes": "no"}, "ids_are_codes must be true or false"),
        ({"products": ["Adult"]}, "products must be a list"),
        ({"products": [{"name": "Adult"}]}, "products must be a list"),
        ({"products": [{"name": "", "admits": True}]}, "products must be a list"),
        ({"products": [{"name": "A", "admits": True}] * 2}, "products: names must ascend, each once"),
    ],
)
def test_a_bad_event_is_refused_by_its_field(api: Api, fields: dict[str, Any], said: str) -> None:
    status, answer = put(api, "fest", **fields)
    assert (status, answer["error"][: len(said)]) == (400, said)
    assert api.get("events/fest").status_code == 404


def test_names_of_runs_are_no_slugs(api: Api) -> None:
    """Routes of agents' events stand there, which take no PUT; what else creates events refuses the names."""
    for slug in sorted(events.RESERVED):
        assert put(api, slug, name="x")[0] == 405
        with pytest.raises(InvalidRequest, match="slug must not be one of runs, stream, validate, "):
            events.set_event(slug, actor="key:1")
    assert put(api, "a%20b")[0] == put(api, "e" * 65)[0] == 400
    assert api.get("events/runs").status_code == 200


def test_an_unknown_event_is_404_and_the_gates_matter(api: Api) -> None:
    answer = api.get("events/nothing")
    assert (answer.status_code, read(answer)["code"]) == (404, "unknown_event")


def test_only_who_issues_may_create_and_only_its_event(api: Api) -> None:
    for name, scopes, event in (("g", ("gate",), ""), ("i", ("issue",), ""), ("o", ("issue",), "one")):
        api_keys.store_api_key(name, label=name, scopes=scopes, event=event)
    assert put(Api("g"), "fest")[0] == 403
    assert put(Api("i"), "fest")[0] == 200
    assert put(Api("o"), "fest")[0] == 403
    assert put(Api("o"), "one")[0] == 200
    assert Api("o").get("events/fest").status_code == 403
    assert [one["slug"] for one in read(Api("o").get("tickets/events"))["data"]] == ["one"]


def test_events_are_listed_in_pages(api: Api) -> None:
    for slug in ("c", "a", "b"):
        put(api, slug)
    first = api.get("tickets/events?limit=2")
    assert [one["slug"] for one in read(first)["data"]] == ["a", "b"]
    assert first.headers["X-Total-Count"] == "3"
    link = first.headers["Link"].partition(">")[0].removeprefix("<")
    rest = api.get(link)
    assert ([one["slug"] for one in read(rest)["data"]], "Link" in rest.headers) == (["c"], False)
    assert rest.headers["X-Total-Count"] == "3"
    assert api.get("tickets/events?after=%20").status_code == 400


def test_a_repeated_put_with_its_nonce_acts_once(api: Api) -> None:
    assert put(api, "fest", name="One", nonce="n")[0] == 200
    assert put(api, "fest", name="One", nonce="n")[0] == 200
    assert put(api, "fest", name="Two", nonce="n")[0] == 422
    assert read(api.get("events/fest"))["data"]["name"] == "One"
