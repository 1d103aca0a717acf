"""The story of a list of guests on the import page: questions, preview, tickets, and a later list.

Told are each page in words with its forms, what the worker answers, every row that is written for the guests,
in the log and in the audit, and what gates hear afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from kombu.exceptions import OperationalError

from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import Admit
from tests.golden import Compare
from tests.pages.file_imports import URL
from tests.pages.learner import ALIAS
from tests.pages.stories import Story
from tests.support.clock import SetClock
from tests.team_keys import store_key
from tickets import tasks
from tickets.importing import work
from tickets.importing.answers import answers_from
from tickets.importing.uploads import UploadOptions, begin
from tickets.models import (
    EventTimeZone,
    ImportAnswers,
    ShownDifference,
    TicketCode,
    TicketHolder,
    TicketImport,
)
from tickets.pages import imports
from tickets.services.codes import digest_of
from validators.ledger.models import OperationRecord, Ticket
from validators.models import PlatformAction
from validators.rest import keys
from validators.services import decide

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True, databases=["default", "learner"])

GOLDEN = Path(__file__).parent / "golden"
TABLES = (
    TicketImport,
    ShownDifference,
    TicketHolder,
    TicketCode,
    ImportAnswers,
    EventTimeZone,
    PlatformAction,
    (Ticket, ALIAS),
    (OperationRecord, ALIAS),
)

FIRST = """Barcode;Booking;Ticket type;State of payment;Checked in;Name;E-mail;Seat;Valid until;Admits;Shoe
s3cret/+1=;B-1;Day;paid;;Ada Lovelace;ada@example.org;A1;2026-06-06;;38
s3cret/+2=;B-2;Day;paid;2026-06-05T18:00:00+02:00;Bob;;A2;;2;39
s3cret/+3=;B-3;Day;cancelled;;Cy Öst;cy@example.org;A3;;;40
s3cret/+4=;B-4;Mug;paid;;Dan;;;;;
;B-5;Day;paid;;Eve;;;;;
s3cret/+1=;B-6;Day;paid;;Fay;;;;;
s3cret/+7=;B-7;Weekend;paid;;Gül, Ltd;gul@example.org;B7;soon;;
s3cret/+8=;B-8;Weekend;invoiced;;Hal;hal@example.org;B8;2026-06-07 04:00;4;41
"""
LATER = """Barcode;Booking;Ticket type;State of payment;Checked in;Name;E-mail;Seat;Valid until;Admits;Shoe
s3cret/+1=;B-1;Day;paid;;Ada King;ada@example.org;A11;2026-06-06;;38
s3cret/+2=;B-2;Day;paid;2026-06-05T18:00:00+02:00;Bob;;A22;;2;39
n3w/4=;B-4;Mug;paid;;Dan;;;;;
s3cret/+8=;B-8;Weekend;cancelled;;Hal;hal@example.org;B8;2026-06-07 04:00;4;41
s3cret/+9=;B-9;Day;paid;2026-06-05T19:00:00+02:00;Ida;ida@example.org;C9;;;
"""
ANSWERS = {
    "code": "Barcode",
    "column:state of payment": "admits",
    "column:state of payment:values": ["in", "out", "in"],
    "column:checked in": "admits",
    "column:checked in:values": ["inside", "in", "inside"],
    "column:booking": "harmless",
    "column:shoe": "harmless",
    "entrances": ["Day", "Weekend"],
    "quantity": "entries",
    "timezone": "Europe/Berlin",
    "new-event": "create",
    "stewards_see_why": "on",
}


def uploaded(story: Story, desk: Client, name: str, content: str, **fields: str) -> None:
    """A file is sent with the form."""
    story.say(f"uploads {name} {fields}")
    file = SimpleUploadedFile(name, content.encode("cp1252"))
    story.sent(desk, URL, {"file": file, **fields})


def worked(story: Story, asked: list[tuple[int, str]]) -> None:
    """The worker does what it was asked for last."""
    story.say(f"the worker: {tasks.run_import(*asked[-1])}")


def scanned(story: Story, *codes: str, gate: str, event: str = "gala") -> None:
    """Gates ask, one after the other."""
    for code in codes:
        request = Request(Admit(gate=gate, code=digest_of(event, code)), event=event)
        (decision,) = decide.decide([request], actor="gate")
        story.say(f"the gate {gate} scans {code}: {decision.code}")


@pytest.fixture
def story(clock: SetClock, desk: Client) -> Story:
    return Story()


def test_the_story_of_a_list_and_of_a_later_one(
    story: Story, clock: SetClock, desk: Client, asked: Any, golden: Compare
) -> None:
    story.part("An empty page, and files that are refused at once")
    story.ask(desk, "get", URL)
    story.ask(desk, "post", URL, {"event": "gala"})
    uploaded(story, desk, "nothing.csv", "")
    uploaded(story, desk, "guests.csv", FIRST, event="Gala Night")

    story.part("The list is read, and asks")
    clock.forward(61)
    uploaded(story, desk, "guests of the gala.csv", FIRST, event="gala")
    story.ask(desk, "get", f"{URL}/1")
    story.ask(desk, "get", f"{URL}/1/state")
    worked(story, asked)
    story.ask(desk, "get", f"{URL}/1")

    story.part("Some answers, then all")
    story.ask(desk, "post", f"{URL}/1/answers", {"code": "Barcode", "entrances": ["Day", "none"]})
    story.ask(desk, "post", f"{URL}/1/answers", {"code": "Booking", "quantity": "tickets"})
    worked(story, asked)
    story.ask(desk, "get", f"{URL}/1")
    clock.forward(30)
    story.ask(desk, "post", f"{URL}/1/answers", ANSWERS)
    worked(story, asked)
    story.ask(desk, "get", f"{URL}/1")
    story.ask(desk, "get", f"{URL}/1/report")

    story.part("Confirmed")
    clock.forward(30)
    story.ask(desk, "post", f"{URL}/1/confirm", {"token": "of an earlier page"})
    story.ask(desk, "post", f"{URL}/1/confirm")
    story.ask(desk, "get", f"{URL}/1")
    worked(story, asked)
    story.ask(desk, "get", f"{URL}/1")
    story.ask(desk, "get", f"{URL}/1/report")
    scanned(story, *(f"s3cret/+{number}=" for number in (1, 1, 2, 3, 4, 8, 8)), "B-1", gate="north")
    story.end(golden, GOLDEN / "imports.txt")


def imported(story: Story, clock: SetClock, desk: Client, asked: list[tuple[int, str]]) -> None:
    """The first list is in the network; nothing of that is told."""
    file: Any = SimpleUploadedFile("first.csv", FIRST.encode("cp1252"))
    steps: list[tuple[str, Any]] = [
        ("", {"file": file, "event": "gala"}),
        ("/1/answers", ANSWERS),
        ("/1/confirm", {}),
    ]
    for path, form in steps:
        desk.post(f"{URL}{path}", form)
        tasks.run_import(*asked[-1])
        clock.forward(20)


def differences(*tickets: str) -> list[int]:
    """The ids of what is shown of guests whose words hold one of these."""
    rows = ShownDifference.objects.all()
    return [row.pk for row in rows if any(ticket in row.words for ticket in tickets)]


def test_the_story_of_a_later_list(
    story: Story, clock: SetClock, desk: Client, asked: Any, golden: Compare
) -> None:
    imported(story, clock, desk, asked)
    story.part("A later list of the same source asks nothing twice")
    uploaded(story, desk, "later.csv", LATER, event="gala")
    worked(story, asked)
    story.ask(desk, "get", f"{URL}/2")
    story.ask(desk, "get", f"{URL}/2/report")

    story.part("What is ticked on its pages")
    for form in (
        {"page": "change:1", "change": differences("A11"), "go": "gone:1"},
        {"page": ["change:1", "holder:1"], "all": "holder"},
        {"none": "new", "page": "new:1"},
        {"page": "chance:1"},
        {"page": "change:0"},
        {"go": "change:x"},
        {"all": "everything"},
        {"token": "0" * 32, "all": "gone"},
    ):
        story.ask(desk, "post", f"{URL}/2/choose", form)
    story.ask(desk, "get", f"{URL}/2?new=1&change=9&gone=x")

    story.part("Meanwhile gates and a desk went on; then it is confirmed")
    scanned(story, "s3cret/+8=", gate="south")
    ticked: dict[str, Any] = {"page": ["new:1", "cancel:1"], "change": differences("Ida", "cancelled", "Hal")}
    story.ask(desk, "post", f"{URL}/2/confirm", ticked)
    worked(story, asked)
    story.ask(desk, "get", f"{URL}/2")
    story.ask(desk, "get", f"{URL}/2/report")
    story.ask(desk, "get", URL)
    scanned(story, "s3cret/+4=", "n3w/4=", "s3cret/+8=", "s3cret/+9=", gate="south")

    story.part("The same list once more")
    uploaded(story, desk, "later.csv", LATER, event="gala")
    worked(story, asked)
    story.ask(desk, "get", f"{URL}/3")
    story.ask(desk, "post", f"{URL}/3/confirm", {"change": ["gone", "change"]})
    worked(story, asked)
    story.ask(desk, "get", f"{URL}/3")
    story.ask(desk, "post", f"{URL}/3/answers", ANSWERS)
    story.ask(desk, "post", f"{URL}/3/confirm")
    story.ask(desk, "post", f"{URL}/3/discard")
    story.ask(desk, "get", f"{URL}/3")
    story.end(golden, GOLDEN / "imports-later.txt")


SHOP = {"headers": {"X-API-Key": "dtvn_shop"}}
"""A program that may issue and no more."""
OFFICE = {"headers": {"X-API-Key": "dtvn_office"}}
"""A program that may operate too."""
SMALL = b"ticket_id,seat,status,checked in\nT-1,A1,ok,\nT-2,A2,ok,yes\nT-3,A3,void,\n"
SMALLER = b"ticket_id,seat,status,checked in\nT-1,A9,ok,\n,x,ok,\n"


def by_program(story: Story, asked: list[tuple[int, str]], key: Any, content: bytes, **answers: Any) -> None:
    """A program uploads a file; the worker reads it."""
    sent = msgspec.json.encode(answers_from(**answers)).decode()
    story.say(f"a program uploads {content!r} with {sent}")
    file = SimpleUploadedFile("shop.csv", content)
    story.sent(Client(), URL, {"file": file, "answers": sent}, **key)
    worked(story, asked)


def test_the_story_of_a_program_that_imports(
    story: Story, clock: SetClock, asked: Any, golden: Compare
) -> None:
    """Each answer as JSON; what each scope may do; what is ordered without a person."""
    store_key("dtvn_shop", label="shop", scopes=["issue"])
    store_key("dtvn_office", label="office", scopes=["issue", "operate"])
    store_key("dtvn_door", label="door", scopes=["gate", "read"])
    store_key("dtvn_gala", label="gala", scopes=["issue"], event="gala")
    keys.forget()
    client, answers = Client(), {"code": "ticket_id", "admits": ["status=ok"], "new_event": "as-it-is"}
    story.part("Keys that may not import, and requests that are wrong")
    story.ask(client, "get", URL)
    for key in ("dtvn_wrong", "dtvn_door", "dtvn_gala", "dtvn_shop"):
        story.say(f"with the key {key}")
        story.ask(client, "post", URL, {"event": "gala"}, headers={"X-API-Key": key})
    story.ask(client, "post", URL, {"answers": "[]", "file": SimpleUploadedFile("a", b"x")}, **SHOP)
    for path in ("/9", "/9/state", "/9/changes", "/9223372036854775808"):
        story.ask(client, "get", URL + path, **SHOP)

    story.part("A file with questions, then with an answer that names no column, then refused as a whole")
    by_program(story, asked, SHOP, SMALL)
    story.ask(client, "get", f"{URL}/1", **SHOP)
    by_program(story, asked, SHOP, SMALL, code="Kod")
    story.ask(client, "get", f"{URL}/2", **SHOP)
    by_program(story, asked, SHOP, b"\x00\x01\x02")
    story.ask(client, "get", f"{URL}/3", **SHOP)
    by_program(
        story, asked, SHOP, SMALL, **answers, refuses=["status=void"], column=["seat="], nobody_entered=True
    )

    story.part("Entries need a scope; without a person only a source that is known is trusted")
    by_program(story, asked, OFFICE, SMALL, **answers, entered=["checked in=*"])
    story.ask(client, "get", f"{URL}/5", **OFFICE)
    story.ask(client, "get", f"{URL}/5/changes", **OFFICE)
    story.ask(client, "get", f"{URL}/5/changes?kind=new&page=1", **OFFICE)
    for query in ("kind=new&page=2", "kind=new&page=0", "kind=none", "page=1"):
        story.ask(client, "get", f"{URL}/5/changes?{query}", **OFFICE)
    story.ask(client, "post", f"{URL}/5/confirm", **SHOP)
    story.ask(client, "post", f"{URL}/5/confirm", {"apply": "yes"}, **OFFICE)
    story.ask(client, "post", f"{URL}/5/confirm", {"change": "nothing"}, **OFFICE)
    story.ask(client, "post", f"{URL}/5/confirm", **OFFICE)
    story.ask(client, "post", f"{URL}/5/discard", **OFFICE)
    worked(story, asked)
    story.ask(client, "get", f"{URL}/5", **SHOP)

    story.part("A part of the file, of which nobody is blocked unseen")
    by_program(story, asked, OFFICE, SMALLER, entered=["checked in=*"], new_event="as-it-is")
    story.ask(client, "post", f"{URL}/6/choose", {"all": "change"}, **OFFICE)
    story.ask(client, "get", f"{URL}/6/changes?kind=change", **OFFICE)
    story.ask(client, "post", f"{URL}/6/confirm", {"change": "gone"}, **OFFICE)
    story.ask(client, "post", f"{URL}/6/confirm", {"apply": "yes"}, **OFFICE)
    worked(story, asked)
    story.ask(client, "get", f"{URL}/6", **OFFICE)
    story.ask(client, "post", f"{URL}/6/discard", **SHOP)
    story.end(golden, GOLDEN / "imports-by-program.txt")


def silent_of(monkeypatch: pytest.MonkeyPatch, *codes: str) -> None:
    """The network answers the next batches of an import by these codes; by its own where one is empty."""
    honest, left = decide.batch, list(codes)

    def batch(requests: list[Request], **options: Any) -> list[Decision]:
        code = left.pop(0) if left else ""
        if not code:
            return honest(requests, **options)
        return [Decision(request, Result(code)) for request in requests]

    monkeypatch.setattr(decide, "batch", batch)
    monkeypatch.setattr(work, "PATIENCE", 0.0)


def confirm_in_a_silent_network(
    story: Story, desk: Client, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first import is confirmed again and again, until the network answers."""
    story.part("A network that is silent, then before the entry, then refuses it")
    for codes in (("unavailable",), ("", "unavailable"), ("not_permitted",), ()):
        with monkeypatch.context() as context:
            silent_of(context, *codes)
            story.say(f"the network answers {codes or 'honestly'}")
            story.ask(desk, "post", f"{URL}/1/confirm")
            worked(story, asked)
            story.ask(desk, "get", f"{URL}/1")


