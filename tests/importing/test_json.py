"""JSON: no text in it that may decide who comes in is lost, wherever it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.importing.planning import asked, codes, plan, reason
from tickets.importing import FileRefused, LeftOut

VALID, VOID = "valid", "gone"
GUESTS = [{"barcode": "K-1"}, {"barcode": "K-2"}]


def tickets(name: str, *values: Any) -> list[dict[str, Any]]:
    """A ticket for each of these values of one name."""
    return [{"barcode": f"K-{number}", name: value} for number, value in enumerate(values, 1)]


def orders(name: str, *values: Any) -> list[dict[str, Any]]:
    """An order of one position for each of these values."""
    return [
        {name: value, "positions": [{"barcode": f"K-{number}"}]} for number, value in enumerate(values, 1)
    ]


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ({"orders": orders("state", VALID, VOID)}, "order state"),
        (orders("payment", {"by": {"state": VALID}}, {"by": {"state": VOID}}), "order payment by state"),
        ({"event": {"orders": orders("cancelled", False, True)}}, "order cancelled"),
        (tickets("states", [{"state": VALID}], [{"state": VOID}]), "states (a list) state"),
        (tickets("days", [["Fr"], "Sa"], [["Fr"], "Su"]), "days (a list)"),
        (tickets("states", [{}], []), "states (a list)"),
        (tickets("validity", {"at": "x", "st": VALID}, {"at": "x", "st": VOID}), "validity st"),
        (tickets("check", {"no": 1, "ok": True}, {"no": 1, "ok": False}), "check ok"),
        ([{"barcode": "K-1", "s t": VALID}, {"barcode": "K-2", "s t": VALID, "s-t": VOID}], "s t"),
    ],
)
def test_what_parts_the_tickets_is_asked_wherever_it_stands(
    tmp_path: Path, content: Any, column: str
) -> None:
    found = plan(tmp_path, content, code="barcode")
    assert asked(found) == [f"column:{column}"]
    assert len(found.questions[0].values) == 2, "each text of it can be answered"


def test_what_the_order_says_leaves_its_tickets_out(tmp_path: Path) -> None:
    found = plan(tmp_path, orders("state", VALID, VOID), code="barcode", admits=[f"order state={VALID}"])
    assert (codes(found), found.left_out) == (["K-1"], [LeftOut(2, f"order state: {VOID}")])


def test_what_a_file_says_of_all_its_tickets_is_asked_like_a_column(tmp_path: Path) -> None:
    content = {"status": "cancelled", "count": 2, "sum": {"barcode": "none"}, "tickets": GUESTS}
    assert asked(plan(tmp_path, content)) == ["column:status (of the file)"]


def test_a_text_in_two_languages_is_two_columns(tmp_path: Path) -> None:
    texts = [("Tag", "Day"), ("Nacht", "Night"), ("Tag", "Day")]
    content = tickets("product", *({"de": german, "en": english} for german, english in texts))
    assert asked(plan(tmp_path, content)) == ["column:product de", "column:product en"]
    answers = {"column": ["product=product de"], "harmless": ["product en"], "entrances": "Tag"}
    found = plan(tmp_path, content, **answers)
    assert [one.product for one in found.tickets if found.products[one.product]] == ["Tag", "Tag"]


@pytest.mark.parametrize(
    ("content", "other"),
    [
        ({"attendees": GUESTS, "refunds": [{"barcode": "K-1"}]}, "refunds"),
        ({"tickets": GUESTS, "codes": ["K-1"]}, "codes"),
        ({"rows": GUESTS, "events": [{"refunded": "K-1"}]}, "events"),
        ({"guests": GUESTS, "meta": {"revoked": ["K-1"]}}, "meta revoked"),
        ({"event": {"orders": orders("n", 1), "waitlist": ["K-1"]}}, "waitlist"),
        ({"event": {"orders": orders("n", 1)}, "waitlist": ["K-1"]}, "waitlist"),
    ],
)
def test_a_second_list_is_not_passed_over(tmp_path: Path, content: Any, other: str) -> None:
    with pytest.raises(FileRefused, match=f"holds the list '{other}', which may say who comes in: write"):
        plan(tmp_path, content)


def test_an_empty_second_list_says_nothing(tmp_path: Path) -> None:
    assert codes(plan(tmp_path, {"results": [], "tickets": GUESTS, "refunds": []})) == ["K-1", "K-2"]


def test_a_code_that_is_given_twice_opens_nothing(tmp_path: Path) -> None:
    found = plan(tmp_path, [{"ticket": {"code": "K-1"}, "ticket code": "K-2"}], code="ticket code")
    assert reason(found) == "column 'ticket code' is given twice, with different texts"


def test_pretix_knows_what_its_orders_and_their_event_say(tmp_path: Path) -> None:
    """doc/api/resources/orders: only money that was given back is asked about."""
    position = {"positionid": 1, "item": 5, "secret": "s1", "answers": [{"question": 1, "answer": "M"}]}
    order = {
        "code": "A1", "status": "p", "secret": "q1w2", "locale": "de", "sales_channel": "web",
        "payments": [{"local_id": 1, "state": "confirmed"}], "refunds": [],
        "invoice_address": {"city": "Ulm"}, "positions": [position],
    }  # fmt: skip
    refunded = order | {
        "code": "A2", "locale": "en", "payments": [], "refunds": [{"state": "done"}],
        "invoice_address": {"city": "Bonn"}, "positions": [position | {"secret": "s2", "answers": []}],
    }  # fmt: skip
    content = {"count": 2, "next": None, "results": [order, refunded]}
    assert asked(plan(tmp_path, content, entrances="5")) == ["column:order refunds (a list) state"]
