"""Which values of a column admit: who speaks last counts, and nobody is let in or shut out by silence."""

from __future__ import annotations

from tickets.importing.settled import GIVEN, STORED, Said, settle
from tickets.importing.source import Values


def values(*names: str) -> Values:
    found = Values()
    for name in names:
        found.counts[name] += 1
        found.spelled[name] = name
    return found


TWO = values("paid", "free")
PRESET = Said(["paid"], ["free"], "preset")


def test_a_misspelt_answer_decides_nothing() -> None:
    for misspelt in ("payed", "!"):
        assert settle(TWO, [PRESET, Said([misspelt], None, GIVEN)]) is None
    without_a_row = settle(values(), [Said(["paid"], None, GIVEN)])
    assert without_a_row is not None
    assert (without_a_row.values, without_a_row.origin) == ({}, GIVEN)
    settled = settle(TWO, [Said(["payed", "paid"], None, GIVEN)])
    assert settled is not None
    assert settled.values == {"paid": True, "free": False}


def test_what_only_the_empty_cell_admits_no_text_of_tomorrow_admits() -> None:
    """As of dates of cancellation."""
    settled = settle(values("", "2026-08-01"), [Said([""], None, GIVEN)])
    assert settled is not None
    yes = [value for value, admits in settled.known.items() if admits]
    no = [value for value, admits in settled.known.items() if not admits]
    later = settle(values("", "2026-08-01", "2026-08-02"), [Said(yes, no, STORED)])
    assert later is not None
    assert later.values == {"": True, "2026-08-01": False, "2026-08-02": False}


def test_a_stored_answer_decides_no_value_that_it_does_not_name() -> None:
    assert settle(values("paid", "disputed"), [Said(["paid"], ["free"], STORED)]) is None
