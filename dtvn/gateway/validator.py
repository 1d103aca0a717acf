"""The contract's validator for programs, over a gateway (contract 2.2): sync, and for event loops.

    with DistributedValidator(gateway) as validator:
        result = validator.validate_sequence([b'{"type":"RUN_STARTED","threadId":"t","runId":"r"}', ...])

The members of the cluster are the nodes; its ordered log decides who is one. Whatever has no verdict is a
result with an error, and never raises.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from typing import Any, Self

from dtvn.events.config import Algorithm
from dtvn.gateway.calls import Overloaded
from dtvn.gateway.events_face import VERDICT_WAIT, EventRun, Given, Judged, RunEnded, RunIsLive
from dtvn.gateway.face import GatewayClosed, GatewayFace, MemberView
from dtvn.gateway.steps import Steps, awaited, waited
from dtvn.gateway.validator_answers import (
    MISSED,
    Health,
    Metrics,
    NodeHealth,
    NodeInfo,
    NodeState,
    PartitionInfo,
    ValidationResult,
    failed,
    partition,
    result_of,
)

ANSWER_SLACK = 60.0
"""Seconds for one call beyond its wait: a call of many chunks waits for each."""
NOT_RUNNING = "VALIDATOR_NOT_RUNNING"


class ValidatorError(Exception):
    """An operation in the wrong state, or about a node that is no member."""


class _Operations:
    """What both validators do, waiting as steps."""

    def __init__(
        self,
        gateway: GatewayFace,
        *,
        algorithm: Algorithm | None = None,
        recorded: bool | None = None,
        actor: str = "validator",
        wait: float = VERDICT_WAIT,
    ) -> None:
        """`algorithm`: None for the cluster's choice. `recorded`: whether the ordered log records runs; None:
        for pbft. `wait`: seconds for a verdict."""
        self._gateway = gateway
        self._algorithm = algorithm
        self._recorded = recorded
        self._actor = actor
        self._wait = wait
        self._running = False
        self._run: EventRun | None = None
        self._addresses: dict[str, tuple[str, int]] = {}
        self._cleanup: list[Callable[[], object]] = []
        self._begun = time.monotonic()
        self._ends: Counter[str] = Counter()
        self._seconds = 0.0
        self._asked: Counter[str] = Counter()
        self._missed: Counter[str] = Counter()
        self._pings: dict[str, float] = {}

    # --- life ------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._running:
            raise ValidatorError("the validator is running already")
        self._running = True

    def _stop(self) -> Steps[None]:
        self._running = False
        run, self._run = self._run, None
        if run is not None:
            yield run.end(wait=self._wait)
        errors: list[Exception] = []
        for clean in self._cleanup:
            try:
                clean()
            except Exception as error:  # noqa: BLE001 - all of them run
                errors.append(error)
        if errors:
            raise ExceptionGroup("cleanup failed", errors)

    def get_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._running

    def register_cleanup_func(self, clean: Callable[[], object]) -> None:
        """Have `stop` call this, after those registered before."""
        self._cleanup.append(clean)

    # --- judging ---------------------------------------------------------------------------------

    def _validate_event(self, event: bytes | None, thread: str, run: str) -> Steps[ValidationResult]:
        if event is None:
            return failed("NULL_EVENT", "There is no event.")
        return (yield from self._timed([event], thread, run, whole=False))

    def _validate_sequence(self, events: Sequence[bytes], thread: str, run: str) -> Steps[ValidationResult]:
        if not events and self._running:
            return ValidationResult(True, (), (), 0, 0.0, certified=False)
        return (yield from self._timed(events, thread, run, whole=True))

    def _timed(
        self, events: Sequence[bytes], thread: str, run: str, *, whole: bool
    ) -> Steps[ValidationResult]:
        if not self._running:
            return failed(NOT_RUNNING, "Start the validator first.", len(events))
        begun = time.monotonic()
        try:
            judged = yield from self._judge(events, thread, run, whole=whole)
            result = result_of(judged, time.monotonic() - begun)
        except (GatewayClosed, Overloaded, RunIsLive, RunEnded, TimeoutError, ValueError) as error:
            result = failed("NO_DECISIONS", str(error), len(events), time.monotonic() - begun)
        self._seconds += result.duration
        self._ends["valid" if result.is_valid else "invalid" if result.certified else "none"] += 1
        return result

    def _judge(
        self, events: Sequence[bytes], thread: str, run: str, *, whole: bool
    ) -> Generator[Future[Any], Any, Judged]:
        live = self._run if not whole and self._run is not None else self._begin(thread, run)
        if not whole:
            self._run = live
        try:
            judged: Judged = yield live.judge(events, wait=self._wait)
        finally:
            if whole:
                ending = live.end(wait=self._wait)
        if whole:
            yield ending
        for piece in judged.pieces:
            for answer in piece.members:
                if answer.given is not Given.NOT_ASKED:
                    self._asked[answer.member] += 1
                    self._missed[answer.member] += answer.given in MISSED
        return judged

    def _begin(self, thread: str, run: str) -> EventRun:
        return self._gateway.events.begin(
            thread or f"anonymous-{secrets.token_hex(8)}",
            run or f"run-{secrets.token_hex(8)}",
            algorithm=self._algorithm,
            recorded=self._recorded,
            actor=self._actor,
        )

    # --- nodes -----------------------------------------------------------------------------------

    def register_node(self, node_id: str, host: str, port: int) -> None:
        """Reach a member at this address from now on. Raises ValidatorError for a node that is no member:
        `manage.py members add` makes one."""
        self._member(node_id)
        self._addresses[node_id] = host, port
        self._gateway.dial(self._addresses)

    def unregister_node(self, node_id: str) -> None:
        """Reach a member at the address that the log has for it; unknown ones are fine."""
        if self._addresses.pop(node_id, None) is not None:
            self._gateway.dial(self._addresses)

    def get_all_nodes(self) -> dict[str, NodeInfo]:
        """All members, by id."""
        lost = self.is_partitioned()
        return {view.id: self._info(view, lost) for view in self._gateway.members()}

    def get_node_info(self, node_id: str) -> NodeInfo | None:
        """One member; None for another id."""
        return self.get_all_nodes().get(node_id)

    def get_active_nodes(self) -> list[str]:
        """Ids of the members that are reached."""
        return [view.id for view in self._gateway.members() if view.connected]

    def get_total_nodes(self) -> int:
        """Number of members."""
        return len(self._gateway.present.members)

    def _ping(self, node_id: str, timeout: float) -> Steps[float | None]:
        index, begun = self._member(node_id), time.monotonic()
        answer = yield self._gateway.query(index, "status", wait=timeout)
        if answer.code:
            return None
        self._pings[node_id] = (time.monotonic() - begun) * 1_000
        return self._pings[node_id]

    def _node_health(self, node_id: str, timeout: float) -> Steps[NodeHealth]:
        answered = yield from self._ping(node_id, timeout)
        info = self.get_all_nodes()[node_id]
        if answered is None:
            return NodeHealth(False, 0.0, 0.0, (f"{node_id} at {info.address} does not answer",))
        score = 1 - min(1.0, 0.5 * info.error_rate + 0.3 * min(1.0, answered / 1_000))
        issues = (f"{node_id} left {info.error_rate:.0%} of its questions",) if info.error_rate else ()
        return NodeHealth(not issues, score, answered, issues)

    def _member(self, node_id: str) -> int:
        for index, member in enumerate(self._gateway.present.members):
            if member.id == node_id:
                return index
        raise ValidatorError(f"{node_id!r} is no member of this cluster")

    def _info(self, view: MemberView, lost: bool) -> NodeInfo:
        member, asked = self._gateway.present.members[view.index], self._asked[view.id]
        state = NodeState.SYNCING if view.entering else NodeState.ACTIVE
        if not view.connected:
            state = NodeState.PARTITIONED if lost else NodeState.FAILED
        return NodeInfo(
            view.id,
            "{}:{}".format(*self._addresses.get(view.id, (member.host, member.port))),
            state,
            view.heard,
            asked,
            self._missed[view.id] / asked if asked else 0.0,
            self._pings.get(view.id, 0.0),
        )

    # --- how it goes -----------------------------------------------------------------------------

    def get_metrics(self) -> Metrics:
        """Counts and means of all calls so far."""
        total = self._ends.total()
        share = 1 / total if total else 0.0
        return Metrics(
            total_validations=total,
            error_count=self._ends["invalid"],
            timeout_count=self._ends["none"],
            error_rate=self._ends["invalid"] * share,
            success_rate=self._ends["valid"] * share,
            avg_latency_ms=1_000 * self._seconds * share,
            throughput=total / max(time.monotonic() - self._begun, 1e-9),
        )

    def is_partitioned(self) -> bool:
        """Whether fewer members than a quorum are reached."""
        return self.get_current_partition() is not None

    def get_current_partition(self) -> PartitionInfo | None:
        """Who is reached and who is not, while that is too few; else None."""
        reached = self.get_active_nodes()
        lost = [each.id for each in self._gateway.present.members if each.id not in reached]
        return partition(reached, lost)

    def get_health(self) -> Health:
        """The health of the cluster, as far as it can be seen from here."""
        reached, total = self.get_active_nodes(), self.get_total_nodes()
        found = self.get_current_partition()
        lost = [each.id for each in self._gateway.present.members if each.id not in reached]
        issues = [f"{node_id} is not reached" for node_id in lost]
        if found is not None:
            issues.append(f"{len(reached)} of {total} members are no quorum")
        if not self._running:
            issues.append("the validator is not running")
        whole = found is None
        return Health(self._running and whole, len(reached), total, whole, not lost, tuple(issues))


class DistributedValidator(_Operations):
    """Has events judged by the members, waiting in the caller's thread. One thread at a time."""

    def start(self) -> None:
        """Raises ValidatorError if it is running."""
        self._start()

    def stop(self) -> None:
        """End the run of `validate_event`, then call what was registered, all of it; stopping twice is fine.
        Raises ExceptionGroup of what that raised."""
        waited(self._stop(), self._wait + ANSWER_SLACK)

    def validate_event(self, event: bytes | None, *, thread: str = "", run: str = "") -> ValidationResult:
        """Judge the next event of this validator's run, given as its JSON text. The names are the run's,
        which its first event begins."""
        return waited(self._validate_event(event, thread, run), self._wait + ANSWER_SLACK)

    def validate_sequence(
        self, events: Sequence[bytes], *, thread: str = "", run: str = ""
    ) -> ValidationResult:
        """Judge a whole run, given as the JSON texts of its events, beside the run of `validate_event`."""
        return waited(self._validate_sequence(events, thread, run), self._wait + ANSWER_SLACK)

    def ping(self, node_id: str, timeout: float = 1.0) -> float | None:
        """Milliseconds until a member answered; None without an answer. Raises ValidatorError."""
        return waited(self._ping(node_id, timeout), timeout + ANSWER_SLACK)

    def get_node_health(self, node_id: str, timeout: float = 1.0) -> NodeHealth:
        """A member's health after a `ping`. Raises ValidatorError."""
        return waited(self._node_health(node_id, timeout), timeout + ANSWER_SLACK)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


