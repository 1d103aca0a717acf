"""The order of reasons of an admission, tried with every pair of them (D4, R42)."""

from __future__ import annotations

import itertools

import pytest

from dtvn.machine import (
    Admit,
    Barrier,
    Block,
    Dispute,
    ImportEntry,
    Issue,
    Replace,
    SetEvent,
    Validate,
    reasons,
)
from dtvn.machine.order_of_reasons import ORDER
from tests.tickets_machine.doors import PRINCIPALS, Door, with_payload
from tests.tickets_machine.support import HOUR, START, genesis

REASONS = (
    "malformed",
    "nonce_reused",
    "expired",
    "busy",
    "not_permitted",
    "unknown_event",
    "barcode_not_found",
    "ok",
    "revoked",
    "blocked",
    "disputed",
    "no_longer_valid",
    "wrong_product",
    "already_consumed",
)
"""What holds, in the order in which it is told; `ok`: a late retry of the admission that stands."""
OF_LISTS = {"unknown_list", "list_closed", "still_inside", "list_full"}
"""Reasons of an entry that test_lists_order.py tries."""
IMPOSSIBLE = {
    # The nonce of a late retry is forgotten, and the same principal sends it.
    *((early, "ok") for early in ("nonce_reused", "not_permitted", "unknown_event", "barcode_not_found")),
    ("ok", "disputed"),
    ("disputed", "already_consumed"),
    *(
        (nothing, later)
        for nothing in ("unknown_event", "barcode_not_found")
        for later in REASONS[REASONS.index("ok") :]
    ),
}
PAIRS = [pair for pair in itertools.combinations(REASONS, 2) if pair not in IMPOSSIBLE]


def outcome(*holding: str) -> str:
    """The code of a scan for which all this holds."""
    door = Door(genesis(principals=PRINCIPALS, nonces_max=100))
    principal = "reader" if "not_permitted" in holding else "scanner"
    window = START + HOUR if "no_longer_valid" in holding else 0
    assert door.issues("T-1", "ABC", product="Stalls", not_after=window).code == "ok"
    if "ok" in holding:
        assert door.scans("ABC", nonce=b"n").code == "ok"
    elif "already_consumed" in holding:
        assert door.does(ImportEntry(), "T-1").code == "ok"
    if "disputed" in holding:
        assert [door.does(each, "T-1").code for each in (Validate(), Dispute())] == ["ok", "ok"]
    if "revoked" in holding:
        door.does(Replace(door.digests("NEW")), "T-1")
    if "blocked" in holding:
        door.does(Block(), "T-1")
    if "wrong_product" in holding:
        door.does(SetEvent(products=(("Stalls", False),)))
    door.now += 3 * HOUR
    if "nonce_reused" in holding:
        door.do(Barrier(), principal=principal, nonce=b"n")
    if "busy" in holding:
        for number in range(100):
            door.do(Barrier(), principal=principal, nonce=b"%d" % number)
    event = "oprea" if "unknown_event" in holding else door.event
    code = door.digest("NOBODY" if "barcode_not_found" in holding else "ABC")
    command = Admit(gate="north", device="d1", code=code)
    operation = door.operation(
        command, event=event, nonce=b"n", valid_for=-1 if "expired" in holding else 30_000_000
    )
    if "malformed" in holding:
        operation = with_payload(operation, ("north", "d1", code, None))
    return door.order(operation, principal=principal)[0].code


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_alone(reason: str) -> None:
    assert outcome(reason) == reason


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_reasons_the_first_is_told(first: str, second: str) -> None:
    assert outcome(first, second) == first


def test_with_no_reason_the_guest_comes_in() -> None:
    assert outcome() == "ok"


def test_the_table_of_the_core_has_this_order() -> None:
    asked = [given for given, _check, kinds in ORDER if "entry" in kinds]
    told = [reason for given in asked for reason in given if reason in REASONS]
    told.remove("nonce_reused")  # of a nonce that the ticket keeps
    assert told == [reason for reason in REASONS if reason in told]
    assert {reason for given in asked for reason in given} == {
        *REASONS[REASONS.index("not_permitted") :],
        reasons.TICKET_NOT_FOUND,
        reasons.NONCE_REUSED,
        reasons.NOT_YET_VALID,
        *OF_LISTS,
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("already_consumed", "blocked"),
        ("already_consumed", "wrong_product"),
        ("already_consumed", "no_longer_valid"),
        ("disputed", "blocked"),
        ("disputed", "no_longer_valid"),
        ("blocked", "wrong_product"),
        ("blocked", "no_longer_valid"),
        ("wrong_product", "no_longer_valid"),
    ],
)
def test_the_first_form_of_an_admission_keeps_its_order(first: str, second: str) -> None:
    holding = (first, second)
    door = Door()
    door.does(Issue(product="Stalls", not_after=START if "no_longer_valid" in holding else 0), "T-1")
    if "already_consumed" in holding:
        door.does(ImportEntry(), "T-1")
    if "disputed" in holding:
        assert [door.does(each, "T-1").code for each in (Validate(), Dispute())] == ["ok", "ok"]
    if "blocked" in holding:
        door.does(Block(), "T-1")
    if "wrong_product" in holding:
        door.does(SetEvent(products=(("Stalls", False),)))
    assert door.does(Admit(), "T-1").code == first
