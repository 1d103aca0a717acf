"""Chooses the entry node of an operation by the load balancer: members that answer take turns. Pure.

The balancer's requests are the questions about their status that the gateway asks all members once a second.
A member that leaves three in a row unanswered is left out until it answers two; one that leaves more than
half of the last twenty unanswered has an open breaker, and comes back by the same questions, which are then
probes. Its first answer clears what was counted before: it had not started yet. Nothing critical depends on
the choice: a bundle goes to the primary, whatever its operations name, and all members answer it (R34). So
time and outcome of a submission say nothing about its entry node; least connections counts those under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from dtvn.events.balancing import Chance, LoadBalancer
from dtvn.events.config import Balancing, LoadBalancerConfig
from dtvn.gateway.face import Balance
from dtvn.gateway.questions import STATUS_EVERY, MemberStatus
from dtvn.protocol.consensus.messages import Operation
from dtvn.watch import MemberReport

NANOSECOND = 1e-9
TURNS = LoadBalancerConfig(
    algorithm=Balancing.ROUND_ROBIN,
    health_check_interval=STATUS_EVERY * NANOSECOND,
    circuit_breaker_timeout=5.0,
)
"""A member that returned after a long absence is an entry node again after about seven seconds."""

LAG_MAX = 500
"""Sequences that an entry node may lag behind: its last answer may be a second old."""
NO_KEY = "operation"
"""The key of all operations without one, for consistent hashing."""


class Entries:
    """The members of one epoch, by index. Times are monotonic seconds."""

    def __init__(
        self,
        members: Iterable[str],
        liars: int,
        chance: Chance,
        now: float,
        config: LoadBalancerConfig = TURNS,
    ) -> None:
        """`liars`: f of these members. `config`: its intervals are ignored; those of the status questions
        hold."""
        self._liars = liars
        self._balancer = LoadBalancer(config, chance)
        self._counts_calls = config.algorithm is Balancing.LEAST_CONNECTIONS
        self._under_way: dict[int, set[str]] = {}
        """Number of a call -> the entry nodes that its operations name."""
        self._chosen: Counter[str] = Counter()
        self.polled = 0
        """Status questions of all members that the balancer knows of."""
        self._counted: dict[str, tuple[int, int]] = {}
        """Answered and missed questions that the balancer knows of, by member."""
        self._worked: dict[str, tuple[float, float]] = {}
        """Processor seconds that a member said it has used, and the second of its own clock."""
        for member in members:
            self._balancer.register_node(member, now)
            self._counted[member] = 0, 0

    def observe(self, statuses: Sequence[MemberStatus], now: float) -> None:
        """Record the status questions that ended since the last call."""
        for (member, (answered, missed)), status in zip(self._counted.items(), statuses, strict=True):
            self._counted[member] = status.answered, status.missed
            self.polled += status.answered - answered + status.missed - missed
            if not answered and status.answered:
                # What a member left unanswered before it started says nothing about it.
                self._balancer.remove_node(member)
                self._balancer.register_node(member, now)
            for _ in range(status.missed - missed):
                self._record(member, False, status.round_trip, now)
            for _ in range(status.answered - answered):
                self._record(member, True, status.round_trip, now)
            self._measure(member, status, now)

    def begin(self, call: int, operations: Sequence[Operation]) -> None:
        """Count `call` at the entry nodes that its operations name, chosen here or not, until `end`."""
        if not self._counts_calls:  # counting costs 4 us a call
            return
        self._under_way[call] = {each.entry for each in operations} & self._counted.keys()
        for member in self._under_way[call]:
            self._balancer.begin_request(member)

    def end(self, call: int) -> None:
        """Count the call no longer; one that began in another epoch is ignored."""
        for member in self._under_way.pop(call, ()):
            self._balancer.end_request(member)

    def choose(self, views: Sequence[MemberReport], now: float, key: str = "") -> str:
        """The next entry node: of the members that are connected and not behind, else of those connected,
        else of all. `key`: see GatewayFace."""
        connected = [view for view in views if view.connected]
        # At least one honest member has executed this far: a liar that claims a higher sequence cannot make
        # the others count as lagging.
        told = sorted((view.sequence for view in connected), reverse=True)
        front = told[min(self._liars, len(told) - 1)] if told else 0
        fit = [view for view in connected if view.heard is not None and view.sequence >= front - LAG_MAX]
        available = [view.id for view in fit or connected or views]
        (entry,) = self._balancer.select_nodes(available, 1, now, key or NO_KEY)
        self._chosen[entry] += 1
        return entry

    def balance(self) -> Balance:
        """A copy of what is known."""
        nodes = self._balancer.get_all_nodes_info()
        chosen = {name: self._chosen[name] for name in nodes}
        return Balance(self._balancer.get_metrics(), chosen, nodes)

    def _measure(self, member: str, status: MemberStatus, now: float) -> None:
        """A member's load: the share of one processor that it used between its two newest answers, by its
        own clock, since each answer takes another time to get here."""
        worked, at = status.report.processor_seconds, status.report.monotonic_seconds
        if worked is None or at is None:
            return
        before, self._worked[member] = self._worked.get(member), (worked, at)
        if before is not None and at > before[1]:
            load = (worked - before[0]) / (at - before[1])
            round_trip = round(status.round_trip * 1e-6)
            self._balancer.update_node_metrics(member, min(1.0, max(0.0, load)), round_trip, now)

    def _record(self, member: str, success: bool, round_trip: int, now: float) -> None:
        if self._balancer.admits(member, now):
            self._balancer.record_request(
                member, success=success, response_time=round_trip * NANOSECOND, now=now
            )
        else:
            self._balancer.record_probe(member, success=success, now=now)
