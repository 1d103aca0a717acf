"""Exports: what they hold, and that no cell of them is run by a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from dtvn.machine import (
    Admit,
    Annul,
    Command,
    Dispute,
    EventList,
    ImportEntry,
    Issue,
    Replace,
    SetEvent,
    Validate,
    build,
)
from tests.pages.learner import RealLearner
from tickets.exact import exact, meant
from tickets.exporting import FORMS, Table, files, open_table, write_chunks
from tickets.importing.reading import records_of_csv
from tickets.models import TicketHolder
from tickets.services import interventions
from tickets.services.codes import digest_of, remember_codes
from validators.models import PlatformAction

RUN = frozenset("=+-@\t\r")
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])


def table(rows: list[list[Any]]) -> Table:
    return Table("tickets", None, 7, ("a", "b"), iter([rows]))


def whole(form: str, rows: list[list[Any]]) -> bytes:
    return b"".join(write_chunks(table(rows), form))


@given(text=TEXTS | st.text("\"'#=+-1eE. \u00a0\n[", max_size=8))
def test_a_text_that_a_reader_would_alter_is_written_as_a_json_string(text: str) -> None:
    cell = exact(text)
    assert meant(cell) == text
    assert (cell == text) or cell == json.dumps(text)
    read = io.StringIO(whole("csv", [["T-1", cell]]).decode("utf-8-sig"), newline="")
    (record,) = records_of_csv(read.read().replace("a,b", "ticket_id,seat", 1), bool).rows
    assert meant(record.fields["seat"]) == text


def test_a_text_too_long_for_a_sheet_is_not_cut_off() -> None:
    rows: list[list[Any]] = [["x" * 40_000, ["y" * 40_000]], ["x" * 32_767, "y" * 32_768]]
    sheet = load_workbook(io.BytesIO(whole("xlsx", rows))).active
    assert sheet is not None
    assert [str(cell.value)[:21] for cell in sheet[2]] == ["(too long for a sheet"] * 2
    assert [cell.value for cell in sheet[3]] == [
        "x" * 32_767,
        "(too long for a sheet: 32,768 characters; export CSV or JSON)",
    ]


@pytest.fixture
def evening(learner: RealLearner, operate: Callable[..., Any]) -> None:
    operate("issue T-1", "issue T-2", "issue T-3", "admit T-2", "consume T-1", event="fest")
    operate("dispute T-3", event="fest")
    operate("issue T-1", event="gala")
    for ticket, name in (("T-1", "Ada"), ("T-2", "=cmd|x")):
        TicketHolder.objects.create(event="fest", ticket=ticket, name=name, order=f"R-{ticket}")


def exported(tmp_path: Path, kind: str, *options: str) -> list[dict[str, str]]:
    path = tmp_path / "out.csv"
    call_command("export_tickets", kind, str(path), *options, stdout=io.StringIO())
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.glob("*out*")] == ["out.csv"]
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def test_the_admission_list_of_a_second_day_says_who_may_come_in_again(
    learner: RealLearner, tmp_path: Path
) -> None:
    """All guests of the first day were written down as used up."""
    daily = SetEvent("Das Fest", "Europe/Berlin", 0, False, (), lists=(EventList("main", rule="daily"),))
    until = time.time_ns() // 1_000 + 60_000_000
    entered = ImportEntry(at=1_700_000_000_000_000, gate="north")
    commands: list[tuple[str, Command]] = [
        *(("T-1", Issue()), ("T-2", Issue()), ("T-3", Issue()), ("T-1", entered), ("T-2", entered)),
        *(("", daily), ("T-2", Admit("south", "s1", b""))),
    ]
    for ticket, command in commands:
        operation = build(command, ticket=ticket, event="fest", actor="desk", entry="r0", valid_until=until)
        assert [result.code for result in learner.gateway.submit([operation]).result()] == ["ok"]
    rows = exported(tmp_path, "admission", "--event", "fest")
    assert [(row["state"], row["admit"]) for row in rows] == [
        ("CONSUMED", "yes"),
        ("CONSUMED", "no"),
        ("ISSUED", "yes"),
    ]


def order_in_turn(learner: RealLearner, *commands: tuple[str, Command]) -> None:
    """Each of these commands about a ticket of the event `fest` is executed."""
    until = time.time_ns() // 1_000 + 60_000_000
    for ticket, command in commands:
        operation = build(command, ticket=ticket, event="fest", actor="desk", entry="r0", valid_until=until)
        assert [result.code for result in learner.gateway.submit([operation]).result()] == ["ok"]


def test_the_json_form_holds_the_events_of_its_tickets_alone(learner: RealLearner) -> None:
    """And none where it has no tickets."""
    order_in_turn(learner, ("T-1", Issue()))
    until = time.time_ns() // 1_000 + 60_000_000
    other = build(Issue(), ticket="T-2", event="gala", actor="desk", entry="r0", valid_until=until)
    assert [result.code for result in learner.gateway.submit([other]).result()] == ["ok"]

    def told(kind: str, event: str | None) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(b"".join(write_chunks(open_table(kind, event), "json")))
        return found

    for event, slugs in ((None, ["fest", "gala"]), ("gala", ["gala"]), ("fest", ["fest"])):
        for kind in ("tickets", "admission"):
            found = told(kind, event)
            assert [one["slug"] for one in found["events"]] == slugs
            assert (found["kind"], found["event"], len(found["rows"])) == (kind, event, len(slugs))
        assert told("outcomes", event).keys() == {"kind", "event", "sequence", "rows"}


def test_two_annulments_take_back_the_exit_and_then_the_entry_before_it(learner: RealLearner) -> None:
    lounge = EventList("vip", rule="free")
    order_in_turn(
        learner,
        ("", SetEvent("Das Fest", "", 0, False, (), lists=(lounge,))),
        ("T-1", Issue()),
        ("T-1", Admit("east", "e1", b"", list="vip")),
        ("T-1", Admit("west", "e1", b"", list="vip", kind="exit")),
        ("T-1", Annul("west", "e1", b"", list="vip")),
        ("T-1", Annul("east", "e1", b"", list="vip")),
    )
    found = [one for page in interventions.pages("fest") for one in page]
    assert [(one.taken, one.gate) for one in found] == [("exit", "west"), ("entry", "east")]


def test_a_reader_that_leaves_a_workbook_leaves_no_files_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """openpyxl would delete them when the process ends."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(files, "SHEET_ROWS_MAX", 2)
    pages = [[["T-1", "a"], ["T-2", "b"], ["T-3", "c"]], [["T-4", "d"]]]
    chunks = write_chunks(Table("tickets", None, 7, ("a", "b"), iter(pages)), "xlsx")
    assert [next(chunks), len(list(tmp_path.iterdir()))] == [b"", 2]
    chunks.close()
    assert list(tmp_path.iterdir()) == []
    whole_file = write_chunks(Table("tickets", None, 7, ("a", "b"), iter(pages)), "xlsx")
    book = load_workbook(io.BytesIO(b"".join(whole_file)))
    assert [(sheet.title, sheet.freeze_panes, sheet.max_row) for sheet in book.worksheets] == [
        ("tickets 1", "A2", 3),
        ("tickets 2", "A2", 3),
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("rows", "sheets"), [(3, [3]), (4, [3, 1]), (7, [3, 3, 1])])
def test_a_full_sheet_is_continued_on_the_next(
    monkeypatch: pytest.MonkeyPatch, rows: int, sheets: list[int]
) -> None:
    monkeypatch.setattr(files, "SHEET_ROWS_MAX", 3)
    book = load_workbook(io.BytesIO(whole("xlsx", [[str(number), ""] for number in range(rows)])))
    assert [[cell.value for cell in sheet[1]] for sheet in book.worksheets] == [["a", "b"]] * len(sheets)
    assert [sheet.max_row - 1 for sheet in book.worksheets] == sheets
    told = [row[0] for sheet in book.worksheets for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert told == [str(number) for number in range(rows)]


@pytest.fixture
def door(learner: RealLearner) -> None:
    """A created event with codes as printed, and in it all that a gate may meet."""
    shop = {"event": "fest", "actor": "desk", "entry": "r0"}
    until = time.time_ns() // 1_000 + 60_000_000
    products = (("Parking", False), ("VIP", True))

    def run(*commands: tuple[str, Any]) -> None:
        operations = [
            build(command, ticket=ticket, valid_until=until, **shop) for ticket, command in commands
        ]
        assert {result.code for result in learner.gateway.submit(operations).result()} == {"ok"}

    def digests(*texts: str) -> tuple[bytes, ...]:
        return tuple(digest_of("fest", text) for text in texts)

    run(("", SetEvent("Das Fest", "Europe/Berlin", 0, False, products)))
    for ticket, texts in {"T-1": ["old,1", 'new "2"', "née\t3"], "T-2": ["P"], "T-3": ["=B"]}.items():
        remember_codes("fest", [(ticket, texts)])
    run(
        ("T-1", Issue(product="VIP", seat="A  1", codes=digests("old,1"))),
        ("T-2", Issue(product="Parking", codes=digests("P"))),
        ("T-3", Issue(product="VIP", codes=digests("=B"), blocked=True, block_reason="stolen")),
        ("T-4", Issue(codes=digests("only a node knows"))),
        ("T-5", Issue()),
        ("T-1", Replace(codes=digests('new "2"', "née\t3"))),
        ("T-4", ImportEntry(at=1_700_000_000_000_000, gate="north")),
        ("T-5", Validate()),
        ("T-5", Dispute(reason="seen twice")),
    )


def test_all_tickets_and_outcomes_are_exported(evening: None, tmp_path: Path) -> None:
    tickets = exported(tmp_path, "tickets")
    assert [(row["event"], row["ticket_id"]) for row in tickets] == [
        ("fest", "T-1"),
        ("fest", "T-2"),
        ("fest", "T-3"),
        ("gala", "T-1"),
    ]
    outcomes = exported(tmp_path, "outcomes", "--event", "fest")
    told = [(row["event"], row["operation"], row["ticket_id"], row["outcome"]) for row in outcomes]
    assert told == [
        *(("fest", "issue", f"T-{number}", "ok") for number in (1, 2, 3)),
        ("fest", "admit", "T-2", "ok"),
        ("fest", "consume", "T-1", "not_validated"),
        ("fest", "dispute", "T-3", told[-1][3]),
    ]
    places = [(int(row["sequence"]), int(row["index"])) for row in outcomes]
    assert places == sorted({*places})
    every = [(row["event"], row["operation"], row["ticket_id"]) for row in exported(tmp_path, "outcomes")]
    assert every == [row[:3] for row in told] + [("gala", "issue", "T-1")]


def test_an_export_that_failed_is_recorded_as_failed(learner: RealLearner) -> None:
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export_tickets", "tickets", "/nowhere/out.csv")
    assert PlatformAction.objects.get().outcome == "failed"


def test_an_export_that_cannot_be_recorded_is_written_and_says_so(
    evening: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise DatabaseError("database or disk is full")

    monkeypatch.setattr(PlatformAction.objects, "create", full)
    assert len(exported(tmp_path, "admission")) == 4
    assert "Not recorded among the platform actions: database or disk is full." in capsys.readouterr().err


def test_exported_refusals_tell_an_upheld_ticket_from_a_disputed_one(
    learner: RealLearner, operate: Callable[..., Any], tmp_path: Path
) -> None:
    operate("issue T-1", "validate T-1", "dispute T-1", "admit T-1", "uphold T-1", "admit T-1")
    admissions = [row for row in exported(tmp_path, "outcomes") if row["operation"] == "admit"]
    assert [row["outcome"] for row in admissions] == ["disputed", "upheld"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["tickets", "admission"])
def test_the_import_knows_each_ticket_of_an_export_as_stored(
    learner: RealLearner, at: list[str], tmp_path: Path, form: str, kind: str
) -> None:
    until = time.time_ns() // 1_000 + 60_000_000
    known = {"actor": "desk", "entry": "r0", "valid_until": until}
    issue = Issue(product="=1+1", seat="A 1", not_after=1_800_000_000_000_000)
    fest = build(issue, ticket="T-1", event="fest", **known)
    gala = build(Issue(product="Bar|Café", not_after=2**63 - 1), ticket="T-2", event="gala", **known)
    learner.gateway.submit([fest, gala]).result()
    path = tmp_path / f"out.{form}"
    call_command("export_tickets", kind, str(path), stdout=io.StringIO())
    said = io.StringIO()
    answers = ["--code", "ticket_id", "--entrances", "=1+1,Bar|Café"]
    call_command("import_tickets", str(path), "--dry-run", *at[:4], *answers, stdout=said)
    told = "2 rows read: 0 new tickets would be imported; in the network: 2 as in the file, 0 different."
    assert told in said.getvalue().splitlines()


def test_pages_of_an_export_join_without_gap(
    learner: RealLearner, operate: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickets.exporting.tables.ROWS_AT_ONCE", 3)
    operate(*(f"issue T-{number}" for number in range(9)))
    for kind in ("tickets", "outcomes", "admission"):
        rows = exported(tmp_path, kind)
        assert [row["ticket_id"] for row in rows] == [f"T-{number}" for number in range(9)]
    operate(*(f"issue T-{number}" for number in range(4)), event="fest")
    for kind in ("tickets", "admission"):
        found = [(row["event"], row["ticket_id"]) for row in exported(tmp_path, kind)]
        assert found == [("default", f"T-{number}") for number in range(9)] + [
            ("fest", f"T-{number}") for number in range(4)
        ]
        assert len(exported(tmp_path, kind, "--event", "fest")) == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["tickets", "/nowhere/out.csv"], "cannot be written"),
        (["tickets", "out.ods"], "does not end with .csv, .xlsx, .json"),
        (["tickets", "out.csv", "--event", "a b"], "is not 1 to 64"),
        (["tickets", "out.csv", "--event", ""], "is not 1 to 64"),
        (["tickets", "out.csv", "--event", "fezt"], "The network has no event 'fezt'; it has none."),
    ],
)
def test_an_export_that_cannot_begin_says_why(learner: RealLearner, words: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("export_tickets", *words)
