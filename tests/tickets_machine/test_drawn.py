"""Long sequences of operations drawn with every field, against the model of simulator."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dtvn.machine import (
    Acquire,
    Admit,
    Annul,
    Block,
    CancelLock,
    ChangeTicket,
    Consume,
    Dispute,
    EventList,
    Force,
    ImportEntry,
    Issue,
    Lock,
    Release,
    Renew,
    Replace,
    Resolve,
    SetEvent,
    Unblock,
    Unlock,
    Validate,
)
from tests.tickets_machine.modelled import EVENT, GRANTS, Compared, Letter
from tests.tickets_machine.support import HOUR, MINUTE, SECOND, START

DAY = 24 * HOUR
TICKETS = st.sampled_from(["T-1", "T-2"])
CODE = st.sampled_from([b"A", b"A", b"B", b"C", b"T-1"])
CODES = st.lists(CODE, max_size=3, unique=True).map(lambda codes: tuple(sorted(codes)))
NAMES = st.sampled_from(["", "d1", "d2"])
GATES = st.sampled_from(["", "north"])
SLUGS = st.sampled_from(["", "vip", "vip", "bar"])
NONCES = st.sampled_from([b"", b"", b"n1", b"n2"])
PRODUCTS = st.sampled_from(["", "Stalls", "Parking"])
REASONS = st.sampled_from(["", "why"])
MOMENTS = st.sampled_from([0, 0, START + HOUR, START + DAY])
LATER = st.sampled_from([0, 0, 0, MINUTE, 15 * MINUTE - 1, 15 * MINUTE, 5 * HOUR, 20 * HOUR])
HOLDERS = st.sampled_from([b"a", b"b"])
LOCKS = st.sampled_from(["x", "y"])
LEASES = st.sampled_from([SECOND, MINUTE])
PLACES = st.sampled_from([0, 0, 1, -1])


@st.composite
def lists(draw: Any) -> EventList:
    """One list with all that may be said of it."""
    rule = draw(st.sampled_from(["once", "daily", "daily", "times", "free"]))
    begin, end = draw(MOMENTS), draw(MOMENTS)
    return EventList(
        draw(st.sampled_from(["main", "vip", "bar"])),
        "",
        draw(st.sampled_from([None, None, ("Stalls",)])),
        begin if end >= begin else 0,
        end,
        rule,
        draw(st.integers(1, 3)) if rule == "times" else 0,
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.integers(0, 3)),
        draw(st.sampled_from([(), ((0, 7_200),), ((0, -18_000), (START + DAY, 3_600))]))
        if rule == "daily"
        else (),
    )


PROGRAMMES = st.lists(lists(), max_size=3, unique_by=lambda each: each.slug)
EVENTS = st.builds(
    SetEvent,
    name=st.sampled_from([None, "Gala"]),
    ids_are_codes=st.none() | st.booleans(),
    products=st.none()
    | st.dictionaries(PRODUCTS.filter(bool), st.booleans()).map(lambda each: (*sorted(each.items()),)),
    lists=st.none() | PROGRAMMES.map(lambda some: (*sorted(some, key=lambda each: each.slug),)),
)
ISSUES = st.builds(
    Issue,
    not_before=st.sampled_from([0, 0, START + HOUR]),
    not_after=st.sampled_from([0, 0, START + DAY]),
    product=PRODUCTS,
    seat=st.sampled_from(["", "A1"]),
    codes=CODES,
    blocked=st.sampled_from([False, False, False, True]),
    entries=st.integers(1, 3),
)
BY_NAME: list[st.SearchStrategy[Any]] = [
    ISSUES,
    st.builds(Validate, st.sampled_from([b"", b"x"])),
    st.builds(Consume, GATES, NAMES),
    st.builds(Admit, GATES, NAMES, st.sampled_from([None, b""])),
    st.builds(Dispute, REASONS),
    st.builds(Resolve, st.sampled_from(["clear", "uphold"])),
    st.builds(ImportEntry, st.sampled_from([0, START, START - DAY]), GATES, NAMES),
    st.builds(Block, REASONS),
    st.just(Unblock()),
    st.builds(Replace, CODES.filter(bool)),
    st.builds(
        ChangeTicket,
        product=st.none() | PRODUCTS,
        seat=st.sampled_from([None, "B2"]),
        not_before=st.sampled_from([None, 0, START + HOUR]),
        not_after=st.sampled_from([None, 0, START + DAY]),
    ).filter(lambda command: command != ChangeTicket()),
    st.builds(Annul, GATES, NAMES, st.just(b""), SLUGS),
    st.builds(Force, GATES, NAMES, st.just(b""), SLUGS, st.just("why")),
]
KINDS = st.sampled_from(["entry", "entry", "exit"])
SCANS: list[st.SearchStrategy[Any]] = [
    st.builds(Admit, GATES, NAMES, CODE, SLUGS, KINDS),
    st.builds(Admit, GATES, NAMES, CODE, SLUGS, KINDS),
    st.builds(Annul, GATES, NAMES, CODE, SLUGS, st.just("why"), st.booleans(), NONCES),
    st.builds(Force, GATES, NAMES, CODE, SLUGS, st.just("why")),
]
LOCKING: list[st.SearchStrategy[Any]] = [
    st.builds(Lock, LOCKS, HOLDERS, LEASES, st.sampled_from([0, SECOND, MINUTE])),
    st.builds(Acquire, LOCKS, HOLDERS, LEASES),
    st.builds(Release, LOCKS, HOLDERS),
    st.builds(CancelLock, LOCKS, HOLDERS),
    st.builds(Renew, LOCKS, HOLDERS, PLACES, LEASES),
    st.builds(Unlock, LOCKS, HOLDERS, PLACES),
]
SPOKEN = {
    "actor": st.sampled_from(["", "anna", "anna", "otto"]),
    "nonce": NONCES,
    "valid_for": st.sampled_from([*[30 * SECOND] * 8, -1, 11 * MINUTE]),
    "event": st.sampled_from([EVENT, EVENT, EVENT, "ballet"]),
}


def letters(commands: list[st.SearchStrategy[Any]], ticket: st.SearchStrategy[str], *who: str) -> Any:
    principals = st.sampled_from([*who, *who, *who, *sorted(GRANTS)])
    return st.builds(Letter, st.one_of(commands), ticket, principals, later=LATER, **SPOKEN)


OPERATIONS = st.one_of(
    letters([EVENTS], st.just(""), "gateway"),
    letters(BY_NAME, TICKETS, "gateway"),
    letters(SCANS, st.sampled_from(["", "", "T-1"]), "scanner", "steward"),
    letters(SCANS, st.just(""), "steward"),
    st.sampled_from(["restart", "restart backwards"]),
)
OPENED = (
    Letter(SetEvent(lists=(EventList("bar", rule="free"), EventList("vip", rule="times", times=2)))),
    Letter(Issue(codes=(b"A",), entries=2), "T-1"),
)


def follow(steps: list[Any], searched: bool) -> None:
    both = Compared(searched=searched)
    for step in steps:
        if isinstance(step, str):
            both.restart(backwards=step != "restart")
        else:
            both.ask(step)
    both.restart()


@settings(max_examples=80)
@given(st.lists(OPERATIONS, min_size=10, max_size=50), st.booleans(), st.booleans())
def test_r41_r42_tickets_events_and_lists(steps: list[Any], opened: bool, searched: bool) -> None:
    follow([*OPENED * opened, *steps], searched)


@settings(max_examples=40)
@given(
    st.lists(
        st.builds(
            Letter,
            st.one_of(*SCANS, *SCANS, *SCANS, EVENTS, BY_NAME[6]),
            st.just("T-1"),
            st.just("gateway"),
            later=LATER,
            **SPOKEN | {"event": st.just(EVENT), "actor": st.just("anna")},
        ),
        min_size=20,
        max_size=70,
    ),
    st.integers(1, 30),
)
def test_r41_a_ticket_of_many_persons_with_a_long_history(steps: list[Any], persons: int) -> None:
    """More movements than are kept; days and offsets change behind them."""
    issue = Letter(Issue(codes=(b"A", b"B", b"C"), entries=persons), "T-1")
    follow([OPENED[0], issue, *(_named(step) for step in steps)], searched=True)


def _named(step: Letter) -> Letter:
    """An event is no operation on the ticket."""
    return msgspec.structs.replace(step, ticket="") if isinstance(step.command, SetEvent) else step


@settings(max_examples=40)
@given(
    st.lists(
        st.builds(
            Letter,
            st.one_of(LOCKING),
            principal=st.sampled_from(["gateway", "gateway", "scanner", "reader"]),
            later=st.sampled_from([0, 0, SECOND, MINUTE]),
            **SPOKEN,
        )
        | st.sampled_from(["restart", "restart backwards"]),
        min_size=5,
        max_size=40,
    )
)
def test_locks_and_queues(steps: list[Any]) -> None:
    follow(steps, searched=True)
