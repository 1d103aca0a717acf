"""Decides what to do about one node, from observations and time alone.

Pure: `step` gets an observation and a monotonic time in seconds, and returns the status to show and the
action to take. `reconcile` observes and acts.

A node is *claimed* once its process has taken the slot lock and written the token of its start request;
claimed and no process holds the lock means that it ended, even if the heartbeat is recent (R10).
"""

from __future__ import annotations

from collections import deque
from enum import Enum

import msgspec

from dtvn.events.config import RestartPolicy
from validators.data_folder import environment
from validators.models import DesiredState, NodeStatus

RESTARTS = RestartPolicy(base_backoff=1.0)
"""Automatic restarts of a node: beyond `max_restarts` in a window it has failed. After a steady run the first
is at once; the delays are those of the next ones, and start at the second that a process takes to start."""
STEADY_AFTER = 10.0
"""Seconds that a node, or a child of `up`, must have run for its end not to count as part of a crash loop."""
CLAIM_PATIENCE = 5.0
"""Seconds after a start request until it is reported that no worker slot claimed it."""
RESEND_AFTER = 20.0
SILENT_AFTER = 3.0
"""Seconds without a turn of the main loop after which a running process counts as unresponsive."""
KILL_SILENT_AFTER = environment.kill_silent_after()
STOP_PATIENCE = 8.0
"""Seconds a process may take to follow a stop request."""
BLOCKED_PAUSE = 5.0
"""Seconds between two attempts to start a node whose ledger another process holds (R10), or whose ledger's
server does not answer."""
PAUSE_OF_OURS = 2.0
"""A longer gap between two observations means that *we* were paused: silence is then counted from here."""


class Action(Enum):
    NOTHING = "nothing"
    START = "start"
    KILL = "kill"


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One observation of a node: its row first, then the holder of its slot lock."""

    desired: str
    generation: int
    running_generation: int | None
    claimed: bool
    """A process has claimed the current start request."""
    holder: int | None
    """Process id that holds the slot lock now."""
    heartbeat: object
    """Compared for change only, so no other process's clock is trusted."""
    turning: bool
    """Its main loop has reported at least once, and its API answers."""
    exit_reason: str
    """The reason that an orderly ended process gave; empty if it was killed."""
    trouble: str = ""
    """Why its API cannot answer, as the node reports."""
    blocked: bool = False
    """It ended because another process holds its ledger (paused, or run by hand), or because the ledger's
    server does not answer: not a crash."""


class Decision(msgspec.Struct, frozen=True):
    status: str
    error: str = ""
    action: Action = Action.NOTHING
    counts_as_restart: bool = False


def is_unwanted(seen: Observation) -> bool:
    """Whether the process that runs, or ran until now, is to end: the node is to be stopped, or the process
    belongs to an earlier desired state. It notices that by itself."""
    return seen.desired == DesiredState.STOPPED or (
        seen.claimed and seen.running_generation != seen.generation
    )


