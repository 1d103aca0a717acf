"""What an import tells of small files, each with one thing that a file may do: forms of CSV, JSON and sheets,
times and their zones, codes and persons of a row, our own exports, and words in four languages.

Each file stands in its story with its text, and below it what is asked, which tickets come of it, and which
rows are left out or wrong and why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, time
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.styles import numbers

from tests.golden import Compare
from tests.importing.files import saved
from tests.importing.planning import FEST, plan
from tests.importing.telling import section, told
from tests.importing.test_golden_files import told_plan
from tests.support.table import table
from tickets.importing import FileRefused, Known

GOLDEN = Path(__file__).parent / "golden" / "forms"
OPEN = Known(events=("fest", "gala"), zones={"gala": "America/New_York"})
Case = tuple[str, str | bytes | Any, dict[str, Any]]
"""(What the file does, its content, the answers)."""
HEAD = "barcode,name,valid until\n"
ZONED = {"timezone": "Europe/Berlin"}


def parted(text: str) -> list[str]:
    """The parts of "a|b"."""
    return text.split("|")


def told_of(path: Path, content: Any, known: Known, answers: Mapping[str, Any]) -> str:
    """What an organiser is shown, or why the file is refused."""
    try:
        return told_plan(plan(path, content, known=known, **answers), 30)
    except FileRefused as error:
        return f"refused: {error}"


def story(path: Path, cases: list[Case], known: Known = FEST) -> str:
    """All these files, one after the other."""
    parts = []
    for title, content, answers in cases:
        shown = content if isinstance(content, str) else "" if isinstance(content, bytes) else told(content)
        lines = [f"# {title}", *(f"    {line[:200]!r}" for line in shown.splitlines(keepends=True)[:12])]
        if answers:
            lines.append(section("answers", answers))
        parts.append("\n".join([*lines, told_of(path, content, known, answers)]))
    return "\n\n".join(parts) + "\n"


CSV: list[Case] = [
    ("nothing", "", {}),
    ("blank lines", "\n \n", {}),
    ("a header alone", HEAD, {}),
    ("semicolons, and a comma in a name", "barcode;name\nC1;Öst, Ada\nC2;Bob\n", {}),
    ("tabs", "barcode\tname\nC1\tAda\n", {}),
    ("bars", "barcode|name\nC1|Ada\n", {}),
    ("a delimiter that the first line names", 'sep=!\nbarcode!name\n"C!1"!Ada\n', {}),
    ("a mark of UTF-8", "\ufeffbarcode,name\nC1,Ada\n", {}),
    ("UTF-16", "barcode,name\nC1,Łucja\n".encode("utf-16"), {}),
    ("a mark of UTF-16, and not UTF-16", b"\xff\xfeb\x00a\x00r\x00\xd8\xd8", {}),
    ("Windows-1252", "barcode,name\nC1,Zoë €\n".encode("cp1252"), {}),
    ("UTF-8 with one damaged byte", "barcode,name\nC1,Zoë\n".encode() + b"C2,Bj\xf6rk\n", {}),
    ("old line ends", "barcode,name\rC1,Ada\rC2,Bob\r", {}),
    ("an old workbook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", {}),
    ("binary data", "barcode,name\nC1," + "\x01\x02\x03\x04\x05" * 30, {}),
    ("a control character in the header", "bar\x01code,name\nC1,Ada\n", {}),
    ("a control character and a NUL in cells", "barcode,seat,name\nC1,A\x07,x\nC2,B,\x00\nC3,C\n", {}),
    ("no header", "10001,ada@example.org,true\n10002,bob@example.org,false\n", {}),
    ("a title above", "Guest list of the fest\n\nbarcode,name\nC1,Ada\n", {}),
    ("rows too short, too long, and torn",
     "barcode,name,seat\nC1,Ada,A1\nC2,Bob\nC3,Cy,A3,x\nC4,Dan,A4,\nC5,Ev", {}),
    ("a cell that is never closed", 'barcode,name\nC1,Ada\nC2,"Bob\nC3,Cy\n', {}),
    ("text behind a closed cell", 'barcode,name\nC1,"Ada" T\nC2,Bob\n', {}),
    ("the header once more, and a total",
     "barcode,seat\nC1,A1\nbarcode,seat\nTotal,17.50\nSumme: 3,\nC2,A2\n",
     {"harmless": ["title above"]}),
    ("the header once more, with a column without a name",
     "barcode,,seat\nC1,x,A1\nbarcode,,seat\nC2,,A2\n",
     {"harmless": ["column 2", "title above"]}),
    ("columns without a name, and twice", "barcode,,note,note\nC1,x,a,b\nC2,,c,\n",
     {"harmless": ["column 2", "note", "note (column 4)"]}),
    ("a used column twice", "barcode,seat,Seat\nC1,A1,A2\n", {}),
    ("the first of two is left unread", "barcode,seat,Seat\nC1,A1,A2\n", {"column": ["seat="]}),
    ("a chosen column twice", "barcode,Rang,rang\nC1,A1,A2\n", {"column": ["seat=Rang"]}),
    ("the same, not chosen", "barcode,Rang,rang\nC1,A1,A2\n", {}),
    ("marks of a spreadsheet", "barcode,seat\n'007,'A\n\"=\"\"0042\"\"\",B\n", {}),
    ("damage of a spreadsheet",
     "barcode,seat\n1.2E+12,A\n#REF!,B\n#####,C\n2E3,D\n17.0,E\n1234567890123450,F\n", {}),
    ("damage in other columns", "barcode,seat,note\nC1,#N/A,x\nC2,B,#NAME?\nC3,1E+05,y\n",
     {"harmless": ["note"]}),
    ("a code in two rows, and in another case", "barcode,seat\nC1,A\nC1,B\nc1,C\nc-1,C\n",
     {"column": ["seat=seat"]}),
    ("codes that can be guessed",
     "barcode\n" + "".join(f"{1000000 + 3 * number}\n" for number in range(7)), {}),
    ("short numbers", "barcode\n12\n345678\n1234567\n", {}),
    ("an invisible character inside, and at the end", "barcode\nC\u200b1\nC2\u200b\n\u00a0C3\n", {}),
    ("seats and products in two forms", "barcode,product,seat\nC1,Cafe\u0301,A1\nC2,Café,A1\nC3,Café,A1\n",
     {"entrances": "Café"}),
]  # fmt: skip


def test_forms_of_csv(tmp_path: Path, golden: Compare) -> None:
    golden(GOLDEN / "csv.txt", story(tmp_path, CSV))


JSON: list[Case] = [
    ("a list",
     [{"barcode": "C1", "name": "Ada", "seat": 7}, {"barcode": "C2", "name": None, "seat": ""}], {}),
    ("a list under a name", {"tickets": [{"barcode": "C1"}, {"barcode": "C2"}], "count": 2}, {}),
    ("a page of results", [{"results": [{"barcode": "C1"}]}], {}),
    ("no list", {"ticket": {"barcode": "C1"}}, {}),
    ("no JSON", '{"tickets": [', {}),
    ("lines, one of them blank, one damaged",
     '{"barcode": "C1"}\n\n{"barcode": "C2"}\n{"barcode" "C3"}\n[1]\n', {}),
    ("a name twice in an object", '[{"barcode": "C1", "barcode": "C2"}, {"barcode": "C3"}]', {}),
    ("a name twice inside an object", '[{"barcode": "C1", "x": {"a": 1, "a": 2}}, {"barcode": "C3"}]', {}),
    ("a name twice, of which the first value is nothing",
     '[{"barcode": "C1", "seat": null, "seat": "A1"}, {"barcode": "C2", "seat": false, "seat": true},'
     ' {"barcode": "C3", "seat": 0, "seat": 3}, {"barcode": "C4", "seat": "", "seat": "A4"},'
     ' {"barcode": "C5", "seat": null}]', {}),
    ("two spellings of a name", '[{"barcode": "C1", "Barcode": "C2"}, {"barcode": "C3"}]', {}),
    ("numbers", '[{"barcode": 7}, {"barcode": 7.5}, {"barcode": 1e5}, {"barcode": 1234567890123456},'
     ' {"barcode": 123456789012345}, {"barcode": true}, {"barcode": NaN}, {"barcode": -4}]', {}),
    ("objects and lists inside",
     [{"barcode": "C1", "guest": {"first name": "Ada", "tags": ["x"]}, "notes": []}], {}),
    ("texts in several languages",
     [{"barcode": "C1", "product": {"de": "Tag", "en": "Day"}}],
     {"column": ["product=product de"], "entrances": "Tag"}),
    ("a text in no language",
     [{"barcode": "C1", "product": {}, "name": {"note": "x"}}, {"barcode": "C2", "product": {"en": ""}}],
     {"harmless": ["name note"]}),
    ("half of a surrogate pair", '[{"barcode": "C1", "name": "\\ud800"}, {"barcode": "C2"}]', {}),
    ("items that are no objects", [{"barcode": "C1"}, "C2", 3, None], {}),
    ("nested too deeply", "[" * 100_000, {}),
    ("an infinite number", '[{"barcode": Infinity}]', {}),
]  # fmt: skip


def test_forms_of_json(tmp_path: Path, golden: Compare) -> None:
    golden(GOLDEN / "json.txt", story(tmp_path, JSON))


def position(number: int, **fields: Any) -> dict[str, Any]:
    """A position of pretix's REST API."""
    return {"id": 900 + number, "positionid": number, "item": 10, "secret": f"s3cret-{number}", **fields}


