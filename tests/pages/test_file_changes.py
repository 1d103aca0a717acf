"""A later file: what it says otherwise is shown, ticked and ordered."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client

from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import Admit, ChangeTicket, ImportEntry, Unblock
from dtvn.machine.reasons import REASONS
from tests.pages.file_imports import ANSWERS, URL, confirmed, previewed, upload
from tickets import tasks
from tickets.importing import confirmed as confirmed_changes
from tickets.importing import shown, uploads, work
from tickets.models import ImportAnswers, ImportState, ShownDifference, TicketImport
from validators.ledger.models import OperationRecord, Ticket
from validators.models import Team
from validators.services import decide

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])

FIRST = b"ticket_id,seat,valid until\nT-1,A11,2099-08-01\nT-2,B1,\nT-3,C1,\n"
LATER = b"ticket_id,seat,valid until\nT-1,A12,\nT-2,B2,\nT-4,D1,\n"


def ticked(import_id: int, *tickets: str) -> list[int]:
    """The ids of the rows of these tickets."""
    rows = ShownDifference.objects.filter(of=import_id, ticket__in=tickets)
    return list(rows.values_list("pk", flat=True))


def reconciled(client: Client, asked: list[tuple[int, str]], import_id: int, **fields: Any) -> TicketImport:
    assert client.post(f"{URL}/{import_id}/confirm", fields).status_code == 302
    tasks.run_import(*asked[-1])
    return TicketImport.objects.get(pk=import_id)


def seats() -> dict[str, str]:
    return dict(Ticket.objects.values_list("ticket_id", "seat"))


@pytest.fixture
def second(desk: Client, asked: Any) -> int:
    """The preview of LATER, after FIRST was imported."""
    confirmed(desk, asked, previewed(desk, asked, FIRST))
    return previewed(desk, asked, LATER)


def test_what_a_later_file_says_otherwise_is_ordered_if_it_is_ticked(
    desk: Client, asked: Any, second: int
) -> None:
    page = desk.get(f"{URL}/{second}").content.decode()
    for text in (
        "T-1: seat A12, stored A11; valid until none, stored 2099-08-01 23:59:59 UTC",
        "1 new, 0 the same, 2 changed, 1 gone from the file",
        '<b>1 gone from the file</b>, <span class="ticked">0</span> ticked',
        "T-3 (C1): is in no row of the file",
        "no longer in the seller&#x27;s file",
        "Import 1 new ticket<",
    ):
        assert text in page
    # The page shows new tickets, too, and what is shown without a tick is not issued.
    pages, wanted = ["new:1", "change:1", "gone:1"], ticked(second, "T-1", "T-4")
    done = reconciled(desk, asked, second, page=pages, change=wanted)
    ordered = [(one["kind"], one["count"]) for one in done.report["ordered"]]
    assert (done.state, ordered, done.report["issued"]) == (ImportState.DONE, [("change", 1)], 1)
    assert done.report["not_ordered"] == ["1 changed ticket was left out: the tickets stay as they were."]
    for path in (URL, f"{URL}/{second}"):
        page = desk.get(path).content.decode()
        assert done.report["not_ordered"][0] in page
        assert '<span class="pill plain warn"' in page, "it does not look as if all was done"
    assert seats() == {"T-1": "A12", "T-2": "B1", "T-3": "C1", "T-4": "D1"}, "what is not ticked stays"
    # The one that stays is named; that a ticket is gone from the file is no order that was left out.
    assert done.report["unconfirmed"] == [{"row": 3, "reason": "T-2: seat B2, stored B1"}]
    assert "<h2>Not confirmed</h2>" in page
    assert "T-2: seat B2, stored B1" in page
    report = desk.get(f"{URL}/{second}/report").content.decode()
    assert '3,unconfirmed,"T-2: seat B2, stored B1"' in report
    assert not ShownDifference.objects.exists(), "it may name persons"
    # A file without these columns says nothing about them.
    third = TicketImport.objects.get(pk=previewed(desk, asked, b"ticket_id\nT-1\n"))
    assert (third.report["identical"], third.report["differing"]) == (1, 0)


def test_ticks_are_kept_from_page_to_page(desk: Client, asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "PAGE", 2)
    rows = "".join(f"T-{number},A\n" for number in range(5))
    confirmed(desk, asked, previewed(desk, asked, f"ticket_id,seat\n{rows}".encode()))
    import_id = previewed(desk, asked, f"ticket_id,seat\n{rows}".replace("A", "B").encode())
    address = f"{URL}/{import_id}"

    def chosen() -> list[str]:
        rows = ShownDifference.objects.filter(of=import_id, chosen=True)
        return list(rows.values_list("ticket", flat=True))

    def send(**fields: Any) -> str:
        token = TicketImport.objects.get(pk=import_id).token
        answer = desk.post(f"{address}/choose", {"token": token, **fields})
        assert answer.status_code == 302, answer.content
        return str(answer.headers["Location"])

    here = send(page="change:1", change=ticked(import_id, "T-1"), go="change:2")
    assert (here, chosen()) == (f"{address}?change=2#change", ["T-1"])
    page = desk.get(here).content.decode()
    assert ("3 to 4 of 5" in page, "T-2: seat B" in page, "T-1: seat B" in page) == (True, True, False)
    assert '<span class="ticked">1</span> ticked' in page
    assert send(page="change:2", all="change") == f"{address}?change=2#change"
    assert chosen() == [f"T-{number}" for number in range(5)]
    send(page="change:2", change=ticked(import_id, "T-3"))
    assert chosen() == ["T-0", "T-1", "T-3", "T-4"]
    assert send(page="change:1", none="change", go="change:3") == f"{address}?change=3#change"
    assert chosen() == []
    send(page="change:3", change=ticked(import_id, "T-0", "T-4"))
    assert chosen() == ["T-4"], "T-0 was not shown there"
    reconciled(desk, asked, import_id, page="change:1", change=ticked(import_id, "T-0"))
    assert seats() == {"T-0": "B", "T-1": "A", "T-2": "A", "T-3": "A", "T-4": "B"}


def test_a_page_that_shows_other_ticks_orders_nothing(desk: Client, asked: Any, second: int) -> None:
    """Two persons look at one file."""
    token = TicketImport.objects.get(pk=second).token
    mine = {"token": token, "page": ["change:1"], "change": ticked(second, "T-1")}
    assert desk.post(f"{URL}/{second}/choose", mine).status_code == 302
    for path in ("choose", "confirm"):
        answer = desk.post(f"{URL}/{second}/{path}", {"token": token, "page": "change:1"})
        assert (answer.status_code, "look at it once more" in answer.content.decode()) == (409, True)
    assert len(asked) == 3


def test_what_changed_after_it_was_shown_is_said_and_not_ordered(
    desk: Client, asked: Any, second: int
) -> None:
    moved = Request(ChangeTicket(seat="Z9"), "T-2")
    entered = Request(Admit(gate="north"), "T-1")
    assert [one.code for one in decide.decide([moved, entered], actor="desk")] == ["ok", "ok"]
    done = reconciled(desk, asked, second, change=["change", "gone"])
    assert seats() == {"T-1": "A11", "T-2": "Z9", "T-3": "C1", "T-4": "D1"}
    said = [row["reason"] for row in done.report["wrong"]]
    before = "not changed, since it is another one than was shown; now"
    assert said == [
        f"T-1: changed; {before} T-1: seat A12, stored A11; valid until none, "
        "stored 2099-08-01 23:59:59 UTC; stays as it is: its guest has entered already",
        f"T-2: changed; {before} T-2: seat B2, stored Z9",
    ]
    assert done.report["not_ordered"] == [
        "2 differences changed after the file was shown, and were not made: see the wrong rows."
    ]
    assert Ticket.objects.get(ticket_id="T-3").whole.blocked


def test_no_name_stays_in_the_report_of_an_import_that_is_done(desk: Client, asked: Any) -> None:
    def file(seat: str) -> bytes:
        return f"ticket_id,seat,name\nT-1,{seat},Zoë\nT-2,{seat},Eve\n".encode()

    confirmed(desk, asked, previewed(desk, asked, file("A")))
    second = previewed(desk, asked, file("B"))
    assert "T-1 (Zoë): seat B" in desk.get(f"{URL}/{second}").content.decode()
    moved, entered = Request(ChangeTicket(seat="C"), "T-1"), Request(Admit(gate="north"), "T-2")
    assert [one.code for one in decide.decide([moved, entered], actor="desk")] == ["ok", "ok"]
    done = reconciled(desk, asked, second, change="change")
    assert (len(done.report["wrong"]), len(done.report["stays"])) == (2, 1)
    assert not re.search("Zoë|Eve", str(done.report))


def test_what_came_up_after_the_file_was_shown_is_said_and_not_ordered(desk: Client, asked: Any) -> None:
    confirmed(desk, asked, previewed(desk, asked, FIRST))
    import_id = previewed(desk, asked, FIRST + b"T-4,D1,\n")
    (moved,) = decide.decide([Request(ChangeTicket(seat="Z9"), "T-2")], actor="desk")
    assert moved.code == "ok"
    done = reconciled(desk, asked, import_id, change=["change", "gone"])
    assert [row["reason"] for row in done.report["wrong"]] == [
        "T-2: seat B1, stored Z9: not changed, since it came up after the file was shown"
    ]
    assert seats()["T-2"] == "Z9"


def test_what_is_so_already_is_not_ordered_again(desk: Client, asked: Any, second: int) -> None:
    (moved,) = decide.decide([Request(ChangeTicket(seat="B2"), "T-2")], actor="desk")
    assert moved.code == "ok"
    done = reconciled(desk, asked, second, change="change")
    assert (done.report["wrong"], done.report["not_ordered"]) == ([], [])
    assert done.report["ordered"] == [{"kind": "change", "words": "changed", "count": 2}]


def test_changes_that_stop_half_way_go_on_without_ordering_twice(
    desk: Client, asked: Any, second: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, ordered = decide.batch, list[Request]()

    def silent(requests: list[Request], **options: Any) -> list[Decision]:
        told = [one for one in requests if one.ticket != "T-2"]
        ordered.extend(told)
        decided = {one.request.ticket: one for one in honest(told, **options)} if told else {}
        return [decided.get(one.ticket) or Decision(one, Result("unavailable")) for one in requests]

    with monkeypatch.context() as context:
        context.setattr(decide, "batch", silent)
        context.setattr(work, "PATIENCE", 0.2)
        stopped = reconciled(desk, asked, second, change=["change", "gone"])
    assert stopped.state == ImportState.STOPPED
    assert {one.ticket for one in ordered} == {"T-1", "T-3", "T-4"}
    # A person takes back what was ordered: going on does not block T-3 once more.
    (freed,) = decide.decide([Request(Unblock(), "T-3")], actor="desk")
    assert freed.code == "ok"
    before = Ticket.objects.get(ticket_id="T-1").whole
    done = confirmed(desk, asked, second)
    assert (done.state, seats()["T-2"]) == (ImportState.DONE, "B2")
    assert Ticket.objects.get(ticket_id="T-1").whole == before
    assert not Ticket.objects.get(ticket_id="T-3").whole.blocked
    assert [(one["kind"], one["count"]) for one in done.report["ordered"]] == [("change", 2), ("gone", 1)]
    assert [row["reason"].partition(":")[0] for row in done.report["wrong"]] == ["T-3"]
    assert (done.report["issued"], done.report["present"]) == (0, 3)


def test_an_import_whose_worker_was_killed_orders_only_what_is_missing(
    desk: Client, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed after some entries, before it could mark what is done."""
    head = b"event,ticket_id,state,admitted_at,ids_are_codes,sequence,entry_node\n"
    rows = b"".join(b"fest,T-%d,CONSUMED,2026-08-01T20:00:00+00:00,yes,1,n1\n" % number for number in (1, 2))
    import_id = previewed(desk, asked, head + rows)
    honest = decide.batch

    def silent(requests: list[Request], **options: Any) -> list[Decision]:
        if not isinstance(requests[0].command, ImportEntry):
            return honest(requests, **options)
        decided = {one.request: one for one in honest([r for r in requests if r.ticket == "T-1"], **options)}
        return [decided.get(one) or Decision(one, Result("unavailable")) for one in requests]

    with monkeypatch.context() as context:
        context.setattr(decide, "batch", silent)
        context.setattr(work, "PATIENCE", 0.2)
        stopped = confirmed(desk, asked, import_id)
    assert "Until then 1 guest who entered elsewhere can enter once more." in stopped.error
    ShownDifference.objects.update(done=False)
    done = confirmed(desk, asked, import_id)
    assert (done.state, done.report["wrong"], done.report["entered_done"]) == (ImportState.DONE, [], 2)
    assert (done.report["issued"], done.report["existed"], done.report["present"]) == (0, 2, 2)
    executed = OperationRecord.objects.filter(code="ok", event="fest").values_list("operation", flat=True)
    assert sorted(executed) == ["import_entry", "import_entry", "issue", "issue"]


