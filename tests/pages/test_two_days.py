"""A venue plays two days, as issue 44 asks: a house that is entered once a day, a VIP lounge and a dinner.

On Friday `manage.py scan --steps` plays the gate east, the lounge and the kitchen while Stella scans at north
and Sam at the lounge with telephones on `/gate/`, and the scanner of the documentation at south. The primary
is killed in the middle of it. On Saturday the same guests come again, after the shop's second file. The
clocks of platform and nodes are set; nothing waits for midnight.

What was counted by hand (`two_days` has each number, by product, gate and ticket):

    Friday   east  north  south  |  house        |  lounge               |  dinner
    crowd    120                 |  120          |                       |  80
    A-1..6     2      2      1   |  5 (A-3 none) |                       |
    F-1        4                 |  4, 1 out     |                       |  3, 1 annulled
    F-2               3          |  3            |                       |
    P-1        1                 |  1 forced     |                       |
    V-1..4     2             2   |  4            |  7, 6 out, 1 forced   |  1
    sum      129      5      3   |  137          |  7, 1 inside          |  84
    annulled   2      1          |  3            |  0                    |  1

    Saturday
    crowd     61                 |  61           |                       |  20
    A-3, 4, 6, N-1
               1      1      2   |  4            |                       |
    F-1, F-2   4      1          |  5, 1 out     |                       |  1
    V-1..4     1                 |  1            |  3, 2 out             |
    sum       67      2      2   |  71           |  3, 2 inside          |  21
    both     196      7      5   |  208          |  10, 8 out            |  105
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.integration.documented_scanner import Scanner
from tests.integration.network import REPOSITORY, Network, network
from tests.integration.stepped_clocks import PLATFORM, Clocks
from tests.integration.test_process_life import wait_until_everyone_runs
from tests.pages import two_days
from tests.pages.browsing import Complaints, confirm, opened, shown
from tests.pages.test_accessibility import SIZES
from tests.pages.test_gate_browser import ADMIT, TONES, expect_answer, fits_everyone, phone_of, scan
from tests.pages.test_import_browser import look
from tests.pages.test_lists_browser import EVENTS, rows
from tests.pages.two_days import Counted, Moves, code_of
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.exhaustive, pytest.mark.timeout(900)]

NODES = ("node0", "node1", "node2", "node3")
GATE_KEY = "dtvn_" + "g" * 43
PEOPLE = f"""
from django.contrib.auth.models import User
from tests.team_keys import join
for name, groups in {{"stella": ["gate"], "sam": ["gate", "supervise"]}}.items():
    user = User.objects.create_user(name, password="open sesame", is_staff=True)
    join(user, *groups)
