"""Lists over REST: said of an event, entered and left, taken back, and forced (D10, D11)."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dtvn.machine.lists import EventList
from tests.api.conftest import Api, read
from tests.api.learner import TableWriter
from tests.api.test_admission import FIRST, SECOND, fest, gate_key, shown
from tests.api.test_tickets import forget_states
from tests.fake_gateway import FakeGateway
from tickets.services.lists import in_words, name_of
from validators import feed

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
        (EventList("a", not_before=EIGHT), "once, from 2026-07-31 20:00 Europe/Berlin; all that admit"),
        (EventList("a", not_after=EIGHT), "once, until 2026-07-31 20:00 Europe/Berlin; all that admit"),
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
