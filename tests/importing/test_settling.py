"""Which values of a column admit: who speaks last counts, and nobody is let in or shut out by silence."""

from __future__ import annotations

from tickets.importing.settled import GIVEN, Said, settle
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
        assert settle(TWO, [PRESET, Said([misspelt], None, GIVEN)]) == (None, "")
    assert settle(values(), [Said(["paid"], None, GIVEN)]) == ({}, GIVEN), (
        "without a row there is none to decide"
    )
    assert settle(TWO, [Said(["payed", "paid"], None, GIVEN)])[0] == {"paid": True, "free": False}