def test_the_story_of_imports_that_end_early(
    story: Story, clock: SetClock, desk: Client, asked: Any, golden: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that end or come late, brokers and networks that are away, files that wait for others."""
    fields = {"answers": msgspec.json.encode(answers_from(code="ticket_id", admits=["status=ok"])).decode()}
    fields["event"] = "fest"

    def send(name: str) -> None:
        story.say(f"uploads {name}")
        form: dict[str, Any] = {"file": SimpleUploadedFile(name, SMALL), **fields}
        story.sent(desk, URL, form)

    story.part("Nobody takes it up in time; the worker that comes then is too late")
    send("first.csv")
    story.ask(desk, "get", f"{URL}/1/state")
    send("second.csv")
    story.ask(desk, "post", f"{URL}/1/discard")
    clock.forward(29)
    story.ask(desk, "get", f"{URL}/1/state")
    clock.forward(2)
    story.ask(desk, "get", f"{URL}/1")
    worked(story, asked)
    story.ask(desk, "post", f"{URL}/1/confirm")
    worked(story, asked)

    story.part("A worker that ended in the middle")
    answers = {"column:checked in:values": ["in", "inside"], "new-event": "create"}
    story.ask(desk, "post", f"{URL}/1/answers", answers)
    TicketImport.objects.update(claimed=True)
    story.ask(desk, "get", f"{URL}/1/state")
    clock.forward(31)
    story.ask(desk, "get", f"{URL}/1")
    story.ask(desk, "post", f"{URL}/1/confirm")
    worked(story, asked)

    story.part("No broker")
    with monkeypatch.context() as context:
        context.setattr(imports, "send", broken)
        send("third.csv")
    story.ask(desk, "get", f"{URL}/2")

    confirm_in_a_silent_network(story, desk, asked, monkeypatch)
    story.part("Two files are worked at, and no third")
    for name in ("a", "b"):
        begin(f"{name}.csv", SMALL, UploadOptions(), actor=f"user:{name}", send=lambda *_: None)
    send("fourth.csv")
    story.ask(desk, "get", URL)

    story.part("Half a day later: files that were left are deleted")
    clock.forward(12 * 3600 + 60)
    story.ask(desk, "get", URL)
    story.ask(desk, "get", f"{URL}/2")
    story.ask(desk, "post", f"{URL}/2/confirm")
    story.end(golden, GOLDEN / "imports-ended-early.txt")


def broken(*_: object) -> None:
    """A broker that is away."""
    raise OperationalError("refused")
