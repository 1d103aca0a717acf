"""The files of ticket shops: what is asked of each, how it is answered, and what comes of it.

An answer is given as the command's options are, without their dashes.
"""

from __future__ import annotations

from typing import Any

import msgspec

BERLIN = {"timezone": "Europe/Berlin"}
TENTHS = (11, 21, 31, 41, 51)


class Case(msgspec.Struct, kw_only=True):
    file: str
    asked: dict[str, dict[str, Any]] = {}
    tickets: int
    left_out: tuple[int, ...] = ()
    wrong: tuple[int, ...] = ()
    admits: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    """Codes that no ticket has."""
    entries: dict[str, int] = {}
    """Code -> number of persons, of tickets for more than one."""
    used: int = 0
    """Tickets whose guests have entered."""
    used_codes: tuple[str, ...] = ()
    products: dict[str, bool] = {}
    preset: str = ""
    said: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.file


def entrances(names: str) -> dict[str, dict[str, Any]]:
    return {"entrances": {"entrances": names}}


def code(name: str) -> dict[str, dict[str, Any]]:
    return {"code": {"code": name}}


def event(name: str) -> dict[str, dict[str, Any]]:
    return {"event": {"event_name": [f"{name}=summer"]}}


ZONE = {"timezone": BERLIN}
TABLE = [
    Case(
        file="02-xlsx-leading-zero-format.xlsx",
        tickets=2,
        admits=("0012345678", "0012345679"),
        unknown=("12345678",),
    ),
    Case(file="03-xlsx-16-digits.xlsx", tickets=0, wrong=(2, 3, 4, 5, 6), unknown=("1234567890123450",)),
    Case(
        file="04-csv-scientific.csv",
        tickets=1,
        wrong=(2, 4, 5, 6),
        admits=("219E24",),
        said=("a spreadsheet would take it for a number",),
    ),
    Case(
        file="06-xlsx-merged-title.xlsx",
        asked=ZONE,
        tickets=1,
        admits=("MT-1",),
        said=("The header is row 3",),
    ),
    Case(
        file="07-xlsx-formula-id.xlsx",
        asked=code("Ticket number"),
        tickets=0,
        wrong=(2, 3),
        unknown=("1", "F-1"),
    ),
    Case(
        file="08-csv-identity-fallthrough.csv",
        asked=code("Ticket number"),
        tickets=2,
        wrong=(3,),
        admits=("T-100", "T-102"),
        unknown=("2",),
    ),
    Case(
        file="09-xlsx-date-serial.xlsx",
        asked=ZONE,
        tickets=2,
        wrong=(2,),
        admits=("DS-2", "DS-3"),
        unknown=("DS-1",),
    ),
    Case(
        file="10-csv-time-forms.csv",
        asked=ZONE,
        tickets=2,
        wrong=(*range(3, 10), *range(11, 16)),
        admits=("TF-1", "TF-9"),
    ),
    Case(
        file="11-csv-dst.csv",
        asked=ZONE,
        tickets=2,
        admits=("DST-1", "DST-2"),
        said=("'2026-10-25 02:30'", "'2027-03-28 02:30'"),
    ),
    Case(
        file="12-csv-unicode-codes.csv",
        tickets=9,
        wrong=(4, 7),
        admits=(
            "АBC-1",  # Cyrillic
            "ABC-2",
            "ABC-4",
            "ABC‐-5",
            "١٢٣",
            "ABC-8",
            "ABC-9",
            "abc-10",
            "ABC-10",
        ),
        unknown=("ABC-1", "ABC--5", "Abc-10", "ABC-3"),
        said=("differ only in case",),
    ),
    Case(
        file="12b-csv-nfd-product.csv",
        asked=entrances("Café"),
        tickets=2,
        admits=("NF-1", "NF-2"),
        products={"Café": True},
        said=("one product",),
    ),
    Case(
        file="14-csv-multiline.csv",
        asked={"column:notes": {"harmless": ["notes"]}},
        tickets=2,
        admits=("ML-1", "ML-2"),
    ),
    Case(file="16-utf16-bom-tab.txt", tickets=1, admits=("U16-2",)),
    Case(
        file="18-csv-status-plain.csv",
        asked={"column:status": {"admits": ["status=VALID"]}},
        tickets=1,
        left_out=(3, 4, 5, 6, 7),
        admits=("ST-1",),
        unknown=("ST-2", "ST-3", "ST-4", "ST-5", "ST-6"),
    ),
    Case(
        file="19-csv-group-quantity.csv",
        asked={"quantity": {"quantity": "entries"}},
        tickets=2,
        admits=("GQ-1", "GQ-2"),
        entries={"GQ-2": 4},
    ),
    Case(
        file="20-csv-barcode-list.csv",
        asked={"cells": {"cells": "tickets"}},
        tickets=2,
        admits=("0814847311126137001", "0814847311126137002"),
        unknown=("0814847311126137001, 0814847311126137002",),
    ),
    Case(
        file="21-eventbrite.csv",
        asked=code("Attendee #") | entrances("VIP,General Admission") | {"quantity": {"quantity": "entries"}},
        tickets=45,
        left_out=TENTHS,
        admits=("18441583000", "18441583024"),
        entries={"18441583024": 4},
        unknown=("18441583009", "1011211900018441583000001"),
        preset="Eventbrite, attendee report",
    ),
    Case(
        file="22-eventbrite-barcode.csv",
        asked=entrances("VIP,General Admission") | {"quantity": {"quantity": "entries"}},
        tickets=45,
        left_out=TENTHS,
        admits=("1011211900018441583000001", "1011211901218441583024001"),
        entries={"1011211901218441583024001": 4},
        unknown=("1011211900418441583009001", "18441583000"),
        preset="Eventbrite, attendee report",
    ),
    Case(
        file="23-tito.csv",
        asked=code("Unique Ticket URL") | entrances("Standard,EarlyBird") | event("Demo Conf 2026"),
        tickets=45,
        left_out=TENTHS,
        admits=("https://ti.to/tickets/ti_t8edv6u2yb7ylh9d",),
        unknown=("97EF-1", "https://ti.to/tickets/ti_kmk8hdw8gdrntcg6"),
        preset="Tito, attendees",
    ),
    Case(
        file="24-tickettailor.csv",
        asked=entrances("GA") | event("Demo Night"),
        tickets=45,
        left_out=TENTHS,
        admits=("YQ4VJPZ",),
        unknown=("UWX5SBY", "it_90000"),
        preset="Ticket Tailor, issued tickets",
    ),
    Case(
        file="25-weezevent.csv",
        asked=entrances("Plein tarif") | {"column:remarques": {"admits": ["Remarques="]}},
        tickets=45,
        left_out=TENTHS,
        admits=("0310000000000",),
        unknown=("0310000000063",),
        preset="Weezevent, participants (French)",
    ),
    Case(
        file="26-weezevent-generic-en.csv",
        asked=entrances("Plein tarif") | {"column:notes": {"admits": ["notes="]}},
        tickets=45,
        left_out=TENTHS,
        admits=("0310000000000",),
        unknown=("0310000000063",),
        preset="Weezevent, template (English)",
    ),
    Case(
        file="27-hievents.csv",
        asked=entrances("GA") | event("3"),
        tickets=40,
        left_out=(10, 11, 20, 21, 30, 31, 40, 41, 50, 51),
        admits=("A-RMZCLZA",),
        used=6,
        used_codes=("A-9TMPJNV",),
        unknown=("A-WW9TUPU", "A-YJNTG8T", "4100"),
        preset="Hi.Events, attendees",
        said=("2 rows are left out although their guests are checked in",),
    ),
    Case(
        file="28-alfio.csv",
        asked=code("ID") | entrances("GA") | event("demo-conf"),
        tickets=42,
        left_out=(10, 11, 20, 21, 31, 40, 41, 50),
        admits=("985db3c4-8139-53eb-2284-558809b21c7e",),
        used=8,
        used_codes=("95d483a6-086d-1ec5-e51d-2959faca57ab",),
        unknown=("742850f0-a732-82be-0a99-b2ddb02a3b27", "985db3c4-8139-53eb-2284-558809b21c7e/x"),
        preset="alf.io, tickets",
    ),
    Case(
        file="29-indico.csv",
        asked=code("ID"),
        tickets=40,
        left_out=(10, 11, 20, 21, 30, 31, 40, 41, 50, 51),
        admits=("1",),
        unknown=("9", "10"),
        preset="Indico, registrations",
        said=("can be guessed",),
    ),
    Case(
        file="30-pretix-checkinlist.csv",
        asked=entrances("Weekend – Adult"),
        tickets=45,
        left_out=TENTHS,
        admits=("g9eykbfmnrshm2nfd45k4c2urd2ud4fw",),
        used=7,
        used_codes=("x9ttcksna34s788cgsj6kwvu3cgesj37",),
        unknown=("qyu4hdgyxbp57fpjm9enfhn75w779pks", "HCYHP"),
        preset="pretix, check-in list",
        said=("left out although",),
    ),
    Case(
        file="31-universe-guestlist.csv",
        asked=code("Ticket ID")
        | entrances("GA")
        | {"column:first name": {"column": ["first_name=First Name"]}}
        | {"column:last name": {"column": ["last_name=Last Name"]}}
        | {"column:order status": {"admits": ["Order Status=paid"]}}
        | {"column:ticket status": {"admits": ["Ticket Status=paid"]}},
        tickets=40,
        left_out=(10, 11, 20, 21, 30, 31, 40, 41, 50, 51),
        admits=("PVSJLDQ7XV",),
        unknown=("D7X87PXZRE", "9DN73V82V8"),
    ),
    Case(
        file="32-cooltix.csv",
        asked=code("Voucher Code")
        | entrances("GA")
        | {"column:status": {"admits": ["Status=OK"]}}
        | {"column:customer name": {"column": ["name=Customer Name"]}},
        tickets=45,
        left_out=TENTHS,
        admits=("R2CVT887AD27",),
        unknown=("KTEMBBQ6F7RM", "70000"),
    ),
    Case(
        file="33-pretix-positions.csv",
        asked=ZONE | entrances("Weekend") | event("demo"),
        tickets=34,
        left_out=(6, 8, 9, 16, 18, 19, 26, 28, 29, 36, 38, 39, 46, 48, 49, 51),
        admits=("nvrpdkx3wwbmkuh85vp87v4yaqr7ux2v", "hcktdv2r38qynvqxfh9xvtuqmjpms2rb"),
        unknown=("mvj386urakm7nac3c7r54atq6d42s454", "4TA8R-1"),
        products={"Weekend": True, "T-Shirt": False},
        preset="pretix, order positions",
    ),
    Case(
        file="35a-reimport-v1.csv",
        asked=code("ticket_id") | entrances("Day") | ZONE,
        tickets=3,
        admits=("RI-1", "RI-2", "RI-3"),
    ),
    Case(
        file="35b-reimport-v2.csv",
        asked=code("ticket_id")
        | entrances("Day,Weekend")
        | ZONE
        | {"column:status": {"admits": ["status=valid"]}},
        tickets=2,
        left_out=(4,),
        admits=("RI-1", "RI-2"),
    ),
    Case(
        file="38-pretix-rest-valid-if-pending.json",
        asked=entrances("10"),
        tickets=3,
        admits=(
            "jsnsecret00000000000000000000001",
            "jsnsecret00000000000000000000002",
        ),
        used=1,
        used_codes=("jsnsecret00000000000000000000003",),
        products={"10": True, "11": False},
        preset="pretix, order positions",
    ),
    *(
        Case(
            file=file,
            asked=entrances("GA"),
            tickets=1,
            left_out=(2,),
            used=1,
            used_codes=("101118441583423001",),
            unknown=("101218441583424001", "18441583423"),
            preset="Eventbrite, attendees of the API",
        )
        for file in ("39-eventbrite-api.json", "40-eventbrite-api-list.json")
    ),
    Case(
        file="41-json-numbers.json",
        tickets=2,
        wrong=(1, 2, 3, 4, 5),
        admits=("007", "7"),
        unknown=("123", "yes"),
    ),
    Case(
        file="42-csv-long-odd-codes.csv",
        tickets=9,
        admits=(
            "31cbefae-0779-48ec-bec6-751336ba293b/8f2b9c6d0e1f4a5b8c7d6e5f4a3b2c1d",
            "https://example.org/t/ABC123?x=1",
            "K" * 129,
            "ABC+DEF==",
            "A/B",
            '{"i":[2,"x","y"]}',
            "#17",
            "17 / 4",
            "T 100",
        ),
    ),
    Case(file="43-csv-trailing-delims.csv", tickets=3, admits=("TD-1", "TD-2", "TD-3")),
    Case(
        file="44-csv-dup-seat.csv",
        asked={"column:seat": {"column": ["seat=seat"]}},
        tickets=2,
        wrong=(4,),
        admits=("SE-1", "SE-2"),
        said=("Seats of several tickets: A1 (rows 2, 3)",),
    ),
    Case(file="45-csv-header-zero-width.csv", tickets=1, admits=("ZH-1",)),
    Case(
        file="46-csv-event-names.csv",
        asked=event("Summer Fest 2026"),
        tickets=2,
        admits=("EN-1", "EN-2"),
    ),
    Case(
        file="47-csv-valid-until-midnight.csv",
        asked=ZONE,
        tickets=3,
        admits=("VM-1", "VM-2", "VM-3"),
        said=("'2026-11-27 00:00'",),
    ),
    Case(
        file="50-csv-id-is-order.csv",
        asked=code("barcode number"),
        tickets=2,
        admits=("9900000000011", "9900000000028"),
        unknown=("77",),
    ),
    Case(file="51-csv-multiline-comma.csv", tickets=1, admits=("MC-1",)),
    Case(file="52-csv-semicolon-multiline-quoted-comma.csv", tickets=1, admits=("SM-1",)),
    Case(file="53-csv-single-column.csv", tickets=3, admits=("SC-1", "SC-2", "SC-3")),
    Case(
        file="54-csv-german-headers.csv",
        asked=entrances("Tag"),
        tickets=1,
        left_out=(3,),
        admits=("x1",),
        unknown=("x2", "GE001-1"),
        preset="pretix, order positions",
    ),
    Case(
        file="55-csv-pretix-status-confirmed.csv",
        asked=entrances("Day") | {"admits:status": {"admits": ["Status=overpaid"]}},
        tickets=3,
        left_out=(4,),
        admits=("s1", "s2", "s4"),
        unknown=("s3",),
        preset="pretix, order positions",
    ),
    Case(file="56-csv-cp1252-euro.csv", tickets=2, admits=("CP-1", "CP-2")),
    Case(file="57-csv-mac-cr-only.csv", tickets=2, admits=("CR-1", "CR-2")),
    Case(
        file="58-csv-quotes-in-barcode-excel-text.csv",
        tickets=2,
        admits=("0012345", "0012346"),
        unknown=("12345",),
        said=("is taken off",),
    ),
    Case(file="59-csv-tab-in-cells.csv", tickets=3, admits=("TB-1", "TB-2", "TB-3")),
    Case(file="61-csv-valid-until-only-time.csv", asked=ZONE, tickets=0, wrong=(2,)),
    Case(
        file="62-json-lines-nested.jsonl",
        asked={
            "column:status": {"admits": ["status="]},
            "column:canceled": {"admits": ["canceled=false,"]},
            "column:valid": {"admits": ["valid=true,"]},
        },
        tickets=0,
        left_out=(1, 2, 3),
    ),
    Case(
        file="63-xlsx-two-sheets-id-wins.xlsx",
        asked={"sheet": {"sheet": "Tickets"}},
        tickets=1,
        admits=("WS-1",),
        unknown=("1",),
        said=("Sheet 'Orders' is not read, though its columns Status may decide who comes in",),
    ),
    Case(file="64-xlsx-error-cell.xlsx", tickets=0, wrong=(2,)),
    Case(
        file="65-pretix-no-window.csv",
        asked=entrances("Day"),
        tickets=10,
        admits=("hvuen8wsxvcwa85sjuhgzsu5uspx6ehx",),
        unknown=("NW000-1",),
        preset="pretix, order positions",
    ),
]
