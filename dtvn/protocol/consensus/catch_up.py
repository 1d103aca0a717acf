"""Phase: a lagging replica fetches the entries that other members executed (R23, R30, PITFALLS row 17).

The target is a sequence that at least one honest member has executed: a certified checkpoint, or the highest
sequence that f + 1 members report; never the claim of a single peer. The replica requests one range at a
time from one member, and turns to the next member after a timeout, a false answer or an answer without new
entries. A member that was passed over may still answer once: on a slow link every answer arrives after its
timeout. While catching up makes progress, the replica suspects no primary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dtvn.protocol import quorum
from dtvn.protocol.consensus.certificate import read_checkpoint, read_end, why_refused
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.entries import Range, read_range
from dtvn.protocol.consensus.errors import InvariantBreach
from dtvn.protocol.consensus.executor import Step
from dtvn.protocol.consensus.messages import Entries, FetchEntries
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.probes import probe

if TYPE_CHECKING:
    from dtvn.protocol.consensus.replica import Replica

__all__ = ["CatchUp"]


RISES = 2_000_000_000
"""If the target rose within this many nanoseconds, the other members decide without this replica."""


class CatchUp:
    """Owns the target, the open request, and the member it was sent to."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self.certified = 0
        """Highest sequence that a checkpoint certificate covers."""
        self.said: dict[int, int] = {}
        """Member -> highest sequence it reports as executed."""
        self._vouched = 0
        """Highest sequence that f + 1 members report as executed."""
        self._highest = 0
        self._risen: int | None = None
        """When the target last rose."""
        self.source: int | None = None
        """Member that the open request was sent to; None without an open request."""
        self._owing: set[int] = set()
        """Members that have not answered a request."""
        self._answer_due = 0
        self._lagging_since: int | None = None
        self._seen = 0
        self._moved = 0
        """When this replica last came nearer to the target, or began to lag."""
        self._rotation = 0
        self._in_vain = 0
        """Requests since the last one that brought progress."""
        self._fresh = True
        """Nothing was executed since the start: the missing messages are then not on their way."""
        self.held_until = 0
        """While catching up, suspect no primary before this monotonic time."""

    def on_certified(self, sequence: int) -> None:
        """Raise the target to a proved checkpoint above this replica's log."""
        self.certified = max(self.certified, sequence)
        self.look()

    def on_said(self, member: int, executed: int) -> None:
        """Note the executed sequence that a member's Status reports."""
        self.said[member] = executed
        weak = quorum.weak_quorum(self.core.n)
        said = sorted(self.said.values(), reverse=True)
        self._vouched = said[weak - 1] if len(said) >= weak else 0
        self.look()

    def target(self) -> int:
        """Highest sequence that some honest member has certainly executed; at least the base of the epoch,
        which was executed before the epoch began."""
        return max(self.certified, self._vouched, self.core.config.base)

    def is_holding(self) -> bool:
        """Whether this replica knows that it lags and still makes progress at catching up (R30)."""
        if not self.core.arrived:
            return True
        return self._lagging_since is not None and self.core.now.monotonic < self.held_until

    def is_dispensable(self) -> bool:
        """Whether this replica is far behind and the others decide without it, so none waits for it."""
        core = self.core
        if self._risen is None or core.now.monotonic >= self._risen + RISES:
            return False
        far = self.target() > core.executed + core.config.window
        return far or core.transfer.active or not core.arrived

    def is_stuck(self) -> bool:
        """Whether fetching the log has made no progress for `transfer_patience`: perhaps no member has the
        entries any more."""
        if self._lagging_since is None:
            return False
        return self.core.now.monotonic >= self._moved + self.core.config.transfer_patience

    def look(self) -> None:
        """Request entries after lagging for a while; at once if the gap exceeds a checkpoint interval."""
        core = self.core
        target = self.target()
        now = core.now.monotonic
        if target > self._highest:
            self._highest, self._risen = target, now
        if target <= core.executed:
            self._fresh = self._fresh and target == 0
            self._lagging_since = self.source = None
            self._owing.clear()
            self._seen = core.executed
            return
        if self._lagging_since is None:
            self._lagging_since = self._moved = now
            self.held_until = now + 2 * core.suspicion.timeout
            self._seen = core.executed
        elif core.executed > self._seen:
            self._seen = core.executed
            self._moved = now
            self.held_until = now + 2 * core.suspicion.timeout
            if self.source is None:
                self._lagging_since = now
        if core.transfer.active or not core.arrived:
            self.source = None  # a log of older epochs cannot be read here
            self._owing.clear()
            return
        if self.source is not None:
            if now >= self._answer_due:
                self.ask()
        elif now >= self._due(target):
            self.ask()

    def ask(self) -> None:
        """Request entries from the next member that reports having them."""
        core = self.core
        first = core.executed + 1
        able = [m for m in core.others if self.said.get(m, 0) >= first]
        self._in_vain += 1
        if not able or self._in_vain > 2 * len(able):
            # The members that reported these entries are gone. In a past epoch no member reports any (R35).
            able = core.others
        if not able:
            return
        self._rotation += 1
        self.source = able[self._rotation % len(able)]
        self._ask(self.source)

    def _ask(self, source: int) -> None:
        core = self.core
        first = core.executed + 1
        last = min(self.target(), first + core.config.fetch_entries_max - 1)
        core.outbox.send(source, core.signer.link(FetchEntries(core.config.epoch, first, last)))
        self._owing.add(source)
        self._answer_due = core.now.monotonic + max(core.config.fetch_retry, 2 * core.pinging.round_trip())

    def refuse_entries(self, member: int | None, entries: int) -> Reason | None:
        """Refuse a range from a member that was not asked, since verifying it costs signature checks. A
        certificate without a range is accepted: it is the epoch change proof of this epoch, from a member
        that has moved on to the next one (R35)."""
        owes = member in self._owing or member in self.core.contradictions.asked
        asked = member is not None and (owes or not entries)
        return None if asked else Reason.NOT_ASKED

    def on_entries(self, verified: Verified[Entries]) -> None:
        """Execute the proved part of a range of the log."""
        core = self.core
        source = verified.peer.member
        if source is None or self.refuse_entries(source, len(verified.message.entries)) is not None:
            core.outbox.refused(Reason.NOT_ASKED, verified)
            return
        if not verified.message.entries:
            shown = (verified.message.checkpoint, verified.nested, core.config)
            certificate = read_end(*shown)
            if certificate is None:
                core.outbox.refused(why_refused(*shown), verified)
            else:
                core.checkpoints.adopt(certificate)
            return
        self._owing.discard(source)
        core.contradictions.asked.discard(source)
        if verified.message.entries[-1][0].sequence <= core.log.stable:
            below = read_checkpoint(verified.message.checkpoint, verified.nested, core.config)
            if below is not None:
                core.contradictions.compare(below)
        executor = core.execution.executor
        found = read_range(verified, executor, core.config)
        before = core.executed
        if found.honest:
            self._execute(found)
        else:
            probe("catch_up.refused_a_page")
            core.outbox.refused(Reason.BAD_PROOF, verified)
            core.contradictions.ask(source)
        core.execution.run()
        if core.executed > before:
            self._in_vain = 0
            core.outbox.note("caught_up", sequence=core.executed, source=source)
            if self.target() > core.executed:
                self.held_until = core.now.monotonic + 2 * core.suspicion.timeout
                # Ask the next member each time: a slow member then delays only its own share (row 17).
                self.ask()
            else:
                self.look()
        elif self.target() <= core.executed:
            self.look()
        elif source == self.source:
            self._answer_due = core.now.monotonic + core.config.fetch_retry // 5

    def _execute(self, found: Range) -> None:
        core = self.core
        for link in found.links:
            if core.epoch_change.ends_at is not None:
                break
            entry, certificate = link.entry, link.commits
            recent = entry.sequence + core.log.window > self.target()
            if recent:
                core.ordering.keep_body(link.batch, entry.sequence)
            step = core.execution.perform(
                link.batch,
                commits=certificate.frames if certificate is not None else (),
                view=certificate.view if certificate is not None else core.views.view,
                answer=recent,
            )
            if certificate is None:
                self._must_equal(step, entry.results_root, entry.timestamp)
                continue
            core.checkpoints.on_executed(entry.sequence)
            if step.entry != entry:
                # COMMITs bind the batch, not the results: only the source claims those.
                probe("catch_up.entry_differs")
                core.outbox.note("entry_differs", sequence=entry.sequence)
        if found.checkpoint is not None:
            probe("catch_up.up_to_a_checkpoint")
            core.checkpoints.adopt(found.checkpoint)

    def _must_equal(self, step: Step, results_root: bytes, timestamp: int) -> None:
        if step.entry.results_root != results_root or step.entry.timestamp != timestamp:
            raise InvariantBreach(
                f"state: q members certified other results for sequence {step.entry.sequence}"
            )

    def _due(self, target: int) -> int:
        """Time of the first request: until then the missing messages may still be on their way."""
        core = self.core
        since = self._lagging_since if self._lagging_since is not None else core.now.monotonic
        if self._fresh or target > core.executed + core.config.checkpoint_interval:
            return since
        return since + core.config.fetch_retry

    def tick(self) -> None:
        """Check the deadlines."""
        self.look()

    def deadline(self) -> int | None:
        """Monotonic time of the next request; None if none is due."""
        if self._lagging_since is None or self.core.transfer.active or not self.core.arrived:
            return None
        if self.source is not None:
            return self._answer_due
        return self._due(self.target())

    def shift(self, gap: int) -> None:
        """Move all times by `gap`, during which this process was paused (R31)."""
        self._answer_due += gap
        self.held_until += gap
        self._moved += gap
        if self._risen is not None:
            self._risen += gap
        if self._lagging_since is not None:
            self._lagging_since += gap
