"""A lagging replica fetches the entries that other members executed (R23, R30, P17).

The target is a sequence that at least one honest member has executed: a certified checkpoint, or the highest
sequence that f + 1 members report; never the claim of a single peer. The replica requests one range at a
time from one member, and turns to the next member after a timeout, a false answer or an answer without new
entries. A member that was passed over may still answer once: on a slow link every answer arrives after its
timeout. While catching up makes progress, the replica suspects no primary.
"""

from __future__ import annotations

from typing import Protocol

from dtvn.protocol.consensus.certificate import read_checkpoint, read_end, why_refused
from dtvn.protocol.consensus.certificate_comparison import Contradictions
from dtvn.protocol.consensus.checkpoint import Checkpoints
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.epoch_change import EpochChange
from dtvn.protocol.consensus.errors import InvariantBreach
from dtvn.protocol.consensus.execution import Execution
from dtvn.protocol.consensus.executor import Step
from dtvn.protocol.consensus.messages import Entries, FetchEntries
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.transfer.entries import Range, read_range
from dtvn.protocol.consensus.verified import Verified, VerifiedBatch
from dtvn.protocol.probes import probe

RISES = 2_000_000_000
"""If the target rose within this many nanoseconds, the other members decide without this replica."""


class FetchedBatches(Protocol):
    """Keeps the batches of fetched entries."""

    def keep_body(self, batch: VerifiedBatch, sequence: int) -> None:
        """Keeps a batch that is about to be executed."""


