"""Lists of no known shop: what is asked, and a reason for every row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.importing.exports import pretix_row
from tests.importing.files import saved
from tests.importing.planning import asked, codes, moment, plan, pretix, reason
from tickets.importing import (
    Answers,
    FileRefused,
    Known,
    LeftOut,
    WrongRow,
)
from tickets.importing.answers import answers_from, source_key

# --- plain files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Barcode", "ticket code", "QR-Code", "Code barre", "Código de barras"])
def test_one_printed_column_is_what_the_scanner_reads(tmp_path: Path, name: str) -> None:
    found = plan(tmp_path, f"{name},Full name\nT-1,Ada\n")
    assert (codes(found), found.told[0].origin) == (["T-1"], "the file")


@pytest.mark.parametrize(
    "header", ["barcode,id", "ticket_id,name", "barcode,secret", "Reference,Order", "code,name", "name,seat"]
)
def test_columns_that_could_be_the_code_are_asked_about(tmp_path: Path, header: str) -> None:
    found = plan(tmp_path, f"{header}\nT-1,A-1\nT-2,A-2\n")
    assert asked(found) == ["code"]


def test_a_record_column_whose_cells_repeat_is_no_rival_of_the_printed_one(tmp_path: Path) -> None:
    assert codes(plan(tmp_path, "barcode,order\nT-1,7\nT-2,7\n")) == ["T-1", "T-2"]


@pytest.mark.parametrize(
    "header",
    [
        "Status",
        "Payment state",
        "Void?",
        "storniert",
        "Statut",
        "Anulado",
        "orderStatus",
        "isCancelled",
        "is_valid",
    ],
)
def test_a_column_named_like_a_status_is_asked_about_whatever_it_says(tmp_path: Path, header: str) -> None:
    found = plan(tmp_path, f"barcode,{header}\nT-1,x\nT-2,\n")
    assert len(found.questions) == 1
    assert found.questions[0].values == [("x", 1), ("", 1)]


@pytest.mark.parametrize("word", ["CANCELLED", "storniert", "Annulé", "pagado", "not paid", "used"])
def test_a_column_of_status_words_is_asked_about_whatever_its_name(tmp_path: Path, word: str) -> None:
    assert asked(plan(tmp_path, f"barcode,Remarks\nT-1,{word}\nT-2,vegan\n")) == ["admits:remarks"]
    assert asked(plan(tmp_path, f"barcode,Remarks\nT-1,never {word} before\nT-2,vegan\n")) == []


@pytest.mark.parametrize("header", ["State,City", "Home State,x", "Total paid,x", "Fees paid,x"])
def test_an_address_and_money_are_no_status(tmp_path: Path, header: str) -> None:
    assert asked(plan(tmp_path, f"barcode,{header}\nT-1,CA,LA\nT-2,NY,NY\n")) == []


def test_of_several_status_columns_all_must_admit(tmp_path: Path) -> None:
    content = "barcode,Order status,Ticket status\nT-1,paid,ok\nT-2,paid,void\nT-3,open,ok\n"
    found = plan(tmp_path, content, admits=["Order status=PAID", "Ticket status=ok"])
    assert codes(found) == ["T-1"]
    assert [one.reason for one in found.left_out] == ["Ticket status: void", "Order status: open"]


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


def test_an_id_of_the_source_is_kept_in_each_event_that_has_it(tmp_path: Path) -> None:
    content = "barcode,Ticket ID,event\nA,7,fest\nB,7,gala\nC,8,gala\n"
    found = plan(tmp_path, content, known=Known(events=("fest", "gala")))
    assert [(one.event, one.ticket_id) for one in found.tickets] == [
        ("fest", "7"),
        ("gala", "7"),
        ("gala", "8"),
    ]


def test_an_answer_that_was_not_asked_for_is_accepted(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        "barcode\nT-1\n",
        entrances="Day",
        timezone="UTC",
        quantity="tickets",
        cells="one",
        admits=["Status=paid"],
        entered=["In=yes"],
        event_name=["Fest=fest"],
    )
    assert codes(found) == ["T-1"]


def test_rows_left_out_are_blocked_tickets_where_stewards_see_why(tmp_path: Path) -> None:
    content = "barcode,status\nT-1,valid\nT-2,cancelled\nT-1,void\n"
    found = plan(tmp_path, content, admits=["status=valid"], stewards_see_why=True)
    assert [(one.codes[0], one.blocked, one.block_reason) for one in found.tickets] == [
        ("T-1", False, ""),
        ("T-2", True, "status: cancelled"),
    ]
    assert found.left_out == [LeftOut(4, "status: void")]


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


@pytest.mark.parametrize("lost", READ)
def test_a_formula_without_a_value_makes_its_row_wrong_in_each_column_that_is_read(
    tmp_path: Path, lost: str
) -> None:
    """An empty cell would be one person, no end, or a guest who is not inside."""
    whole = dict.fromkeys(READ, "") | {"Barcode": "T-1", "Status": "paid", "Checked in": "yes"}
    second = whole | {"Barcode": "T-2", lost: "=Z9"}
    rows = [list(whole), list(whole.values()), list(second.values())]
    answers = {
        "admits": ["status=paid,"],
        "entered": ["checked in=yes"],
        "quantity": "entries",
        "code": "barcode",
    }
    found = plan(tmp_path, saved({"Tickets": rows}), **answers, timezone="UTC")
    assert codes(found) == ["T-1"]
    assert found.wrong == [WrongRow(3, f"column {lost!r} is a formula without a value")]


def test_a_further_status_column_does_not_make_another_source() -> None:
    first = source_key(["ticket id", "name"], "")
    assert source_key(["name", "ticket id", "status", "checked in"], "") == first
    assert source_key(["name", "ticket id", "barcode"], "") != first
    assert source_key(["ticket id", "name"], "Tito") != first


def test_a_code_of_a_cancelled_row_may_be_that_of_a_valid_one(tmp_path: Path) -> None:
    content = "barcode,status\nT-1,cancelled\nT-1,valid\n"
    found = plan(tmp_path, content, admits=["status=valid"])
    assert ([one.row for one in found.tickets], found.left_out) == ([3], [LeftOut(2, "status: cancelled")])


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
    assert asked(plan(tmp_path, [item])) == ["admits:order status", "admits:refundedat", "entered:checkedin"]


@pytest.mark.parametrize(
    ("answers", "entered", "products"),
    [
        ({"entrances": "Night"}, True, {"Day": False, "Night": True}),
        ({"no_entrance": True}, True, {"Day": False, "Night": False}),
        ({"entrances": "Day", "nobody_entered": True}, False, {"Day": True, "Night": False}),
    ],
)
def test_a_person_overrides_preset_and_event(
    tmp_path: Path, answers: dict[str, Any], entered: bool, products: dict[str, bool]
) -> None:
    known = Known(event="fest", events=("fest",), products={"fest": {"Day": True, "Night": True}})
    content = (
        "ID,First Name,Last Name,Status,Is Checked In,Product ID,Product Name,Public ID,Short ID\n"
        "1,Ada,T,ACTIVE,Yes,7,Day,A-1,a_1\n2,Bo,T,ACTIVE,No,8,Night,A-2,a_2\n"
    )
    found = plan(tmp_path, content, known=known, **answers)
    assert (found.tickets[0].entered, found.products) == (entered, products)


def test_one_code_of_two_parts_stays_one_when_the_person_says_so(tmp_path: Path) -> None:
    content = "barcode\nAB1234 CD5678\n"
    assert asked(plan(tmp_path, content)) == ["cells"]
    assert codes(plan(tmp_path, content, cells="one")) == ["AB1234 CD5678"]
    assert codes(plan(tmp_path, content, cells="tickets")) == ["AB1234", "CD5678"]


def test_a_repeated_code_is_wrong_the_second_time(tmp_path: Path) -> None:
    found = plan(tmp_path, "barcode\nT-1\nT-2\n T-1\u00a0\n")
    assert codes(found) == ["T-1", "T-2"]
    assert found.wrong == [WrongRow(4, "has a code of row 2 (barcode_taken)")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("barcode\n²²\n3\n", "1 code can be guessed, a short number: 3"),
        ("barcode\nab-1\nAB-1\n", "differ only in case, which are different tickets: AB-1 and ab-1"),
        ("barcode\n1\n2\n", "2 codes can be guessed, a short number: 1, 2"),
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


def test_each_event_has_its_own_zone_and_names_are_asked_for_once(tmp_path: Path) -> None:
    content = "barcode,event,valid until\nT-1,Fest 26,2026-08-01\nT-1,Gala,2026-08-01\nT-2,,\n"
    known = Known(zones={"fest": "Europe/Berlin", "gala": "UTC"}, events=("fest", "gala"))
    found = plan(tmp_path, content, known=known)
    assert asked(found) == ["event", "timezone"]
    assert found.questions[0].values == [("Fest 26", 1), ("Gala", 1)]
    found = plan(tmp_path, content, known=known, event_name=["fest 26=fest", "GALA=gala"])
    assert [(one.event, one.not_after) for one in found.tickets] == [
        ("fest", moment(2026, 8, 1, 21, 59, 59)),
        ("gala", moment(2026, 8, 1, 23, 59, 59)),
        ("default", 0),
    ]
    again = plan(tmp_path, content, known=known, stored={found.key: found.answers})
    assert again.tickets == found.tickets


def test_a_value_that_a_stored_answer_does_not_know_is_asked_about(tmp_path: Path) -> None:
    first = plan(
        tmp_path,
        "barcode,status,product\nT-1,paid,Day\nT-2,void,Day\n",
        admits=["status=paid"],
        entrances="Day",
    )
    later = "barcode,status,product\nT-3,paid,Night\nT-4,moved,Day\n"
    found = plan(tmp_path, later, stored={first.key: first.answers})
    assert asked(found) == ["admits:status", "entrances"]


def test_products_of_a_created_event_are_known(tmp_path: Path) -> None:
    known = Known(event="fest", events=("fest",), products={"fest": {"Day": True, "Shirt": False}})
    found = plan(tmp_path, "barcode,product\nT-1,Day\nT-2,Shirt\n", known=known)
    assert found.products == {"Day": True, "Shirt": False}
    assert found.told[-1].origin == "the event"
    assert asked(plan(tmp_path, "barcode,product\nT-1,Night\n", known=known)) == ["entrances"]


def test_any_column_can_be_named(tmp_path: Path) -> None:
    content = "Biljett-Nr;Namn;Slutar\nT-1;Åsa;2026-08-01 10:00\n"
    answers: dict[str, Any] = {"code": "biljett nr", "column": ["name=Namn", "not_after=Slutar"]}
    (ticket,) = plan(tmp_path, content, timezone="UTC", **answers).tickets
    assert (ticket.codes, ticket.holder.name) == (("T-1",), "Åsa")
    assert ticket.not_after == moment(2026, 8, 1, 10)


@pytest.mark.parametrize("answers", [{"code": "Kod"}, {"column": ["not_after=Kod"]}])
def test_a_named_column_that_is_missing_is_refused(tmp_path: Path, answers: dict[str, Any]) -> None:
    """A typing error would make tickets without an end of validity."""
    with pytest.raises(FileRefused, match=r"no column 'Kod'\. Columns found: barcode, Valid until"):
        plan(tmp_path, "barcode,Valid until\nT-1,\n", **answers)


@pytest.mark.parametrize(
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
)
def test_an_answer_of_a_wrong_form_is_refused(answers: dict[str, Any], says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        answers_from(**answers)


def test_a_value_with_a_comma_stands_in_quotation_marks() -> None:
    assert answers_from(entrances='"Day, adult",Night').entrances == ["day, adult", "night"]
    assert answers_from(admits=["Notes="]).admits == {"notes": [""]}
    assert answers_from() == Answers()


@pytest.mark.parametrize(
    ("content", "says"),
    [("barcode,name\n", "no rows below its header"), ("[]", "no rows")],
)
def test_a_file_without_rows_is_refused(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        plan(tmp_path, content)


def test_unneeded_columns_are_not_read(tmp_path: Path) -> None:
    """Data that is not kept cannot leak: answers to questions, comments, invoice addresses."""
    row = pretix_row(**{"Which_T-shirt_size?": "XXL", "Order_comment": "ill", "VAT_ID": "DE1"})
    found = pretix(tmp_path, row)
    assert "XXL" not in repr(found.tickets)
    assert {"order comment", "vat id"} <= set(found.unread)
