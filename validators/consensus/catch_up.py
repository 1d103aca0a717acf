"""Phase: a replica that lags fetches what the others executed (R23, R30, PITFALLS row 17).

The target is what one honest member has: a certified checkpoint, or the highest sequence that f + 1
members say they executed; never a single peer's word. One range at a time is asked of one member;
silence, a lie or nothing new moves on to the next. Who was passed over may still answer, once: on a slow
link every answer comes after the patience for it. While it catches up, a replica suspects nobody, as long
as that brings progress.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from validators import quorum
from validators.consensus.certificate import read_checkpoint, read_end, why_refused
from validators.consensus.effects import Reason
from validators.consensus.entries import Range, read_range
from validators.consensus.errors import InvariantBreach
from validators.consensus.executor import Step
from validators.consensus.messages import Entries, FetchEntries
from validators.consensus.verified import Verified
from validators.probes import probe

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["CatchUp"]


RISES = 2_000_000_000
"""The others decide without this replica while the target rose within so many nanoseconds."""


class CatchUp:
    """Owns the target, the question under way, and the source asked."""

    def __init__(self, core: Replica) -> None:
        self.core = core
        self.certified = 0
        """Highest sequence that a checkpoint certificate covers."""
        self.said: dict[int, int] = {}
        """Member -> highest sequence it says it executed."""
        self._vouched = 0
        """Highest sequence that f + 1 members say they executed."""
        self._highest = 0
        self._risen: int | None = None
        """When the target rose last."""
        self.source: int | None = None
        """Member asked last, None: no question under way."""
        self._owing: set[int] = set()
        """Members that were asked and have not answered."""
        self._answer_due = 0
        self._lagging_since: int | None = None
        self._seen = 0
        self._moved = 0
        """When this replica last came nearer to the target, or began to lag."""
        self._rotation = 0
        self._in_vain = 0
        """Questions since the last one that helped."""
        self._fresh = True
        """Nothing was executed since the start: what is lacking then is not on its way."""
        self.held_until = 0
        """While catching up, suspect nobody before this monotonic time."""

    def on_certified(self, sequence: int) -> None:
        """A checkpoint above the own log was proved."""
        self.certified = max(self.certified, sequence)
        self.look()

    def on_said(self, member: int, executed: int) -> None:
        """A member's Status."""
        self.said[member] = executed
        weak = quorum.weak_quorum(self.core.n)
        said = sorted(self.said.values(), reverse=True)
        self._vouched = said[weak - 1] if len(said) >= weak else 0
        self.look()

    def target(self) -> int:
        """Highest sequence that is surely executed by somebody honest: an epoch began after its base."""
        return max(self.certified, self._vouched, self.core.config.base)

    def is_holding(self) -> bool:
        """Whether this replica knows that it lags and still makes progress at catching up (R30)."""
        if not self.core.arrived:
            return True
        return self._lagging_since is not None and self.core.now.monotonic < self.held_until

    def is_dispensable(self) -> bool:
        """Whether this replica is far behind, and the others decide without it: nobody waits for it."""
        core = self.core
        if self._risen is None or core.now.monotonic >= self._risen + RISES:
            return False
        far = self.target() > core.executed + core.config.window
        return far or core.transfer.active or not core.arrived

    def is_stuck(self) -> bool:
        """Whether fetching the log has helped nothing for long: nobody may have the entries any more."""
        if self._lagging_since is None:
            return False
        return self.core.now.monotonic >= self._moved + self.core.config.transfer_patience

    def look(self) -> None:
        """Ask when lagging for a while, at once when the gap is wider than a checkpoint."""
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
        """Put the question to the next member that says it has what is lacking."""
        core = self.core
        first = core.executed + 1
        able = [m for m in core.others if self.said.get(m, 0) >= first]
        self._in_vain += 1
        if not able or self._in_vain > 2 * len(able):
            # Whoever said so is gone. In an epoch that is over nobody says anything any more (R35).
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
        """Only a member that was asked may answer; verifying a range costs signatures. A certificate without
        a range is the hand-over of this epoch, from a member that went on without this replica (R35)."""
        owes = member in self._owing or member in self.core.contradictions.asked
        asked = member is not None and (owes or not entries)
        return None if asked else Reason.NOT_ASKED

    def on_entries(self, verified: Verified[Entries]) -> None:
        """A range of the log; executed as far as it is proved."""
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
                # The next member each time: one that drips its answers slows only its own share (row 17).
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
            if core.succession.ends_at is not None:
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
                # COMMITs bind the batch, not the results: those are the source's word alone.
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
        """When to ask: the missing messages may still be on their way."""
        core = self.core
        since = self._lagging_since if self._lagging_since is not None else core.now.monotonic
        if self._fresh or target > core.executed + core.config.checkpoint_interval:
            return since
        return since + core.config.fetch_retry

    def tick(self) -> None:
        """Deadlines may have passed."""
        self.look()

    def deadline(self) -> int | None:
        """Monotonic time of the next question."""
        if self._lagging_since is None or self.core.transfer.active or not self.core.arrived:
            return None
        if self.source is not None:
            return self._answer_due
        return self._due(self.target())

    def shift(self, gap: int) -> None:
        """This process was paused (R31)."""
        self._answer_due += gap
        self.held_until += gap
        self._moved += gap
        if self._risen is not None:
            self._risen += gap
        if self._lagging_since is not None:
            self._lagging_since += gap
