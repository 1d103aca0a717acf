"""The work of organisers and stewards at some events: codes are issued, scanned, replaced; tickets blocked.

Each event has a few tickets at a time, about which all callers call at once; then come others. Two events
were created (in one of them ids are codes), one was not but has tickets, new ones pop up that nobody creates
before their first tickets, and one exists in a scanner's misspelling alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from dtvn.machine import (
    Admit,
    Block,
    ChangeTicket,
    Command,
    Consume,
    Dispute,
    ImportEntry,
    Issue,
    Replace,
    Resolve,
    SetEvent,
    Unblock,
    Validate,
    code_digest,
    default_salt,
)
from dtvn.protocol.consensus.messages import Operation
from simulator.clock import SECOND
from simulator.dice import Dice
from simulator.gateway import Gateway
from simulator.recurring import Recurring
from simulator.variations import Variations
from simulator.workload import Traffic
from simulator.world import World

FAIR, CLUB, MARKET, POP_UP, MISSPELT = "fair", "club", "market", "pop-up", "fiar"
EVENTS = (FAIR,) * 4 + (CLUB,) * 2 + (MARKET,) * 2 + (POP_UP,) * 2 + (MISSPELT,)
CREATED = (FAIR, CLUB)
CALLS = 14
"""Calls about the same tickets of an event, about."""
TICKETS = ("a", "b")
CODES = 3
"""Codes that are usually a ticket's own; the other one may be given them too."""
OPERATIONS_MAX = 3
REPEATS = 0.25
"""Share of calls that repeat an earlier operation under its nonce."""
REPEATED_MAX = 40
WITHOUT_NONCE = 0.1
VALID = 30 * SECOND
AT_ONCE = 6
LONG_AGO, FAR = 1_000_000, 1 << 60
"""Ends of windows, Unix microseconds, far from the time of the world (see checkers.ticket_model.NOW)."""
WINDOWS = ((0, 0),) * 4 + ((LONG_AGO, FAR), (FAR, 0), (0, LONG_AGO))

KINDS = (
    *("scan",) * 10,
    *("issue", "replace") * 3,
    *("block", "unblock", "change", "by id", "validate", "dispute", "resolve") * 2,
    *("unblock", "import_entry", "consume", "admit"),
)