class NodeController:
    """State of one node's control between two observations."""

    def __init__(self, generation: int) -> None:
        self._generation = generation
        self._ends: deque[float] = deque()
        self._failures_in_a_row = 0
        self._requested_at: float | None = None
        self._overtaken = False
        """The desired state changed while a start request was in flight."""
        self._start_not_before = 0.0
        self._present_since: float | None = None
        self._heartbeat: object = None
        self._heard_at = 0.0
        self._stop_since: float | None = None
        self._excused = False
        self._failed = ""
        self._why = ""
        self._counts = False
        self._looked_at: float | None = None

    def request_lost(self, why: str = "") -> None:
        """Our start request reached no worker: send it again at the next observation; `why` is shown until
        the node runs."""
        self._requested_at = None
        self._why = why or self._why

    def worker_lost(self) -> None:
        """The worker is gone: an unclaimed request is lost with it, and its processes ended through no fault
        of their own."""
        if self._present_since is None:
            self._requested_at = None
        else:
            self._excused = True

    def step(self, seen: Observation, now: float) -> Decision:
        """Decide; `now` in monotonic seconds."""
        if self._looked_at is not None and (gap := now - self._looked_at) > PAUSE_OF_OURS:
            self._heard_at += gap
            if self._stop_since is not None:
                self._stop_since += gap
        self._looked_at = now
        if seen.generation != self._generation:
            self._begin_generation(seen, now)
        if seen.holder is not None:
            return self._present(seen, now)
        self._stop_since = None
        if seen.claimed and self._requested_at is not None:
            self._note_end(seen, now)
        elif self._overtaken and self._present_since is not None:
            # The process that held the slot ran for an older request, and rejected the newer one. The newer
            # one is sent again only once: otherwise a process that keeps ending before it claims its request
            # would be requested at each observation.
            self._requested_at = self._present_since = None
            self._overtaken = False
        if seen.desired == DesiredState.STOPPED:
            self._requested_at = None
            return Decision(NodeStatus.STOPPED)
        return self._absent(now)

    def _begin_generation(self, seen: Observation, now: float) -> None:
        """The operator changed the desired state: restart budgets and delays are reset."""
        self._generation = seen.generation
        self._overtaken = self._requested_at is not None
        if seen.holder is None and not seen.claimed:
            # A slot that claimed our request between two changes of the desired state has dropped it. If none
            # has yet, its token becomes void with the next one.
            self._requested_at = None
        self._ends.clear()
        self._failures_in_a_row = 0
        self._failed = self._why = ""
        self._counts = False
        self._start_not_before = now

    def _present(self, seen: Observation, now: float) -> Decision:
        if self._present_since is None or seen.heartbeat != self._heartbeat:
            self._present_since = self._present_since if self._present_since is not None else now
            self._heartbeat = seen.heartbeat
            self._heard_at = now
        if is_unwanted(seen):
            self._stop_since = now if self._stop_since is None else self._stop_since
            late = now - self._stop_since > STOP_PATIENCE
            return Decision(NodeStatus.STOPPING, action=Action.KILL if late else Action.NOTHING)
        self._stop_since = None
        silent = now - self._heard_at
        if silent > KILL_SILENT_AFTER:
            self._excused = True
            return Decision(NodeStatus.UNRESPONSIVE, f"no heartbeat for {silent:.0f} s, killed", Action.KILL)
        if silent > SILENT_AFTER:
            return Decision(NodeStatus.UNRESPONSIVE, f"runs, but no heartbeat for {silent:.0f} s")
        if seen.trouble:
            return Decision(NodeStatus.STARTING, seen.trouble)
        return Decision(NodeStatus.RUNNING if seen.turning else NodeStatus.STARTING)

    def _note_end(self, seen: Observation, now: float) -> None:
        """The process of our last request is gone: by request, killed by us, or on its own."""
        ran_for = 0.0 if self._present_since is None else now - self._present_since
        requested = seen.running_generation != seen.generation or seen.desired == DesiredState.STOPPED
        self._requested_at = self._present_since = None
        self._start_not_before = now
        by_itself = not (requested or self._excused or seen.blocked)
        self._excused = False
        self._counts = by_itself
        if seen.blocked:
            self._why = seen.exit_reason
            self._start_not_before = now + BLOCKED_PAUSE
            return
        if not by_itself:
            self._why = ""
            return
        self._why = seen.exit_reason or "its process was killed, or could not report its end"
        self._ends.append(now)
        while self._ends and self._ends[0] < now - RESTARTS.restart_window:
            self._ends.popleft()
        self._failures_in_a_row = 0 if ran_for >= STEADY_AFTER else self._failures_in_a_row + 1
        if self._failures_in_a_row > 1:
            self._start_not_before = now + RESTARTS.delay(self._failures_in_a_row - 1)
        if len(self._ends) > RESTARTS.max_restarts:
            self._failed = (
                f"failed: ended {len(self._ends)} times in {RESTARTS.restart_window / 60:.0f} minutes; "
                f"last: {self._why}. Remove the cause, then start it"
            )

    def _absent(self, now: float) -> Decision:
        if self._failed:
            return Decision(NodeStatus.ERROR, self._failed)
        if self._requested_at is not None:
            waited = now - self._requested_at
            if waited <= CLAIM_PATIENCE:
                return Decision(NodeStatus.STARTING, self._why)
            if waited <= RESEND_AFTER:
                return Decision(
                    NodeStatus.STARTING,
                    f"no free worker slot accepted the start request within {waited:.0f} s",
                )
        if now < self._start_not_before:
            return Decision(NodeStatus.ERROR, f"{self._why}; restarts after a pause")
        self._requested_at = now
        self._present_since = None
        counts, self._counts = self._counts, False
        return Decision(NodeStatus.STARTING, self._why, Action.START, counts)
