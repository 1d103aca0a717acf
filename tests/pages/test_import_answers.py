"""A file that does not say who comes in: the page asks, and what is answered is what gates are told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import Admit, Block, Command, ImportEntry
from tests.pages.file_imports import URL
from tests.pages.learner import RealLearner
from tests.team_keys import store_key
from tickets import tasks
from tickets.importing import work
from tickets.importing.answers import answers_from
from tickets.importing.uploads import ImportRefused, confirm
from tickets.models import ImportState, TicketImport
from tickets.services import events
from tickets.services.codes import digest_of
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger import models as ledger
from validators.ledger.read import event_row
from validators.rest import keys
from validators.services import decide
from validators.services.api_keys import generate_api_key

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])

FILE = b"""Barcode,Booking,Ticket type,State of payment,Checked in,Name
s3cret/+1=,B-1,Day,paid,,Ada
s3cret/+2=,B-2,Day,paid,2026-06-05T18:00:00+02:00,Bob
s3cret/+3=,B-3,Day,cancelled,,Cy
s3cret/+4=,B-4,Mug,paid,,Dan
"""

NOT_LACKED = dict.fromkeys(("column:state of payment", "column:checked in", "column:ticket type"), "harmless")
"""What decided in that file does not matter in another one."""


def sent(client: Client, asked: list[Any], path: str, **fields: Any) -> TicketImport:
    """Send a form; the worker does what it was asked for."""
    assert client.post(f"{URL}{path}", fields).status_code == 302
    import_id, token = asked[-1]
    assert tasks.run_import(import_id, token) == "done"
    return TicketImport.objects.get(pk=import_id)


def scanned(text: str, event: str = "gala") -> str:
    """What a gate is answered."""
    request = Request(Admit(gate="north", code=digest_of(event, text)), event=event)
    (decision,) = decide.decide([request], actor="gate")
    return decision.code


def answered(client: Client, asked: list[Any]) -> TicketImport:
    one = sent(client, asked, "", file=SimpleUploadedFile("guests.csv", FILE), event="gala")
    assert one.state == ImportState.ASKING
    fields = {
        "code": "Barcode",
        "column:state of payment": "admits",
        "column:state of payment:values": ["in", "out"],
        "column:booking": "harmless",
        "column:checked in:values": ["inside", "in", "inside"],
        "entrances": "Day",
        "new-event": "create",
        "stewards_see_why": "on",
    }
    return sent(client, asked, f"/{one.pk}/answers", **fields)


def test_a_product_that_is_an_entrance_after_all_opens_the_gate(desk: Client, asked: Any) -> None:
    sent(desk, asked, f"/{answered(desk, asked).pk}/confirm")
    assert scanned("s3cret/+4=") == "wrong_product"
    more = SimpleUploadedFile("more.csv", b"Barcode,Product,Valid until\nM-9,Mug,2099-01-01 12:00\n")
    one = sent(desk, asked, "", file=more, event="gala")
    answers = {"code": "Barcode", "entrances": "Mug", "timezone": "Asia/Tokyo"}
    one = sent(desk, asked, f"/{one.pk}/answers", **answers, **NOT_LACKED)
    assert "Mug lets its guests in" in desk.get(f"{URL}/{one.pk}").content.decode()
    assert sent(desk, asked, f"/{one.pk}/confirm").state == ImportState.DONE
    row = event_row(LEARNER_ALIAS, "gala")
    assert row is not None
    assert row.products == (("Day", True), ("Mug", True))
    assert row.zone == "", "times of this file are of Tokyo, the event that was there is not"
    assert [scanned("M-9"), scanned("s3cret/+4=")] == ["ok", "ok"]


GROUPS = b"Barcode,Admits,Checked in\nG-1,3,\nG-2,2,yes\nG-3,1,yes\n"


def test_an_entry_of_several_guests_is_ordered_once_all_of_them_are_in(
    desk: Client, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = GROUPS.replace(b"yes", b"")
    one = sent(desk, asked, "", file=SimpleUploadedFile("groups.csv", file), event="gala")
    one = sent(desk, asked, f"/{one.pk}/answers", **{"quantity": "entries", "new-event": "create"})
    sent(desk, asked, f"/{one.pk}/confirm")
    one = sent(desk, asked, "", file=SimpleUploadedFile("groups.csv", GROUPS), event="gala")
    one = sent(
        desk,
        asked,
        f"/{one.pk}/answers",
        **{"column:checked in:values": ["inside", "in"]},
    )
    honest, seen = decide.batch, set[str]()

    def refusing(requests: list[Request], **options: Any) -> list[Decision]:
        """Each further entry of a ticket is refused."""
        decided = []
        for request in requests:
            again = request.ticket in seen
            seen.add(request.ticket)
            decided += [Decision(request, Result("disputed"))] if again else honest([request], **options)
        return decided

    monkeypatch.setattr(decide, "batch", refusing)
    done = sent(desk, asked, f"/{one.pk}/confirm", change="entry")
    assert done.report["ordered"] == [{"kind": "entry", "words": "entered elsewhere since", "count": 1}]
    assert [row["row"] for row in done.report["wrong"]] == [3]


def fall_silent(context: pytest.MonkeyPatch, kind: type[Command]) -> None:
    """The network answers everything but operations of this kind."""
    honest = decide.batch

    def silent(requests: list[Request], **options: Any) -> list[Decision]:
        if isinstance(requests[0].command, kind):
            return [Decision(request, Result("unavailable")) for request in requests]
        return honest(requests, **options)

    context.setattr(decide, "batch", silent)
    context.setattr(work, "PATIENCE", 0.2)


def test_a_guest_inside_stays_inside_when_the_import_stops_half_way(
    desk: Client,
    asked: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tickets are issued, and the network falls silent before the entry."""
    one = answered(desk, asked)
    with monkeypatch.context() as context:
        fall_silent(context, ImportEntry)
        stopped = sent(desk, asked, f"/{one.pk}/confirm")
    assert stopped.state == ImportState.STOPPED
    assert "Until then 1 guest who entered elsewhere can enter once more." in stopped.error
    done = sent(desk, asked, f"/{one.pk}/confirm")
    assert (done.state, done.report["existed"], done.report["entered_done"]) == (ImportState.DONE, 4, 1)
    assert scanned("s3cret/+2=") == "already_consumed"


