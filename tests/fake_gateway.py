"""A gateway without a network: the real ticket machine in this process, in place of a cluster.

For tests of the layers above a gateway, and for experiments. Outcomes are real: bundles are
executed by `TicketApplication` as a member would, in sessions, with nonces, at effective timestamps.
Only agreement is missing. `quorum = False` and `mute = True` play the two ways in which a real
network fails to answer.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec

from dtvn import __version__
from dtvn.gateway import DEFAULT_WAIT, Agreeing, Answered, Balance, GatewayClosed, Overloaded, Result
from dtvn.gateway.entries import Entries
from dtvn.gateway.log_clock import dated
from dtvn.machine import TicketApplication
from dtvn.machine.reasons import OUTCOME_UNKNOWN, UNAVAILABLE
from dtvn.net import LinkCounters
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.consensus.membership import founding
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.genesis import Genesis, cluster_id
from dtvn.protocol.versions import NEWEST
from dtvn.watch import MemberReport, read_report
from tests.fake_events import FakeEvents

Watcher = Callable[[int, int, VerifiedBundle, tuple[m.Outcome, ...], list[ApplicationChange]], None]


class FakeGateway(Agreeing):
    """See face.GatewayFace. `on_executed(sequence, timestamp, bundle, outcomes, changes)` sees every
    batch before its caller does, as a learner would."""

    def __init__(self, genesis: Genesis, *, principal: str, on_executed: Watcher | None = None) -> None:
        self.genesis = genesis
        self.present = founding(genesis)
        self.epoch_changes: tuple[bytes, ...] = ()
        self.acknowledged = 0
        self.quorum = True
        """False: nothing can be sent."""
        self.unsent = UNAVAILABLE
        """One of reasons.NOT_SENT: what is answered then."""
        self.mute = False
        """True: operations are executed, and no answer ever comes."""
        self.full = False
        """True: too much is under way."""
        self.down: frozenset[int] = frozenset()
        """Members that do not answer questions."""
        self.heard_at: dict[int, int] = {}
        """Member -> monotonic nanoseconds of its newest answer about itself; others have just answered."""
        self.before: frozenset[int] = frozenset()
        """Members that run release 0.1.0, and name none."""
        self.missed: dict[int, int] = {}
        """Member -> questions about itself that it left unanswered."""
        self.broken = 0
        """How often each link broke before."""
        self.dialled: dict[str, tuple[str, int]] = {}
        self.application = TicketApplication(genesis, cluster_id(genesis), searched=True)
        self.principal = principal
        self.entries = Entries([member.id for member in self.present.members], 1, random.Random(0), 0.0)
        """Real; it hears of no question unless a test tells it."""
        self._on_executed = on_executed
        self._lock = threading.Lock()
        self._closed = False
        self.events = FakeEvents(cluster_id(genesis), self.present, self.submit)
        self._sequence = 0
        self._timestamp = 0
        self._number = 0
        self._session = (0, 0)
        opening = m.Operation("open_session", "", "", principal, "", 0, b"fake", b"")
        self._execute((opening,))
        self._session = (self._sequence, 0)

    @property
    def log_time(self) -> int:
        """See GatewayFace."""
        return self._timestamp

    def submit(
        self, operations: Sequence[m.Operation], *, wait: float = DEFAULT_WAIT
    ) -> Future[tuple[Result, ...]]:
        """See GatewayFace."""
        if self._closed:
            raise GatewayClosed("the gateway is closed")
        if self.full:
            raise Overloaded("told to be full")
        future: Future[tuple[Result, ...]] = Future()
        if not self.quorum:
            future.set_result((Result(self.unsent),) * len(operations))
            return future
        most = self.genesis.parameters.batch_operations_max
        with self._lock:
            results: list[Result] = []
            for start in range(0, len(operations), most):
                results += self._execute(tuple(operations[start : start + most]))
                if not self.mute:
                    self.acknowledged = self._sequence
        future.set_result((Result(OUTCOME_UNKNOWN),) * len(operations) if self.mute else tuple(results))
        return future

    def query(
        self, member: int, what: str, arguments: Sequence[str] = (), *, wait: float = 2.0
    ) -> Future[Answered]:
        """See GatewayFace; tells the member's `status` only."""
        future: Future[Answered] = Future()
        if member in self.down or not self.quorum:
            future.set_result(Answered(0, "down", ""))
        elif what == "status":
            future.set_result(Answered(0, "", msgspec.json.encode(self._status(member)).decode()))
        else:
            future.set_result(Answered(0, "unknown_query", ""))
        return future

    def dial(self, addresses: Mapping[str, tuple[str, int]]) -> None:
        """See GatewayFace; it has no links."""
        self.dialled = dict(addresses)

    def links(self) -> dict[str, LinkCounters]:
        """See GatewayFace; here a link is a call."""
        return {
            member.id: LinkCounters(disconnects=self.broken + (not self.quorum or index in self.down))
            for index, member in enumerate(self.present.members)
        }

    def members(self) -> tuple[MemberReport, ...]:
        """See GatewayFace."""
        return tuple(
            read_report(
                member.id,
                self._status(index),
                index=index,
                connected=self.quorum and index not in self.down,
                primary=index == 0,
                heard=0.0 if self.quorum and index not in self.down else 60.0,
                heard_at=self.heard_at.get(index),
                missed=self.missed.get(index, 0),
            )
            for index, member in enumerate(self.present.members)
        )

    def entry(self, key: str = "") -> str:
        """See GatewayFace."""
        with self._lock:
            return self.entries.choose(self.members(), time.monotonic(), key)

    def balance(self) -> Balance:
        """See GatewayFace."""
        return self.entries.balance()

    def close(self) -> None:
        """Refuse everything from now on."""
        self._closed = True
        self.events.close(GatewayClosed("the gateway is closed"))

    def _status(self, member: int) -> dict[str, Any]:
        return {
            "id": self.present.members[member].id,
            "state": "voting",
            "voting": True,
            "epoch": self.present.epoch,
            "view": 0,
            "sequence": self._sequence,
        } | ({} if member in self.before else {"release": __version__, "newest": NEWEST})

    def _execute(self, operations: tuple[m.Operation, ...]) -> list[Result]:
        self._timestamp = max(time.time_ns() // 1_000, self._timestamp + 1)
        operations = tuple(dated(operation, self._timestamp + 60_000_000) for operation in operations)
        bundle = m.Bundle(
            epoch=0,
            principal=self.principal,
            client=b"fakefake",
            session=self._session,
            number=self._number,
            done_below=self._number,
            operations=operations,
        )
        body = canonical.encode(bundle)
        verified = VerifiedBundle(bundle, m.bundle_digest(body), body)
        self._sequence += 1
        self._number += 1
        execution = self.application.execute([verified], sequence=self._sequence, timestamp=self._timestamp)
        result = execution.results[0]
        if result is None:
            raise RuntimeError("the machine skipped a bundle of its only client")
        if self._on_executed is not None:
            changes = self.application.changes()
            self._on_executed(self._sequence, self._timestamp, verified, result.outcomes, changes)
        return [
            Result(outcome.code, outcome.state, self._sequence, index, self._timestamp)
            for index, outcome in enumerate(result.outcomes, result.first_index)
        ]
