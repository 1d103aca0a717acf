"""Exports of ticket shops in four languages: what their presets know, and what they ask."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from tests.importing.exports import PRETIX, pretix_row
from tests.importing.planning import asked, codes, moment, plan, pretix, reason
from tickets.importing import (
    FileRefused,
    Holder,
    Known,
    LeftOut,
    WrongRow,
)
from tickets.importing.imported import ImportedEvent
from tickets.importing.presets import PRESETS, Preset


@pytest.mark.parametrize("preset", PRESETS, ids=lambda one: one.name)
def test_no_preset_calls_harmless_what_may_take_a_ticket_back(preset: Preset) -> None:
    decides = re.compile(r"status|refund|cancel|void|order type|erstattet|storn|rembours|reembols")
    assert [name for name in preset.ignored if decides.search(name)] == []


TAILOR = "Event name,Ticket type,Ticket code,Ticket status,Issued ticket ID,Order status,Refund amount\n"


def test_the_order_of_a_valid_ticket_may_be_refunded(tmp_path: Path) -> None:
    content = TAILOR + "fest,GA,AAA111,VALID,it_1,COMPLETED,\nfest,GA,BBB222,VALID,it_2,REFUNDED,12.00\n"
    assert asked(plan(tmp_path, content, entrances="GA")) == ["column:order status", "column:refund amount"]
    found = plan(
        tmp_path,
        content,
        entrances="GA",
        admits=["Order status=completed"],
        harmless=["Refund amount"],
    )
    assert (found.preset, codes(found)) == ("Ticket Tailor, issued tickets", ["AAA111"])


# --- pretix ----------------------------------------------------------------------------------------


def test_a_german_check_in_list_names_who_is_paid_and_who_is_in(tmp_path: Path) -> None:
    content = (
        "Bestellnummer;Name Teilnehmer*in;Produkt;Preis;Eingecheckt;Ausgetreten;Automatisch eingecheckt;"
        "bezahlt;Secret\n"
        "AB1;Ada;Tag;1;;;Nein;Ja;s1\nAB1;Bob;Tag;1;2026-08-01 20:00;;Nein;Ja;s2\n"
        "AB2;Cem;Tag;1;;;Nein;Nein;s3\n"
    )
    assert asked(plan(tmp_path, content)) == ["entrances", "timezone"]
    found = plan(tmp_path, content, entrances="Tag", timezone="Europe/Berlin")
    assert [(one.codes[0], one.entered, one.entered_at) for one in found.tickets] == [
        ("s1", False, 0),
        ("s2", True, moment(2026, 8, 1, 18)),
    ]
    assert found.left_out == [LeftOut(4, "bezahlt: Nein")]
    assert len({one.ticket_id for one in found.tickets}) == 2, "an order names no ticket"


def test_the_positions_of_a_workbook_are_found_beside_its_orders(tmp_path: Path) -> None:
    book = Workbook()
    book.active.title = "Orders"
    book.active.append(["Order code", "Order total", "Status"])
    book.active.append(["ABC12", "80.00", "paid"])
    sheet = book.create_sheet("Order positions")
    for row in (PRETIX, pretix_row()):
        sheet.append(row)
    book.save(tmp_path / "orders.xlsx")
    found = plan(tmp_path, (tmp_path / "orders.xlsx").read_bytes(), entrances="Day ticket")
    assert (found.preset, codes(found)) == ("pretix, order positions", ["code-ABC12"])
    assert "Sheet 'Orders' is not read; its columns: Order code, Order total, Status." in found.said


def test_a_row_cut_off_before_the_blocked_column_is_wrong(tmp_path: Path) -> None:
    """It would be a valid ticket otherwise."""
    row = pretix_row(Blocked="Yes")
    short = row[: PRETIX.index("Blocked")]
    assert reason(pretix(tmp_path, short)) == f"has {len(short)} cells, but the header has {len(PRETIX)}"


def test_an_export_over_several_events_needs_the_slug_of_each(tmp_path: Path) -> None:
    rows = [pretix_row(), pretix_row(Event_slug="gala", Order_code="XYZ99")]
    found = pretix(tmp_path, *rows)
    assert asked(found) == ["event"]
    assert found.questions[0].values == [("gala", 1)]
    found = pretix(tmp_path, *rows, event_name=["gala="])
    assert (codes(found), found.left_out) == (["code-ABC12"], [LeftOut(3, "belongs to event 'gala'")])


def test_pretix_order_data_in_json_says_itself_which_products_admit(tmp_path: Path) -> None:
    """The "Order data (JSON)" export (base/exporters/json.py)."""
    position = {"id": 9, "positionid": 2, "item": 5, "variation": 7, "seat": "A-1", "attendee_name": "Ada",
                "secret": "s3cret", "answers": [{"question": 1, "answer": "M"}]}  # fmt: skip
    shirt = {"positionid": 3, "item": 6, "secret": "s4"}
    content = {
        "event": {
            "slug": "fest",
            "items": [
                {"id": 5, "name": "Pass", "admission": True, "variations": [{"id": 7, "name": "Adult"}]},
                {"id": 6, "name": {"en": "Shirt"}, "admission": False},
            ],
            "orders": [
                {
                    "code": "ABC12",
                    "status": "p",
                    "email": "b@example.org",
                    "phone": "None",
                    "positions": [position, shirt],
                },
                {"code": "DEF34", "status": "c", "positions": [{"positionid": 1, "item": 5, "secret": "x"}]},
            ],
        }
    }
    found = plan(tmp_path, content)
    assert found.products == {"Pass – Adult": True, "Shirt": False}
    ticket = found.tickets[0]
    assert (ticket.ticket_id, ticket.product, ticket.seat) == ("ABC12-2", "Pass – Adult", "A-1")
    assert ticket.holder == Holder("Ada", "b@example.org")
    assert ticket.codes == ("s3cret",)
    assert found.left_out == [LeftOut(3, "status: canceled")]


@pytest.mark.parametrize(
    ("order", "position", "why"),
    [
        ({"status": "c"}, {}, "status: canceled"),
        ({"status": "n"}, {}, "status: pending"),
        ({"status": "n", "require_approval": True, "valid_if_pending": True}, {}, "status: approval pending"),
        ({"status": "p", "testmode": True}, {}, "testmode: true"),
        ({"status": "p"}, {"blocked": ["admin"]}, "blocked: yes"),
        ({"status": "p"}, {"canceled": True}, "status: canceled"),
    ],
)
def test_a_position_in_json_is_left_out_by_its_order_and_by_itself(
    tmp_path: Path, order: dict[str, Any], position: dict[str, Any], why: str
) -> None:
    listed = [{"positionid": 1, "item": 5, "secret": "s3cret", **position}]
    found = plan(tmp_path, [{"code": "ABC12", **order, "positions": listed}], entrances="5")
    assert [one.reason for one in found.left_out] == [why]


def test_positions_of_the_rest_api_ask_for_the_status_that_they_lack(tmp_path: Path) -> None:
    """doc/api/resources/orders: results of /orderpositions/."""
    position = {
        "id": 23442, "order": "ABC12", "positionid": 1, "canceled": False, "item": 1345, "variation": None,
        "attendee_name": "Peter", "attendee_email": None, "secret": "z3fsn8", "blocked": None,
        "valid_from": "2026-07-31T18:00:00+02:00", "valid_until": None,
        "seat": {"id": 1, "name": "Row 1, Seat 2", "seat_guid": "zone-1-2"},
    }  # fmt: skip
    content = {"count": 1, "next": None, "results": [position, position | {"positionid": 2, "secret": "x"}]}
    assert asked(plan(tmp_path, content, entrances="1345")) == ["admits:status"]
    found = plan(tmp_path, content, entrances="1345", admits=["status="])
    assert [one.ticket_id for one in found.tickets] == ["ABC12-1", "ABC12-2"]
    assert (found.tickets[0].seat, found.tickets[0].not_before) == (
        "Row 1, Seat 2",
        moment(2026, 7, 31, 16),
    )


def test_an_exit_takes_back_no_entry(tmp_path: Path) -> None:
    checkins = [
        {"datetime": "2026-08-01T20:00:00Z", "type": "entry"},
        {"datetime": "2026-08-01T21:00:00Z", "type": "exit"},
    ]
    listed = [{"positionid": 1, "item": 5, "secret": "s", "checkins": checkins}]
    found = plan(tmp_path, [{"code": "A", "status": "p", "positions": listed}], entrances="5")
    assert (found.tickets[0].entered, found.tickets[0].entered_at) == (True, moment(2026, 8, 1, 20))


# --- other shops -----------------------------------------------------------------------------------

EVENTBRITE = (
    "Order #,First Name,Last Name,Quantity,Ticket Type,Attendee #,Order Type,Total Paid,Attendee Status,"
    "Home State,Barcode #\n"
)


ALF_IO = "ID,Category,Event,Status,PaidPrice,ReservationID,Full Name,E-Mail,Locked\n"


def test_tickets_of_alf_io_that_nobody_has_are_left_out(tmp_path: Path) -> None:
    states = ["ACQUIRED", "CHECKED_IN", "FREE", "TO_BE_PAID", "CANCELLED", "PENDING", "RELEASED", "EXPIRED"]
    states += ["INVALIDATED", "PRE_RESERVED"]
    rows = [f"id-{state},GA,fest,{state},50,r,Ada T,ada@example.org,false" for state in states]
    found = plan(tmp_path, ALF_IO + "\n".join(rows) + "\n", code="ID", entrances="GA")
    assert codes(found) == ["id-ACQUIRED", "id-CHECKED_IN"]
    assert [one.reason for one in found.left_out] == [f"Status: {state}" for state in states[2:]]


def test_an_attendee_with_several_barcodes_has_a_ticket_for_each(tmp_path: Path) -> None:
    attendee = {
        "id": "7", "status": "Attending", "cancelled": False, "refunded": False, "checked_in": False,
        "quantity": 2, "ticket_class_name": "GA", "profile": {"name": "Ada T"},
        "barcodes": [
            {"barcode": "10017001", "status": "unused"},
            {"barcode": "10017002", "status": "unused"},
        ],
    }  # fmt: skip
    answers: dict[str, Any] = {"entrances": "GA", "quantity": "tickets"}
    assert asked(plan(tmp_path, {"attendees": [attendee]}, **answers)) == ["cells"]
    found = plan(tmp_path, {"attendees": [attendee]}, cells="tickets", **answers)
    assert [(one.codes[0], one.ticket_id) for one in found.tickets] == [
        ("10017001", "7-1"),
        ("10017002", "7-2"),
    ]
    one = plan(tmp_path, {"attendees": [attendee | {"quantity": 3}]}, cells="tickets", **answers)
    assert reason(one) == "is for 3, but has 2 codes"


def test_a_french_list_whose_status_has_a_column_of_its_own(tmp_path: Path) -> None:
    content = (
        "Code barre;Nom du tarif;Nom;Prénom;Statut;Scanné\n"
        "03001;Pass;Ngata;Olu;Validé;Non\n03002;Pass;Noël;Zoé;Annulé;Oui\n03003;Pass;T;Ada;Payé;Oui\n"
    )
    found = plan(tmp_path, content.encode("cp1252"), entrances="Pass")
    assert asked(found) == ["admits:statut"]
    assert found.questions[0].values == [("Validé", 1), ("Annulé", 1), ("Payé", 1)]
    found = plan(tmp_path, content.encode("cp1252"), entrances="Pass", admits=["Statut=validé,payé"])
    assert [(one.codes[0], one.holder.name, one.entered) for one in found.tickets] == [
        ("03001", "Olu Ngata", False),
        ("03003", "Ada T", True),
    ]
    assert found.left_out == [LeftOut(3, "Statut: Annulé; left out although its guest is checked in")]


OWN = (
    "event,ticket_id,codes,state,product,seat,blocked,block_reason,dispute_reason,admitted_at,sequence,"
    "entry_node,revoked_codes\n"
)


def test_our_own_export_brings_each_ticket_into_its_state(tmp_path: Path) -> None:
    rows = [
        'fest,T-1,"[""a, 1"",""b""]",ISSUED,Day,A 1,no,,,,4,n1,"[""old""]"',
        'fest,T-2,"[""c""]",CONSUMED,Day,,no,,,2026-08-01T20:00:00+00:00,5,n1,',
        'fest,T-3,"[""d""]",VALIDATED,Day,,yes,stolen,,,6,n1,',
        'fest,T-4,"[""e""]",DISPUTED,Day,,yes,stolen,seen twice,,7,n1,',
        'fest,T-5,[],ISSUED,"""Day  pass""",,no,,,,8,n1,',
        'Fest,T-5,"[""e""]",UPHELD,,,no,,,,8,n1,',
    ]
    found = plan(tmp_path, OWN + "\n".join(rows) + "\n", known=Known())
    assert (found.preset, found.questions, found.left_out) == ("DTVN, tickets", [], [])
    assert [(one.ticket_id, one.codes, one.entered, one.blocked) for one in found.tickets] == [
        ("T-1", ("a, 1", "b"), False, False),
        ("T-2", ("c",), True, False),
        ("T-3", ("d",), False, True),
        ("T-4", ("e",), False, True),
        ("T-5", (), False, False),
        ("T-5", ("e",), False, True),
    ]
    assert [one.block_reason for one in found.tickets[2:4]] == [
        "stolen",
        "state: DISPUTED; seen twice; stolen",
    ]
    assert (found.tickets[0].revoked, found.tickets[4].product) == (("old",), "Day  pass")
    assert found.tickets[1].entered_at == moment(2026, 8, 1, 20)
    assert [one.event for one in found.tickets] == ["fest"] * 5 + ["Fest"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (
            'fest,T-1,"[{""digest"": ""9f""}]",ISSUED,,,,,,,4,n1,',
            "codes: the exporting platform knew a code",
        ),
        ('fest,T-1,"a,b",ISSUED,,,,,,,4,n1,', "codes 'a,b' is no JSON list"),
        ('fest,T-1,"[""a"",""a""]",ISSUED,,,,,,,4,n1,', "has the same code twice"),
        ('fest,T-1,,ISSUED,,,,,,,4,n1,"[""a""]"', "has 0 codes and 1 that were replaced"),
        ("fest,T-1,,Paid,,,,,,,4,n1,", "state 'Paid' is none of ISSUED"),
        ("fest,T-1,,CONSUMED,,,,,,2026-08-01 20:00,4,n1,", "admitted at '2026-08-01 20:00' has no offset"),
        ("fest,T 1,,ISSUED,,,,,,,4,n1,", "ticket_id 'T 1' is not 1 to 128"),
        ("fest,T-0,,ISSUED,,,,,,,4,n1,", "ticket T-0 is already in row 2"),
        ('fest,T-1,"[""a""]",ISSUED,,,,,,,4,n1,"[""a""]"', "has the same code twice"),
        ("my fest,T-1,,ISSUED,,,,,,,4,n1,", "event 'my fest' is not 1 to 64 of"),
        (f"{'e' * 65},T-1,,ISSUED,,,,,,,4,n1,", f"event '{'e' * 65}' is not 1 to 64 of"),
        (f"fest,T-1,,ISSUED,{'P' * 129},,,,,,4,n1,", "product is longer than 128 characters"),
        (f"fest,T-1,,ISSUED,,,yes,{'r' * 257},,,4,n1,", "block reason is longer than 256 characters"),
        ("fest,T-1,,CONSUMED,,,,,,at eight,4,n1,", "admitted at 'at eight' is not a time"),
    ],
)
def test_a_row_of_our_own_export_that_was_edited_wrongly_is_wrong(tmp_path: Path, row: str, why: str) -> None:
    found = plan(tmp_path, f"{OWN}fest,T-0,,ISSUED,,,,,,,4,n1,\n{row}\n", known=Known())
    assert [one.ticket_id for one in found.tickets] == ["T-0"]
    assert found.wrong[0].reason.startswith(why)


BOUNDED = "event,ticket_id,state,codes,valid_from,valid_until,entries,entries_used,sequence,entry_node\n"


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("2026-08-02T00:00:00Z,2026-08-01T23:59:59Z,,", "valid_until is a time before valid_from"),
        ("tomorrow,,,", "valid from 'tomorrow' is not a time"),
        (",,1001,", "entries '1001' is not at most 1,000"),
        (",,2,1001", "entries_used '1001' is not at most 1,000"),
        (",,two,", "entries 'two' is not at most 1,000"),
    ],
)
def test_a_bound_of_our_own_export_that_no_ticket_has_makes_its_row_wrong(
    tmp_path: Path, cells: str, why: str
) -> None:
    found = plan(tmp_path, f"{BOUNDED}fest,T-1,ISSUED,,{cells},4,n1\n", known=Known())
    assert (found.tickets, found.wrong[0].reason.startswith(why)) == ([], True), found.wrong


def test_of_our_own_export_only_the_chosen_event_is_taken(tmp_path: Path) -> None:
    rows = "fest,T-1,,ISSUED,,,,,,,4,n1,\ngala,T-2,,ISSUED,,,,,,,4,n1,\n"
    found = plan(tmp_path, OWN + rows, known=Known(event="fest"))
    assert [(one.event, one.ticket_id) for one in found.tickets] == [("fest", "T-1")]
    assert [(one.row, one.reason) for one in found.left_out] == [(3, "belongs to event 'gala'")]


def test_what_our_own_export_says_of_events_is_of_those_that_are_imported(tmp_path: Path) -> None:
    """Under the name that the person gives them; the zone is that of the rows."""
    head = "event,ticket_id,state,codes,product,product_admits,ids_are_codes,event_zone,sequence,entry_node\n"
    rows = "fest,T-1,ISSUED,,VIP,no,no,Europe/Berlin,4,n1\ngala,T-2,ISSUED,,Day,yes,yes,,4,n1\n"
    only = plan(tmp_path, head + rows, known=Known(event="fest"))
    fest = ImportedEvent("fest", zone="Europe/Berlin", ids_are_codes=False, products={"VIP": False})
    assert only.events == [fest]
    renamed = plan(tmp_path, head + rows, known=Known(), event_name=["fest=summer"])
    assert [one.slug for one in renamed.events] == ["summer", "gala"]
    assert [one.event for one in renamed.tickets] == ["summer", "gala"]


def test_the_doors_of_an_event_in_json_are_a_time_of_the_log(tmp_path: Path) -> None:
    said = {"slug": "fest", "name": "Fest", "zone": "Europe/Berlin", "doors": "2026-08-01T20:00:00+02:00"}
    said |= {"ids_are_codes": False, "products": [{"name": "VIP", "admits": True}]}
    row = {
        "event": "fest",
        "ticket_id": "T-1",
        "state": "ISSUED",
        "codes": [],
        "sequence": 4,
        "entry_node": "n1",
    }
    found = plan(tmp_path, {"events": [said], "rows": [row]}, known=Known())
    doors = moment(2026, 8, 1, 18)
    assert found.events == [ImportedEvent("fest", "Fest", "Europe/Berlin", doors, False, {"VIP": True})]
    for damaged in (said | {"doors": "at eight"}, {"slug": "fest"}):
        with pytest.raises(FileRefused, match="The events of this export are damaged: "):
            plan(tmp_path, {"events": [damaged], "rows": [row]}, known=Known())


def test_neither_yes_nor_no_in_our_own_export_is_refused_with_its_row(tmp_path: Path) -> None:
    content = f"{OWN}fest,T-1,,ISSUED,,,perhaps,,,,4,n1,\n"
    with pytest.raises(FileRefused, match=r"Row 2, blocked: 'perhaps' is neither yes nor no\."):
        plan(tmp_path, content, known=Known())


def test_an_export_without_the_codes_that_open_the_door_is_refused(tmp_path: Path) -> None:
    head = "event,ticket_id,state,ids_are_codes,sequence,entry_node\n"
    with pytest.raises(FileRefused, match="has no codes"):
        plan(tmp_path, f"{head}fest,T-1,ISSUED,no,4,n1\n", known=Known())
    assert plan(tmp_path, f"{head}fest,T-1,ISSUED,yes,4,n1\n", known=Known()).tickets[0].codes == ()


def test_an_export_from_before_codes_has_its_ids_as_codes(tmp_path: Path) -> None:
    head = "event,ticket_id,state,product,seat,valid_from,valid_until,last_operation,changed_at,sequence,"
    content = head + "entry_node\nfest,T-1,CONSUMED,,,,,admit,2026-08-01T20:00:00+00:00,9,n1\n"
    (ticket,) = plan(tmp_path, content, known=Known()).tickets
    assert (ticket.ticket_id, ticket.codes, ticket.entered_at) == ("T-1", ("T-1",), moment(2026, 8, 1, 20))


ORDER = {"code": "A", "status": "p", "positions": [{"positionid": 1, "secret": "s"}]}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"positions": 5}, "has positions that are not a list"),
        ({"code": "B", "status": "p", "positions": [7]}, "is not an object"),
        (
            {"code": "B", "status": "p", "positions": [{"positionid": [1]}]},
            "column 'ticket secret': a code is empty",
        ),
    ],
)
def test_json_of_another_shape_is_a_wrong_row(tmp_path: Path, other: Any, why: str) -> None:
    found = plan(tmp_path, [ORDER, other])
    assert (codes(found), found.wrong) == (["s"], [WrongRow(2, why)])


@pytest.mark.parametrize("content", ['{"event": {"orders": 5}}', '{"event": {"items": 5}}'])
def test_an_export_without_a_list_of_orders_holds_no_rows(tmp_path: Path, content: str) -> None:
    with pytest.raises(FileRefused, match="has no rows"):
        plan(tmp_path, content)
