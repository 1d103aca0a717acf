"""Runs of agent events judged by the members' votes: what `Gateway.events` offers, and what it answers.

    run = gateway.events.begin("thread-1", "run-1", algorithm=Algorithm.PBFT, actor="proxy")
    judged = run.judge([b'{"type":"RUN_STARTED","threadId":"thread-1","runId":"run-1"}']).result()
    print(judged.verdict, judged.violations, judged.pieces[0].certificate)
    print(run.end().result().code)

Any thread may call it. Futures are `concurrent.futures.Future`; `asyncio.wrap_future` makes them awaitable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from enum import StrEnum
from typing import Protocol

import msgspec

from dtvn.events.config import Algorithm
from dtvn.events.judging import NO_DECISIONS, DecisionRule, Promise, Verdict
from dtvn.events.rules import Violation, quoted
from dtvn.gateway.thread_queues import ThreadQueues
from dtvn.machine.reasons import NOT_NEXT, NOT_PERMITTED, RUN_REFUSED

NAME_MAX = 1_024
"""Most characters in the name of a run or thread."""
CALL_EVENTS_MAX = 4_096
"""Most events of one call of `judge`."""
VERDICT_WAIT = 5.0
"""Seconds after which a chunk is decided with the votes at hand."""
NO_CERTIFICATE = "NO_CERTIFICATE"
"""Rule id of a verdict that too few equal votes prove."""
STATE_DIFFERS = "STATE_DIFFERS"
"""`JudgedPiece.code` if the certified rule state is not the one computed here, as between releases."""


class Given(StrEnum):
    """What a member said to a question."""

    VALID = "valid"
    INVALID = "invalid"
    ABSTAINED = "abstained"
    SILENT = "silent"
    """It was asked, and time ran out before it answered. Runs that earlier releases kept have it for
    NOT_WAITED_FOR too."""
    NOT_WAITED_FOR = "not_waited_for"
    """It was asked, and the decision was made without its answer, before the time was out."""
    CONTRADICTED = "contradicted"
    """It gave two different votes, of which neither counts; `Events.evidence` convicts it."""
    NOT_ASKED = "not_asked"


class MemberAnswer(msgspec.Struct, frozen=True, gc=False):
    """One member's answer about one piece."""

    member: str
    """Member id."""
    given: Given
    errors: tuple[tuple[int, str], ...] = ()
    """(index of the event in the run, rule id) of each event that its vote refuses."""
    reason: str = ""
    """Why it abstained: a value of judging.Abstention."""


class JudgedPiece(msgspec.Struct, frozen=True, gc=False):
    """Consecutive events of a run that were judged as a whole. A call has several pieces if its events are
    many, or where votes differed."""

    position: int
    """Index in the run of its first event."""
    count: int
    verdict: Verdict
    code: str
    """Rule id of the failure if the verdict is NONE (NO_QUORUM, PBFT_NO_CONSENSUS, ...), else ""."""
    text: str
    """Sentence of that failure, or of a refusal without a certificate, else ""."""
    errors: tuple[str, ...]
    """Each rule id of an invalid verdict once, by its first event. Without a certificate those that f + 1
    members name for the same event: what fewer name, liars could have invented (`members` has it)."""
    certificate: bytes
    """Canonical bytes of the VoteCertificate; b"" if not enough equal votes came."""
    epoch: int
    members: tuple[MemberAnswer, ...]
    """All members of the epoch, by index."""
    quorum: int
    """How many of them are a quorum."""
    believable: int
    """How many must name the same error before it is given as a reason: f + 1."""
    partial: bool
    """Whether time ran out before all that were asked had answered."""

    @property
    def refusals(self) -> Counter[tuple[int, str]]:
        """(index of the event in the run, rule id) -> how many members name it; only those that f + 1 members
        name."""
        named = Counter(error for answer in self.members for error in answer.errors)
        return Counter({error: count for error, count in named.items() if count >= self.believable})


