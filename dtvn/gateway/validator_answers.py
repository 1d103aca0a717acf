"""What a DistributedValidator answers (contract 2.1, 2.8, 2.9, 5.1). Values and pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import partial

import msgspec

from dtvn.events.asking import EVENT_BYTES_MAX
from dtvn.events.balancing import BreakerError, TooManyStreams
from dtvn.events.config import Algorithm, ConfigError, ConsensusConfig
from dtvn.events.judging import (
    NO_DECISIONS,
    PARTIAL_DECISIONS,
    AlgorithmNotOffered,
    Verdict,
    decision_rule,
)
from dtvn.events.rules import SUGGESTIONS, Severity, Violation, refused
from dtvn.gateway.calls import Overloaded
from dtvn.gateway.events_face import Events, Judged, JudgedPiece, RunIsLive
from dtvn.gateway.face import GatewayClosed
from dtvn.protocol import partitions
from dtvn.protocol.consensus.membership import Membership

EventText = bytes | str
"""An event as its JSON text."""
LOCAL_ONLY = "LOCAL_ONLY"
"""Rule id of the mark on a verdict of the rules in this process alone."""
NOT_OWED = "NOT_OWED"
"""Rule id of the warning that the members will not judge such a verdict later."""
NO_VERDICT = (BreakerError, GatewayClosed, Overloaded, TimeoutError, TooManyStreams, ValueError)
"""Exceptions that end a call without a verdict: its result says why."""


class Wanted(msgspec.Struct, frozen=True):
    """The run that a call names; "" and None leave the choice to the validator."""

    thread: str
    run: str
    algorithm: Algorithm | None


class Owing(StrEnum):
    """Whether the members owe a judgement for a result, and for how long that is remembered."""

    NOTHING = ""
    """They have judged, or no verdict was given at all."""
    ON_DISK = "on_disk"
    """Until they have judged, whatever happens to this process."""
    IN_MEMORY = "in_memory"
    """Until they have judged, or this process ends."""
    REFUSED = "refused"
    """It found no place in the queue: have the events judged again."""


class NodeState(IntEnum):
    """State of a member as this validator sees it."""

    ACTIVE = 0
    PARTITIONED = 1
    """Unreachable, and listed so in the active partition."""
    FAILED = 2
    SYNCING = 3
    """It enters a new epoch."""


class ComponentState(IntEnum):
    """State of a validator."""

    UNKNOWN = 0
    INITIALIZED = 1
    STARTED = 2
    STOPPED = 3
    ERROR = 4
    """Its start was refused, or what was to run at its stop has failed."""


class ComponentHealth(IntEnum):
    """Health in one word."""

    UNKNOWN = 0
    HEALTHY = 1
    DEGRADED = 2
    """It decides, and a member is not reached or a breaker not closed."""
    UNHEALTHY = 3


class ConnectionStatus(IntEnum):
    """State of the link to one member."""

    UNKNOWN = 0
    """No such link."""
    CONNECTED = 1
    DISCONNECTED = 2
    CONNECTING = 3
    ERROR = 4
    """There never was a connection, and a handshake has failed."""


class NodeInfo(msgspec.Struct, frozen=True):
    """One member."""

    id: str
    address: str
    state: NodeState
    last_heartbeat: datetime | None
    """When it last answered about itself, UTC; None: never."""
    validation_count: int
    """Questions of this validator that it was asked."""
    error_rate: float
    """Share of them, 0 to 1, that it left unanswered or answered twice differently."""
    response_time_ms: float
    """Milliseconds, whole, that its newest answer about itself took; 0 before the first."""
    load: float
    """Share of one processor, 0 to 1, that it used between its two newest answers about itself; 0 before the
    second."""


class NodeHealth(msgspec.Struct, frozen=True):
    """One member's health."""

    healthy: bool
    score: float
    """0 to 1; 0 if it is not reached."""
    response_time_ms: float
    issues: tuple[str, ...]


