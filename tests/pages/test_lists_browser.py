"""An organiser makes an event with a VIP zone and meals in a real browser over a real cluster, imports its
guests, has two gates scan, and finds the numbers that were counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.supervised import Supervised, supervised
from tests.pages.browsing import Complaints, opened, shown
from tests.pages.test_import_browser import look

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SHOP = """Ticket ID,Barcode,Ticket type,Name,Seat,Status
A-1,code-1,Day,Ada T,A1,valid
A-2,code-2,Day,Bo T,A2,valid
A-3,code-3,VIP,Cem T,A3,valid
"""
EVENTS = "/dashboard/tickets/events"


@pytest.fixture(scope="module")
def s(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    with supervised(tmp_path_factory.mktemp("lists") / "data", "-auto-start=4") as made:
        made.wait_until_running(4)
        yield made


@pytest.fixture
def page(s: Supervised, browser: Browser, complaints: Complaints) -> Iterator[Page]:
    with opened(browser, s.url, complaints) as found:
        yield found
    refused = [one for one in complaints if "status of 400" not in one]  # the form that is told what is wrong
    assert refused == []


def add_list(page: Page, name: str, slug: str) -> None:
    page.get_by_role("link", name="Add a list").click()
    page.get_by_label("Name, for people").fill(name)
    page.get_by_label("Short name").fill(slug)


def rows(page: Page, caption: str) -> list[list[str]]:
    """The cells of the table with this caption, its head apart."""
    table = page.locator("table", has=page.locator("caption", has_text=caption))
    found = table.locator("tbody tr").all()
    return [[cell.inner_text() for cell in row.locator("td").all()] for row in found]


def make_event(page: Page, url: str) -> None:
    """From the form of a new event to its page."""
    page.goto(f"{url}{EVENTS}")
    look(page)
    page.get_by_label("Name", exact=True).fill("Fest 2026")
    expect(page.get_by_label("Short name")).to_have_value("fest-2026")
    page.get_by_label("Time zone").select_option("Europe/Berlin")
    for number, product in enumerate(("Day", "VIP"), start=1):
        page.get_by_label(f"Name of product {number}").fill(product)
    page.get_by_role("button", name="Create").click()
    page.get_by_role("link", name="fest-2026", exact=True).click()


def say_lists(page: Page) -> None:
    """The days, the VIP zone with a mistake that is told, and the meal."""
    page.get_by_role("link", name="Change the list main").click()
    page.get_by_label("A guest may enter").select_option("daily")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="The list main")).to_contain_text("was saved")
    add_list(page, "VIP lounge", "vip")
    page.get_by_role("checkbox", name="VIP").check()
    expect(page.get_by_role("radio", name="only these")).to_be_checked()
    page.get_by_label("A guest may enter").select_option("free")
    page.get_by_label("Nobody enters again before an exit").check()
    page.get_by_role("textbox", name="Closes").fill("2030-06-21T02:00")
    page.get_by_role("textbox", name="Opens On").fill("2031-06-21T02:00")
    page.get_by_role("button", name="Add the list").click()
    expect(page.get_by_text("The list closes before it opens.")).to_be_visible()
    expect(page.get_by_role("textbox", name="Closes")).to_be_focused()
    look(page)
    page.get_by_role("textbox", name="Opens On").fill("")
    page.get_by_label("Most persons inside").fill("50")
    page.get_by_role("button", name="Add the list").click()
    add_list(page, "Meal", "meal")
    page.get_by_label("A guest may enter").select_option("daily")
    page.get_by_role("button", name="Add the list").click()
    expect(shown(page, "lists").locator("tbody tr")).to_have_count(3)


def import_guests(page: Page, url: str, shop: Path) -> None:
    """The shop's file, and the answers to its questions."""
    shop.write_text(SHOP)
    page.goto(f"{url}/dashboard/tickets/files")
    page.get_by_label("File", exact=True).set_input_files(shop)
    page.get_by_label("Into the event").fill("fest-2026")
    page.get_by_role("button", name="Read the file").click()
    page.get_by_label("Barcode", exact=False).check()
    for product in ("Day", "VIP"):
        box = page.get_by_label(product, exact=False)
        if box.count():
            box.first.check()
    page.get_by_label("who may come in, and who has entered", exact=False).check()
    page.get_by_label("valid – ", exact=False).select_option("may come in")
    page.get_by_role("button", name="Answer").click()
    page.get_by_role("button", name="Import 3 new tickets").click()
    expect(shown(page, "import-state")).to_have_text("Imported")


