"""What a file is taken for: its event, its dates, its columns, and workbooks with their bounds."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from dtvn.machine import Admit
from tests.tickets_machine.support import Machine
from tickets.importing import FileRefused, ImportPlan, Known, WrongRow, read_plan, workbook, workbook_parts
from tickets.importing.answers import answers_from
from tickets.importing.changes import new_ticket
from tickets.importing.moments import read_moment

BERLIN = ZoneInfo("Europe/Berlin")


def read(tmp_path: Path, content: bytes, known: Known | None = None, **answers: Any) -> ImportPlan:
    path = tmp_path / "tickets"
    path.write_bytes(content)
    given = {"code": "ticket_id", "timezone": "UTC", **answers}
    return read_plan(path, answers_from(**given), known=known or Known(event="gala"))


def book(*rows: list[Any], title: str = "Tickets", **further: list[list[Any]]) -> bytes:
    made = Workbook()
    made.active.title = title
    for row in rows:
        made.active.append(row)
    for name, listed in further.items():
        sheet = made.create_sheet(name)
        for row in listed:
            sheet.append(row)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


# --- event -----------------------------------------------------------------------------------------


def test_a_column_event_that_is_not_read_names_no_event(tmp_path: Path) -> None:
    content = b"ticket_id,event\nT-1,Summer Fest\n"
    assert [question.id for question in read(tmp_path, content).questions] == ["event"]
    assert [one.event for one in read(tmp_path, content, column=["event="]).tickets] == ["gala"]


def test_a_row_of_another_event_than_the_chosen_one_is_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, b"ticket_id,event\nT-1,fest\nT-2,gala\n", event_name=["fest=fest", "gala=gala"])
    assert [(one.row, one.reason) for one in found.left_out] == [(2, "belongs to event 'fest'")]
    assert [one.event for one in found.tickets] == ["gala"]


# --- dates -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["2026-08-01", "01.08.2026", "1.8.2026"])
def test_a_bare_valid_until_is_the_end_of_that_day(tmp_path: Path, text: str) -> None:
    content = f"ticket_id,valid from,valid until\nT-1,{text},{text}\n".encode()
    (ticket,) = read(tmp_path, content, timezone="Europe/Berlin").tickets
    ends = datetime.fromtimestamp(ticket.not_after / 1e6, BERLIN)
    begins = datetime.fromtimestamp(ticket.not_before / 1e6, BERLIN)
    assert (begins.isoformat(), ends.isoformat()) == (
        "2026-08-01T00:00:00+02:00",
        "2026-08-01T23:59:59+02:00",
    )


def test_a_guest_is_admitted_until_the_day_has_ended(tmp_path: Path) -> None:
    """Bodies have whole seconds: the last one belongs to the day as a whole."""
    content = b"ticket_id,valid until\nT-1,2026-08-01\nT-2,2026-08-01\n"
    tickets = read(tmp_path, content, timezone="Europe/Berlin").tickets
    machine, midnight = Machine(), int(datetime(2026, 8, 2, tzinfo=BERLIN).timestamp() * 1e6)
    for ticket in tickets:
        (issue,) = new_ticket(ticket).steps(bytes(32))
        assert machine.do(issue.command, ticket.ticket_id) == "ok"
    machine.now = midnight - 500_000
    assert machine.do(Admit(), "T-1") == "ok"
    machine.now = midnight
    assert machine.do(Admit(), "T-2") == "no_longer_valid"


def test_a_time_with_the_date_is_kept(tmp_path: Path) -> None:
    (ticket,) = read(tmp_path, b"ticket_id,valid until\nT-1,2026-08-01 00:00\n").tickets
    assert ticket.not_after == int(datetime(2026, 8, 1, tzinfo=UTC).timestamp()) * 1_000_000


@given(
    day=st.dates(date(1971, 1, 1), date(2099, 12, 30)),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Havana", "Asia/Beirut", "Pacific/Auckland"]),
)
def test_the_last_second_of_a_day_is_followed_by_the_next_day(day: date, zone: str) -> None:
    """Also on days on which the clocks change at midnight."""
    ends = read_moment(day.isoformat(), ZoneInfo(zone), ends=True).at
    after = (ends.astimezone(UTC) + timedelta(seconds=1)).astimezone(ZoneInfo(zone))
    assert (ends.date(), after.date()) == (day, day + timedelta(days=1))


# --- columns and forms -----------------------------------------------------------------------------


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    found = read(tmp_path, b"ticket_id,Name,Shoe size,Row,valid_until\nT-1,Ada,38,4,\n")
    assert found.unread == ["shoe size", "row"]
    assert found.read == {
        "code": ["ticket id"],
        "status": [],
        "name": ["name"],
        "not_after": ["valid until"],
    }


@pytest.mark.parametrize(
    ("content", "unread"),
    [
        (b"ticket_id,,name,\nA-1,VIP,Ann,\nA-2,,Bob,\n", ["column 2"]),
        (book(["ticket_id", None, "name"], ["A-1", "VIP", "Ann"]), ["column 2"]),
        (b'[{"ticket_id": "A-1", "seat": ["A", "B"], "tags": []}]', ["seat (a list)"]),
        (b'[{"ticket_id": "A-1", "answers": [1], "checkins": []}]', ["answers (a list)"]),
    ],
)
def test_columns_without_a_name_and_lists_are_named_too(
    tmp_path: Path, content: bytes, unread: list[str]
) -> None:
    assert read(tmp_path, content).unread == unread


def test_a_nameless_column_does_not_hide_one_of_its_name(tmp_path: Path) -> None:
    found = read(tmp_path, b"ticket_id,,column 2\nA-1,VIP,A 7\n", column=["seat=Column 2"])
    assert [one.seat for one in found.tickets] == ["A 7"]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        ("ticket_id;Name\nT-1;Zoë\n".encode("cp1252"), "CSV, Windows-1252, separated by semicolon"),
        ("ticket_id,Name\nT-1,Zoë\n".encode(), "CSV, UTF-8, separated by comma"),
        (b"Ticket-ID;Name, Vorname;Ort, PLZ, Land\nT-1;B, A;U, 1, D\n", "CSV, UTF-8, separated by semicolon"),
        (b"sep=|\nticket_id|Name\nT-1|Z\n", "CSV, UTF-8, separated by bar"),
        ("ticket_id\tName\nT-1\tZoë\n".encode("utf-16"), "CSV, UTF-16, separated by tab"),
        (b'[{"ticket_id": "T-1"}]', "JSON, UTF-8"),
        (book(["ticket_id"], ["T-1"]), "Excel workbook, sheet 'Tickets'"),
    ],
)
def test_the_form_of_the_file_is_reported(tmp_path: Path, content: bytes, form: str) -> None:
    found = read(tmp_path, content)
    assert (found.form, [one.ticket_id for one in found.tickets]) == (form, ["T-1"])


# --- workbooks -------------------------------------------------------------------------------------


def test_cells_of_a_workbook_are_read_as_they_are_shown(tmp_path: Path) -> None:
    until = datetime(2026, 8, 1, 3, 30)  # noqa: DTZ001 - as Excel has it
    content = book(
        ["ticket_id", "name", "valid from", "valid until"],
        [12345, "Zoë", date(2026, 7, 31), until],
        [],
        [12346.0, "Bob", None, date(2026, 8, 1)],
        ["T-3", None, None, None],
    )
    found = read(tmp_path, content, timezone="Europe/Berlin")
    assert [(one.row, one.ticket_id, one.holder.name) for one in found.tickets] == [
        (2, "12345", "Zoë"),
        (4, "12346", "Bob"),
        (5, "T-3", ""),
    ]
    shown = [datetime.fromtimestamp(one.not_after / 1e6, BERLIN).isoformat() for one in found.tickets[:2]]
    assert shown == ["2026-08-01T03:30:00+02:00", "2026-08-01T23:59:59+02:00"]


def test_the_sheet_with_the_tickets_is_chosen_and_reported(tmp_path: Path) -> None:
    content = book(["Name", "Email"], ["A", "x"], title="Guests", Tickets=[["Barcode", "Seat"], ["A-1", 1]])
    found = read(tmp_path, content, code="")
    assert found.form == "Excel workbook, sheet 'Tickets'; not read: 'Guests'"
    assert [one.codes for one in found.tickets] == [("A-1",)]


def test_an_error_in_a_cell_is_a_wrong_row(tmp_path: Path) -> None:
    found = read(tmp_path, book(["ticket_id", "valid until"], ["T-1", "#N/A"], ["T-2", None]))
    assert found.wrong == [WrongRow(2, "column 'valid until' is an error value (#N/A)")]
    assert [one.ticket_id for one in found.tickets] == ["T-2"]


def packed(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return out.getvalue()


def parts_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        return {name: found.read(name) for name in found.namelist()}


def with_sheet(rows: bytes, before: bytes = b"") -> bytes:
    parts = parts_of(book(["ticket_id"], ["T-1"]))
    parts["xl/worksheets/sheet1.xml"] = (
        before + b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        b'<row r="1"><c r="A1" t="inlineStr"><is><t>ticket_id</t></is></c></row>'
        + rows
        + b"</sheetData></worksheet>"
    )
    return packed(parts)


ENTITIES = b'<!DOCTYPE x [<!ENTITY a "' + b"x" * 1_000 + b'">]>'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (packed({"a": bytes(300 * 2**20)}), "unpacks to 300 MiB, more than 256 MiB"),
        (packed({f"{number}": b"" for number in range(1_001)}), "1,001 parts"),
        (
            packed({**parts_of(book(["id"])), "xl/styles.xml": b"<xf/>" * 150_000}),
            "xl/styles.xml of the workbook unpacks to more than 512 KiB",
        ),
        (packed({"a": b"x"}), r"cannot be read \(KeyError\)"),
        (b"PK\x03\x04rest", r"cannot be read \(BadZipFile\)"),
        (workbook.OLD_EXCEL_MARK + b"rest", "old Excel"),
        (with_sheet(b'<row r="99999999"><c r="A99999999"><v>1</v></c></row>'), "larger than 1,048,576 rows"),
        (with_sheet(b'<row r="-5"><c r="A2"'), "cannot be read"),
        (with_sheet(b"<row><c><v>&a;</v></c></row>", ENTITIES), "cannot be read"),
    ],
    ids=["bomb", "parts", "styles", "no workbook", "no zip", "old", "rows", "broken", "entities"],
)
def test_a_hostile_workbook_is_refused_with_the_reason(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        read(tmp_path, content)


def test_a_wide_sheet_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "CELLS_MAX", 100_000)
    rows = b"".join(b'<row r="%d"><c r="XFD%d"><v>1</v></c></row>' % (row, row) for row in range(2, 12))
    with pytest.raises(FileRefused, match="The sheet is larger than"):
        read(tmp_path, with_sheet(rows))


@pytest.mark.parametrize("part", [b"<c><v>1</v></c>", b"<is><r><t>a</t></r></is>"])
def test_a_row_of_too_many_cells_is_refused_before_it_is_built(tmp_path: Path, part: bytes) -> None:
    content = with_sheet(b'<row r="7">' + part * 100_000 + b"</row>")
    tracemalloc.start()
    with pytest.raises(FileRefused, match="Row 7 of the workbook has more than 4,096 cells"):
        read(tmp_path, content)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 10 * 2**20


@pytest.mark.parametrize(
    ("name", "other", "says"),
    [
        ("sheet1.xml", "sheet1.dat", "Row 7 of the workbook has more than 4,096 cells"),
        ("xl/workbook.xml", "xl/media/workbook.xml", "xl/media/workbook.xml .* more than 512 KiB"),
        ("xl/workbook.xml", "xl/sharedStrings.xml", "xl/sharedStrings.xml .* more than 512 KiB"),
        ("relationships/worksheet", "relationships/chartsheet", "The workbook has no sheet"),
    ],
)
def test_bounds_hold_for_a_part_of_any_name(tmp_path: Path, name: str, other: str, says: str) -> None:
    parts = parts_of(with_sheet(b'<row r="7">' + b"<c/>" * 100_000 + b"</row>"))
    if name == "xl/workbook.xml":
        parts[name] += b" " * 600_000
    parts = {
        part.replace(name, other): content.replace(name.encode(), other.encode())
        for part, content in parts.items()
    }
    with pytest.raises(FileRefused, match=says):
        read(tmp_path, packed(parts))


def test_a_part_that_is_used_twice_is_bounded_in_each_use() -> None:
    """As shared texts it has none that is large; as a sheet it has such a row."""
    parts = workbook_parts._Parts(io.BytesIO(with_sheet(b'<row r="7">' + b"<c/>" * 5_000 + b"</row>")))
    parts.whole = "si"
    parts.open("xl/worksheets/sheet1.xml").close()
    parts.whole = "row"
    with pytest.raises(FileRefused, match="Row 7 of the workbook has more than 4,096 cells"):
        parts.open("xl/worksheets/sheet1.xml")


@pytest.mark.parametrize(
    "elements",
    [
        b"<row/>" * 101,
        b"<si><t/></si>" * 51,
        b"<row xmlns='x'><c/></row>" * 51,
        b"<!---->" * 101,
        b"</sheetData><a>" + b"<b/>" * 101 + b"</a><sheetData>",
    ],
)
def test_elements_that_are_kept_to_the_end_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elements: bytes
) -> None:
    monkeypatch.setattr(workbook_parts, "BUILT_MAX", 100)
    monkeypatch.setattr(workbook_parts, "BESIDE_MAX", 100)
    with pytest.raises(FileRefused, match="more than 100 rows, or 100 other elements"):
        read(tmp_path, with_sheet(elements))


def test_xml_after_the_rows_is_not_read_into_the_last_row(tmp_path: Path) -> None:
    row = b'<row r="2"><c r="A2"><v>1</v></c></row></sheetData><rowBreaks>' + b'<brk id="1"/>' * 5_000
    parts = parts_of(with_sheet(row))
    sheet = parts["xl/worksheets/sheet1.xml"].replace(
        b"</sheetData></worksheet>", b"</rowBreaks></worksheet>"
    )
    assert read(tmp_path, packed({**parts, "xl/worksheets/sheet1.xml": sheet})).rows == 1


WHOLE = book(["ticket_id", "name"], ["T-1", "Ada"])


@given(at=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_workbook_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int, cut: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.xlsx"
    path.write_bytes(WHOLE[:at] if cut else WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :])
    with contextlib.suppress(FileRefused):
        read_plan(path)
