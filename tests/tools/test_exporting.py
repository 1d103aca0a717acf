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
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from dtvn.machine import (
    Admit,
    Annul,
    Block,
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
from tickets.exporting import CODES, FORMS, KINDS, Table, defused, files, open_table, write_chunks
from tickets.formulas import unquoted
from tickets.importing.moments import shown_moment
from tickets.importing.reading import records_of_csv
from tickets.management.commands import export_tickets
from tickets.models import TicketHolder
from tickets.pages import ticket_facts
from tickets.services import interventions, list_counts
from tickets.services.codes import digest_of, remember_codes
from validators.dashboard.formatting import moment as in_the_admin
from validators.ledger import read
from validators.models import PlatformAction

RUN = frozenset("=+-@\t\r")
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "learner"])


def table(rows: list[list[Any]]) -> Table:
    return Table("tickets", None, 7, ("a", "b"), iter([rows]))


def whole(form: str, rows: list[list[Any]]) -> bytes:
    return b"".join(write_chunks(table(rows), form))


@given(text=TEXTS | TEXTS.map("=".__add__) | TEXTS.map(" \t@".__add__))
def test_no_text_begins_as_a_formula(text: str) -> None:
    cell = str(defused(text))
    assert cell[:1] not in RUN
    assert cell.lstrip()[:1] not in RUN
    assert unquoted(cell) == text


@given(rows=st.lists(st.lists(TEXTS, min_size=2, max_size=2), max_size=5))
def test_every_form_holds_every_row(rows: list[list[str]]) -> None:
    rows = [["=1+1", "-2"], *rows]
    safe = [[defused(cell) for cell in row] for row in rows]
    read = list(csv.reader(io.StringIO(whole("csv", rows).decode("utf-8-sig"), newline="")))
    assert read == [["a", "b"], *safe]
    told = json.loads(whole("json", rows))
    assert (told["sequence"], [[row["a"], row["b"]] for row in told["rows"]]) == (7, rows)
    sheet = load_workbook(io.BytesIO(whole("xlsx", rows))).active
    assert sheet is not None
    assert sheet.max_row == len(rows) + 1
    assert [cell.data_type for cell in sheet[2]] == ["s", "s"]


@given(name=TEXTS | st.text("'|\\=@\t＋ a", max_size=8))
def test_the_import_reads_each_text_as_it_was_exported(name: str) -> None:
    name = name.replace("\x00", "")  # which no database has
    text = whole("csv", [["T-1", name]]).decode("utf-8-sig").replace("a,b", "ticket_id,name", 1)
    (record,) = records_of_csv(text, bool).rows
    assert record.fields["name"] == name.strip()


@pytest.mark.parametrize("shown", [lambda time: shown_moment(time, ZoneInfo("Asia/Tokyo")), in_the_admin])
@pytest.mark.parametrize("seconds", [253_402_300_799, 9_223_372_036_853])
def test_a_time_beyond_the_calendar_is_shown_as_its_end(shown: Callable[[int], str], seconds: int) -> None:
    assert shown(seconds * 1_000_000) == "9999-12-31 23:59:59 UTC"


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


def test_the_admission_list_says_who_may_come_in(evening: None, tmp_path: Path) -> None:
    rows = exported(tmp_path, "admission", "--event", "fest")
    assert [(row["ticket_id"], row["admit"], row["state"], row["name"], row["gate"]) for row in rows] == [
        ("T-1", "yes", "ISSUED", "Ada", ""),
        ("T-2", "no", "CONSUMED", r"'=cmd\|x", "north"),
        ("T-3", "yes" if rows[2]["state"] == "ISSUED" else "no", rows[2]["state"], "", ""),
    ]
    assert rows[1]["admitted_at"] > "2020"
    assert [row["order"] for row in rows] == ["R-T-1", "R-T-2", ""]


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


def test_an_entry_at_an_unknown_time_stays_without_one(learner: RealLearner, tmp_path: Path) -> None:
    """What is done to the ticket later has a time of its own."""
    order_in_turn(learner, ("T-1", Issue()), ("T-1", ImportEntry(gate="north")), ("T-1", Block("lost")))
    [row] = exported(tmp_path, "tickets", "--event", "fest")
    assert (row["gate"], row["admitted_at"]) == ("north", "")
    found = read.read_ticket("learner", "fest", "T-1")
    assert found is not None
    entered = list_counts.entry_on_main(found)
    assert entered is not None
    assert (entered.at, entered.gate) == (0, "north")


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


