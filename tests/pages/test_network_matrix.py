"""Who hears whom on the network page, in a browser: the matrix, its sentence, and the history."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from dtvn.protocol.durations import SECOND
from tests.network_watch.members import Members
from tests.network_watch.seen import NAMES, between
from tests.pages.browsing import PATIENCE, expect_to_fit, shown
from tests.pages.test_accessibility import AXE, FIND, SIZES, SMALL, TARGET_MIN
from tests.pages.test_network_drawing import NOTHING_SEEN, drawn, node
from validators.models import NetworkCut
from validators.network_watch.history import fill, moment
from validators.network_watch.watch import NetworkWatch
from validators.rest.network import describe

pytestmark = pytest.mark.integration

HALVES = between(["venue", "seller"], ["promoter", "auditor"])
AFTER = 600
MINUTE = 60 * SECOND


class Seen:
    """What the API says of members that report it, as of now."""

    def __init__(self) -> None:
        self.watch = NetworkWatch()
        # Away from the end of a minute, as pages say no seconds.
        began = (time.time_ns() - AFTER * SECOND) // MINUTE * MINUTE + 20 * SECOND
        self.members = Members(self.watch, began=began)
        self.past: list[NetworkCut] = []
        self.told: dict[str, Any] = {}

    def pass_seconds(self, seconds: int) -> None:
        """Also for a page that shows `told`."""
        self.members.pass_seconds(seconds)
        self.told.update(describe(self.watch, self.past))

    def remember(self) -> None:
        """The cut of now is in the history, which the browser's event loop keeps from the database."""
        assert self.watch.cut is not None
        self.past.append(NetworkCut(pk=1))
        fill(self.past[0], self.watch.cut, self.watch.hearing.at)

    def end(self) -> None:
        self.past[0].ended_at = moment(self.watch.hearing.at)

    def minute(self, second: int) -> str:
        """When this second of the members was, as a page says it: hours and minutes."""
        return f"{datetime.fromtimestamp(self.members.began / SECOND + second, UTC):%H:%M}"


@pytest.fixture
def seen() -> Seen:
    found = Seen()
    found.pass_seconds(60)
    return found


NODES = [node(name) for name in NAMES]


def cell(page: Page, hearer: str, heard: str) -> Any:
    row = shown(page, "hears-rows").get_by_role("row", name=re.compile(f"^{hearer} hears"))
    return row.get_by_role("cell").nth(NAMES.index(heard))


def test_all_hear_each_other(browser: Browser, seen: Seen) -> None:
    with drawn(browser, NODES, [*NAMES], seen.told) as page:
        expect(shown(page, "cut-sentence")).to_have_text("All members that report hear each other.")
        expect(shown(page, "cut-consequence")).to_contain_text("3 of 4 members are a quorum")
        expect(cell(page, "venue", "promoter")).to_have_text("heard")
        expect(cell(page, "venue", "promoter").get_by_role("img")).to_have_accessible_name(
            f"heard since {seen.minute(1)}"
        )
        expect(shown(page, "no-cuts")).to_be_visible()
        expect(shown(page, "cut-link")).to_be_hidden()


def test_before_there_is_a_cluster_the_page_says_what_to_do(browser: Browser) -> None:
    with drawn(browser, [node("r0")], ["r0"], NOTHING_SEEN) as page:
        expect(shown(page, "no-hears")).to_have_text("No cluster yet: the Nodes page starts one.")
        expect(shown(page, "hears")).to_be_hidden()


def test_a_cut_is_told_live_and_the_history_tells_it_afterwards(browser: Browser, seen: Seen) -> None:
    with drawn(browser, NODES, [*NAMES], seen.told) as page:
        seen.members.lose(HALVES)
        seen.pass_seconds(239)
        seen.remember()
        seen.pass_seconds(1)
        page.evaluate("dtvn.hearing.renew()")
        said = f"venue and seller | promoter and auditor since {seen.minute(60)}."
        expect(shown(page, "cut-sentence")).to_have_text(said)
        expect(shown(page, "cut-consequence")).to_contain_text("No side has a quorum (3 of 4 members)")
        expect(cell(page, "venue", "promoter")).to_have_text("silent 4 min")
        expect(cell(page, "venue", "seller")).to_have_text("heard")
        expect(cell(page, "venue", "promoter").get_by_role("img")).to_have_accessible_name(
            f"last hour: silent since {seen.minute(60)}"
        )
        expect(shown(page, "cuts").locator("tr")).to_contain_text("lasts")
        seen.members.cut.clear()
        seen.pass_seconds(2)
        seen.end()
        seen.pass_seconds(58)
        page.evaluate("dtvn.hearing.renew()")
        expect(shown(page, "cut-sentence")).to_have_text("All members that report hear each other.")
        expect(shown(page, "cuts").locator("tr")).to_contain_text("venue and seller | promoter and auditor")
        expect(shown(page, "cuts").locator("tr")).to_contain_text("4 min")
        expect(shown(page, "cuts").locator("tr")).to_contain_text("nobody")
        expect(cell(page, "venue", "promoter")).to_have_text("heard")
        assert cell(page, "venue", "promoter").locator("rect").count() == 3


