"""Every short sequence of operations, with two of each name and none, against the model of simulator."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import pytest

from dtvn.machine import (
    Admit,
    Annul,
    Block,
    CancelLock,
    ChangeTicket,
    Command,
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
from tests.tickets_machine.modelled import Compared, Letter, every_sequence
from tests.tickets_machine.support import HOUR, MINUTE, SECOND, START

DEVICES = ("", "d1", "d2")
NONCES = (b"", b"n1", b"n2")
ACTORS = ("anna", "otto")
LISTS = ("", "vip")
FORGOTTEN = 3 * HOUR
"""By then no nonce is remembered but those that tickets keep."""
DAY = 24 * HOUR


def opened(*lists: EventList, **issued: object) -> tuple[Letter, ...]:
    """An event with lists, and a ticket with code A."""
    return Letter(SetEvent(lists=lists)), Letter(Issue(codes=(b"A",), **issued), "T-1")  # type: ignore[arg-type]


def spelled(commands: Iterable[tuple[Command, str]], laters: Sequence[int]) -> list[Letter]:
    """Each command, signed by this principal, by two people with two nonces or none, sooner or later."""
    return [
        Letter(command, "" if getattr(command, "code", b"") else "T-1", principal, actor, nonce, later)
        for command, principal in commands
        for actor, nonce, later in itertools.product(ACTORS, NONCES, laters)
    ]


def scans() -> Iterator[tuple[Command, str]]:
    for slug, device in itertools.product(LISTS, DEVICES):
        for kind in ("entry", "exit"):
            yield Admit("", device, b"A", slug, kind), "scanner"
        yield Force("", device, b"A", slug, "why"), "steward"
        for movement in NONCES:
            yield Annul("", device, b"A", slug, "", False, movement), "scanner"


def entries_by_name() -> Iterator[tuple[Command, str]]:
    for device in DEVICES:
        yield Admit("", device), "gateway"
        yield Admit("", device, b"A"), "gateway"
        yield Consume("", device), "gateway"
        yield Annul("", device, b"A", "", "why", True), "gateway"
        for at in (0, START):
            yield ImportEntry(at, "", device), "gateway"


SCANNED = opened(EventList("main", returns=True), EventList("vip", rule="times", times=2))


def test_r13_r41_every_two_scans() -> None:
    found = every_sequence([SCANNED], spelled(scans(), (0, FORGOTTEN)), 2)
    assert {"ok", "nonce_reused", "not_the_newest", "already_consumed", "not_inside"} <= {*found}


@pytest.mark.exhaustive
@pytest.mark.timeout(1_800)
def test_r13_r41_every_three_scans() -> None:
    assert every_sequence([SCANNED], spelled(scans(), (0, FORGOTTEN)), 3)["nonce_reused"]


@pytest.mark.parametrize("persons", [1, 2])
def test_r13_every_two_entries_of_older_forms(persons: int) -> None:
    start = (*opened(entries=persons), Letter(Validate(), "T-1"))
    found = every_sequence([start], spelled(entries_by_name(), (0, FORGOTTEN)), 2)
    assert found["nonce_reused"]


def lives() -> Iterator[tuple[Command, str]]:
    yield Issue(codes=(b"A",)), "gateway"
    yield Issue(codes=(b"B", b"C"), seat="A1"), "gateway"
    yield Validate(), "gateway"
    yield Consume(), "gateway"
    yield Admit(code=b"A"), "scanner"
    yield Annul(code=b"A"), "scanner"
    for reason in ("", "copied"):
        yield Dispute(reason), "gateway"
    yield Resolve("clear"), "gateway"
    yield Resolve("uphold"), "gateway"
    yield Block(), "gateway"
    yield Unblock(), "gateway"
    yield Replace((b"B",)), "gateway"
    yield ChangeTicket(product="Stalls"), "gateway"


def test_every_three_operations_along_a_life() -> None:
    alphabet = [each for each in spelled(lives(), (0,)) if each.actor == "anna" and each.nonce != b"n2"]
    starts = [(), opened()[1:], (*opened()[1:], Letter(Validate(), "T-1"), Letter(Dispute(), "T-1"))]
    found = every_sequence(starts, [each for each in alphabet if not each.nonce], 3)
    assert len(found) >= 17


def test_r13_every_two_operations_along_a_life_with_a_nonce_late_or_soon() -> None:
    alphabet = [each for each in spelled(lives(), (0, FORGOTTEN)) if each.nonce != b"n2"]
    starts = [(), opened(), (*opened(), Letter(Validate(), "T-1"), Letter(Dispute("copied"), "T-1"))]
    assert every_sequence(starts, alphabet, 2)["nonce_reused"]


# --- lists -------------------------------------------------------------------------------------------


def counting(rules: Sequence[str], capacities: Sequence[int], *, second: bool) -> list[tuple[Letter, ...]]:
    """A list for each of the ways in which it counts, a ticket for one person or two, and a second one."""
    made = []
    for rule, returns, exit_first, capacity, persons in itertools.product(
        rules, (False, True), (False, True), capacities, (1, 2)
    ):
        times = 2 if rule == "times" else 0
        listed = EventList("vip", "", None, 0, 0, rule, times, returns, exit_first, capacity)  # type: ignore[arg-type]
        start = opened(listed, entries=persons)
        made.append((*start, Letter(Issue(codes=(b"B",), entries=persons), "T-2")) if second else start)
    return made


def moves(codes: Sequence[bytes], laters: Sequence[int]) -> list[Letter]:
    return [
        Letter(command, "", "steward", later=later)
        for later, code in itertools.product(laters, codes)
        for command in (
            Admit(code=code, list="vip"),
            Admit(code=code, list="vip", kind="exit"),
            Annul(code=code, list="vip"),
            Force(code=code, list="vip", reason="why"),
        )
    ]


@pytest.mark.parametrize("length", [4, pytest.param(6, marks=pytest.mark.exhaustive)])
def test_r41_all_movements_of_a_ticket_on_a_list(length: int) -> None:
    starts = counting(("once", "times", "free"), (0,), second=False)
    found = every_sequence(starts, moves((b"A",), (0,)), length)
    assert {"already_consumed", "still_inside", "not_inside", "not_the_newest"} <= {*found}


def test_r41_every_three_movements_of_two_tickets_on_a_list() -> None:
    starts = counting(("times", "free"), (1,), second=True)
    found = every_sequence(starts, moves((b"A", b"B"), (0,)), 3)
    assert {"already_consumed", "still_inside", "not_inside", "list_full"} <= {*found}


def test_r41_every_three_movements_over_midnight() -> None:
    starts = counting(("daily",), (0, 1), second=True)
    alphabet = [each for each in moves((b"A", b"B"), (0, 10 * HOUR)) if not isinstance(each.command, Force)]
    found = every_sequence(starts, alphabet, 3)
    assert {"already_consumed", "list_full", "not_inside", "too_late_to_annul"} <= {*found}


@pytest.mark.parametrize("length", [4, pytest.param(5, marks=pytest.mark.exhaustive)])
def test_r41_a_list_becomes_daily_behind_all_movements(length: int) -> None:
    """Who came before midnight and leaves after it takes nothing off the second day; in one zone clocks go
    back to the day before."""
    lists = [EventList("vip", rule=rule, returns=True) for rule in ("once", "free")]  # type: ignore[arg-type]
    starts = [(*opened(listed), Letter(Admit(code=b"A", list="vip"), "", "steward")) for listed in lists]
    offsets = ((), ((0, 7_200), (START + 5 * HOUR, -36_000)))
    zones = [EventList("vip", rule="daily", returns=True, offsets=each) for each in offsets]
    alphabet = [each for each in moves((b"A",), (0, 10 * HOUR)) if not isinstance(each.command, Force)]
    alphabet += [Letter(SetEvent(lists=(listed,))) for listed in zones]
    found = every_sequence(starts, alphabet, length)
    assert {"already_consumed", "not_inside", "not_the_newest"} <= {*found}


def at(start: Sequence[Letter], moment: int) -> tuple[Letter, ...]:
    """The start, and what is asked behind it comes at this time of the log."""
    passed = sum(letter.later for letter in start) + len(start) + 1
    return (*start, Letter(ChangeTicket(seat="A1"), "T-1", later=moment - START - passed))


def test_bounds_of_time_hold_to_the_microsecond() -> None:
    edge, scan = START + 2 * DAY - START % DAY - 2 * HOUR, Letter(Admit("", "d1", b"A", "vip"))
    zone = ((0, 7_200),)
    starts = [
        opened(EventList("vip"), not_before=edge),
        opened(EventList("vip"), not_after=edge),
        opened(EventList("vip", not_before=edge)),
        opened(EventList("vip", not_after=edge)),
        (*opened(EventList("vip", rule="daily", offsets=zone)), scan),
        (*at(opened(EventList("vip")), edge - 15 * MINUTE - 1), scan),
    ]
    asked = [scan, Letter(Annul("", "d1", b"A", "vip"))]
    asked += [Letter(Admit(), "T-1", valid_for=each) for each in (0, 1, 10 * MINUTE + 1, 10 * MINUTE + 2)]
    found = every_sequence([at(start, edge + near) for start in starts for near in (-1, 0, 1)], asked, 1)
    assert {"not_yet_valid", "no_longer_valid", "list_closed", "already_consumed", "too_late_to_annul"} <= {
        *found
    }
    assert {"expired", "too_far_ahead"} <= {*found}


# --- the order of reasons ----------------------------------------------------------------------------

HOLDING: dict[str, tuple[dict[str, object], tuple[Letter, ...]]] = {
    "revoked": ({}, (Letter(Replace((b"NEW",)), "T-1"),)),
    "blocked": ({}, (Letter(Block(), "T-1"),)),
    "disputed": ({}, (Letter(Validate(), "T-1"), Letter(Dispute(), "T-1"))),
    "no_longer_valid": ({}, (Letter(ChangeTicket(not_after=START + HOUR), "T-1"),)),
    "not_yet_valid": ({}, (Letter(ChangeTicket(not_before=START + DAY), "T-1"),)),
    "list_closed": ({"not_after": START + HOUR}, ()),
    "wrong_product": ({}, (Letter(SetEvent(products=(("Stalls", False),))),)),
    "already_consumed": ({"rule": "once"}, (Letter(Admit(code=b"A"), principal="scanner", nonce=b"n"),)),
    "still_inside": ({"exit_first": True}, (Letter(Admit(code=b"A"), principal="scanner", nonce=b"n"),)),
    "list_full": ({"capacity": 1}, (Letter(Admit(code=b"B"), principal="scanner"),)),
}
"""What may hold against a scan -> what its list says then, and what came before."""


def judged(slug: str) -> Iterator[tuple[Letter, ...]]:
    """None of these, each alone, and all pairs; hours later."""
    for holds in itertools.chain.from_iterable(itertools.combinations(HOLDING, count) for count in (0, 1, 2)):
        fields: dict[str, object] = {"slug": slug or "main", "rule": "free"}
        before = [letter for name in holds for letter in HOLDING[name][1]]
        for name in holds:
            fields |= HOLDING[name][0]
        yield (
            Letter(SetEvent(lists=(EventList(**fields),))),  # type: ignore[arg-type]
            Letter(Issue(codes=(b"A",), product="Stalls"), "T-1"),
            Letter(Issue(codes=(b"B",)), "T-2"),
            *(_on(letter, slug) for letter in before if isinstance(letter.command, Admit)),
            *(letter for letter in before if not isinstance(letter.command, Admit)),
            Letter(Validate(), "T-2", later=2 * HOUR),
        )


def _on(letter: Letter, slug: str) -> Letter:
    return msgspec.structs.replace(letter, command=msgspec.structs.replace(letter.command, list=slug))


def asks() -> list[Letter]:
    """By people who may, and who may not; of what is known, and what is not."""
    made = []
    for code, slug, nonce in itertools.product((b"A", b"X"), ("", "vip", "bar"), (b"", b"n")):
        for command in (
            Admit(code=code, list=slug),
            Admit(code=code, list=slug, kind="exit"),
            Force(code=code, list=slug, reason="why"),
            Annul(code=code, list=slug),
            Annul(code=code, list=slug, reason="why", supervised=True),
        ):
            principal = "steward" if isinstance(command, Force) else "scanner"
            made.append(Letter(command, principal=principal, nonce=nonce))
    made += [Letter(command, "T-1") for command in (Admit(), Admit(code=b""), Consume(), Validate())]
    return made


def test_r42_of_two_reasons_the_first_is_told() -> None:
    found = every_sequence([(), *judged(""), *judged("vip")], asks(), 1)
    assert {
        *HOLDING,
        "unknown_list",
        "barcode_not_found",
        "not_inside",
        "nonce_reused",
        "not_permitted",
        "unknown_event",
    } <= {*found}


def test_r42_nonce_time_and_permission_come_before_what_a_ticket_says() -> None:
    alphabet = [
        Letter(Admit("", device, code), principal=principal, nonce=nonce, valid_for=valid_for)
        for device, code, principal, nonce, valid_for in itertools.product(
            ("", "d1"), (b"A", b"X"), ("scanner", "reader"), (b"", b"n1"), (SECOND, -1, 11 * MINUTE)
        )
    ]
    found = every_sequence([SCANNED], alphabet, 2)
    assert {"nonce_reused", "expired", "too_far_ahead", "not_permitted", "barcode_not_found"} <= {*found}


# --- locks -------------------------------------------------------------------------------------------


def locking(name: str) -> list[Letter]:
    """Of the lock with this name, by three who want it, at once or when a lease has ended."""
    made = []
    for later, (principal, holder) in itertools.product(
        (0, 11 * SECOND), (("gateway", b"a"), ("gateway", b"b"), ("scanner", b"a"))
    ):
        commands: list[Command] = [CancelLock(name, holder), Release(name, holder)]
        commands += [Lock(name, holder, 10 * SECOND, wait * SECOND) for wait in (0, 5, 20)]
        commands += [Renew(name, holder, place, 20 * SECOND) for place in (0, 1, -1)]
        commands += [Unlock(name, holder, place) for place in (0, 1, -1)]
        made += [Letter(command, principal=principal, later=later) for command in commands]
    return made


def test_every_three_operations_on_a_lock() -> None:
    """Each in a lock of its own; tokens are those that were shown last, before, or never."""
    both = Compared()
    length = len(locking(""))
    found = {
        both.ask(locking(f"{second}.{third}")[place])
        for second, third in itertools.product(range(length), repeat=2)
        if second < length // 2 or third < length // 2
        for place in (2, second, third)
    }
    assert found == {"ok", "lock_held", "lock_waiting", "stale_lock_token"}
