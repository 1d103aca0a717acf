"""The page of events: an organiser creates and changes one by a form."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.pages.learner import RealLearner
from tests.pages.test_gate_page import events, person
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger.read import event_row

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

EVENTS = "/dashboard/tickets/events"
FORM: dict[str, Any] = {
    "slug": "midsummer-2026",
    "name": "Midsummer 2026",
    "zone": "Europe/Stockholm",
    "doors": "2026-06-19T18:00",
    "product": ["Adult", "Parking", "", "VIP"],
    "admits": ["0", "2", "3"],
    "as_of": "",
}


def text(response: Any) -> str:
    content: str = response.content.decode()
    return content


def change(client: Client, slug: str, **fields: Any) -> Any:
    """Save the form as it is shown, with these fields changed."""
    page = client.get(EVENTS, {"slug": slug})
    form = page.context["form"]
    names = [name for name, _admits in form.products]
    admits = [str(number) for number, (_name, admits) in enumerate(form.products) if admits]
    shown = {"slug": slug, "name": form.name, "zone": form.zone, "doors": form.doors, "as_of": form.as_of}
    typed = re.findall(r'<textarea name="gates"[^>]*>([^<]*)</textarea>', text(page))
    shown["gates"] = "".join(typed)
    ids = {"ids_are_codes": "on"} if form.ids_are_codes else {}
    return client.post(f"{EVENTS}?slug={slug}", shown | ids | {"product": names, "admits": admits} | fields)


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"slug": "a b"}, 400, "The short name must be 1 to 64 characters"),
        ({"slug": "x" * 65}, 400, "The short name must be 1 to 64 characters"),
        ({"slug": "runs"}, 400, "slug must not be one of runs"),
        ({"zone": "Europe/Nowhere"}, 400, "zone: &#x27;Europe/Nowhere&#x27; is unknown"),
        ({"doors": "tonight"}, 400, "The doors must be a date and a time."),
        ({"doors": "2026-03-29T02:30"}, 400, "the clocks of the zone skip the hour"),
        ({"gates": "north\nsouth\nnorth"}, 400, "Gates: &#x27;north&#x27; is in the list twice"),
        ({"gates": "n" * 65}, 400, "is not a name of at most 64 characters"),
        ({"gates": "\n".join(map(str, range(101)))}, 400, "Gates: an event names at most 100."),
        ({"product": ["Adult", "Adult"]}, 400, "The product &#x27;Adult&#x27; is in the list twice"),
    ],
)
def test_a_wrong_field_is_named_and_what_was_typed_stays(
    learner: RealLearner,
    operate: Callable[..., Any],
    admin: Client,
    fields: dict[str, Any],
    status: int,
    said: str,
) -> None:
    operate("issue T-1")
    answer = admin.post(EVENTS, FORM | fields)
    assert answer.status_code == status
    assert said in text(answer)
    assert 'value="Midsummer 2026"' in text(answer)


def test_two_organisers_do_not_overwrite_each_other(
    learner: RealLearner, operate: Callable[..., Any], admin: Client
) -> None:
    operate("issue T-1")
    admin.post(EVENTS, FORM)
    assert "There is already an event of this short name" in text(admin.post(EVENTS, FORM))
    stale = admin.get(EVENTS, {"slug": "midsummer-2026"}).context["form"].as_of
    assert change(admin, "midsummer-2026", name="Midsummer").status_code == 302
    late = change(admin, "midsummer-2026", name="Late", as_of=stale)
    assert late.status_code == 409
    assert "The event was changed meanwhile" in text(late)
    row = event_row(LEARNER_ALIAS, "midsummer-2026")
    assert row is not None
    assert row.name == "Midsummer"


def test_saving_an_event_without_a_change_orders_nothing_and_says_so(
    learner: RealLearner, operate: Callable[..., Any], admin: Client
) -> None:
    operate("issue T-1")
    admin.post(EVENTS, FORM)
    before = event_row(LEARNER_ALIAS, "midsummer-2026")
    answer = change(admin, "midsummer-2026")
    assert "Nothing was changed: the event midsummer-2026 is as it was." in text(admin.get(answer.url))
    assert event_row(LEARNER_ALIAS, "midsummer-2026") == before


def gates_at_the_gate(client: Client) -> dict[str, list[str]]:
    return {one["slug"]: one["gates"] for one in events(client.get("/gate/"))}


def test_the_gates_that_an_event_names_are_chosen_at_the_gate(
    learner: RealLearner, operate: Callable[..., Any], admin: Client
) -> None:
    operate("issue T-1")
    assert admin.post(EVENTS, FORM | {"gates": "West door \r\n\r\nBackstage\r\nEast"}).status_code == 302
    named = ["West door", "Backstage", "East"]
    assert gates_at_the_gate(admin) == {"default": [], "midsummer-2026": named}
    assert "West door, Backstage, East" in text(admin.get(EVENTS, {"slug": "midsummer-2026"}))
    before = event_row(LEARNER_ALIAS, "midsummer-2026")
    stale = admin.get(EVENTS, {"slug": "midsummer-2026"}).context["form"].as_of
    assert change(admin, "midsummer-2026").url.endswith("unchanged=midsummer-2026")
    assert change(admin, "midsummer-2026", gates="East").url.endswith("saved=midsummer-2026")
    assert event_row(LEARNER_ALIAS, "midsummer-2026") == before, "the log does not know them"
    late = change(admin, "midsummer-2026", gates="North", as_of=stale)
    assert (late.status_code, "changed meanwhile" in text(late)) == (409, True)
    steward = person("gate")
    assert change(steward, "midsummer-2026", gates="mine").status_code == 403
    assert gates_at_the_gate(steward) == {"default": [], "midsummer-2026": ["East"]}
    assert change(admin, "midsummer-2026", name="Midsummer", gates="").status_code == 302
    assert gates_at_the_gate(admin)["midsummer-2026"] == []


def test_the_form_of_an_event_that_nobody_created_shuts_no_ticket_out(
    learner: RealLearner, operate: Callable[..., Any], admin: Client
) -> None:
    body = {"ticket_id": "T-1", "event": "gala", "product": "Adult"}
    assert admin.post("/api/v1/tickets", body, content_type="application/json").status_code == 200
    form = admin.get(EVENTS, {"slug": "gala"}).context["form"]
    assert (form.ids_are_codes, form.products) == (True, (("Adult", True),))
    assert change(admin, "gala", name="Gala").status_code == 302
    (result,) = operate("admit T-1", event="gala")
    assert result.code == "ok"


def test_before_there_is_a_ledger_the_page_is_empty(admin: Client) -> None:
    assert "No events yet." in text(admin.get(EVENTS, {"slug": "fest"}))
    refused = admin.post(EVENTS, FORM)
    assert refused.status_code == 503
    assert 'role="alert"' in text(refused)
