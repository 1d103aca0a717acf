"""What spreadsheets and other programs do to cells: codes that are damaged, kept, or worth a word."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from tests.importing.files import case, read, saved
from tickets.importing.jsontext import cell, parsed
from tickets.importing.record import (
    A_DATE,
    A_FRACTION,
    A_TRUTH,
    APOSTROPHE,
    DIGITS_LOST,
    EXPONENT_ONLY,
    UNQUOTED,
    Record,
    invisible_inside,
)

ZEROS = "its format shows the number 42 with leading zeros"


def barcode(records: list[Record]) -> tuple[str, str]:
    """The code of the only record, and its damage."""
    (record,) = records
    return record.code("barcode"), record.damage("barcode")


def sheet(value: Any, form: str = "General") -> bytes:
    """A workbook with this value in a cell of this number format."""

    def change(book: Workbook) -> None:
        book.worksheets[0]["A2"].number_format = form

    return saved({"Tickets": [["Barcode", "Name"], [value, "Ada T"]]}, change)


def with_cell(xml: str) -> bytes:
    """A workbook whose cell A2 is this XML."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sheet("X"))) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name).decode()
            if name.endswith("sheet1.xml"):
                content = re.sub(r'<c r="A2".*?</c>', lambda found: xml, content, count=1)
            new.writestr(name, content)
    return out.getvalue()


# --- numbers of workbooks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "form", "code", "note"),
    [
        (42, "0000000000", "0000000042", ZEROS),
        (42.0, "0000", "0042", ZEROS),
        (42, "00000;-00000", "00042", ZEROS),
        (42, "[Red]0000", "0042", ZEROS),
        (42, '"T-"0000', "0042", ZEROS),
        (42, r"000\-000", "000042", ZEROS),
        (42, "000,000", "000042", ZEROS),
        (42, "0000.00", "0042", ZEROS),
        (12345, "0000", "12345", ""),
        (42, "General", "42", ""),
        (42, "0", "42", ""),
        (42, "0.00", "42", ""),
        (42, "#,##0", "42", ""),
        (42, '"000" 0', "42", ""),
        (42, "00%", "42", ""),
        (42, "00.00E+00", "42", ""),
        (42, "@", "42", ""),
        (-42, "0000", "-42", ""),
        (0, "000", "000", "its format shows the number 0 with leading zeros"),
        (999_999_999_999_999, "0", "999999999999999", ""),
    ],
)
def test_a_whole_number_is_a_code_with_the_zeros_of_its_format(
    tmp_path: Path, value: float, form: str, code: str, note: str
) -> None:
    (record,) = read(tmp_path, sheet(value, form))
    assert (record.fields["barcode"], record.damaged) == (code, {})
    assert record.notes == ({"barcode": note} if note else {})


@pytest.mark.parametrize(
    ("value", "form", "kind"),
    [
        (10**15, "0", DIGITS_LOST),
        (1234567890123450, "0" * 20, DIGITS_LOST),
        (-(10**15), "0", DIGITS_LOST),
        (1.72345678901234e19, "General", DIGITS_LOST),
        (123.5, "0", A_FRACTION),
        (0.1, "General", A_FRACTION),
        (True, "General", A_TRUTH),
        (date(2026, 3, 12), "yyyy-mm-dd", A_DATE),
        (datetime(2026, 3, 12, 18), "d-mmm", A_DATE),  # noqa: DTZ001 - as a spreadsheet has it
        (time(18, 30), "hh:mm", A_DATE),
        ("#REF!", "General", "an error value (#REF!)"),
        ("=B2", "General", "a formula without a value"),
        ("1.23E+14", "@", EXPONENT_ONLY),
    ],
)
def test_a_code_that_a_spreadsheet_changed_is_damaged(
    tmp_path: Path, value: Any, form: str, kind: str
) -> None:
    (record,) = read(tmp_path, sheet(value, form))
    assert record.damaged == {"barcode": kind}
    assert record.fields["name"] == "Ada T", "the damage is the column's, which may not be read"


