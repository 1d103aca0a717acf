"""Outcome codes as monitoring counts them."""

from __future__ import annotations

from dtvn.machine import reasons
from dtvn.protocol.consensus.messages import Bundle, Operation, Outcome


def test_outcomes_are_tallied_by_kind_and_code_and_bad_kinds_as_malformed() -> None:
    kinds = ("issue", "admit", "issue", "no such kind", reasons.MALFORMED)
    codes = (reasons.OK, reasons.TICKET_NOT_FOUND, reasons.OK, reasons.MALFORMED, reasons.MALFORMED)
    operations = tuple(Operation(kind, "", "", "", "", 0, b"", b"") for kind in kinds)
    outcomes = tuple(Outcome(code, b"") for code in codes)
    one = Bundle(0, "gateway", b"client00", (1, 0), 0, 0, operations[:2])
    other = Bundle(0, "gateway", b"client00", (1, 0), 1, 0, operations[2:])
    assert reasons.tally([(one, 0, outcomes[:2]), (other, 2, outcomes[2:])]) == {
        ("issue", reasons.OK): 2,
        ("admit", reasons.TICKET_NOT_FOUND): 1,
        (reasons.MALFORMED, reasons.MALFORMED): 2,
    }
