"""Clients that wait in the queues of a few locks: they hold, renew, give back, change their minds, or vanish.

A client that vanishes leaves its lease or its place in a queue to the log; one that holds a lock again may
still use the token of its lease before. Calls are rare, so that batches without requests (ticks) must often
move the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.machine import CancelLock, Command, Lock, Renew, Unlock, build
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical
from simulator.clock import MILLISECOND, SECOND
from simulator.dice import Dice
from simulator.gateway import Gateway, Request
from simulator.recurring import Recurring
from simulator.violation import Violation
from simulator.world import World

PAUSE_MAX = 120 * MILLISECOND
LEASE_MAX, WAIT_MAX = 600_000, 1_500_000
"""Longest lease and wait in microseconds."""
NAMES = ("leader", "sequence:t")
HOLDERS = (b"a", b"b")
EVENT = "agents"
QUIET_MAX = 30 * SECOND
"""Virtual time within which all leases and waits are over once all clients are silent: some leases one after
the other, the drift bound, and a view change."""


class Contender(msgspec.Struct):
    """One client of one lock, as it sees itself."""

    gateway: Gateway
    name: str
    holder: bytes
    request: Request | None = None
    token: int = 0
    """Of the lease that it believes to hold; 0: none."""
    waits: bool = False
    tokens: list[int] = []
    """Of all leases that it had, in order."""


class LockQueues(Recurring):
    """All clients of all gateways."""

    def __init__(self, world: World, gateways: Sequence[Gateway], dice: Dice) -> None:
        super().__init__(world, dice.fork("when"), PAUSE_MAX)
        self._dice = dice
        self._contenders = [
            Contender(gateway, name, holder) for gateway in gateways for name in NAMES for holder in HOLDERS
        ]

    def happen(self) -> None:
        """One client acts, unless it still waits for an answer."""
        client = self._dice.pick(self._contenders)
        if client.request is not None:
            if not client.request.over:
                return
            self._learn(client, client.request)
        command = self._choose(client)
        if command is None:
            return
        gateway = client.gateway
        until = (gateway.clock.now().wall + 20 * SECOND) // 1_000
        entry = self._dice.pick(self.world.member_names)
        operation = build(command, event=EVENT, actor="locks", entry=entry, valid_until=until)
        client.request = gateway.ask([operation])

    def silence(self) -> None:
        """Let all leases and waits end while no client asks for anything; raise Violation if one does not."""
        if not self.world.run_for(QUIET_MAX, done=self._is_over):
            raise Violation("liveness", "a lease or a wait is over, and no batch is ordered that says so")

    def _is_over(self) -> bool:
        cores = [node.core for node in self.world.honest_members() if node.up and node.index is not None]
        return all(core.state.application.due() is None for core in cores)

    def _learn(self, client: Contender, request: Request) -> None:
        """Read the answer to the client's last call."""
        (operation,), results = request.operations, request.results or ()
        client.request = None
        client.token, client.waits = 0, False
        for result in results:
            client.waits = result.code == "lock_waiting"
            if result.code == "ok" and result.state and operation.kind in ("lock", "renew"):
                client.token = canonical.decode(LockRow, result.state).token
                if client.token not in client.tokens:
                    client.tokens.append(client.token)

    def _choose(self, client: Contender) -> Command | None:
        """What the client does now; None: nothing."""
        dice, name, holder = self._dice, client.name, client.holder
        lease = 1 + dice.below(LEASE_MAX)
        if client.token and dice.hit(0.6):
            renews, token = dice.hit(0.5), dice.pick(client.tokens[-2:])
            return Renew(name, holder, token, lease) if renews else Unlock(name, holder, token)
        if client.token:
            client.token = 0  # it vanishes
            return None
        if client.waits and dice.hit(0.3):
            return CancelLock(name, holder)
        return Lock(name, holder, lease, dice.below(WAIT_MAX) if dice.hit(0.8) else 0)
