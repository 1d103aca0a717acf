"""Has every recorded run of agent events one history, which honest members voted for? (P9, R27)

Reads the agreed log, and of the machine only the form of a record.
"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.events.judging import first_head, next_head, open_vote
from dtvn.machine import Record
from dtvn.machine.commands import check
from dtvn.protocol.consensus.effects import Record as Written
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Unread
from simulator.event_runs import EventRuns
from simulator.node import Node


class OneHistory(Checker):
    """Follows each run from record to record."""

    name = "one-history"

    def __init__(self, runs: EventRuns, history: History) -> None:
        super().__init__(runs.world)
        self._runs = runs
        self._unread = Unread(history)
        self.recorded = 0
        """Number of records that took effect."""
        self.refused = 0
        self._stands: dict[tuple[str, str, str], tuple[bytes, int, bytes | None]] = {}
        """Run -> its head, position and state as recorded."""

    def persisted(self, node: Node, records: Sequence[Written]) -> None:
        """See Checker."""
        for sequence, _bundle, operation, outcome in self._unread.operations():
            if operation.kind != "record":
                continue
            command = check(operation)
            if outcome.code == "ok" and isinstance(command, Record):
                self._recorded(sequence, operation.event, command)
            else:
                self.refused += 1

    def finish(self) -> None:
        """See Checker."""
        for inquiry in self._runs.inquiries:
            for piece in inquiry.pieces:
                vote = piece.decision.certified
                if vote is not None and self._runs.judged[vote.question] != vote:
                    self.fail(f"{vote.question.run}: a certificate of what no honest member voted for")

    def _recorded(self, sequence: int, event: str, record: Record) -> None:
        vote = open_vote(record.certificate.vote)
        asked = vote.question
        head = next_head(record.previous, record.certificate.vote)
        key = event, asked.thread, asked.run
        stood = self._stands.get(key, (first_head(asked.thread, asked.run), 0, None))
        if stood[0] == head:
            return  # a retry
        if self._runs.judged.get(asked) != vote:
            self.fail(f"{asked.run} has a record at {sequence} that no honest member voted for")
        if stood[:2] != (record.previous, asked.position) or stood[2] not in (None, asked.before):
            self.fail(f"{asked.run} has a second history since {sequence}")
        self._stands[key] = head, asked.position + asked.count, vote.after
        self.recorded += 1