@pytest.mark.parametrize(
    ("xml", "code", "kind"),
    [
        ('<c r="A2" t="str"><f>B2</f><v>F-1</v></c>', "F-1", ""),
        ('<c r="A2"><f>B2</f><v>17</v></c>', "17", ""),
        ('<c r="A2" t="str"><f>B2</f><v></v></c>', "", ""),
        ('<c r="A2" t="e"><f>B2</f><v>#NAME?</v></c>', "#NAME?", "an error value (#NAME?)"),
        ('<c r="A2"><f>B2</f></c>', "", "a formula without a value"),
        ('<c r="A2" t="str"><f>B2</f></c>', "", "a formula without a value"),
        ('<c r="A2"><v>1E400</v></c>', "inf", A_FRACTION),
        ('<c r="A2"></c>', "", ""),
    ],
)
def test_a_formula_is_its_stored_value(tmp_path: Path, xml: str, code: str, kind: str) -> None:
    assert barcode(read(tmp_path, with_cell(xml))) == (code, kind)


def test_a_row_of_nothing_but_formulas_without_values_is_not_blank(tmp_path: Path) -> None:
    (record,) = read(tmp_path, saved({"T": [["Barcode"], ["=1+1"]]}))
    assert (record.number, record.damage("barcode")) == (2, "a formula without a value")


@pytest.mark.parametrize(
    ("value", "form", "text", "note"),
    [
        (datetime(2026, 8, 2), "yyyy-mm-dd hh:mm", "2026-08-02 00:00:00", ""),  # noqa: DTZ001
        (datetime(2026, 8, 2), "DD.MM.YYYY", "2026-08-02", ""),  # noqa: DTZ001
        (datetime(2026, 8, 2), 'd. mmmm yyyy "(Uhrzeit)"', "2026-08-02", ""),  # noqa: DTZ001
        (datetime(2026, 8, 2), "[$-407]d. mmmm yyyy", "2026-08-02", ""),  # noqa: DTZ001
        (datetime(2026, 8, 2, 18), "DD.MM.YYYY HH:MM", "2026-08-02 18:00:00", ""),  # noqa: DTZ001
        (
            datetime(2026, 8, 2, 18),  # noqa: DTZ001
            "yyyy-mm-dd",
            "2026-08-02 18:00:00",
            "its format does not show the time 18:00:00",
        ),
        (datetime(2026, 8, 2, 17, 59, 59, 999_000), "d.m.yy h:mm", "2026-08-02 18:00:00", ""),  # noqa: DTZ001
        (time(23, 59), "hh:mm", "23:59:00", ""),
    ],
)
def test_a_cell_s_format_tells_a_date_from_midnight(
    tmp_path: Path, value: Any, form: str, text: str, note: str
) -> None:
    content = saved(
        {"T": [["Barcode", "Valid until"], ["DS-1", value]]},
        lambda book: setattr(book.worksheets[0]["B2"], "number_format", form),
    )
    (record,) = read(tmp_path, content)
    assert record.fields["valid until"] == text
    assert (record.damage("valid until", A_DATE), record.notes.get("valid until", "")) == ("", note)


def test_the_files_of_the_cases_have_this_damage() -> None:
    found = {
        name: [record.damage("barcode") or record.damage("ticket number") for record in case(name)[1]]
        for name in ("02", "03", "04", "07")
    }
    assert found == {
        "02": ["", ""],
        "03": [DIGITS_LOST] * 5,
        "04": [EXPONENT_ONLY, "", EXPONENT_ONLY, EXPONENT_ONLY, EXPONENT_ONLY],
        "07": ["a formula without a value"] * 2,
    }


# --- texts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["1.12119E+19", "2,19E+26", "1E+15", "1.2e+20", "-1.5E+17", "1.5E-07"])
def test_scientific_notation_is_damage(tmp_path: Path, text: str) -> None:
    assert barcode(read(tmp_path, f'Barcode,Name\n"{text}",Ada\n')) == (text, EXPONENT_ONLY)


@pytest.mark.parametrize(
    "text", ["#N/A", "#NV", "#REF!", "#BEZUG!", "#VALUE!", "#NAME?", "#DIV/0!", "########"]
)
def test_an_error_that_a_spreadsheet_wrote_as_text_is_damage(tmp_path: Path, text: str) -> None:
    assert barcode(read(tmp_path, f"Barcode,Name\n{text},Ada\n")) == (text, f"an error value ({text})")


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("219E24", "a spreadsheet would take it for a number"),
        ("12E3", "a spreadsheet would take it for a number"),
        ("1.5e7", "a spreadsheet would take it for a number"),
        ("12345.0", "it may be a whole number to which a program added the fraction"),
        ("1234567890123450", "its digits after the 15th are 0, as where a spreadsheet has lost them"),
        ("12345678901234500000", "its digits after the 15th are 0, as where a spreadsheet has lost them"),
    ],
)
def test_a_code_that_may_be_damaged_is_taken_and_said(tmp_path: Path, text: str, note: str) -> None:
    (record,) = read(tmp_path, f"Barcode,Name\n{text},Ada\n")
    assert (record.code("barcode"), record.damaged, record.notes) == (text, {}, {"barcode": note})


