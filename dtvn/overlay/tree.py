"""Which peer brings the log: Plumtree (Leitao, Pereira and Rodrigues, SRDS 2007) on a totally ordered log
(R28, R45; the port is consensus.sources).

One peer, the *source*, pushes entries (the paper's eager link); the others announce how far they are (lazy).
What differs from the paper follows from the order: a message is a sequence, so "which ones do I miss" is one
number, and of all eager links one upwards is enough. Five rules:

1. *Missing.* What another peer announced and the source did not bring within GRACE is asked of the announcer.
2. *Graft and prune.* If others brought OVERTAKEN_MAX entries in a row while the source brought fewer in time,
   or if the source was late as often, the bringer or announcer becomes the source; the old one is asked to
   announce only. One more entry proves nothing: under load every announcer wins some races by milliseconds.
3. *Belief.* A claim is worth what it brought: a peer that was asked for what it announced and did not bring
   it is not asked again for a while, which doubles each time.
4. *Referral.* A peer without a place is left for another; after REFERRALS_MAX of them in a row a member is
   asked. While nobody has a place, announcements are followed at once, so that nobody starves.
5. *Lead.* Each peer is sometimes first with what proves itself: an entry, or a head of a member, of which
   new ones are signed every five seconds. A peer that is below this one in the tree, or in a loop with it, or
   shows an old log, never is. So those that were first lately are preferred, and a source that was not for
   STALE is left for one that was; if none was, for a member.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dtvn.protocol.consensus.sources import RENEW, RENEW_LAZY, Ask

__all__ = ["GRACE", "Tree"]

GRACE = 300_000_000
"""Nanoseconds that the source has to bring what another peer announced."""
AGAIN = 150_000_000
"""Nanoseconds until another announcer is asked if the first one's answer was not enough: about a round trip.
The paper's section 3.5 has the second time shorter than the first for the same reason."""
FETCHED = 16
"""Entries asked of an announcer. A source that holds entries back must bring this number in GRACE to be kept,
so this is the lowest rate to which it can slow a follower down."""
OVERTAKEN_MAX = 3
"""Entries in a row that others brought while the source brought fewer, until it is replaced."""
REFERRALS_MAX = 3
"""Refusals for lack of a place, in a row, until a member is asked (R45)."""
BUSY = RENEW
"""Nanoseconds for which a peer without a place is not asked again; doubles for relays up to BUSY_MAX. Members
give their places in turn to those who keep asking."""
BUSY_MAX = 16 * RENEW
DISTRUST = RENEW
"""Nanoseconds for which an announcer that did not bring what it announced is not believed; doubles up to
DISTRUST_MAX."""
DISTRUST_MAX = 64 * RENEW
SHUNNED = 10 * RENEW
"""Nanoseconds for which a peer that lied or held entries back is no source; doubles up to SHUNNED_MAX."""
SHUNNED_MAX = 640 * RENEW
STALE = 12 * RENEW
"""Nanoseconds in which a source is first with something: each member signs two heads in that time."""
LAZY_MAX = 8
"""Most peers that are asked to announce at one time. With more links these change in turn, so that among them
is soon one that is honest."""
NEVER = 1 << 62


class _Missing(msgspec.Struct):
    """What was announced and is not here. Times are monotonic nanoseconds."""

    sequence: int
    since: int
    ask_at: int
    by: int
    """The peer that announced it first."""


class _Link(msgspec.Struct):
    """What is known of one peer. Times are monotonic nanoseconds."""

    renew_at: int
    """When its next Follow is due."""
    led_at: int = -NEVER
    """When it was last first with something (rule 5)."""
    claim: int = 0
    """The last sequence that it says it has executed."""
    first: int = 0
    """The first entry that was asked of it, if it owes an answer; else 0."""
    awaited: bool = False
    """Whether that answer is in time yet; a late one is taken as well."""
    asked_at: int = 0
    owed: int = 0
    """Questions since its last answer of use, answered ones left out."""
    doubts: int = 0
    """Times in a row that it did not bring what it announced."""
    doubted_until: int = 0
    refusals: int = 0
    """Times in a row that it had no place."""
    busy_until: int = 0
    lies: int = 0
    """Times that it lied, or was left because it held entries back."""
    shunned_until: int = 0

    def is_free(self, now: int) -> bool:
        return now >= self.busy_until and now >= self.shunned_until


