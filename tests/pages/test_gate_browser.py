"""A person at a gate with a phone, over a real network: from the login to a primary killed in mid-scan."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.integration.network import Network, network
from tests.pages.browsing import PATIENCE, confirm, expect_to_fit, shown
from tests.pages.test_accessibility import AXE, FIND, SIZES, SMALL, TARGET_MIN
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(900)]

PEOPLE = """
from django.contrib.auth.models import User
from tests.team_keys import join
for name, groups in {"stella": ["gate"], "sam": ["gate", "supervise"]}.items():
    user = User.objects.create_user(name, password="open sesame", is_staff=True)
    join(user, *groups)
"""
ADMIT = "**/tickets/admit"
TONES = """() => {
  window.tones = [];
  const answer = document.querySelector('[data-at="answer"]');
  const look = () => {
    const tone = answer.className.split(" ")[1];
    if (window.tones.at(-1) !== tone) window.tones.push(tone);
  };
  new MutationObserver(look).observe(answer, { attributes: true });
}"""
CODES = 13


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network with an event, guests and a steward of the group gate."""
    with network(tmp_path_factory.mktemp("gate") / "data") as made:
        made.start()
        with made.client() as client:
            event = {
                "name": "Fest 2026",
                "zone": "Europe/Berlin",
                "products": [{"name": "Adult", "admits": True}],
            }
            event["lists"] = [{"list": "vip", "name": "VIP lounge", "rule": "free", "exit_first": True}]
            client.put("/api/v1/events/fest", json=event).raise_for_status()
            for number in range(CODES):
                ticket = {
                    "ticket_id": f"T-{number}",
                    "event": "fest",
                    "product": "Adult",
                    "seat": f"A-{number}",
                }
                client.post("/api/v1/tickets", json=ticket | {"barcodes": [code(number)]}).raise_for_status()
        assert made.run("shell", "-c", PEOPLE).returncode == 0
        yield made


def code(number: int) -> str:
    return f"guest-{number:02}-zy"


