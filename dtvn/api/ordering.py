"""The path of every ticket operation: build it, have it ordered, return the cluster's decision.

No code here reads a ticket: existence and state are decided by the log (R15), so a platform that lags behind
never gives a false answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from datetime import UTC, tzinfo
from typing import Any

import msgspec

from dtvn.api import outcome
from dtvn.api.errors import InvalidRequest, OutcomeUnknown, Refused, TicketError, Unavailable
from dtvn.api.outcome import Hint, Told
from dtvn.api.times import calendar_time
from dtvn.gateway import (
    DEFAULT_WAIT,
    GatewayClosed,
    GatewayFace,
    OperationTooLarge,
    Overloaded,
    Result,
)
from dtvn.machine import Command, CommandError, build, reasons
from dtvn.machine.commands import NeedsVersion, fit
from dtvn.machine.fields import DEFAULT_EVENT
from dtvn.machine.kinds import KIND_OF
from dtvn.machine.movements import EXIT
from dtvn.machine.rows import LockRow
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation

ANSWER_SLACK = 2.0
"""Seconds that a gateway gets to answer beyond its own wait: it always answers."""

OVERLOADED = "Too many requests are in progress; try again later."

BATCH_OPERATIONS_MAX = 10_000
PIECE = 1_000
"""Operations per bundle; the next piece is sent when this one is decided."""
LATER_WAIT = 5.0
"""Minimum seconds for each later piece: a batch in progress should survive a view change."""
BATCH_SECONDS = 20.0
"""Seconds after which no further piece is started: no HTTP answer takes longer than 30."""
_UNDECIDED = reasons.NOT_SENT | {reasons.OUTCOME_UNKNOWN}


class Request(msgspec.Struct, frozen=True):
    """One requested operation."""

    command: Command
    ticket: str = ""
    event: str = DEFAULT_EVENT
    nonce: bytes = b""
    """Repeating a request with its nonce returns the first outcome (R13)."""
    texts: tuple[str, ...] = ()
    """Codes whose digests the command names, if they are known here; never to be logged or answered."""


class Decision(msgspec.Struct, frozen=True):
    """The cluster's decision about one request, or the reason why it is not known."""

    request: Request
    result: Result
    remark: str = ""
    """Replaces the message of the code: the rule that a malformed request breaks, or what a quorum lacks."""
    zone: tzinfo = UTC
    """The event's, for times in the answer."""
    hint: Hint | None = None
    """Of a code that was not found."""

    @property
    def code(self) -> str:
        """ "ok", or a code of dtvn.machine.reasons."""
        return self.result.code

    @property
    def status(self) -> int:
        """HTTP status."""
        return reasons.REASONS[self.result.code].status

    @property
    def sentence(self) -> str:
        """The outcome as a message."""
        if self.result.code in (reasons.LOCK_HELD, reasons.LOCK_WAITING):
            return _held(self.result, self.remark or reasons.REASONS[self.result.code].sentence)
        if self.hint is not None and self.hint.whose == "gate":
            return self.hint.sentence
        return self.remark or outcome.sentence(self.result.code, self.result.state, self.zone)

    @property
    def told(self) -> Told:
        """The fields of an answer that can be acted on, of an operation on a ticket."""
        kind = KIND_OF[type(self.request.command)]
        if getattr(self.request.command, "kind", "") == EXIT:
            kind = EXIT
        told = outcome.told(kind, self.result.code, self.result.state, self.zone)
        if self.hint is not None and self.hint.whose == "gate":
            return msgspec.structs.replace(told, outcome="error", whose="gate")
        return told

    def check(self, more: Mapping[str, Any] | None = None) -> Decision:
        """Returns this decision if the operation was executed; else raises the exception of its code.
        `more`: further members of that answer."""
        if self.result.code == reasons.OK:
            return self
        error = self._error()
        error.more = dict(more or {})
        raise error

    def _error(self) -> TicketError:
        match self.result.code:
            case reasons.OUTCOME_UNKNOWN:
                return OutcomeUnknown()
            case code if code in reasons.NOT_SENT:
                return Unavailable(self.sentence, code)
            case reasons.BAD_REQUEST:
                return InvalidRequest(self.sentence)
            case code:
                return Refused(code, self.sentence, sequence=self.result.sequence)


