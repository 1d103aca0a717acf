"""Lists of no known shop: what is asked, and a reason for every row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.importing.planning import asked, codes, moment, plan, reason
from tests.support.table import table
from tickets.importing import (
    FileRefused,
)
from tickets.importing.answers import answers_from

# --- plain files -----------------------------------------------------------------------------------


def test_a_misspelt_answer_is_no_answer(tmp_path: Path) -> None:
    """It would leave out everyone."""
    assert asked(plan(tmp_path, "barcode,status\nT-1,paid\n", admits=["status=payed"])) == ["admits:status"]
    content = "barcode,product\nT-1,Day\n"
    assert asked(plan(tmp_path, content, entrances="Dya")) == ["entrances"]
    (question,) = plan(tmp_path, content, entrances="Dya").questions
    assert question.sentence.startswith("The file has no product 'dya'. Which")
    (told,) = [one for one in plan(tmp_path, content, entrances="Day,Wekend").told if one.id == "entrances"]
    assert told.words == "The file has no product 'wekend'. Day (1)"
    assert plan(tmp_path, content, no_entrance=True).products == {"Day": False}


def test_a_status_that_admits_and_says_used_is_asked_for_entries(tmp_path: Path) -> None:
    content = "barcode,status\nT-1,valid\nT-2,used\n"
    answers: dict[str, Any] = {"admits": ["status=valid,used"]}
    assert asked(plan(tmp_path, content, **answers)) == ["entered:status"]
    found = plan(tmp_path, content, entered=["status=used"], **answers)
    assert [one.entered for one in found.tickets] == [False, True]


def test_rows_left_out_keep_their_id_and_code_for_the_comparison(
    tmp_path: Path,
) -> None:
    content = "order id,barcode,valid until,status\nR-1,T-1,,valid\nR-2,T-2,never,void\nR-3,T-3,,void\n"
    found = plan(tmp_path, content, admits=["status=valid"], timezone="UTC", code="barcode")
    assert [(one.row, one.codes, one.admits, one.blocked) for one in found.refused] == [
        (3, ("T-2",), False, True),
        (4, ("T-3",), False, True),
    ]
    assert {one.block_reason for one in found.refused} == {"status: void"}
    assert [one.row for one in found.left_out] == [3, 4]
    assert len({one.ticket_id for one in [*found.tickets, *found.refused]}) == 3


READ = ("Barcode", "Quantity", "Status", "Valid until", "Ticket type", "Seat", "Checked in")


@pytest.mark.parametrize(
    ("content", "answers", "why"),
    [
        ("barcode,quantity\nT-1,2\n", {"quantity": "tickets"}, "is for 2 tickets, but has one code"),
        ("barcode,quantity\nT-1,1001\n", {"quantity": "entries"}, "'1001' is not 1 to 1,000"),
        ("barcode,quantity\nT-1,two\n", {"quantity": "entries"}, "'two' is not 1 to 1,000"),
        ("barcode,quantity\nT-1,0\n", {}, "'0' is not 1 to 1,000"),
        ("barcode,quantity\nT-1,-4\n", {"quantity": "tickets"}, "'-4' is not 1 to 1,000"),
        ("barcode,quantity\nT-11;T-12,1\n", {"cells": "tickets"}, "is for 1, but has 2 codes"),
        ("barcode\nT-11;T-11\n", {"cells": "tickets"}, "has the same code twice"),
        ("barcode\nT\u200b1\n", {}, "invisible character inside, U+200B"),
        (f"barcode\n{'x' * 513}\n", {}, "a code has 513 bytes"),
        ("barcode,valid until\nT-1,18:30\n", {"timezone": "UTC"}, "is a time without a date"),
        ("barcode,valid until\nT-1,tomorrow\n", {"timezone": "UTC"}, "is not a time such as"),
        ("barcode,valid from\nT-1,1960-01-01T10:00Z\n", {}, "is before 1970"),
        (
            "barcode,valid from,valid until\nT-1,2026-02-01T10:00Z,2026-01-01T10:00Z\n",
            {},
            "column 'valid until' is a time before that of column 'valid from'",
        ),
        (f"barcode,seat\nT-1,{'x' * 129}\n", {}, "seat is longer than 128 characters"),
        ("barcode,seat\nT-1,a\x07b\n", {}, "seat contains a control character"),
    ],
)
def test_a_wrong_row_says_why(tmp_path: Path, content: str, answers: dict[str, Any], why: str) -> None:
    assert why in reason(plan(tmp_path, content, **answers))


def test_names_as_programs_write_them_are_read_and_asked_about(tmp_path: Path) -> None:
    """A window or a cancellation that is ignored in silence lets somebody in."""
    item: dict[str, Any] = {"barCode": "T-1", "firstName": "Ada", "lastName": "T"}
    item["validUntil"] = "2026-08-01T20:00Z"
    found = plan(tmp_path, [item | {"seat": {"name": "A 1"}}])
    assert (found.tickets[0].not_after, found.tickets[0].holder.name) == (moment(2026, 8, 1, 20), "Ada T")
    assert found.tickets[0].seat == "A 1"
    item |= {"checkedIn": True, "order": {"status": "paid"}, "refundedAt": None}
    assert asked(plan(tmp_path, [item])) == ["column:order status", "column:checkedin"]


def test_one_code_of_two_parts_stays_one_when_the_person_says_so(tmp_path: Path) -> None:
    content = "barcode\nAB1234 CD5678\n"
    assert asked(plan(tmp_path, content)) == ["cells"]
    assert codes(plan(tmp_path, content, cells="one")) == ["AB1234 CD5678"]
    assert codes(plan(tmp_path, content, cells="tickets")) == ["AB1234", "CD5678"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("barcode\n²²\n3\n", "1 code can be guessed (short numbers, or numbers at equal steps), such as 3."),
        ("barcode\nab-1\nAB-1\n", "differ only in case, which are different tickets: AB-1 and ab-1"),
        ("barcode\n1\n2\n", "such as 1, 2."),
        (
            "barcode\n" + "".join(f"03100000{number:04}\n" for number in range(0, 70, 7)),
            "numbers at equal steps",
        ),
    ],
)
def test_what_is_risky_about_codes_is_said(tmp_path: Path, content: str, said: str) -> None:
    found = plan(tmp_path, content)
    assert found.wrong == []
    assert any(said in one for one in found.said)


def test_any_column_can_be_named(tmp_path: Path) -> None:
    content = "Biljett-Nr;Namn;Slutar\nT-1;Åsa;2026-08-01 10:00\n"
    answers: dict[str, Any] = {"code": "biljett nr", "column": ["name=Namn", "not_after=Slutar"]}
    (ticket,) = plan(tmp_path, content, timezone="UTC", **answers).tickets
    assert (ticket.codes, ticket.holder.name) == (("T-1",), "Åsa")
    assert ticket.not_after == moment(2026, 8, 1, 10)


@table(
    ("answers", "says"),
    [
        ({"admits": ["Status"]}, "is not COLUMN=VALUE"),
        ({"event_name": ["Fest"]}, "is not NAME=SLUG"),
        ({"column": ["seat=A", "seat=B"]}, "names seat twice"),
        ({"column": ["nonsense=A"]}, "is not FIELD=NAME with FIELD one of"),
        ({"entrances": "A", "no_entrance": True}, "contradict"),
        ({"entered": ["A=B"], "nobody_entered": True}, "contradict"),
        ({"quantity": "some"}, "is entries or tickets, not 'some'"),
    ],
    count=7,
)
def test_an_answer_of_a_wrong_form_is_refused(answers: dict[str, Any], says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        answers_from(**answers)


@pytest.mark.parametrize(
    ("content", "says"),
    [("barcode,name\n", "no rows below its header"), ("[]", "no rows")],
)
def test_a_file_without_rows_is_refused(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        plan(tmp_path, content)
