"""Guests around a midnight, on lists that become daily while they are inside or after they left (R41).

Each event has one ticket and one list, which lets it in several times; then the list becomes a daily one. All
events are worked on at the same time, so that midnight falls between any two steps of some of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from dtvn.machine import Admit, Command, EventList, Issue, SetEvent, build
from simulator.dice import Dice
from simulator.gateway import Gateway
from simulator.list_work import EAST, WEST
from simulator.recurring import Recurring
from simulator.world import World

EVENTS = 12
TIMES = 4
"""Entries of a ticket while the list is no daily one."""
BEFORE, AFTER = 5, 5
"""Scans at the gate before the list becomes a daily one, and after it."""


class MidnightWork(Recurring):
    """Callers of all gateways, driven by one random stream. The gateways date the operations (R14)."""

    def __init__(self, world: World, gateways: Sequence[Gateway], dice: Dice, pause_max: int) -> None:
        super().__init__(world, dice.fork("when"), pause_max)
        self._gateways = gateways
        self._dice = dice
        self._steps = [self._story(number) for number in range(EVENTS)]
        self._nonces = 0

    def happen(self) -> None:
        """The next step of one event."""
        events = [number for number, steps in enumerate(self._steps) if steps]
        if events:
            number = self._dice.pick(events)
            self._ask(number, self._steps[number].pop(0))

    def _story(self, number: int) -> list[tuple[Command, str]]:
        """(command, ticket that it names) of each step. Mostly an exit is scanned while
        somebody is inside."""
        dice, ticket = self._dice, f"a{number}"
        offsets, returns = dice.pick((EAST, WEST)), dice.hit(0.7)
        often = EventList("day", rule="times", times=TIMES, returns=returns)
        daily = EventList("day", rule="daily", returns=returns, offsets=offsets)
        issue = Issue(codes=(_digest(number),), entries=dice.pick((1, 1, 2)))
        scans: list[tuple[Command, str]] = []
        inside = 0
        for _ in range(BEFORE + AFTER):
            leaves = dice.hit(0.6 if inside else 0.1)
            inside = max(0, inside - 1) if leaves else inside + 1
            kind: Literal["entry", "exit"] = "exit" if leaves else "entry"
            scans.append((Admit("north", "scanner-0", _digest(number), "day", kind), ""))
        opening: list[tuple[Command, str]] = [
            (SetEvent(ids_are_codes=False, lists=(often,)), ""),
            (issue, ticket),
        ]
        return [*opening, *scans[:BEFORE], (SetEvent(lists=(daily,)), ""), *scans[BEFORE:]]

    def _ask(self, number: int, step: tuple[Command, str]) -> None:
        command, ticket = step
        self._nonces += 1
        operation = build(
            command,
            ticket=ticket,
            event=f"night-{number}",
            actor="door-0",
            entry=self._dice.pick(self.world.member_names),
            nonce=b"late" + self._nonces.to_bytes(8, "big"),
        )
        self._dice.pick(self._gateways).ask([operation])


def _digest(number: int) -> bytes:
    """The log takes any digest: who reads a code computes it."""
    return hashlib.sha256(f"night {number}".encode()).digest()
