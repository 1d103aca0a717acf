"""Linearizable reads without an entry in the log (R18; Ongaro 2014, 6.4).

A reader needs the index up to which anything was decided before its question, from a member that still was
the leader then. So the leader answers only once a majority has answered a round of AppendEntries that began
after the question; no clock takes part. Followers hear each other's COMMITs and may decide, and answer
callers, before the leader does. But all that is decided is in the leader's log: it answers with the end of
its log, once that is decided. Questions that come in during a round wait for the next one.
"""

from __future__ import annotations

from collections.abc import Set

import msgspec

from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import READ_INDEX, Answer, AppendEntriesResult, Query
from dtvn.protocol.consensus.raft.elections import Elections
from dtvn.protocol.consensus.raft.replication import Replication
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Peer, Verified

NOT_LEADER = "not_leader"
"""Code of the answer of a member that does not lead."""
WAITING_MAX = 1_024
"""Most questions that wait at once; a further one is refused, and its sender asks again."""

Asked = tuple[Peer, int]
"""Who asked, and the number of the question."""


class Reads:
    """Owns the questions that wait for a round of this leader."""

    def __init__(
        self, state: State, elections: Elections, replication: Replication, doubted: Set[int]
    ) -> None:
        """`doubted`: members whose answers do not count (`starts`)."""
        self.state = state
        self._doubted = doubted
        self.elections = elections
        self.replication = replication
        self._next: list[Asked] = []
        """Questions for the next round."""
        self._open: list[Asked] = []
        """Questions of the round that runs."""
        self._index = 0
        """The end of this leader's log when the round began."""
        self._confirmed: set[int] = set()
        """Members that answered the round that runs."""

    def refuse(self, query: Query, _member: int | None) -> Reason | None:
        """Returns why not to take a Query, or None: the host answers all others."""
        if query.what != READ_INDEX:
            return Reason.WRONG_KIND
        return Reason.BUSY if len(self._next) >= WAITING_MAX else None

    def on_query(self, verified: Verified[Query]) -> None:
        """A reader asks for the index that it must have applied."""
        asked = verified.peer, verified.message.number
        if not self.elections.leads:
            self._answer(asked, NOT_LEADER, "")
            return
        self._next.append(asked)
        if not self._open:
            self._begin()

    def _begin(self) -> None:
        self._open, self._next = self._next, []
        self._index = self.replication.log.last
        self._confirmed = set()
        self.replication.begin_round()
        self.look()

    def on_result(self, verified: Verified[AppendEntriesResult]) -> None:
        """A member answered this leader."""
        message, member = verified.message, verified.peer.member
        current = message.term == self.state.views.view and message.round == self.replication.round
        if member is None or member in self._doubted:
            return
        if self._open and current and self.elections.leads:
            self._confirmed.add(member)
            self.look()

    def look(self) -> None:
        """Ends the round if a majority has answered and the log is decided up to where it ended."""
        if (
            not self._open
            or len(self._confirmed) + 1 < self.state.q
            or self.replication.decided < self._index
        ):
            return
        text = msgspec.json.encode({"sequence": self._index}).decode()
        for asked in self._open:
            self._answer(asked, "", text)
        self._open = []
        if self._next:
            self._begin()

    def leave_term(self) -> None:
        """This member leads no more: readers ask another one."""
        for asked in (*self._open, *self._next):
            self._answer(asked, NOT_LEADER, "")
        self._open, self._next = [], []

    def _answer(self, asked: Asked, code: str, text: str) -> None:
        peer, number = asked
        self.state.outbox.answer(peer, self.state.signer.link(Answer(number, code, text)))