class DoorWork(Recurring):
    """Callers of all gateways, driven by one random stream."""

    def __init__(self, world: World, gateways: Sequence[Gateway], dice: Dice, traffic: Traffic) -> None:
        super().__init__(world, dice.fork("when"), traffic.pause_max)
        self._undated = traffic.undated
        self._variations = Variations(traffic.odd)
        self._bursts = traffic.odd > 0
        self._gateways = gateways
        self._dice = dice
        self._asked: list[tuple[Gateway, Operation]] = []
        self._calls = dict.fromkeys(EVENTS, 0)
        self._nonces = 0

    def start(self) -> None:
        """Create the events that somebody creates."""
        for event in CREATED:
            self._gateways[0].ask([self._build(self._set_event(event, again=False), "", event)])
        super().start()

    def happen(self) -> None:
        """One call, or some at once where fields vary: a batch of several costs as much as one."""
        for _ in range(1 + self._dice.below(AT_ONCE) if self._bursts else 1):
            self._call()

    def _call(self) -> None:
        dice = self._dice
        again = self._variations.again(dice)
        if again is not None:
            again[0].ask([again[1]])
            return
        if self._asked and dice.hit(REPEATS):
            gateway, operation = dice.pick(self._asked)
            gateway.ask([operation])
            return
        event = dice.pick(EVENTS)
        self._calls[event] += 1
        number = self._calls[event] // CALLS
        slug = f"{event}-{number}" if event == POP_UP else event
        gateway = dice.pick(self._gateways)
        begins = self._calls[event] % CALLS == 1 and event not in (POP_UP, MISSPELT)
        count = 1 + dice.below(OPERATIONS_MAX)
        operations = [self._operation(event, slug, str(number), begins=begins) for _ in range(count)]
        self._variations.ask(gateway, operations)
        self._asked += [(gateway, operation) for operation in operations if operation.nonce]
        del self._asked[:-REPEATED_MAX]

    def _operation(self, event: str, slug: str, group: str, *, begins: bool) -> Operation:
        """`begins`: the tickets of this group are issued now."""
        dice = self._dice
        place = dice.below(len(TICKETS))
        ticket = f"{TICKETS[place]}{group}"
        if event == MISSPELT:
            return self._build(self._scan(group, place), "", slug)
        if event != MARKET and dice.hit(0.02 if event in CREATED else 0.08):
            return self._build(self._set_event(event, again=event in CREATED), "", slug)
        kind = "issue" if begins else dice.pick(KINDS)
        if kind == "scan":
            return self._scanned(event, slug, group, place)
        return self._build(self._command(kind, group, place), ticket, slug)

    def _scanned(self, event: str, slug: str, group: str, place: int) -> Operation:
        """A scan; the platform sends the text as an id too where ids are codes, and a careless client of a
        node's own API elsewhere."""
        dice = self._dice
        ticket = f"{TICKETS[place]}{group}"
        if dice.hit(0.15):
            typed = code_digest(default_salt(self.world.cluster, slug), ticket)
            return self._build(Admit("north", "scanner", typed), ticket, slug)
        careless = dice.hit(0.5 if event != FAIR else 0.05)
        return self._build(self._scan(group, place), ticket if careless else "", slug)

    def _scan(self, group: str, place: int) -> Admit:
        unknown = self._dice.hit(0.1)
        code = _digest(f"unknown {group}") if unknown else self._code(group, place)
        return Admit("north", f"scanner-{self._dice.below(3)}", code)

    def _command(self, kind: str, group: str, place: int) -> Command:
        dice = self._dice
        match kind:
            case "issue":
                begin, end = dice.pick(WINDOWS)
                codes = self._codes(group, place, dice.below(4))
                return Issue(begin, end, self._product(group), codes=codes, blocked=dice.hit(0.05))
            case "replace":
                return Replace(self._codes(group, place, 1 + dice.below(3)))
            case "change" if dice.hit(0.5):
                return ChangeTicket(product=self._product(group))
            case "change":
                return ChangeTicket(
                    not_before=dice.pick((None, LONG_AGO, FAR)), not_after=dice.pick((0, 0, LONG_AGO, FAR))
                )
            case "block":
                return Block(reason=dice.pick(("", "refunded")))
            case "by id":
                return Admit("north", "desk", b"")
            case "admit":
                return Admit("north", "old scanner")
            case "resolve":
                return Resolve(verdict=dice.pick(("clear", "uphold")))
            case "import_entry":
                return ImportEntry(at=dice.pick((0, LONG_AGO)))
        return SIMPLE[kind]

    def _set_event(self, event: str, *, again: bool) -> SetEvent:
        """Parking never admits at first; what is said again may say otherwise, and takes what was
        added in the meantime from the list, unless it opens parking or says nothing of products."""
        dice = self._dice
        parking = dice.hit(0.3)
        ids = (event == CLUB) is not dice.hit(0.1)
        listed = ("Parking", parking), ("Standing", True)
        products = None if again and dice.hit(0.2) else listed
        others_stay = again and parking and products is not None
        return SetEvent(ids_are_codes=ids, products=products, others_stay=others_stay)

    def _product(self, group: str) -> str:
        return self._dice.pick(("Standing", "Standing", "", "Parking", "Parking", f"Extra {group}"))

    def _code(self, group: str, place: int) -> bytes:
        """Usually one of the ticket's own codes."""
        dice = self._dice
        holder = TICKETS[1 - place if dice.hit(0.15) else place]
        return _digest(f"{group} {holder} {dice.below(CODES)}")

    def _codes(self, group: str, place: int, count: int) -> tuple[bytes, ...]:
        return tuple(dict.fromkeys(self._code(group, place) for _ in range(count)))

    def _build(self, command: Command, ticket: str, event: str) -> Operation:
        dice = self._dice
        self._nonces += 1
        return self._variations.build(
            dice,
            command,
            ticket=ticket,
            event=event,
            actor=f"door-{dice.below(3)}",
            entry=dice.pick(self.world.member_names),
            valid_until=0 if self._undated else (self._gateways[0].clock.now().wall + VALID) // 1_000,
            nonce=b"" if dice.hit(WITHOUT_NONCE) else b"door" + self._nonces.to_bytes(8, "big"),
        )


SIMPLE: dict[str, Command] = {
    "unblock": Unblock(),
    "validate": Validate(),
    "consume": Consume("north", "desk"),
    "dispute": Dispute(),
}


def _digest(text: str) -> bytes:
    """The log takes any digest: who reads a code computes it."""
    return hashlib.sha256(text.encode()).digest()
