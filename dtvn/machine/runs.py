"""Runs of agent events as the log knows them: how far each is recorded, so that none has two histories.

A record holds the certificate of a chunk that q members of the present epoch voted whole. It continues the
run if its `previous` is the run's head, its vote begins at the run's position, and names the state of the
rules that the last vote left. Only digests are kept: payloads stay with the agent's operator.

At most RUNS_MAX runs are kept. Beyond that, a new run replaces the one recorded longest ago, ended runs
first; a reused name is another run, distinguished by `began`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dtvn.events.judging import (
    Electorate,
    Question,
    VoteCertificate,
    check_certificate,
    first_head,
    next_head,
    open_vote,
)
from dtvn.machine import reasons
from dtvn.machine.membership import Memberships
from dtvn.machine.rows import RunRow
from dtvn.protocol import canonical
from dtvn.protocol.proof_errors import ProofError

RUNS_MAX = 100_000
"""Most runs kept (about 130 MB). Execution depends on this number and the two below."""
ENDED_KEPT = 3_600_000_000
"""Least microseconds of batch time for which a run is kept after its last record if it ended."""
IDLE_KEPT = 24 * ENDED_KEPT
"""The same for a run that did not end."""
CHECKS_MAX = 1_024
"""Most signatures that the records of one batch may hold."""
MEMO_MAX = 4_096

RunKey = tuple[str, bytes]
"""(event, first_head of thread and run), so that long names take no memory."""


class Runs:
    """All recorded runs; calls `touch(key)` for each that changed."""

    def __init__(self, memberships: Memberships, touch: Callable[[RunKey], None]) -> None:
        self._memberships = memberships
        self._touch = touch
        # Both in the order of the last record, which decides what is dropped first.
        self._open: dict[RunKey, RunRow] = {}
        self._ended: dict[RunKey, RunRow] = {}
        self._checks = 0
        self._checked: dict[tuple[bytes, bytes, bytes], bool] = {}
        """Memo of signatures: those under the votes of many runs in one turn are one."""

    def __len__(self) -> int:
        return len(self._open) + len(self._ended)

    def begin(self) -> None:
        """Begin a batch."""
        self._checks = 0

    def row(self, key: RunKey) -> RunRow | None:
        """The run as it stands, None if it is not kept."""
        return self._open.get(key) or self._ended.get(key)

    def record(
        self,
        event: str,
        previous: bytes,
        certificate: VoteCertificate,
        principal: str,
        *,
        ends: bool,
        place: tuple[int, int],
        timestamp: int,
    ) -> tuple[str, bytes]:
        """Apply the operation `record` at `place`, (sequence, index); returns (code, canonical RunRow), with
        the run as it stands if its own principal is refused. `previous`: the head that the chunk follows;
        `ends`: whether it is the run's last."""
        vote = open_vote(certificate.vote)
        start = first_head(vote.question.thread, vote.question.run)
        key = event, start
        run = self.row(key)
        if run is not None and run.principal != principal:
            return reasons.NOT_PERMITTED, b""
        shown = b"" if run is None else canonical.encode(run)
        head = next_head(previous, certificate.vote)
        if run is not None and (run.head, run.ended) == (head, ends):
            return reasons.OK, shown  # a late retry, whose nonce was dropped (R13)
        if not _continues(run, start, previous, vote.question):
            return reasons.NOT_NEXT, shown
        full = run is None and len(self) >= RUNS_MAX
        evicted = self._oldest(timestamp) if full else None
        if full and evicted is None:
            return reasons.FULL, b""
        if (refusal := self._refuse(certificate)) is not None:
            return refusal, shown
        if evicted is not None:
            self._drop(evicted)
        following = RunRow(
            principal,
            place[0] if run is None else run.began,
            *place,
            timestamp,
            vote.question.position + vote.question.count,
            (0 if run is None else run.refused) + len(vote.errors),
            head,
            vote.after,
            ends,
        )
        self._put(key, following)
        self._touch(key)
        return reasons.OK, canonical.encode(following)

    def load(self, rows: Iterable[tuple[RunKey, RunRow]]) -> None:
        """Replace all runs by stored ones, given in any order."""
        self._open.clear()
        self._ended.clear()
        for key, run in sorted(rows, key=lambda item: (item[1].sequence, item[1].index)):
            self._put(key, run)

    def verify(self, public_key: bytes, data: bytes, signature: bytes) -> bool:
        """See judging.Electorate."""
        asked = public_key, data, signature
        if asked not in self._checked:
            if len(self._checked) >= MEMO_MAX:
                self._checked.clear()
            self._checked[asked] = self._memberships.verify(public_key, data, signature)
        return self._checked[asked]

    def _put(self, key: RunKey, run: RunRow) -> None:
        self._open.pop(key, None)
        (self._ended if run.ended else self._open)[key] = run

    def _drop(self, key: RunKey) -> None:
        self._open.pop(key, None)
        self._ended.pop(key, None)
        self._touch(key)

    def _oldest(self, timestamp: int) -> RunKey | None:
        """The run that a new one may replace; None if all must be kept."""
        for kept, runs in ((ENDED_KEPT, self._ended), (IDLE_KEPT, self._open)):
            key = next(iter(runs), None)
            if key is not None and runs[key].timestamp + kept < timestamp:
                return key
        return None

    def _refuse(self, certificate: VoteCertificate) -> str | None:
        """Why the certificate does not hold, as an outcome code."""
        now = self._memberships.now
        if certificate.epoch != now.epoch:
            return reasons.WRONG_EPOCH
        if self._checks + len(certificate.ballots) > CHECKS_MAX:
            return reasons.BUSY
        self._checks += len(certificate.ballots)
        try:
            voters = Electorate(self._memberships.cluster_id, now.epoch, now.members, now.mode, self)
            check_certificate(certificate, voters)
        except ProofError:
            return reasons.NOT_PERMITTED
        return None


def _continues(run: RunRow | None, start: bytes, previous: bytes, question: Question) -> bool:
    """Whether a chunk continues the run, or begins it if `run` is None. `start`: the head of a run without
    chunks."""
    if run is None:
        return (question.position, previous) == (0, start)
    recorded = run.head, run.position, run.state, run.ended
    return recorded == (previous, question.position, question.before, False)