def phone_of(name: str, browser: Browser, running: Network) -> BrowserContext:
    """A person's telephone, logged in: the page asks where it stands."""
    context = browser.new_context(viewport=SIZES["phone"], reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    context.add_init_script(path=AXE)
    page = context.new_page()
    page.goto(f"{running.url}/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill("open sesame")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{running.url}/gate/")
    expect(page.get_by_role("heading", name="Where do you scan?")).to_be_visible()
    return context


def stand(page: Page, gate: str, device: str, event: str = "Fest 2026") -> None:
    page.get_by_label("Event").select_option(event)
    page.get_by_role("combobox", name="Gate", exact=True).fill(gate)
    page.get_by_label("Device").fill(device)
    page.get_by_role("button", name="Start scanning").click()
    expect(shown(page, "code")).to_be_focused()


@pytest.fixture(scope="module")
def phone(browser: Browser, running: Network) -> Iterator[BrowserContext]:
    """The steward's, at the gate north."""
    context = phone_of("stella", browser, running)
    (page,) = context.pages
    fits_everyone(page)
    stand(page, "north", "phone-1")
    expect(page).to_have_url(f"{running.url}/gate/?event=fest&gate=north")
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(phone: BrowserContext, running: Network) -> Iterator[Page]:
    """The page as the telephone opens it again: nothing is asked, the field has the focus."""
    found = phone.new_page()
    found.goto(f"{running.url}/gate/")
    expect(shown(found, "code")).to_be_focused()
    expect(shown(found, "connection")).to_have_text("Live")
    yield found
    found.close()


def scan(page: Page, text: str) -> None:
    """As a reader does, which looks at no focus."""
    page.keyboard.type(f"{text}\n")


def expect_answer(page: Page, tone: str, *texts: str) -> None:
    expect(shown(page, "answer")).to_have_class(f"answer {tone}")
    for text in texts:
        expect(shown(page, "answer")).to_contain_text(text)


def fits_everyone(page: Page) -> None:
    """For a thumb, an eye and an ear."""
    expect_to_fit(page)
    assert page.evaluate(SMALL, TARGET_MIN) == []
    assert page.evaluate(FIND) == []


def expect_one_admission(page: Page, running: Network, ticket: str) -> None:
    """Of all that the log has of the ticket; a repeated question may be ordered again, and admits nobody."""
    latest = page.request.get(f"{running.url}/dashboard/snapshot").json()["log"]["latest"]
    admitted = [one for one in latest if one["type"] == "ticket_consumed" and one["ticket_id"] == ticket]
    assert len([one for one in admitted if not one.get("repeated")]) == 1, admitted


def test_each_scan_is_answered_in_its_colour(page: Page, running: Network) -> None:
    fits_everyone(page)
    scan(page, code(0))
    expect_answer(page, "ok", "Admitted", "T-0", "Adult", "A-0")
    expect(shown(page, "aloud")).to_contain_text("Admitted. Product Adult. Seat A-0")
    fits_everyone(page)
    scan(page, code(0))
    expect_answer(page, "bad", "Refused", "used already", "gate north, phone-1", "read twice")
    fits_everyone(page)
    scan(page, "no such code")
    expect_answer(page, "bad", "Refused", "No ticket of this event has this code", "…code")
    scan(page, "guest-01-yz".replace("-", "ß"))
    expect_answer(page, "warn", "Wrong keyboard", "US keyboard", "German", "Nothing is said about the guest")
    fits_everyone(page)
    expect(shown(page, "last").locator("li")).to_have_count(4)
    expect(shown(page, "last").locator("li").last).to_contain_text("Adult, A-0 T-0")
    expect_one_admission(page, running, "T-0")
    page.emulate_media(color_scheme="dark")
    fits_everyone(page)


def test_a_reader_types_into_the_field_wherever_the_focus_is(page: Page) -> None:
    shown(page, "sound").focus()
    scan(page, code(1))
    expect_answer(page, "ok", "T-1")
    expect(shown(page, "sound")).to_have_attribute("aria-pressed", "false")
    shown(page, "sound").focus()
    page.keyboard.press("Enter")
    expect(shown(page, "sound")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Tab")
    expect(shown(page, "place-change")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox", name="Gate", exact=True)).to_have_value("north")
    expect(page.get_by_label("List")).to_have_value("main")
    page.get_by_role("combobox", name="Gate", exact=True).fill("south")
    page.keyboard.press("Enter")
    expect(shown(page, "code")).to_be_focused()
    assert page.url.endswith("?event=fest&gate=south")
    page.goto(page.url.replace("south", "north"))  # as a colleague sends it
    expect(shown(page, "place-gate")).to_have_text("gate north")
    page.goto(page.url.replace("fest", "fast"))
    expect(shown(page, "setup-problem")).to_have_text("There is no event fast here: choose another one.")


def lose(route: Route) -> None:
    """The request is executed; its answer does not arrive."""
    route.fetch()
    route.abort()


def test_a_lost_answer_is_amber_then_green_and_asked_under_one_nonce(page: Page, running: Network) -> None:
    asked: list[str] = []
    page.evaluate(TONES)
    page.route(ADMIT, lose, times=2)
    page.on(
        "request", lambda sent: sent.url.endswith("/tickets/admit") and asked.append(sent.post_data or "")
    )
    scan(page, code(2))
    expect_answer(page, "ok", "T-2")
    assert page.evaluate("tones") == ["idle", "warn", "ok"]
    assert len(set(asked)) == 1
    expect_one_admission(page, running, "T-2")


def test_an_open_scan_survives_a_reload_and_a_closed_tab(
    page: Page, phone: BrowserContext, running: Network
) -> None:
    phone.route(ADMIT, lambda route: route.abort())
    scan(page, code(3))
    expect_answer(page, "warn", "Wait", "The guest waits here")
    expect(shown(page, "open")).to_contain_text("1 scan without an outcome")
    scan(page, code(4))
    expect_answer(page, "warn", "Wait", "4-zy")
    expect(shown(page, "open")).to_contain_text("2 scans without an outcome")
    fits_everyone(page)
    page.reload()
    expect_answer(page, "warn", "Wait")
    expect(shown(page, "open")).to_contain_text("2 scans without an outcome")
    page.close()
    phone.unroute(ADMIT)
    again = phone.new_page()
    again.goto(f"{running.url}/gate/")
    expect(shown(again, "last").locator("li", has_text="T-3")).to_contain_text("Admitted")
    expect(shown(again, "last").locator("li", has_text="T-4")).to_contain_text("Admitted")
    expect(shown(again, "open")).to_be_hidden()
    assert again.evaluate("Object.keys(localStorage).filter((name) => name.startsWith('gate-scan'))") == []
    for ticket in ("T-3", "T-4"):
        expect_one_admission(again, running, ticket)
    again.close()


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)


def test_a_primary_killed_in_mid_scan_is_amber_and_then_green_once(page: Page, running: Network) -> None:
    """Two members stand still meanwhile, so that nothing is decided until they go on."""

    def primary() -> str:
        return next((name for name, node in running.nodes().items() if node["is_primary"]), "")

    page.evaluate(TONES)
    leading = wait_until(primary, what="a primary")
    nodes = running.nodes()
    backups = [node["pid"] for name, node in nodes.items() if name != leading]

    def kill(route: Route) -> None:
        signal_all(backups[:2], signal.SIGSTOP)
        os.kill(nodes[leading]["pid"], signal.SIGKILL)
        route.continue_()

    page.route(ADMIT, kill, times=1)
    scan(page, code(5))
    expect_answer(page, "warn", "Wait")
    signal_all(backups[:2], signal.SIGCONT)
    expect_answer(page, "ok", "T-5")
    assert page.evaluate("tones") == ["idle", "warn", "ok"]
    expect_one_admission(page, running, "T-5")
    scan(page, code(5))
    expect_answer(page, "bad", "used already")


def test_an_entry_is_undone_and_the_ticket_enters_again(page: Page) -> None:
    scan(page, code(6))
    expect_answer(page, "ok", "T-6")
    page.get_by_role("button", name="Undo Admitted T-6").click()
    confirm(page, "Undo", "the ticket can enter again")
    expect_answer(page, "idle", "Undone", "T-6")
    expect(shown(page, "last").locator("li", has_text="Undone")).to_have_count(
        2
    )  # what was done, and the undo
    expect(page.get_by_role("button", name="Undo Admitted T-6")).to_be_hidden()
    fits_everyone(page)
    scan(page, code(6))
    expect_answer(page, "ok", "T-6")


def test_an_undo_whose_answer_is_lost_is_asked_again(page: Page) -> None:
    scan(page, code(7))
    expect_answer(page, "ok", "T-7")
    page.route("**/tickets/annul", lose, times=1)
    page.get_by_role("button", name="Undo Admitted T-7").click()
    confirm(page, "Undo", "the ticket can enter again")
    expect_answer(page, "idle", "Undone", "T-7")


def test_a_list_with_exits_is_entered_left_and_entered_again(page: Page, running: Network) -> None:
    page.goto(f"{running.url}/gate/?event=fest&list=vip&gate=lounge")
    expect(shown(page, "place-gate")).to_have_text("VIP lounge, gate lounge")
    scan(page, code(8))
    expect_answer(page, "ok", "T-8", "1 of any number")
    scan(page, code(8))
    expect_answer(page, "bad", "has to leave first")
    fits_everyone(page)
    page.get_by_role("button", name="Exits").click()
    expect(shown(page, "code-label")).to_have_text("Exit")
    fits_everyone(page)
    scan(page, code(8))
    expect_answer(page, "ok", "Goodbye", "The exit is recorded", "T-8")
    fits_everyone(page)
    expect(page.get_by_role("button", name="Undo Goodbye T-8")).to_be_visible()
    expect(page.get_by_role("button", name="Undo Admitted T-8")).to_be_hidden()
    scan(page, code(8))
    expect_answer(page, "warn", "Not inside", "No entry of this ticket is open here")
    page.get_by_role("button", name="Exits").click()
    scan(page, code(8))
    expect_answer(page, "ok", "Admitted", "2 of any number")
    page.goto(f"{running.url}/gate/?event=fest&list=roof&gate=lounge")
    expect(shown(page, "setup-problem")).to_have_text(
        "This event has no list roof for this login: choose another one."
    )
    fits_everyone(page)
    page.goto(f"{running.url}/gate/?event=fest&gate=north")  # where the telephone stands for other tests


def test_a_supervisor_lets_in_against_the_rules_with_a_reason(
    page: Page, browser: Browser, running: Network
) -> None:
    scan(page, code(9))
    expect_answer(page, "ok", "T-9")
    scan(page, code(9))
    expect_answer(page, "bad", "used already")
    expect(page.get_by_role("button", name="Let in all the same")).to_have_count(0)
    desk = phone_of("sam", browser, running)
    (desk_page,) = desk.pages
    stand(desk_page, "desk", "phone-2")
    scan(desk_page, code(9))
    expect_answer(desk_page, "bad", "used already", "gate north, phone-1")
    fits_everyone(desk_page)
    desk_page.get_by_role("button", name="Let in all the same").click()
    desk_page.get_by_role("dialog").get_by_label("Reason").fill("lost sight of the family")
    confirm(desk_page, "Let in", "against the rules of the list")
    expect_answer(desk_page, "ok", "Admitted", "Against the rules of the list", "T-9", "2 of 1")
    fits_everyone(desk_page)
    scan(desk_page, "no such code")
    expect_answer(desk_page, "bad", "No ticket")
    expect(desk_page.get_by_role("button", name="Let in all the same")).to_be_hidden()
    desk.close()


def annul(page: Page, reason: str, says: str) -> None:
    page.get_by_role("dialog").get_by_label("Reason").fill(reason)
    confirm(page, "Annul", says)


def test_a_supervisor_annuls_what_another_person_scanned(
    page: Page, browser: Browser, running: Network
) -> None:
    """Found by looking the ticket up, by its refusal, and among the last scans."""
    scan(page, code(10))
    expect_answer(page, "ok", "T-10")
    expect(page.get_by_role("button", name="Look up")).to_have_count(0)
    desk = phone_of("sam", browser, running)
    (desk_page,) = desk.pages
    stand(desk_page, "desk", "phone-3")
    by_a_look_up(desk_page)
    scan(page, code(10))
    expect_answer(page, "ok", "Admitted", "T-10")
    by_its_refusal(desk_page)
    scan(page, code(10))
    expect_answer(page, "ok", "Admitted", "T-10")
    desk.close()


def by_a_look_up(desk: Page) -> None:
    look = desk.get_by_role("button", name="Look up")
    look.click()
    expect(shown(desk, "code-label")).to_have_text("Look up")
    fits_everyone(desk)
    scan(desk, "T-10")  # by its id
    expect_answer(
        desk, "idle", "Looked up", "T-10", "Last entry", "gate north, phone-1", "Nothing is recorded"
    )
    expect(shown(desk, "aloud")).to_contain_text("Looked up. Nothing is recorded by looking. Product Adult")
    expect(look).to_have_attribute("aria-pressed", "false")
    fits_everyone(desk)
    desk.get_by_role("button", name="Annul its last entry or exit").press("Enter")
    desk.keyboard.press("Escape")  # second thoughts about second thoughts
    expect_answer(desk, "idle", "Looked up", "gate north, phone-1")
    desk.get_by_role("button", name="Annul its last entry or exit").press("Enter")
    reason = desk.get_by_role("dialog").get_by_label("Reason")
    reason.fill("   ")
    desk.get_by_role("dialog").get_by_role("button", name="Annul").click()
    expect(desk.get_by_role("dialog")).to_be_visible()
    assert "Give a reason" in reason.evaluate("field => field.validationMessage")
    fits_everyone(desk)
    annul(desk, "a mixed-up phone", "The newest entry of T-10")
    expect_answer(desk, "idle", "Annulled", "T-10")
    look.click()
    scan(desk, code(10))
    expect_answer(desk, "idle", "Looked up", "It has no entry or exit on this list")
    expect(desk.get_by_role("button", name="Annul its last entry or exit")).to_be_hidden()
    look.click()
    scan(desk, "T-nowhere")
    expect_answer(desk, "warn", "Not found", "No ticket of this event has this code or id")
    desk.route("**/tickets/find", lambda route: route.abort())
    look.click()
    scan(desk, code(10))
    expect_answer(desk, "warn", "Not looked up", "The platform does not answer. Look it up again.")
    desk.unroute("**/tickets/find")


def by_its_refusal(desk: Page) -> None:
    scan(desk, code(10))
    expect_answer(desk, "bad", "used already", "phone-1")
    fits_everyone(desk)
    desk.get_by_role("button", name="Annul its last entry or exit").click()
    desk.route("**/tickets/annul", lose, times=1)  # asked again under its nonce: one entry is taken back
    annul(desk, "the twin", "gate north, phone-1")
    expect_answer(desk, "idle", "Annulled", "T-10")


LONG_AGO = """() => localStorage.setItem("gate-last", JSON.stringify(
  JSON.parse(localStorage.getItem("gate-last")).map((row) => ({ ...row, at: row.at - 16 * 60000 }))))"""


def test_a_supervisor_annuls_an_own_scan_that_is_too_old_to_undo(browser: Browser, running: Network) -> None:
    desk = phone_of("sam", browser, running)
    (page,) = desk.pages
    stand(page, "desk", "phone-4")
    scan(page, code(11))
    expect_answer(page, "ok", "T-11")
    expect(page.get_by_role("button", name="Undo Admitted T-11")).to_be_visible()
    page.evaluate(LONG_AGO)
    page.reload()
    expect(page.get_by_role("button", name="Undo Admitted T-11")).to_be_hidden()
    page.get_by_role("button", name="Annul Admitted T-11").click()
    annul(page, "sold twice", "gate desk, phone-4")
    expect_answer(page, "idle", "Annulled", "T-11")
    expect(page.get_by_role("button", name="Annul Admitted T-11")).to_be_hidden()
    expect(shown(page, "last").locator("li", has_text="Undone")).to_contain_text("T-11")
    fits_everyone(page)
    scan(page, code(11))
    expect_answer(page, "ok", "Admitted", "T-11")
    desk.close()
