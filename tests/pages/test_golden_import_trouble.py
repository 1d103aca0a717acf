"""What an import tells when not all goes well.

The network refuses, forgets to answer or is away, holders were stored before, and tickets change between what
is shown and what is ordered.

Told are the report to the program that imports, and every row of holders, codes, tickets and operations.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from dtvn.api.errors import TicketError, Unavailable
from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import Admit, Block, ChangeTicket, ImportEntry, Replace
from tests.golden import Compare
from tests.importing.telling import section
from tests.pages.file_imports import URL
from tests.pages.learner import ALIAS
from tests.pages.stories import Clock, Story
from tests.pages.test_golden_imports import OFFICE, by_program, worked
from tickets.importing import platform, reporting, work
from tickets.models import ImportState, TicketCode, TicketHolder, TicketImport
from tickets.services import events
from validators.ledger.models import OperationRecord, Ticket
from validators.rest import keys
from validators.services import decide
from validators.services.api_keys import store_api_key

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True, databases=["default", "learner"])

GOLDEN = Path(__file__).parent / "golden"
TABLES = (TicketHolder, TicketCode, (Ticket, ALIAS), (OperationRecord, ALIAS))
HEAD = "barcode,ticket id,name,seat,checked in,status\n"
FIRST = f"{HEAD}b1,T-1,Ada,A1,,ok\nb2,T-2,Bob,A2,yes,ok\nb3,T-3,Cy,A3,,ok\nb4,T-4,Dan,A4,yes,ok\n"
ANSWERS: dict[str, Any] = {"code": "barcode", "entered": ["checked in=yes"], "admits": ["status=ok"]}
KEPT = (
    "issued",
    "existed",
    "present",
    "entered_done",
    "ordered",
    "not_ordered",
    "unconfirmed",
    "wrong",
    "said",
)
"""Of a report, what is told here."""
Order = Callable[..., list[Decision]]


@pytest.fixture
def story(clock: Clock, desk: Client, monkeypatch: pytest.MonkeyPatch) -> Story:
    store_api_key("dtvn_office", label="office", scopes=["issue", "operate"])
    keys.forget()
    monkeypatch.setattr(platform, "PAUSE_FIRST", 0.0)
    found = Story(*TABLES)
    found.forget()
    return found


def uploaded(story: Story, asked: list[tuple[int, str]], content: str, **more: Any) -> int:
    """A program uploads a file; the number of its import."""
    by_program(story, asked, OFFICE, content.encode(), **ANSWERS, **more)
    return asked[-1][0]


def confirmed(story: Story, asked: list[tuple[int, str]], number: int, *changes: str) -> None:
    """It is confirmed, and issued; what comes of it."""
    story.ask(Client(), "post", f"{URL}/{number}/confirm", {"change": list(changes)}, **OFFICE)
    worked(story, asked)
    done = TicketImport.objects.get(pk=number)
    story.say(f"{done.state}, {done.done} of {done.total}; {done.error or 'no error'}")
    report = {name: done.report[name] for name in KEPT if done.report.get(name)}
    story.say(section("report", report))


class Troubled:
    """A network that does something else with the next batches: see `_answer`."""

    def __init__(self, *troubles: str) -> None:
        self._honest: Order = decide.batch
        self._troubles = list(troubles)

    def batch(self, requests: list[Request], **options: Any) -> list[Decision]:
        """See decide.batch."""
        trouble = self._troubles.pop(0) if self._troubles else ""
        return self._answer(trouble, requests, options)

    def _answer(self, trouble: str, requests: list[Request], options: Any) -> list[Decision]:
        match trouble:
            case "away":
                raise Unavailable("No quorum.")
            case "closed":
                raise TicketError("not_permitted")
            case "executed":
                self._honest(requests, **options)
                return [Decision(request, Result("outcome_unknown")) for request in requests]
            case "half":
                others = [Decision(request, Result("unavailable")) for request in requests[1:]]
                return self._honest(requests[:1], **options) + others
            case "":
                return self._honest(requests, **options)
            case code:
                return [Decision(request, Result(code, b"", 1)) for request in requests]


def test_the_story_of_a_troubled_network(
    story: Story, asked: Any, golden: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    plays: list[tuple[str, float, tuple[str, ...]]] = [
        ("half an answer, a lost one, then honest", 9.0, ("half", "executed", "", "away", "half")),
        ("closed at once", 9.0, ("closed",)),
        ("closed before the entries", 9.0, ("", "closed")),
        ("no entry is taken", 9.0, ("", "disputed")),
        ("an entry that was made already", 9.0, ("", "already_consumed", "already_consumed")),
        ("away for longer than it is waited for", 0.0, ("away", "away")),
        ("lost, then away", 0.0, ("executed",)),
    ]
    for number, (title, patience, troubles) in enumerate(plays, 1):
        story.part(title)
        content = FIRST.replace("\nb", f"\nb{number}").replace("T-", f"T{number}-")
        one = uploaded(story, asked, content, new_event="as-it-is")
        with monkeypatch.context() as context:
            context.setattr(decide, "batch", Troubled(*troubles).batch)
            context.setattr(work, "PATIENCE", patience)
            confirmed(story, asked, one)
    story.end(golden, GOLDEN / "imports-troubled.txt")


def test_the_story_of_changes_that_are_refused(
    story: Story, asked: Any, golden: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirmed(story, asked, uploaded(story, asked, FIRST, new_event="create"))
    later = f"{HEAD}b1,T-1,Ada King,A9,yes,ok\nn3,T-3,Cy,A3,,ok\nb4,T-4,Dan,A4,yes,void\n"
    plays: list[tuple[str, float, tuple[str, ...]]] = [
        ("not permitted", 9.0, ("not_permitted",)),
        ("away", 0.0, ("away",)),
        ("closed", 0.0, ("closed",)),
        ("half, then lost", 9.0, ("half", "executed")),
        ("then honest", 9.0, ()),
    ]
    for title, patience, troubles in plays:
        story.part(title)
        one = uploaded(story, asked, later.replace("A9", title.replace(",", "")), new_event="create")
        with monkeypatch.context() as context:
            context.setattr(decide, "batch", Troubled(*troubles).batch)
            context.setattr(work, "PATIENCE", patience)
            confirmed(story, asked, one, "change", "replace", "cancel", "entry", "holder", "gone")
    story.end(golden, GOLDEN / "imports-changes-refused.txt")


def test_the_story_of_an_event_that_is_not_created(
    story: Story, asked: Any, golden: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(requests: list[Request], **_: Any) -> list[Decision]:
        return [Decision(request, Result("unavailable")) for request in requests]

    def refused(requests: list[Request], **_: Any) -> list[Decision]:
        return [Decision(request, Result("not_permitted")) for request in requests]

    one = uploaded(story, asked, FIRST, new_event="create")
    monkeypatch.setattr(work, "PATIENCE", 0.0)
    for answer in (away, refused):
        with monkeypatch.context() as context:
            context.setattr(events, "decide", answer)
            confirmed(story, asked, one)
    confirmed(story, asked, one)
    story.end(golden, GOLDEN / "imports-no-event.txt")


def test_the_story_of_holders_that_were_stored_before(
    story: Story, clock: Clock, asked: Any, golden: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of persons without tickets, as of an import that was broken off, and of other events."""
    kept: list[tuple[str, str, dict[str, Any]]] = [
        ("default", "T-1", {"erased_at": clock.at(), "salt": b""}),
        ("default", "T-2", {"name": "Bea", "email": "bea@x", "salt": b"s" * 32}),
        ("default", "T-3", {"name": "Cy", "salt": b"t" * 32}),
        ("other", "T-4", {"name": "Zoë", "salt": b"u" * 32}),
    ]
    for event, ticket, fields in kept:
        TicketHolder.objects.create(event=event, ticket=ticket, **fields)
    one = uploaded(story, asked, FIRST, new_event="as-it-is")
    with monkeypatch.context() as context:
        context.setattr(decide, "batch", Troubled("not_permitted").batch)
        confirmed(story, asked, one)
    confirmed(story, asked, uploaded(story, asked, FIRST, new_event="as-it-is"))
    confirmed(
        story, asked, uploaded(story, asked, FIRST.replace("Cy", "Cyd"), new_event="as-it-is"), "holder"
    )
    story.end(golden, GOLDEN / "imports-holders.txt")