def test_one_way_and_who_does_not_report(browser: Browser, seen: Seen) -> None:
    seen.members.lose([("venue", "promoter")])
    seen.members.unseen = {"auditor"}
    seen.pass_seconds(30)
    with drawn(browser, NODES, [*NAMES], seen.told) as page:
        expect(shown(page, "cut-sentence")).to_have_text(
            f"venue does not hear promoter since {seen.minute(60)}; promoter hears venue."
        )
        expect(cell(page, "auditor", "venue")).to_have_text("no report")
        expect(shown(page, "cut-link")).to_be_visible()


def test_who_was_stopped_here_is_called_so(browser: Browser, seen: Seen) -> None:
    seen.members.lose(between(["venue"], ["promoter", "seller", "auditor"]))
    seen.members.unseen, seen.members.own = {"venue"}, {"venue": False}
    seen.pass_seconds(30)
    with drawn(browser, NODES, [*NAMES], seen.told) as page:
        said = "All members that report hear each other. Stopped here: venue."
        expect(shown(page, "cut-sentence")).to_have_text(said)
        expect(cell(page, "promoter", "venue")).to_have_text("stopped")
        expect(cell(page, "venue", "promoter")).to_have_text("no report")


def test_with_too_few_that_run_the_page_claims_no_quorum(browser: Browser, seen: Seen) -> None:
    gone = ("venue", "promoter")
    seen.members.lose((one, other) for one in NAMES for other in gone)
    seen.members.unseen, seen.members.own = {*gone}, dict.fromkeys(gone, False)
    seen.pass_seconds(30)
    with drawn(browser, NODES, [*NAMES], seen.told) as page:
        said = "seller and auditor hear each other. Stopped here: venue and promoter."
        expect(shown(page, "cut-sentence")).to_have_text(said)
        expect(shown(page, "cut-consequence")).to_have_text(
            "Too few members run for a quorum (2 of 4, and 3 are needed): nothing is decided until more run."
        )


def test_an_end_that_nobody_watched_is_two_times_and_who_froze_did_not_decide(
    browser: Browser, seen: Seen
) -> None:
    frozen = NAMES[:3]
    seen.members.lose(("auditor", other) for other in frozen)
    seen.members.unseen = {*frozen}
    seen.pass_seconds(60)
    seen.remember()
    seen.members.unseen.clear()
    seen.members.cut.clear()
    seen.pass_seconds(35)
    seen.end()
    seen.pass_seconds(1)
    with drawn(browser, NODES, [*NAMES], seen.told) as page:
        row = shown(page, "cuts").locator("tr")
        expect(row).to_contain_text("not known: venue, promoter, seller, if they ran")
        expect(row).to_contain_text("61 s to 96 s")
        expect(row).to_contain_text(re.compile(r"\d\d:\d\d:\d\d to \d\d:\d\d:\d\d"))


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_cut_of_seven_can_be_read_by_everyone(browser: Browser, size: str) -> None:
    seen = Seen()
    names = tuple(f"organiser-{number}" for number in range(7))
    seen.members = Members(seen.watch, names, began=seen.members.began)
    seen.pass_seconds(60)
    seen.members.lose(between(names[:5], names[5:]))
    seen.pass_seconds(200)
    context = browser.new_context(viewport=SIZES[size], reduced_motion="reduce")  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    context.add_init_script(path=AXE)
    with drawn(browser, [node(name) for name in names], [*names], seen.told, context=context) as page:
        expect(shown(page, "hears-rows").locator("td.silent")).to_have_count(20)
        assert page.evaluate(FIND) == []
        expect_to_fit(page)
        if size == "phone":
            assert page.evaluate(SMALL, TARGET_MIN) == []
        else:
            shown(page, "hears").focus()
            expect(shown(page, "hears")).to_be_focused()
