"""Questions and answers about agent events on the wire: the bodies of the link messages Judge and Judged.

    Judge.body  = [version, epoch, [asked ...]]       a gateway to one member
    asked       = [number, question, [[salt, text] ...], state]
    Judged.body = [version, epoch, turn, [[number, reason] ...]]      the member to that connection

A turn is that of judging.sign_turn, b"" without votes. Votes name their question; an abstention names the
number under which it was asked. Nothing else is signed: a question changed on its way gets a vote on what
arrived, which no certificate of the honest question can hold.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from dtvn.events.judging import CHUNK_EVENTS_MAX, SALT_SIZE, Abstention, Event, Question
from dtvn.protocol import canonical
from dtvn.protocol.consensus.fields import Count, Wire

VERSION = 1
EVENT_BYTES_MAX = 1024 * 1024
"""Longest event that members judge, in bytes of its JSON text."""
CHUNK_BYTES_MAX = 1024 * 1024
"""Most bytes of the events of one question."""
STATE_BYTES_MAX = 256 * 1024
"""Longest state of a run that is sent; ordinary ones have less than 4 KB. A member that lacks a longer one
does not vote on the rest of that run."""
ASKS_MAX = 1_024
"""Most questions of one frame."""
ASKS_BYTES_MAX = 2 * 1024 * 1024
"""Size limit of the body of a Judge; a question of the largest events and state fits."""
ANSWERS_BYTES_MAX = 4 * 1024 * 1024 + 256 * 1024
"""Size limit of the body of a Judged: the largest turn and its abstentions fit."""
ANSWERED_MAX = 4_096
"""Most abstentions of one frame."""

Salt = Annotated[bytes, msgspec.Meta(min_length=SALT_SIZE, max_length=SALT_SIZE)]
Text = Annotated[bytes, msgspec.Meta(max_length=EVENT_BYTES_MAX)]
Form = TypeVar("Form", "Asks", "Answers")
State = Annotated[bytes, msgspec.Meta(max_length=STATE_BYTES_MAX)]


class FormError(ValueError):
    """A body that is not a valid Judge or Judged of this version."""


class Asked(Wire, frozen=True):
    """One question with what a member needs to answer it."""

    number: Count
    """Chosen by the gateway, unique for its connection."""
    question: Question
    events: Annotated[tuple[tuple[Salt, Text], ...], msgspec.Meta(min_length=1, max_length=CHUNK_EVENTS_MAX)]
    state: State = b""
    """Canonical bytes of the rule state that the question names; b"": the member is believed to have it."""

    def chunk(self) -> list[Event]:
        """The events of the question, in order."""
        return [Event(salt, text) for salt, text in self.events]


class Asks(Wire, frozen=True):
    """Body of a Judge: questions from one gateway to one member."""

    version: Count
    epoch: Count
    """Newest epoch that the gateway knows."""
    asks: Annotated[tuple[Asked, ...], msgspec.Meta(min_length=1, max_length=ASKS_MAX)]


class Answers(Wire, frozen=True):
    """Body of a Judged: a member's answers of one turn, for one connection."""

    version: Count
    epoch: Count
    """Epoch that the member is in."""
    turn: bytes
    abstentions: Annotated[tuple[tuple[Count, Abstention], ...], msgspec.Meta(max_length=ANSWERED_MAX)]


def decode_asks(body: bytes) -> Asks:
    """Decode the body of a Judge; raises FormError if it is malformed or over a limit."""
    asks = _decoded(Asks, body, ASKS_BYTES_MAX)
    if any(sum(len(text) for _salt, text in asked.events) > CHUNK_BYTES_MAX for asked in asks.asks):
        raise FormError(f"the events of a question have more than {CHUNK_BYTES_MAX} bytes")
    return asks


def decode_answers(body: bytes) -> Answers:
    """Decode the body of a Judged; raises FormError. The signature of its turn is not checked."""
    return _decoded(Answers, body, ANSWERS_BYTES_MAX)


def _decoded(kind: type[Form], body: bytes, most: int) -> Form:
    if len(body) > most:
        raise FormError(f"{len(body)} bytes, more than {most}")
    try:
        form = canonical.decode(kind, body)
    except canonical.CanonicalError as error:
        raise FormError(str(error)) from None
    if form.version != VERSION:
        raise FormError(f"version {form.version}; this release knows {VERSION}")
    return form