def test_the_story_of_a_network_that_goes_on_meanwhile(story: Story, asked: Any, golden: Compare) -> None:
    def ordered(*commands: tuple[Any, str]) -> None:
        requests = [Request(command, ticket) for command, ticket in commands]
        story.say(f"meanwhile: {[one.code for one in decide.decide(requests, actor='desk')]}")

    confirmed(story, asked, uploaded(story, asked, FIRST, new_event="as-it-is"))
    later = f"{HEAD}b1,T-1,Ada King,A9,,ok\nb2,T-2,Bo,A2,yes,ok\nb3,T-3,Cy,B3,,void\nb5,T-5,Eve,A5,,ok\n"
    story.part("One changed otherwise, one entered, one was blocked, one came up")
    one = uploaded(story, asked, later, new_event="as-it-is")
    ordered((ChangeTicket(seat="Z9"), "T-1"), (Block("lost"), "T-3"), (Admit(gate="n"), "T-4"))
    confirmed(story, asked, one, "change", "holder", "cancel", "gone")
    story.part("What is there already, and what came up since it was shown")
    one = uploaded(story, asked, later.replace("A9", "A10"), new_event="as-it-is")
    ordered((ChangeTicket(seat="A10"), "T-1"), (ChangeTicket(seat="A6"), "T-5"))
    confirmed(story, asked, one, "change")
    story.part("Another source gives the code of one away")
    one = uploaded(story, asked, later.replace("b5", "n5").replace("T-5", "T-6"), new_event="as-it-is")
    ordered((ImportEntry(), "T-1"), (Replace((bytes(32),)), "T-5"))
    confirmed(story, asked, one, "gone")
    story.end(golden, GOLDEN / "imports-meanwhile.txt")