store_key("{GATE_KEY}", label="south", scopes=["gate"], event="{two_days.SLUG}")
"""
INSIDE_BEFORE = 20
"""Tickets that entered when the primary is killed: the crowd is 120."""


class Venue:
    """The platform, its clocks, and who stands at its gates."""

    def __init__(self, running: Network, clocks: Clocks, stack: ExitStack) -> None:
        self.running = running
        self.folder = running.data.parent
        self._clocks = clocks
        self._stack = stack
        self.stella: Page
        self.sam: Page
        self.scanner: Scanner

    def begin_at(self, moment: datetime) -> None:
        """Start the platform with its clocks at this moment."""
        self._clocks.set(*NODES, PLATFORM, ahead=moment.timestamp() - time.time())
        self.running.start()
        wait_until_everyone_runs(self.running)

    def open(self, browser: Browser) -> None:
        """Two people with telephones, and a scanner, take their places."""
        assert self.running.run("shell", "-c", PEOPLE).returncode == 0
        self.stella = self._phone(browser, "stella", "Main entrance", "north", "phone-1")
        self.sam = self._phone(browser, "sam", "VIP lounge", "lounge", "phone-2")
        clock = dict(self._clocks.environment())
        self.scanner = Scanner(
            self.folder, self.running.url, GATE_KEY, "south", event=two_days.SLUG, environment=clock
        )
        self._stack.callback(self.scanner.kill)

    def _phone(self, browser: Browser, name: str, listed: str, gate: str, device: str) -> Page:
        context = phone_of(name, browser, self.running)
        self._stack.callback(context.close)
        (page,) = context.pages
        page.get_by_label("Event").select_option(two_days.SLUG)
        page.get_by_label("List").select_option(listed)
        page.get_by_role("combobox", name="Gate", exact=True).fill(gate)
        page.get_by_label("Device").fill(device)
        page.get_by_role("button", name="Start scanning").click()
        expect(shown(page, "code")).to_be_focused()
        return page

    def written(self, name: str, text: str) -> str:
        """The path of a file with this text."""
        (path := self.folder / name).write_text(text, encoding="utf-8")
        return str(path)

    def said(self, *words: str, code: int = 0) -> str:
        """What a command printed, which ended with this exit code."""
        done = self.running.run(*words)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def begun(self, *words: str) -> subprocess.Popen[str]:
        """A command that runs beside the rest."""
        process = subprocess.Popen(
            [sys.executable, "manage.py", *words],
            cwd=REPOSITORY,
            env=self.running.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._stack.callback(process.wait, PATIENCE)
        self._stack.callback(process.kill)
        return process

    def asked(self, path: str, **query: str) -> Any:
        """The data of an answer of the API about the event."""
        with self.running.client() as client:
            answer = client.get(f"/api/v1{path}", params={"event": two_days.SLUG, **query})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def used_up(self) -> int:
        """Tickets with no entry left in the house."""
        with self.running.client() as client:
            path = f"/api/v1/tickets?event={two_days.SLUG}&state=CONSUMED&limit=1"
            return int(client.get(path).headers["X-Total-Count"])


@pytest.fixture
def venue(browser: Browser, tmp_path: Path) -> Iterator[Venue]:
    clocks = Clocks(tmp_path / "clocks")
    with (
        network(tmp_path / "data", environment=dict(clocks.environment())) as running,
        ExitStack() as stack,
    ):
        yield Venue(running, clocks, stack)


@pytest.fixture
def office(venue: Venue, browser: Browser) -> Iterator[Page]:
    """The organiser's page, on a telephone, logged in once the platform runs."""
    venue.begin_at(two_days.FRIDAY)
    running = venue.running
    with opened(browser, running.url, Complaints(), credentials=running.credentials) as page:
        page.set_viewport_size(SIZES["phone"])
        yield page


def test_two_days_with_a_vip_lounge_and_dinners_add_up_by_hand(
    venue: Venue, office: Page, browser: Browser
) -> None:
    an_event_is_made_imported_and_opened(venue)
    venue.open(browser)
    friday_is_played_while_the_primary_is_killed(venue)
    friday_at_the_lounge(venue.sam)
    friday_at_north(venue.stella)
    friday_at_south(venue.scanner)
    the_lounge_is_left(venue)
    all_is_as_counted(venue, office, two_days.FRIDAY_COUNTED, two_days.FRIDAY_MOVES)
    states = venue.asked(f"/events/{two_days.SLUG}")["tickets"]
    assert {name: count for name, count in states.items() if count} == {"VALIDATED": 1, "CONSUMED": 132}
    venue.running.stop()

    venue.begin_at(two_days.SATURDAY)
    the_second_file_is_reconciled(venue, office)
    for phone in (venue.stella, venue.sam):
        phone.goto(f"{venue.running.url}/gate/")
        expect(shown(phone, "code")).to_be_focused()
    saturday_is_played(venue)
    all_is_as_counted(venue, office, two_days.SATURDAY_COUNTED, two_days.SATURDAY_MOVES)
    venue.running.stop()
    the_ledgers_agree(venue)


# --- Friday ----------------------------------------------------------------------------------------


def an_event_is_made_imported_and_opened(venue: Venue) -> None:
    with venue.running.client() as client:
        client.put(f"/api/v1/events/{two_days.SLUG}", json=two_days.EVENT).raise_for_status()
    first = venue.written("friday.csv", two_days.FIRST)
    said = venue.said("import_tickets", first, *two_days.ANSWERS)
    assert "134 rows read: 133 tickets in the network." in said
    assert "1 row left out:" in said
    assert foretold(venue, first) == {"ok": 132, "wrong_product": 1}


def foretold(venue: Venue, file: str) -> dict[str, int]:
    """What the codes of a file would be answered on `main` now, before the doors open; nothing is a fault."""
    told = json.loads(venue.said("scan", file, *two_days.ANSWERS, "--check", "--json"))
    assert told["faults"] == 0
    return dict(told["answers"])


