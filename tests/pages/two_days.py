"""The two days of `test_two_days`: the event, the files of its shop, what is played at its gates, and what
was counted by hand. No number below comes from a program."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
FRIDAY = datetime(2030, 6, 21, 18, 0, tzinfo=BERLIN)
SATURDAY = datetime(2030, 6, 22, 17, 0, tzinfo=BERLIN)

SLUG = "harbour"
EVENT: dict[str, Any] = {
    "name": "Harbour Fest",
    "zone": "Europe/Berlin",
    "doors": FRIDAY.isoformat(),
    "products": [
        {"name": "Adult", "admits": True},
        {"name": "Family", "admits": True},
        {"name": "Parking", "admits": False},
        {"name": "VIP", "admits": True},
    ],
    "lists": [
        {"list": "main", "rule": "daily"},
        {
            "list": "vip",
            "name": "VIP lounge",
            "products": ["VIP"],
            "rule": "free",
            "exit_first": True,
            "capacity": 3,
        },
        {"list": "dinner", "name": "Dinner", "rule": "once"},
    ],
}
ANSWERS = (
    *("--event", SLUG, "--code", "Barcode", "--admits", "Status=valid"),
    *("--entrances", "Adult,Family,VIP", "--quantity", "entries"),
)
"""To what the shop's files do not say, at each command that reads one."""

# --- the shop --------------------------------------------------------------------------------------

HEAD = "Ticket ID,Barcode,Ticket type,Name,Status,Quantity"
CROWD = [f"C-{number:03}" for number in range(1, 121)]


def code_of(ticket: str) -> str:
    """What is printed on a ticket at first."""
    return f"code-{ticket[::-1]}"  # an id that stands in the code would be made up


NEW_CODE = "wristband-A-3"
"""What A-3 has on Saturday, since the first code was lost."""


def row(ticket: str, product: str, *, persons: int = 1, status: str = "valid", code: str = "") -> str:
    return f"{ticket},{code or code_of(ticket)},{product},Guest {ticket},{status},{persons}"


def shop(*rows: str) -> str:
    """A file of the shop."""
    return "\n".join([HEAD, *rows, ""])


_VIPS = [row(ticket, "VIP") for ticket in ("V-1", "V-2", "V-3", "V-4")]
_OTHERS = [
    row("F-1", "Family", persons=4),
    row("F-2", "Family", persons=3),
    row("P-1", "Parking"),
    row("X-1", "Adult", status="cancelled"),
]
FIRST = shop(
    *(row(ticket, "Adult") for ticket in CROWD),
    *(row(ticket, "Adult") for ticket in ("A-1", "A-2", "A-3", "A-4", "A-5", "A-6")),
    *_VIPS,
    *_OTHERS,
)
"""134 rows: 126 Adult, 4 VIP, 2 Family, 1 Parking, and X-1, who cancelled before."""
SECOND = shop(
    *(row(ticket, "Adult") for ticket in CROWD[:118]),
    row("C-120", "Adult", status="cancelled"),
    row("A-1", "Adult"),
    row("A-2", "Adult"),
    row("A-3", "Adult", code=NEW_CODE),
    row("A-4", "Adult"),
    row("A-5", "Adult", status="cancelled"),
    row("A-6", "Adult"),
    row("N-1", "Adult"),
    *_VIPS,
    *_OTHERS,
)
"""Saturday's file: C-119 is gone, C-120 and A-5 were cancelled, A-3 has another code, N-1 is new."""
LEAVING = shop(*_VIPS[1:])
"""Who is seen out of the lounge on Friday night. V-1 goes without being scanned."""

# --- what `manage.py scan --steps` plays -----------------------------------------------------------

PLACES = {"east": ("main", "e1"), "lounge": ("vip", "l1"), "kitchen": ("dinner", "k1")}
"""Gate -> its list, its first device."""


class Step(NamedTuple):
    act: str
    ticket: str
    gate: str
    expect: str = "ok"
    reason: str = ""
    device: str = ""
    code: str = ""


