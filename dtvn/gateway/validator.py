"""The contract's validator for programs, over a gateway (contract 2.2): sync, and for event loops.

    with DistributedValidator(gateway) as validator:
        result = validator.validate_sequence([b'{"type":"RUN_STARTED","threadId":"t","runId":"r"}', ...])

The members of the cluster are the nodes; its ordered log decides who is one. A call without a verdict returns
a result with an error, and never raises. While no quorum is reached, the rules judge in this process alone,
if that is allowed: such a result has the warning LOCAL_ONLY, and the members judge the events of
`validate_event` later.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Self

import msgspec

from dtvn.events.balancing import BreakerError
from dtvn.events.checked import changed, without_effect
from dtvn.events.config import CLUSTER_FIELDS, Algorithm, CircuitBreakerConfig, DistributedValidatorConfig
from dtvn.events.judging import Verdict
from dtvn.events.rules import Stream
from dtvn.events.runs import started_run
from dtvn.gateway.calls import Overloaded
from dtvn.gateway.events_face import CALL_EVENTS_MAX, VERDICT_WAIT, EventRun, Judged, RunEnd, RunIsLive
from dtvn.gateway.face import GatewayClosed, GatewayFace
from dtvn.gateway.steps import Steps, awaited, waited
from dtvn.gateway.validator_answers import (
    NO_VERDICT,
    ComponentState,
    EventText,
    NodeHealth,
    ValidationResult,
    Wanted,
    agreed_algorithm,
    failed,
    failure_of,
    followed,
    joined,
    local_result,
    result_of,
    texts_of,
)
from dtvn.gateway.validator_nodes import ValidatorError
from dtvn.gateway.validator_parts import Transport
from dtvn.gateway.validator_reading import Reading
from dtvn.gateway.validator_spans import Tracer, traced

logger = logging.getLogger(__name__)

ANSWER_SLACK = 60.0
"""Seconds for one call beyond its wait: a call of many chunks waits for each."""
LINK_PAUSE = 0.02
"""Seconds between two looks whether a quorum is reached."""
OWED_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of events waiting for a quorum beyond which no further event is judged locally."""
STOP_WAIT = 2.0
"""Most seconds for which `stop` waits for the end of a run."""
NOT_RUNNING = "VALIDATOR_NOT_RUNNING"
FOLLOWED = CLUSTER_FIELDS.union(
    f"consensus_circuit_breaker_config.{field}" for field in CircuitBreakerConfig.__struct_fields__
)
"""Fields of a configuration that a validator follows."""
CONSENSUS_BREAKER = CircuitBreakerConfig(name="consensus", timeout=0.0)
"""Around questions to the members: after five calls without a verdict, none is asked for a minute."""