class Judged(msgspec.Struct, frozen=True):
    """The answer to one call of `EventRun.judge`."""

    thread: str
    run: str
    algorithm: Algorithm
    position: int
    """Index in the run of the call's first event."""
    pieces: tuple[JudgedPiece, ...]
    """In order. If the last one has no certificate, the events after it were not judged: the run stands
    before that piece, and the caller may give its events again."""
    violations: tuple[Violation, ...]
    """What this process's own rules find, with the index in the run. The members sign only index and code
    of each refused event."""
    salts: tuple[bytes, ...]
    """The salt of each event, 16 bytes; a transcript needs them."""
    refusal: tuple[str, str] = ("", "")
    """That of the run's end, where it is known: see RunEnd."""

    @property
    def verdict(self) -> Verdict:
        """INVALID if a piece is; else NONE if an event has no verdict; else VALID."""
        verdicts = {piece.verdict for piece in self.pieces}
        if Verdict.INVALID in verdicts:
            return Verdict.INVALID
        judged = sum(piece.count for piece in self.pieces)
        return Verdict.NONE if Verdict.NONE in verdicts or judged < len(self.salts) else Verdict.VALID

    @property
    def certified(self) -> bool:
        """Whether certificates cover all events of the call."""
        return sum(piece.count for piece in self.pieces if piece.certificate) == len(self.salts)

    @property
    def partial(self) -> bool:
        """Whether time ran out for a piece before all that were asked had answered."""
        return any(piece.partial for piece in self.pieces)

    @property
    def failure(self) -> tuple[str, str]:
        """Code and sentence of why events have no certificate, or else of why the log did not record the run;
        ("", "") if neither."""
        if self.certified:
            return self.refusal
        last = self.pieces[-1] if self.pieces else None
        if last is not None and not last.certificate:
            return last.code or NO_CERTIFICATE, last.text or "Too few votes are equal."
        return (last and last.code) or NO_DECISIONS, (last and last.text) or "No member has voted."

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """Those of the pieces that have one, in order."""
        return tuple(piece.certificate for piece in self.pieces if piece.certificate)


class RunPlace(msgspec.Struct, frozen=True):
    """The place in a run from which another process can continue it."""

    position: int
    """Number of events before it, refused ones included."""
    state: bytes
    """Canonical bytes of the rule state, at most a few KB."""
    head: bytes
    """Head of the run there (judging.next_head over its certificates), 32 bytes."""


class Recorded(msgspec.Struct, frozen=True):
    """Events of a run that the ordered log covers from now on."""

    thread: str
    run: str
    position: int
    """Index in the run of the first event."""
    count: int
    """At most 256. Several chunks that were judged since the last record are judged again as one: thus one
    record a second is enough for a run. The verdict is the same, since a vote is a pure function."""
    certificate: bytes
    """The one that the log holds; these certificates, not those of the pieces, make the transcript of a
    recorded run."""
    head: bytes
    """Head of the run after it, as the log has it."""
    sequence: int
    index: int
    timestamp: int
    """Batch time, Unix microseconds."""


class RunEnd(msgspec.Struct, frozen=True):
    """The answer to `EventRun.end`."""

    run: str
    place: RunPlace
    code: str
    """"ok" if all events with a verdict are recorded; else the code that stopped it: `outcome_unknown`
    or `unavailable` in time of trouble, `not_next` if the log has another history of this run,
    `not_permitted`, ... "" for a run that is not recorded, or has no event with a certificate."""

    @property
    def refusal(self) -> tuple[str, str]:
        """Outcome code and sentence by which the log did not take the run; ("", "") if it did, or its outcome
        is not known. The verdicts on its events stand."""
        return refusal_of(self.code, self.run)


def refusal_of(code: str, run: str) -> tuple[str, str]:
    """See RunEnd.refusal."""
    return (code, _NOT_TAKEN[code].format(quoted(run))) if code in RUN_REFUSED else ("", "")


_NOT_TAKEN = {
    NOT_NEXT: "Run {} was recorded before; a run is recorded once. Its events were judged and are not "
    "recorded again: give each attempt a runId of its own, or have it judged with recorded false.",
    NOT_PERMITTED: "The log does not record run {} from this writer: another one has recorded a run of this "
    "name, or this one lacks the capability `record`. Its events were judged: use another runId or thread, "
    "or have it judged with recorded false.",
}


class VoteEvidenceFile(msgspec.Struct, frozen=True):
    """Evidence that a member cast two contradicting votes on one question."""

    member: str
    epoch: int
    data: bytes
    """The encoded evidence, which `judging.convict` checks."""


class EventRun(Protocol):
    """One run, written by this process alone. Calls are carried out in their order."""

    @property
    def thread(self) -> str: ...

    @property
    def run(self) -> str: ...

    @property
    def algorithm(self) -> Algorithm: ...

    @property
    def position(self) -> int:
        """Number of events that have a certificate: the index of the next event."""

    @property
    def place(self) -> RunPlace:
        """After the last recorded event; for a run that is not recorded, after the last certificate."""

    def judge(
        self, texts: Sequence[bytes], *, salts: Sequence[bytes] = (), wait: float = VERDICT_WAIT
    ) -> Future[Judged]:
        """Have the run's next events judged, given as the UTF-8 bytes of their JSON texts. `salts`: 16
        random bytes for each; (): drawn here. Each chunk of at most 256 events is decided within `wait`
        seconds.

        Raises ValueError for no events, more than CALL_EVENTS_MAX, one over EVENT_BYTES_MAX or wrong salts,
        RunEnded after `end`, Overloaded if too many events wait, GatewayClosed; the future raises
        GatewayClosed.
        """

    def end(self, *, wait: float = VERDICT_WAIT) -> Future[RunEnd]:
        """Have what waits judged, record the rest with the run's end, and forget the run: at the latest when
        the waits of all open calls and `wait` seconds have passed. A second call returns the same future."""


