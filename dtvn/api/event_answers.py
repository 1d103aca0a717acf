"""Shapes of answers about judged runs, as the platform keeps them."""

from __future__ import annotations

import msgspec

from dtvn.events.judging import Promise, Verdict
from dtvn.events.rules import Severity
from dtvn.gateway import Difference, MemberAnswer


class KeptViolation(msgspec.Struct, frozen=True):
    """A rule that an event broke."""

    index: int
    code: str
    severity: Severity
    field: str | None


class KeptRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as far as certificates cover it."""

    id: int
    thread: str
    run: str
    algorithm: str
    actor: str
    status: str
    """open, ended, or lost: the process that wrote it is gone."""
    verdict: Verdict
    events: int
    delivered: int
    refused: int
    code: str | None
    failure: str | None
    """Rule id, where the newest events have no verdict; outcome code, where the log refused the run."""
    scope: str
    recorded: bool
    record_code: str
    epoch: int
    votes: dict[str, dict[str, int]]
    """How often each member gave which answer, by member id."""
    violations: list[KeptViolation]
    omitted: dict[str, int]
    pieces_left_out: int
    owed: str
    """`waiting`: the platform's rules judged it alone, and the members will; `settled`: they have since;
    `refused`: they will not. "" where the members judged it at once."""
    here_at: str | None
    """When the platform's rules judged alone."""
    here_code: str | None
    """Rule id of their first refusal then; None if they refused nothing, or never judged alone."""
    here_events: int | None
    """Number of its events with those that wait for the members; None unless `owed` is `waiting`."""
    here_valid: bool | None
    """Whether the platform's rules found all of these valid; None unless `owed` is `waiting`."""
    settled_at: str | None
    """When the members had judged it."""
    differs: bool
    """Whether the members said otherwise than the platform's rules."""
    differences: list[Difference]
    """The first events on which they did."""
    created_at: str
    changed_at: str
    ended_at: str | None


class KeptPiece(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive events that were judged as a whole."""

    id: int
    position: int
    count: int
    verdict: Verdict
    code: str
    text: str
    errors: list[str]
    epoch: int
    partial: bool
    scope: str
    members: list[MemberAnswer]
    certificate: str
    """In base64; "" without one."""


class KeptRecord(msgspec.Struct, frozen=True):
    """Events that the ordered log covers."""

    position: int
    count: int
    head: str
    sequence: int
    index: int
    timestamp: int
    """Batch time, Unix microseconds."""


class KeptExcerpt(msgspec.Struct, frozen=True):
    """An event that broke a rule, and its neighbours, each with its index."""

    index: int
    message: str
    before: list[tuple[int, str]]
    text: str
    after: tuple[int, str] | None


class RunDetails(KeptRun, frozen=True, kw_only=True):
    """A run with its newest pieces and records."""

    pieces: list[KeptPiece]
    pieces_kept: int
    records: list[KeptRecord]
    excerpts: list[KeptExcerpt]
    """In memory of the process that judged them, so often empty."""
    caution: str
    """What a person who chooses this algorithm should know; "" for nothing."""


class EventsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What this platform judges, and its bounds."""

    algorithms: list[str]
    """Those that the cluster offers."""
    algorithm: str
    """The one of a run that names none."""
    cautions: dict[str, str]
    """What a person who chooses an algorithm should know, by algorithm."""
    promises: dict[str, Promise]
    """What each algorithm of the contract promises in this cluster, those first that it offers."""
    open: int
    """Runs that this process writes now."""
    owed: int
    """Runs that wait for the members' judgement."""
    event_bytes_max: int
    call_events_max: int
    request_events_max: int
    request_bytes_max: int
    idle_seconds: float
    """A run without a call for so long is ended."""
