"""What a validator says about a chunk of a run: a vote, which is a pure function of the question it answers.

A question names all that the rules read: the run, the place of the chunk in it, the state of the rules before
it, the events and the rules themselves. An honest validator therefore stores nothing and cannot contradict
itself; two different votes of one member on one question convict it (evidence.py). Cluster, epoch and member
are under the signature of the turn (turns.py). Warnings are no part of a vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Protocol

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus.fields import Count, Hash, Text, Wire

CHUNK_EVENTS_MAX = 256
"""Most events of one question; more are asked as several chunks. It bounds a vote, and so a certificate."""
SALT_SIZE = 16
VOTE_BYTES_MAX = 32 * 1024
"""A vote with the longest names and as many errors as events takes less."""

ErrorCode = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
"""Rule id of a violation of severity error. A last line feed is let through, as the log has always read it:
who refused it would execute a recorded certificate otherwise than members before."""
EventCount = Annotated[int, msgspec.Meta(ge=1, le=CHUNK_EVENTS_MAX)]
Place = Annotated[int, msgspec.Meta(ge=0, lt=CHUNK_EVENTS_MAX)]
"""Index of an event in its chunk, from 0."""


class Question(Wire, frozen=True):
    """The named inputs of a vote."""

    thread: Text
    run: Text
    position: Count
    """Number of events of the run before this chunk, refused ones included."""
    count: EventCount
    before: Hash
    """Digest of the run's rule state before the first event."""
    chunk: Hash
    """`chunk_digest` of the events."""
    rules: Hash
    """Digest of the rules and their settings."""


class Vote(Wire, frozen=True):
    """The verdict of the rules on one question."""

    question: Question
    after: Hash
    """Digest of the rule state after the last event; refused events change no state."""
    errors: Annotated[tuple[tuple[Place, ErrorCode], ...], msgspec.Meta(max_length=CHUNK_EVENTS_MAX)]
    """(index in the chunk, rule id of its first error) of each refused event, ascending."""

    @property
    def valid(self) -> bool:
        """Whether no event of the chunk is refused."""
        return not self.errors


class Abstention(StrEnum):
    """Why a validator gives no vote."""

    OTHER_RULES = "other_rules"
    STATE_UNKNOWN = "state_unknown"
    """The state at hand is not the one that the question names; the gateway may send that one."""
    OTHER_EVENTS = "other_events"
    """The events at hand are not those that the question names."""
    OTHER_EPOCH = "other_epoch"
    """The asker and the member are in different epochs; the asker may ask again."""
    NOT_PERMITTED = "not_permitted"
    """The asker may not ask."""
    FAILED = "failed"
    """The rules broke on these events, which is a fault of this release."""


class Abstains(ValueError):
    """No vote can be given; `reason` says why."""

    def __init__(self, reason: Abstention) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event as the agent emitted it."""

    salt: bytes
    """16 random bytes, so that the digest of a short event does not give it away."""
    text: bytes
    """UTF-8 bytes of its JSON text."""


class JudgedRun(Protocol):
    """A run with its rules and its state, as far as voting needs them."""

    def rules_digest(self) -> bytes:
        """32 bytes that name the rules and their settings."""

    def state_digest(self) -> bytes:
        """32 bytes that name the state of the rules now."""

    def feed(self, text: bytes) -> str:
        """Judge the next event: rule id of its first error, or "", and the state advances."""


def event_digest(event: Event) -> bytes:
    """Digest of one event; raises ValueError if its salt does not have 16 bytes."""
    if len(event.salt) != SALT_SIZE:
        raise ValueError(f"salt: {len(event.salt)} bytes, not {SALT_SIZE}")
    return canonical.tagged_digest("dtvn/events/v1/event", event.salt, event.text)


def chunk_digest(digests: Sequence[bytes]) -> bytes:
    """Merkle root over the digests of a chunk's events, so that one event is shown without the others."""
    return canonical.merkle_root(digests)


def cast_vote(question: Question, events: Sequence[Event], run: JudgedRun) -> Vote:
    """The vote on `question`; `run` has then judged its events. Raises Abstains, and leaves `run` unchanged,
    if events, state or rules are not those that the question names."""
    if run.rules_digest() != question.rules:
        raise Abstains(Abstention.OTHER_RULES)
    if run.state_digest() != question.before:
        raise Abstains(Abstention.STATE_UNKNOWN)
    if len(events) != question.count or chunk_digest([event_digest(e) for e in events]) != question.chunk:
        raise Abstains(Abstention.OTHER_EVENTS)
    codes = [run.feed(event.text) for event in events]
    errors = tuple((index, code) for index, code in enumerate(codes) if code)
    return Vote(question, run.state_digest(), errors)


def vote_leaf(encoded: bytes) -> bytes:
    """Leaf of a vote in the tree of its turn: H(0x00, canonical bytes)."""
    return canonical.digest(b"\x00" + encoded)


def is_well_formed(vote: Vote) -> bool:
    """Whether the errors name events of the chunk, each at most once and in order."""
    places = [place for place, _code in vote.errors]
    return places == sorted(set(places)) and (not places or places[-1] < vote.question.count)


def first_difference(votes: Sequence[Vote]) -> int:
    """Index of the first event that these votes on one question judge differently; 0 if they differ only in
    the state after the chunk, which does not say where."""
    first: Vote = votes[0]
    places = [
        min(set(first.errors) ^ set(other.errors))[0] for other in votes[1:] if other.errors != first.errors
    ]
    return min(places, default=0)
