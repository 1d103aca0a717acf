"""Lists over REST: said of an event, entered and left, taken back, and forced (D10, D11)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dtvn.machine.lists import EventList
from tests.api.conftest import Api, read
from tests.api.learner import TableWriter
from tests.api.test_admission import FIRST, SECOND, fest, gate_key, shown
from tests.api.test_ticket_events import MAIN
from tests.api.test_tickets import forget_states
from tests.fake_gateway import FakeGateway
from tickets.services import events, lists
from tickets.services.lists import in_words, name_of, offsets, with_days_of
from validators import feed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import read as ledger

__all__ = ["fest"]
pytestmark = pytest.mark.django_db(databases=["default", "learner"])

VIP = {"list": "vip", "name": "VIP zone", "products": ["Adult"], "rule": "times", "times": 2, "returns": True}


@pytest.fixture
def zoned(fest: Api) -> Api:
    """The fest with a zone and a meal a day."""
    assert said(fest, [VIP, {"list": "meal", "rule": "daily"}])[0] == 200
    return fest


def said(api: Api, lists: list[dict[str, Any]], **more: Any) -> tuple[int, dict[str, Any]]:
    response = api.call("PUT", "events/fest", {"lists": lists} | more)
    return response.status_code, read(response)


def ask(api: Api, verb: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    body = {"barcode": FIRST, "event": "fest", "gate": "north", "device": "d1"} | fields
    response = api.post(f"tickets/{verb}", body)
    return response.status_code, read(response)


COUNTED = ("list", "kind", "entries_used", "entries_allowed", "inside", "forced")


def test_lists_are_said_and_shown_with_main_among_them(zoned: Api) -> None:
    found = read(zoned.get("events/fest"))["data"]["lists"]
    meal = MAIN | {"list": "meal", "rule": "daily"}
    assert found == [MAIN, meal, MAIN | VIP]
    assert said(zoned, found)[1]["data"]["lists"] == found, "what is shown may be sent back"
    _, named = said(zoned, None, name="Gala")  # type: ignore[arg-type]
    assert named["data"]["lists"] == found, "what is left out stays"
    closes = {"list": "vip", "not_before": 1_785_510_000, "not_after": "2026-08-01T02:00:00+02:00"}
    _, changed = said(zoned, [closes])
    assert shown(changed["data"]["lists"][1], "not_before", "not_after") == [
        "2026-07-31T17:00:00+02:00",
        "2026-08-01T02:00:00+02:00",
    ]
    row = ledger.event_row(LEARNER_ALIAS, "fest")
    assert row is not None
    assert [(each.not_before, each.not_after) for each in row.lists] == [
        (1_785_510_000_000_000, 1_785_542_400_999_999)
    ], "through its whole second"


def test_find_says_what_is_left_on_main_now(zoned: Api) -> None:
    """The state does not: on a daily list it is that of an entry of another day."""

    def left() -> list[Any]:
        found = read(zoned.post("tickets/find", {"event": "fest", "barcode": FIRST}))["data"]
        return shown(found, "State", "entries_used", "entries_allowed")

    assert left() == ["ISSUED", 0, 1]
    entered = {"event": "fest", "ticket_id": "T-1", "at": 1_700_000_000}
    assert zoned.post("tickets/import_entry", entered).status_code == 200
    assert left() == ["CONSUMED", 1, 1]
    assert said(zoned, [{"list": "main", "rule": "daily"}])[0] == 200
    assert left() == ["CONSUMED", 0, 1]
    assert ask(zoned, "admit")[0] == 200
    assert left() == ["CONSUMED", 1, 1]
    assert said(zoned, [{"list": "main", "rule": "free"}])[0] == 200
    assert left()[1:] == [2, None]


@pytest.mark.parametrize(
    ("lists", "why"),
    [
        ("vip", "lists must be a list of at most 32"),
        ([{"name": "no slug"}], "lists must be"),
        ([{"list": "a b"}], "lists must be"),
        ([{"list": "vip\n"}], "lists: list must be 1 to 64 characters"),
        ([{"list": "vip", "rule": "often"}], "lists must be"),
        ([{"list": "vip", "rule": "times"}], "times is for the rule times"),
        ([{"list": "vip"}, {"list": "vip"}], "slugs must ascend"),
        ([{"list": "vip", "not_after": "tomorrow"}], "lists: vip: not_after must be Unix seconds"),
        ([{"list": f"l{number}"} for number in range(33)], "lists must be"),
    ],
)
def test_lists_that_mean_nothing_are_400_and_named(zoned: Api, lists: Any, why: str) -> None:
    status, answer = said(zoned, lists)
    assert (status, answer["code"]) == (400, "bad_request")
    assert why in answer["error"]


def test_a_guest_enters_and_leaves_a_zone(zoned: Api) -> None:
    status, entered = ask(zoned, "admit", list="vip")
    assert (status, entered["message"]) == (200, "Admitted: Adult, seat A-1")
    assert shown(entered, "outcome", *COUNTED) == ["admitted", "vip", "entry", 1, 2, 1, False]
    assert shown(entered["last_entry"], "gate", "device") == ["north", "d1"]
    status, left = ask(zoned, "admit", list="vip", kind="exit", gate="out")
    assert (status, left["message"]) == (200, "Exit recorded")
    assert shown(left, "outcome", *COUNTED) == ["done", "vip", "exit", 0, 2, 0, False]
    assert left["last_entry"] == entered["last_entry"]
    status, again = ask(zoned, "admit", list="vip", kind="exit")
    assert (status, again["code"], again["whose"]) == (409, "not_inside", "guest")


def test_the_answers_of_main_count_too(zoned: Api) -> None:
    assert shown(ask(zoned, "admit")[1], *COUNTED) == ["main", "entry", 1, 1, 1, False]
    assert shown(ask(zoned, "admit", list="main")[1], "code", *COUNTED) == [
        *("already_consumed", "main", "entry", 1, 1, 1, False)
    ]
    assert shown(ask(zoned, "admit", barcode="nobody")[1], *COUNTED) == [None] * 6


def test_a_refusal_on_a_list_says_how_many_entries_and_where_the_last_was(zoned: Api) -> None:
    for gate in ("n1", "n2"):
        assert ask(zoned, "admit", list="vip", gate=gate)[0] == 200
    status, refused = ask(zoned, "admit", list="vip")
    assert (status, refused["code"]) == (409, "already_consumed")
    assert "2 of 2 entries, last 2" in refused["error"]
    assert refused["error"].endswith(" at gate n2, device d1.")
    status, unknown = ask(zoned, "admit", list="bar")
    assert (status, unknown["code"], unknown["whose"]) == (404, "unknown_list", "gate")


def test_a_group_enters_one_by_one(zoned: Api) -> None:
    body = {"ticket_id": "G-1", "event": "fest", "barcodes": ["group"], "entries": 3}
    issued = read(zoned.post("tickets", body))["data"]
    assert (issued["ID"], issued["entries"], issued["lists"], issued["movements"]) == ("G-1", 3, [], [])
    found = [ask(zoned, "admit", barcode="group") for _ in range(4)]
    assert [(status, answer["entries_used"]) for status, answer in found] == [
        (200, 1),
        (200, 2),
        (200, 3),
        (409, 3),
    ]
    told = read(zoned.get("tickets/G-1?event=fest"))["data"]
    assert (told["State"], told["entries"]) == ("CONSUMED", 3)
    assert told["lists"] == [{"list": "main", "entries": 3, "exits": 0}]
    assert shown(told["movements"][0], "list", "kind", "gate", "forced", "stands") == [
        *("main", "entry", "north", False, True)
    ]


def test_who_scanned_takes_it_back_for_fifteen_minutes(zoned: Api) -> None:
    gate, other = gate_key("g1", "gate"), gate_key("g2", "gate")
    assert ask(gate, "admit")[0] == 200
    assert ask(gate, "annul", device="d2")[1]["code"] == "not_the_newest"
    assert ask(other, "annul")[1]["code"] == "not_the_newest"
    status, taken = ask(gate, "annul")
    assert (status, taken["message"]) == (200, "Annulled")
    assert shown(taken, "outcome", *COUNTED) == ["done", "main", "annul", 0, 1, 0, False]
    assert taken["last_entry"] is None
    ticket = read(zoned.get("tickets/T-1?event=fest"))["data"]
    assert (ticket["State"], ticket["last_entry"]) == ("VALIDATED", None)
    assert [(move["kind"], move["stands"]) for move in ticket["movements"]] == [
        ("annul", False),
        ("entry", False),
    ]
    assert ask(gate, "admit", barcode=SECOND)[0] == 200


def test_another_ones_entry_is_taken_back_only_by_who_may_supervise(zoned: Api) -> None:
    gate, chief = gate_key("g1", "gate"), gate_key("c1", "gate", "supervise")
    assert ask(gate, "admit")[0] == 200
    assert ask(chief, "annul")[1]["code"] == "not_the_newest"
    status, denied = ask(gate, "annul", supervised=True, reason="wrong")
    assert (status, denied["code"]) == (403, "not_permitted")
    assert ask(chief, "annul", supervised=True)[0] == 400
    assert ask(chief, "annul", supervised=True, reason="wrong")[0] == 200


def test_force_needs_gate_and_supervise_and_a_reason(zoned: Api) -> None:
    assert ask(zoned, "admit")[0] == 200
    for scopes in (("gate",), ("supervise",), ("operate", "gate")):
        status, denied = ask(gate_key("-".join(scopes), *scopes), "force", reason="guest of the house")
        assert (status, denied["code"]) == (403, "not_permitted"), scopes
    chief = gate_key("c1", "gate", "supervise")
    status, missing = ask(chief, "force")
    assert (status, missing["error"]) == (400, "reason is required")
    status, forced = ask(chief, "force", reason="guest of the house")
    assert (status, forced["message"]) == (200, "Admitted by force: Adult, seat A-1")
    assert shown(forced, "outcome", *COUNTED) == ["admitted", "main", "force", 2, 1, 2, True]
    assert ask(gate_key("a1", "gate", "admin"), "force", reason="again")[0] == 200, "admin gives supervise"
    assert zoned.post("tickets/block", {"ticket_id": "T-1", "event": "fest"}).status_code == 200
    assert ask(chief, "force", reason="no")[1]["code"] == "blocked"


def test_a_batch_asks_for_the_same_scopes(zoned: Api) -> None:
    item = {"op": "force", "barcode": FIRST, "event": "fest", "reason": "why"}
    found = read(gate_key("s1", "supervise").post("tickets/batch", {"operations": [item]}))
    assert found["data"]["results"][0]["status"] == 403
    undo = {"op": "annul", "barcode": FIRST, "event": "fest", "reason": "why", "supervised": True}
    found = read(gate_key("g1", "gate").post("tickets/batch", {"operations": [undo]}))
    assert found["data"]["results"][0]["status"] == 403


def test_a_repetition_whose_state_is_lost_is_told_from_the_copy(
    zoned: Api, fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(zoned, "admit", list="vip", nonce="n1")[0] == 200
    forget_states(fake, monkeypatch)
    _, again = ask(zoned, "admit", list="vip", nonce="n1")
    assert shown(again, "outcome", *COUNTED) == ["admitted", "vip", "entry", 1, 2, 1, False]


def test_a_repetition_whose_state_is_lost_waits_for_the_copy(
    zoned: Api, fake: FakeGateway, tables: TableWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the wait, the answer would show the admitted guest as one who never entered."""
    waited: list[int] = []

    def arrives(sequence: int, _: float) -> int:
        waited.append(sequence)
        tables.catch_up()
        return sequence

    tables.lagging = True
    assert ask(zoned, "admit", list="vip", nonce="n1")[0] == 200
    forget_states(fake, monkeypatch)
    monkeypatch.setattr(feed, "wait_for", arrives)
    _, again = ask(zoned, "admit", list="vip", nonce="n1")
    assert shown(again, "outcome", *COUNTED) == ["admitted", "vip", "entry", 1, 2, 1, False]
    assert waited == [fake._sequence]