def friday_is_played_while_the_primary_is_killed(venue: Venue) -> None:
    """Three clients scan when the primary dies; none of them sees a refusal, and nothing counts twice."""
    running, stella, sam = venue.running, venue.stella, venue.sam
    day = venue.written("friday-steps.csv", two_days.steps(two_days.FRIDAY_STEPS))
    for phone in (stella, sam):
        phone.evaluate(TONES)
    played = venue.begun("scan", "--steps", day, "--event", two_days.SLUG, "--gates", "2", "--json")
    wait_until(lambda: venue.used_up() >= INSIDE_BEFORE, what="the first of the crowd inside")
    leading = wait_until(partial(primary, running), what="a primary")
    old = running.nodes()[leading]["pid"]
    still_played: list[bool] = []

    def kill(route: Route) -> None:
        os.kill(old, signal.SIGKILL)
        still_played.append(played.poll() is None)
        route.continue_()

    stella.route(ADMIT, kill, times=1)
    venue.scanner.show(code_of("V-3"))
    scan(sam, code_of("V-3"))
    scan(stella, code_of("A-4"))
    expect_answer(stella, "ok", "Admitted", "A-4", "1 of 1")
    expect_answer(sam, "ok", "Admitted", "V-3", "1 of any number")
    assert venue.scanner.outcome(code_of("V-3")).endswith("GREEN: VIP; Guest V-3")
    assert still_played == [True]
    for phone in (stella, sam):
        assert "bad" not in phone.evaluate("tones")
    out, _ = played.communicate(timeout=2 * PATIENCE)
    assert json.loads(out) == {"as_expected": True, "differing": [], **two_days.FRIDAY_TOLD}
    assert played.returncode == 0
    running.wait_for_title(f"validator {leading} ", besides=old)
    wait_until_everyone_runs(running)


def primary(running: Network) -> str:
    return next((name for name, node in running.nodes().items() if node["is_primary"]), "")


def friday_at_the_lounge(sam: Page) -> None:
    """V-1 and V-3 are inside; three may be."""
    toggle_exits(sam, "Exit")
    scan(sam, code_of("V-3"))
    expect_answer(sam, "ok", "Goodbye", "V-3")
    toggle_exits(sam, "Code")
    scan(sam, code_of("V-3"))
    expect_answer(sam, "ok", "Admitted", "V-3", "2 of any number")
    scan(sam, code_of("V-4"))
    expect_answer(sam, "ok", "Admitted", "V-4", "1 of any number")
    scan(sam, code_of("V-2"))
    expect_answer(sam, "bad", "Refused", "V-2", "It is full inside")
    sam.get_by_role("button", name="Let in all the same").click()
    sam.get_by_role("dialog").get_by_label("Reason").fill("moves chairs for the band")
    confirm(sam, "Let in", "against the rules of the list")
    expect_answer(sam, "ok", "Admitted", "Against the rules of the list", "V-2", "2 of any number")
    fits_everyone(sam)


def toggle_exits(page: Page, label: str) -> None:
    page.get_by_role("button", name="Exits").click()
    expect(shown(page, "code-label")).to_have_text(label)


def friday_at_north(stella: Page) -> None:
    """A second thought, and a group of three one by one."""
    scan(stella, code_of("A-4"))
    expect_answer(stella, "bad", "used already", "gate north, phone-1")
    scan(stella, code_of("A-5"))
    expect_answer(stella, "ok", "A-5")
    stella.get_by_role("button", name="Undo Admitted A-5").click()
    confirm(stella, "Undo", "the ticket can enter again")
    expect_answer(stella, "idle", "Undone", "A-5")
    scan(stella, code_of("A-5"))
    expect_answer(stella, "ok", "A-5", "1 of 1")
    for person in ("1 of 3", "2 of 3", "3 of 3"):
        scan(stella, code_of("F-2"))
        expect_answer(stella, "ok", "F-2", person)
    scan(stella, code_of("F-2"))
    expect_answer(stella, "bad", "F-2", "used already", "3 of 3")
    expect(stella.get_by_role("button", name="Let in all the same")).to_have_count(0)
    fits_everyone(stella)