def test_a_change_that_the_cluster_refuses_is_a_wrong_row_and_not_counted(
    desk: Client, asked: Any, second: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = decide.batch

    def strict(requests: list[Request], **options: Any) -> list[Decision]:
        refused = Result("not_permitted", b"", 1)
        decided = {one.request: one for one in honest([r for r in requests if r.ticket != "T-2"], **options)}
        return [decided.get(one) or Decision(one, refused) for one in requests]

    monkeypatch.setattr(decide, "batch", strict)
    done = reconciled(desk, asked, second, change="change")
    assert (done.state, seats()["T-1"], seats()["T-2"]) == (ImportState.DONE, "A12", "B1")
    assert done.report["ordered"] == [{"kind": "change", "words": "changed", "count": 1}]
    sentence = REASONS["not_permitted"].sentence
    assert done.report["wrong"] == [{"row": 3, "reason": f"T-2 was not changed: {sentence}"}]


def test_a_refused_change_is_told_of_the_row_of_its_own_event(
    desk: Client, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both events have a ticket of this id."""
    honest, events = decide.batch, {"a": "a", "b": "b"}

    def strict(requests: list[Request], **options: Any) -> list[Decision]:
        refused = Result("not_permitted", b"", 1)
        decided = {one.request: one for one in honest([r for r in requests if r.event != "a"], **options)}
        return [decided.get(one) or Decision(one, refused) for one in requests]

    first = b"ticket_id,event,seat\nT-1,a,A\nT-1,b,A\n"
    confirmed(desk, asked, previewed(desk, asked, first, events=events))
    later = previewed(desk, asked, first.replace(b"A", b"B"), events=events)
    monkeypatch.setattr(decide, "batch", strict)
    done = reconciled(desk, asked, later, change="change")
    assert [(row["row"], row["reason"][:3]) for row in done.report["wrong"]] == [(2, "T-1")]
    assert {(row.event, row.seat) for row in Ticket.objects.all()} == {("a", "A"), ("b", "B")}


def test_all_changes_are_shown_ordered_and_counted_however_few_at_once(
    desk: Client, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "ROWS_AT_ONCE", 2)
    confirmed(desk, asked, previewed(desk, asked, b"ticket_id,seat\nT-1,A\nT-2,A\nT-3,A\nT-4,A\nT-5,A\n"))
    later = previewed(desk, asked, b"ticket_id,seat\nT-1,B\nT-2,B\nT-3,B\nT-4,B\nT-5,B\n")
    rows = ShownDifference.objects.filter(of=later).order_by("ticket")
    assert list(rows.values_list("ticket", flat=True)) == [f"T-{number}" for number in range(1, 6)]
    done = reconciled(desk, asked, later, change="change")
    assert done.report["ordered"] == [{"kind": "change", "words": "changed", "count": 5}]
    assert (done.done, set(seats().values())) == (done.total, {"B"})


def test_marks_that_the_database_did_not_take_are_written_with_later_ones(
    second: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an import that goes on would order again what is done."""

    def away(*_: Any) -> Any:
        raise OperationalError("the server closed the connection")

    rows = ShownDifference.objects.filter(of=second).order_by("pk")
    first, later = rows.values_list("key", flat=True)[:2]
    marks = confirmed_changes.DoneMarks(TicketImport.objects.get(pk=second))
    with monkeypatch.context() as context:
        context.setattr(confirmed_changes, "rows_of", away)
        marks.add([first])
    assert not rows.filter(done=True).exists()
    marks.add([later])
    assert list(rows.filter(done=True).values_list("key", flat=True)) == [first, later]


def test_a_tick_on_a_page_drawn_before_another_change_is_refused(
    desk: Client, asked: Any, second: int
) -> None:
    drawn = TicketImport.objects.get(pk=second)
    shown_first = uploads.Choice(pages={"change": 1}, ticked=ticked(second, "T-1"))
    uploads.choose(TicketImport.objects.get(pk=second), shown_first)
    with pytest.raises(uploads.ImportRefused) as refused:
        uploads.choose(drawn, uploads.Choice(kinds=["gone"]))
    assert str(refused.value) == uploads.CHANGED_MEANWHILE
    chosen = ShownDifference.objects.filter(of=second, chosen=True).exclude(kind="new")
    assert list(chosen.values_list("ticket", flat=True)) == ["T-1"]


@pytest.mark.parametrize(
    ("path", "fields", "says"),
    [
        ("confirm", {"change": "everything"}, "change: &#x27;everything&#x27; is none of new, change"),
        ("confirm", {"page": "change"}, "page: &#x27;change&#x27; is not a kind and a page"),
        ("confirm", {"page": "change:0"}, "page: &#x27;change:0&#x27; is not a kind and a page"),
        ("choose", {"go": "x:1"}, "go: &#x27;x&#x27; is none of"),
        ("choose", {"none": "x"}, "none: &#x27;x&#x27; is none of"),
    ],
)
def test_a_wrong_choice_is_a_400_that_names_the_field(
    desk: Client, asked: Any, second: int, path: str, fields: dict[str, str], says: str
) -> None:
    answer = desk.post(f"{URL}/{second}/{path}", fields)
    assert (answer.status_code, says in answer.content.decode()) == (400, True)
    assert TicketImport.objects.get(pk=second).state == ImportState.PREVIEW


def test_the_differences_are_read_by_programs(desk: Client, asked: Any, second: int) -> None:
    found = desk.get(f"{URL}/{second}/changes", {"kind": "change"}).json()
    assert found["kinds"][1] == {"kind": "change", "words": "changed", "count": 2, "chosen": 0, "pages": 1}
    assert [(one["ticket"], one["row"], one["chosen"]) for one in found["changes"]] == [
        ("T-1", 2, False),
        ("T-2", 3, False),
    ]
    assert desk.get(f"{URL}/{second}/changes", {"kind": "change", "page": "2"}).json()["changes"] == []
    for wrong in ({"kind": "x"}, {"kind": "change", "page": "0"}):
        assert desk.get(f"{URL}/{second}/changes", wrong).status_code == 400
    lines = desk.get(f"{URL}/{second}/report").content.decode().splitlines()
    assert lines[1:] == [
        "4,new,T-4: D1",
        '2,changed,"T-1: seat A12, stored A11; valid until none, stored 2099-08-01 23:59:59 UTC"',
        '3,changed,"T-2: seat B2, stored B1"',
        ",gone from the file,T-3 (C1): is in no row of the file",
    ]


def test_a_source_is_trusted_once_a_file_of_it_was_imported(desk: Client, asked: Any) -> None:
    """Not by a confirmation that ordered nothing: nobody has seen what its answers bring about."""
    first = previewed(desk, asked, FIRST)
    reconciled(desk, asked, first, page=["new:1"])
    assert not Ticket.objects.exists()
    later = previewed(desk, asked, FIRST)
    assert TicketImport.objects.get(pk=later).preview["trusted"] is False
    confirmed(desk, asked, later)
    assert TicketImport.objects.get(pk=previewed(desk, asked, LATER)).preview["trusted"] is True


def test_nothing_is_applied_without_a_person_under_changed_answers(desk: Client, asked: Any) -> None:
    """A refunded guest stays outside, whoever rehearsed with other answers."""
    paid = b"ticket_id,state of payment\nT-1,paid\nT-2,refunded\n"
    admits = {"state of payment": ["paid"]}
    confirmed(desk, asked, previewed(desk, asked, paid, admits=admits))
    both = {"state of payment": ["paid", "refunded"]}
    changed = previewed(desk, asked, paid + b"T-3,paid\n", admits=both)
    refused = desk.post(f"{URL}/{changed}/confirm", {"apply": ""})
    assert (refused.status_code, "answers about admits" in refused.content.decode()) == (409, True)
    assert TicketImport.objects.get(pk=changed).state == ImportState.PREVIEW
    again = previewed(desk, asked, paid + b"T-3,paid\n", admits=admits)
    assert desk.post(f"{URL}/{again}/confirm", {"apply": ""}).status_code == 302


def test_answers_of_somebody_who_left_are_a_warning(desk: Client, asked: Any) -> None:
    """Cancellations go on arriving."""
    confirmed(desk, asked, previewed(desk, asked, FIRST))
    ImportAnswers.objects.update(actor="user:gone")
    later = TicketImport.objects.get(pk=previewed(desk, asked, LATER))
    assert [sentence for sentence in later.report["said"] if "(gone)" in sentence]
    assert desk.post(f"{URL}/{later.pk}/confirm", {"apply": ""}).status_code == 302


def test_a_file_is_imported_into_an_event_of_its_uploader(desk: Client, asked: Any) -> None:
    """Whatever events the file names, and whoever answers about them."""
    team = Team.objects.create(name="two", events=["own", "second"], rights=["issue"])
    team.members.add(user := User.objects.create_user("olga", is_staff=True))
    client = Client()
    client.force_login(user)
    named = b"id,event,seat\nT-1,demo,A1\n"
    assert upload(client, named, event="demo").status_code == 403
    assert upload(client, named, event="").status_code == 403, "it names its events itself"
    assert upload(client, named, event="own").status_code == 302
    one = TicketImport.objects.get()
    tasks.run_import(*asked[-1])
    foreign = {"event.name": "demo", "event.kept": "in", "event.slug": "demo", "new-event": "create"}
    assert client.post(f"{URL}/{one.pk}/answers", foreign | {"code": "id"}).status_code == 403
    one.refresh_from_db()
    assert one.state in (ImportState.ASKING, ImportState.REFUSED)
    assert not Ticket.objects.exists()
    team.events = ["second"]
    team.save()
    assert client.get(f"{URL}/{one.pk}").status_code == 404, "the right is gone"
    assert client.post(f"{URL}/{one.pk}/confirm").status_code == 404


def test_the_answers_of_an_event_are_not_those_of_another(desk: Client, asked: Any) -> None:
    """Of one shop: both files have the same columns."""
    paid = b"ticket_id,state of payment\nT-1,paid\nT-2,Mr Hopper owes us\n"
    for event, admits in (("winter", ["paid"]), ("autumn", ["paid", "Mr Hopper owes us"])):
        answers = msgspec.structs.replace(ANSWERS, admits={"state of payment": admits})
        assert upload(desk, paid, answers=answers, event=event).status_code == 302
        tasks.run_import(*asked[-1])
        confirmed(desk, asked, asked[-1][0])
    assert upload(desk, paid, answers=ANSWERS, event="winter").status_code == 302
    tasks.run_import(*asked[-1])
    later = TicketImport.objects.get(pk=asked[-1][0])
    known = [source["answers"]["admits"] for source in later.preview["source"]]
    assert known == [{"state of payment": ["paid"]}]
