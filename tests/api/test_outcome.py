"""Every field that a gate is told, and each sentence, from the bytes of an outcome alone."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec

from dtvn.api.outcome import Entry, details, sentence
from dtvn.machine import reasons
from dtvn.machine.lists import ListCount
from dtvn.machine.movements import Movement, Visit
from dtvn.machine.terms import Terms
from dtvn.machine.ticket import TicketState, answered
from dtvn.machine.transitions import State
from dtvn.protocol import canonical
from tests.support.table import table

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600_000_000
AT = 1_785_520_800_000_000  # 2026-07-31 20:00 in Berlin
NOT_BEFORE, NOT_AFTER = AT - HOUR, AT + 7 * HOUR
STATE = TicketState(
    *("fest", "T-1", State.ISSUED, "", AT, 9, 0, "issue", "gateway", "desk", b"", "", "", "", (1,)),
)
ENTERED = msgspec.structs.replace(
    STATE, state=State.CONSUMED, operation="admit", gate="north", device="d1", nonce=b"n-1"
)
TERMS = Terms(
    not_before=NOT_BEFORE,
    not_after=NOT_AFTER,
    product="Day",
    seat="A1",
    codes=(bytes(32),),
    revoked=(b"\1" * 32, b"\2" * 32),
)
FREE = Visit("vip", "entry", 3, 0, 2, True, AT, "lounge", "l1")
"""A visit on a list without a limit of entries."""


def state(found: TicketState = ENTERED, terms: Terms = TERMS, visit: Visit | None = None) -> bytes:
    return answered(canonical.encode(found), terms, visit)


ENTRY = Entry("2026-07-31T20:00:00+02:00", "north", "d1")


def moved(slug: str, kind: str, hour: int, *, stands: bool = True, nonce: bytes = b"n-1") -> Movement:
    gate = ("door", "scanner", "gateway", "desk", nonce)
    return Movement(slug, kind, stands, AT + hour * HOUR, 20_665, *gate, 7, 0)


def test_the_movements_of_a_ticket_are_shown_the_newest_first() -> None:
    """The entry that is shown is that of `main`, whatever happened on other lists since."""
    terms = msgspec.structs.replace(
        TERMS,
        entries=3,
        counts=(ListCount("main", 1, 1, 20_665, 1, 1), ListCount("vip", 1, 0, 20_665, 1, 0)),
        movements=(
            moved("main", "entry", 0),
            moved("main", "exit", 1),
            moved("main", "entry", 2, stands=False),
            moved("main", "annul", 3, stands=False, nonce=b"\xff"),
            moved("vip", "force", 4),
        ),
    )
    shown = details(canonical.encode(ENTERED), canonical.encode(terms), lambda _: BERLIN)
    device = {"gate": "door", "device": "scanner"}
    assert shown["last_entry"] == {"at": "2026-07-31T20:00:00+02:00", **device}
    assert shown["codes"] == {"valid": 1, "revoked": 2}
    assert (shown["entries"], shown["lists"]) == (
        3,
        [{"list": "main", "entries": 1, "exits": 1}, {"list": "vip", "entries": 1, "exits": 0}],
    )
    rows = [
        ("vip", "entry", "2026-08-01T00:00:00+02:00", True, True, "n-1"),
        ("main", "annul", "2026-07-31T23:00:00+02:00", False, False, ""),
        ("main", "entry", "2026-07-31T22:00:00+02:00", False, False, "n-1"),
        ("main", "exit", "2026-07-31T21:00:00+02:00", False, True, "n-1"),
        ("main", "entry", "2026-07-31T20:00:00+02:00", False, True, "n-1"),
    ]
    names = ("list", "kind", "at", "forced", "stands", "nonce")
    assert shown["movements"] == [dict(zip(names, row, strict=True)) | device for row in rows]


UPHELD = msgspec.structs.replace(STATE, state=State.UPHELD, operation="resolve")
IMPORTED = msgspec.structs.replace(ENTERED, operation="import_entry", device="")
BLOCKED = msgspec.structs.replace(TERMS, blocked=True, block_reason="stolen")


@table(
    ("code", "told_state", "more"),
    [
        ("already_consumed", state(), "2026-07-31 20:00:00 Europe/Berlin at gate north, device d1"),
        (
            "already_consumed",
            canonical.encode(ENTERED),
            "2026-07-31 20:00:00 Europe/Berlin at gate north, device d1",
        ),
        (
            "already_consumed",
            state(IMPORTED, msgspec.structs.replace(TERMS, entered_at=AT - 2 * HOUR)),
            "2026-07-31 18:00:00 Europe/Berlin at gate north",
        ),
        ("already_consumed", state(IMPORTED), "at a time that is not known at gate north"),
        (
            "already_consumed",
            state(visit=FREE),
            "2026-07-31 20:00:00 Europe/Berlin at gate lounge, device l1",
        ),
        (
            "still_inside",
            state(visit=msgspec.structs.replace(FREE, allowed=4)),
            "3 of 4 entries, last 2026-07-31 20:00:00 Europe/Berlin at gate lounge, device l1",
        ),
        (
            "already_consumed",
            state(visit=msgspec.structs.replace(FREE, used=1, allowed=1, device="")),
            "2026-07-31 20:00:00 Europe/Berlin at gate lounge",
        ),
        ("not_yet_valid", state(), "it is from 2026-07-31 19:00:00 Europe/Berlin on"),
        ("no_longer_valid", state(), "it was until 2026-08-01 03:00:00 Europe/Berlin"),
        ("blocked", state(terms=BLOCKED), "stolen"),
        ("already_blocked", state(terms=BLOCKED), "stolen"),
        ("blocked", state(), ""),
        ("wrong_product", state(), "Day"),
        ("revoked", state(), ""),
        ("not_yet_valid", canonical.encode(STATE), ""),
        ("already_consumed", b"", ""),
        ("already_consumed", b"\x91\x01", ""),
    ],
    count=17,
)
def test_a_reason_is_said_with_what_the_state_adds_to_it(code: str, told_state: bytes, more: str) -> None:
    plain = reasons.REASONS[code].sentence
    expected = f"{plain.removesuffix('.')}: {more}." if more else plain
    assert sentence(code, told_state, BERLIN) == expected


def test_a_dispute_that_was_upheld_is_said_to_be_upheld() -> None:
    upheld = reasons.REASONS["already_upheld"].sentence
    for code in reasons.ABOUT_DISPUTES:
        assert sentence(code, state(UPHELD), BERLIN) == upheld
        assert sentence(code, canonical.encode(UPHELD), BERLIN) == upheld
    assert sentence("disputed", state(), BERLIN) == reasons.REASONS["disputed"].sentence