class EventFigures(msgspec.Struct, frozen=True):
    """What a gateway counted since it was opened."""

    live: int
    """Runs that have begun and not ended."""
    calls: dict[str, int]
    """Calls of `judge` that were answered, by verdict."""
    events: dict[str, int]
    """Events that they named, by the verdict on their piece; those after a piece without certificate are in
    none."""
    answers: dict[str, dict[str, int]]
    """Member id -> value of Given -> pieces."""
    seconds: float
    """Sum of the calls' durations."""
    answered: dict[str, int]
    """Member id -> questions that it answered, late answers included."""
    unanswered: dict[str, int]
    """Member id -> questions that it left without an answer."""
    error_rates: dict[str, float]
    """Member id -> share of its last 20 questions that it left without an answer; not for fewer than five."""

    awaited: dict[str, int]
    """Member id -> questions whose answer may still come."""

    def asked(self, member: str) -> int:
        """Number of questions to this member, without those whose answer is still awaited."""
        return self.answered.get(member, 0) + self.unanswered.get(member, 0)

    def failed(self, member: str) -> int:
        """Number of those that it left without an answer or contradicted itself on."""
        contradicted = self.answers.get(member, {}).get(Given.CONTRADICTED.value, 0)
        return self.unanswered.get(member, 0) + contradicted


def check_names(thread: str, run: str) -> None:
    """Raises ValueError for names that no run can have."""
    for field, name in (("thread", thread), ("run", run)):
        if not 0 < len(name) <= NAME_MAX:
            raise ValueError(f"{field}: {len(name)} characters, not 1 to {NAME_MAX}")


class RunEnded(ValueError):
    """`end` was called before."""


class RunIsLive(ValueError):
    """This gateway is writing a run of this thread and name already. `ended`: the future of that run's end,
    after which it may begin again; None while nobody has asked it to end."""

    ended: Future[RunEnd] | None = None


class Events(Protocol):
    """Judging by the members of the present epoch."""

    on_evidence: Callable[[], None] | None
    """Called in the gateway's thread when `evidence` has grown: it must not block."""

    @property
    def queues(self) -> ThreadQueues:
        """Where sequences of one thread wait for each other; `begin` does not."""

    def offered(self) -> tuple[Algorithm, ...]:
        """The algorithms by which this cluster can decide."""

    def promises(self) -> dict[str, Promise]:
        """What each algorithm promises in this cluster, by its name: those first that are offered."""

    def rule(self, algorithm: Algorithm | None = None) -> DecisionRule:
        """The rule by which runs with `algorithm` are decided (None: runs that name none). Raises
        AlgorithmNotOffered, ConfigError."""

    def begin(
        self,
        thread: str,
        run: str,
        *,
        algorithm: Algorithm | None = None,
        drop_unknown: bool = False,
        recorded: bool | None = None,
        on_recorded: Callable[[Recorded], None] | None = None,
        event: str = "default",
        actor: str = "events",
        place: RunPlace | None = None,
    ) -> EventRun:
        """A run to be judged from its first event on, or from `place` on.

        `algorithm`: None means that of the cluster's log, pbft or raft. `recorded`: whether certified heads
        are recorded in the ordered log, once a second and at the run's end; None: for these. `on_recorded`
        hears of each record, in the gateway's thread: it must not block. `event`, `actor`: those of the
        records; the gateway's principal needs the capability `record` in that event. `drop_unknown`: events
        are read as by the official client, which drops what the protocol does not know.

        Raises AlgorithmNotOffered, RunIsLive, ValueError for a name that is empty or over 1,024 characters
        or a `place` that is not one, TooManyStreams, GatewayClosed.
        """

    def live(self) -> int:
        """Number of runs that have begun and not ended."""

    def figures(self) -> EventFigures:
        """What this gateway has counted."""

    def evidence(self) -> tuple[VoteEvidenceFile, ...]:
        """What convicts members that contradicted themselves, each member once in an epoch."""
