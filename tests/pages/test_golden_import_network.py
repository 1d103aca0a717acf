"""What an import does to a network that has tickets already.

There are two events with the same ids, a holder that was erased, a ticket of another source, and our own
exports with all that they say of codes, entries and events.

Told are the answers to the program that imports, and every row of holders, codes and tickets.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dtvn.api.ordering import Request
from dtvn.machine import Admit, Issue
from tests.golden import Compare
from tests.importing.telling import section
from tests.pages.file_imports import URL
from tests.pages.learner import ALIAS
from tests.pages.stories import Clock, Story
from tests.pages.test_golden_imports import OFFICE, by_program, worked
from tickets.models import EventTimeZone, TicketCode, TicketHolder
from tickets.services import events
from tickets.services.codes import digest_of, remember_codes
from validators.ledger.models import OperationRecord, Ticket
from validators.rest import keys
from validators.services import decide
from validators.services.api_keys import store_api_key

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True, databases=["default", "learner"])

GOLDEN = Path(__file__).parent / "golden"
TABLES = (TicketHolder, TicketCode, EventTimeZone, (Ticket, ALIAS), (OperationRecord, ALIAS))


@pytest.fixture
def story(clock: Clock, desk: Client) -> Story:
    store_api_key("dtvn_office", label="office", scopes=["issue", "operate"])
    keys.forget()
    found = Story(*TABLES)
    found.forget()
    return found


def imports(story: Story, asked: list[tuple[int, str]], content: str, *changes: str, **answers: Any) -> None:
    """A program imports a file, with these kinds of changes."""
    by_program(story, asked, OFFICE, content.encode(), **answers)
    number = asked[-1][0]
    story.ask(Client(), "get", f"{URL}/{number}", **OFFICE)
    story.ask(Client(), "post", f"{URL}/{number}/confirm", {"change": list(changes)}, **OFFICE)
    worked(story, asked)
    story.ask(Client(), "get", f"{URL}/{number}", **OFFICE)


TWO = """event,ticket id,barcode,name,email,seat,order
one,T-1,a1,Ada,ada@x,A1,R-1
one,T-2,a2,Bob,,A2,R-2
two,T-1,b1,Cy,cy@x,B1,
two,T-2,b2,Dan,,B2,
"""


def test_two_events_with_the_same_ids(story: Story, asked: Any, golden: Compare) -> None:
    answers = {"code": "barcode", "event_name": ["one=one", "two=two"], "new_event": "create"}
    story.part("Two events at once")
    imports(story, asked, TWO, **answers)
    story.part("Holders change in one of them; one was erased, and one has entered meanwhile")
    TicketHolder.objects.filter(event="two", ticket="T-2").update(
        name="", email="", salt=b"", erased_at=timezone.now()
    )
    decide.decide([Request(Admit(gate="n", code=digest_of("one", "a2")), event="one")], actor="gate")
    later = TWO.replace("Ada", "Eve").replace("Bob", "Fay").replace("Dan", "Gil").replace("B1", "B9")
    imports(story, asked, later, "holder", "change", **answers)
    story.part("A ticket of another source has the id, and one has the code; then a part alone")
    new = [
        Request(Issue(codes=(digest_of("one", "x3"),)), "T-3", "one", texts=("x3",)),
        Request(Issue(codes=(digest_of("two", "b4"),)), "X-4", "two", texts=("b4",)),
    ]
    remember_codes("two", [("X-4", ["b4"])])
    story.say(f"issued: {[one.code for one in decide.decide(new, actor='desk')]}")
    more = f"{TWO}one,T-3,a3,Hal,,A3,\ntwo,T-4,b4,Ida,,B4,\ntwo,T-5,b5,Jo,,B5,\n"
    imports(story, asked, more, "change", **answers)
    imports(story, asked, "".join(TWO.splitlines(keepends=True)[:2]), **answers)
    story.end(golden, GOLDEN / "imports-two-events.txt")


SOLD_ELSEWHERE = """event,barcode,seat,status
plain,T-1,A1,ok
plain,c2,A2,void
plain,T-3,A3,void
plain,c4,A4,ok
plain,c5,A5,void
void,v1,A1,void
made,M-1,A1,ok
"""


def test_tickets_that_others_issued(story: Story, asked: Any, golden: Compare) -> None:
    """A file knows them by a code, or by an id where ids are codes; it cancels those of which it says so,
    also in an event of which it names no other ticket."""
    events.set_event("made", actor="desk", ids_are_codes=False)
    known = [("plain", "T-1", ""), ("plain", "T-2", "c2"), ("plain", "T-3", ""), ("plain", "T-9", "")]
    known += [("void", "V-1", "v1"), ("made", "M-1", "")]
    requests = [
        Request(Issue(codes=(digest_of(event, code),) if code else ()), name, event)
        for event, name, code in known
    ]
    story.say(f"issued: {[one.code for one in decide.decide(requests, actor='desk')]}")
    names = [f"{slug}={slug}" for slug in ("plain", "void", "made")]
    how: dict[str, Any] = {"code": "barcode", "admits": ["status=ok"], "event_name": names}
    imports(story, asked, SOLD_ELSEWHERE, "cancel", "change", "replace", new_event="as-it-is", **how)
    story.part("The same once more")
    imports(story, asked, SOLD_ELSEWHERE, new_event="as-it-is", **how)
    story.end(golden, GOLDEN / "imports-of-others.txt")


def tell_event(story: Story, slug: str) -> None:
    """An event as programs see it."""
    found = events.summary_of(slug)
    assert found is not None
    story.say(section(f"event {slug}", events.shown(found)))


OWN_FIELDS = {"sequence": 1, "entry_node": "", "event": "fest", "state": "ISSUED", "ids_are_codes": "no"}


def own(*rows: dict[str, Any], **event: Any) -> str:
    """Our own export of tickets, as JSON."""
    fest: dict[str, Any] = {
        "slug": "fest",
        "name": "Fest",
        "zone": "Europe/Berlin",
        "doors": "2026-06-05T20:00:00+02:00",
        "ids_are_codes": False,
        "products": [{"name": "Day", "admits": True}, {"name": "Mug", "admits": False}],
    }
    known = [OWN_FIELDS | row for row in rows]
    return json.dumps({"kind": "tickets", "events": [fest | event], "rows": known})


ROWS: list[dict[str, Any]] = [
    {"ticket_id": "T-1", "product": "Day", "seat": "A1", "codes": ["c1", "c1b"], "name": "Ada", "order": "R"},
    {
        "ticket_id": "T-2",
        "state": "CONSUMED",
        "product": "Day",
        "codes": ["c2"],
        "revoked_codes": [f"old {number}" for number in range(9)],
        "admitted_at": "2026-06-05T16:00:00+00:00",
        "gate": "harbour",
        "device": "h1",
    },
    {"ticket_id": "T-3", "state": "VALIDATED", "codes": ["c3"], "entries": 3, "entries_used": 2},
    {"ticket_id": "T-4", "state": "UPHELD", "codes": ["c4"], "dispute_reason": "copied"},
    {"ticket_id": "T-5", "product": "Mug", "product_admits": "no", "codes": ["c5"], "blocked": "yes",
     "block_reason": "lost"},
]  # fmt: skip


def test_our_own_export(story: Story, asked: Any, golden: Compare) -> None:
    story.part("Into a network that has nothing")
    imports(story, asked, own(*ROWS))
    tell_event(story, "fest")
    story.part("Once more, then with other codes, entries and a product more")
    imports(story, asked, own(*ROWS))
    later = [dict(row) for row in ROWS]
    later[0] |= {"state": "CONSUMED", "codes": ["n1"], "seat": "A2"}
    later[2] |= {"entries_used": 3}
    later.append({"ticket_id": "T-6", "product": "Night", "codes": ["c6"], "revoked_codes": ["c5"]})
    imports(story, asked, own(*later), "change", "replace", "entry", "block", "holder")
    tell_event(story, "fest")
    story.part("An event whose ids are codes on one side alone; another that was not created but has tickets")
    imports(story, asked, own({"ticket_id": "T-9", "codes": ["c9"]}, ids_are_codes=True))
    decide.decide([Request(Issue(product="Old"), "G-1", "gala")], actor="desk")
    gala = {"ticket_id": "G-2", "event": "gala", "product": "Seat", "ids_are_codes": "yes", "codes": []}
    imports(story, asked, own(gala, slug="gala", ids_are_codes=True))
    tell_event(story, "gala")
    story.end(golden, GOLDEN / "imports-own-export.txt")
