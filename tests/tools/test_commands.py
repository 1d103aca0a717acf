"""The two commands from file to printed messages and exit code, over real HTTP."""

from __future__ import annotations

import io
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.waiting import saying
from tests.importing.exports import ANSWERS, as_csv, pretix_row
from tests.pages.learner import RealLearner
from tests.ports import free_ports
from tickets.importing import work
from tickets.management.commands import import_tickets, scan
from tickets.models import TicketHolder, TicketImport
from tickets.rest.asking import PlatformAsking
from validators.ledger.models import Ticket
from validators.services import decide

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])


NAMED = ["--code", "ticket_id"]
"""The answer about a file whose tickets are named by what is printed on them."""


class Ran:
    """What a command said and how it ended."""

    def __init__(self, name: str, *arguments: str) -> None:
        out = io.StringIO()
        self.code = 0
        try:
            call_command(name, *arguments, stdout=out)
        except SystemExit as end:
            self.code = int(end.code or 0)
        except CommandError as error:
            self.code, self.error = error.returncode, str(error)
        self.text = out.getvalue()


@pytest.fixture
def export(tmp_path: Path) -> Path:
    rows = [pretix_row(Order_code=f"ORD{number:02}") for number in range(30)]
    rows[4] = pretix_row(Order_code="ORD04", Status="canceled")
    rows[9] = pretix_row(Order_code="ORD09", Ticket_secret="")
    path = tmp_path / "fest_orders.csv"
    path.write_bytes(as_csv(*rows))
    return path