@pytest.mark.parametrize(
    ("lists", "used"),
    [
        ((), [0, 1, 2, 1]),
        ((EventList("dinner", rule="free"),), [0, 1, 2, 1]),
        ((EventList("dinner", rule="free"), EventList("main", rule="free")), [0, 1, 2, 1]),
        ((EventList("main", returns=True), EventList("vip", rule="free")), [0, 1, 1, 1]),
    ],
)
def test_the_entries_that_are_used_are_those_of_the_main_entrance(
    learner: RealLearner, tmp_path: Path, lists: tuple[EventList, ...], used: list[int]
) -> None:
    """What happened on other lists uses none of a ticket for three; an exit gives one back where the main
    entrance says so."""
    order_in_turn(
        learner,
        ("", SetEvent("Das Fest", "", 0, False, (), lists=lists)),
        *((name, Issue(entries=3)) for name in ("T-1", "T-2", "T-3")),
        ("T-4", Issue()),
        ("T-2", Admit("north", "n1", b"")),
        *(("T-3", Admit("north", "n1", b"")),) * 2,
        *(("T-3", Admit("north", "n1", b"", kind="exit")),) * any(one.returns for one in lists),
        ("T-4", Admit("north", "n1", b"")),
        *((name, Admit("tent", "t1", b"", list=one.slug)) for name in ("T-1", "T-4") for one in lists[:1]
          if one.slug != "main"),
    )  # fmt: skip
    rows = exported(tmp_path, "tickets", "--event", "fest")
    assert [int(row["entries_used"]) for row in rows] == used
    assert [int(row["entries"]) for row in rows] == [3, 3, 3, 1]


def test_products_that_are_declared_are_counted_also_without_tickets(learner: RealLearner) -> None:
    products = (("Adult", True), ("Camping", False), ("Parking", False))
    fest = SetEvent("Das Fest", "", 0, False, products)
    order_in_turn(learner, ("", fest), ("T-1", Issue(product="Camping")))
    counted = list_counts.count("fest").products
    assert {name: one.tickets for name, one in counted.items()} == {"Adult": 0, "Camping": 1, "Parking": 0}


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


def test_the_entry_that_is_exported_is_the_newest_of_the_main_entrance(
    learner: RealLearner, tmp_path: Path
) -> None:
    """An entry to a zone, an exit and an annulled entry are no entry to the house. A ticket
    for two persons counts each of them."""
    lists = (EventList("main", returns=True), EventList("vip"))
    until = time.time_ns() // 1_000 + 60_000_000
    commands: list[tuple[str, Command]] = [
        ("", SetEvent("Das Fest", "Europe/Berlin", 0, False, (), lists=lists)),
        *(
            ("T-1", Issue()),
            ("T-1", Admit("north", "n1", b"")),
            ("T-1", Admit("lounge", "l1", b"", list="vip")),
        ),
        ("T-1", Admit("south", "s1", b"", kind="exit")),
        *(("T-2", Issue(entries=2)), ("T-2", Admit("east", "e1", b"")), ("T-2", Admit("west", "w1", b""))),
        ("T-2", Annul("west", "w1", b"")),
        *(("T-3", Issue()), ("T-3", Admit("lounge", "l1", b"", list="vip"))),
    ]
    for ticket, command in commands:
        operation = build(command, ticket=ticket, event="fest", actor="desk", entry="r0", valid_until=until)
        assert [result.code for result in learner.gateway.submit([operation]).result()] == ["ok"]
    rows = exported(tmp_path, "tickets", "--event", "fest")
    assert [(row["gate"], row["device"]) for row in rows] == [("north", "n1"), ("east", "e1"), ("", "")]
    assert [row["admitted_at"] != "" for row in rows] == [True, True, False]
    one, two, three = (read.read_ticket("learner", "fest", f"T-{number}") for number in (1, 2, 3))
    assert one is not None
    assert two is not None
    assert three is not None
    entered = list_counts.entry_on_main(one)
    assert entered is not None
    assert entered.at < one.timestamp
    assert ticket_facts.entry(None, one).endswith(", gate north, device n1")
    assert ticket_facts.entry(None, two).endswith(", gate east, device e1")
    assert ticket_facts.entry(None, three) == ""


def test_who_holds_tickets_of_an_event_that_nobody_created_is_exported_as_let_in(
    learner: RealLearner, tmp_path: Path
) -> None:
    """By its id, in no zone, and whatever its product; a holder is that of the event's own ticket."""
    until = time.time_ns() // 1_000 + 60_000_000
    for event, product in (("gala", ""), ("old", "VIP"), ("older", "")):
        operation = build(
            Issue(product=product), ticket="T-1", event=event, actor="desk", entry="r0", valid_until=until
        )
        assert [result.code for result in learner.gateway.submit([operation]).result()] == ["ok"]
    TicketHolder.objects.create(event="gala", ticket="T-1", name="Ada", salt=b"s")
    shown = ("event", "name", "product", "admit", "product_admits", "ids_are_codes", "event_zone")
    assert [tuple(row[name] for name in shown) for row in exported(tmp_path, "admission")] == [
        ("gala", "Ada", "", "yes", "yes", "yes", ""),
        ("old", "", "VIP", "yes", "yes", "yes", ""),
        ("older", "", "", "yes", "yes", "yes", ""),
    ]


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


