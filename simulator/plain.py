"""A run by flags: a given number of nodes, liars and tickets over a given network, and the outcome of each
ticket.

Every number is measured on the real protocol: a round is one ticket's `validate`, successful if a quorum of
members holds the log entry that validated it; validated tickets are counted in the state of an honest member.
When the last ticket is done the network heals, all nodes catch up and the checkers ask their last questions.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dtvn.machine import State, TicketApplication, build
from dtvn.machine.fields import DEFAULT_EVENT
from dtvn.machine.kinds import KINDS
from dtvn.protocol import quorum
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import Parameters
from simulator.adversary import APART, corrupt
from simulator.campaign import heal, settle
from simulator.clock import MILLISECOND, SECOND
from simulator.cluster import Cluster
from simulator.dice import Dice
from simulator.gateway import Gateway, Request
from simulator.mutants.registry import planted
from simulator.network import LinkQuality
from simulator.node import Node
from simulator.observers import Observer
from simulator.options import MIXED, YEAR, Options, PlainTask
from simulator.transcript import Fingerprint
from simulator.violation import Interrupted, Violation
from simulator.world import Settings

PACE = 10 * MILLISECOND
"""Interval between two tickets."""
PROGRESS_EVERY = 10
PARTITION_SHARE = 0.05
PARTITION_TIME = 5 * SECOND
BACK_AFTER = 2 * SECOND
"""Time after which a crashed node starts again."""
ISSUED_AT_ONCE = 50
ISSUED_AHEAD = 1_000
"""Most tickets that are issued ahead of their scans, so that memory stays bounded."""
PATIENCE = 600 * SECOND
TIMEOUT_MIN = 800 * MILLISECOND
TIMEOUT_LATENCIES = 16
"""T is at least this multiple of the one-way latency: a round of PBFT takes five, with loss some more."""
TIMEOUT_MAX = 60 * SECOND
"""The largest T that a genesis allows."""


class Results(msgspec.Struct):
    """The results that `simulator run` reports."""

    total_tickets: int
    validated_tickets: int = 0
    consensus_rounds: int = 0
    successful_rounds: int = 0
    failed_rounds: int = 0
    success_rate: float = 0.0
    """Percentage of the rounds."""
    messages_sent: int = 0
    messages_received: int = 0
    partition_events: int = 0
    average_latency_ms: float = 0.0
    """Virtual time from a ticket's scan to f + 1 equal receipts."""
    seed: int = 0
    virtual_seconds: float = 0.0
    events: int = 0
    view_changes: int = 0
    crashes: int = 0
    fingerprint: str = ""
    ended: str = ""
    """all_processed, timed_out, interrupted or violation."""
    checker: str | None = None
    violation: str | None = None
    command: str = ""
    """The command that plays it again."""

    @property
    def virtual_time(self) -> int:
        """Nanoseconds, rounded to the millisecond."""
        return round(self.virtual_seconds * SECOND)