def test_what_a_later_file_says_otherwise_is_said_and_ordered_on_request(
    at: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "fest.csv"
    path.write_text("ticket_id,seat\nT-1,A11\nT-2,B1\n")
    Ran("import_tickets", str(path), *NAMED, *at)
    path.write_text("ticket_id,seat\nT-1,A12\nT-2,B1\nT-3,C1\n")
    ran = Ran("import_tickets", str(path), "--dry-run", *NAMED, *at)
    told = "3 rows read: 1 new ticket would be imported; in the network: 1 as in the file, 1 different."
    assert told in ran.text
    changed = "1 ticket of the network: changed (--changes change).\n  row 2: T-1: seat A12, stored A11\n"
    assert changed in ran.text
    assert (Ran("import_tickets", str(path), *NAMED, *at).code, seats()) == (0, ["A11", "B1", "C1"])
    ran = Ran("import_tickets", str(path), "--changes", "change", *NAMED, *at)
    assert (ran.code, "1 ticket of the network: changed, done." in ran.text) == (0, True)
    assert seats() == ["A12", "B1", "C1"]
    ran = Ran("import_tickets", str(path), "--changes", "everything", *NAMED, *at)
    assert (ran.code, "is none of change, holder" in ran.error) == (2, True)


def test_rows_and_differences_beyond_what_is_printed_are_counted(
    at: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_tickets, "REPORTED_MAX", 2)
    path = tmp_path / "fest.csv"
    head = "ticket_id,seat,checked in\n"
    rows = [f"T-{number},A{number},\n" for number in range(4)] + [f",B{number},\n" for number in range(3)]
    path.write_text(head + "".join(rows))
    options = [*NAMED, "--entered", "checked in=*", *at]
    assert Ran("import_tickets", str(path), *options).text.splitlines()[-4:] == [
        "3 rows wrong:",
        "  row 6: column 'ticket_id': a code is empty",
        "  row 7: column 'ticket_id': a code is empty",
        "  and 1 more (--report FILE writes all)",
    ]
    path.write_text(head + "".join(f"T-{number},C{number},\n" for number in range(4)) + "T-9,C9,1\n")
    lines = Ran("import_tickets", str(path), "--dry-run", *options).text.splitlines()
    first = lines.index("4 tickets of the network: changed (--changes change).")
    assert lines[first + 1 : first + 4] == [
        "  row 2: T-0: seat C0, stored A0",
        "  row 3: T-1: seat C1, stored A1",
        "  and 2 more (--report FILE writes all)",
    ]
    assert "1 guest entered already." in lines


def test_apply_orders_all_but_what_is_gone_for_a_source_that_is_known(at: list[str], tmp_path: Path) -> None:
    path = tmp_path / "fest.csv"
    path.write_text("ticket_id,seat,status\nT-1,A11,valid\nT-2,B1,valid\nT-3,C1,valid\n")
    options = [*NAMED, "--admits", "status=valid", *at]
    ran = Ran("import_tickets", str(path), "--apply", *options)
    assert (ran.code, "No file of this source was imported before" in ran.error) == (2, True)
    assert (seats(), TicketImport.objects.exists()) == ([], False)
    assert Ran("import_tickets", str(path), *options).code == 0
    path.write_text("ticket_id,seat,status\nT-1,A12,valid\nT-2,B1,cancelled\nT-4,D1,valid\n")
    assert Ran("import_tickets", str(path), "--apply", *options).code == 0
    assert (seats(), blocked()) == (["A12", "B1", "C1", "D1"], {"T-2": "status: cancelled"})
    assert Ran("import_tickets", str(path), "--apply", "--changes", "gone", *options).code == 0
    assert blocked() == {"T-2": "status: cancelled", "T-3": "no longer in the seller's file"}


@pytest.mark.parametrize(
    ("later", "says"),
    [
        ("T-1,A\n,x\nT-2,B\n", "1 row of the file cannot be read, and may be tickets that seem gone"),
        ("T-1,A\n", "More tickets are gone (2) than are in the file"),
    ],
)
def test_a_part_of_a_file_blocks_nobody_by_the_command(
    at: list[str], tmp_path: Path, later: str, says: str
) -> None:
    path = tmp_path / "fest.csv"
    path.write_text("ticket_id,seat\nT-1,A\nT-2,B\nT-3,C\n")
    Ran("import_tickets", str(path), *NAMED, *at)
    path.write_text(f"ticket_id,seat\n{later}")
    ran = Ran("import_tickets", str(path), "--changes", "gone", *NAMED, *at)
    assert (ran.code, says in ran.error, blocked()) == (2, True, {})


def test_a_report_of_a_dry_run_has_all_differences(at: list[str], tmp_path: Path) -> None:
    path, report = tmp_path / "fest.csv", tmp_path / "report.txt"
    path.write_text("ticket_id,seat\n" + "".join(f"T-{number:03},A\n" for number in range(120)))
    Ran("import_tickets", str(path), *NAMED, *at)
    path.write_text("ticket_id,seat\n" + "".join(f"T-{number:03},B\n" for number in range(119)))
    Ran("import_tickets", str(path), "--dry-run", "--report", str(report), *NAMED, *at)
    lines = report.read_text().splitlines()
    assert len(lines) == 120
    assert (lines[0], lines[-1]) == (
        "changed: row 2: T-000: seat B, stored A",
        "gone from the file: T-119 (A): is in no row of the file",
    )


def blocked() -> dict[str, str]:
    tickets = {ticket.ticket_id: ticket.whole for ticket in Ticket.objects.all()}
    return {name: ticket.block_reason for name, ticket in tickets.items() if ticket.blocked}


def seats() -> list[str]:
    return list(Ticket.objects.order_by("ticket_id").values_list("seat", flat=True))


def test_a_report_lists_every_row_that_was_not_imported(at: list[str], export: Path, tmp_path: Path) -> None:
    Ran("import_tickets", str(export), "--report", str(tmp_path / "report.txt"), *at)
    report = (tmp_path / "report.txt").read_text(encoding="utf-8")
    assert [line.split(":")[0] for line in report.splitlines()] == ["row 6", "row 11"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent.csv"], "cannot be read"),
        (["FILE", "--column", "nonsense"], "is not FIELD=NAME"),
        (["FILE", "--column", "seat=A", "--column", "seat=B"], "column names seat twice: 'A' and 'B'"),
        (["FILE", "--timezone", "Mars/North"], "is unknown"),
        (["FILE", "--url", "http://127.0.0.1:9"], "does not exist"),
        (["FILE", "--report", "/nowhere/report"], "--report /nowhere/report cannot be written"),
        (["FILE", "--url", "foo", "--api-key", "k"], "'foo' is not the address of a platform"),
        (["FILE", "--url", "ftp://here", "--api-key", "k"], "'ftp://here' is not the address of a platform"),
    ],
)
def test_an_import_that_cannot_begin_ends_with_2_and_the_reason(
    learner: RealLearner, export: Path, arguments: list[str], sentence: str
) -> None:
    words = [str(export) if word == "FILE" else word for word in arguments]
    ran = Ran("import_tickets", *words, *ANSWERS)
    assert ran.code == 2
    assert sentence in ran.error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--column", "seat=Sitz"], "The file has no column 'Sitz'. Columns found: Event slug"),
        (["--code", "Kod"], "The file has no column 'Kod'. Columns found: Event slug"),
        (["--event", "a b"], "is not 1 to 64"),
    ],
)
def test_a_file_that_the_platform_refuses_ends_with_2_and_the_reason(
    at: list[str], export: Path, arguments: list[str], sentence: str
) -> None:
    ran = Ran("import_tickets", str(export), *at, *arguments)
    assert (ran.code, sentence in ran.error) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--record", "/nowhere/record"], "--record /nowhere/record cannot be written"),
        (["--url", "foo", "--api-key", "k"], "'foo' is not the address of a platform"),
        (["--url", "http://", "--api-key", "k"], "'http:' is not the address of a platform"),
        (["--event", "bad event"], "The event 'bad event' is not 1 to 64"),
        (["--event", "e" * 65], "is not 1 to 64"),
        (["--column", "nonsense"], "is not FIELD=NAME"),
        (["--column", "seat=Sitz"], "The file has no column 'Sitz'"),
    ],
)
def test_a_scan_that_cannot_be_proved_or_sent_does_not_begin(
    at: list[str], export: Path, learner: RealLearner, arguments: list[str], sentence: str
) -> None:
    Ran("import_tickets", str(export), *at)
    before = learner.gateway.acknowledged
    ran = Ran("scan", str(export), *at, *arguments)
    assert (ran.code, ran.text) == (2, "")
    assert sentence in ran.error
    assert learner.gateway.acknowledged == before


