"""What is known about a judged run: the members' verdicts, call after call, as programs and pages see them.

`scope` is the name of the certificate that an answer rests on: the head of the run after it, 64 hex digits,
which commits to all that was decided about the run so far. It is LOCAL_ONLY where no certificate covers the
events. Then the rules of this process judge them, unless a quorum has voted: its decision stands.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from dtvn.events.judging import (
    REFUSED_BY_FEW,
    Verdict,
    decode_certificate,
    first_head,
    next_head,
    open_vote,
)
from dtvn.events.rules import Severity, Violation
from dtvn.gateway import Given, Judged, JudgedPiece, MemberAnswer, RunEnd
from dtvn.machine import reasons

LOCAL_ONLY = "LOCAL_ONLY"
VIOLATIONS_MAX = 1_000
"""Violations that one answer lists; `omitted` counts the others by rule."""


class Piece(msgspec.Struct, frozen=True):
    """Consecutive events that were judged as a whole; see gateway.JudgedPiece."""

    position: int
    count: int
    verdict: Verdict
    code: str
    text: str
    errors: tuple[str, ...]
    epoch: int
    partial: bool
    scope: str
    members: tuple[MemberAnswer, ...]
    certificate: str
    """In base64; "" without one."""


class EventVerdict(msgspec.Struct, frozen=True):
    """The verdict on one event."""

    index: int
    accepted: bool
    violations: tuple[Violation, ...]
    scope: str


class Denied(msgspec.Struct, frozen=True):
    """What the members decided against events without a certificate for it."""

    index: int
    """Index of the event that most members refuse by the same rule; of several, the first. If fewer than
    f + 1 do, that of the first event that was asked about."""
    code: str
    """That rule, REFUSED_BY_FEW without one, or the failure's rule id if the verdict is NONE."""
    verdict: Verdict
    """INVALID, or NONE if no verdict got enough votes."""
    final: bool
    """Whether all members that were asked have voted, so that no missing vote can change the decision."""


class Findings:
    """Counts the members' answers about one run; keeps no event and no certificate."""

    def __init__(self, thread: str, run: str) -> None:
        self.events = 0
        """Events that certificates cover, refused ones included."""
        self.refused = 0
        self.ignored = 0
        """Events before the first refusal that were dropped, as clients do."""
        self.first_refused: int | None = None
        self.first_code: str | None = None
        """Rule id of that refusal."""
        self.failure = ("", "")
        """Rule id and sentence of the newest piece without a certificate, "" once its events have one."""
        self.denied: Denied | None = None
        """The members' decision against that piece."""
        self.refusal = ("", "")
        """Outcome code and sentence of why the log did not record the run, as a run is recorded once. The
        verdicts stand."""
        self.agreed = False
        """Whether the members found valid all events of the newest call, with certificates or without."""
        self.votes: dict[str, Counter[str]] = {}
        """Member id -> how often it gave which answer."""
        self.violations: list[Violation] = []
        self.omitted: Counter[str] = Counter()
        self.epoch = 0
        self._head = first_head(thread, run)

    @property
    def scope(self) -> str:
        """Name of the newest certificate, at the end of a recorded run of that in the log."""
        return self._head.hex() if self.events else LOCAL_ONLY

    @property
    def delivered(self) -> int:
        """Events accepted before the first refusal."""
        return (self.events if self.first_refused is None else self.first_refused) - self.ignored

    @property
    def code(self) -> str | None:
        """Rule id of the first refusal, else of the members' decision against the newest events."""
        return self.first_code or (self.denied.code if self.denied else None) or None

    @property
    def verdict(self) -> Verdict:
        """INVALID once an event is refused, NONE where the newest events have no verdict."""
        if self.first_refused is not None:
            return Verdict.INVALID
        if self.denied is not None:
            return self.denied.verdict
        missing = (self.failure[0] or not self.events) and not self.agreed
        return Verdict.NONE if missing else Verdict.VALID

    def take(self, judged: Judged) -> tuple[list[Piece], list[EventVerdict]]:
        """Add the answer to one call: its pieces, and the verdicts on the events that certificates cover."""
        by_event = _by_index(judged.violations)
        pieces: list[Piece] = []
        verdicts: list[EventVerdict] = []
        self.failure, self.denied, self.agreed = judged.failure, None, judged.verdict is Verdict.VALID
        for piece in judged.pieces:
            refused = self._take(piece)
            pieces.append(_piece(piece, self.scope if piece.certificate else LOCAL_ONLY))
            if piece.certificate:
                verdicts += self._verdicts(piece, refused, by_event)
        return pieces, verdicts

    def end(self, ended: RunEnd) -> None:
        """Take the end of the run: its head in the log, or why the log did not record it."""
        self.refusal = ended.refusal
        if ended.code == reasons.OK:
            self._head = ended.place.head

    def _take(self, piece: JudgedPiece) -> dict[int, str]:
        """Count a piece. Returns event index -> rule id of each event that its certificate refuses."""
        self.epoch = piece.epoch
        for answer in piece.members:
            self.votes.setdefault(answer.member, Counter())[answer.given.value] += 1
        if not piece.certificate:
            self.denied = _denied(piece)
            return {}
        encoded = decode_certificate(piece.certificate).vote
        refused = {piece.position + place: code for place, code in open_vote(encoded).errors}
        self._head = next_head(self._head, encoded)
        self.events = piece.position + piece.count
        self.refused += len(refused)
        if refused and self.first_refused is None:
            self.first_refused, self.first_code = min(refused.items())
        return refused

    def _verdicts(
        self, piece: JudgedPiece, refused: Mapping[int, str], by_event: Mapping[int, tuple[Violation, ...]]
    ) -> Iterator[EventVerdict]:
        for index in range(piece.position, piece.position + piece.count):
            violations = by_event.get(index, ())
            self._list(violations)
            if self.first_refused is None or index < self.first_refused:
                self.ignored += any(each.code == "UNKNOWN_EVENT_TYPE" for each in violations)
            yield EventVerdict(index, index not in refused, violations, self.scope)

    def _list(self, violations: tuple[Violation, ...]) -> None:
        for violation in violations:
            if len(self.violations) < VIOLATIONS_MAX:
                self.violations.append(violation)
            else:
                self.omitted[violation.code] += 1