PRETIX: dict[str, Any] = {
    "event": {
        "slug": "fest",
        "items": [
            {"id": 10, "name": {"de": "Tag", "en": "Day"}, "admission": True,
             "variations": [{"id": 5, "name": {"en": "Child"}}, {"id": 6, "value": "Adult"}]},
            {"id": 11, "name": "Mug", "admission": False, "variations": []},
        ],
        "orders": [
            {"code": "AAA", "status": "p", "email": "a@example.org", "phone": "None", "testmode": False,
             "positions": [
                 position(1, attendee_name="Ada", variation=5, seat={"name": "A1", "seat_guid": "g-1"}),
                 position(2, variation=6, canceled=True),
                 position(3, item=11, blocked=["admin"]),
                 position(4, valid_from="2026-06-05T18:00:00Z", valid_until="2026-06-06T02:00:00+02:00",
                          checkins=[{"type": "entry", "datetime": "2026-06-05T18:10:00Z"},
                                    {"type": "exit", "datetime": "2026-06-05T19:10:00Z"},
                                    {"type": "entry", "datetime": "2026-06-05T18:20:00Z"}]),
             ]},
            {"code": "BBB", "status": "n", "require_approval": True, "positions": [position(1)]},
            {"code": "CCC", "status": "n", "valid_if_pending": True,
             "positions": [position(1, checkins=[{}])]},
            {"code": "DDD", "status": "e", "positions": [position(1, seat="A9")]},
            {"code": "EEE", "status": "p", "testmode": True, "positions": [position(1)]},
            {"code": "FFF", "status": "p", "positions": "none"},
            {"code": "GGG", "status": "p", "positions": None},
            "HHH",
        ],
    }
}  # fmt: skip
EVENTBRITE = [
    {"id": "1", "ticket_class_name": "GA", "status": "Attending", "cancelled": False, "refunded": False,
     "profile": {"first_name": "Ada", "last_name": "L", "name": "Ada L", "email": "a@example.org"},
     "barcodes": [{"barcode": "EB1", "status": "unused"}]},
    {"id": "2", "ticket_class_name": "GA", "status": "Checked In", "cancelled": False, "refunded": False,
     "barcodes": [{"barcode": "EB2", "status": "used"}, {"barcode": "EB3", "status": "used"}]},
    {"id": "3", "ticket_class_name": "VIP", "status": "Deleted", "cancelled": True, "refunded": False,
     "barcodes": [{"barcode": "EB4", "status": "refunded"}, {"status": "lost"}]},
]  # fmt: skip