class Tree:
    """See consensus.sources.Sources. State is bounded by the number of links."""

    def __init__(
        self,
        up: Sequence[int],
        now: int = 0,
        *,
        relays_from: int = NEVER,
        relays_first: bool = False,
        start: int = 0,
    ) -> None:
        """`up`: the linked peers; `relays_from`: the index from which on peers are relays, below it they are
        members; `relays_first`: prefer relays as source (leaves, which cannot close a loop); `start`: index
        to begin with, which differs among followers so that not all ask the same peer."""
        self.source: int | None = None
        self.overtakings = self.referrals = 0
        """Counts: sources left for others that had more, and refusals for lack of a place."""
        self._relays_from = relays_from
        self._relays_first = relays_first
        self._links: dict[int, _Link] = {}
        self._turn = start - 1
        """The peer after which the search for a source goes on."""
        self._executed = 0
        self._brought = 0
        """Entries of the source since another peer last brought any."""
        self._overtaken = 0
        """Entries that others brought, while each time the source had brought fewer."""
        self._late = 0
        """Times in a row that the source brought what it did bring later than GRACE after an announcement."""
        self._referred = 0
        """Refusals of relays in a row."""
        self._missing: _Missing | None = None
        self._since = now
        """When the source became it."""
        self._fresh_at = -NEVER
        """When a new head came last."""
        self._leaderless = 0
        """Relays in a row that were left since nobody was first with anything."""
        self._window = 0
        """Of more links than LAZY_MAX, the place of the first that is asked to announce."""
        self._now = now
        self.links(up, now)

    # --- Sources ------------------------------------------------------------------------------------

    def links(self, up: Sequence[int], now: int) -> None:
        """See Sources."""
        self._now = now
        self._links = {peer: self._links.get(peer) or _Link(now) for peer in sorted(up)}
        if self.source not in self._links:
            self._switch(self._next())

    def expects(self, peer: int) -> bool:
        """See Sources."""
        link = self._links.get(peer)
        return link is not None and (peer == self.source or link.first > 0)

    def brought(self, peer: int, entries: int, executed: int, now: int) -> None:
        """See Sources."""
        self._now = now
        link = self._links.get(peer)
        if link is None:
            return
        before, self._executed = self._executed, max(self._executed, executed)
        if not entries and link.owed > 1:
            link.owed -= 1  # late, to an earlier question: the newest has its own time
            return
        first, link.first, link.awaited, link.owed = link.first, 0, False, 0
        if entries:
            link.doubts = link.doubted_until = link.refusals = 0
            self._led(link)
        elif first > self._executed:
            self._doubt(link)  # it was asked for the next entry, announced it, and brought none
        if peer != self.source:
            if entries:
                self._on_overtaking(peer, entries)
                if self._missing is not None and self._missing.sequence > executed > before:
                    self._missing.ask_at = now  # the next ones are asked for without a wait
        elif entries:
            self._on_brought(link, entries)

    def announced(self, peer: int, executed: int, now: int) -> None:
        """See Sources."""
        self._now = now
        if (link := self._links.get(peer)) is not None:
            link.claim = executed
            if self._fresh_at == now:
                self._led(link)
            self._look_ahead(peer)

    def fresh(self, now: int) -> None:
        """See Sources; told before `announced` of the same message."""
        self._fresh_at = now

    def busy(self, peer: int, now: int) -> None:
        """See Sources."""
        self._now = now
        link = self._links.get(peer)
        if link is None or peer != self.source:
            return
        self.referrals += 1
        self._referred = 0 if self._is_member(peer) else self._referred + 1
        wait = BUSY if self._is_member(peer) else min(BUSY << min(link.refusals, 6), BUSY_MAX)
        link.refusals += 1
        link.busy_until = now + wait
        self._switch(self._next())

    def lied(self, peer: int, now: int) -> None:
        """See Sources."""
        self._now = now
        if (link := self._links.get(peer)) is not None:
            link.first, link.claim, link.awaited, link.owed = 0, 0, False, 0
            self._shun(link)
            if peer == self.source:
                self._switch(self._next())

    def due(self, executed: int, now: int) -> list[Ask]:
        """See Sources."""
        self._now = now
        self._executed = max(self._executed, executed)
        self._leave_stale()
        if self.source is None:
            self._switch(self._next())
        asks = self._renewals()
        if (ask := self._ask_for_missing()) is not None:
            asks.append(ask)
        return asks

    def deadline(self) -> int:
        """See Sources."""
        times = [self._links[peer].renew_at for peer in self._followed()]
        if self._missing is not None:
            times.append(self._missing.ask_at)
        if self.source is None:
            times += [max(link.busy_until, link.shunned_until) for link in self._links.values()]
        else:
            times.append(self._leads_until())
        return min(times, default=NEVER)

    # --- for the overlay ----------------------------------------------------------------------------

    @property
    def wants_member(self) -> bool:
        """Whether a member should be linked: relays have no place, or what they show is stale."""
        if any(self._is_member(peer) for peer in self._links):
            return False
        return self.source is None or self._referred >= REFERRALS_MAX or self._leaderless > 0

    def lies(self, peer: int) -> int:
        """Times that a linked peer lied, or was left because it held entries back."""
        link = self._links.get(peer)
        return 0 if link is None else link.lies

    # --- rules --------------------------------------------------------------------------------------

    def _is_member(self, peer: int) -> bool:
        return peer < self._relays_from

    def _is_relay(self, peer: int) -> bool:
        return peer >= self._relays_from

    def _next(self, *, members_first: bool = False) -> int | None:
        """The next source: one with a place that did not lie, in turn; None if there is none."""
        relays_first = self._relays_first and not members_first and self._referred < REFERRALS_MAX

        def place(peer: int) -> tuple[bool, bool, int, int]:
            link, rank = self._links[peer], self._is_relay(peer) != relays_first
            return link.doubts > 0, rank, -link.led_at, (peer - self._turn - 1) % NEVER

        free = [peer for peer, link in self._links.items() if link.is_free(self._now)]
        return min(free, key=place, default=None)

    def _switch(self, peer: int | None) -> None:
        """Graft the new source and prune the old one, both with the next `due`."""
        if peer == self.source:
            return
        for each in (self.source, peer):
            if each in self._links:
                self._links[each].renew_at = self._now
        self.source = peer
        self._turn = self._turn if peer is None else peer
        self._brought = self._overtaken = self._late = 0
        self._since = self._now

    def _on_brought(self, link: _Link, entries: int) -> None:
        """The source brought new entries. What comes late is not to its credit, or relays in a loop, which
        get entries from each other and from outside by turns, would never leave it."""
        self._referred = 0
        missing = self._missing
        if missing is None or missing.sequence > self._executed or self._now < missing.since + GRACE:
            self._brought += entries
            self._late = 0
            return
        self._late += 1
        first = self._links.get(missing.by)
        if self._late >= OVERTAKEN_MAX and first is not None and first.is_free(self._now):
            self.overtakings += 1
            self._switch(missing.by)

    def _on_overtaking(self, peer: int, entries: int) -> None:
        """Rule 2: `peer`, which is not the source, brought so many new entries."""
        self._overtaken = self._overtaken + entries if self._brought < entries else 0
        self._brought = 0
        link = self._links[peer]
        if self.source is not None:
            if self._overtaken < OVERTAKEN_MAX:
                return
            self.overtakings += 1
            self._shun(self._links[self.source])
        self._switch(peer if link.is_free(self._now) else self._next())

    def _led(self, link: _Link) -> None:
        """A peer was first with what proves itself; a mere claim does not count."""
        link.led_at, self._leaderless = self._now, 0

    def _doubt(self, link: _Link) -> None:
        """Rule 3."""
        wait = min(DISTRUST << min(link.doubts, 8), DISTRUST_MAX)
        link.doubts += 1
        link.awaited, link.doubted_until = False, self._now + wait

    def _shun(self, link: _Link) -> None:
        link.shunned_until = self._now + min(SHUNNED << min(link.lies, 8), SHUNNED_MAX)
        link.lies += 1

    def _leads_until(self) -> int:
        """Until when the source counts as one that is first sometimes; for ever if there is none."""
        link = None if self.source is None else self._links.get(self.source)
        return NEVER if link is None else max(self._since, link.led_at) + STALE

    def _leave_stale(self) -> None:
        """Rule 5. A member is left only for one that was first."""
        if self.source is None or self._now < self._leads_until():
            return
        lately = self._now - STALE
        free = {peer: link for peer, link in self._links.items() if link.is_free(self._now)}
        leader = max(free, key=lambda peer: free[peer].led_at, default=self.source)
        if self._links[leader].led_at <= lately:
            leader = self.source
            if self._is_relay(leader):
                self._leaderless += 1
                self._links[leader].busy_until = self._now + STALE
                leader = self._next(members_first=True) or self.source
        self._since = self._now
        self._switch(leader)

    # --- what is sent -------------------------------------------------------------------------------

    def _followed(self) -> list[int]:
        """The source, and those of the others that are to announce now."""
        others = [peer for peer in self._links if peer != self.source]
        if len(others) > LAZY_MAX:
            first = self._window % len(others)
            others = (others + others)[first : first + LAZY_MAX]
        return others if self.source is None else [self.source, *others]

    def _renewals(self) -> list[Ask]:
        asks = []
        for peer in self._followed():
            link = self._links[peer]
            if self._now >= link.renew_at:
                link.renew_at = self._now + (RENEW if peer == self.source else RENEW_LAZY)
                asks.append(Ask(peer, "eager" if peer == self.source else "lazy", self._executed + 1))
                self._window += 1 if len(asks) == 1 and len(self._links) > LAZY_MAX + 1 else 0
        return asks

    def _ahead(self) -> dict[int, int]:
        """Peers that are believed to have more than this log, and how far they are."""
        return {
            peer: link.claim
            for peer, link in self._links.items()
            if link.claim > self._executed and self._now >= link.doubted_until
        }

    def _look_ahead(self, by: int | None = None) -> None:
        """Rule 1: note the lowest sequence that is missing here. The lowest, since a liar's claim may be any
        number, and the source brings meanwhile what honest peers claim."""
        if self._missing is not None and self._missing.sequence > self._executed:
            return
        ahead = self._ahead()
        if not ahead:
            self._missing = None
            return
        lowest = min(ahead, key=lambda peer: (ahead[peer], peer != by))
        wait = GRACE if self.source is not None else 0
        self._missing = _Missing(ahead[lowest], self._now, self._now + wait, lowest)

    def _ask_for_missing(self) -> Ask | None:
        """Ask an announcer for what the source did not bring in time."""
        self._look_ahead()
        if self._missing is None or self._now < self._missing.ask_at:
            return None
        for link in self._links.values():
            if link.awaited and self._now >= link.asked_at + GRACE:
                self._doubt(link)
        ahead = self._ahead()
        if not ahead:
            self._missing = None
            return None
        self._missing.ask_at = self._now + AGAIN
        others = [peer for peer in ahead if peer != self.source] or list(ahead)
        others = [peer for peer in others if not self._links[peer].awaited]
        if not others:
            return None  # all owe an answer, and have a while yet
        peer = min(others, key=lambda each: (self._links[each].doubts, self._links[each].asked_at))
        link = self._links[peer]
        link.first, link.asked_at, link.awaited = self._executed + 1, self._now, True
        link.owed += 1
        return Ask(peer, "fetch", self._executed + 1, self._executed + FETCHED)