def see_what_was_overruled(page: Page) -> None:
    """The report, from it the ticket's history, from there the list."""
    page.get_by_role("link", name="Forced and annulled entries").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody tr").first).to_contain_text("lost the band")
    look(page)
    page.locator("tbody tr").first.get_by_role("link", name="A-2").click()
    history = shown(page, "tickets").locator("tr.history")
    expect(history).to_contain_text("forced in")
    expect(history).to_contain_text("reason: lost the band")
    look(page)
    history.get_by_role("link", name="Main entrance").first.click()
    expect(page.get_by_role("heading", name="Main entrance")).to_be_visible()


def test_a_two_day_event_is_made_imported_scanned_and_counted(
    s: Supervised, page: Page, tmp_path: Path
) -> None:
    make_event(page, s.url)
    say_lists(page)
    import_guests(page, s.url, tmp_path / "shop.csv")
    scan_a_day(s)
    page.goto(f"{s.url}{EVENTS}?slug=fest-2026")
    lists = [[cells[0].split()[-1], *cells[2:7]] for cells in rows(page, "Lists")]
    assert lists == [  # entries, exits, inside, forced, annulled
        ["main", "3", "0", "3", "1", "1"],
        ["meal", "1", "0", "1", "0", "0"],
        ["vip", "2", "1", "1", "0", "0"],
    ]
    assert rows(page, "By gate") == [["north", "2", "0", "0", "1"], ["south", "1", "0", "1", "0"]]
    look(page)
    page.get_by_role("link", name="VIP lounge").click()
    expect(page.get_by_role("heading", name="VIP lounge")).to_be_visible()
    assert rows(page, "By gate") == [["south", "2", "1", "0", "0"]]
    see_what_was_overruled(page)
    page.goto(f"{s.url}{EVENTS}/list?slug=fest-2026&list=meal")
    page.get_by_text("Take this list away").click()
    look(page)
    page.get_by_role("button", name="Take Meal away").click()
    expect(shown(page, "lists")).to_contain_text("meal (taken away)")


def scan_a_day(s: Supervised) -> None:
    """What two gates do, each with the code that it is answered."""
    north, south = ({"gate": gate, "device": f"{gate}-1"} for gate in ("north", "south"))
    day: list[tuple[str, str, dict[str, Any]]] = [
        ("admit", "ok", {"barcode": "code-1"} | north),
        ("admit", "already_consumed", {"barcode": "code-1"} | south),
        ("admit", "ok", {"barcode": "code-2"} | north),
        ("annul", "ok", {"barcode": "code-2"} | north),
        ("force", "ok", {"barcode": "code-2", "reason": "lost the band"} | south),
        ("admit", "ok", {"barcode": "code-3"} | north),
        ("admit", "ok", {"barcode": "code-3", "list": "vip"} | south),
        ("admit", "still_inside", {"barcode": "code-3", "list": "vip"} | south),
        ("admit", "ok", {"barcode": "code-3", "list": "vip", "kind": "exit"} | south),
        ("admit", "ok", {"barcode": "code-3", "list": "vip"} | south),
        ("admit", "wrong_product", {"barcode": "code-1", "list": "vip"} | south),
        ("admit", "ok", {"barcode": "code-1", "list": "meal"} | north),
        ("admit", "already_consumed", {"barcode": "code-1", "list": "meal"} | north),
    ]
    with s.client() as client:
        for kind, expected, body in day:
            answer = client.post(f"/tickets/{kind}", json={"event": "fest-2026"} | body).json()
            assert answer["code"] == expected, (kind, body, answer)