def test_forms_of_shops(tmp_path: Path, golden: Compare) -> None:
    rest = [
        position(1, order="AAA", order__status="p", event="fest"),
        position(2, order="BBB", order__status="c", event="fest"),
    ]
    golden(
        GOLDEN / "shops.txt",
        story(
            tmp_path,
            [
                ("an export of pretix", PRETIX, {}),
                ("the same, answered", PRETIX, {"timezone": "Europe/Berlin", "cells": "tickets"}),
                ("orders of pretix's API", {"results": PRETIX["event"]["orders"][:2]}, {"entrances": "10"}),
                (
                    "orders of several events",
                    [
                        {"code": "A", "event": "fest", "status": "p", "positions": [position(1, phone="7")]},
                        {
                            "code": "B",
                            "event": "gala",
                            "status": "p",
                            "email": "b@x",
                            "positions": [position(1)],
                        },
                    ],
                    {"entrances": "10", "event_name": ["gala="]},
                ),
                ("positions of pretix's API", rest, {"entrances": "10"}),
                ("attendees of Eventbrite", EVENTBRITE, {"entrances": "GA"}),
                (
                    "attendees of Eventbrite, several codes in a cell",
                    EVENTBRITE,
                    {"entrances": "GA", "cells": "tickets"},
                ),
            ],
        ),
    )