def test_an_export_tells_what_opens_the_door_and_why_not(door: None, tmp_path: Path) -> None:
    for kind in ("tickets", "admission"):
        rows = exported(tmp_path, kind)
        assert [row["codes"] and json.loads(row["codes"]) for row in rows] == [
            ['new "2"', "née\t3"],
            ["P"],
            ["=B"],
            [{"digest": digest_of("fest", "only a node knows").hex()}],
            "",
        ]
        assert [row["revoked_codes"] for row in rows] == ['["old,1"]', "", "", "", ""]
        assert [row["product_admits"] for row in rows] == ["yes", "no", "yes", "yes", "yes"]
        assert {(row["ids_are_codes"], row["event_zone"]) for row in rows} == {("no", "Europe/Berlin")}
        assert [(row["blocked"], row["block_reason"]) for row in rows][1:3] == [("no", ""), ("yes", "stolen")]
        assert [row["dispute_reason"] for row in rows][3:] == ["", "seen twice"]
        assert (rows[3]["admitted_at"], rows[3]["gate"]) == ("2023-11-14T22:13:20+00:00", "north")
        assert rows[0]["seat"] == '"A  1"'
    assert [row["admit"] for row in rows] == ["yes", "no", "no", "no", "no"]


def test_a_product_that_was_taken_off_the_event_opens_nothing_in_an_export(
    door: None, learner: RealLearner, tmp_path: Path
) -> None:
    """The gate refuses it too, for it is no longer one of the products that admit."""
    until = time.time_ns() // 1_000 + 60_000_000
    fewer = SetEvent(products=(("Parking", False),))
    operation = build(fewer, ticket="", event="fest", actor="desk", entry="r0", valid_until=until)
    assert [result.code for result in learner.gateway.submit([operation]).result()] == ["ok"]
    rows = exported(tmp_path, "admission")
    assert [(row["product"], row["product_admits"], row["admit"]) for row in rows][:3] == [
        ("VIP", "no", "no"),
        ("Parking", "no", "no"),
        ("VIP", "no", "no"),
    ]


def test_in_an_event_that_nobody_created_ids_and_all_products_open(
    learner: RealLearner, tmp_path: Path
) -> None:
    """The log has a row of it for the salt of its codes."""
    until = time.time_ns() // 1_000 + 60_000_000
    code = digest_of("old", "printed")
    for ticket, command in (("T-1", Issue(product="Parking", codes=(code,))), ("T-2", Issue())):
        operation = build(command, ticket=ticket, event="old", actor="desk", entry="r0", valid_until=until)
        assert [result.code for result in learner.gateway.submit([operation]).result()] == ["ok"]
    assert read.event_row("learner", "old") is not None
    names = ("product_admits", "ids_are_codes", "admit", "event_zone")
    rows = exported(tmp_path, "admission")
    assert [[row[name] for name in names] for row in rows] == [["yes", "yes", "yes", ""]] * 2


def test_the_json_form_holds_the_events_too(door: None, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    call_command("export_tickets", "tickets", str(path), stdout=io.StringIO())
    told = json.loads(path.read_text())
    assert [[one["list"] for one in event.pop("lists")] for event in told["events"]] == [["main"]]
    assert told["events"] == [
        {
            "slug": "fest",
            "name": "Das Fest",
            "zone": "Europe/Berlin",
            "doors": None,
            "ids_are_codes": False,
            "products": [{"name": "Parking", "admits": False}, {"name": "VIP", "admits": True}],
            "declared": True,
        }
    ]
    assert told["rows"][0]["codes"] == ['new "2"', "née\t3"]


def test_codes_are_only_for_those_who_may_see_them(door: None) -> None:
    table = open_table("admission", "fest")
    assert not set(CODES) & set(table.columns)
    assert b"new" not in b"".join(write_chunks(table, "csv"))


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


def test_an_export_by_the_command_is_recorded(evening: None, tmp_path: Path) -> None:
    exported(tmp_path, "admission", "--event", "fest")
    rows = PlatformAction.objects.values_list("actor", "action", "target", "outcome")
    assert list(rows) == [("operator", "export_tickets admission", f"{tmp_path}/out.csv event=fest", "ok")]


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


def test_exported_outcomes_tell_an_upheld_dispute_from_a_cleared_one(
    learner: RealLearner, operate: Callable[..., Any], tmp_path: Path
) -> None:
    operate("issue T-1", "validate T-1", "dispute T-1", "clear T-1", "dispute T-1", "uphold T-1", "clear T-1")
    resolved = [row for row in exported(tmp_path, "outcomes") if row["operation"] == "resolve"]
    assert [row["verdict"] for row in resolved] == ["clear", "uphold", ""]


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


def test_every_kind_has_every_form() -> None:
    assert (
        sorted(export_tickets.KINDS) == sorted(KINDS) == ["admission", "interventions", "outcomes", "tickets"]
    )
    assert sorted(export_tickets.FORMS) == sorted(FORMS) == ["csv", "json", "xlsx"]
