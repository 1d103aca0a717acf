"""The life of tickets, told: each kind and refusal of tickets, codes and events, with answers and rows."""

from __future__ import annotations

from pathlib import Path

from dtvn.machine import (
    Admit,
    Barrier,
    Block,
    ChangeTicket,
    Command,
    Consume,
    Dispute,
    ImportEntry,
    Issue,
    Replace,
    Resolve,
    Seed,
    SetEvent,
    Unblock,
    Validate,
)
from tests.golden import Compare
from tests.tickets_machine.doors import Door
from tests.tickets_machine.support import HOUR, MINUTE, SECOND, START
from tests.tickets_machine.telling import Teller

GOLDEN = Path(__file__).parent / "golden"
OPERA = {"event": "opera"}


def test_life_of_tickets(golden: Compare) -> None:
    """States, disputes, windows, late retries; in an event that nobody created."""
    teller = Teller(Door(created=False))
    _issues(teller)
    _states(teller)
    _windows(teller)
    _nonces(teller)
    _late_retries(teller)
    golden(GOLDEN / "life.txt", teller.text)


def _issues(teller: Teller) -> None:
    teller.chapter("Tickets are issued, with all terms, none, twice, by those who may not")
    full = Issue(
        not_before=START - HOUR,
        not_after=START + 5 * HOUR,
        product="Étage",
        seat="A-12",
        commitment=bytes(range(32)),
        data=b"\x00raw\xff",
        metadata=(("zebra", "last"), ("Ångström", "1"), ("beta", "")),
    )
    teller.ask(full, "T-full", nonce=b"issue-1", actor="gina", entry="node2")
    teller.ask(full, "T-full", nonce=b"issue-1", actor="gina", entry="node3")
    teller.ask(full, "T-full", nonce=b"issue-1", actor="hugo")
    teller.ask(full, "T-full")
    teller.ask(Issue(), "T-none", principal="reader")
    teller.ask(Issue(), "T-none", principal="scanner")
    teller.ask(Issue(), "T-none", entry="node9")
    teller.ask(Issue(seat="Z"), "T-none", event="opera")
    machine = teller.machine
    several = [machine.operation(Issue(product="Stalls"), f"T-{number}") for number in (3, 1, 2)]
    teller.batch(
        teller.bundle(*several, machine.operation(Issue(product="Late"), "T-1")),
        teller.bundle(machine.operation(Barrier()), machine.operation(Barrier(), event="opera")),
        after=SECOND,
    )
    teller.ask(Seed(), principal="reader")
    teller.restart()


def _states(teller: Teller) -> None:
    teller.chapter("Every action on every state")
    ask = teller.ask
    for name in ("T-1", "T-missing"):
        ask(Consume(gate="north", device="d1"), name)
        ask(Dispute(reason="early"), name)
        ask(Resolve(verdict="clear"), name)
        ask(Resolve(verdict="uphold"), name)
        ask(Validate(data=b"seen"), name, entry="node1", actor="vera")
    ask(Validate(), "T-1", entry="node2")
    ask(Dispute(reason="copied ticket"), "T-1", actor="dora", entry="node3", nonce=b"d1")
    _asks(teller, "T-1", Dispute(reason="again"), Validate(), Consume(), Admit(gate="g"), ImportEntry(at=5))
    ask(Resolve(verdict="clear"), "T-1", actor="otto")
    ask(Dispute(reason="forged"), "T-1", entry="node1")
    ask(Resolve(verdict="uphold"), "T-1", actor="rita")
    final = (Dispute(), Resolve(verdict="clear"), Resolve(verdict="uphold"), Validate(), Consume())
    _asks(teller, "T-1", *final)
    ask(Admit(gate="south", device="d2"), "T-2", actor="sven", entry="node3")
    for command in (
        Validate(),
        Consume(),
        Admit(),
        Dispute(),
        ImportEntry(at=START),
        Resolve(verdict="clear"),
    ):
        ask(command, "T-2")
    ask(Validate(), "T-3")
    ask(Consume(gate="west", device="d3"), "T-3", principal="scanner", event="default")
    ask(Validate(), "T-none", principal="scanner", event="opera")
    ask(Dispute(), "T-none", principal="scanner", event="opera")
    teller.restart()


def _asks(teller: Teller, ticket: str, *commands: Command) -> None:
    for command in commands:
        teller.ask(command, ticket)


def _windows(teller: Teller) -> None:
    teller.chapter("Windows, both ends included")
    machine, ask = teller.machine, teller.ask
    opens = machine.now + 10 * SECOND
    closes = opens + MINUTE
    for name in ("W-early", "W-first", "W-last", "W-late"):
        ask(Issue(not_before=opens, not_after=closes), name)
    ask(Validate(), "W-early")
    moments = (("W-early", opens - 1), ("W-first", opens), ("W-last", closes), ("W-late", closes + 1))
    for name, moment in moments:
        machine.now = moment - 1
        ask(Admit(gate="g"), name)
    ask(Consume(), "W-early")
    ask(ImportEntry(at=opens + 7, gate="old", device="p1"), "W-late", nonce=b"imported")
    ask(ImportEntry(at=opens + 8, gate="old", device="p1"), "W-late", nonce=b"imported-2")


