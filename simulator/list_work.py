"""The work of gates with lists: guests come and go, entries are taken back, supervisors let people in (R41).

Each event has a few tickets and a few lists, is worked on by all callers for a while, and is then left for a
new one, so that all that a list with a capacity counts is seen. What a list says changes meanwhile, and a
midnight of its zone passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from dtvn.machine import (
    Admit,
    Annul,
    Block,
    Command,
    Consume,
    Dispute,
    EventList,
    Force,
    ImportEntry,
    Issue,
    Replace,
    Resolve,
    SetEvent,
    Unblock,
    Validate,
)
from dtvn.machine.lists import Rule
from dtvn.protocol.consensus.messages import Operation
from simulator.clock import SECOND, WALL_START
from simulator.dice import Dice
from simulator.gateway import Gateway
from simulator.recurring import Recurring
from simulator.variations import Variations
from simulator.workload import Traffic
from simulator.world import World

HALL, ABSENT_LIST = "hall", "roof"
SLUGS = ("zone", "day", "zone", "")
CALLS = 16
"""Calls about the tickets of one event, about."""
TICKETS = ("a", "b")
RULES: tuple[Rule, ...] = ("once", "times", "times", "times", "free")
DAILY_MAIN = 3
"""In one event of so many, `main` is mostly a list for every day."""
REPEATS = 0.15
"""Share of calls that repeat an earlier operation under its nonce."""
KEPT = 30
"""Operations that may be repeated, and scans that may be annulled."""
WITHOUT_NONCE = 0.1
AT_ONCE = 6
MIDNIGHT = 2
"""Second of the world at which a day of the lists' zone begins."""
LONG_AGO, FAR = 1_000_000, 1 << 60
SINCE_MIDNIGHT = (WALL_START // SECOND + MIDNIGHT) % 86_400
EAST = ((0, 0), (LONG_AGO, 86_400 - SINCE_MIDNIGHT))
WEST = ((0, 0), (LONG_AGO, -SINCE_MIDNIGHT))
"""Of two zones with a midnight at the same moment: from then on the first is a day ahead of UTC, and the
other was a day behind until then."""

KINDS = (
    *("entry",) * 12,
    *("exit",) * 6,
    *("annul",) * 6,
    *("force",) * 3,
    *("lists", "lists", "consume", "admit", "block", "unblock", "unblock", "dispute", "resolve", "resolve"),
    *("import_entry", "validate", "replace"),
)


class Scanned(msgspec.Struct, frozen=True):
    """A scan that may be annulled."""

    gateway: Gateway
    actor: str
    device: str
    slug: str
    group: str
    place: int
    operations: tuple[Operation, ...] = ()


class ListWork(Recurring):
    """Callers of all gateways, driven by one random stream. The gateways date the operations (R14)."""

    def __init__(self, world: World, gateways: Sequence[Gateway], dice: Dice, traffic: Traffic) -> None:
        super().__init__(world, dice.fork("when"), traffic.pause_max)
        self._variations = Variations(traffic.odd)
        self._bursts = traffic.odd > 0
        self._gateways = gateways
        self._dice = dice
        self._asked: list[tuple[Gateway, Operation]] = []
        self._scanned: list[Scanned] = []
        self._annulled: list[Scanned] = []
        """Scans that somebody wants taken back, and that may be repeated all the same."""
        self._calls = 0
        self._nonces = 0

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
        if self._annulled and dice.hit(0.3):
            scan = self._annulled.pop(0)
            scan.gateway.ask([each for each in scan.operations if each.nonce])
            return
        group, begins = str(self._calls // CALLS), self._calls % CALLS == 0
        self._calls += 1
        gateway = dice.pick(self._gateways)
        if begins:
            self._ask(gateway, self._opening(group))
            return
        kind, place = dice.pick(KINDS), int(dice.hit(0.3))
        if kind == "annul":
            self._annul(group, place)
        elif kind in ("entry", "exit", "force"):
            self._scan(gateway, kind, group, place)
        elif kind == "lists":
            self._ask(gateway, [self._build(SetEvent(lists=self._lists(group)), "", group)])
        else:
            ticket = f"{TICKETS[place]}{group}"
            self._ask(gateway, [self._build(self._command(kind, group, place), ticket, group)])

    def _opening(self, group: str) -> list[Operation]:
        """The event is created and its tickets are issued."""
        products = ("Parking", False), ("Standing", True)
        said = SetEvent(ids_are_codes=False, products=products, lists=self._lists(group))
        issued = [
            self._build(self._issue(group, place), f"{ticket}{group}", group)
            for place, ticket in enumerate(TICKETS)
        ]
        return [self._build(said, "", group), *issued]

    def _issue(self, group: str, place: int) -> Issue:
        dice = self._dice
        product = dice.pick(("Standing", "Standing", "Standing", "", "Parking"))
        persons = dice.pick((1, 1, 1, 2, 2))
        return Issue(
            not_before=FAR if dice.hit(0.05) else 0,
            product=product,
            codes=tuple(_digest(f"{group} {place} {number}") for number in range(2)),
            entries=persons,
        )

    def _scan(self, gateway: Gateway, kind: str, group: str, place: int) -> None:
        """One scan, or several of one list at once."""
        dice = self._dice
        actor, slug = f"door-{dice.below(2)}", self._slug(group)
        device = f"scanner-{dice.below(2)}"
        operations = []
        for _ in range(1 + dice.below(3)):
            command = self._scan_command(kind, group, place, slug, device)
            ticket = f"{TICKETS[place]}{group}" if command.code == b"" else ""
            operations.append(self._build(command, ticket, group, actor))
            kind = "entry" if dice.hit(0.7) else kind
        self._ask(gateway, operations)
        self._scanned.append(Scanned(gateway, actor, device, slug, group, place, tuple(operations)))
        del self._scanned[:-KEPT]

    def _scan_command(self, kind: str, group: str, place: int, slug: str, device: str) -> Admit | Force:
        code = b"" if self._dice.hit(0.1) else self._code(group, place)
        if kind == "force":
            return Force("north", device, code, slug, "guest of the house")
        return Admit("north", device, code, slug, "exit" if kind == "exit" else "entry")

    def _annul(self, group: str, place: int) -> None:
        """Mostly by who scanned, at the same device; also by others, and by supervisors."""
        dice = self._dice
        made = [scan for scan in self._scanned if scan.group == group]
        if made and not dice.hit(0.1):
            scan = dice.pick(made[-4:])
        else:
            gateway = dice.pick(self._gateways)
            scan = Scanned(gateway, "door-0", "scanner-0", self._slug(group), group, place)
        device = f"scanner-{dice.below(2)}" if dice.hit(0.3) else scan.device
        actor = f"door-{dice.below(2)}" if dice.hit(0.2) else scan.actor
        gateway = dice.pick(self._gateways) if dice.hit(0.15) else scan.gateway
        supervised = dice.hit(0.25)
        code = self._code(group, scan.place)
        if any(each.nonce for each in scan.operations):
            self._annulled = [*self._annulled[-2:], scan]
        reason, movement = "wrong scan" if supervised else "", self._made(scan)
        command = Annul("north", device, code, scan.slug, reason, supervised, movement)
        self._ask(gateway, [self._build(command, "", group, actor)])

    def _made(self, scan: Scanned) -> bytes:
        """Nonce of the operation whose movement alone is taken back; b"": the newest one, whichever it is."""
        made = [each.nonce for each in scan.operations if each.nonce]
        return self._dice.pick(made) if made and self._dice.hit(0.3) else b""

    def _command(self, kind: str, group: str, place: int) -> Command:
        dice = self._dice
        match kind:
            case "admit":
                return Admit("north", "scanner-0")
            case "import_entry":
                return ImportEntry(at=LONG_AGO if int(group) % 2 else 0)
            case "replace":
                return Replace((self._code(group, place),))
            case "resolve":
                return Resolve(verdict=dice.pick(("clear", "clear", "uphold")))
        return SIMPLE[kind]

    # --- lists -----------------------------------------------------------------------------------

    def _slug(self, group: str) -> str:
        """Mostly that of one list of the event, so that much happens there."""
        dice = self._dice
        if dice.hit(0.05):
            return ABSENT_LIST
        return SLUGS[int(group) % len(SLUGS)] if dice.hit(0.7) else dice.pick(SLUGS)

    def _lists(self, group: str) -> tuple[EventList, ...]:
        """What is said of the lists, by now. A list may become a daily one and cease to be it, in this zone
        or that; it may be left out, and come back."""
        dice = self._dice
        main = int(group) % DAILY_MAIN == 0 and dice.hit(0.8)
        lists = [self._list("day", daily=dice.hit(0.8))] if dice.hit(0.9) else []
        lists += [self._list("main", daily=main)] if main or dice.hit(0.4) else []
        lists += [self._list("zone", daily=False)] if dice.hit(0.9) else []
        return tuple(lists)

    def _list(self, slug: str, *, daily: bool) -> EventList:
        dice = self._dice
        rule: Rule = "daily" if daily else dice.pick(RULES)
        begin, end = dice.pick(((0, 0),) * 15 + ((LONG_AGO, FAR), (FAR, 0), (0, LONG_AGO)))
        return EventList(
            slug,
            products=("Parking", "Standing") if dice.hit(0.2) else None,
            not_before=begin,
            not_after=end,
            rule=rule,
            times=dice.between(2, 3) if rule == "times" else 0,
            returns=dice.hit(0.5),
            exit_first=dice.hit(0.15),
            capacity=dice.pick((0, 0, 0, 0, 0, 2)),
            offsets=dice.pick((EAST, WEST)) if daily else (),
        )

    # --- operations ------------------------------------------------------------------------------

    def _code(self, group: str, place: int) -> bytes:
        dice = self._dice
        if dice.hit(0.05):
            return _digest(f"{group} unknown")
        return _digest(f"{group} {place} {0 if dice.hit(0.8) else 1}")

    def _ask(self, gateway: Gateway, operations: list[Operation]) -> None:
        self._variations.ask(gateway, operations)
        self._asked += [(gateway, operation) for operation in operations if operation.nonce]
        del self._asked[:-KEPT]

    def _build(self, command: Command, ticket: str, group: str, actor: str = "desk") -> Operation:
        dice = self._dice
        self._nonces += 1
        return self._variations.build(
            dice,
            command,
            ticket=ticket,
            event=f"{HALL}-{group}",
            actor=actor,
            entry=dice.pick(self.world.member_names),
            nonce=b"" if dice.hit(WITHOUT_NONCE) else b"list" + self._nonces.to_bytes(8, "big"),
        )


SIMPLE: dict[str, Command] = {
    "consume": Consume("north", "scanner-1"),
    "validate": Validate(),
    "dispute": Dispute(),
    "block": Block(),
    "unblock": Unblock(),
}


def _digest(text: str) -> bytes:
    """The log takes any digest: who reads a code computes it."""
    return hashlib.sha256(text.encode()).digest()
