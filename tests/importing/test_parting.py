"""A column that is read as known of the guest is asked about, unless it tells the orders apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.importing.planning import asked, codes, plan
from tests.importing.test_columns import many, stored_of, table_of
from tickets.importing import LeftOut


def turns(*texts: str) -> list[str]:
    """These texts in turn, in twelve rows; "#" becomes the number of the row."""
    return [texts[number % len(texts)].replace("#", str(number)) for number in range(12)]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("City", turns("Berlin", "Hamburg")),
        ("Company", turns("", "väntelista")),
        ("Telefon", turns("030 12#", "030 13#", "avbokad")),
        ("Zip", turns("0", "1")),
        ("Email", turns("a#@x.se", "b#@x.se", "avbokad")),
        ("Order", turns("1#01", "1#02", "on the waiting list")),
        ("Order", turns("betald", "anulowano")),
        ("Seat", turns("A#", "B#", "waiting list")),
        ("Seat", turns("Theatre 1", "Theatre 2")),
        ("Place", [f"{number}.8.2026" for number in range(1, 14)]),
        ("Name", [*turns("Guest #"), "CANCELLED"]),
    ],
)
def test_what_is_unlike_its_field_is_asked_about(tmp_path: Path, name: str, cells: list[str]) -> None:
    content = many(name, cells)
    assert asked(plan(tmp_path, content)) == [f"column:{name.lower()}"]
    assert len(plan(tmp_path, content, harmless=[name]).tickets) == len(cells)


def test_a_second_column_of_names_may_say_who_sold_the_ticket(tmp_path: Path) -> None:
    rows = turns("Guest #"), turns("kept", "sold on")
    content = table_of({"barcode": turns("C-#"), "Holder": rows[0], "Name": rows[1]})
    assert asked(plan(tmp_path, content)) == ["column:name"]


ORDERS = turns("A7B3C", "FOOBA", "XY9ZZ")


@pytest.mark.parametrize(
    "columns",
    [
        {"Order": ORDERS, "Name": turns("Ada", "Bo", "Cem"), "Email": turns("a@x.se", "b@x.se", "c@x.se")},
        {"Order": turns("FOOBA", "WXYZV", "QWERT")},
        {"First name": turns("Ada", "Bo"), "Last name": turns("One #", "Two #", "Six #")},
        {"Phone": turns("-", "030 #"), "Company": turns("", "Company #"), "Seat": turns("", "A#")},
        {"Email": turns("a@x.se", "b@x.se"), "Zip": turns("01067", "D02 AF30"), "City": turns("Ulm", "Bonn")},
        {"Street": turns("Main #"), "Zip": turns("1010#"), "City": turns("Berlin #")},
    ],
)
def test_what_tells_the_orders_apart_is_not_asked_about(
    tmp_path: Path, columns: dict[str, list[str]]
) -> None:
    assert asked(plan(tmp_path, table_of({"barcode": turns("C-#")} | columns))) == []


def test_a_town_of_several_orders_is_kept_with_the_guest_once_somebody_says_so(tmp_path: Path) -> None:
    content = table_of(
        {
            "barcode": turns("C-#"),
            "Order": turns("X1", "X2", "X3"),
            "City": turns("Ulm", "Bonn"),
        }
    )
    (question,) = plan(tmp_path, content).questions
    assert (question.likely, question.answers[-2:]) == ("city", ("column=city=City", "harmless=City"))
    found = plan(tmp_path, content, column=["city=City"])
    assert found.tickets[0].holder.address == "Ulm"
    assert asked(plan(tmp_path, content, stored=stored_of(found))) == []


def test_an_order_that_all_rows_share_tells_nothing_apart(tmp_path: Path) -> None:
    content = table_of({"barcode": turns("C-#"), "Order": turns("1001"), "Group": turns("kept", "sold on")})
    columns = {"barcode": turns("C-#"), "Order": turns("1001"), "Company": turns("kept", "sold on")}
    assert asked(plan(tmp_path, content)) == ["column:group"]
    assert asked(plan(tmp_path, table_of(columns))) == ["column:company"]


def test_an_answer_about_such_a_column_is_stored(tmp_path: Path) -> None:
    content = many("City", turns("Berlin", "Hamburg"))
    stored = stored_of(plan(tmp_path, content, admits=["City=Berlin"]))
    later = many("City", ["Berlin", "Hamburg"])
    found = plan(tmp_path, later, stored=stored)
    assert (codes(found), found.left_out) == (["C-0"], [LeftOut(3, "City: Hamburg")])
    kept = stored_of(plan(tmp_path, content, harmless=["City"]))
    again = stored_of(plan(tmp_path, later, stored=kept))
    assert asked(plan(tmp_path, content, stored=again)) == []


@pytest.mark.parametrize("answer", [{"admits": ["Category=2026-08-01"]}, {"day": ["Category"]}])
def test_a_product_that_is_a_day_may_say_when_it_admits(tmp_path: Path, answer: dict[str, Any]) -> None:
    content = many("Category", turns("2026-08-01", "2026-08-02"))
    question, products = plan(tmp_path, content).questions
    assert (question.id, products.id) == ("column:category", "entrances")
    assert "day=Category" in question.answers
    found = plan(tmp_path, content, **answer, entrances="2026-08-01,2026-08-02", timezone="UTC")
    assert {(one.product, bool(one.not_before)) for one in found.tickets} in (
        {("2026-08-01", False)},
        {("2026-08-01", True), ("2026-08-02", True)},
    )


def test_a_word_for_a_status_is_harmless_in_no_preset(tmp_path: Path) -> None:
    columns = {
        "Order code": turns("O#"), "Product": turns("Day"), "Checked in": turns(""),
        "Secret": turns("s3cret-#"), "Voucher": turns("", "V#"), "State": turns("active", "cancelled"),
    }  # fmt: skip
    assert asked(plan(tmp_path, table_of(columns))) == ["column:state", "entrances"]