def test_the_story_of_files_that_say_little(
    story: Story, asked: Any, golden: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All windows over, nothing to import, more gone than there is, more rows than a report has."""
    client, over = Client(), "barcode,valid until\nw1,2026-06-04\nw2,2026-06-05T17:29:59Z\n"
    for content in (
        over,
        f"{over}w3,2026-06-05T17:30:01Z\n",
        f"{HEAD}b1,T-1,Ada,A1,,void\n",
        f"{HEAD},T-1,Ada,A1,,ok\n",
    ):
        number = uploaded(story, asked, content, new_event="as-it-is", timezone="UTC")
        story.ask(client, "get", f"{URL}/{number}", **OFFICE)
    story.part("More gone than there is")
    confirmed(story, asked, uploaded(story, asked, FIRST, new_event="as-it-is"))
    number = uploaded(story, asked, "".join(FIRST.splitlines(keepends=True)[:2]), new_event="as-it-is")
    for kinds in ("gone", "change"):
        story.ask(client, "post", f"{URL}/{number}/confirm", {"change": kinds}, **OFFICE)
    story.ask(client, "post", f"{URL}/{number}/choose", {"all": "gone"}, **OFFICE)
    worked(story, asked)
    story.part("More rows than a report has")
    monkeypatch.setattr(reporting, "ROWS_REPORTED", 2)
    rows = "".join(f",T-{number},x,A,,ok\nv{number},V-{number},y,B,,void\n" for number in range(4))
    number = uploaded(story, asked, FIRST + rows, new_event="as-it-is")
    story.ask(client, "get", f"{URL}/{number}", **OFFICE)
    story.part("A reserved name, and a failure that nobody foresaw")
    number = uploaded(story, asked, f"{FIRST}", new_event="create", event_name=["x=runs"])
    with monkeypatch.context() as context:
        context.setattr(work, "compare", lambda *_: 1 / 0)
        number = uploaded(story, asked, FIRST, new_event="as-it-is")
        story.say(f"{TicketImport.objects.get(pk=number).state == ImportState.STOPPED}")
        story.ask(client, "get", f"{URL}/{number}/state", **OFFICE)
        story.say(TicketImport.objects.get(pk=number).error)
    story.end(golden, GOLDEN / "imports-odd-files.txt")
