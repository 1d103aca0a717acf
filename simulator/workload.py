"""The work of gates: tickets are issued, scanned, scanned again, raced for, disputed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.machine import Admit, Command, Resolve, build, kinds
from dtvn.protocol.consensus.messages import Operation
from simulator.clock import MILLISECOND, SECOND
from simulator.dice import Dice
from simulator.gateway import Gateway, Request
from simulator.recurring import Recurring
from simulator.variations import Variations
from simulator.world import World

UNDECIDED = frozenset({"outcome_unknown", "unavailable"})
"""Codes that do not say whether the log has the operation."""


class Traffic(msgspec.Struct, frozen=True):
    """Number, rate and kind of the calls that the gates of a world make."""

    tickets: int = 30
    pause_max: int = 60 * MILLISECOND
    """Longest time between two calls, in nanoseconds."""
    operations_max: int = 4
    """Most operations of one call."""
    repeats: float = 0.15
    """Share of scans that repeat an earlier one with its nonce, as a gate does that got no answer."""
    without_nonce: float = 0.1
    valid_min: int = 2 * SECOND
    valid_max: int = 20 * SECOND
    odd: float = 0.0
    """Share of the fields of operations that are absent or unusual (simulator.variations)."""
    undated: bool = False
    """Whether gateways date the operations (R14), or their callers do."""


KINDS = ("admit",) * 6 + ("validate", "validate", "consume", "dispute", "resolve", "issue")


class Workload(Recurring):
    """Callers of all gateways, driven by one random stream."""

    def __init__(
        self,
        world: World,
        gateways: Sequence[Gateway],
        dice: Dice,
        traffic: Traffic,
        *,
        left_out: frozenset[int] = frozenset(),
    ) -> None:
        """`left_out`: numbers of the calls that are not made."""
        super().__init__(world, dice.fork("when"), traffic.pause_max)
        self.called = 0
        """Number of calls so far, skipped ones included."""
        self._left_out = left_out
        self._source = dice
        self.gateways = gateways
        self.traffic = traffic
        self._dice = dice
        """Random stream of the present call (see faults.FaultInjector)."""
        self._scanned: list[tuple[Gateway, Operation]] = []
        self._nonces = 0
        self._variations = Variations(traffic.odd)

    def start(self) -> None:
        """Issue the tickets and open the gates."""
        gateway = self.gateways[0]
        for first in range(0, self.traffic.tickets, 10):
            numbers = range(first, min(first + 10, self.traffic.tickets))
            gateway.ask([self.operation("issue", f"T-{n}", gateway) for n in numbers])
        super().start()

    def happen(self) -> None:
        """Make one call, unless it is left out."""
        if self.called not in self._left_out:
            self._dice = self._source.fork(f"call {self.called}")
            self._ask()
        self.called += 1

    def _ask(self) -> None:
        dice = self._dice
        again = self._variations.again(dice)
        if again is not None:
            again[0].ask([again[1]])
        elif self._scanned and dice.hit(self.traffic.repeats):
            gateway, operation = dice.pick(self._scanned)
            gateway.ask([operation])
        else:
            gateway = dice.pick(self.gateways)
            count = 1 + dice.below(self.traffic.operations_max)
            operations = [self._scan(gateway) for _ in range(count)]
            self._variations.ask(gateway, operations)

    def _scan(self, gateway: Gateway) -> Operation:
        dice = self._dice
        operation = self.operation(
            dice.pick(KINDS),
            f"T-{dice.below(self.traffic.tickets)}",
            gateway,
            nonce=not dice.hit(self.traffic.without_nonce),
        )
        if operation.nonce:
            self._scanned.append((gateway, operation))
            del self._scanned[:-200]
        return operation

    def operation(self, kind: str, ticket: str, gateway: Gateway, *, nonce: bool = True) -> Operation:
        """One operation as a gate would request it."""
        dice = self._dice
        self._nonces += 1
        if kind == "resolve":
            command: Command = Resolve(verdict=dice.pick(("clear", "clear", "uphold")))
        elif kind in ("admit", "consume"):
            command = kinds.KINDS[kind].command(gate="north", device=f"scanner-{dice.below(3)}")
        else:
            command = kinds.KINDS[kind].command()
        wall = gateway.clock.now().wall
        patience = dice.between(self.traffic.valid_min, self.traffic.valid_max)
        return self._variations.build(
            dice,
            command,
            ticket=ticket,
            actor=f"gate-{dice.below(4)}",
            entry=dice.pick(self.world.member_names),
            valid_until=0 if self.traffic.undated else (wall + patience) // 1_000,
            nonce=self._nonces.to_bytes(8, "big") if nonce else b"",
        )

    def probe(self) -> list[Request]:
        """One scan at each gateway that must be decided: the liveness phase."""
        requests = []
        for gateway in self.gateways:
            wall = gateway.clock.now().wall
            self._nonces += 1
            operation = build(
                Admit(gate="north", device="probe"),
                ticket=f"T-{self._dice.below(self.traffic.tickets)}",
                actor="probe",
                entry=self.world.member_names[0],
                valid_until=0 if self.traffic.undated else (wall + 300 * SECOND) // 1_000,
                nonce=self._nonces.to_bytes(8, "big"),
            )
            request = gateway.ask([operation], wait=250 * SECOND)
            if request is not None:
                requests.append(request)
        return requests