def _denied(piece: JudgedPiece) -> Denied | None:
    """The decision of a piece without a certificate against its events; None for a valid one, and if too few
    members have voted."""
    votes = [each for each in piece.members if each.given in (Given.VALID, Given.INVALID)]
    if piece.verdict is Verdict.INVALID:
        refusals = piece.refusals
        nothing = piece.position, REFUSED_BY_FEW
        index, code = min(refusals, key=lambda error: (-refusals[error], error), default=nothing)
        return Denied(index, code, piece.verdict, final=not piece.partial)
    if piece.verdict is Verdict.NONE and len(votes) >= piece.quorum:
        return Denied(piece.position, piece.code, piece.verdict, final=not piece.partial)
    return None


class LocalFinding(msgspec.Struct, frozen=True):
    """What the rules of this process alone say about events that no certificate covers."""

    first_refused: int | None
    code: str | None
    violations: tuple[Violation, ...]


def local_finding(judged: Judged, after: int) -> LocalFinding:
    """The finding on the events from index `after` on."""
    found = tuple(violation for violation in judged.violations if violation.index >= after)
    refusing = [violation for violation in found if violation.severity is Severity.ERROR]
    first = min(refusing, key=lambda violation: violation.index, default=None)
    if first is None:
        return LocalFinding(None, None, found)
    return LocalFinding(first.index, first.code, found)


class Failure(msgspec.Struct, frozen=True):
    """Why events have no verdict, or else why the log did not record the run: code and sentence."""

    code: str
    text: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a run so far; its first members are those of `dtvn validate --json`."""

    valid: bool
    events: int
    delivered: int
    """Events accepted before the first refusal."""
    code: str | None
    """Rule id of the first refusal, or of the members' decision against events without a certificate:
    REFUSED_BY_FEW if fewer than f + 1 members name the same rule."""
    violations: list[Violation]
    omitted: dict[str, int]
    """Violations that are not listed, by rule."""
    scope: str
    id: int
    thread: str
    run: str
    algorithm: str
    verdict: Verdict
    failure: Failure | None
    recorded: str
    """Outcome code of the run's last record in the log; "" if it is not recorded, or has not ended."""
    owed: str
    """Where the platform's rules judged alone (`scope` LOCAL_ONLY): `waiting` for the members' judgement,
    which follows once a quorum answers; `settled`, they have judged; `refused`, they will not: judge it
    again. "" where the members have judged at once."""
    owed_text: str
    """The same as a sentence; "" where nothing is owed."""
    caution: str
    """What a person who chooses this algorithm should know: that one member can deny, say. "": nothing."""


class SequenceReport(Report, frozen=True, kw_only=True):
    """The verdict on the events of one call, with all that a transcript needs besides them."""

    pieces: list[Piece]
    salts: list[str]
    """In base64, of each event that a certificate covers, or will: what waits is judged with these."""


def report_fields(findings: Findings, local: LocalFinding | None, given: int) -> dict[str, Any]:
    """The members of a Report that follow from the findings. `local`: the finding of this process on those of
    the `given` events that have no certificate, None if all have one; it sets the scope LOCAL_ONLY, and
    decides unless a quorum has voted."""
    first, code, violations = findings.first_refused, findings.code, list(findings.violations)
    events, delivered, omitted = findings.events, findings.delivered, findings.omitted
    if local is not None:
        room = max(VIOLATIONS_MAX - len(violations), 0)
        violations += local.violations[:room]
        omitted = omitted + Counter(violation.code for violation in local.violations[room:])
        events = given
        if first is None and not findings.agreed:
            denied = findings.denied
            first, code = (denied.index, denied.code) if denied else (local.first_refused, local.code)
        delivered = (given if first is None else first) - findings.ignored
    unjudged = findings.failure[0]
    failure = findings.failure if unjudged else findings.refusal
    return {
        "valid": is_valid(code, unjudged if local is None else ""),
        "events": events,
        "delivered": delivered,
        "code": code,
        "violations": violations,
        "omitted": dict(omitted),
        "scope": findings.scope if local is None else LOCAL_ONLY,
        "verdict": findings.verdict,
        "failure": Failure(*failure) if failure[0] else None,
    }


def is_valid(code: str | None, failure: str | None) -> bool:
    """Whether a run is valid: no event is refused (`code`), and none lacks its verdict (`failure`). That the
    log did not record the run is no fault of its events."""
    return not code and not failure


def _by_index(violations: tuple[Violation, ...]) -> dict[int, tuple[Violation, ...]]:
    found: dict[int, list[Violation]] = {}
    for violation in violations:
        found.setdefault(violation.index, []).append(violation)
    return {index: tuple(each) for index, each in found.items()}


def _piece(piece: JudgedPiece, scope: str) -> Piece:
    return Piece(
        piece.position,
        piece.count,
        piece.verdict,
        piece.code,
        piece.text,
        piece.errors,
        piece.epoch,
        piece.partial,
        scope,
        piece.members,
        base64.b64encode(piece.certificate).decode(),
    )
