"""Verdicts of the rules of one process alone, for which the members owe a judgement: values, and how the two
verdicts differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from dtvn.events.judging import Verdict, decode_certificate, open_vote
from dtvn.events.rules import Severity, Violation
from dtvn.gateway.events_face import NO_CERTIFICATE, Given, Judged, JudgedPiece, MemberAnswer, RunPlace
from dtvn.gateway.validator_answers import ValidationResult


class OwedEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of an owed run."""

    index: int
    """In the run."""
    salt: bytes
    text: bytes
    here: str | None
    """Rule id by which the rules here refused it, "" if they accepted it; None if they were not asked,
    because the members had certified it before."""


class OwedRun(msgspec.Struct, frozen=True):
    """Consecutive events of a run that only the rules here have judged, up to its newest."""

    id: int
    thread: str
    run: str
    algorithm: str
    """"": the cluster's choice."""
    recorded: bool | None
    place: RunPlace | None
    """Where the run stood before these events; None at its beginning."""
    made: datetime
    """When the first of them was judged here, UTC."""
    events: tuple[OwedEvent, ...] = ()


class OwedSummary(msgspec.Struct, frozen=True):
    """An owed run without its events."""

    id: int
    thread: str
    run: str
    made: datetime
    events: int
    bytes: int
    """Of the texts of these events."""


class Difference(msgspec.Struct, frozen=True):
    """An event on which the rules here and the members do not agree; "" is the rule id of an accepted one."""

    index: int
    here: str
    members: str


class SettledRun(msgspec.Struct, frozen=True):
    """An owed run that the members have judged."""

    id: int
    thread: str
    run: str
    made: datetime
    """When it was judged here, UTC."""
    settled: datetime
    """When the members had judged it, UTC."""
    position: int
    """Index in the run of the first of `events`."""
    events: tuple[bytes, ...]
    """Their JSON texts."""
    here: dict[int, str]
    """Index -> rule id of each event that the rules here refused."""
    result: ValidationResult
    """The members', with certificates and salts: it takes the place of the one that was LOCAL_ONLY."""
    differences: tuple[Difference, ...]

    @property
    def differs(self) -> bool:
        """Whether the members say otherwise than the rules here."""
        return bool(self.differences)


def refused_here(violations: Iterable[Violation]) -> dict[int, str]:
    """Index -> rule id of each event that these violations refuse, by the first of them."""
    found: dict[int, str] = {}
    for each in violations:
        if each.severity is Severity.ERROR:
            found.setdefault(each.index, each.code)
    return found


def refused_by_members(pieces: Iterable[JudgedPiece]) -> dict[int, str]:
    """Index -> rule id of each event that the members refuse. Where too few votes are equal for a
    certificate, a piece that they do not find valid counts as refused at its first event."""
    found: dict[int, str] = {}
    for piece in pieces:
        if piece.certificate:
            errors = open_vote(decode_certificate(piece.certificate).vote).errors
            found |= {piece.position + place: code for place, code in errors}
        elif piece.verdict != "valid":
            found[piece.position] = next(iter(piece.errors), piece.code) or NO_CERTIFICATE
    return found


class _Decided(Protocol):
    """A JudgedPiece, or the platform's form of it."""

    @property
    def partial(self) -> bool: ...
    @property
    def members(self) -> tuple[MemberAnswer, ...]: ...


def is_final(piece: _Decided, quorum: int) -> bool:
    """Whether a piece without a certificate would get the same decision again: all members that were asked
    have voted, and they are a quorum, of this size."""
    return not piece.partial and _votes(piece) >= quorum


def is_unanswered(judged: Judged) -> bool:
    """Whether a call has no verdict since fewer members than a quorum have voted on its last piece: nobody
    has decided anything. Where a quorum has voted and differs, that is the members' decision."""
    if judged.verdict is not Verdict.NONE:
        return False
    last = judged.pieces[-1] if judged.pieces else None
    return last is None or (not last.certificate and _votes(last) < last.quorum)


def _votes(piece: _Decided) -> int:
    return sum(each.given in (Given.VALID, Given.INVALID) for each in piece.members)


def differences(
    here: Mapping[int, str], members: Mapping[int, str], indexes: Iterable[int]
) -> tuple[Difference, ...]:
    """The events among `indexes` that one side refuses and the other does not, or for another rule."""
    both = ((index, here.get(index, ""), members.get(index, "")) for index in indexes)
    return tuple(Difference(*each) for each in both if each[1] != each[2])
