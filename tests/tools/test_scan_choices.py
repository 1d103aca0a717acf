"""Which codes `scan` plays, for how many persons, and what is foretold of the others."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError

from tests.support.table import table
from tickets.importing import ImportedTicket
from tickets.management.commands import scan
from tickets.scanning import Foretold


def ticket(name: str, *codes: str, event: str = "fest", **fields: Any) -> ImportedTicket:
    return ImportedTicket(row=2, ticket_id=name, event=event, codes=codes, **fields)


def foretold(one: ImportedTicket, code: str, network: str, file: str = "ok") -> Foretold:
    return Foretold(ticket=one, code=code, file=file, network=network)


def test_a_group_is_scanned_once_for_each_person_that_is_not_inside() -> None:
    """Of one that is complete a scan is played all the same: it must be refused."""
    tickets = [
        ticket("alone"),
        ticket("entered", entered=True),
        ticket("four", entries=4),
        ticket("one left", entries=3, entered=True, made=2),
        ticket("two left, who left no trace", entries=2, made=1),
        ticket("complete", entries=3, entered=True),
        ticket("more than all", entries=3, entered=True, made=5),
    ]
    assert scan._persons(tickets) == {
        "four": 4,
        "one left": 1,
        "two left, who left no trace": 2,
        "complete": 1,
        "more than all": 1,
    }


def test_of_each_ticket_the_codes_that_admit_are_played_else_all() -> None:
    """What the network has otherwise than the file, and nobody ordered, is named by the proof instead."""
    two, lost, used, shut = (
        ticket("two", "a", "b"),
        ticket("lost", "c"),
        ticket("used", "d"),
        ticket("shut", "e", "f"),
    )
    plain, known, gone = ticket("plain"), ticket("known", "g"), ticket("gone", "h")
    tickets = [two, lost, used, shut, plain, known, gone]
    said = [
        foretold(two, "a", "revoked"),
        foretold(two, "b", "ok"),
        foretold(lost, "c", "barcode_not_found"),
        foretold(used, "d", "already_consumed"),
        foretold(shut, "e", "blocked"),
        foretold(shut, "f", "revoked"),
        foretold(plain, "plain", "ok"),
        foretold(known, "g", "already_consumed", file="already_consumed"),
        foretold(gone, "h", "wrong_product", file="wrong_product"),
    ]
    codes, reasons = scan._played(tickets, said)
    assert codes == {
        "two": ["b"],
        "lost": ["c"],
        "used": ["d"],
        "shut": ["e", "f"],
        "plain": ["plain"],
        "known": ["g"],
        "gone": ["h"],
    }
    assert reasons == {"shut": "blocked", "known": "already_consumed", "gone": "wrong_product"}
    assert scan._played([two, plain], []) == ({"two": ["a", "b"], "plain": ["plain"]}, {})


def test_a_scan_is_of_one_event() -> None:
    assert scan._event([ticket("T-1"), ticket("T-2")]) == "fest"
    for tickets, why in (
        ([], "The file contains no valid ticket."),
        ([ticket("T-1"), ticket("T-2", event="gala")], "several events (fest, gala): leave the others out"),
    ):
        with pytest.raises(CommandError) as refused:
            scan._event(tickets)
        assert why in str(refused.value)
        assert refused.value.returncode == 2


PLAIN: dict[str, Any] = {
    "gates": 1, "duplicates": 0.0, "file": None, "rehearse": None, "steps": None, "event": None,
    "check": False, "exit": False, "list": "main",
}  # fmt: skip


@table(
    ("options", "why"),
    [
        ({}, "Give a file of tickets"),
        ({"file": "f"}, ""),
        ({"rehearse": 0}, ""),
        ({"steps": "s", "event": "fest"}, ""),
        ({"file": "f", "rehearse": 1}, "Give a file of tickets"),
        ({"file": "f", "steps": "s", "event": "fest"}, "Give a file of tickets"),
        ({"file": "f", "gates": 0}, "--gates must be at least 1"),
        ({"file": "f", "duplicates": 1.0}, ""),
        ({"file": "f", "duplicates": 1.01}, "--duplicates from 0 to 1"),
        ({"file": "f", "duplicates": -0.01}, "--duplicates from 0 to 1"),
        ({"steps": "s"}, "--steps needs --event"),
        ({"steps": "s", "event": "a b"}, "--steps needs --event"),
        ({"file": "f", "check": True}, ""),
        ({"rehearse": 5, "check": True}, "--check needs a file"),
        ({"steps": "s", "event": "fest", "check": True}, "--check needs a file"),
        ({"file": "f", "check": True, "exit": True}, "--check foretells entries on main only"),
        ({"file": "f", "check": True, "list": "vip"}, "--check foretells entries on main only"),
        ({"file": "f", "exit": True, "list": "vip"}, ""),
        ({"rehearse": 5, "exit": True}, "--exit needs a file"),
    ],
    count=19,
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], why: str) -> None:
    if not why:
        scan._check_options(PLAIN | options)
        return
    with pytest.raises(CommandError) as refused:
        scan._check_options(PLAIN | options)
    assert why in str(refused.value)
    assert refused.value.returncode == 2
