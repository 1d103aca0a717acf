"""The gate's own mistakes: a ticket of another event, and what a reader adds to a code or leaves out.

Cases F01 to F10 and S11 of the door: refused, but as the gate's matter, with what to set.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Api, read
from tests.api.test_admission import admit, gate_key, shown
from tests.team_keys import store_key
from tickets.models import TicketHolder
from tickets.services import hints
from tickets.services.scanned_codes import store_within
from validators.services import wrong_codes

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

FAULT = [404, "error", "barcode_not_found", "gate"]
UNKNOWN = [404, "refused", "barcode_not_found", "guest"]
EAN, LONG, SHOP = "4006381333931", "k7uhbd49wms2fakafn5nzq7pcqpbjunx", "https://t.example.org/c?e=7"
CODES = {
    "T-1": EAN,
    "T-2": "0490001234561",
    "T-3": LONG,
    "T-4": f"{SHOP}&amp;t=K1Q2",
    "T-5": "sEcret/+1=",
    "T-6": "490001234578",
    "T-7": "-7Q4KZ",
}


def event(api: Api, slug: str, codes: dict[str, str], **fields: Any) -> None:
    assert api.call("PUT", f"events/{slug}", fields).status_code == 200
    for ticket, code in codes.items():
        body = {"ticket_id": ticket, "event": slug, "barcodes": [code], "product": "Day", "seat": "A-1"}
        assert api.post("tickets", body).status_code == 200
        TicketHolder.objects.create(event=slug, ticket=ticket, name="Ada Exempel", salt=b"s" * 32)


@pytest.fixture
def door(api: Api) -> Api:
    event(api, "door", CODES, name="Door")
    return api


def scanned(api: Api, code: str, event: str = "door") -> tuple[list[Any], str]:
    status, answer = admit(api, code, event)
    return [status, *shown(answer, "outcome", "code", "whose")], answer["error"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("490001234561", "The leading zero of the code is lost: set the reader to EAN-13, then scan again."),
        ("0490001234578", "The reader adds `0` before the code: set it to UPC-A, then scan again."),
        (f"]E0{EAN}", "The reader adds `]E0`: switch off AIM identifiers, then scan again."),
        (f"*{EAN}", "The reader adds `*` before the code: switch off start and stop characters"),
        (f"*{EAN}*", "The reader adds `*` before the code and `*` after the code: switch off start and stop"),
        (EAN[1:], "The first character of the code is lost: set the reader to leave out none"),
        (EAN[:-1], "The last character of the code is lost: set the reader to send the check digit"),
        (f'{{"ticket": "{LONG}", "lead": "PZD97A"}}', "What was read contains the code of a ticket"),
        (
            f"https://venue.example/?event_qr_code=1&security_code={LONG}&path=wp-json%2Ftribe",
            "What was read",
        ),
        (f"HTTPS://VENUE.EXAMPLE/{LONG.upper()}", "What was read contains the code of a ticket"),
        ("https://venue.example/?code=sEcret%2F%2B1%3D", "What was read contains the code of a ticket"),
        (f"{SHOP}&t=K1Q2", "The code of a ticket was imported with &amp; in place of &: tell the office"),
    ],
)
def test_a_reader_that_changes_codes_is_told_what_to_set(door: Api, text: str, said: str) -> None:
    facts, sentence = scanned(door, text)
    assert (facts, sentence[: len(said)]) == (FAULT, said)
    found = read(door.post("tickets/find", {"event": "door", "barcode": text}))
    assert found["hint"] == sentence, "a rehearsal is told the same"


def test_what_is_not_explained_by_one_ticket_alone_stays_the_guests(door: Api) -> None:
    event(door, "numbers", {f"N-{digit}": f"50000{digit}" for digit in range(10)} | {"M": "500000A-2"})
    twins = f"https://venue.example/?first={EAN}&second={LONG}"
    part, long_text = LONG[:16], f"{'x' * 200} {LONG}"
    refused = "No ticket of this event has this code."
    for text in ("nothing of the kind", twins, part, LONG[2:], long_text, "x=7Q4K", "7Q4K"):
        assert scanned(door, text) == (UNKNOWN, refused), text
    assert scanned(door, "500000-", "numbers")[0] == FAULT, "the dash is the reader's"
    assert scanned(door, "50000", "numbers") == (UNKNOWN, refused), "fewer than six characters"
    assert scanned(door, "xx500000A-2", "numbers")[0] == FAULT, "the code inside it is not meant"


def test_a_fault_names_no_ticket_and_admits_nobody(door: Api) -> None:
    _status, answer = admit(door, f"]E0{EAN}", "door")
    assert shown(answer, "ticket_id", "product", "seat", "holder") == [None] * 4
    for secret in (EAN, "T-1", "Ada"):
        assert secret not in str(answer), "also to a key that may see codes"
    assert read(door.get("tickets/T-1?event=door"))["data"]["last_entry"] is None
    assert admit(door, EAN, "door")[0] == 200
    assert door.post("tickets/replace", {"ticket_id": "T-3", "event": "door", "barcodes": ["new"]})
    assert scanned(door, f"*{LONG}")[0] == UNKNOWN, "a replaced code opens nothing"


def test_a_ticket_of_another_event_is_the_gates_matter(door: Api) -> None:
    event(door, "spring", {"S-1": "PASS-55AB-01"}, name="Spring night")
    event(door, "autumn", {"A-1": "PASS-77CD-01"}, name="Autumn")
    said = "This gate is set to Autumn; the ticket is of another event (Spring night)."
    for api in (door, gate_key("steward", "gate")):
        assert scanned(api, "PASS-55AB-01", "autumn") == (FAULT, said)
    assert scanned(gate_key("one", "gate", event="autumn"), "PASS-55AB-01", "autumn")[0] == UNKNOWN
    event(door, "winter", {"S-1": "PASS-55AB-01"})
    assert scanned(door, "PASS-55AB-01", "autumn")[0] == UNKNOWN, "of which event is not known"


@pytest.mark.parametrize(("days", "whose"), [(-2, "guest"), (0, "gate"), (2, "guest")])
def test_only_events_of_today_are_the_other_event(door: Api, days: int, whose: str) -> None:
    """By the day of the doors in the zone of the event; one without doors may be today."""
    doors = (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")
    event(door, "dated", {"D-1": "PASS-99"}, zone="Asia/Tokyo", doors=doors)
    assert admit(door, "PASS-99", "door")[1]["whose"] == whose


def test_an_event_is_on_until_the_last_day_of_its_lists(door: Api) -> None:
    now = datetime.now(UTC)
    first, last = ((now + timedelta(days=days)).isoformat(timespec="seconds") for days in (-3, 1))
    event(door, "week", {"D-1": "PASS-99"}, doors=first, lists=[{"list": "pool", "not_after": last}])
    assert admit(door, "PASS-99", "door")[1]["whose"] == "gate"


def test_a_login_for_a_list_is_told_of_events_with_that_list_alone(door: Api) -> None:
    for slug in ("spa", "lido"):
        event(door, slug, {"P-1": f"{slug}-pass"}, lists=[{"list": "pool"}])
    store_key("pool", label="pool", scopes=["gate"], lists=["pool"])
    asked = [admit(Api("pool"), code, "spa", list="pool")[1]["whose"] for code in ("lido-pass", EAN)]
    assert asked == ["gate", "guest"]


def test_a_ticket_id_that_is_a_code_is_recognised_in_what_was_read(api: Api) -> None:
    assert api.post("tickets", {"ticket_id": "OLD-2026-1", "event": "old"}).status_code == 200
    event(api, "ids", {}, ids_are_codes=True)
    assert api.post("tickets", {"ticket_id": "ID-2026-7", "event": "ids"}).status_code == 200
    assert scanned(api, "*OLD-2026-1", "old")[0] == FAULT
    assert scanned(api, "https://x.example/OLD-2026-1", "old")[0] == FAULT
    assert scanned(api, "ID-2026-7", "old")[1].endswith("another event (ids).")


def test_a_pass_of_several_events_is_explained_by_the_one_of_the_gate(door: Api) -> None:
    event(door, "spring", {"S-3": LONG})
    assert scanned(door, f"*{LONG}*")[0] == FAULT


def test_a_code_inside_a_longer_text_admits_where_the_import_said_so(door: Api) -> None:
    event(door, "within", {"T-1": EAN, "T-3": LONG})  # processes remember it: no event of other tests
    text = f'{{"ticket": "{LONG}", "lead": "PZD97A"}}'
    assert scanned(door, text, "within")[0] == FAULT, "nobody has said so"
    store_within(["within"])
    status, answer = admit(door, text, "within")
    assert (status, answer["ticket_id"]) == (200, "T-3")
    assert admit(door, LONG, "within")[1]["code"] == "already_consumed", "it is the same ticket"
    assert scanned(door, f"{EAN} {LONG}", "within")[0] == UNKNOWN, "which of two is meant is not known"
    assert scanned(door, LONG[:-1], "within")[0] == FAULT, "a part of a code admits nobody"


JOINED = "The reader joined two codes: set it to end each code with Enter, then scan each of them again."


def test_two_joined_codes_are_the_readers_matter(door: Api) -> None:
    event(door, "spring", {"S-1": "PASS-55AB-01"})
    event(door, "ids", {}, ids_are_codes=True)
    assert door.post("tickets", {"ticket_id": "ID-2026-7", "event": "ids"}).status_code == 200
    for text in (EAN + LONG, LONG + LONG, f"PASS-55AB-01{EAN}", f"ID-2026-7{LONG}", f"{LONG}-7Q4KZ"):
        assert scanned(door, text) == (FAULT, JOINED), text
    assert read(door.get("tickets/T-1?event=door"))["data"]["last_entry"] is None, "nobody was admitted"
    steward = gate_key("one", "gate", event="door")
    assert scanned(steward, f"PASS-55AB-01{EAN}")[0] == UNKNOWN, "it may not scan the other event"
    assert scanned(steward, EAN + LONG) == (FAULT, JOINED)
    for text in (f"{LONG[:-1]}{EAN}", f"{EAN}x{LONG}", f"nothing{LONG}", EAN + LONG[:16], EAN + LONG + EAN):
        assert scanned(door, text)[0] == UNKNOWN, text


def test_of_a_batch_the_first_unknown_codes_are_explained(door: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each explanation costs queries: a batch of 10,000 wrong codes must not keep the gates waiting."""
    monkeypatch.setattr(wrong_codes, "HINTS_MAX", 20)
    monkeypatch.setattr(hints, "wrong_codes", wrong_codes.WrongCodes(lambda: 0.0))
    wrong = {"op": "admit", "event": "door", "barcode": f"*{EAN}", "gate": "north"}
    known = wrong | {"barcode": LONG}
    sent = {"operations": [wrong] * 50 + [known]}
    results = read(door.post("tickets/batch", sent))["data"]["results"]
    assert [one["status"] for one in results] == [404] * 50 + [200]
    assert [one["whose"] for one in results[:50]] == ["gate"] * 20 + ["guest"] * 30
    assert ["hint" in one for one in results[:50]] == [True] * 20 + [False] * 30