def decide(
    network: GatewayFace,
    requests: Sequence[Request],
    *,
    actor: str,
    entry: str | None = None,
    wait: float = DEFAULT_WAIT,
) -> list[Decision]:
    """Have requests ordered unchanged; returns one decision each, after at most `wait` seconds.

    `actor`: the caller's name in the log. `entry`: the member that was addressed; None: the gateway's
    choice. A malformed request is not sent; its decision is `bad_request`; nor is one that a later version of
    the cluster has (R47): `needs_version`. Raises Unavailable when
    too many calls are in flight to send anything.
    """
    entry = entry or network.entry(_balancing_key(requests[0]) if requests else "")
    decisions: list[Decision | None] = []
    operations: list[Operation] = []
    for request in requests:
        try:
            operations.append(fit(_operation(request, actor, entry), network.present.version))
            decisions.append(None)
        except NeedsVersion as error:
            decisions.append(Decision(request, Result(reasons.NEEDS_VERSION), str(error)))
        except CommandError as error:
            decisions.append(Decision(request, Result(reasons.BAD_REQUEST), str(error)))
    results = iter(_outcomes(network, operations, wait) if operations else ())
    return [
        decision or decided(network, request, next(results))
        for request, decision in zip(requests, decisions, strict=True)
    ]


def decide_batch(network: GatewayFace, requests: Sequence[Request], *, actor: str) -> list[Decision]:
    """As `decide` for many requests, in pieces one after the other; pieces after one without an outcome, and
    one that the gateway refuses, are not sent. Raises Unavailable or InvalidRequest if nothing was sent at
    all."""
    begun = time.monotonic()
    decisions: list[Decision] = []
    for start in range(0, len(requests), PIECE):
        gone = time.monotonic() - begun
        if gone > BATCH_SECONDS:
            break
        wait = max(DEFAULT_WAIT - gone, LATER_WAIT)
        try:
            told = decide(network, requests[start : start + PIECE], actor=actor, wait=wait)
        except (Unavailable, InvalidRequest):  # what was decided before it stands
            if not decisions:
                raise
            break
        decisions += told
        if any(decision.code in _UNDECIDED for decision in told):
            break
    rest = requests[len(decisions) :]
    return decisions + [Decision(request, Result(reasons.UNAVAILABLE)) for request in rest]


def decided(network: GatewayFace, request: Request, result: Result) -> Decision:
    """The decision with this result; if nothing was sent for want of a quorum, its remark says so."""
    state = network.agreement() if result.code == reasons.UNAVAILABLE else None
    lacks = state is not None and not state.has_quorum
    return Decision(request, result, f"Nothing was sent. {state.sentence}." if state and lacks else "")


def _balancing_key(request: Request) -> str:
    """The ticket or lock that a request is about, for GatewayFace.entry; "" if it is about neither."""
    return request.ticket or getattr(request.command, "name", "")


def _operation(request: Request, actor: str, entry: str) -> Operation:
    return build(
        request.command,
        ticket=request.ticket,
        event=request.event,
        actor=actor,
        entry=entry,
        nonce=request.nonce,
    )


def _outcomes(network: GatewayFace, operations: list[Operation], wait: float) -> tuple[Result, ...]:
    try:
        future = network.submit(operations, wait=wait)
    except Overloaded as error:
        raise Unavailable(OVERLOADED, reasons.BUSY) from error
    except GatewayClosed as error:
        raise Unavailable from error
    try:
        return future.result(wait + ANSWER_SLACK)
    except Overloaded as error:
        raise Unavailable(OVERLOADED, reasons.BUSY) from error
    except OperationTooLarge as error:
        raise InvalidRequest(str(error), reasons.TOO_LARGE) from error
    except (GatewayClosed, CancelledError, TimeoutError):
        # The gateway's thread ended or hangs: the fate of what it had sent is unknown.
        return (Result(reasons.OUTCOME_UNKNOWN),) * len(operations)


def _held(result: Result, sentence: str) -> str:
    """Appends the end of the present lease to the message."""
    if not result.state:
        return sentence
    row = canonical.decode(LockRow, result.state)
    return f"{sentence.removesuffix('.')}, at present until {calendar_time(row.ends):%Y-%m-%d %H:%M:%S UTC}."