def _nonces(teller: Teller) -> None:
    teller.chapter("Nonces, and times until which an operation is valid")
    machine, ask = teller.machine, teller.ask
    ask(Issue(), "N-1", nonce=b"n" * 64)
    ask(Issue(), "N-2", nonce=b"n" * 64)
    ask(Issue(), "N-2", nonce=b"n" * 64, actor="berta")
    ask(Validate(), "N-1", nonce=b"v", valid_for=-1)
    ask(Validate(), "N-1", nonce=b"v", valid_for=0)
    ask(Validate(), "N-1", nonce=b"v", valid_for=1)
    ask(Validate(), "N-1", nonce=b"v", valid_for=600_000_002)
    ask(Validate(), "N-2", nonce=b"w", valid_for=600_000_002)
    ask(Validate(), "N-2", nonce=b"w", valid_for=600_000_001)
    ask(Seed(), nonce=b"seed", event="demo")
    ask(Seed(), nonce=b"seed", event="demo")
    first = machine.operation(Admit(gate="a"), "N-1", nonce=b"in")
    twice = machine.operation(Admit(gate="b"), "N-1", nonce=b"in")
    teller.batch(teller.bundle(first, first, twice), teller.bundle(first), teller.bundle(twice))
    teller.restart()


def _late_retries(teller: Teller) -> None:
    teller.chapter("An hour later nonces are forgotten, and a ticket's last change recognises its repeat")
    machine, ask = teller.machine, teller.ask
    machine.now += 2 * HOUR
    ask(Admit(gate="a"), "N-1", nonce=b"in")
    ask(Admit(gate="b"), "N-1", nonce=b"in")
    ask(Consume(gate="a"), "N-1", nonce=b"in")
    ask(Issue(), "N-1", nonce=b"in")
    ask(Admit(gate="a"), "N-1", nonce=b"other")
    ask(ImportEntry(at=START, gate="old", device="p1"), "W-late", nonce=b"imported")
    ask(Validate(), "N-2", nonce=b"w")
    ask(Dispute(reason="first"), "N-2", nonce=b"dispute")
    machine.now += 2 * HOUR
    ask(Dispute(reason="other"), "N-2", nonce=b"dispute")
    ask(Dispute(reason="first"), "N-2", nonce=b"dispute")
    ask(Resolve(verdict="clear"), "N-2", nonce=b"clear")
    machine.now += 2 * HOUR
    ask(Resolve(verdict="uphold"), "N-2", nonce=b"clear")
    ask(Resolve(verdict="clear"), "N-2", nonce=b"clear")
    ask(Issue(seat="1"), "L-1", nonce=b"late")
    machine.now += 2 * HOUR
    ask(Issue(seat="2"), "L-1", nonce=b"late")
    ask(Issue(seat="1"), "L-1", nonce=b"late")
    ask(ChangeTicket(seat="9"), "L-1")
    ask(Issue(seat="1"), "L-1", nonce=b"late")
    teller.restart()


def test_codes_and_events(golden: Compare) -> None:
    """Codes, products, blocks and changes of terms, in an event that is created in between."""
    door = Door(created=False)
    teller = Teller(door)
    _codes(teller, door)
    _created(teller, door)
    _changes(teller, door)
    golden(GOLDEN / "codes.txt", teller.text)


def _scan(teller: Teller, door: Door, text: str, *, principal: str = "scanner", **more: str) -> None:
    command = Admit(gate="north", device="d1", code=door.digest(text))
    teller.ask(command, more.pop("ticket", ""), principal=principal, **(OPERA | more))


def _codes(teller: Teller, door: Door) -> None:
    teller.chapter("Codes in an event without a row")
    _scan(teller, door, "ABC")
    teller.ask(Issue(codes=door.digests("ABC", "DEF"), seat="7"), "T-1", nonce=b"i1", **OPERA)
    teller.ask(Issue(codes=door.digests("XYZ", "ABC")), "T-2", **OPERA)
    teller.ask(Issue(), "ABC", **OPERA)
    teller.ask(Issue(product="Box"), "T-plain", **OPERA)
    teller.ask(
        Issue(codes=door.digests(*map(str, range(8))), blocked=True, block_reason="unpaid"), "T-8", **OPERA
    )
    for text, ticket in (("DEF", "T-1"), ("T-1", "T-1"), ("T-plain", "T-plain"), ("T-plain", ""), ("3", "")):
        _scan(teller, door, text, ticket=ticket)
    _scan(teller, door, "ABC", principal="reader")
    teller.ask(Admit(gate="n", code=b""), "T-8", principal="scanner", **OPERA)
    teller.ask(Admit(gate="n", code=b""), "T-8", **OPERA)
    teller.ask(Admit(gate="n"), "T-8", principal="scanner", **OPERA)
    teller.ask(Validate(), "T-8", **OPERA)
    teller.restart()