class Health(msgspec.Struct, frozen=True):
    """The cluster's health."""

    healthy: bool
    active_nodes: int
    total_nodes: int
    consensus_healthy: bool
    """Whether the members reached can decide."""
    network_healthy: bool
    """Whether every member is reached, and no circuit breaker is open."""
    issues: tuple[str, ...]

    @property
    def status(self) -> ComponentHealth:
        """The same in one word."""
        if not self.healthy:
            return ComponentHealth.UNHEALTHY
        return ComponentHealth.HEALTHY if self.network_healthy else ComponentHealth.DEGRADED


class PartitionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One partition of the network, with all members that were unreachable since it was detected."""

    id: str
    detected_at: datetime
    """UTC."""
    reachable_nodes: tuple[str, ...]
    unreachable_nodes: tuple[str, ...]
    affected_nodes: tuple[str, ...]
    """All members, the reachable ones first."""
    type: partitions.PartitionType
    """The side on which this process is, by the number of members that it reaches."""
    severity: partitions.Severity
    """Critical also once it lasts longer than `max_partition_duration`."""
    recovery_strategy: partitions.RecoveryStrategy
    recovered_at: datetime | None
    """UTC; None while it is active."""
    is_active: bool
    requires_operator: bool
    """Whether only `resolve_partition` ends it."""
    resolved_by: str
    """The operator that ended it; "": none."""
    messages: tuple[str, ...]
    """What is wrong: "lost contact with 2 nodes", "operating in minority partition", "recovery failed: state
    synchronization error"."""


def partition_info(info: partitions.PartitionInfo) -> PartitionInfo:
    """What the watch knows of a partition, for callers."""
    recovered = info.recovered_at
    return PartitionInfo(
        id=info.id,
        detected_at=datetime.fromtimestamp(info.detected_at / 1e9, UTC),
        reachable_nodes=info.reachable_nodes,
        unreachable_nodes=info.unreachable_nodes,
        affected_nodes=info.affected_nodes,
        type=info.type,
        severity=info.severity,
        recovery_strategy=info.recovery_strategy,
        recovered_at=None if recovered is None else datetime.fromtimestamp(recovered / 1e9, UTC),
        is_active=info.is_active,
        requires_operator=info.requires_operator,
        resolved_by=info.resolved_by,
        messages=info.messages,
    )


class Metrics(msgspec.Struct, frozen=True):
    """Counts and means of the calls of one validator since it was made."""

    total_validations: int
    error_count: int
    """Calls that the members found invalid in time."""
    timeout_count: int
    """Calls whose time ran out before all members that were asked had answered."""
    error_rate: float
    success_rate: float
    total_duration: float
    """Seconds of all of these."""
    avg_latency_ms: float
    throughput: float
    """Validations a second."""
    local_fallbacks: int
    """Calls that the rules judged in this process alone; the figures above leave them out."""
    avg_local_validation_latency_ms: float
    """Mean of these."""
    owed: int
    """Results of these that wait for the members' judgement."""
    owed_settled: int
    """Owed runs that the members have judged."""
    owed_differences: int
    """Those of them on which they said otherwise."""
    consensus_operations: int
    """Calls for which members were asked."""
    consensus_failures: int
    """Those of them without a verdict."""
    avg_consensus_time_ms: float
    current_leader: str
    """Member id of the believed primary; "" while it is not reached."""
    active_nodes: int
    average_load: float
    """Mean load of these."""
    messages_sent: int
    messages_received: int
    """Frames on the gateway's links to the members since it last dialled them."""
    network_errors: int
    """Questions about their status that members left unanswered."""
    avg_network_latency_ms: float
    """Mean of the reached members' newest answers to these; 0 before the first."""
    cpu_usage: float
    """Processors that this process used on average since the validator was made; 1 is one whole."""
    memory_usage: int
    """Bytes of this process in memory; 0 where the system does not say."""
    thread_count: int