class PlainRun:
    """One run; `progress(current, rounds, succeeded, failed)` is called every ten tickets and at the end.
    `mutant`: the bug that is planted while it plays."""

    def __init__(
        self,
        options: Options,
        progress: Callable[[int, int, int, int], None],
        *observers: Observer,
        mutant: str = "",
    ) -> None:
        self.options = options
        command = PlainTask(options, mutant).command
        self.results = Results(total_tickets=options.tickets, seed=options.seed, command=command)
        self._progress = progress
        self._mutant = mutant
        self._told = -1
        latency = round(options.latency_ms * MILLISECOND)
        timeout = min(TIMEOUT_MAX, max(TIMEOUT_MIN, TIMEOUT_LATENCIES * latency)) // 1_000
        settings = Settings(
            members=options.nodes,
            gateways=1,
            malleable=options.adversary in APART,
            quality=LinkQuality(
                latency_min=latency, latency_max=latency + latency // 10, loss=options.packet_loss_rate
            ),
            parameters=Parameters(view_timeout=timeout),
        )
        with planted(mutant):
            cluster = self.cluster = Cluster(options.seed, settings)
        self._fingerprint = Fingerprint(cluster.world.clock)
        cluster.world.observers.add(self._fingerprint, *observers)
        self._dice: Dice = cluster.world.dice.fork("plain")
        self._requests: list[Request] = []
        self._issues: list[Request] = []
        """Requests that issue the newest block of tickets."""
        self._issued = self._asked = 0
        self._answered = self._good = 0
        self._stopped = self._played = False
        cluster.gateways[0].observers.append(self)
        self.liars: dict[str, str] = {}
        for index in range(options.byzantine_nodes):
            self.liars[cluster.world.member_names[index]] = options.adversary or MIXED[index % len(MIXED)]

    def run(self) -> Results:
        """Play it; a broken promise is in the results, not raised."""
        results = self.results
        world = self.cluster.world
        with planted(self._mutant):
            try:
                self._play()
            except Violation as violation:
                results.ended = "violation"
                results.violation, results.checker = str(violation), violation.checker
                if not self._played:
                    self._count(self._asked)
            except Interrupted:
                results.ended = "interrupted"
        results.messages_sent, results.messages_received = world.sent, world.received
        results.virtual_seconds = round(world.time / SECOND, 3)
        results.events = world.events
        results.view_changes = len(self.cluster.history.entered)
        results.fingerprint = self._fingerprint.hex()
        return results

    def stop(self) -> bool:
        """End after the present event; may be called from a signal handler or another thread, and `run`
        returns the results so far. Returns False if the last event is over and only `Interrupted` ends the
        checkers' questions."""
        self._stopped = True
        return not self._played

    def _play(self) -> None:
        world = self.cluster.world
        end = round(self.options.duration_seconds * SECOND)
        for name, kind in self.liars.items():
            corrupt(self.cluster, name, kind)
        self.cluster.start()
        world.after(100 * MILLISECOND, self._begin)
        if self.options.crash_rate:
            world.after(self._until_crash(), self._crash)
        done = world.run(end, done=self._all_over)
        self._played = True
        self._asked, asked = self.options.tickets, self._asked  # no further tickets
        if self._stopped:
            self.results.ended = "interrupted"
            self._count(asked)
            return
        self.results.ended = "all_processed" if done else "timed_out"
        try:
            heal(self.cluster, None)
            settle(self.cluster)
        finally:
            self._count(asked)
        self.cluster.finish()

    # --- traffic ---------------------------------------------------------------------------------

    @property
    def _gateway(self) -> Gateway:
        return self.cluster.gateways[0]

    def _begin(self) -> None:
        self._issue()
        self.cluster.world.after(PACE, self._next)

    def _issue(self) -> None:
        """Issue the next block of tickets."""
        end = min(self._issued + ISSUED_AHEAD, self.options.tickets)
        self._issues = []
        for first in range(self._issued, end, ISSUED_AT_ONCE):
            numbers = range(first, min(first + ISSUED_AT_ONCE, end))
            request = self._gateway.ask([self._operation("issue", n) for n in numbers], wait=PATIENCE)
            if request is None:
                return  # overloaded: issue the rest later
            self._issues.append(request)
            self._issued = numbers.stop

    def _next(self) -> None:
        """Scan the next ticket, once those of its block are issued."""
        options, world = self.options, self.cluster.world
        if self._asked >= options.tickets:
            return
        world.after(PACE, self._next)
        if any(not request.over for request in self._issues):
            return
        if self._asked == self._issued:
            self._issue()
            return
        if options.enable_partitions and self._dice.hit(PARTITION_SHARE):
            self._part()
        request = self._gateway.ask([self._operation("validate", self._asked)], wait=PATIENCE)
        if request is None:
            return  # overloaded: the same ticket again, later
        self._requests.append(request)
        self._asked += 1

    def _operation(self, kind: str, number: int) -> Operation:
        wall = self._gateway.clock.now().wall
        world = self.cluster.world
        return build(
            KINDS[kind].command(),
            ticket=f"ticket-{number}",
            actor="gate-0",
            entry=world.member_names[number % world.members],
            valid_until=(wall + 590 * SECOND) // 1_000,
            nonce=f"{kind} {number}".encode(),
        )

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See gateway.ClientObserver."""
        if request.operations[0].kind != "validate":
            return
        self._answered += 1
        self._good += request.results is not None and request.results[0].code == "ok"
        if self._answered % PROGRESS_EVERY == 0:
            self._tell()

    def _all_over(self) -> bool:
        return self._stopped or self._answered == self.options.tickets

    def _tell(self) -> None:
        if self._answered != self._told:
            self._told = self._answered
            rounds, failed = len(self._requests), self._answered - self._good
            self._progress(self._answered, rounds, self._good, failed)

    # --- faults ----------------------------------------------------------------------------------

    def _part(self) -> None:
        world = self.cluster.world
        self.results.partition_events += 1
        names = world.member_names
        cut = names[: max(1, len(names) // 3)]
        rest = [name for name in (*world.nodes, *world.endpoints) if name not in cut]
        world.network.part(cut, rest)
        world.after(PARTITION_TIME, world.network.cuts.clear)

    def _until_crash(self) -> int:
        return 1 + self._dice.below(round(min(2 * SECOND / self.options.crash_rate, YEAR * SECOND)))

    def _crash(self) -> None:
        world = self.cluster.world
        node: Node = self._dice.pick(list(world.nodes.values()))
        if node.up:
            node.crash()
            self.results.crashes += 1
            world.after(BACK_AFTER, world.start, node)
        if self._asked < self.options.tickets:
            world.after(self._until_crash(), self._crash)

    # --- results ---------------------------------------------------------------------------------

    def _count(self, asked: int) -> None:
        """Count from logs and states, not from what nodes report."""
        cluster, results = self.cluster, self.results
        needed = quorum.quorum(cluster.world.members, cluster.world.mode)
        logs = [node.disk.log for node in cluster.world.nodes.values() if node.index is not None]
        rounds = 0
        for place, (operation, outcome) in cluster.history.outcomes.items():
            if operation.kind != "validate" or outcome.code != "ok":
                continue
            found = [log[place[0] - 1] for log in logs if len(log) >= place[0]]
            hashes = [record.entry_hash for record in found if record is not None]
            rounds += max(hashes.count(h) for h in hashes) >= needed
        results.consensus_rounds = asked
        results.successful_rounds = rounds
        results.failed_rounds = asked - rounds
        results.success_rate = round(100 * rounds / asked, 2) if asked else 0.0
        results.validated_tickets = self._validated(asked)
        waits = [request.ended_at - request.asked_at for request in self._requests if request.over]
        results.average_latency_ms = round(sum(waits) / len(waits) / MILLISECOND, 3) if waits else 0.0
        self._tell()

    def _validated(self, asked: int) -> int:
        """Validated tickets in the state of an honest member; 0 if none is up when the run is interrupted."""
        up = (node.host for node in self.cluster.world.honest_members() if node.host is not None)
        host = next(up, None)
        if host is None:
            return 0
        application = host.application
        if not isinstance(application, TicketApplication):
            raise TypeError("a member runs the ticket machine")
        found = 0
        for number in range(asked):
            state = application.ticket(DEFAULT_EVENT, f"ticket-{number}")
            found += state is not None and state.state is State.VALIDATED
        return found
