"""Events of tickets over REST: created and changed by an ordered operation, listed with what they hold."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.api.errors import InvalidRequest
from tests.api.conftest import Api, read
from tests.fake_gateway import FakeGateway
from tickets.services import events

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
