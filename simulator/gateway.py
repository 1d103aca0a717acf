"""A virtual gateway process: the product's own collector over the virtual network.

It records its calls and their outcomes, which the checkers compare with the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from dtvn.gateway import Answered, Collector, Completed, Overloaded, Result
from dtvn.machine import read_state
from dtvn.machine.kinds import NAMING
from dtvn.machine.reasons import OK
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.wire import Door, FrameSigner, Keys, link_frame
from simulator.clock import MICROSECOND, SECOND, NodeClock
from simulator.scheme import Keyring
from simulator.world import World, client_name, principal_of

WAIT = 10 * SECOND
"""Time that a caller waits, as in the API (issue: an answer within 10 s)."""

TURN = 50 * MICROSECOND
"""Time that a gateway takes to react."""


class Request(msgspec.Struct):
    """One call and its outcome."""

    number: int
    operations: tuple[m.Operation, ...]
    asked_at: int
    """World time."""
    results: tuple[Result, ...] | None = None
    """The results; None: not answered yet."""
    ended_at: int = 0

    def changes(self) -> list[tuple[str, str, int]]:
        """(event, ticket, sequence of its state) of each success that reports the state of a ticket: a
        repeated admission changes nothing, and a late answer reports no state (R13)."""
        return [
            (state.event, state.ticket, state.sequence)
            for operation, result in zip(self.operations, self.results or (), strict=False)
            if result.code == OK and operation.kind in NAMING
            if (state := read_state(result.state)) is not None
        ]

    @property
    def over(self) -> bool:
        """True if the caller got an answer."""
        return self.results is not None


class ClientObserver(Protocol):
    """Is notified of every call that ends."""

    def answered(self, gateway: Gateway, request: Request) -> None: ...


class Beside(Protocol):
    """What a gateway process does beside its calls (simulator.event_client)."""

    def turn(
        self, judged: Sequence[tuple[int, bytes]], connected: frozenset[int], now: Now
    ) -> list[tuple[int, bytes]]:
        """Take in (member, encoded Judged); returns what to send: (member, body of a Judge)."""

    def deadline(self) -> int | None:
        """Monotonic nanoseconds of the next turn that is needed even if nothing arrives."""

    def enter(self) -> None:
        """The gateway believes in another epoch."""

    def restarted(self) -> None:
        """The process died, and another one took its place."""


class Gateway:
    """One gateway process, and those that take its place when it is restarted. `name` is endpoint name and
    client id (8 bytes); each process has a new one."""

    def __init__(self, world: World, number: int, *, keyring: Keyring, keys: Keys, clock: NodeClock) -> None:
        self.world = world
        self.number = number
        self.principal = principal_of(number)
        self.clock = clock
        self.requests: list[Request] = []
        self.open: dict[int, Request] = {}
        """Calls that are not answered yet, by call number."""
        self.observers: list[ClientObserver] = []
        self.beside: Beside | None = None
        self._queries: dict[int, Callable[[Answered], None]] = {}
        """Question -> who waits for its answer."""
        self._keyring = keyring
        self._keys = keys
        self._lives = 0
        self._up: frozenset[str] = frozenset()
        self._connected: frozenset[int] = frozenset()
        self._wake: int | None = None
        clock.boot(0)
        self.name, self.collector = self._begin()
        world.dial(self)

    def _begin(self) -> tuple[str, Collector]:
        world, scheme = self.world, self._keyring.scheme
        name = client_name(self.number, self._lives)
        secret = self._keyring.pair(self.principal)[1]
        collector = Collector(
            world.genesis,
            principal=self.principal,
            client=name.encode(),
            signer=FrameSigner(world.cluster, secret, self._keys, scheme=scheme),
            door=Door(world.cluster, self._keys, scheme=scheme),
        )
        return name, collector

    def restart(self) -> None:
        """The process dies and another one takes its place, which does not know the calls under way."""
        del self.world.endpoints[self.name]
        self.open.clear()
        self._queries.clear()
        self._wake = None
        self._lives += 1
        self.name, self.collector = self._begin()
        self._connected = frozenset()
        if self.beside is not None:
            self.beside.restarted()
        self.world.dial(self)

    # --- callers ---------------------------------------------------------------------------------

    def ask(self, operations: Sequence[m.Operation], *, wait: int = WAIT) -> Request | None:
        """Submit operations as one call; returns None if the gateway is overloaded."""
        now = self.clock.now()
        try:
            number = self.collector.submit(tuple(operations), now, wait=wait)
        except Overloaded:
            return None
        request = Request(number, tuple(operations), self.world.time)
        self.requests.append(request)
        self.open[number] = request
        self._act(now)
        return request

    def query(self, member: int, what: str, then: Callable[[Answered], None]) -> None:
        """Ask a member about itself; `then` gets the answer, unless this process ends before."""
        now = self.clock.now()
        number = self.collector.ask(member, what, (), now, wait=SECOND)
        self._queries[number] = then
        self._act(now)

    def attend(self) -> None:
        """Take a turn."""
        self._act(self.clock.now())

    # --- world -----------------------------------------------------------------------------------

    def deliver(self, sender: str, frame: bytes) -> None:
        """See Endpoint."""
        member = self.world.peer(sender, self.collector.epochs.present).member
        if member is not None:
            now = self.clock.now()
            self.collector.receive(member, frame, now)
            self._act(now)

    def links(self, up: frozenset[str]) -> None:
        """See Endpoint."""
        now = self.clock.now()
        self._up = up
        members = self.collector.epochs.present.members
        self._connected = frozenset(place for place, member in enumerate(members) if member.id in up)
        self.collector.connected(self._connected, now)
        self._act(now)

    def _awake(self, time: int) -> None:
        if self._wake != time:
            return
        self._wake = None
        now = self.clock.now()
        if now.monotonic >= self.collector.deadline():
            self.collector.tick(now)
        self._act(now)

    def _act(self, now: Now) -> None:
        world = self.world
        actions = self.collector.take(now)
        members = self.collector.epochs.present.members
        for member, frame in actions.send:
            if member < len(members):
                world.transmit(self.name, members[member].id, frame, world.time + TURN)
        if actions.successor is not None:
            self._connected = frozenset()
            if self.beside is not None:
                self.beside.enter()
            world.after(TURN, self._relink)
        for completed in actions.completed:
            self._completed(completed)
        for answered in actions.answered:
            then = self._queries.pop(answered.question, None)
            if then is not None:
                then(answered)
        due = self.collector.deadline()
        if self.beside is not None:
            for member, body in self.beside.turn(actions.judged, self._connected, now):
                if member < len(members):
                    world.transmit(
                        self.name, members[member].id, link_frame(m.Judge(body)), world.time + TURN
                    )
            beside_due = self.beside.deadline()
            due = due if beside_due is None else min(due, beside_due)
        wake = max(self.clock.true_time(due), world.time + TURN)
        if self._wake is None or wake < self._wake:
            self._wake = wake
            world.at(wake, self._awake, wake)

    def _relink(self) -> None:
        """The gateway believes in another epoch: it connects to that epoch's members."""
        self.links(self._up)

    def _completed(self, completed: Completed) -> None:
        request = self.open.pop(completed.call)
        request.results = completed.results
        request.ended_at = self.world.time
        for observer in self.observers:
            observer.answered(self, request)
