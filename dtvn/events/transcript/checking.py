"""What a transcript proves, from its bytes and the members of each epoch alone.

Every digest of an event that is shown is computed again, every signature is checked, and each chunk must
continue the one before it: in place, in the state of the rules, in its names. So a refusal names the event or
the chunk that was altered. An end that was cut off between two chunks cannot be detected; therefore
`CheckedRun.end` says whether the run had ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from dtvn.events.judging import (
    Certified,
    Electorate,
    Event,
    RunPoint,
    check_certificate,
    decode_certificate,
    event_digest,
    first_head,
    next_head,
)
from dtvn.events.rules import Limits, Phase, RunState
from dtvn.events.transcript.form import Transcript
from dtvn.events.transcript.inclusion import run_root
from dtvn.protocol import canonical, quorum
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import shown

REFUSED_SHOWN = 10
"""Most refused events that get a sentence each."""
VOTES = (
    "It shows votes, not the record of the log, which may hold another history of the run: the head",
    "must be one that a platform of the cluster lists in `records` of GET /api/v1/events/runs/{id}.",
)
SINCE = "It says what was emitted and judged, not when, and nothing of what came later."


def state_of(phase: Phase) -> bytes:
    """Digest of the rule state of a run with nothing open."""
    state = RunState(Limits())
    state.phase = phase
    return state.digest()


START = state_of(Phase.NEW)
"""State before the first event of every run. A release that changes the form of states adds its own to this
one, and to ENDS: transcripts are older than releases."""
ENDS = {
    state_of(Phase.FINISHED): "the run ended with RUN_FINISHED",
    state_of(Phase.ERRORED): "the run ended with RUN_ERROR",
}
OPEN = "the run had not ended: there may be more of it"

Electorates = Callable[[int], Electorate]
"""Epoch -> its members; raises ProofError for one that is not known."""


class CheckedRun(msgspec.Struct, frozen=True):
    """What a checked transcript proves."""

    thread: str
    run: str
    rules: bytes
    root: bytes
    """`run_root` of all events."""
    head: bytes
    """Head of the run after its last chunk, as the ordered log records it."""
    events: int
    withheld: int
    refused: tuple[tuple[int, str], ...]
    """(index of the event, rule id of its first error), ascending."""
    chunks: tuple[Certified, ...]
    end: str
    """How the run ended: one of ENDS, or OPEN."""

    def sentences(self) -> Iterator[str]:
        """Yields the result as lines of text for the user."""
        verdict = f"{len(self.refused)} refused" if self.refused else "all valid"
        held = f", {self.withheld} withheld" if self.withheld else ""
        counted = f"{_counted(self.events, 'event')}, {verdict}{held}"
        yield f"run {shown(self.run)} of thread {shown(self.thread)}: {counted}"
        for index, code in self.refused[:REFUSED_SHOWN]:
            yield f"event {index} was refused: {code}"
        if len(self.refused) > REFUSED_SHOWN:
            yield f"... and {len(self.refused) - REFUSED_SHOWN} more"
        for epoch in sorted({chunk.epoch for chunk in self.chunks}):
            yield self._signed(epoch)
        yield self.end
        yield f"head {self.head.hex()}, root {self.root.hex()}, rules {self.rules.hex()}"
        yield from VOTES
        yield SINCE

    def _signed(self, epoch: int) -> str:
        chunks = [chunk for chunk in self.chunks if chunk.epoch == epoch]
        names = ", ".join(sorted({name for chunk in chunks for name in chunk.signers}))
        least, members = min(len(chunk.signers) for chunk in chunks), chunks[0].members
        liars = quorum.liars_words(members, chunks[0].mode)
        signed = f"{_counted(len(chunks), 'chunk')} of epoch {epoch} signed by {names}"
        return f"{signed}: each by at least {least} of {members} members, {liars}"


def check_transcript(transcript: Transcript, cluster: bytes, electorates: Electorates) -> CheckedRun:
    """Checks a decoded transcript against the members of a cluster; raises ProofError naming the place."""
    if transcript.cluster != cluster:
        said = "the transcript is of another cluster than this chain"
        raise ProofError(Code.OTHER_CLUSTER, "transcript", said)
    for index, line in enumerate(transcript.events):
        if line.shown and event_digest(Event(line.salt, line.text)) != line.digest:
            said = f"event {index} is not the one that its digest names"
            raise ProofError(Code.WRONG_EVENT, f"event {index}", said)
    digests = [line.digest for line in transcript.events]
    chunks = tuple(_chunks(transcript, digests, electorates))
    votes = [chunk.vote for chunk in chunks]
    return CheckedRun(
        thread=transcript.thread,
        run=transcript.run,
        rules=transcript.rules,
        root=run_root(digests),
        head=_head(transcript, chunks),
        events=len(digests),
        withheld=sum(not line.shown for line in transcript.events),
        refused=tuple((vote.question.position + at, code) for vote in votes for at, code in vote.errors),
        chunks=chunks,
        end=ENDS.get(votes[-1].after, OPEN),
    )


def _head(transcript: Transcript, chunks: tuple[Certified, ...]) -> bytes:
    head = first_head(transcript.thread, transcript.run)
    for chunk in chunks:
        head = next_head(head, canonical.encode(chunk.vote))
    return head


def _chunks(transcript: Transcript, digests: list[bytes], electorates: Electorates) -> Iterator[Certified]:
    """Yields each chunk once its certificate is checked and it continues the one before; raises ProofError,
    also for events that no certificate covers."""
    point = RunPoint(transcript.thread, transcript.run, 0, START, transcript.rules)
    for number, data in enumerate(transcript.certificates):
        place = f"chunk {number}, from event {point.position}"
        try:
            certificate = decode_certificate(data)
            found = check_certificate(certificate, electorates(certificate.epoch))
        except ProofError as error:
            raise ProofError(error.code, f"{place}, {error.place}", f"{place}: {error}") from error
        question = found.vote.question
        _check_continues(point, found, digests, place)
        point = point.after(question, found.vote.after)
        yield found
    if point.position < len(digests):
        place = f"event {point.position}"
        raise ProofError(Code.WRONG_CHUNK, place, f"no certificate covers {place} and those after it")


def _check_continues(point: RunPoint, found: Certified, digests: list[bytes], place: str) -> None:
    """Raises ProofError unless the chunk follows `point`, and its events are those of the transcript."""
    asked = found.vote.question
    events = digests[point.position : point.position + asked.count]
    due = point.question(events)
    for field, what in (
        ("thread", "it is of another thread"),
        ("run", "it is of another run"),
        ("rules", "it was judged by other rules"),
        ("position", f"it begins at event {asked.position}"),
        ("before", "it does not continue the state of the run before it"),
        ("chunk", "its events are not those that were judged"),
    ):
        if getattr(asked, field) != getattr(due, field):
            raise ProofError(Code.WRONG_CHUNK, place, f"{place}: {what}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