def test_changes_that_were_confirmed_go_on_only_for_who_may_make_them(
    desk: Client,
    asked: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who goes on with an import that stopped has them ordered in the own name."""
    sent(desk, asked, f"/{answered(desk, asked).pk}/confirm")
    file = b"Barcode,Ticket ID,Status\ns3cret/+1=,X-1,cancelled\ns3cret/+4=,X-4,paid\n"
    one = sent(desk, asked, "", file=SimpleUploadedFile("other.csv", file), event="gala")
    one = sent(
        desk,
        asked,
        f"/{one.pk}/answers",
        code="Barcode",
        **{"column:status:values": ["out", "in"]},
        **NOT_LACKED,
    )
    with monkeypatch.context() as context:
        fall_silent(context, Block)
        stopped = sent(desk, asked, f"/{one.pk}/confirm", change="cancel")
    assert (stopped.state, stopped.report["operates"]) == (ImportState.STOPPED, False)
    with pytest.raises(ImportRefused, match="needs the scope 'operate'"):
        confirm(stopped, actor="key:1", may_change=False, send=lambda *_: None)
    [ordered] = sent(desk, asked, f"/{one.pk}/confirm").report["ordered"]
    assert (ordered["kind"], ordered["count"]) == ("cancel", 1)
    assert scanned("s3cret/+1=") == "blocked"


@pytest.mark.parametrize(
    ("limits", "status", "says"),
    [
        ({"scopes": ["gate", "operate"]}, 403, "This needs the scope 'issue'."),
        ({"event": "other"}, 404, "There is no such import, or it is not yours."),
    ],
)
def test_a_key_that_may_not_import_is_refused_at_each_address(
    desk: Client, client: Client, asked: Any, limits: dict[str, Any], status: int, says: str
) -> None:
    """An import shows and changes tickets of any event; the file and its names stay unseen."""
    one = answered(desk, asked)
    client.logout()
    key = generate_api_key()
    store_key(key, label="door", **limits)
    keys.forget()
    with_key = {"headers": {"X-API-Key": key}}
    path, before = f"{URL}/{one.pk}", len(asked)
    answers = [client.get(f"{path}{page}", **with_key) for page in ("", "/state", "/changes")]
    answers += [client.post(f"{path}{page}", **with_key) for page in ("/answers", "/choose", "/confirm")]
    assert [(each.status_code, each.json()) for each in answers] == [(status, {"error": says})] * 6
    fresh = {"file": SimpleUploadedFile("guests.csv", FILE), "event": "gala"}
    assert client.post(URL, fresh, **with_key).status_code == 403
    assert (len(asked), TicketImport.objects.count()) == (before, 1)


@pytest.mark.parametrize("code", ["unavailable", "not_permitted"])
def test_an_event_that_cannot_be_created_ends_the_import_before_any_ticket(
    desk: Client, asked: Any, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """In an event that nobody created, gates take ids for codes."""
    one = answered(desk, asked)

    def strict(requests: list[Request], **_: Any) -> list[Decision]:
        return [Decision(request, Result(code)) for request in requests]

    with monkeypatch.context() as context:
        context.setattr(events, "decide", strict)
        context.setattr(work, "PATIENCE", 0.05)
        stopped = sent(desk, asked, f"/{one.pk}/confirm")
    assert stopped.state == ImportState.STOPPED
    assert ("no final answer" if code == "unavailable" else "event gala: ") in stopped.error
    assert not ledger.Ticket.objects.exists()
    done = sent(desk, asked, f"/{one.pk}/confirm")
    assert (done.state, done.report["issued"]) == (ImportState.DONE, 4)


def test_a_page_of_another_site_cannot_upload(learner: RealLearner, admin: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = admin.cookies
    file = SimpleUploadedFile("guests.csv", FILE)
    assert strict.post(URL, {"file": file}).status_code == 403
    assert not TicketImport.objects.exists()


NAMED = b"""Barcode,Event,Name
s3cret/+1=,Demo Night,Ada
"""


def test_a_wrong_name_of_an_event_is_corrected_in_the_form(desk: Client, asked: Any) -> None:
    """A person types the event's long name: the form comes back with all that was sent, and offers a slug."""
    one = sent(desk, asked, "", file=SimpleUploadedFile("guests.csv", NAMED))
    assert 'value="demo-night"' in desk.get(f"{URL}/{one.pk}").content.decode()
    form = {"code": "Barcode", "event.name": "Demo Night", "event.kept": "in", "stewards_see_why": "on"}
    answer = desk.post(f"{URL}/{one.pk}/answers", form | {"event.slug": "Démo Night"})
    page = answer.content.decode()
    assert (answer.status_code, "for example demo-night" in page) == (400, True)
    for kept in (
        'name="code" value="Barcode" checked',
        'name="event.slug" value="Démo Night"',
        'name="stewards_see_why" checked',
    ):
        assert kept in page
    corrected = sent(desk, asked, f"/{one.pk}/answers", **form, **{"event.slug": "demo-night"})
    assert [question["id"] for question in corrected.preview["asked"] if question["open"]] == ["new-event"]


def test_answers_of_one_event_decide_nothing_in_another(desk: Client, asked: Any) -> None:
    one = sent(desk, asked, "", file=SimpleUploadedFile("guests.csv", NAMED), event="demo")
    form = {"event.name": "Demo Night", "event.kept": "in", "event.slug": "demo"}
    one = sent(desk, asked, f"/{one.pk}/answers", **{"code": "Barcode", "new-event": "create", **form})
    if one.state == ImportState.ASKING:
        one = sent(desk, asked, f"/{one.pk}/answers", **{"new-event": "create"})
    sent(desk, asked, f"/{one.pk}/confirm")

    again = sent(desk, asked, "", file=SimpleUploadedFile("guests.csv", NAMED), event="demo")
    assert (again.state, again.report["identical"]) == (ImportState.PREVIEW, 1), "nothing is asked twice"
    other = sent(desk, asked, "", file=SimpleUploadedFile("guests.csv", NAMED), event="gala")
    assert other.state == ImportState.ASKING
    assert {one["id"] for one in other.preview["asked"] if one["open"]} == {"event"}


def test_a_column_in_which_all_may_come_in_is_answered_by_that(desk: Client, asked: Any) -> None:
    file = b"Ticket ID,Barcode,Status\nA-1,code-1,valid\nA-2,code-2,valid\n"
    one = sent(desk, asked, "", file=SimpleUploadedFile("guests.csv", file), event="gala")
    says = {"column:status": "admits", "column:status:values": "in"}
    one = sent(desk, asked, f"/{one.pk}/answers", **{"code": "Barcode", "new-event": "create"} | says)
    assert [question["id"] for question in one.preview["asked"] if question["open"]] == []


def test_answers_that_left_nothing_to_import_can_be_changed(desk: Client, asked: Any) -> None:
    one = sent(desk, asked, "", file=SimpleUploadedFile("guests.csv", NAMED))
    left = {"event.name": "Demo Night", "event.kept": "out", "event.slug": ""}
    one = sent(desk, asked, f"/{one.pk}/answers", code="Barcode", **left)
    assert one.error == "No row of the file is a ticket to import."
    kept = left | {"event.kept": "in", "event.slug": "demo"}
    one = sent(desk, asked, f"/{one.pk}/answers", **kept)
    assert "none: its times are shown in UTC" in desk.get(f"{URL}/{one.pk}").content.decode()
    one = sent(desk, asked, f"/{one.pk}/answers", **{"new-event": "create", "timezone": "Europe/Berlin"})
    assert (one.state, one.error, one.report["new"]) == (ImportState.PREVIEW, "", 1)
    sent(desk, asked, f"/{one.pk}/confirm")
    row = event_row(LEARNER_ALIAS, "demo")
    assert row is not None
    assert row.zone == "Europe/Berlin", "asked for though the file has no times"


def test_an_answer_that_names_no_column_is_asked_for_again(desk: Client, asked: Any) -> None:
    answers = msgspec.json.encode(answers_from(code="Kod")).decode()
    one = sent(desk, asked, "", file=SimpleUploadedFile("guests.csv", FILE), event="gala", answers=answers)
    assert (one.state, "no column 'Kod'" in one.error) == (ImportState.REFUSED, True)
    assert "questions before anything is imported" in desk.get(f"{URL}/{one.pk}").content.decode()
    assert sent(desk, asked, f"/{one.pk}/answers", code="Barcode").state == ImportState.ASKING


def test_a_name_and_the_number_of_an_order_in_another_language_are_answered(desk: Client, asked: Any) -> None:
    content = b"Prenotazione,Ospite\n1001,Ada\n1001,Bo\n1002,Cem\n1002,Dino\n"
    one = sent(desk, asked, "", file=SimpleUploadedFile("lista.csv", content), event="gala")
    first = {"code": "Prenotazione", "column:ospite": "name", "new-event": "create"}
    one = sent(desk, asked, f"/{one.pk}/answers", **first)
    assert [each["id"] for each in one.preview["asked"] if each["open"]] == ["repeats"]
    assert b"several guests share it" in desk.get(f"{URL}/{one.pk}").content
    one = sent(desk, asked, f"/{one.pk}/answers", repeats="persons")
    assert one.state == ImportState.PREVIEW
    assert [each["name"] for each in one.preview["sample"]] == ["Ada", "Cem"]


def test_a_name_in_two_columns_and_an_order_are_read_where_they_are_asked(desk: Client, asked: Any) -> None:
    rows = [
        f"kod-{number:02}x,Z{number % 13:04}-{number:02},Gość {chr(65 + number)},Nowak {number % 5}"
        for number in range(16)
    ]
    content = "\n".join(["Kod,Zamówienie,Uczestnik,Nazwisko", *rows]).encode()
    one = sent(desk, asked, "", file=SimpleUploadedFile("lista.csv", content), event="gala")
    names = {"column:uczestnik": "name", "column:nazwisko": "last_name", "column:zamówienie": "order"}
    one = sent(desk, asked, f"/{one.pk}/answers", **{"code": "Kod", "new-event": "create"})
    one = sent(desk, asked, f"/{one.pk}/answers", **names)
    first = one.preview["sample"][0]
    assert (first["name"], first["order"], one.report["unread"]) == ("Gość A Nowak 0", "Z0000-00", [])


def test_a_column_says_who_may_come_in_and_who_has_entered(desk: Client, asked: Any) -> None:
    content = "Kod,Stan\nkod-1x,oddany\nkod-2x,ważny\nkod-3x,w środku\nkod-4x,ważny\n".encode()
    one = sent(desk, asked, "", file=SimpleUploadedFile("lista.csv", content), event="gala")
    of_values = {"column:stan:values": ["in", "out", "inside"]}
    wrong = {**of_values, "column:stan": "harmless", "code": "Kod", "new-event": "create"}
    assert desk.post(f"{URL}/{one.pk}/answers", wrong).status_code == 400
    one = sent(desk, asked, f"/{one.pk}/answers", **of_values, **{"code": "Kod", "new-event": "create"})
    assert (one.report["entered"], [row["row"] for row in one.report["left_out"]]) == (1, [2])


def test_each_value_of_a_day_gets_its_date_on_the_page(desk: Client, asked: Any) -> None:
    content = b"Barcode,Tag\nC-1,Freitag\nC-2,Samstag\nC-3,Freitag\n"
    one = sent(desk, asked, "", file=SimpleUploadedFile("days.csv", content), event="gala")
    days = {"column:tag": "day=06:00", "new-event": "create", "timezone": "Europe/Berlin"}
    one = sent(desk, asked, f"/{one.pk}/answers", **days)
    assert '<input type="date" name="dates:tag" value="">' in desk.get(f"{URL}/{one.pk}").content.decode()
    half = {"dates:tag": ["2026-08-28", ""]}
    assert desk.post(f"{URL}/{one.pk}/answers", half).status_code == 400
    one = sent(desk, asked, f"/{one.pk}/answers", **{"dates:tag": ["2026-08-28", "2026-08-29"]})
    assert [each["not_before"] for each in one.preview["sample"]] == [
        f"2026-08-{day} 06:00:00 CEST" for day in (28, 29, 28)
    ]


def test_an_order_is_named_where_its_column_is_asked(desk: Client, asked: Any) -> None:
    content = "Kod,Zamówienie\nkod-1x,Z1\nkod-2x,Z1\nkod-3x,Z2\n".encode()
    one = sent(desk, asked, "", file=SimpleUploadedFile("lista.csv", content), event="gala")
    answers = {"code": "Kod", "column:zamówienie": "order", "new-event": "create"}
    one = sent(desk, asked, f"/{one.pk}/answers", **answers)
    assert one.state == ImportState.PREVIEW
    assert [each["order"] for each in one.preview["sample"]] == ["Z1", "Z1", "Z2"]