def formats(book: Workbook) -> None:
    """Formats of numbers and dates, a hidden row, a hidden sheet."""
    sheet = book["Guests"]
    sheet["A2"].number_format = "0000000"
    sheet["A3"].number_format = '"No. "000'
    sheet["A4"].number_format = "0.00E+00"
    sheet["C2"].number_format = numbers.FORMAT_DATE_YYYYMMDD2
    sheet["C3"].number_format = numbers.FORMAT_DATE_DATETIME
    sheet["C4"].number_format = numbers.FORMAT_DATE_YYYYMMDD2
    sheet.row_dimensions[6].hidden = True
    book["Old"].sheet_state = "hidden"


def moment(*parts: int) -> datetime:
    """A time as cells have it, without a zone."""
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001


GUESTS: list[list[Any]] = [
    ["Barcode", "Name", "Valid until", "Checked in", "Seat"],
    [42, "Ada", moment(2026, 6, 6), True, "A1"],
    [7, "Bob", moment(2026, 6, 6, 2, 30, 0, 600_000), False, None],
    [1234567, "Cy", moment(2026, 6, 6, 3, 0), None, "A3"],
    [12.5, "Dan", time(18, 0), None, "A4"],
    ["hidden", "Eve", None, None, "A5"],
    [1234567890123456, "Fay", None, None, "A6"],
    ["C-8", "=1+1", None, None, "A7"],
    ["C-9", "#N/A", None, "=TRUE", "A8"],
    [None, None, None, None, None],
    ["Total", 9, None, None, None],
]


def test_forms_of_sheets(tmp_path: Path, golden: Compare) -> None:
    book = saved({"Guests": GUESTS, "Old": GUESTS[:3], "Prices": [["Product", "Price"], ["Day", 9]]}, formats)
    two = saved({"Day 1": [["Barcode"], ["C1"]], "Day 2": [["Barcode", "Status"], ["C2", "paid"]]})
    answered = {**ZONED, "entered": ["Checked in=true"]}
    tito = [["Ticket Reference", "Unique Ticket URL", "Void Status"], ["R-1", "https://ti.to/1", ""]]
    cases: list[Case] = [
        ("a workbook with formats", book, {}),
        ("the same, answered", book, answered),
        ("its hidden rows, too", book, {**answered, "hidden": True}),
        ("its hidden sheet", book, {**answered, "sheet": "Old "}),
        ("a sheet that it has not", book, {"sheet": "New"}),
        ("two sheets that fit", two, {}),
        ("the second of them", two, {"sheet": "Day 2", "admits": ["Status=paid"]}),
        (
            "one of a known shop among them",
            saved({"A": [["Barcode", "Paid"], ["C1", "x"]], "Tito": tito}),
            {},
        ),
        ("no sheet with tickets", saved({"Prices": [["Product", "Price"], ["Day", 9]]}), {}),
        ("an empty sheet", saved({"Empty": []}), {}),
        ("no workbook", b"PK\x03\x04 is all of it", {}),
    ]
    golden(GOLDEN / "sheets.txt", story(tmp_path, cases))


