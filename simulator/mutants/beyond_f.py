"""Clusters that tolerate no liar, clusters with more liars than tolerated, and quotas: R11, R23, R24."""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.mutants.registry import replaces
from simulator.seams import Contradictions, LogServer, Pinging


@replaces(Pinging, "begin", "others-not-awaited", "R11", world="older-disk")
def others_not_awaited(right: Any, self: Pinging, tail: Any) -> None:
    """A starting member of a cluster with f = 0 votes when a quorum has answered, though other members may
    know its statements."""
    right(self, tail)
    self._quorum_suffices = True


@replaces(Pinging, "begin", "unused-disk-not-doubted", "R11", world="unused-disk")
def unused_disk_not_doubted(right: Any, self: Pinging, tail: Any) -> None:
    """An empty ledger votes at once where f = 0, as if there could have been no earlier one."""
    right(self, tail)
    if self.state.voting_right.holding and not (tail.slots or tail.entries or tail.checkpoint):
        self.state.voting_right.mode = "voting"


@replaces(Pinging, "on_pong", "word-of-a-lost-ledger-counts", "R11", world="older-and-lost-disk")
def lost_word_counts(right: Any, self: Pinging, verified: Any) -> None:
    """A starting member of a cluster with f = 0 takes the answer of one that lost its ledger for that of one
    which knows its statements."""
    message = msgspec.structs.replace(verified.message, remembers=True)
    right(self, msgspec.structs.replace(verified, message=message))


@replaces(Contradictions, "compare", "goes-on-after-a-fork", "R24", world="forked")
def goes_on_after_a_fork(*_arguments: Any) -> None:
    """A certificate for a sequence that is already stable is not compared."""


@replaces(Contradictions, "restore", "forgets-the-fork", "R24", world="forked")
def forgets_the_fork(*_arguments: Any) -> None:
    """A node that stopped because certificates exclude each other continues after its next start."""


@replaces(Contradictions, "ask", "fork-taken-for-bad-page", "R23 R24", world="forked")
def bad_page(*_arguments: Any) -> Any:
    """A log that does not continue the node's own is blamed on its source: no further question is asked."""
    return False


@replaces(LogServer, "_has_news", "no-announcements", "R23 R45 P15", world="many-learners")
def no_announcements(*_arguments: Any) -> bool:
    """Who has no place at a node's log hears nothing of it, and asks for nothing."""
    return False
