"""Whose answers a file takes, and what it cannot pass over since another file of its event decided by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.importing.exports import as_csv, pretix_row
from tests.importing.networks import PlainNetwork
from tests.importing.planning import asked, codes, plan, stored_of
from tickets.importing import ImportPlan, Known
from tickets.importing.kinds import BARRED, UNASKED

SHOP = (
    "Barcode,Name,Stato,Rimborso,Ticket type,Nota,Comment\n"
    "NIGHT-1,Ann,pagato,,Day,,x\nNIGHT-2,Bob,annullato,,Day,vip,x\n"
    "NIGHT-3,Cid,pagato,,Parking,,x\nNIGHT-4,Dan,pagato,2026-05-02,Day,,x\n"
)
FEST = Known(event="fest", events=("fest",), products={"fest": {"Day": True, "Parking": False}})
DECIDING = ["column:rimborso", "column:stato", "column:ticket type"]
HARMLESS = ["Stato", "Rimborso", "Ticket type"]


@pytest.fixture
def shop(tmp_path: Path) -> ImportPlan:
    answers = {"admits": ["Stato=pagato", "Rimborso="], "harmless": ["Nota"]}
    found = plan(tmp_path, SHOP, known=FEST, entrances="Day", **answers)
    assert codes(found) == ["NIGHT-1", "NIGHT-3"]
    return found


def without(column: int) -> str:
    lines = [line.split(",") for line in SHOP.splitlines()]
    return "".join(",".join(line[:column] + line[column + 1 :]) + "\n" for line in lines)


def test_the_next_file_of_a_source_is_asked_nothing(tmp_path: Path, shop: ImportPlan) -> None:
    later = plan(tmp_path, SHOP + "NIGHT-5,Eve,annullato,,Day,vip,x\n", known=FEST, stored=stored_of(shop))
    assert (asked(later), codes(later), later.trusted) == ([], ["NIGHT-1", "NIGHT-3"], True)


@pytest.mark.parametrize(
    "header", ["Barcode,Name", "Barcode,Name,Comment", "Barcode,Email,Phone", "Ticket code,Name"]
)
def test_a_new_source_is_asked_for_all_that_decided_in_its_event(
    tmp_path: Path, shop: ImportPlan, header: str
) -> None:
    rows = [",".join(["NIGHT-7", *["x"] * header.count(",")]), ""]
    found = plan(tmp_path, "\n".join([header, *rows]), known=FEST, stored=stored_of(shop))
    assert asked(found) == DECIDING
    other = Known(event="gala", events=("gala",))
    assert asked(plan(tmp_path, "\n".join([header, *rows]), known=other, stored=stored_of(shop))) == []


@pytest.fixture
def small(tmp_path: Path, shop: ImportPlan) -> ImportPlan:
    """A list of another shop, of which a person said that it need not say what the first one says."""
    found = plan(
        tmp_path, "Barcode,Name\nNIGHT-6,Wim\n", known=FEST, stored=stored_of(shop), harmless=HARMLESS
    )
    assert codes(found) == ["NIGHT-6"]
    return found


@pytest.mark.parametrize("column", [2, 3, 4])
def test_a_small_source_does_not_stand_for_the_one_that_a_file_is_like(
    tmp_path: Path, shop: ImportPlan, small: ImportPlan, column: int
) -> None:
    found = plan(tmp_path, without(column), known=FEST, stored=stored_of(shop, small))
    lacks = SHOP.splitlines()[0].split(",")[column].lower()
    assert f"column:{lacks}" in asked(found)
    cut = "Barcode,Name,Stato\nNIGHT-7,Jo,pagato\nNIGHT-8,Flo,annullato\n"
    found = plan(tmp_path, cut, known=FEST, stored=stored_of(shop, small), admits=["Stato=pagato"])
    assert asked(found) == ["column:rimborso", "column:ticket type"]


def test_two_shops_of_one_event_stay_as_they_were_confirmed(
    tmp_path: Path, shop: ImportPlan, small: ImportPlan
) -> None:
    box = "Barcode,Holder,Paid\nBOX-1,Flo,yes\nBOX-2,Gus,no\n"
    both = stored_of(shop, small)
    third = plan(tmp_path, box, known=FEST, stored=both, admits=["Paid=yes"], harmless=HARMLESS)
    every = stored_of(shop, small, third)
    for content in (SHOP, "Barcode,Name\nNIGHT-6,Wim\nNIGHT-9,Ida\n", box):
        assert asked(plan(tmp_path, content, known=FEST, stored=every)) == []


def test_the_answer_about_a_lost_column_may_be_given_again(
    tmp_path: Path, shop: ImportPlan, small: ImportPlan
) -> None:
    again = "Barcode,Name\nNIGHT-6,Wim\n"
    found = plan(tmp_path, again, known=FEST, stored=stored_of(shop, small), harmless=HARMLESS)
    assert (codes(found), found.key) == (["NIGHT-6"], small.key)


def test_what_another_source_left_out_is_new_only_if_somebody_ticks_it(
    tmp_path: Path, shop: ImportPlan, small: ImportPlan
) -> None:
    content = "Barcode,Name\nNIGHT-2,Bob\nNIGHT-4,Dan\nNIGHT-9,Ida\n"
    found = plan(tmp_path, content, known=FEST, stored=stored_of(shop, small))
    network = PlainNetwork()
    first = network.compare(found)
    assert [one.kind for one in first.orderable()] == ["new", "barred", "barred"]
    assert BARRED not in UNASKED, "also for a source that is trusted"
    ticked = first.found[0]
    network.take(found, [ticked.key])
    again = network.compare(plan(tmp_path, content, known=FEST, stored=stored_of(shop, found)))
    assert ([*again.new], [one.row for one in again.found]) == ([], [3]), "a ticket here is no more barred"
    paid = SHOP.replace("Dan,pagato,2026-05-02", "Dan,pagato,")
    seller = plan(tmp_path, paid, known=FEST, stored=stored_of(shop, found))
    assert [one.kind for one in network.compare(seller).new] == ["new"] * 3, "its own shop lets it in"


def test_a_key_is_of_one_source(tmp_path: Path) -> None:
    """A source that got a column, and a file as its first one was."""
    first = plan(tmp_path, "Barcode,Name\nC-1,Ada\n")
    grown = "Barcode,Name,Flag\nC-1,Ada,a\nC-2,Bo,b\n"
    second = plan(tmp_path, grown, stored=stored_of(first), admits=["Flag=a"])
    other = plan(tmp_path, "Barcode,Name\nC-3,Cem\n", stored=stored_of(second), harmless=["Flag"])
    assert first.key == second.key != other.key


def test_exports_of_two_known_shops_are_no_parts_of_each_other(tmp_path: Path) -> None:
    pretix = plan(tmp_path, as_csv(pretix_row(), pretix_row(Status="canceled")), entrances="Day ticket")
    weezevent = "Barcode,Name of the ticket type,Last name\nW-1,Day ticket,Ada\n"
    answers = {"entrances": "Day ticket", "stored": stored_of(pretix)}
    assert asked(plan(tmp_path, weezevent, **answers)) == []
    assert asked(plan(tmp_path, weezevent.replace("Last name", "Guest"), **answers)) != [], "of no known shop"


@pytest.mark.parametrize(
    ("first", "later", "is_asked"),
    [
        ("red blue red", "red green", False),
        ("red blue red", "paid waiting refunded", True),
        ("2026-05-01 2026-05-02", "2026-05-03 2026-05-04", False),
        (" ".join(f"note-{n}" for n in range(40)), "vip friend", False),
    ],
)
def test_a_harmless_column_is_asked_about_once_all_its_values_are_others(
    tmp_path: Path, first: str, later: str, is_asked: bool
) -> None:
    def table(cells: str) -> str:
        return "Barcode,Group\n" + "".join(f"C-{n},{cell}\n" for n, cell in enumerate(cells.split()))

    known = plan(tmp_path, table(first), harmless=["Group"])
    again = plan(tmp_path, table(later), stored=stored_of(known))
    assert asked(again) == (["column:group"] if is_asked else [])
    told = plan(tmp_path, table(later), stored=stored_of(known), harmless=["Group"])
    for seen in (first, later):
        assert asked(plan(tmp_path, table(seen), stored=stored_of(told))) == [], "not twice"