def friday_at_south(scanner: Scanner) -> None:
    """The scanner of the documentation knows what the telephones admitted."""
    assert scanner.answer(code_of("V-4")) == "GREEN: VIP; Guest V-4"
    assert scanner.answer(code_of("A-6")) == "GREEN: Adult; Guest A-6"
    again = scanner.answer(code_of("A-6"))
    assert again.startswith("RED already_consumed: Adult; Guest A-6; entered 2030-06-21 18:")
    assert again.endswith(" at south")
    assert scanner.answer(code_of("A-4")).endswith(" at north")
    assert scanner.answer(code_of("X-1")).startswith("RED barcode_not_found: ")


def the_lounge_is_left(venue: Venue) -> None:
    """Three of four are scanned on their way out, each code shown twice."""
    leaving = venue.written("leaving.csv", two_days.LEAVING)
    words = ("--list", "vip", "--exit", "--gates", "1", "--duplicates", "1", "--json")
    told = json.loads(venue.said("scan", leaving, *two_days.ANSWERS, *words))
    assert (told["proved"], told["faults"]) == (True, [])
    assert (told["tickets"], told["scans"]) == (3, 6)
    assert (told["admitted_once"], told["refused_again"]) == (3, 3)


# --- Saturday --------------------------------------------------------------------------------------


def the_second_file_is_reconciled(venue: Venue, office: Page) -> None:
    """The organiser confirms the cancellations, the new code and the new ticket, and leaves who is gone."""
    second = venue.written("saturday.csv", two_days.SECOND)
    office.goto(f"{venue.running.url}/dashboard/tickets/files")
    office.get_by_label("File", exact=True).set_input_files(second)
    office.get_by_label("Into the event").fill(two_days.SLUG)
    office.get_by_role("button", name="Read the file").click()
    expect(shown(office, "import-state")).to_have_text("To be confirmed")
    for group in (
        "1 new, 1 ticked",
        "1 with another code, 0 ticked",
        "2 cancelled since, 0 ticked",
        "1 gone from the file, 0 ticked",
    ):
        expect(shown(office, "changes").locator("summary", has_text=group)).to_have_count(1)
    office.get_by_role("group", name="with another code").get_by_role("checkbox").check()
    for box in office.get_by_role("group", name="cancelled since").get_by_role("checkbox").all():
        box.check()
    look(office)
    office.set_viewport_size(SIZES["phone"])
    expect(shown(office, "confirm-import")).to_have_text("Import 1 new ticket and make 3 changes")
    shown(office, "confirm-import").click()
    expect(shown(office, "import-state")).to_have_text("Imported")
    said = venue.said("import_tickets", second, *two_days.ANSWERS, "--dry-run")
    assert "1 ticket of the network: gone from the file (--changes gone)." in said
    assert said.count(" of the network: ") == 1, said
    assert foretold(venue, second) == {"ok": 130, "wrong_product": 1}
    venue.said("export_tickets", "admission", admission := str(venue.folder / "admission.csv"))
    with open(admission, encoding="utf-8-sig") as file:
        shut = [row["ticket_id"] for row in csv.DictReader(file) if row["admit"] != "yes"]
    assert shut == ["A-5", "C-120", "P-1"], "all others may come in again, whether they came on Friday or not"


def saturday_is_played(venue: Venue) -> None:
    """The same guests enter the house again; lounge and dinner go on where Friday left them."""
    day = venue.written("saturday-steps.csv", two_days.steps(two_days.SATURDAY_STEPS))
    played = venue.begun("scan", "--steps", day, "--event", two_days.SLUG, "--gates", "2", "--json")
    stella, sam, scanner = venue.stella, venue.sam, venue.scanner
    scan(stella, code_of("A-4"))
    expect_answer(stella, "ok", "Admitted", "A-4", "1 of 1")
    scan(stella, code_of("A-4"))
    expect_answer(stella, "bad", "used already", "gate north, phone-1")
    scan(stella, code_of("A-5"))
    expect_answer(stella, "bad", "Refused", "A-5", "blocked", "cancelled")
    scan(stella, code_of("F-2"))
    expect_answer(stella, "ok", "F-2", "1 of 3")
    scan(sam, code_of("V-3"))
    expect_answer(sam, "ok", "Admitted", "V-3", "3 of any number")
    toggle_exits(sam, "Exit")
    scan(sam, code_of("V-3"))
    expect_answer(sam, "ok", "Goodbye", "V-3")
    assert scanner.answer(code_of("N-1")) == "GREEN: Adult; Guest N-1"
    assert scanner.answer(code_of("A-6")) == "GREEN: Adult; Guest A-6"
    assert scanner.answer(code_of("A-3")).startswith("RED revoked: ")
    assert " 2030-06-22 17:" in scanner.answer(code_of("A-6"))
    out, _ = played.communicate(timeout=2 * PATIENCE)
    assert json.loads(out) == {"as_expected": True, "differing": [], **two_days.SATURDAY_TOLD}