def test_an_admission_is_told_as_it_was_decided_though_the_copy_lags(api: Api, tables: TableWriter) -> None:
    """By id in an event that nobody created: the outcome has a state, and the copy the rest."""
    api.post("tickets", {"ticket_id": "T-1"})
    tables.lagging = True
    answer = read(api.post("tickets/admit", {"ticket_id": "T-1", "gate": "north", "device": "d1"}))
    assert shown(answer, "outcome", *COUNTED) == ["admitted", "main", "entry", 1, 1, 1, False]
    assert shown(answer["last_entry"], "gate", "device") == ["north", "d1"]


def test_the_days_of_a_daily_list_are_those_of_the_zone(zoned: Api, fake: FakeGateway) -> None:
    def written() -> Any:
        row = fake.application._state.events.row("fest")
        assert row is not None
        return {each.slug: each.offsets for each in row.lists}

    berlin = written()["meal"]
    assert berlin[0][0] == 0
    assert {offset for _at, offset in berlin} == {3_600, 7_200}
    assert written()["vip"] == ()
    assert said(zoned, None, zone="Asia/Tokyo")[0] == 200  # type: ignore[arg-type]
    assert written()["meal"] == ((0, 9 * 3_600),), "a change of the zone changes the days"
    assert said(zoned, None, zone="")[0] == 200  # type: ignore[arg-type]
    assert written()["meal"] == ((0, 0),), "without a zone they are those of the platform's"


