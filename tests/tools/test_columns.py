"""Columns of pretix's exports and of plain files, and a reason for every row that is not a ticket."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tickets.importing import Columns, FileRefused, Holder, ImportedTicket, LeftOut, WrongRow, read_tickets

# The header of pretix's "Order positions" export (base/exporters/orderlist.py), one name part per name.
PRETIX = """
Event slug,Order code,Position ID,Status,Email,Phone number,Order date,Order time,Product,Variation,Price,
Tax rate,Tax rule,Tax value,Attendee name,Attendee name: Given name,Attendee name: Family name,
Attendee email,Company,Address,ZIP code,City,Country,State,Voucher,Pseudonymization ID,Ticket secret,
Seat ID,Seat name,Seat zone,Seat row,Seat number,Blocked,Valid from,Valid until,Order comment,
Follow-up date,Which T-shirt size?,Company,Invoice address name,Invoice address street,
Invoice address ZIP code,Invoice address city,Invoice address country,Invoice address state,VAT ID,
Sales channel,Order locale,E-mail address verified,External customer ID,Payment providers
""".replace("\n", "").split(",")


def pretix_row(**cells: str) -> list[str]:
    known = {
        "Event slug": "fest",
        "Order code": "ABC12",
        "Position ID": "1",
        "Status": "paid",
        "Email": "buyer@example.org",
        "Product": "Day ticket",
        "Attendee name": "Ada Lovelace",
        "Ticket secret": "z9x8y7",
        **{name.replace("_", " "): value for name, value in cells.items()},
    }
    return [known.get(name, "") for name in PRETIX]


def as_csv(*rows: list[str], delimiter: str = ",") -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, delimiter=delimiter).writerows([PRETIX, *rows])
    return out.getvalue().encode()


def only(tmp_path: Path, content: bytes | Any, columns: Columns | None = None) -> Any:
    """The one row of a file, as what it became."""
    found = tickets(tmp_path, content, columns)
    (row,) = [*found.tickets, *found.left_out, *found.wrong]
    return row


def tickets(tmp_path: Path, content: bytes | Any, columns: Columns | None = None, slug: str = "") -> Any:
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return read_tickets(path, columns or Columns(), slug=slug)


def reason(tmp_path: Path, content: bytes, columns: Columns | None = None) -> str:
    row = only(tmp_path, content, columns)
    assert isinstance(row, WrongRow)
    return row.reason


def moment(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000


# --- pretix ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_an_export_of_order_positions_is_read_without_options(tmp_path: Path, delimiter: str) -> None:
    row = pretix_row(
        Variation="Adult",
        Seat_name="Row 4, Seat 17",
        Address="Hauptstr. 1",
        ZIP_code="10115",
        City="Berlin",
        Country="DE",
        Valid_from="2026-07-31 18:00",
    )
    assert only(tmp_path, as_csv(row, delimiter=delimiter)) == ImportedTicket(
        row=2,
        ticket_id="ABC12-1",
        event="default",
        product="Day ticket – Adult",
        seat="Row 4, Seat 17",
        not_before=moment(2026, 7, 31, 18),
        not_after=0,
        holder=Holder("Ada Lovelace", "buyer@example.org", "", "", "Hauptstr. 1, 10115 Berlin, DE"),
        secret_digest=hashlib.sha256(b"z9x8y7").digest(),
        order="ABC12",
    )


def test_the_attendees_address_takes_precedence_over_the_orders(tmp_path: Path) -> None:
    row = only(tmp_path, as_csv(pretix_row(Attendee_email="ada@example.org")))
    assert row.holder.email == "ada@example.org"


@pytest.mark.parametrize("status", ["pending", "canceled", "expired", "approval pending"])
def test_invalid_tickets_are_left_out(tmp_path: Path, status: str) -> None:
    assert only(tmp_path, as_csv(pretix_row(Status=status))) == LeftOut(2, f"ABC12-1 is {status}")


def test_unpaid_orders_are_taken_on_request(tmp_path: Path) -> None:
    content = as_csv(pretix_row(Status="pending"))
    assert isinstance(only(tmp_path, content, Columns(include_pending=True)), ImportedTicket)


def test_a_blocked_ticket_is_left_out(tmp_path: Path) -> None:
    assert only(tmp_path, as_csv(pretix_row(Blocked="Yes"))) == LeftOut(2, "ABC12-1 is blocked")
    assert isinstance(only(tmp_path, as_csv(pretix_row(Blocked="No"))), ImportedTicket)


@pytest.mark.parametrize("name", ["Ticket secret", "Order code"])
@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ({"Status": "canceled"}, "is canceled"),
        ({"Status": "pending"}, "is pending"),
        ({"Blocked": "Yes"}, "is blocked"),
    ],
)
def test_a_position_is_left_out_by_status_for_every_ticket_column(
    tmp_path: Path, name: str, cells: dict[str, str], says: str
) -> None:
    columns = Columns(chosen={"ticket_id": name})
    content = as_csv(pretix_row(**cells), pretix_row(Order_code="XYZ99", Ticket_secret="a1b2"))
    found = tickets(tmp_path, content, columns)
    assert [one.reason.partition(" ")[2] for one in found.left_out] == [says]
    assert [one.ticket_id for one in found.tickets] == ["a1b2" if name == "Ticket secret" else "XYZ99"]


def test_a_canceled_position_with_a_ticket_id_column_is_left_out(tmp_path: Path) -> None:
    content = b"Order code,Position ID,Status,ticket_id\nABC12,1,canceled,T-1\nABC12,2,paid,T-2\n"
    found = tickets(tmp_path, content)
    assert found.left_out == [LeftOut(2, "T-1 is canceled")]
    assert [one.ticket_id for one in found.tickets] == ["T-2"]


@pytest.mark.parametrize(
    ("order", "position", "says"),
    [
        ({"status": "c"}, {}, "is canceled"),
        ({"status": "n"}, {}, "is pending"),
        ({"status": "p", "testmode": True}, {}, "was ordered in test mode"),
        ({"status": "p"}, {"blocked": ["admin"]}, "is blocked"),
    ],
)
def test_a_position_in_json_is_left_out_whatever_names_the_ticket(
    tmp_path: Path, order: dict[str, Any], position: dict[str, Any], says: str
) -> None:
    content = [{"code": "ABC12", **order, "positions": [{"positionid": 1, "secret": "s3cret", **position}]}]
    columns = Columns(chosen={"ticket_id": "Ticket secret"})
    assert only(tmp_path, content, columns) == LeftOut(1, f"s3cret {says}")


def test_an_unknown_value_for_blocked_is_wrong(tmp_path: Path) -> None:
    """As with the status: a translated export says `Ja`."""
    says = "has 'ja' in the column for blocked, not yes or no"
    assert reason(tmp_path, as_csv(pretix_row(Blocked="Ja"))) == says


def test_a_row_cut_off_before_the_blocked_column_is_wrong(tmp_path: Path) -> None:
    """It would be a valid ticket otherwise."""
    row = pretix_row(Blocked="Yes")
    short = row[: PRETIX.index("Blocked")]
    assert reason(tmp_path, as_csv(short)) == f"has {len(short)} cells, but the header has {len(PRETIX)}"
    trimmed = row[: PRETIX.index("Valid until") + 1]
    assert only(tmp_path, as_csv(trimmed)) == LeftOut(2, "ABC12-1 is blocked")


def test_a_row_that_ends_before_a_chosen_column_is_wrong(tmp_path: Path) -> None:
    content = b"ticket_id,Sitzplatz\nT-1\n"
    assert only(tmp_path, content).seat == ""
    wrong = only(tmp_path, content, Columns(chosen={"seat": "Sitzplatz"}))
    assert wrong == WrongRow(2, "has 1 cell, but the header has 2")


def test_an_unknown_status_is_wrong(tmp_path: Path) -> None:
    """It must not admit unpaid tickets: a translated export says `bezahlt`."""
    assert reason(tmp_path, as_csv(pretix_row(Status="bezahlt"))) == "has an unknown status 'bezahlt'"


@pytest.mark.parametrize(
    ("field", "says"), [("Order_code", "no order code"), ("Position_ID", "no position id")]
)
def test_a_position_without_its_name_is_wrong(tmp_path: Path, field: str, says: str) -> None:
    assert says in reason(tmp_path, as_csv(pretix_row(**{field: ""})))


@pytest.mark.parametrize("position", ["abc", "0", "01", "-1", "1.0", "1-2", "²", "1" * 10])
def test_a_position_is_a_number_from_1_on(tmp_path: Path, position: str) -> None:
    """pretix's own `positionid` (doc/api/resources/orders: integer, number of the position in the order).
    Anything else is another column by mistake, or would name one ticket in two ways."""
    says = f"position id {position!r} is not a whole number, 1 or more"
    assert reason(tmp_path, as_csv(pretix_row(Position_ID=position))) == says


def test_an_export_over_several_events_needs_a_choice(tmp_path: Path) -> None:
    content = as_csv(pretix_row(), pretix_row(Event_slug="gala", Order_code="XYZ99"))
    with pytest.raises(FileRefused, match=r"several events \(fest, gala\): choose one with --slug"):
        tickets(tmp_path, content)
    found = tickets(tmp_path, content, slug="gala")
    assert [ticket.ticket_id for ticket in found.tickets] == ["XYZ99-1"]
    assert found.left_out == [LeftOut(2, "belongs to event 'fest'")]


def test_pretix_order_data_in_json(tmp_path: Path) -> None:
    """The "Order data (JSON)" export (base/exporters/json.py)."""
    position = {"id": 9, "positionid": 2, "item": 5, "variation": 7, "seat": "A-1", "attendee_name": "Ada",
                "secret": "s3cret", "answers": [{"question": 1, "answer": "M"}]}  # fmt: skip
    content = {
        "event": {
            "slug": "fest",
            "items": [{"id": 5, "name": "Pass", "variations": [{"id": 7, "name": "Adult"}]}],
            "orders": [
                {
                    "code": "ABC12",
                    "status": "p",
                    "email": "b@example.org",
                    "phone": "None",
                    "positions": [position],
                },
                {"code": "DEF34", "status": "c", "positions": [{"positionid": 1}]},
            ],
        }
    }
    found = tickets(tmp_path, content)
    (ticket,) = found.tickets
    assert (ticket.ticket_id, ticket.product, ticket.seat) == ("ABC12-2", "Pass – Adult", "A-1")
    assert ticket.holder == Holder("Ada", "b@example.org")
    assert ticket.secret_digest == hashlib.sha256(b"s3cret").digest()
    assert found.left_out == [LeftOut(2, "DEF34-1 is canceled")]


def test_an_order_of_pretix_s_test_mode_is_left_out(tmp_path: Path) -> None:
    """doc/api/resources/orders: `testmode`; it was not paid."""
    order = {
        "code": "ABC12",
        "event": "summer",
        "status": "p",
        "positions": [{"positionid": 1, "secret": "s"}],
    }
    assert only(tmp_path, [order | {"testmode": True}]) == LeftOut(1, "ABC12-1 was ordered in test mode")
    assert isinstance(only(tmp_path, [order | {"testmode": False}]), ImportedTicket)


def test_pretix_order_positions_of_its_rest_api(tmp_path: Path) -> None:
    """doc/api/resources/orders: results of /orderpositions/."""
    position = {
        "id": 23442, "order": "ABC12", "positionid": 1, "canceled": False, "item": 1345, "variation": None,
        "attendee_name": "Peter", "attendee_email": None, "secret": "z3fsn8", "blocked": None,
        "valid_from": "2026-07-31T18:00:00+02:00", "valid_until": None,
        "seat": {"id": 1, "name": "Row 1, Seat 2", "seat_guid": "zone-1-2"},
    }  # fmt: skip
    ticket = only(tmp_path, {"count": 1, "next": None, "results": [position]})
    assert (ticket.ticket_id, ticket.seat) == ("ABC12-1", "Row 1, Seat 2")
    assert ticket.not_before == moment(2026, 7, 31, 16)
    assert only(tmp_path, [position | {"canceled": True}]) == LeftOut(1, "ABC12-1 is canceled")
    assert only(tmp_path, [position | {"blocked": ["admin"]}]) == LeftOut(1, "ABC12-1 is blocked")
    assert "position id 'yes'" in only(tmp_path, [position | {"positionid": True}]).reason


# --- plain files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ticket_id", "Ticket ID", "TICKET-ID", "barcode", "id", "code"])
def test_a_plain_column_names_the_ticket(tmp_path: Path, name: str) -> None:
    assert only(tmp_path, f"{name},product\nT-1,Day\n".encode()).ticket_id == "T-1"


def test_a_plain_column_wins_over_order_and_position(tmp_path: Path) -> None:
    assert only(tmp_path, b"order,position,ticket_id,status\nA,1,T-9,whatever\n").ticket_id == "T-9"


@pytest.mark.parametrize(
    "content",
    [[{"ticket_id": "T-1"}], {"tickets": [{"id": "T-1"}]}, b'{"ticket_id": "T-1"}\n{"ticket_id": "T-2"}\n'],
)
def test_plain_json_in_its_usual_shapes(tmp_path: Path, content: Any) -> None:
    assert tickets(tmp_path, content).tickets[0].ticket_id == "T-1"


def test_any_column_can_be_named(tmp_path: Path) -> None:
    columns = Columns(chosen={"ticket_id": "Biljett-Nr", "name": "Namn"})
    ticket = only(tmp_path, "Biljett-Nr;Namn\nT-1;Åsa\n".encode(), columns)
    assert (ticket.ticket_id, ticket.holder.name) == ("T-1", "Åsa")


@pytest.mark.parametrize("content", [b"ticket_id,not_after\nT-1,\n", [{"ticket_id": "T-1"}]])
def test_a_chosen_column_that_is_missing_is_reported(tmp_path: Path, content: Any) -> None:
    """A typing error would silently make tickets without an end of validity."""
    with pytest.raises(FileRefused, match="no column 'Ende', which --column names"):
        tickets(tmp_path, content, Columns(chosen={"not_after": "Ende"}))
    some_have_it = [{"ticket_id": "T-1"}, {"ticket_id": "T-2", "Ende": "2026-08-01 10:00"}]
    found = tickets(tmp_path, some_have_it, Columns(chosen={"not_after": "Ende"})).tickets
    assert [ticket.not_after for ticket in found] == [0, moment(2026, 8, 1, 10)]


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (",x,,", "has no ticket id"),
        ("T 1,x,,", "ticket id 'T 1' is not 1 to 128"),
        ("-T1,x,,", "ticket id '-T1' is not"),
        ("<b>,x,,", "ticket id '<b>' is not"),
        (f"{'x' * 129},x,,", "is not 1 to 128"),
        (f"T-1,{'x' * 129},,", "product is longer than 128 characters"),
        ("T-1,a\x07b,,", "product contains a control character"),
        ("T-1,x,tomorrow,", "column 'valid from': 'tomorrow' is not a time"),
        ("T-1,x,02/03/2026 10:00,", "is not a time"),
        ("T-1,x,1960-01-01 10:00,", "is before 1970"),
        ("T-1,x,,9999-12-31T23:59:59-05:00", "is after 9999-12-31 23:59:59 UTC"),
        (
            "T-1,x,2026-02-01 10:00,2026-01-01 10:00",
            "column 'valid until' is a time before that of column",
        ),
    ],
)
def test_a_wrong_row_is_reported_with_its_error(tmp_path: Path, cells: str, says: str) -> None:
    assert says in reason(tmp_path, f"ticket_id,product,valid from,valid until\n{cells}\n".encode())


def test_a_wrong_time_is_named_by_the_column_of_the_file(tmp_path: Path) -> None:
    content = "ticket_id;Gültig bis\nT-1;bald\n".encode()
    said = reason(tmp_path, content, Columns(chosen={"not_after": "Gültig bis"}))
    assert said == "column 'Gültig bis': 'bald' is not a time such as 2026-07-31 18:00"


@pytest.mark.parametrize(
    "text", ["2026-07-31 18:00", "2026-07-31T18:00:00", "31.07.2026 18:00", "2026-07-31T20:00:00+04:00"]
)
def test_times_without_an_offset_are_in_the_chosen_zone(tmp_path: Path, text: str) -> None:
    ticket = only(
        tmp_path, f"ticket_id,valid from\nT-1,{text}\n".encode(), Columns(zone=ZoneInfo("Europe/Berlin"))
    )
    assert ticket.not_before == moment(2026, 7, 31, 16)


def test_a_repeated_id_is_wrong_the_second_time(tmp_path: Path) -> None:
    found = tickets(tmp_path, b"ticket_id\nT-1\nT-2\nT-1\n")
    assert [ticket.row for ticket in found.tickets] == [2, 3]
    assert found.wrong == [WrongRow(4, "ticket T-1 is already in row 2")]


def test_a_wrong_row_does_not_stop_the_others(tmp_path: Path) -> None:
    found = tickets(tmp_path, b"ticket_id,name\nT-1,a\n,b\nT-3,c,d,e\nT-4,d\n")
    assert [ticket.ticket_id for ticket in found.tickets] == ["T-1", "T-4"]
    assert [wrong.row for wrong in found.wrong] == [3, 4]
    assert found.rows == 4


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"name,seat\nAda,1\n", "No column has the ticket IDs.*Columns found: name, seat"),
        (b"Nr;Name, Titel, Ort\n1;A, B, C\n", "Read as CSV, UTF-8, separated by comma. .* found: nr;name, "),
        (b"ticket_id,name\n", "no rows below its header"),
        (b"[]", "no rows"),
    ],
)
def test_a_file_without_tickets_is_refused_with_the_reason(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        tickets(tmp_path, content)


def test_unneeded_columns_are_not_read(tmp_path: Path) -> None:
    """Data that is not kept cannot leak: answers to questions, comments, invoice addresses."""
    row = pretix_row(**{"Which_T-shirt_size?": "XXL", "Order_comment": "ill", "VAT_ID": "DE1"})
    assert "XXL" not in repr(only(tmp_path, as_csv(row)))


def test_a_wrong_row_is_wrong_whichever_event_is_asked_for(tmp_path: Path) -> None:
    """It was left out as belonging to the event ''."""
    content = b'Event slug,ticket_id,name\nfest,T-1,a\nother,T-2,b\nfest,T-3,"open\n'
    found = tickets(tmp_path, content, slug="fest")
    assert [ticket.ticket_id for ticket in found.tickets] == ["T-1"]
    assert [(one.row, one.reason) for one in found.wrong] == [
        (4, "cannot be read as CSV: unexpected end of data")
    ]


DEEP = '{"a":' * 900 + "[[1]]" + "}" * 900


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ('[{"positions": 5}]', "has positions that are not a list"),
        ('[{"positionid": [1], "order": "ABC12"}]', "has no position id"),
        ('{"event": {"items": [1, {"id": [1], "variations": 5}], "orders": [7]}}', "is not an object"),
        ('[{"ticket_id": ' + DEEP + "}]", "has no ticket id"),
    ],
)
def test_json_of_another_shape_is_a_wrong_row(tmp_path: Path, content: str, wrong: str) -> None:
    assert reason(tmp_path, content.encode()) == wrong


@pytest.mark.parametrize("content", ['{"event": {"orders": 5}}', '{"event": {"items": 5}}'])
def test_an_export_without_a_list_of_orders_holds_no_rows(tmp_path: Path, content: str) -> None:
    with pytest.raises(FileRefused, match="has no rows"):
        tickets(tmp_path, content.encode())
