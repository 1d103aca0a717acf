"""The contract's validator for programs, over a gateway (contract 2.2): sync, and for event loops.

    with DistributedValidator(gateway) as validator:
        result = validator.validate_sequence([b'{"type":"RUN_STARTED","threadId":"t","runId":"r"}', ...])

The members of the cluster are the nodes; its ordered log decides who is one. A call without a verdict returns
a result with an error, and never raises. While no quorum answers, the rules judge in this process alone, if
that is allowed: such a result has the warning LOCAL_ONLY, and the members owe a judgement. They give it
once a quorum is reached again, in the order of the results; with a folder, also after this process has ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from dtvn.events.checked import changed, without_effect
from dtvn.events.config import (
    CLUSTER_FIELDS,
    Algorithm,
    CircuitBreakerConfig,
    DistributedValidatorConfig,
    PartitionHandlerConfig,
    StateSyncConfig,
    caution,
)
from dtvn.events.runs import started_run
from dtvn.gateway.events_face import VERDICT_WAIT, Judged, RunIsLive
from dtvn.gateway.face import GatewayClosed, GatewayFace
from dtvn.gateway.owed import is_unanswered
from dtvn.gateway.state_sync import StateSynchronizer
from dtvn.gateway.steps import Steps, awaited, waited
from dtvn.gateway.validator_answers import (
    NO_VERDICT,
    ComponentState,
    EventText,
    NodeHealth,
    ValidationResult,
    Wanted,
    failed,
    failure_of,
    result_of,
    texts_of,
)
from dtvn.gateway.validator_local import LocalJudging, OnSettled
from dtvn.gateway.validator_nodes import ValidatorError
from dtvn.gateway.validator_parts import Transport
from dtvn.gateway.validator_spans import Tracer, traced

logger = logging.getLogger(__name__)

ANSWER_SLACK = 60.0
"""Seconds for one call beyond its wait: a call of many chunks waits for each."""
LINK_PAUSE = 0.02
"""Seconds between two looks whether a quorum is reached."""
STOP_WAIT = 2.0
"""Most seconds for which `stop` waits for the end of a run."""
NOT_RUNNING = "VALIDATOR_NOT_RUNNING"
NO_GATEWAY = "gateway: None is not a gateway: open one with `Gateway.open(...)` and give it here"
FOLLOWED = CLUSTER_FIELDS.union(
    [
        *(f"consensus_circuit_breaker_config.{field}" for field in CircuitBreakerConfig.__struct_fields__),
        *(f"partition_handler.{field}" for field in PartitionHandlerConfig.__struct_fields__),
    ]
)
"""Fields of a configuration that a validator follows."""
SYNCHRONIZED = frozenset(
    [
        "sync_interval",
        *(
            f"state_sync.{field}"
            for field in StateSyncConfig.__struct_fields__
            if field != "enable_compression"
        ),
        *(f"state_sync_circuit_breaker_config.{field}" for field in CircuitBreakerConfig.__struct_fields__),
    ]
)
"""Those that its synchronizer follows."""
DEFAULT_PARTITIONS = PartitionHandlerConfig()
CONSENSUS_BREAKER = CircuitBreakerConfig(name="consensus", timeout=0.0)
"""Around questions to the members: after five calls without a verdict, none is asked for a minute."""


class _Operations(LocalJudging):
    """The operations of both validators, as generators for `waited` or `awaited`."""

    def __init__(
        self,
        gateway: GatewayFace,
        *,
        algorithm: Algorithm | None = None,
        recorded: bool | None = None,
        actor: str = "validator",
        wait: float = VERDICT_WAIT,
        allow_local_validation: bool = True,
        partitions: PartitionHandlerConfig = DEFAULT_PARTITIONS,
        breaker: CircuitBreakerConfig = CONSENSUS_BREAKER,
        tracer: Tracer | None = None,
        owed_folder: Path | None = None,
        on_settled: OnSettled | None = None,
    ) -> None:
        """`algorithm`: None for the cluster's choice. `recorded`: whether the ordered log records runs; None:
        by pbft and raft. `wait`: seconds for a verdict. `allow_local_validation`: whether the rules judge
        in this process alone while no quorum answers. `partitions`: how partitions are detected and
        recovered from. `breaker`: around the questions to the members. `tracer`: gets a span of each call.
        `owed_folder`: keeps what was judged in this process alone until the members have judged it, with
        its events, for its owner only; one validator uses it at a time. None: memory. `on_settled`: called
        in a thread of its own for each that they have judged; `get_settled` has them too. Raises
        ValidatorError without a gateway."""
        if gateway is None:
            raise ValidatorError(NO_GATEWAY)
        if not allow_local_validation:
            partitions = msgspec.structs.replace(partitions, allow_local_validation=False)
        super().__init__(gateway, algorithm, actor, wait, partitions, breaker, owed_folder, on_settled)
        self._recorded = recorded
        self._tracer = tracer
        self._linked = False
        """Whether the first wait for a quorum is over."""
        self._cleanup: list[Callable[[], object]] = []

    @classmethod
    def from_config(
        cls,
        gateway: GatewayFace,
        config: DistributedValidatorConfig | None,
        tracer: Tracer | None = None,
        *,
        owed_folder: Path | None = None,
        on_settled: OnSettled | None = None,
        synchronizer: StateSynchronizer | None = None,
    ) -> Self:
        """A validator with the algorithm, quorum, time-out, breaker and local validation of `config`; the
        log warns of other fields that it sets, and of *unanimous*. Its `load_balancer` is for the gateway
        (`balancing`), its `state_sync` for the `synchronizer`, which runs while the validator does.

        Raises ValidatorError without a configuration. `start` raises AlgorithmNotOffered or ConfigError if
        this cluster cannot decide so.
        """
        if config is None:
            raise ValidatorError("config: None is not a configuration")
        if said := caution(config.consensus_config.effective_algorithm):
            logger.warning("validator %s: %s", config.node_id, said)
        usual = DistributedValidatorConfig(node_id=config.node_id)
        followed = FOLLOWED if synchronizer is None else FOLLOWED | SYNCHRONIZED
        if idle := without_effect(changed(config, usual), followed):
            logger.warning("validator %s: %s", config.node_id, idle)
        made = cls(
            gateway,
            wait=config.decision_timeout,
            partitions=config.partition_handler,
            breaker=config.consensus_circuit_breaker_config,
            tracer=tracer,
            owed_folder=owed_folder,
            on_settled=on_settled,
        )
        made._config = config
        made._synchronizer = synchronizer
        return made

    # --- life ------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self.get_running():
            raise ValidatorError("the validator is running already")
        self._state = ComponentState.ERROR  # until the configuration fits the cluster
        if self._config is not None:
            self._algorithm = self._agreed(self._config)
        self._open_queue()
        self._partitions.start()
        if self._synchronizer is not None:
            self._synchronizer.owing = lambda: () if self._queue is None else self._queue.waiting()
            self._synchronizer.start()
        self._state = ComponentState.STARTED

    def _stop(self) -> Steps[None]:
        self._state = ComponentState.STOPPED
        if self._synchronizer is not None:
            self._synchronizer.stop()
        ended, until = self._partitions.stop(), time.monotonic() + STOP_WAIT
        while not ended() and time.monotonic() < until:
            yield LINK_PAUSE
        with suppress(TimeoutError):  # it ends when its members have answered
            yield from self._close_queue()
        run = self._run
        self._forget_own_run()
        if run is not None:
            with suppress(TimeoutError, GatewayClosed):  # the members forget a run that is not ended
                yield run.end(wait=min(self._wait, STOP_WAIT))
        errors: list[Exception] = []
        for clean in self._cleanup:
            try:
                clean()
            except Exception as error:  # noqa: BLE001 - all of them run
                errors.append(error)
        if errors:
            self._state = ComponentState.ERROR
            raise ExceptionGroup("cleanup failed", errors)

    def register_cleanup_func(self, clean: Callable[[], object]) -> None:
        """Have `stop` call this, after those registered before."""
        self._cleanup.append(clean)

    # --- judging ---------------------------------------------------------------------------------

    def _validate_event(self, event: EventText | None, wanted: Wanted) -> Steps[ValidationResult]:
        texts, wrong = texts_of([event])
        if wrong is not None:
            return wrong
        return (yield from self._traced(self._timed(texts, wanted, whole=False), texts, whole=False))

    def _validate_sequence(
        self, events: Sequence[EventText | None], wanted: Wanted
    ) -> Steps[ValidationResult]:
        if not events and self.get_running():
            return ValidationResult(True, (), (), 0, 0.0, certified=False)
        texts, wrong = texts_of(events)
        if wrong is not None:
            return wrong
        return (yield from self._traced(self._timed(texts, wanted, whole=True), texts, whole=True))

    def _traced(
        self, judging: Steps[ValidationResult], texts: Sequence[bytes], *, whole: bool
    ) -> Steps[ValidationResult]:
        if self._tracer is None:
            return judging
        return traced(self._tracer, self, self.get_config().node_id, judging, texts, whole=whole)

    def _timed(self, events: Sequence[bytes], wanted: Wanted, *, whole: bool) -> Steps[ValidationResult]:
        if not self.get_running():
            return failed(NOT_RUNNING, "Start the validator first.", len(events))
        begun = time.monotonic()
        yield from self._first_links()
        try:
            if self._alone():
                return (yield from self._judge_here(events, wanted, whole=whole))
            judge = self._judge_sequence if whole else self._judge_next
            judged = yield from judge(events, wanted)
            if is_unanswered(judged) and self._partitions.get_config().allow_local_validation:
                found = yield from self._judge_here(events, wanted, whole=whole)
                return msgspec.structs.replace(found, duration=time.monotonic() - begun)
            result = result_of(judged, len(events), time.monotonic() - begun)
        except NO_VERDICT as error:
            result = failure_of(error, len(events), time.monotonic() - begun)
        with self._counting:
            self._meter.add(result)
        return result

    def _first_links(self) -> Steps[None]:
        """Wait for a quorum before the first call: a gateway that was just opened has no links yet."""
        until = time.monotonic() + self._wait
        while not self._linked and self._alone() and time.monotonic() < until:
            yield LINK_PAUSE
        if not self._linked:
            self._linked = True
            if self._alone():
                self._partitions.end_grace()

    def _judge_sequence(self, events: Sequence[bytes], wanted: Wanted) -> Steps[Judged]:
        began = started_run(events[0])
        named = wanted.thread or (began.thread_id if began is not None else "")
        with self._gateway.events.queues.place(named) as first:
            try:
                yield first
            except TimeoutError:
                raise RunIsLive(f"other sequences of thread {named!r} are judged first") from None
            return (yield from self._guarded(self._judge_run(self._named(wanted), events)))


class DistributedValidator(_Operations):
    """Has events judged by the members, waiting in the caller's thread. Any thread may call
    `validate_sequence`; the rest is for one thread at a time."""

    def start(self) -> None:
        """Raises ValidatorError if it is running."""
        self._start()

    def stop(self) -> None:
        """End the run of `validate_event`, waiting STOP_WAIT at most, then call what was registered, all of
        it; stopping twice is fine. What the members have not judged yet waits until the next start. Raises
        ExceptionGroup of what that raised."""
        waited(self._stop(), STOP_WAIT)

    def validate_event(
        self,
        event: EventText | None,
        *,
        thread: str = "",
        run: str = "",
        algorithm: Algorithm | None = None,
    ) -> ValidationResult:
        """Judge the next event of this validator's run, given as its JSON text. The names and the algorithm
        are the run's, which its first event begins."""
        wanted = Wanted(thread, run, algorithm)
        return waited(self._validate_event(event, wanted), self._wait + ANSWER_SLACK)

    def validate_sequence(
        self,
        events: Sequence[EventText | None],
        *,
        thread: str = "",
        run: str = "",
        algorithm: Algorithm | None = None,
    ) -> ValidationResult:
        """Judge a whole run, given as the JSON texts of its events, beside the run of `validate_event`.
        Sequences of one thread, by `thread` or their RUN_STARTED, are judged one after the other.
        `algorithm`: another one than the validator's."""
        wanted = Wanted(thread, run, algorithm)
        return waited(self._validate_sequence(events, wanted), self._wait + ANSWER_SLACK)

    def ping(self, node_id: str, timeout: float = 1.0) -> float | None:
        """Milliseconds until a member answered; None without an answer. Raises ValidatorError."""
        return waited(self._ping(node_id, timeout), timeout + ANSWER_SLACK)

    def get_node_health(self, node_id: str, timeout: float = 1.0) -> NodeHealth:
        """A member's health after a `ping`. Raises ValidatorError."""
        return waited(self._node_health(node_id, timeout), timeout + ANSWER_SLACK)

    def get_transport(self) -> Transport:
        """The links to the members."""
        return Transport(self._gateway, self.ping)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


