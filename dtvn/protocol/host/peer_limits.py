"""What each peer may send beyond what is useful: statements, requests and questions (R5, P15).

A limit counts all connections of a peer together. What exceeds it is refused before its signature is checked.
"""

from __future__ import annotations

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now, Reason
from dtvn.protocol.consensus.verified import Header, Peer
from dtvn.protocol.host.rate_limiter import RateLimiter

STATEMENTS_PER_SECOND, STATEMENTS_BURST = 4_096, 8_192
"""Unwanted statements of a member: two full SupplyFrames in most rounds in which it may send them."""

REPEATS_PER_SECOND, REPEATS_BURST = 128, 512
"""Executed requests of a principal that are answered again, over all its connections. After a lost connection
an honest gateway with 512 requests under way asks again for each; what it asks for under overload was
answered, or still waits here and needs no answer (R34)."""

REFUSALS_PER_SECOND, REFUSALS_BURST = 128, 256
"""Requests of a principal that are refused for another reason and answered, over all its connections."""

OPENINGS_PER_SECOND, OPENINGS_BURST = 8, 64
"""Requests of a principal to open a session, over all its connections, whose signature is checked: a client
process needs few."""

EXCESS_PER_SECOND, EXCESS_BURST = 512, 1_024
"""Requests and questions of a principal beyond its limits that are decoded before they are dropped; beyond
that, its link is muted for a moment (decision 0195). An honest gateway exceeds no limit under overload."""

FORWARDED_PER_SECOND, FORWARDED_BURST = 64, 128
"""The same for those of one principal that one member forwards: it repeats all that wait there every half T
(`requests.pool.OPENINGS_MAX`)."""


class PeerLimits:
    """One host's. All times are monotonic nanoseconds."""

    def __init__(self) -> None:
        self._statements = RateLimiter(per_second=STATEMENTS_PER_SECOND, burst=STATEMENTS_BURST)
        self._repeats = RateLimiter(per_second=REPEATS_PER_SECOND, burst=REPEATS_BURST)
        self._refusals = RateLimiter(per_second=REFUSALS_PER_SECOND, burst=REFUSALS_BURST)
        self._openings = RateLimiter(per_second=OPENINGS_PER_SECOND, burst=OPENINGS_BURST)
        self._excess = RateLimiter(per_second=EXCESS_PER_SECOND, burst=EXCESS_BURST)
        self._forwarded = RateLimiter(per_second=FORWARDED_PER_SECOND, burst=FORWARDED_BURST)

    def count_useless(self, peer: Peer, statements: int, when: int) -> None:
        """Count statements that a peer sent and nobody wanted."""
        self._statements.consume(peer.name, statements, when)

    def hears(self, peer: Peer, when: int) -> bool:
        """Whether statements via this peer are read: it did not send too many useless ones."""
        return self._statements.allows(peer.name, when)

    def count_refused(self, peer: Peer, requests: int, when: int) -> None:
        """Count requests of a principal that the core refused after their signatures were checked."""
        self._refusals.consume(peer.name, requests, when)

    def mutes(self, peer: Peer, when: int) -> bool:
        """Count a frame beyond a limit; whether its sender is to be muted for a moment. A member is not: it
        forwards what others sent it."""
        return peer.member is None and not self._excess.takes(peer.name, when)

    def exceeds(self, header: Header, refused: Reason | None, now: Now) -> bool:
        """Whether a request exceeds what the link that it came by may send: executed requests, others that
        the core refuses, before or after their signature is checked, and openings of sessions. One that waits
        here already costs nothing more. Members may forward any number of requests, but not of one
        principal's openings."""
        name, when = header.peer.name, now.monotonic
        opens: bool = header.message.session == m.UNOPENED
        if header.peer.member is not None:
            if refused is not None or not opens:
                return False
            return not self._forwarded.takes(f"{name}/{header.message.principal}", when)
        if refused is Reason.SECOND_MESSAGE:
            return False
        if refused is not None:
            return not (self._repeats if refused is Reason.DECIDED else self._refusals).takes(name, when)
        if not self._refusals.allows(name, when):
            return True
        return opens and not self._openings.takes(name, when)