def test_a_change_of_zone_or_lists_undoes_none_that_the_copy_lacks(
    zoned: Api, fake: FakeGateway, tables: TableWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Daily lists are written with the zone's days, so what is not given is read from the copy."""
    monkeypatch.setattr(events, "caught_up", tables.catch_up)
    tables.lagging = True
    meal, night = {"list": "meal", "rule": "daily"}, {"list": "night", "rule": "daily"}
    assert said(zoned, [VIP | {"capacity": 5}, meal, night], zone="Europe/Berlin")[0] == 200
    assert zoned.call("PUT", "events/fest", {"zone": "Asia/Tokyo"}).status_code == 200
    row = fake.application._state.events.row("fest")
    assert row is not None
    assert [(each.slug, each.capacity) for each in row.lists] == [("meal", 0), ("night", 0), ("vip", 5)]
    assert said(zoned, [meal])[0] == 200
    row = fake.application._state.events.row("fest")
    assert row is not None
    assert row.lists[-1].offsets == ((0, 9 * 3_600),), "the zone is the newest too"


def test_each_change_of_an_offset_is_written_down_to_the_second() -> None:
    found = offsets(ZoneInfo("Europe/Berlin"), 1_785_510_000)
    assert found[:3] == ((0, 7_200), (1_792_890_000_000_000, 3_600), (1_806_195_600_000_000, 7_200))
    assert len(found) == 31
    assert offsets(ZoneInfo("UTC"), 0) == ((0, 0),)
    assert len(with_days_of(ZoneInfo("Europe/Berlin"), ())) == 0


def test_past_days_are_those_of_the_offset_that_held_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that was made in winter is dated when the list is written in summer."""
    monkeypatch.setattr(lists, "time", SimpleNamespace(time=lambda: 1_785_510_000.0))
    (meal,) = with_days_of(ZoneInfo("Europe/Berlin"), [EventList("meal", rule="daily")])
    january = 1_767_225_600_000_000
    assert meal.day(january - 1_800_000_000) == meal.day(january)
    assert meal.day(january - 5_400_000_000) == meal.day(january) - 1


EIGHT = 1_785_520_800_000_000
"""2026-07-31 20:00 in Berlin."""


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (EventList("a"), "once; all that admit"),
        (EventList("a", rule="daily", products=()), "once a day; no product"),
        (EventList("a", rule="times", times=1), "1 time; all that admit"),
        (
            EventList("a", rule="times", times=1_000, returns=True),
            "1,000 times, an exit gives the entry back",
        ),
        (
            EventList("a", rule="free", exit_first=True, capacity=1_500, products=("Adult", "Child")),
            "without limit, again only after an exit, at most 1,500 inside; Adult, Child",
        ),
        (EventList("a", not_before=EIGHT), "once, from 2026-07-31 20:00; all that admit"),
        (EventList("a", not_after=EIGHT), "once, until 2026-07-31 20:00; all that admit"),
    ],
)
def test_a_list_is_said_in_the_words_of_a_person(listed: EventList, words: str) -> None:
    said = in_words(listed, ZoneInfo("Europe/Berlin"))
    assert said == (words if ";" in words else f"{words}; all that admit")


def test_a_list_has_a_name_for_people_also_once_it_is_gone() -> None:
    assert [name_of(one, one.slug) for one in (EventList("main"), EventList("vip"))] == [
        "Main entrance",
        "vip",
    ]
    assert name_of(EventList("main", name="Gate A"), "main") == "Gate A"
    assert name_of(None, "vip") == "vip (taken away)"


@pytest.mark.parametrize(
    ("changed", "said_of_it"),
    [
        ({"not_before": 1_780_700_000, "not_after": 1_780_600_000}, "not_after lies before not_before"),
        ({"rule": "once"}, "times is for the rule times"),
        ({"not_after": "2026-06-05T20:00:00"}, "must be Unix seconds, or an RFC 3339 time with its offset"),
        ({"not_after": "soon"}, "must be Unix seconds, or an RFC 3339 time with its offset"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(fest: Api, changed: dict[str, Any], said_of_it: str) -> None:
    status, answer = said(fest, [VIP | changed])
    assert status == 400
    assert said_of_it in answer["error"]