def _created(teller: Teller, door: Door) -> None:
    teller.chapter("The event is created and changed")
    ask = teller.ask
    products = (("Stalls", True), ("Étage", True), ("Parking", False))
    ask(SetEvent(name="Opéra", zone="Europe/Vienna", doors=START + 9), principal="scanner", **OPERA)
    ask(SetEvent(name="Opéra", zone="Europe/Vienna", doors=START + 9, products=products), **OPERA)
    ask(SetEvent(name="Opera", products=(("Annex", False), ("Stalls", False)), others_stay=True), **OPERA)
    ask(SetEvent(ids_are_codes=False, doors=0), **OPERA)
    ask(SetEvent(), event="new")
    ask(SetEvent(products=()), event="empty")
    ask(Issue(product="Stalls", codes=door.digests("S1")), "S-1", **OPERA)
    ask(Issue(product="Étage", codes=door.digests("E1")), "E-1", **OPERA)
    ask(Issue(product="Gallery", seat="g"), "G-1", **OPERA)
    ask(Issue(product="Gallery"), "G-2", **OPERA)
    for text in ("S1", "E1", "nobody", "G-1"):
        _scan(teller, door, text)
    _scan(teller, door, "G-1", ticket="G-1")
    ask(Admit(code=b"", gate="desk"), "G-1", principal="scanner", **OPERA)
    ask(Admit(code=b"", gate="desk"), "G-1", actor="paul", entry="node2", **OPERA)
    ask(Admit(gate="desk"), "G-2", principal="scanner", **OPERA)
    ask(Consume(gate="desk"), "S-1", **OPERA)
    ask(Admit(gate="desk"), "S-1", **OPERA)
    ask(Admit(code=door.digest("S1")), event="never")
    teller.restart()


def _changes(teller: Teller, door: Door) -> None:
    teller.chapter("Terms change")
    ask = teller.ask
    ask(Block(reason="stolen"), "missing", **OPERA)
    ask(Unblock(), "missing", **OPERA)
    ask(Replace(door.digests("Q")), "missing", **OPERA)
    ask(ChangeTicket(seat="1"), "missing", **OPERA)
    ask(ImportEntry(), "missing", **OPERA)
    ask(Unblock(), "S-1", **OPERA)
    ask(Block(reason="stolen"), "S-1", entry="node1", nonce=b"b1", **OPERA)
    ask(Block(reason="again"), "S-1", **OPERA)
    _scan(teller, door, "S1")
    ask(Admit(gate="desk"), "S-1", **OPERA)
    ask(Validate(), "S-1", **OPERA)
    ask(Unblock(), "S-1", actor="ute", **OPERA)
    ask(ChangeTicket(product="Loge", seat="L3", not_before=START, not_after=START + 1), "S-1", **OPERA)
    _scan(teller, door, "S1")
    ask(ChangeTicket(not_before=START + HOUR), "S-1", **OPERA)
    ask(ChangeTicket(not_before=START + HOUR, not_after=0), "S-1", **OPERA)
    _scan(teller, door, "S1")
    ask(ChangeTicket(not_before=0, product=""), "S-1", entry="node3", **OPERA)
    ask(ChangeTicket(seat="L3"), "S-1", **OPERA)
    ask(Replace(door.digests("S2", "S3")), "S-1", nonce=b"r1", **OPERA)
    ask(Replace(door.digests("S2", "S1")), "S-1", **OPERA)
    ask(Replace(door.digests("E1")), "S-1", **OPERA)
    ask(Replace(door.digests("S1", "S2")), "S-1", **OPERA)
    _scan(teller, door, "S3")
    for more in range(4):
        ask(Replace(door.digests(*(f"m{more}-{each}" for each in range(7)))), "S-1", **OPERA)
    ask(Replace(door.digests("x", "y")), "S-1", **OPERA)
    ask(Replace(door.digests("x")), "S-1", **OPERA)
    _scan(teller, door, "m2-5", principal="gateway")
    _scan(teller, door, "x", actor="sara")
    _scan(teller, door, "x", actor="sara")
    ask(ChangeTicket(seat="late"), "S-1", **OPERA)
    ask(ImportEntry(at=START - 3, gate="tent", device="p2"), "E-1", **OPERA)
    ask(ImportEntry(at=START - 3, gate="tent", device="p2"), "G-2", nonce=b"m1", **OPERA)
    ask(Issue(codes=door.digests("ABC", "DEF"), seat="7"), "T-1", nonce=b"i1", **OPERA)
    teller.restart()