class CatchUp:
    """Owns the target, the open request, and the member it was sent to."""

    def __init__(
        self,
        state: State,
        checkpoints: Checkpoints,
        contradictions: Contradictions,
        epoch_change: EpochChange,
        execution: Execution,
        ordering: FetchedBatches,
    ) -> None:
        self.state = state
        self._lag = state.lag
        self.checkpoints = checkpoints
        self.contradictions = contradictions
        self.epoch_change = epoch_change
        self.execution = execution
        self.ordering = ordering
        self.said: dict[int, int] = {}
        """Member -> highest sequence it reports as executed."""
        self._highest = 0
        self._risen: int | None = None
        """When the target last rose."""
        self.source: int | None = None
        """Member that the open request was sent to; None without an open request."""
        self._owing: set[int] = set()
        """Members that have not answered a request."""
        self._answer_due = 0
        self._seen = 0
        self._moved = 0
        """When this replica last came nearer to the target, or began to lag."""
        self._rotation = 0
        self._in_vain = 0
        """Requests since the last one that brought progress."""
        self._fresh = True
        """Nothing was executed since the start: the missing messages are then not on their way."""

    def on_certified(self, sequence: int) -> None:
        """Raise the target to a proved checkpoint above this replica's log."""
        self._lag.certified = max(self._lag.certified, sequence)
        self.look()

    def on_said(self, member: int, executed: int) -> None:
        """Note the executed sequence that a member's Status reports."""
        self.said[member] = executed
        self._lag.heard[member] = self.state.now.monotonic
        weak = self.state.config.f + 1
        said = sorted(self.said.values(), reverse=True)
        self._lag.vouched = said[weak - 1] if len(said) >= weak else 0
        self.look()

    def is_dispensable(self) -> bool:
        """Whether this replica is far behind and the others decide without it, so none waits for it."""
        state = self.state
        if self._risen is None or state.now.monotonic >= self._risen + RISES:
            return False
        far = self._lag.target() > state.executed + state.config.window
        return far or state.transfer.active or not state.has_reached_epoch

    def is_stuck(self) -> bool:
        """Whether fetching the log has made no progress for `transfer_patience`: perhaps no member has the
        entries any more."""
        if self._lag.since is None:
            return False
        return self.state.now.monotonic >= self._moved + self.state.config.transfer_patience

    def hold(self) -> None:
        """A useful answer arrived: suspect no primary during the next 2 T."""
        self._lag.held_until = self.state.now.monotonic + 2 * self.state.timeouts.timeout

    def look(self) -> None:
        """Request entries after lagging for a while; at once if the gap exceeds a checkpoint interval."""
        state = self.state
        target = self._lag.target()
        now = state.now.monotonic
        if target > self._highest:
            self._highest, self._risen = target, now
        if target <= state.executed:
            self._fresh = self._fresh and target == 0
            self._lag.since = self.source = None
            self._owing.clear()
            self._seen = state.executed
            return
        if self._lag.since is None:
            self._lag.since = self._moved = now
            self.hold()
            self._seen = state.executed
        elif state.executed > self._seen:
            self._seen = state.executed
            self._moved = now
            self.hold()
            if self.source is None:
                self._lag.since = now
        if state.transfer.active or not state.has_reached_epoch:
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
        state = self.state
        first = state.executed + 1
        able = [m for m in state.others if self.said.get(m, 0) >= first]
        self._in_vain += 1
        if not able or self._in_vain > 2 * len(able):
            # The members that reported these entries are gone. In a past epoch no member reports any (R35).
            able = state.others
        if not able:
            return
        self._rotation += 1
        self.source = able[self._rotation % len(able)]
        self._ask(self.source)

    def _ask(self, source: int) -> None:
        state = self.state
        first = state.executed + 1
        last = min(self._lag.target(), first + state.config.fetch_entries_max - 1)
        state.outbox.send(source, state.signer.link(FetchEntries(state.config.epoch, first, last)))
        self._owing.add(source)
        self._answer_due = state.now.monotonic + max(
            state.config.fetch_retry, 2 * state.round_trips.of_quorum()
        )

    def refuse_entries(self, member: int | None, entries: int) -> Reason | None:
        """Refuse a range from a member that was not asked, since verifying it costs signature checks. A
        certificate without a range is accepted: it is the epoch change proof of this epoch, from a member
        that has moved on to the next one (R35)."""
        owes = member in self._owing or member in self.contradictions.asked
        asked = member is not None and (owes or not entries)
        return None if asked else Reason.NOT_ASKED

    def on_entries(self, verified: Verified[Entries]) -> None:
        """Execute the proved part of a range of the log."""
        state = self.state
        source = verified.peer.member
        if source is None or self.refuse_entries(source, len(verified.message.entries)) is not None:
            state.outbox.refused(Reason.NOT_ASKED, verified)
            return
        if not verified.message.entries:
            shown = (verified.message.checkpoint, verified.nested, state.config)
            certificate = read_end(*shown)
            if certificate is None:
                state.outbox.refused(why_refused(*shown), verified)
            else:
                self.checkpoints.adopt(certificate)
            return
        self._owing.discard(source)
        self.contradictions.asked.discard(source)
        if verified.message.entries[-1][0].sequence <= state.log.stable:
            below = read_checkpoint(verified.message.checkpoint, verified.nested, state.config)
            if below is not None:
                self.contradictions.compare(below)
        executor = state.executor
        found = read_range(verified, executor, state.config)
        before = state.executed
        if found.honest:
            self._execute(found)
        else:
            probe("catch_up.refused_a_page")
            state.outbox.refused(Reason.BAD_PROOF, verified)
            self.contradictions.ask(source)
        self.execution.run()
        if state.executed > before:
            self._in_vain = 0
            state.outbox.note("caught_up", sequence=state.executed, source=source)
            if self._lag.target() > state.executed:
                self.hold()
                # Ask the next member each time: a slow member then delays only its own share (P17).
                self.ask()
            else:
                self.look()
        elif self._lag.target() <= state.executed:
            self.look()
        elif source == self.source:
            self._answer_due = state.now.monotonic + state.config.fetch_retry // 5

    def _execute(self, found: Range) -> None:
        state = self.state
        for proved in found.proved:
            if self.epoch_change.ends_at is not None:
                break
            entry, certificate = proved.entry, proved.commits
            recent = entry.sequence + state.log.window > self._lag.target()
            if recent:
                self.ordering.keep_body(proved.batch, entry.sequence)
            step = self.execution.perform(
                proved.batch,
                commits=certificate.frames if certificate is not None else (),
                view=certificate.view if certificate is not None else state.views.view,
                answer=recent,
            )
            if certificate is None:
                self._must_equal(step, entry.results_root, entry.timestamp)
                continue
            self.checkpoints.on_executed(entry.sequence)
            if step.entry != entry:
                # COMMITs bind the batch, not the results: only the source claims those.
                probe("catch_up.entry_differs")
                state.outbox.note("entry_differs", sequence=entry.sequence)
        if found.checkpoint is not None:
            probe("catch_up.up_to_a_checkpoint")
            self.checkpoints.adopt(found.checkpoint)

    def _must_equal(self, step: Step, results_root: bytes, timestamp: int) -> None:
        if step.entry.results_root != results_root or step.entry.timestamp != timestamp:
            raise InvariantBreach(
                f"state: q members certified other results for sequence {step.entry.sequence}"
            )

    def _due(self, target: int) -> int:
        """Time of the first request: until then the missing messages may still be on their way."""
        state = self.state
        since = self._lag.since if self._lag.since is not None else state.now.monotonic
        if self._fresh or target > state.executed + state.config.checkpoint_interval:
            return since
        return since + state.config.fetch_retry

    def tick(self) -> None:
        """Check the deadlines."""
        self.look()

    def deadline(self) -> int | None:
        """Monotonic time of the next request; None if none is due."""
        if self._lag.since is None or self.state.transfer.active or not self.state.has_reached_epoch:
            return None
        if self.source is not None:
            return self._answer_due
        return self._due(self._lag.target())

    def shift(self, gap: int) -> None:
        """Move all times by `gap`, during which this process was paused (R31)."""
        self._answer_due += gap
        self._lag.held_until += gap
        self._moved += gap
        if self._risen is not None:
            self._risen += gap
        if self._lag.since is not None:
            self._lag.since += gap