TIMES = parted(
    "2026-08-01|1.8.2026|2026-8-1 7:05|2026-08-01T18:00:30.123456|2026-08-01 18:00Z"
    "|2026-08-01 18:00 UTC|2026-08-01 18:00+02:00|2026-08-01 18:00-0330|2026-08-01 18:00+02"
    "|2026-08-01 00:00|2026-10-25 02:30|2026-03-29 02:30|2026-02-30|2026-08-01 25:00"
    "|2026-08-01 18:00+25:00|08/01/2026|20260801|46235,5|18:00|6 pm|6:30 PM|soon|1969-12-31 23:59"
    "|9999-12-31 23:59:59Z|9999-12-31 23:59|0001-01-01|2026-08-01 24:00|1.8.26"
)


def test_times(tmp_path: Path, golden: Compare) -> None:
    rows = "".join(f'C{number},"{text}","{text}"\n' for number, text in enumerate(TIMES))
    content = f"barcode,valid from,valid until\n{rows}CA,2026-08-02,2026-08-01\nCB,2026-08-01,2026-08-01\n"
    entered = "".join(f'D{number},"{text}"\n' for number, text in enumerate(TIMES[:12]))
    entries = f"barcode,checked in at\n{entered}DA,\nDB,1969-12-31 20:00\nDC,1970-01-01 01:00:01\n"
    cases: list[Case] = [
        ("begins and ends", content, {}),
        ("begins and ends in Berlin", content, ZONED),
        ("begins and ends in Lord Howe", content, {"timezone": "Australia/Lord_Howe"}),
        ("entries", entries, {**ZONED, "entered": ["checked in at=*"]}),
    ]
    golden(GOLDEN / "times.txt", story(tmp_path, cases))


QUANTITY = (
    "barcode,admits,seat\nC1,,A1\nC2,1,A2\nC3,4,A3\nC4,0,A4\nC5,-1,A5\nC6,1001,A6\nC7,1000,A7\nC8,two,A8\n"
)
SEVERAL = (
    'barcode,quantity\n"C001, C002",2\n"C003;C004",3\nC005,2\n"C006 C007",1\n"C008000 C009000",2\n'
    '"C010,C010",2\nhttps://x/1,1\n'
)
EVENTS = (
    "barcode,event,valid until\nC1,fest,2026-08-01\nC2,Gala Night,2026-08-01\nC3,,2026-08-01\n"
    "C4,other,2026-08-01\nC5,gala,2026-08-01\n"
)
HOLDERS = (
    "barcode,first name,last name,name,email,e-mail,phone,company,street,zip,city,country,order\n"
    "C1,Ada,Lovelace,,a@x,,1,Engines,Main 1,10115,Berlin,DE,O-1\nC2,Ada,,Lovelace,,b@x,,,,,Rome,,\n"
    "C3,,Lovelace,Ada Lovelace,,,,,,,,FR,\nC4,,,  Bo \n"
    "CB,,,,,,7,,,,,,\nCC,,,,,,,,,,,,O-2\nCD,,,,,,,,Main 1,,,,\n"
    + "".join(
        f"D{number},{names}{',' * (12 - 1 - names.count(','))}\n"
        for number, names in enumerate(
            (
                "Ada,King,A. King",
                "Ada,,Ada King",
                ",King,Ada",
                "Ada,King",
                ",King",
                "Ada,,Ada",
                ",King,Ada King",
            )
        )
    )
)
STATES = (
    "barcode,order status,ticket state,checked in,product,note\nC1,paid,valid,,Day,\nC2,Paid,void,yes,Day,\n"
    "C3,paid,valid,YES,Mug,\nC4,open,valid,no,Day,x\nC5,,valid,,,\nC1,paid,valid,,Day,\nC6,paid,,,Night,\n"
)
STATED: dict[str, Any] = {
    "admits": ["order status=paid", "ticket state=valid,"],
    "entered": ["checked in=yes"],
    "entrances": "Day,Night",
    "harmless": ["note"],
    "repeats": "ticket",
}