# --- what was counted ------------------------------------------------------------------------------


def all_is_as_counted(venue: Venue, office: Page, counted: Counted, moves: Moves) -> None:
    """The page of the event, the report of what was overruled, each ticket by REST, and on each node."""
    for listed in counted.lists:
        office.goto(f"{venue.running.url}{EVENTS}?slug={two_days.SLUG}&list={listed}")
        sums = {cells[0].split()[-1]: " ".join(cells[2:7]) for cells in rows(office, "Lists")}
        assert sums == counted.lists
        expect(shown(office, "shown").locator("dl")).to_contain_text(counted.tickets)
        assert named(rows(office, "By product")) == counted.products[listed]
        assert named(rows(office, "By gate")) == counted.gates[listed]
    look(office)
    office.set_viewport_size(SIZES["phone"])
    office.get_by_role("link", name="Forced and annulled entries").click()
    expect(office.get_by_role("heading", name="Forced and annulled entries")).to_be_visible()
    overruled = office.locator("tbody tr").all()
    cells = [[cell.inner_text() for cell in row.locator("td").all()] for row in overruled]
    told = {(what.removeprefix("entry "), *place, reason) for _at, what, *place, _who, reason in cells}
    assert told == two_days.OVERRULED
    assert len(cells) == len(two_days.OVERRULED)
    assert all(at.startswith("2030-06-21 18:") for at, *_rest in cells)
    look(office)
    office.set_viewport_size(SIZES["phone"])
    assert {ticket: moved(venue, ticket) for ticket in moves} == moves
    for ticket in ("C-001", "A-4", "F-1", "V-3"):
        same_on_each_node(venue, ticket)


def named(table: list[list[str]]) -> dict[str, str]:
    return {name: " ".join(cells) for name, *cells in table}


def moved(venue: Venue, ticket: str) -> dict[str, tuple[int, int]]:
    """List -> (entries, exits) of a ticket that stand, by REST; its movements say the same."""
    told = venue.asked(f"/tickets/{ticket}")
    found = {one["list"]: (one["entries"], one["exits"]) for one in told["lists"]}
    stands = [(one["list"], one["kind"]) for one in told["movements"] if one["stands"]]
    assert found == {name: (stands.count((name, "entry")), stands.count((name, "exit"))) for name in found}
    return found


def same_on_each_node(venue: Venue, ticket: str) -> None:
    """The killed one has caught up, too."""

    def states() -> list[Any]:
        with venue.running.client() as client:
            paths = [f"/api/v1/nodes/{node}/tickets/{ticket}?event={two_days.SLUG}" for node in NODES]
            return [client.get(path).json().get("data") for path in paths]

    wait_until(
        lambda: (found := states())[0] and found == [found[0]] * len(NODES),
        what=lambda: f"{ticket} is the same on all nodes: {states()}",
    )


def the_ledgers_agree(venue: Venue) -> None:
    """On the disks, after all has ended: the log executed once more leads to the rows that were counted, and
    no node's log differs from another's."""
    data, chain = str(venue.running.data), str(venue.folder / "epochs.json")
    venue.said("epochs", "--out", chain)
    assert "verified: the log up to sequence" in venue.said("verify_learner", "--data-dir", data)
    ledgers = [str(venue.running.data / "nodes" / node / "ledger") for node in NODES]
    told = json.loads(venue.said("audit", *ledgers, "--genesis", chain, "--json"))
    assert (told["forks"], told["contradictions"], told["culprits"]) == ([], {}, {})
