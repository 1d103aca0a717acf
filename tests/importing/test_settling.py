"""Which values of a column admit: who speaks last counts, and nobody is let in or shut out by silence."""

from __future__ import annotations

from tickets.importing.answers import ANY
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


def test_the_last_who_said_something_counts() -> None:
    assert settle(TWO, [PRESET]) == ({"paid": True, "free": False}, "preset")
    stored = Said(["free"], ["paid"], STORED)
    assert settle(TWO, [PRESET, stored]) == ({"paid": False, "free": True}, STORED)
    assert settle(TWO, [stored, PRESET]) == ({"paid": True, "free": False}, "preset")
    assert settle(TWO, [PRESET, Said(None, None, STORED)])[1] == "preset"
    for silent in ("Eventbrite", STORED):
        assert settle(TWO, [PRESET, Said([], [], silent)])[1] == "preset"
    assert settle(TWO, [PRESET, Said(None, None, GIVEN)])[1] == "preset"
    assert settle(values("free"), [Said(None, ["free"], STORED)]) == ({"free": False}, STORED)


def test_a_value_of_which_nobody_spoke_is_asked_for() -> None:
    for who in ("Eventbrite", STORED):
        assert settle(TWO, [Said(["paid"], None, who)]) == (None, "")
    assert settle(TWO, []) == (None, "")
    assert settle(values(), []) == ({}, "")


def test_a_persons_answer_is_complete() -> None:
    """Values that it does not name mean no, but not those that a preset or an earlier answer settled."""
    assert settle(TWO, [Said(["paid"], None, GIVEN)]) == ({"paid": True, "free": False}, GIVEN)
    assert settle(TWO, [Said([], None, GIVEN)]) == ({"paid": False, "free": False}, GIVEN)
    both = [Said(["free"], None, STORED), Said(["paid"], None, GIVEN)]
    assert settle(TWO, both) == ({"paid": True, "free": True}, GIVEN)
    assert settle(TWO, [PRESET, Said(["free"], ["paid"], GIVEN)]) == ({"paid": False, "free": True}, GIVEN)


def test_a_misspelt_answer_decides_nothing() -> None:
    for misspelt in ("payed", "!"):
        assert settle(TWO, [PRESET, Said([misspelt], None, GIVEN)]) == (None, "")
    assert settle(values(), [Said(["paid"], None, GIVEN)]) == ({}, GIVEN), (
        "without a row there is none to decide"
    )
    assert settle(TWO, [Said(["payed", "paid"], None, GIVEN)])[0] == {"paid": True, "free": False}


def test_any_value_admits_but_an_empty_cell() -> None:
    some = values("paid", "")
    assert settle(some, [Said([ANY], None, GIVEN)]) == ({"paid": True, "": False}, GIVEN)
    assert settle(values("paid"), [Said([ANY], None, STORED)]) == ({"paid": True}, STORED)
    assert settle(some, [Said([ANY], None, STORED)]) == (None, "")
