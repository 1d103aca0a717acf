"""A second file of a shop in a real browser over a real cluster: what it says otherwise is seen, confirmed in
part, and answered at the gate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.supervised import Supervised, supervised
from tests.pages.browsing import Complaints, expect_to_fit, opened, shown
from tests.pages.test_accessibility import AXE, FIND

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

HEAD = "Ticket ID,Barcode,Ticket type,Name,Seat,Status"
FIRST = [
    "A-1,code-1,Day,Ada T,A1,valid",
    "A-2,code-2,Day,Bo T,A2,valid",
    "A-3,code-3,Day,Cem T,A3,valid",
    "A-4,code-4,Day,Dan T,A4,valid",
    "A-5,code-5,Day,Eve T,A5,valid",
    "A-6,code-6,Day,Fay T,A6,cancelled",
]
SECOND = [
    "A-1,code-1,Day,Ada T,A1,cancelled",
    "A-2,code-2,Day,Bo T,B2,valid",
    "A-3,code-3,Day,Cem T,B3,valid",
    "A-4,new-4,Day,Dan T,A4,valid",
    "A-6,code-6,Day,Fay T,A6,cancelled",
    "A-7,code-7,Day,Gil T,A7,valid",
]


@pytest.fixture(scope="module")
def s(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    with supervised(tmp_path_factory.mktemp("imports") / "data", "-auto-start=4") as made:
        made.wait_until_running(4)
        yield made


@pytest.fixture
def page(s: Supervised, browser: Browser, complaints: Complaints) -> Iterator[Page]:
    with opened(browser, s.url, complaints) as found:
        yield found
    assert complaints == []


def give(page: Page, url: str, file: Path, rows: list[str]) -> None:
    file.write_text("\n".join([HEAD, *rows]))
    page.goto(f"{url}/dashboard/tickets/files")
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_label("Into the event").fill("fest")
    page.get_by_role("button", name="Read the file").click()


def scanned(client: httpx.Client, code: str) -> tuple[str, str | None]:
    """What a gate is answered: reason and seat."""
    answer = client.post("/tickets/admit", json={"event": "fest", "barcode": code, "gate": "north"}).json()
    return answer["code"], answer["seat"]


def look(page: Page) -> None:
    """At a desk and on a phone nothing runs out of its place, and axe finds nothing."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for width, height in ((1280, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        expect_to_fit(page)
        assert page.evaluate(FIND) == []


def test_a_second_file_is_confirmed_in_part_and_the_gate_answers_accordingly(
    s: Supervised, page: Page, tmp_path: Path
) -> None:
    give(page, s.url, tmp_path / "shop.csv", FIRST)
    page.get_by_label("Barcode", exact=False).check()
    look(page)
    page.get_by_label("who may come in, and who has entered", exact=False).check()
    page.get_by_label("valid – ", exact=False).select_option("may come in")
    page.get_by_label("Day", exact=False).check()
    page.get_by_label("create it", exact=False).check()
    page.get_by_role("button", name="Answer").click()
    page.get_by_role("button", name="Import 5 new tickets").click()
    expect(shown(page, "import-state")).to_have_text("Imported")

    give(page, s.url, tmp_path / "shop2.csv", SECOND)
    expect(shown(page, "import-state")).to_have_text("To be confirmed")
    changes = shown(page, "changes")
    for group in (
        "1 new, 1 ticked",
        "2 changed, 0 ticked",
        "1 with another code, 0 ticked",
        "1 cancelled since, 0 ticked",
        "1 gone from the file, 0 ticked",
    ):
        expect(changes.locator("summary", has_text=group)).to_have_count(1)
    look(page)
    page.get_by_label("A-2 (Bo T): seat B2, stored A2").focus()
    page.keyboard.press("Enter")
    expect(shown(page, "import-state")).to_have_text("To be confirmed")
    page.keyboard.press("Space")
    page.get_by_label("A-1 (Ada T, Day, A1): cancelled since").check()
    page.get_by_role("group", name="with another code").get_by_role("checkbox").check()
    expect(shown(page, "confirm-import")).to_have_text("Import 1 new ticket and make 3 changes")
    changes.locator("#change").get_by_role("button", name="Tick all 2").click()
    expect(changes.locator("summary", has_text="2 changed, 2 ticked")).to_have_count(1)
    expect(page.get_by_label("A-1 (Ada T, Day, A1): cancelled since")).to_be_checked()
    page.get_by_label("A-3 (Cem T): seat B3, stored A3").uncheck()
    shown(page, "confirm-import").click()
    expect(shown(page, "import-state")).to_have_text("Imported")
    expect(page.locator("dl.facts").first).to_contain_text(
        "1 changed, 1 with another code, 1 cancelled since"
    )
    expect(page.locator(".notice:visible")).to_have_text(
        "1 changed ticket was left out: the tickets stay as they were."
    )
    look(page)

    with s.client() as client:
        answers = {code: scanned(client, code) for code in (*(f"code-{n}" for n in range(1, 8)), "new-4")}
    assert answers == {
        "code-1": ("blocked", "A1"),
        "code-2": ("ok", "B2"),
        "code-3": ("ok", "A3"),
        "code-4": ("revoked", "A4"),
        "new-4": ("ok", "A4"),
        "code-5": ("ok", "A5"),  # gone from the file, and not ticked
        "code-6": ("barcode_not_found", None),
        "code-7": ("ok", "A7"),
    }