class ValidationResult(msgspec.Struct, frozen=True):
    """The verdict on the events of one call."""

    is_valid: bool
    errors: tuple[Violation, ...]
    """What refused an event, by the members or by the rules here; before these, why events have no verdict
    or no certificate. Where the members find all valid, that is a warning."""
    warnings: tuple[Violation, ...]
    event_count: int
    duration: float
    """Seconds."""
    certified: bool
    """Whether certificates of the members cover all events."""
    certificates: tuple[bytes, ...] = ()
    salts: tuple[bytes, ...] = ()
    """The salt of each event, 16 bytes; a transcript needs them."""
    timed_out: bool = False
    """Whether time ran out before all members that were asked had answered."""
    pieces: tuple[JudgedPiece, ...] = ()
    """What each member answered, by consecutive events that were judged as a whole."""
    owing: Owing = Owing.NOTHING
    """Whether the members owe a judgement for this verdict, which is then LOCAL_ONLY."""
    owed_id: int = 0
    """Number of the owed run in `get_owed` and `get_settled`; 0 if nothing is owed."""
    timestamp: datetime = msgspec.field(default_factory=partial(datetime.now, UTC))
    """When it was made, UTC."""


def agreed_algorithm(
    events: Events, config: ConsensusConfig, present: Membership, wanted: Algorithm | None = None
) -> Algorithm:
    """The configured algorithm, or the one that a call wants instead. Raises AlgorithmNotOffered or
    ConfigError if this cluster does not decide by it, or decides by fewer votes than are configured."""
    rule = decision_rule(config, len(present.members), present.mode, wanted)
    votes = events.rule(rule.algorithm).needed
    if rule.needed > votes:
        raise ConfigError(
            f"the gateway decides by {votes} votes, not by {rule.needed}: open it with these as `judging`"
        )
    return rule.algorithm


def failed(code: str, message: str, events: int = 0, duration: float = 0.0) -> ValidationResult:
    """A result without a verdict, whose only error is this reason."""
    reason = Violation(0, code, Severity.ERROR, None, message, "")
    return ValidationResult(False, (reason,), (), events, duration, certified=False)


def failure_of(error: Exception, events: int, duration: float) -> ValidationResult:
    """The result of a call that this exception ended."""
    result = failed(_code_of(error), str(error), events, duration)
    return msgspec.structs.replace(result, timed_out=isinstance(error, TimeoutError))


def _code_of(error: Exception) -> str:
    """The rule id of a call that this exception ended."""
    match error:
        case BreakerError() | AlgorithmNotOffered():
            return str(error.code)
        case ConfigError():
            return AlgorithmNotOffered.code
        case RunIsLive():
            return "DISTRIBUTED_LOCK_FAILED"
        case TooManyStreams():
            return "TOO_MANY_RUNS"
        case _:
            return NO_DECISIONS


def texts_of(events: Sequence[EventText | None]) -> tuple[list[bytes], ValidationResult | None]:
    """(JSON texts as bytes, None) of a caller's events; or a result that names each that is no text, or is
    too long."""
    wrong: list[Violation] = []
    texts: list[bytes] = []
    for index, event in enumerate(events):
        if event is None:
            said = f"Event {index} is None."
            wrong.append(Violation(index, "NULL_EVENT", Severity.ERROR, None, said, ""))
        elif isinstance(event, str | bytes):
            text = event if isinstance(event, bytes) else event.encode("utf-8", "surrogatepass")
            texts.append(text)
            if len(text) > EVENT_BYTES_MAX:
                said = f"Event {index} has {len(text)} bytes; members judge up to {EVENT_BYTES_MAX}."
                wrong += refused(index, "EVENT_TOO_LARGE", said).violations
        else:
            said = f"Event {index} is a {type(event).__name__}, not its JSON text."
            wrong += refused(index, "NOT_JSON", said).violations
    if not wrong:
        return texts, None
    return [], ValidationResult(False, tuple(wrong), (), len(events), 0.0, certified=False)


