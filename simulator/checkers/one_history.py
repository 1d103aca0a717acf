"""Has every recorded run of agent events one history, with certificates of its time that hold? (P9, R27)

Reads the agreed log, and of the machine only the form of a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from dtvn.events.judging import Vote, first_head, next_head
from dtvn.machine import Record
from dtvn.machine.commands import check
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import Record as Written
from simulator.checkers.base import Checker
from simulator.checkers.history import History, Unread
from simulator.checkers.honest_quorum import HonestQuorum
from simulator.node import Node
from simulator.world import World


class Standing(msgspec.Struct, frozen=True):
    """How far a run is recorded."""

    principal: str
    head: bytes
    position: int
    state: bytes
    ended: bool


class OneHistory(Checker):
    """Follows each run from record to record."""

    name = "one-history"

    def __init__(self, world: World, history: History, votes: HonestQuorum) -> None:
        super().__init__(world)
        self._history = history
        self._votes = votes
        self._unread = Unread(history)
        self.recorded = 0
        """Number of records that took effect."""
        self.heads: set[bytes] = set()
        """Head of its run after each of these records."""
        self.refused: Counter[str] = Counter()
        """Number of refused records by their code."""
        self._stands: dict[tuple[str, str, str], Standing] = {}
        """By event, thread and run."""

    def persisted(self, node: Node, records: Sequence[Written]) -> None:
        """See Checker."""
        for sequence, bundle, operation, outcome in self._unread.operations():
            if operation.kind != "record":
                continue
            command = check(operation)
            if outcome.code == "ok" and isinstance(command, Record):
                self._recorded(sequence, bundle.principal, operation.event, command)
            else:
                self.refused[outcome.code] += 1

    def _recorded(self, sequence: int, principal: str, event: str, record: Record) -> None:
        where, vote = f"the record at {sequence}", canonical.decode(Vote, record.certificate.vote)
        asked = vote.question
        key = event, asked.thread, asked.run
        following = Standing(
            principal,
            next_head(record.previous, record.certificate.vote),
            asked.position + asked.count,
            vote.after,
            record.ends,
        )
        stood = self._stands.get(key)
        if stood == following:
            return  # a retry, which changes nothing, whatever its certificate
        self._votes.check(record.certificate, where)
        if record.certificate.epoch != self._epoch_of(sequence):
            self.fail(f"{where} has a certificate of epoch {record.certificate.epoch}")
        first = principal, first_head(asked.thread, asked.run), 0, asked.before, False
        before = first if stood is None else msgspec.structs.astuple(stood)
        if before != (principal, record.previous, asked.position, asked.before, False):
            self.fail(f"{asked.run} of {before[0]} has a second history since {sequence}, of {principal}")
        self._stands[key] = following
        self.heads.add(following.head)
        self.recorded += 1

    def _epoch_of(self, sequence: int) -> int:
        return max(each.epoch for each in self._history.epochs if each.after < sequence or not each.epoch)
