"""The import page up to the worker's part, which runs here in place of the worker."""

from __future__ import annotations

import csv
import io
import re
from contextlib import closing, suppress
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError
from openpyxl import Workbook

from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from tests.pages.file_imports import URL, confirmed, previewed, upload
from tests.pages.learner import RealLearner
from tests.team_keys import join
from tests.waiting import PATIENCE
from tickets import tasks
from tickets.importing import reporting, time_limit, uploads, work
from tickets.models import ImportState, TicketImport
from tickets.pages import imports
from validators.ledger.models import Ticket
from validators.models import PlatformAction
from validators.services import decide

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])


def test_the_report_says_how_many_rows_it_leaves_out(
    desk: Client, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "ROWS_REPORTED", 2)
    import_id = previewed(desk, asked, b"ticket_id,a\nT-1,2\n,2\n,2\n,2\n,2\n,2\n")
    report = list(csv.reader(desk.get(f"{URL}/{import_id}/report").content.decode().splitlines()))
    assert [line[:2] for line in report[1:3]] == [["3", "wrong"], ["4", "wrong"]]
    assert report[3:] == [["", "wrong", "and 3 more"], ["2", "new", "T-1: new"]]


def test_an_import_whose_database_goes_away_writes_one_line(
    desk: Client, asked: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays at work for its page, which offers to start it again once its heartbeat is old."""
    import_id = previewed(desk, asked)

    def away(*_: object) -> None:
        raise OperationalError("server closed the connection\nunexpectedly") from ConnectionResetError()

    monkeypatch.setattr(work, "_read", away)
    desk.post(f"{URL}/{import_id}/confirm")
    assert tasks.run_import(*asked[-1]) == "database_away"
    (line,) = caplog.records
    assert line.getMessage() == f"import {import_id} ended: server closed the connection"
    assert line.exc_info is None


def test_an_import_that_stops_half_way_says_so_and_goes_on(
    desk: Client, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = previewed(desk, asked, b"ticket_id,event\nT-1,a\nT-1,b\n", events={"a": "a", "b": "b"})
    honest = decide.batch

    def silent(requests: list[Request], **options: Any) -> list[Decision]:
        if requests[0].event == "b":
            return [Decision(request, Result("unavailable")) for request in requests]
        return honest(requests, **options)

    with monkeypatch.context() as context:
        context.setattr(decide, "batch", silent)
        context.setattr(work, "PATIENCE", 0.2)
        stopped = confirmed(desk, asked, import_id)
    assert (stopped.state, stopped.report["present"], stopped.done) == (ImportState.STOPPED, 1, 1)
    page = desk.get(f"{URL}/{import_id}").content.decode()
    assert "no final answer" in page
    assert "Start again" in page
    done = confirmed(desk, asked, import_id)
    assert (done.state, done.report["issued"], done.report["existed"]) == (ImportState.DONE, 1, 1)


@pytest.mark.parametrize(
    ("content", "name", "fields", "status", "says"),
    [
        (b"ticket_id\nT-1\n", "a.csv", {"event": "a b"}, 400, "&#x27;a b&#x27; is not 1 to 64"),
        (
            b"T",
            "a.csv",
            {"answers": b'{"timezone": "Mars"}'},
            400,
            "zone &#x27;Mars&#x27; is unknown",
        ),
        (b"T", "a.csv", {"answers": b'{"timezone": "a\\u0000b"}'}, 400, "is unknown"),
        (b"T", "a.csv", {"answers": b'{"columns": 3}'}, 400, "answers: Expected `object`"),
        (b"T", "a.csv", {"answers": b"{"}, 400, "answers: Input data was truncated"),
        (b"", "a.csv", {}, 400, "The file is empty."),
    ],
)
def test_bad_input_is_a_400_that_names_the_field(
    desk: Client, asked: Any, content: bytes, name: str, fields: dict[str, Any], status: int, says: str
) -> None:
    answer = upload(desk, content, name, **fields)
    assert (answer.status_code, says in answer.content.decode()) == (status, True)
    assert (asked, TicketImport.objects.count()) == ([], 0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04rest", "cannot be read"),
        (b"\x00\x01\xff", "is no CSV, XLSX or JSON file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(
    desk: Client, asked: Any, content: bytes, says: str
) -> None:
    refused = TicketImport.objects.get(pk=previewed(desk, asked, content))
    assert (refused.state, bytes(refused.content)) == (ImportState.REFUSED, b"")
    assert says in refused.error
    assert "--" not in refused.error, "what is named is on the page"
    page = desk.get(f"{URL}/{refused.pk}").content.decode()
    assert f'<a class="button primary" href="{URL}">Upload again</a>' in page
    assert desk.post(f"{URL}/{refused.pk}/confirm").status_code == 409
    assert desk.post(f"{URL}/{refused.pk}/discard").status_code == 302


def test_counts_of_one_are_singular(desk: Client, asked: Any) -> None:
    import_id = previewed(desk, asked, b"ticket_id\nT-1\n")
    done = confirmed(desk, asked, import_id)
    page = desk.get(f"{URL}/{done.pk}").content.decode()
    assert "1 ticket of this file; 0 of them were here already" in page
    assert not re.search(r"\b1 tickets", page + desk.get(f"{URL}/{previewed(desk, asked)}").content.decode())


def test_a_second_file_of_one_person_waits_for_the_first(desk: Client, asked: Any) -> None:
    upload(desk, b"ticket_id\nT-1\n")
    answer = upload(desk, b"ticket_id\nT-2\n")
    assert (answer.status_code, "guests.csv is being imported" in answer.content.decode()) == (409, True)
    assert desk.post(f"{URL}/{asked[0][0]}/discard").status_code == 409


def test_a_file_is_read_while_a_worker_reads_that_of_another_person(desk: Client, asked: Any) -> None:
    """It waited until a slow workbook was read."""
    slow, more = (
        {"options": uploads.UploadOptions(), "actor": f"user:{name}", "send": lambda *_: None}
        for name in ("slow", "more")
    )
    uploads.begin("slow.xlsx", b"x", **slow)
    done = confirmed(desk, asked, previewed(desk, asked))
    assert done.state == ImportState.DONE
    uploads.begin("more.csv", b"x", **more)
    answer = upload(desk, b"ticket_id\nT-2\n")
    assert (answer.status_code, "2 files are being imported" in answer.content.decode()) == (409, True)


@pytest.mark.parametrize(("theirs", "status"), [(["other"], 302), (["default", "other"], 409), (None, 409)])
def test_tickets_of_one_event_are_issued_by_one_import_at_a_time(
    desk: Client, asked: Any, theirs: list[str] | None, status: int
) -> None:
    """`theirs`: the events of the import under way; one of before the upgrade does not name them."""
    preview = {"key": "k"} if theirs is None else {"key": "k", "events": theirs}
    import_id = previewed(desk, asked)
    TicketImport.objects.create(
        file_name="a.csv",
        actor="user:another",
        content=b"x",
        heartbeat_at=timezone.now(),
        state=ImportState.ISSUING,
        preview=preview,
    )
    assert desk.post(f"{URL}/{import_id}/confirm").status_code == status


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_file_that_takes_too_long_to_read_is_refused(
    desk: Client, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timer may strike in a callback of the garbage collector, which loses the error; then it strikes
    again."""
    monkeypatch.setattr(work, "READ_WITHIN", 0.05)
    monkeypatch.setattr(time_limit, "AGAIN", 0.02)
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in [["ticket_id"], *[[f"T-{number}"] for number in range(20_000)]]:
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    refused = TicketImport.objects.get(pk=previewed(desk, asked, content.getvalue()))
    assert (refused.state, bytes(refused.content)) == (ImportState.REFUSED, b"")
    assert "to read: split it, or save it as CSV." in refused.error
    monkeypatch.setattr(work, "READ_WITHIN", 60)
    assert previewed(desk, asked) > refused.pk


def test_an_import_whose_report_does_not_say_what_is_there_is_shown_as_before(desk: Client) -> None:
    """Releases before this one did not write it."""
    for name, report in (("older.csv", {}), ("empty.csv", {"present": 0}), ("full.csv", {"present": 1})):
        TicketImport.objects.create(
            file_name=name, state=ImportState.DONE, report=report, heartbeat_at=timezone.now()
        )
    page = re.sub(r"<[^>]+>", " ", desk.get(URL).content.decode())
    shown = re.findall(r"(older|empty|full)\.csv\s+as the file says\s+(Imported|Nothing imported)", page)
    assert dict(shown) == {"older": "Imported", "empty": "Nothing imported", "full": "Imported"}


def test_of_two_confirmations_at_once_one_starts(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"heartbeat_at": timezone.now(), "content": b"x", "state": ImportState.PREVIEW}
    first, second = (TicketImport.objects.create(file_name=name, **kept) for name in "ab")

    def confirm(one: TicketImport) -> None:
        uploads.confirm(one, actor="user:operator", may_change=False, send=lambda *_: None)

    def meanwhile() -> None:
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 0")
            with suppress(OperationalError):  # locked: a page waits
                confirm(second)

    def interrupted(_: int) -> str:
        monkeypatch.undo()
        other = Thread(target=meanwhile)
        other.start()
        other.join(PATIENCE)
        return "token"

    monkeypatch.setattr("tickets.importing.uploads.secrets.token_hex", interrupted)
    confirm(first)
    assert [one.pk for one in TicketImport.objects.filter(state__in=uploads.WORKING)] == [first.pk]


def test_an_import_whose_worker_ended_is_reported_and_restarted(desk: Client, asked: Any) -> None:
    import_id = previewed(desk, asked)
    desk.post(f"{URL}/{import_id}/confirm")
    late = asked[-1]
    TicketImport.objects.update(heartbeat_at=timezone.now() - 2 * uploads.LOST_AFTER)
    assert "No worker took it up" in desk.get(f"{URL}/{import_id}").content.decode()
    assert tasks.run_import(*late) == "superseded"
    done = confirmed(desk, asked, import_id)
    assert done.state == ImportState.DONE
    assert tasks.run_import(*late) == "superseded"


def test_a_file_that_is_read_too_late_is_not_issued(desk: Client, asked: Any) -> None:
    upload(desk, b"ticket_id\nT-1\n")
    TicketImport.objects.update(heartbeat_at=timezone.now() - 2 * uploads.LOST_AFTER)
    desk.get(URL)
    assert tasks.run_import(*asked[-1]) == "superseded"
    assert not Ticket.objects.exists()


def test_without_the_scope_nothing_is_imported_or_listed_with_names(
    learner: RealLearner, client: Client, asked: Any
) -> None:
    assert client.get(URL).status_code == 302
    auditor = User.objects.create_user("auditor")
    join(auditor, "auditor")
    client.force_login(auditor)
    page = client.get(URL)
    assert (page.status_code, b"Read the file" in page.content) == (200, False)
    assert b"Admission list" not in page.content
    assert upload(client, b"ticket_id\nT-1\n").status_code == 403
    for path in ("1", "1/state", "1/report"):
        assert client.get(f"{URL}/{path}").status_code == 403
    assert client.get("/dashboard/tickets/export/admission.csv").status_code == 403
    assert (asked, TicketImport.objects.count()) == ([], 0)


def test_entries_are_imported_only_by_those_who_may_operate(
    learner: RealLearner, client: Client, asked: Any
) -> None:
    user = User.objects.create_user("shop")
    join(user, "issue")
    client.force_login(user)
    head = b"event,ticket_id,state,admitted_at,ids_are_codes,sequence,entry_node\n"
    import_id = previewed(client, asked, head + b"fest,T-1,CONSUMED,2026-08-01T20:00:00+00:00,yes,1,n1\n")
    assert client.post(f"{URL}/{import_id}/confirm").status_code == 403
    join(user, "operate")
    done = confirmed(client, asked, import_id)
    assert (done.state, done.error) == (ImportState.DONE, "")
    assert Ticket.objects.using("learner").get().state == "CONSUMED"


@pytest.mark.parametrize("path", ["9", f"{2**63}", "9/state"])
def test_an_unknown_import_is_a_404(desk: Client, path: str) -> None:
    assert desk.get(f"{URL}/{path}").status_code == 404


def test_a_file_that_was_read_again_is_not_confirmed_by_an_old_page(desk: Client, asked: Any) -> None:
    import_id = previewed(desk, asked)
    token = TicketImport.objects.get(pk=import_id).token
    assert desk.post(f"{URL}/{import_id}/answers", {"stewards_see_why": "on"}).status_code == 302
    tasks.run_import(*asked[-1])
    old = desk.post(f"{URL}/{import_id}/confirm", {"token": token})
    assert (old.status_code, "look at it once more" in old.content.decode()) == (409, True)
    assert not Ticket.objects.exists()


def test_answers_of_an_import_that_is_done_cannot_be_changed(desk: Client, asked: Any) -> None:
    done = confirmed(desk, asked, previewed(desk, asked))
    late = desk.post(f"{URL}/{done.pk}/answers", {"stewards_see_why": "on"})
    said = "Answers cannot be changed: the import is imported."
    assert (late.status_code, said in late.content.decode()) == (409, True)
    left = TicketImport.objects.get(pk=done.pk)
    assert (left.state, left.report, left.token) == (ImportState.DONE, done.report, done.token)


def test_a_file_for_which_no_worker_can_be_asked_is_stopped_and_can_go_on(
    desk: Client, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker was away when the job was to be queued."""

    def away(*_: Any) -> None:
        raise BrokerError("refused")

    with monkeypatch.context() as context:
        context.setattr(imports, "send", away)
        answer = upload(desk, b"ticket_id\nT-1\n")
    said = "No worker is available to read the file; try again."
    assert (answer.status_code, said in answer.content.decode()) == (503, True)
    stopped = TicketImport.objects.get()
    assert (stopped.state, stopped.error) == (ImportState.STOPPED, "No worker could be asked.")
    assert confirmed(desk, asked, stopped.pk).state == ImportState.PREVIEW


def test_the_state_of_an_import_says_what_it_waits_for(desk: Client, asked: Any) -> None:
    upload(desk, b"ticket_id\nT-1\n")
    one = TicketImport.objects.get()

    def waits_for(**changed: Any) -> str:
        TicketImport.objects.filter(pk=one.pk).update(**changed)
        found: str = desk.get(f"{URL}/{one.pk}/state").json()["waits_for"]
        return found

    assert waits_for() == "a worker to take up the file"
    assert waits_for(claimed=True) == "the worker to read the file"
    assert waits_for(state=ImportState.ISSUING, total=1).startswith("the validators to decide")


def test_imports_and_downloads_are_recorded(desk: Client, asked: list[tuple[int, str]]) -> None:
    import_id = previewed(desk, asked)
    desk.post(f"{URL}/{import_id}/discard")
    desk.post(URL)
    desk.get("/dashboard/tickets/export/tickets.csv", {"event": "gig"})
    desk.get(URL)
    rows = PlatformAction.objects.exclude(action="login").order_by("pk")
    assert list(rows.values_list("actor", "action", "target", "outcome")) == [
        ("user:operator", f"POST {URL}", "", "ok"),
        ("user:operator", f"POST {URL}/{import_id}/discard", "", "ok"),
        ("user:operator", f"POST {URL}", "", "400"),
        ("user:operator", "GET /dashboard/tickets/export/tickets.csv", "event=gig", "sent"),
    ]