class _Operations(Reading):
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
        breaker: CircuitBreakerConfig = CONSENSUS_BREAKER,
        tracer: Tracer | None = None,
    ) -> None:
        """`algorithm`: None for the cluster's choice. `recorded`: whether the ordered log records runs; None:
        for pbft. `wait`: seconds for a verdict. `allow_local_validation`: whether the rules judge in this
        process alone while no quorum is reached. `breaker`: around the questions to the members. `tracer`:
        gets a span of each call."""
        super().__init__(gateway, algorithm, actor, wait, allow_local_validation, breaker)
        self._recorded = recorded
        self._tracer = tracer
        self._run: EventRun | None = None
        self._run_asked: Algorithm | None = None
        """The algorithm that it was to have; the cluster may decide majority as unanimous."""
        self._stream = Stream()
        """The rules over the events of `validate_event` that have a verdict, of the members or of this
        process."""
        self._owed: list[bytes] = []
        """The last of these events, which only this process has judged."""
        self._asked: Future[Judged] | None = None
        """The question about them whose verdict was not taken yet."""
        self._linked = False
        """Whether the first wait for a quorum is over."""
        self._cleanup: list[Callable[[], object]] = []

    @classmethod
    def from_config(
        cls, gateway: GatewayFace, config: DistributedValidatorConfig | None, tracer: Tracer | None = None
    ) -> Self:
        """A validator with the algorithm, quorum, time-out, breaker and local validation of `config`; the
        log warns of other fields that it sets. Its `load_balancer` is for the gateway (`balancing`).

        Raises ValidatorError without a configuration. `start` raises AlgorithmNotOffered or ConfigError if
        this cluster cannot decide so.
        """
        if config is None:
            raise ValidatorError("config: None is not a configuration")
        usual = DistributedValidatorConfig(node_id=config.node_id)
        if idle := without_effect(changed(config, usual), FOLLOWED):
            logger.warning("validator %s: %s", config.node_id, idle)
        made = cls(
            gateway,
            wait=config.decision_timeout,
            allow_local_validation=config.partition_handler.allow_local_validation,
            breaker=config.consensus_circuit_breaker_config,
            tracer=tracer,
        )
        made._config = config
        return made

    # --- life ------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self.get_running():
            raise ValidatorError("the validator is running already")
        self._state = ComponentState.ERROR  # until the configuration fits the cluster
        if self._config is not None:
            self._algorithm = self._agreed(self._config)
        self._state = ComponentState.STARTED

    def _stop(self) -> Steps[None]:
        self._state = ComponentState.STOPPED
        run, self._run = self._run, None
        self._stream, self._owed, self._asked = Stream(), [], None
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
            if self.is_partitioned():
                return (yield from self._judge_here(events, wanted, whole=whole))
            judge = self._judge_sequence if whole else self._judge_event
            judged = yield from judge(events, wanted)
            result = result_of(judged, len(events), time.monotonic() - begun)
        except NO_VERDICT as error:
            result = failure_of(error, len(events), time.monotonic() - begun)
        with self._counting:
            self._meter.add(result)
        return result

    def _guarded(self, judging: Steps[Judged]) -> Steps[Judged]:
        """Judge through the breaker, for which a call without a verdict of the members is a failure. Raises
        BreakerError while it is open."""
        begun = time.monotonic()
        with self._counting:
            permit = self._breaker.begin(begun)
        verdict: Verdict | None = None  # None: no member was asked
        late, allowed = False, 0.0
        try:
            judged = yield from judging
            verdict, late = judged.verdict, judged.partial
            allowed = self._wait * (len(judged.pieces) + 1)  # one more for the run's end
        except (GatewayClosed, TimeoutError) as error:
            verdict, late = Verdict.NONE, isinstance(error, TimeoutError)
            raise
        finally:
            now = time.monotonic()
            with self._counting, suppress(BreakerError):  # too slow counts as a failure; the verdict stands
                if verdict is not None:
                    self._meter.ask(now - begun, verdict, late=late)
                if verdict is Verdict.NONE:
                    self._breaker.fail(permit, now)
                else:
                    self._breaker.succeed(permit, now, allowed)
        return judged

    def _first_links(self) -> Steps[None]:
        """Wait for a quorum before the first call: a gateway that was just opened has no links yet."""
        until = time.monotonic() + self._wait
        while not self._linked and self.is_partitioned() and time.monotonic() < until:
            yield LINK_PAUSE
        self._linked = True

    def _judge_sequence(self, events: Sequence[bytes], wanted: Wanted) -> Steps[Judged]:
        began = started_run(events[0])
        named = wanted.thread or (began.thread_id if began is not None else "")
        with self._gateway.events.queues.place(named) as first:
            try:
                yield first
            except TimeoutError:
                raise RunIsLive(f"other sequences of thread {named!r} are judged first") from None
            return (yield from self._guarded(self._judge_run(events, wanted)))

    def _judge_run(self, events: Sequence[bytes], wanted: Wanted) -> Steps[Judged]:
        live = yield from self._begin(wanted)
        try:
            judged: Judged = yield live.judge(events[:CALL_EVENTS_MAX], wait=self._wait)
            for start in range(CALL_EVENTS_MAX, len(events), CALL_EVENTS_MAX):
                if not judged.certified:
                    judged = followed(judged, len(events) - start)
                    break
                some = events[start : start + CALL_EVENTS_MAX]
                judged = joined(judged, (yield live.judge(some, wait=self._wait)))
        finally:
            ending = live.end(wait=self._wait)
        ended: RunEnd = yield ending
        return msgspec.structs.replace(judged, refusal=ended.refusal)

    def _judge_event(self, events: Sequence[bytes], wanted: Wanted) -> Steps[Judged]:
        return (yield from self._guarded(self._judge_next(events, wanted)))

    def _judge_next(self, events: Sequence[bytes], wanted: Wanted) -> Steps[Judged]:
        """Have the members judge the events in `_owed`, then `events`, which get no verdict before the former
        have one."""
        live = yield from self._live(wanted)
        while self._owed:
            earlier = self._asked is not None
            # Kept until its verdict is taken: a cancelled call must not have these events judged twice.
            self._asked = self._asked or live.judge(self._owed, wait=self._wait)
            judged: Judged = yield self._asked
            self._asked = None
            self._owed = self._owed[live.position - judged.position :]
            if self._owed and not earlier:
                return followed(judged, len(events))
        judged = yield live.judge(events, wait=self._wait)
        if judged.certified:
            for text in events:
                self._stream.feed(text)
        return judged

    def _judge_here(self, events: Sequence[bytes], wanted: Wanted, *, whole: bool) -> Steps[ValidationResult]:
        """Judge by the rules in this process, because no quorum is reached; `whole`: the events are a whole
        run. Raises Overloaded if too many events wait for a quorum."""
        if not self._allow_local:
            return failed("DISTRIBUTED_PARTITION", "Too few members are reached to decide.", len(events))
        begun = time.monotonic()
        stream = Stream() if whole else self._stream
        if not whole:
            yield from self._live(wanted)
            if len(self._owed) + len(events) > CALL_EVENTS_MAX or self._owed_bytes > OWED_BYTES_MAX:
                raise Overloaded(f"{len(self._owed)} events already wait for a quorum")
            self._owed += events
        found = [violation for text in events for violation in stream.feed(text).violations]
        self._meter.local.add(time.monotonic() - begun)
        return local_result(found, len(events), time.monotonic() - begun)

    @property
    def _owed_bytes(self) -> int:
        return sum(map(len, self._owed))

    def _live(self, wanted: Wanted) -> Steps[EventRun]:
        if self._run is None:
            self._run = yield from self._begin(wanted)
            self._run_asked = self._chosen(wanted)
        elif wanted.algorithm and self._chosen(wanted) not in (self._run_asked, self._run.algorithm):
            raise RunIsLive(f"the run is judged by {self._run.algorithm}; `stop` ends it")
        return self._run

    def _chosen(self, wanted: Wanted) -> Algorithm | None:
        """The algorithm that a run is to have. Raises AlgorithmNotOffered, ConfigError."""
        if wanted.algorithm is None or self._config is None:
            return wanted.algorithm or self._algorithm
        return self._agreed(self._config, wanted.algorithm)

    def _agreed(self, config: DistributedValidatorConfig, wanted: Algorithm | None = None) -> Algorithm:
        consensus, members = config.consensus_config, self.get_total_nodes()
        return agreed_algorithm(self._gateway.events, consensus, members, wanted)

    def _begin(self, wanted: Wanted) -> Steps[EventRun]:
        """Begin a run, once an earlier one of its names that ends now has ended."""
        while True:
            try:
                return self._gateway.events.begin(
                    wanted.thread or f"anonymous-{secrets.token_hex(8)}",
                    wanted.run or f"run-{secrets.token_hex(8)}",
                    algorithm=self._chosen(wanted),
                    recorded=self._recorded,
                    actor=self._actor,
                )
            except RunIsLive as error:
                if error.ended is None:
                    raise
                ended = error.ended
            yield ended


class DistributedValidator(_Operations):
    """Has events judged by the members, waiting in the caller's thread. Any thread may call
    `validate_sequence`; the rest is for one thread at a time."""

    def start(self) -> None:
        """Raises ValidatorError if it is running."""
        self._start()

    def stop(self) -> None:
        """End the run of `validate_event`, waiting STOP_WAIT at most, then call what was registered, all of
        it; stopping twice is fine. Events that the members have not judged yet stay unjudged. Raises
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
