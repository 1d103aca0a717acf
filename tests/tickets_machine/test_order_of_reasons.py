"""What is asked before a rule of tickets, in its order (R42); test_small_scope.py has the rest."""

from __future__ import annotations

import itertools

from dtvn.machine import Admit, Barrier
from tests.tickets_machine.doors import PRINCIPALS, Door, with_payload
from tests.tickets_machine.support import HOUR, genesis

EARLY = ("malformed", "nonce_reused", "expired", "busy", "not_permitted", "barcode_not_found")


def outcome(*holding: str) -> str:
    """The code of a scan of an unknown code for which all this holds."""
    door = Door(genesis(principals=PRINCIPALS, nonces_max=100))
    principal = "reader" if "not_permitted" in holding else "scanner"
    door.now += 3 * HOUR
    if "nonce_reused" in holding:
        door.do(Barrier(), principal=principal, nonce=b"n")
    if "busy" in holding:
        for number in range(100):
            door.do(Barrier(), principal=principal, nonce=b"%d" % number)
    code = door.digest("NOBODY")
    operation = door.operation(
        Admit(code=code), event=door.event, nonce=b"n", valid_for=-1 if "expired" in holding else 30_000_000
    )
    if "malformed" in holding:
        operation = with_payload(operation, ("north", "d1", code, None))
    return door.order(operation, principal=principal)[0].code


def test_r42_of_two_early_reasons_the_first_is_told() -> None:
    pairs = list(itertools.combinations(EARLY, 2))
    assert [outcome(*pair) for pair in pairs] == [first for first, _second in pairs]