def test_rows(tmp_path: Path, golden: Compare) -> None:
    long = "x" * 128
    cases: list[Case] = [
        ("persons, not answered", QUANTITY, {}),
        ("persons as entries", QUANTITY, {"quantity": "entries"}),
        ("persons as tickets", QUANTITY, {"quantity": "tickets"}),
        ("several codes, not answered", SEVERAL, {}),
        ("several codes, each of a ticket", SEVERAL, {"quantity": "tickets", "cells": "tickets"}),
        ("several codes, as one", SEVERAL, {"quantity": "entries", "cells": "one"}),
        ("holders", HOLDERS, {}),
        ("holders, answered", HOLDERS,
         {"code": "barcode", "harmless": ["name", "first name", "last name", "street"]}),
        ("labels as long as may be, and longer", f"barcode,seat\nC1,{long}\nC2,{long}x\nC3,a\tb\n", {}),
        ("statuses, not answered", STATES, {}),
        ("statuses", STATES, STATED),
        ("statuses, stewards see why", STATES, {**STATED, "stewards_see_why": True}),
        ("statuses, no product an entrance", STATES, {**STATED, "entrances": None, "no_entrance": True}),
        ("statuses, a value that there is not", STATES, {**STATED, "admits": ["order status=settled"]}),
        ("statuses, a product that there is not", STATES, {**STATED, "entrances": "Week"}),
        ("any status, nobody entered", STATES,
         {**STATED, "admits": ["order status=*", "ticket state=*,"], "entered": [], "nobody_entered": True}),
        ("a column for the code that there is not", STATES, {"code": "Kod"}),
    ]  # fmt: skip
    golden(GOLDEN / "rows.txt", story(tmp_path, cases))


def test_events(tmp_path: Path, golden: Compare) -> None:
    gala = Known(event="gala", events=("fest", "gala"), zones={"gala": "America/New_York"})
    names = {"event_name": ["Gala Night=gala", "other=", "=fest"], "timezone": "Europe/Berlin"}
    cases: list[Case] = [
        ("events, not answered", EVENTS, {}),
        ("events", EVENTS, names),
        ("events, one of them wrong", EVENTS, {**names, "event_name": ["Gala Night=Gala Night"]}),
    ]
    told = story(tmp_path, cases, OPEN)
    told += f"\nOf the event gala alone:\n\n{story(tmp_path, cases, gala)}"
    golden(GOLDEN / "events.txt", told)


OWN_HEAD = (
    "event,ticket_id,state,product,seat,valid_from,valid_until,admitted_at,gate,device,entries,entries_used,"
    "blocked,block_reason,dispute_reason,product_admits,ids_are_codes,event_zone,codes,revoked_codes,sequence,entry_node\n"
)
OWN = OWN_HEAD + "".join(
    f"{row}\n"
    for row in (
        'fest,T-1,ISSUED,Day,A1,2026-06-05T18:00:00+00:00,,,,,1,0,no,,,yes,no,Europe/Berlin,"[""c/1""]",,1,r0',
        'fest,T-2,CONSUMED,Day,,,,2026-06-05T19:00:00+00:00,north,n1,2,2,no,,,yes,no,,'
        '"[""c/2""]","[""o/2""]",1,r0',
        'fest,T-3,VALIDATED,Mug,,,,,,,3,1,yes,lost,,no,no,,"[""c/3""]",,1,r0',
        'fest,T-4,UPHELD,,,,,,,,,,no,,copied,,,,[],,1,r0',
        'fest,T-5,DISPUTED,,,,,,,,,,yes,stolen,,,,,,,1,r0',
        "gala,T-1,ISSUED,,,2026-06-05T18:00:00+00:00,2026-06-05T17:00:00+00:00,,,,,,,,,,,,[],,1,r0",
        'fest,T-1,ISSUED,,,,,,,,,,,,,,,,"[""c/9""]",,1,r0',
        'fest,T 6,ISSUED,,,,,,,,,,,,,,,,,,1,r0',
        'fest,T-7,GONE,,,,,,,,,,,,,,,,,,1,r0',
        'fest,T-8,ISSUED,,,soon,,,,,,,,,,,,,,,1,r0',
        'fest,T-9,ISSUED,,,2026-06-05 18:00,,,,,,,,,,,,,,,1,r0',
        'fest,T-10,ISSUED,,,,,,,,1001,,,,,,,,,,1,r0',
        'fest,T-11,ISSUED,,,,,,,,,,,,,,,,c/11,,1,r0',
        'fest,T-12,ISSUED,,,,,,,,,,,,,,,,"[{""digest"": ""00""}]",,1,r0',
        'fest,T-13,ISSUED,,,,,,,,,,,,,,,,"[""a""]","[{""digest"": ""00""}]",1,r0',
        'fest,T-14,ISSUED,,,,,,,,,,,,,,,,"[""a"", ""a""]",,1,r0',
        'fest,T-15,ISSUED,,,,,,,,,,,,,,,,,"[""b""]",1,r0',
        'f st,T-16,ISSUED,,,,,,,,,,,,,,,,,,1,r0',
        "'=x,T-17,ISSUED,'=cmd,'+1,,,,,,,,,,,,,,,,1,r0",
        "fest,T-18,ISSUED,,,,,2026-06-04T19:00:00+00:00,south,s1,1,0,,,,,,,[],,1,r0",
        "fest,T-19,CONSUMED,,,,,1969-12-31T23:00:00+00:00,south,s1,1,1,,,,,,,[],,1,r0",
        "fest,T-20,CONSUMED,,,,,,,,2,0,,,,,,,[],,1,r0",
        "fest,T-21,CONSUMED,,,,,,,,2,3,,,,,,,[],,1,r0",
        "fest,T-22,ISSUED,,,,,,,,0,0,,,,,,,[],,1,r0",
        "fest,T-23,ISSUED,,,,,,,,1000,1000,,,,,,,[],,1,r0",
        "fest,T-24,ISSUED,,,,,,,,-1,x,,,,,,,[],,1,r0",
        ",T-25,ISSUED,,,,,,,,,,,,,,,,[],,1,r0",
    )
)  # fmt: skip