class AsyncDistributedValidator(_Operations):
    """DistributedValidator for an event loop, any task of which may call `validate_sequence`."""

    async def start(self) -> None:
        """See DistributedValidator."""
        self._start()

    async def stop(self) -> None:
        """See DistributedValidator."""
        await awaited(self._stop(), STOP_WAIT)

    async def validate_event(
        self,
        event: EventText | None,
        *,
        thread: str = "",
        run: str = "",
        algorithm: Algorithm | None = None,
    ) -> ValidationResult:
        """See DistributedValidator."""
        wanted = Wanted(thread, run, algorithm)
        return await awaited(self._validate_event(event, wanted), self._wait + ANSWER_SLACK)

    async def validate_sequence(
        self,
        events: Sequence[EventText | None],
        *,
        thread: str = "",
        run: str = "",
        algorithm: Algorithm | None = None,
    ) -> ValidationResult:
        """See DistributedValidator."""
        wanted = Wanted(thread, run, algorithm)
        return await awaited(self._validate_sequence(events, wanted), self._wait + ANSWER_SLACK)

    async def ping(self, node_id: str, timeout: float = 1.0) -> float | None:  # noqa: ASYNC109 - the contract's
        """See DistributedValidator."""
        return await awaited(self._ping(node_id, timeout), timeout + ANSWER_SLACK)

    async def get_node_health(self, node_id: str, timeout: float = 1.0) -> NodeHealth:  # noqa: ASYNC109
        """See DistributedValidator."""
        return await awaited(self._node_health(node_id, timeout), timeout + ANSWER_SLACK)

    def get_transport(self) -> Transport:
        """See DistributedValidator; its `ping` is to be awaited."""
        return Transport(self._gateway, self.ping)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()