def local_result(
    violations: Sequence[Violation], events: int, duration: float, *, owing: Owing, owed_id: int, refusal: str
) -> ValidationResult:
    """The verdict of the rules in this process alone, marked LOCAL_ONLY; the mark says whether the members
    owe a judgement. `refusal`: why it found no place in the queue, "" if it did."""
    errors = tuple(each for each in violations if each.severity is Severity.ERROR)
    warnings = tuple(each for each in violations if each.severity is Severity.WARNING)
    text = f"Judged in this process alone: too few members are reached to decide. {_OWED[owing]}"
    marks = [Violation(0, LOCAL_ONLY, Severity.WARNING, None, text, "")]
    if refusal:
        advice = "Have these events judged again once a quorum is reached."
        marks.append(Violation(0, NOT_OWED, Severity.WARNING, None, f"{refusal}.", advice))
    return ValidationResult(
        not errors,
        errors,
        (*marks, *warnings),
        events,
        duration,
        certified=False,
        owing=owing,
        owed_id=owed_id,
    )


_OWED = {
    Owing.NOTHING: "",
    Owing.ON_DISK: "The members judge it once a quorum is reached, also if this process ends meanwhile.",
    Owing.IN_MEMORY: "The members judge it once a quorum is reached, if this process still runs then.",
    Owing.REFUSED: "The members will not judge it later.",
}


def joined(judged: Judged, following: Judged) -> Judged:
    """The answers to two calls of one run, one after the other, as one."""
    return msgspec.structs.replace(
        judged,
        pieces=judged.pieces + following.pieces,
        violations=judged.violations + following.violations,
        salts=judged.salts + following.salts,
    )


def followed(judged: Judged, unasked: int) -> Judged:
    """The answer to a call of which the last `unasked` events were not asked about: they have no verdict."""
    return msgspec.structs.replace(judged, salts=judged.salts + (b"",) * unasked)


def result_of(judged: Judged, events: int, duration: float) -> ValidationResult:
    """The result of one call about so many events. What the rules here find against a valid verdict are
    warnings: those of the members may be of another release."""
    valid = judged.verdict is Verdict.VALID
    reason = [*_reason(judged)]
    own = [each for each in judged.violations if each.severity is Severity.ERROR]
    warnings = [each for each in judged.violations if each.severity is Severity.WARNING]
    if judged.partial:
        said = "Time ran out before all members that were asked had answered."
        warnings.insert(0, Violation(judged.position, PARTIAL_DECISIONS, Severity.WARNING, None, said, ""))
    errors: list[Violation] = []
    if valid:
        warnings += [msgspec.structs.replace(each, severity=Severity.WARNING) for each in (*reason, *own)]
    else:
        errors += [*reason, *own, *_refused_by_members(judged, {each.code for each in own})]
    return ValidationResult(
        valid,
        tuple(errors),
        tuple(warnings),
        events,
        duration,
        judged.certified,
        judged.certificates,
        judged.salts,
        judged.partial,
        judged.pieces,
    )


def _reason(judged: Judged) -> Iterator[Violation]:
    """Why events have no certificate, at the first of them, or why the log did not record the run; nothing if
    neither."""
    code, text = judged.failure
    if code:
        covered = 0 if judged.certified else sum(piece.count for piece in judged.pieces if piece.certificate)
        yield Violation(judged.position + covered, code, Severity.ERROR, None, text, "")


def _refused_by_members(judged: Judged, known: set[str]) -> Iterator[Violation]:
    """Each rule id of a piece's verdict that is not in `known`, at the first event refused by it."""
    for piece in judged.pieces:
        for code in piece.errors:
            index = min((at for at, each in piece.refusals if each == code), default=piece.position)
            said = "Members refuse this event; the rules here do not."
            if code not in known:
                yield Violation(index, code, Severity.ERROR, None, said, SUGGESTIONS.get(code, ""))