def test_own_exports(tmp_path: Path, golden: Compare) -> None:
    as_json = {
        "kind": "tickets",
        "events": [
            {"slug": "fest", "name": "Fest", "zone": "Europe/Berlin", "doors": "2026-06-05T20:00:00+02:00",
             "ids_are_codes": False,
             "products": [{"name": "Day", "admits": True}, {"name": "Mug", "admits": False}]},
            {"slug": "gone", "name": "", "zone": "", "doors": None, "ids_are_codes": True, "products": []},
        ],
        "rows": [
            {"event": "fest", "ticket_id": "T-1", "state": "ISSUED", "sequence": 1, "entry_node": "",
             "codes": ["c/1"], "product": "Day", "ids_are_codes": "no"},
        ],
    }  # fmt: skip
    damaged = json.loads(json.dumps(as_json))
    damaged["events"][0]["doors"] = "soon"
    everything = Known()
    cases: list[Case] = [
        ("rows of all kinds", OWN, {}),
        ("renamed, and one event left out", OWN, {"event_name": ["fest=fest-2", "gala="]}),
        ("neither yes nor no", OWN.replace(",yes,lost", ",maybe,lost"), {}),
        ("without codes, which it needs", OWN.replace("revoked_codes", "x").replace("codes", "y"),
         {"harmless": ["x", "y", "ids_are_y"]}),
        ("of an earlier release", "event,ticket_id,state,changed_at,sequence,entry_node\n"
         "fest,T-1,CONSUMED,2026-06-05T19:00:00+00:00,1,r0\nfest,T-2,ISSUED,,2,r1\n", {}),
        ("an admission list", "event,ticket_id,admit,state,name,company,order,admitted_at,ids_are_codes\n"
         "fest,T-1,yes,ISSUED,Ada,Engines,O-1,,yes\n", {}),
        ("JSON", as_json, {}),
        ("JSON with damaged events", damaged, {}),
    ]  # fmt: skip
    golden(GOLDEN / "own.txt", story(tmp_path, cases, everything))


@table("name", ["csv", "json", "shops", "sheets", "times", "rows", "own"], count=7)
def test_each_story_tells_of_tickets_and_of_wrong_rows(name: str) -> None:
    """A slip in a story must not leave it without content."""
    text = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert "\ntickets: " in text
    assert "\nwrong: " in text or name == "shops"
