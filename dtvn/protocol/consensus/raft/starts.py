"""Starts of members: the own one, and those of others whose ledgers may be older than their words (R11, R44).

A member whose ledger is not behind its witness votes at once, and asks the others meanwhile. Two cases are
left. A peer may know a newer process under this key, and refuses the link: then this one has no vote, and its
next one is named with a higher incarnation than the peer knows, or its vote could never return. And a peer
may hold a COMMIT or CHECKPOINT of another member above the newest one that this names when it starts: then
nothing counts that it votes for, until it has compared what the peer holds with its ledger.
"""

from __future__ import annotations

from typing import Protocol

from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.consensus.ledger_tail import LedgerTail
from dtvn.protocol.consensus.messages import Hello, Ping
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.voting import Voting
from dtvn.protocol.probes import probe

SKIPPED = "raft_incarnations_skipped"
"""Name of the state record with the number that is added to the ledger's incarnation."""


class Held(Protocol):
    """The statements that this member holds."""

    def newest_of(self, member: int) -> int:
        """Index of the newest statement of a member; 0 if there is none."""


class Starts:
    """Owns the incarnation that this member names, and the members whose votes do not count."""

    def __init__(self, state: State, voting: Voting) -> None:
        self.state = state
        self.voting = voting
        self.held: Held
        """Set by the parts: what holds statements votes too, and needs `doubted`."""
        self.incarnation = 0
        self.newest = 0
        """Index of the newest own statement when this process started."""
        self._skipped = 0
        self.doubted: set[int] = set()
        """Members that have not compared their ledgers with what is held here."""

    def restore(self, tail: LedgerTail) -> None:
        """Takes the own incarnation from the ledger."""
        for record in tail.states:
            if record.name == SKIPPED:
                self._skipped = canonical.decode(int, record.value)
        self.incarnation = tail.incarnation + self._skipped
        self.newest = max(self.held.newest_of(self.state.index or 0), self.state.log.stable)

    @property
    def claim(self) -> tuple[int, int]:
        """Incarnation, 0 without a vote, and `newest`: what the next Hello names."""
        return (self.incarnation if self.state.voting else 0), self.newest

    def on_hello(self, member: int, hello: Hello) -> None:
        """A peer refuses this process, for it knows a newer one; or another process of `member` is heard."""
        if not hello.known:
            if hello.newest < self.held.newest_of(member) and member not in self.doubted:
                probe("raft.start_doubted")
                self.doubted.add(member)
            return
        if hello.known >= self.incarnation:
            self._skipped += hello.known + 1 - self.incarnation
            self.incarnation = hello.known + 1
            self.state.outbox.persist(StateRecord(SKIPPED, canonical.encode(self._skipped)))
        if self.state.voting:
            probe("raft.other_process")
            self.voting.lose("another process with its key is known to other members")

    def on_ping(self, member: int, ping: Ping) -> None:
        """A member that votes asks for nothing more: its ledger holds all that it was shown."""
        if ping.voting and not ping.mine:
            self.doubted.discard(member)