class AsyncDistributedValidator(_Operations):
    """The same for an event loop. One task at a time."""

    async def start(self) -> None:
        """See DistributedValidator."""
        self._start()

    async def stop(self) -> None:
        """See DistributedValidator."""
        await awaited(self._stop(), self._wait + ANSWER_SLACK)

    async def validate_event(
        self, event: bytes | None, *, thread: str = "", run: str = ""
    ) -> ValidationResult:
        """See DistributedValidator."""
        return await awaited(self._validate_event(event, thread, run), self._wait + ANSWER_SLACK)

    async def validate_sequence(
        self, events: Sequence[bytes], *, thread: str = "", run: str = ""
    ) -> ValidationResult:
        """See DistributedValidator."""
        return await awaited(self._validate_sequence(events, thread, run), self._wait + ANSWER_SLACK)

    async def ping(self, node_id: str, timeout: float = 1.0) -> float | None:  # noqa: ASYNC109 - the contract's
        """See DistributedValidator."""
        return await awaited(self._ping(node_id, timeout), timeout + ANSWER_SLACK)

    async def get_node_health(self, node_id: str, timeout: float = 1.0) -> NodeHealth:  # noqa: ASYNC109
        """See DistributedValidator."""
        return await awaited(self._node_health(node_id, timeout), timeout + ANSWER_SLACK)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()