@pytest.mark.parametrize(
    "arguments",
    [["--limit", "0"], ["--limit", "-1"], ["--pace", "-1"], ["--patience", "nan"], ["--patience", "inf"]],
)
def test_a_scan_with_an_invalid_number_does_not_begin(
    export: Path, at: list[str], arguments: list[str]
) -> None:
    with pytest.raises(CommandError, match=rf"argument {arguments[0]}: '{arguments[1]}' is not a "):
        call_command("scan", str(export), *at, *arguments)


def test_the_verdict_is_printed_although_the_record_cannot_be_written(
    at: list[str], export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Ran("import_tickets", str(export), *at)
    ran, result = scanned(export, at, "--record", "/dev/full")
    assert (ran.code, result["proved"]) == (0, True)
    assert "--record /dev/full was not written: No space left on device." in capsys.readouterr().err


def test_a_wrong_key_ends_with_2(at: list[str], export: Path) -> None:
    ran = Ran("import_tickets", str(export), *at, "--api-key", "dtvn_wrong")
    assert (ran.code, "API key was refused" in ran.error) == (2, True)


def refusing(monkeypatch: pytest.MonkeyPatch, *tickets: str) -> None:
    """The cluster refuses to issue these, for good."""
    honest = decide.batch

    def strict(requests: list[Request], **options: Any) -> list[Decision]:
        taken = [request for request in requests if request.ticket not in tickets]
        decisions = iter(honest(taken, **options))
        refused = Result("not_permitted", b"", 1)
        return [
            Decision(request, refused) if request.ticket in tickets else next(decisions)
            for request in requests
        ]

    monkeypatch.setattr(decide, "batch", strict)


def test_no_person_is_stored_for_a_permanently_refused_ticket(
    at: list[str], export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stored holder prevented the import of a corrected row."""
    with monkeypatch.context() as strict:
        refusing(strict, "ORD03-1", "ORD05-1")
        ran = Ran("import_tickets", str(export), *at)
    assert "  row 5: ORD03-1 was refused" in ran.text
    kept = set(TicketHolder.objects.values_list("ticket", flat=True))
    assert (len(kept), kept & {"ORD03-1", "ORD05-1"}) == (26, set())
    lines = export.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b"Ada Lovelace", b"Ada King")
    export.write_bytes(b"".join(lines))
    again = Ran("import_tickets", str(export), "--harmless", "Attendee name", *at).text
    assert "30 rows read: 28 tickets in the network (26 had already been imported)." in again
    assert TicketHolder.objects.get(ticket="ORD03-1").name == "Ada King"


def test_an_import_without_a_platform_stores_no_person(learner: RealLearner, export: Path) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    ran = Ran("import_tickets", str(export), *ANSWERS, "--url", url, "--api-key", "k", "--patience", "0.2")
    assert (ran.code, "no final answer for" in ran.error) == (3, True)
    assert not TicketHolder.objects.exists()


def test_an_import_says_that_it_waits_for_the_platform(
    learner: RealLearner, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(import_tickets, "saying", partial(saying, after=0.001, say=said.append))
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    Ran("import_tickets", str(export), *ANSWERS, "--url", url, "--api-key", "k", "--patience", "0.2")
    assert said == [f"waiting for an answer from {url}"]


def test_a_silent_network_ends_with_3(
    at: list[str], export: Path, learner: RealLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner.gateway.quorum = False
    monkeypatch.setattr(work, "PATIENCE", 0.2)
    ran = Ran("import_tickets", str(export), *at, "--patience", "0.2")
    assert ran.code == 3
    assert "Run the same command again" in ran.error


def test_an_import_that_fails_half_way_says_how_far_it_got(
    at: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second event's tickets get no answer; a second run imports the rest."""
    path = tmp_path / "two.csv"
    path.write_bytes(b"ticket_id,event,name\nT-1,a,Ada\nT-2,a,Bob\nT-1,b,Eve\n")
    named = [*NAMED, "--event-name", "a=a", "--event-name", "b=b"]
    honest = decide.batch

    def silent(requests: list[Request], **options: Any) -> list[Decision]:
        if requests[0].event == "b":
            return [Decision(request, Result("unavailable")) for request in requests]
        return honest(requests, **options)

    with monkeypatch.context() as context:
        context.setattr(decide, "batch", silent)
        context.setattr(work, "PATIENCE", 0.2)
        ran = Ran("import_tickets", str(path), *named, *at)
    assert ran.code == 3
    assert "2 of 3 tickets in the network. Run the same command again to finish." in ran.error
    path.write_bytes(path.read_bytes().replace(b"Eve", b"Eva"))
    again = Ran("import_tickets", str(path), *named, *at)
    assert again.code == 0
    assert "3 rows read: 3 tickets in the network (2 had already been imported)." in again.text
    assert set(TicketHolder.objects.values_list("event", "ticket")) == {
        ("a", "T-1"),
        ("a", "T-2"),
        ("b", "T-1"),
    }


def test_the_credentials_file_is_found(
    at: list[str], export: Path, settings: Any, learner: RealLearner
) -> None:
    settings.DATA.mkdir(exist_ok=True)
    (settings.DATA / "credentials.json").write_text(json.dumps({"url": at[1], "api_key": at[3]}))
    assert "28 tickets in the network" in Ran("import_tickets", str(export), *ANSWERS).text


# --- scan ------------------------------------------------------------------------------------------


def scanned(export: Path, at: list[str], *options: str) -> tuple[Ran, dict[str, Any]]:
    ran = Ran("scan", str(export), "--gates", "4", "--json", *options, *at)
    return ran, json.loads(ran.text)


def test_a_file_is_scanned_in_the_time_zone_it_was_imported_in(at: list[str], tmp_path: Path) -> None:
    """In UTC this ticket would end before it begins."""
    path, zone = tmp_path / "plain.csv", [*NAMED, "--timezone", "America/New_York"]
    path.write_bytes(b"ticket_id,not before,not after\nT-1,2020-07-31T18:00+02:00,2020-07-31 12:30\n")
    assert Ran("import_tickets", str(path), *zone, *at).code == 0
    assert "time zone 'Mars'" in Ran("scan", str(path), *NAMED, "--timezone", "Mars", *at).error
    ran = Ran("scan", str(path), *NAMED, *at)
    assert (ran.code, '"--timezone=Europe/Berlin"' in ran.error) == (2, True)
    ran = Ran("scan", str(path), *NAMED, "--timezone", "UTC", *at)
    assert (ran.code, ran.error) == (2, "The file contains no valid ticket.")
    assert scanned(path, at, *zone)[1]["tickets"] == 1


@pytest.mark.ci
def test_a_second_rehearsal_is_not_proved(at: list[str], export: Path) -> None:
    Ran("import_tickets", str(export), *at)
    scanned(export, at)
    ran, result = scanned(export, at)
    assert ran.code == 1
    assert not result["proved"]
    assert "consumed before this run" in result["faults"][0]


def test_a_platform_that_admits_twice_is_found_out(
    at: list[str], export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lying platform: every refusal of a scan is turned into a 200."""
    Ran("import_tickets", str(export), *at)
    honest = PlatformAsking.order

    def lying(asking: PlatformAsking, requests: list[Request]) -> list[Decision]:
        return [
            msgspec.structs.replace(decision, result=msgspec.structs.replace(decision.result, code="ok"))
            for decision in honest(asking, requests)
        ]

    monkeypatch.setattr(PlatformAsking, "order", lying)
    ran, result = scanned(export, at, "--duplicates", "0.5")
    assert ran.code == 1
    assert len(result["faults"]) == 14
    assert all("admitted 2 times" in fault for fault in result["faults"])


def test_a_rehearsal_uses_tickets_of_its_own_and_foretells_its_end(
    at: list[str], export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Ran("import_tickets", str(export), *at)
    ran = Ran("scan", "--rehearse", "30", "--gates", "4", "--duplicates", "0.5", "--json", *at)
    result, said = json.loads(ran.text), " ".join(capsys.readouterr().err.split())
    assert (ran.code, result["proved"], result["tickets"], result["scans"]) == (0, True, 30, 45)
    rehearsed = Ticket.objects.filter(event__startswith="rehearsal-20")
    assert set(rehearsed.values_list("state", flat=True)) == {"CONSUMED"}
    assert rehearsed.count() == 30
    assert set(Ticket.objects.exclude(pk__in=rehearsed).values_list("state", flat=True)) == {"ISSUED"}
    assert re.search(r"45 scans at 4 gates: about .*, at the rate of the first 20", said)


@pytest.mark.parametrize("arguments", [[], ["FILE", "--rehearse", "5"]])
def test_a_scan_is_of_a_file_or_a_rehearsal(at: list[str], export: Path, arguments: list[str]) -> None:
    words = [str(export) if word == "FILE" else word for word in arguments]
    assert Ran("scan", *words, *at).code == 2


def test_a_scan_prints_a_summary_in_sentences(at: list[str], export: Path) -> None:
    Ran("import_tickets", str(export), *at)
    text = Ran("scan", str(export), *at).text
    assert "34 scans of 28 tickets at 8 gates" in text
    assert "p50" in text
    assert text.endswith("Proved: each ticket was admitted exactly once.\n")


def test_a_scan_says_that_it_waits_for_the_validators(
    at: list[str],
    export: Path,
    learner: RealLearner,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Ran("import_tickets", str(export), *at)
    learner.gateway.quorum = False
    monkeypatch.setattr(scan, "SAID_AFTER", 0.01)
    ran = Ran("scan", str(export), "--limit", "1", "--duplicates", "0", "--patience", "0.2", *at)
    said = " ".join(capsys.readouterr().err.split())
    assert "waiting for the validators to decide; the pages say whether they can" in said
    assert "a scan at gate-1 was never decided" in ran.text


@pytest.mark.parametrize("options", [["--gates", "0"], ["--duplicates", "2"]])
def test_invalid_scan_options_end_with_exit_code_2(at: list[str], export: Path, options: list[str]) -> None:
    assert Ran("scan", str(export), *options, *at).code == 2
