"""A transcript as bytes: the events of one run, and the certificates of its chunks.

    transcript = [version, cluster id, thread, run, rules digest, [event ...], [certificate ...]]
    event      = [digest, salt, text]      salt and text are empty where the event is withheld

The certificates cover all events, chunk after chunk from the run's first event on. To withhold an event is to
leave out its salt and its text; all else stays as it was, and proves as much of the other events.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated

import msgspec

from dtvn.events.judging import (
    CERTIFICATE_BYTES_MAX,
    SALT_SIZE,
    Event,
    decode_certificate,
    event_digest,
    open_vote,
)
from dtvn.protocol import canonical
from dtvn.protocol.consensus.fields import Count, Hash, Text, Wire
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import no_form, opened

VERSION = 1
EVENTS_MAX = 2**18
"""Most events of one transcript."""
A_TRANSCRIPT = "a transcript"

EncodedCertificate = Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)]


class Line(Wire, frozen=True):
    """One event of the run."""

    digest: Hash
    salt: Annotated[bytes, msgspec.Meta(max_length=SALT_SIZE)]
    """SALT_SIZE bytes, or none if the event is withheld."""
    text: bytes
    """As the agent emitted it."""

    @property
    def shown(self) -> bool:
        """Whether the event itself is here."""
        return bool(self.salt)


class Transcript(Wire, frozen=True):
    """One run, from its first event on."""

    version: Count
    cluster: Hash
    """Cluster id."""
    thread: Text
    run: Text
    rules: Hash
    events: Annotated[tuple[Line, ...], msgspec.Meta(min_length=1, max_length=EVENTS_MAX)]
    certificates: Annotated[tuple[EncodedCertificate, ...], msgspec.Meta(min_length=1, max_length=EVENTS_MAX)]
    """Canonical bytes of a VoteCertificate for each chunk."""


def compose(events: Sequence[Event], certificates: Sequence[bytes]) -> Transcript:
    """The transcript of these events; names and rules are those of the first certificate. Nothing is
    verified. Raises ValueError unless there is a certificate and each salt has SALT_SIZE bytes."""
    if not certificates:
        raise ValueError("certificates: a transcript has at least one")
    first = decode_certificate(certificates[0])
    asked = open_vote(first.vote).question
    lines = tuple(Line(event_digest(event), event.salt, event.text) for event in events)
    return Transcript(
        VERSION, first.cluster, asked.thread, asked.run, asked.rules, lines, tuple(certificates)
    )


def withhold(transcript: Transcript, indexes: Collection[int]) -> Transcript:
    """The transcript without salt and text of the events at these indexes."""
    lines = tuple(
        Line(line.digest, b"", b"") if index in indexes else line
        for index, line in enumerate(transcript.events)
    )
    return msgspec.structs.replace(transcript, events=lines)


def encode_transcript(transcript: Transcript) -> bytes:
    """Canonical bytes of a transcript."""
    return canonical.encode(transcript)


def decode_transcript(data: bytes) -> Transcript:
    """The transcript in these bytes, not yet checked; raises ProofError. The caller bounds their number."""
    transcript = opened(Transcript, data, A_TRANSCRIPT)
    if transcript.version != VERSION:
        said = f"{A_TRANSCRIPT} of version {transcript.version}; this verifier knows {VERSION}"
        raise ProofError(Code.UNKNOWN_VERSION, "transcript", said)
    if not all(len(line.salt) == SALT_SIZE or not (line.salt or line.text) for line in transcript.events):
        raise no_form(A_TRANSCRIPT)
    return transcript