def steps(played: Iterable[Step]) -> str:
    """The file of a day."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["act", "code", "list", "gate", "device", "reason", "expect"])
    for one in played:
        listed, device = PLACES[one.gate]
        code = one.code or code_of(one.ticket)
        writer.writerow([one.act, code, listed, one.gate, one.device or device, one.reason, one.expect])
    return out.getvalue()


def each(act: str, tickets: Sequence[str], gate: str) -> list[Step]:
    return [Step(act, ticket, gate) for ticket in tickets]


FRIDAY_STEPS = [
    *each("entry", CROWD, "east"),
    *each("entry", CROWD[:80], "kitchen"),
    Step("entry", "C-001", "east", "already_consumed"),
    Step("entry", "C-001", "kitchen", "already_consumed"),
    # A group of four: a fifth person, one who goes out and does not get in again, a dinner too many.
    *each("entry", ["F-1"] * 4, "east"),
    Step("entry", "F-1", "east", "already_consumed"),
    Step("exit", "F-1", "east"),
    Step("entry", "F-1", "east", "already_consumed"),
    *each("entry", ["F-1"] * 4, "kitchen"),
    Step("annul", "F-1", "kitchen"),
    # The lounge, in and out.
    Step("entry", "V-1", "east"),
    Step("entry", "V-1", "lounge"),
    Step("entry", "V-1", "lounge", "still_inside"),
    Step("exit", "V-1", "lounge"),
    Step("exit", "V-1", "lounge", "not_inside"),
    Step("entry", "V-1", "lounge"),
    Step("entry", "V-1", "kitchen"),
    Step("entry", "V-2", "east"),
    Step("entry", "V-2", "lounge"),
    Step("exit", "V-2", "lounge"),
    Step("entry", "A-1", "east"),
    Step("entry", "A-1", "lounge", "wrong_product"),
    # Forced, and taken back.
    Step("entry", "P-1", "east", "wrong_product"),
    Step("force", "P-1", "east", reason="carries the cake"),
    Step("entry", "A-2", "east"),
    Step("annul", "A-2", "east", "not_the_newest", device="e2"),
    Step("annul", "A-2", "east"),
    Step("entry", "A-2", "east", device="e2"),
    Step("entry", "A-3", "east"),
    Step("annul_supervised", "A-3", "east", reason="turned back at the bag check"),
]
SATURDAY_STEPS = [
    *each("entry", CROWD[:60], "east"),
    Step("entry", "C-001", "kitchen", "already_consumed"),  # dinner is once, and was on Friday
    *each("entry", CROWD[80:100], "kitchen"),
    Step("entry", "C-119", "east"),  # gone from the file, and nobody ticked that
    Step("entry", "C-120", "east", "blocked"),
    *each("entry", ["F-1"] * 4, "east"),
    Step("entry", "F-1", "east", "already_consumed"),
    Step("exit", "F-1", "east"),
    Step("entry", "F-1", "kitchen"),  # the dinner that was annulled
    Step("entry", "F-1", "kitchen", "already_consumed"),
    Step("entry", "V-1", "east"),
    Step("entry", "V-1", "lounge", "still_inside"),  # nobody saw V-1 go on Friday
    Step("exit", "V-1", "lounge"),
    Step("entry", "V-1", "lounge"),
    Step("entry", "V-2", "lounge"),
    Step("entry", "A-3", "east", "revoked"),
    Step("entry", "A-3", "east", code=NEW_CODE),
    Step("entry", "P-1", "east", "wrong_product"),  # forced in on Friday, which was for Friday
]

# --- counted by hand -------------------------------------------------------------------------------


def told(entries: int, forced: int, exits: int, inside: int, annulled: int, refused: int) -> dict[str, int]:
    """What the command says of a list."""
    return {
        "entries": entries,
        "forced": forced,
        "exits": exits,
        "inside": inside,
        "annulled": annulled,
        "refused": refused,
    }


FRIDAY_TOLD = {
    "steps": 234,
    "lists": {
        "main": told(entries=129, forced=1, exits=1, inside=128, annulled=2, refused=5),
        "vip": told(entries=3, forced=0, exits=2, inside=1, annulled=0, refused=3),
        "dinner": told(entries=84, forced=0, exits=0, inside=84, annulled=1, refused=1),
    },
}
SATURDAY_TOLD = {
    "steps": 99,
    "lists": {
        "main": told(entries=67, forced=0, exits=1, inside=66, annulled=0, refused=4),
        "vip": told(entries=2, forced=0, exits=1, inside=1, annulled=0, refused=1),
        "dinner": told(entries=21, forced=0, exits=0, inside=21, annulled=0, refused=2),
    },
}


class Counted(NamedTuple):
    """The page of the event, as it must be. Rows are written as they stand there."""

    tickets: str
    lists: dict[str, str]
    """Slug -> entries, exits, inside, forced, annulled."""
    products: dict[str, dict[str, str]]
    """Slug -> product -> admits, tickets, blocked, entries, exits, inside, forced."""
    gates: dict[str, dict[str, str]]
    """Slug -> gate -> entries, exits, forced, annulled."""


FRIDAY_COUNTED = Counted(
    tickets="133, 132 with no entry left on main, 0 blocked",  # all but A-3
    lists={"main": "137 1 136 1 3", "vip": "7 6 1 1 0", "dinner": "84 0 84 0 1"},
    products={
        "main": {
            "Adult": "yes 126 0 125 0 125 0",
            "Family": "yes 2 0 7 1 6 0",
            "Parking": "no 1 0 1 0 1 1",
            "VIP": "yes 4 0 4 0 4 0",
        },
        "vip": {
            "Adult": "yes 126 0 0 0 0 0",
            "Family": "yes 2 0 0 0 0 0",
            "Parking": "no 1 0 0 0 0 0",
            "VIP": "yes 4 0 7 6 1 1",
        },
        "dinner": {
            "Adult": "yes 126 0 80 0 80 0",
            "Family": "yes 2 0 3 0 3 0",
            "Parking": "no 1 0 0 0 0 0",
            "VIP": "yes 4 0 1 0 1 0",
        },
    },
    gates={
        "main": {"east": "129 1 1 2", "north": "5 0 0 1", "south": "3 0 0 0"},
        "vip": {"gate-1": "0 3 0 0", "lounge": "7 3 1 0"},
        "dinner": {"kitchen": "84 0 0 1"},
    },
)
"""After the lounge was closed. gate-1 is that of `scan --exit`."""
SATURDAY_COUNTED = Counted(
    # 61 of the crowd, A-3, A-4, A-6, N-1, F-1 and V-1 have come; of F-2 one of three.
    tickets="134, 67 with no entry left on main, 2 blocked",
    lists={"main": "208 2 70 1 3", "vip": "10 8 2 1 0", "dinner": "105 0 105 0 1"},
    products={
        "main": {
            "Adult": "yes 127 2 190 0 65 0",
            "Family": "yes 2 0 12 2 4 0",
            "Parking": "no 1 0 1 0 0 1",
            "VIP": "yes 4 0 5 0 1 0",
        },
        "vip": {
            "Adult": "yes 127 2 0 0 0 0",
            "Family": "yes 2 0 0 0 0 0",
            "Parking": "no 1 0 0 0 0 0",
            "VIP": "yes 4 0 10 8 2 1",
        },
        "dinner": {
            "Adult": "yes 127 2 100 0 100 0",
            "Family": "yes 2 0 4 0 4 0",
            "Parking": "no 1 0 0 0 0 0",
            "VIP": "yes 4 0 1 0 1 0",
        },
    },
    gates={
        "main": {"east": "196 2 1 2", "north": "7 0 0 1", "south": "5 0 0 0"},
        "vip": {"gate-1": "0 3 0 0", "lounge": "10 5 1 0"},
        "dinner": {"kitchen": "105 0 0 1"},
    },
)
"""Entries and exits of both days; inside the house are those of Saturday."""
OVERRULED = {
    ("forced entry", "P-1", "Main entrance", "east", "e1", "carries the cake"),
    ("forced entry", "V-2", "VIP lounge", "lounge", "phone-2", "moves chairs for the band"),
    ("annulled entry", "A-2", "Main entrance", "east", "e1", "–"),
    ("annulled entry by a supervisor", "A-3", "Main entrance", "east", "e1", "turned back at the bag check"),
    ("annulled entry", "A-5", "Main entrance", "north", "phone-1", "–"),
    ("annulled entry", "F-1", "Dinner", "kitchen", "k1", "–"),
}
"""What, ticket, list, gate, device, reason: all of it on Friday."""

Moves = dict[str, dict[str, tuple[int, int]]]
"""Ticket -> list -> (entries, exits)."""
IN: tuple[int, int] = (1, 0)
FRIDAY_MOVES: Moves = {
    **{ticket: {"main": IN, "dinner": IN} for ticket in CROWD[:80]},
    **{ticket: {"main": IN} for ticket in CROWD[80:]},
    "A-1": {"main": IN},
    "A-2": {"main": IN},
    "A-3": {"main": (0, 0)},
    "A-4": {"main": IN},
    "A-5": {"main": IN},
    "A-6": {"main": IN},
    "F-1": {"main": (4, 1), "dinner": (3, 0)},
    "F-2": {"main": (3, 0)},
    "P-1": {"main": IN},
    "V-1": {"main": IN, "vip": (2, 1), "dinner": IN},
    "V-2": {"main": IN, "vip": (2, 2)},
    "V-3": {"main": IN, "vip": (2, 2)},
    "V-4": {"main": IN, "vip": (1, 1)},
}
SATURDAY_MOVES: Moves = FRIDAY_MOVES | {
    **{ticket: {"main": (2, 0), "dinner": IN} for ticket in CROWD[:60]},
    **{ticket: {"main": IN, "dinner": IN} for ticket in CROWD[80:100]},
    "C-119": {"main": (2, 0)},
    "A-3": {"main": IN},
    "A-4": {"main": (2, 0)},
    "A-6": {"main": (2, 0)},
    "F-1": {"main": (8, 2), "dinner": (4, 0)},
    "F-2": {"main": (4, 0)},
    "N-1": {"main": IN},
    "V-1": {"main": (2, 0), "vip": (3, 2), "dinner": IN},
    "V-2": {"main": IN, "vip": (3, 2)},
    "V-3": {"main": IN, "vip": (3, 3)},
}
