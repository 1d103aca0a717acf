"""Link messages of Raft (R44): votes, and entries of a leader's log."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from dtvn.protocol.consensus.fields import Count, Wire


class RequestVote(Wire, frozen=True):
    """Raft (R44): the sender, to whom `term` belongs, asks for votes; `pre`: asks only whether it would get
    them (Ongaro 2014, 9.6)."""

    first_form: ClassVar[int] = 7

    epoch: Count
    term: Count
    last: Count
    """Index of its last entry."""
    last_term: Count
    """That entry's own term; 0 if it came in a snapshot and is not known."""
    executed: Count
    pre: bool
    clock: Count
    """The time that the sender goes by, Unix microseconds (R3): no ground to refuse a vote."""
    transfer: bool = False
    """The leader of the term before told the sender to campaign (Ongaro 2014, 3.10). Later field."""


class RequestVoteResult(Wire, frozen=True):
    """Answer to a RequestVote for `term`."""

    epoch: Count
    term: Count
    pre: bool
    granted: bool
    current: Count
    """The term that the sender is in."""


class AppendEntries(Wire, frozen=True):
    """Raft: entries of the leader of `term` after index `previous`, as batch bodies; none: a heartbeat."""

    first_form: ClassVar[int] = 6

    epoch: Count
    term: Count
    previous: Count
    previous_term: Count
    """That entry's own term; `term` if the leader does not know it any more."""
    bodies: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=64)]
    executed: Count
    round: Count = 0
    """The leader's newest round of its term, which it began to confirm that it leads (R18). Later field."""


class AppendEntriesResult(Wire, frozen=True):
    """Answer to AppendEntries. `matches`: the sender's log equals the leader's up to `last`; otherwise the
    leader continues after `last`."""

    first_form: ClassVar[int] = 6

    epoch: Count
    term: Count
    """The term that the sender is in."""
    matches: bool
    last: Count
    executed: Count
    clock: Count
    """The time that the sender goes by, Unix microseconds (R3)."""
    round: Count = 0
    """That of the AppendEntries. Later field."""


class TimeoutNow(Wire, frozen=True):
    """Raft: the leader of `term` stops on purpose; the receiver, which has all of its log, shall campaign at
    once (Ongaro 2014, 3.10)."""

    epoch: Count
    term: Count