@pytest.mark.parametrize(
    "text",
    [
        "E24",
        "219E",
        "A1E+15",
        "1.1.1E+19",
        "0012345",
        "#17",
        "##",
        "#NAME",
        "123456789012345",
        "0.01",
        "17 / 4",
        "1E+1X",
    ],
)
def test_other_codes_are_left_as_they_are(tmp_path: Path, text: str) -> None:
    (record,) = read(tmp_path, f"Barcode,Name\n{text},Ada\n")
    assert (record.code("barcode"), record.damaged, record.notes) == (text, {}, {})


@pytest.mark.parametrize(
    ("cell", "code", "note"),
    [
        ('"=""0012345"""', "0012345", UNQUOTED),
        ('="0012345"', "0012345", UNQUOTED),
        ('"=""a""""b"""', 'a"b', UNQUOTED),
        ("'0012345", "0012345", APOSTROPHE),
        ("'ABC", "ABC", APOSTROPHE),
        ("'=ABC", "=ABC", UNQUOTED),
        ("'-5", "-5", UNQUOTED),
        ("=ABC", "=ABC", ""),
        ("A'BC'", "A'BC'", ""),
    ],
)
def test_a_spreadsheet_s_marks_for_text_are_taken_off_a_code(
    tmp_path: Path, cell: str, code: str, note: str
) -> None:
    (record,) = read(tmp_path, f"Barcode,Name\n{cell},Ada\n")
    assert (record.code("barcode"), record.notes) == (code, {"barcode": note} if note else {})


def test_an_apostrophe_of_a_name_is_kept(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "Barcode,Name\nQ-1,'t Hooft\n")
    assert record.fields["name"] == "'t Hooft"


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("ABC\N{ZERO WIDTH SPACE}-3", "U+200B (zero width space)"),
        ("ABC\N{SOFT HYPHEN}-6", "U+00AD (soft hyphen)"),
        ("AB\nC", "U+000A"),
        ("A\tB\N{ZERO WIDTH SPACE}C", "U+0009"),
        ("\N{LEFT-TO-RIGHT MARK}ABC-4", ""),
        ("\N{ZERO WIDTH NO-BREAK SPACE} ABC \t\N{RIGHT-TO-LEFT MARK}", ""),
        ("A B\N{NO-BREAK SPACE}C", ""),
        ("АBC‐-5", ""),
        ("\N{ZERO WIDTH SPACE}", ""),
        ("", ""),
    ],
)
def test_the_first_invisible_character_inside_is_named(text: str, inside: str) -> None:
    assert invisible_inside(text) == inside


# --- JSON ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("json", "text", "kind"),
    [
        ("7", "7", ""),
        ("-7", "-7", ""),
        ("999999999999999", "999999999999999", ""),
        ('"007"', "007", ""),
        ('" A "', "A", ""),
        ("null", "", ""),
        ("NaN", "", ""),
        ("12345678901234567890", "12345678901234567890", DIGITS_LOST),
        ("9" * 5_000, "9" * 5_000, DIGITS_LOST),
        ("1e21", "1e21", EXPONENT_ONLY),
        ("1E5", "1E5", EXPONENT_ONLY),
        ("123.0", "123.0", A_FRACTION),
        ("0.1", "0.1", A_FRACTION),
        ("true", "true", A_TRUTH),
        ("false", "false", A_TRUTH),
    ],
)
def test_a_json_value_is_its_text_or_damaged(json: str, text: str, kind: str) -> None:
    assert cell(parsed(f'{{"barcode": {json}}}')["barcode"]) == (text, kind)


@given(value=st.integers(-(10**15) + 1, 10**15 - 1))
def test_a_whole_number_of_15_digits_is_exact_in_json(value: int) -> None:
    assert cell(parsed(f"[{value}]")[0]) == (str(value), "")
