"""What a code would be answered: the order of reasons, from the file and from the network's answer."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.machine.order_of_reasons import ORDER
from tests.support.table import table
from tickets.importing import ImportedTicket
from tickets.scanning.foretelling import (
    REFUSES,
    Foretold,
    Standing,
    by_file,
    by_network,
    reason_of,
    windows_over,
)

NOW = 1_785_510_000
ENDED = NOW - 2
FOUND = {
    "State": "ISSUED",
    "product": "Day",
    "valid_from": None,
    "valid_until": None,
    "blocked": False,
    "barcode_valid": True,
    "entries_used": 0,
    "entries_allowed": 1,
}
REFUSED: dict[str, dict[str, Any]] = {
    "barcode_not_found": {"found": False},
    "revoked": {"revoked": True},
    "blocked": {"blocked": True},
    "disputed": {"disputed": True},
    "not_yet_valid": {"not_before": NOW + 1},
    "no_longer_valid": {"not_after": ENDED},
    "wrong_product": {"admits": False},
    "already_consumed": {"entered": True},
}
"""Reason -> the standing that gives it, in the order of R42."""


def test_every_refusal_of_an_admission_is_foretold() -> None:
    """Those that name a guest: permission, event and nonce are the gate's matter."""
    gates = {"not_permitted", "unknown_event", "unknown_list", "ok", "nonce_reused", "ticket_not_found"}
    of_lists = {"list_closed", "still_inside", "list_full"}  # `main` as it is without a word gives none
    assert (
        REFUSES.keys()
        == {reason for given, _check, kinds in ORDER if "entry" in kinds for reason in given}
        - gates
        - of_lists
    )


def test_a_ticket_without_any_reason_is_admitted() -> None:
    assert reason_of(Standing(not_before=NOW, not_after=NOW), NOW) == "ok"


@table("earlier", REFUSED, count=8)
@table("later", REFUSED, count=8)
def test_the_first_of_two_reasons_is_foretold(earlier: str, later: str) -> None:
    both = Standing(**REFUSED[later] | REFUSED[earlier])
    first = min((earlier, later), key=list(REFUSED).index)
    assert reason_of(both, NOW) == first


@table(
    ("found", "reason"),
    [
        (None, "barcode_not_found"),
        (FOUND, "ok"),
        (FOUND | {"product": None}, "ok"),
        (FOUND | {"barcode_valid": False}, "revoked"),
        (FOUND | {"blocked": True}, "blocked"),
        (FOUND | {"State": "DISPUTED"}, "disputed"),
        (FOUND | {"State": "CONSUMED", "entries_used": 1}, "already_consumed"),
        (FOUND | {"State": "CONSUMED"}, "ok"),  # an entry of yesterday, on a list that is entered daily
        (FOUND | {"State": "VALIDATED", "entries_used": 4, "entries_allowed": None}, "ok"),
        (FOUND | {"product": "T-shirt"}, "wrong_product"),
        (FOUND | {"product": "taken off the list"}, "wrong_product"),
        (FOUND | {"valid_from": "2026-07-31T17:00:01+02:00"}, "not_yet_valid"),
        (FOUND | {"valid_from": "2026-07-31T17:00:00+02:00"}, "ok"),
        (FOUND | {"valid_until": "2026-07-31T14:59:59+00:00"}, "no_longer_valid"),
        (FOUND | {"valid_until": "2026-07-31T15:00:00+00:00"}, "ok"),
    ],
    count=15,
)
def test_the_networks_answer_tells_the_reason(found: dict[str, Any] | None, reason: str) -> None:
    assert reason_of(by_network(found, {"Day": True, "T-shirt": False}), NOW) == reason


def test_in_an_event_that_nobody_created_every_product_admits() -> None:
    assert reason_of(by_network(FOUND | {"product": "T-shirt"}, None), NOW) == "ok"


TICKET = ImportedTicket(row=2, ticket_id="T-1", event="fest", product="Day", codes=("secret",))


@table(
    ("more", "reason"),
    [
        ({}, "ok"),
        ({"entered": True}, "already_consumed"),
        ({"blocked": True}, "blocked"),
        ({"product": "T-shirt"}, "wrong_product"),
        ({"not_before": (NOW + 1) * 1_000_000}, "not_yet_valid"),
        ({"not_after": ENDED * 1_000_000}, "no_longer_valid"),
    ],
    count=6,
)
def test_the_file_tells_the_reason_too(more: dict[str, Any], reason: str) -> None:
    ticket = msgspec.structs.replace(TICKET, **more)
    assert reason_of(by_file(ticket, {"Day": True, "T-shirt": False}), NOW) == reason


@pytest.mark.parametrize(
    ("network", "over"),
    [
        (["no_longer_valid", "no_longer_valid", "blocked"], 2),
        (["no_longer_valid", "ok"], 0),
        (["no_longer_valid", "not_yet_valid"], 0),
        (["blocked", "wrong_product"], 0),
    ],
)
def test_windows_are_over_unless_one_is_open_or_to_come(network: list[str], over: int) -> None:
    foretold = [Foretold(ticket=TICKET, code="secret", file="ok", network=one) for one in network]
    assert windows_over(foretold) == over


@table(
    ("file", "network", "fault"),
    [
        ("ok", "ok", False),
        ("not_yet_valid", "not_yet_valid", False),
        ("ok", "blocked", False),
        ("ok", "revoked", False),
        ("ok", "barcode_not_found", True),
        ("ok", "already_consumed", True),
        ("wrong_product", "ok", True),
        ("already_consumed", "ok", True),
    ],
    count=8,
)
def test_what_nobody_ordered_since_the_import_is_a_fault(file: str, network: str, fault: bool) -> None:
    assert Foretold(ticket=TICKET, code="secret", file=file, network=network).fault is fault
