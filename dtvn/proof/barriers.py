"""Barriers of readers: which readers share one, and when a quorum read orders some (R18). Pure.

Before a linearizable read looks at the state, it has an empty operation ordered, its barrier. A reader may
share a barrier that was sent after the reader's request, never an earlier one: the read would miss what was
decided in between.

A quorum read orders barriers if members cannot prove their state: all of them restarted after their stable
checkpoint, so only the next checkpoint can be proved. The platform and the simulator's readers run the same
`quorum_read`, each with its own network and clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from dtvn.proof.reads import NO_PROOF, NOT_FROZEN
from dtvn.protocol import quorum
from dtvn.protocol.consensus.membership import Membership

Waiting = TypeVar("Waiting")
"""The readers of one barrier, as the caller represents them."""
Shown = TypeVar("Shown")
"""The answer that a member proves."""


class SharedBarriers(Generic[Waiting]):
    """One barrier in flight at a time; all readers that join meanwhile share the next one."""

    def __init__(self) -> None:
        self._running = False
        self._next: Waiting | None = None

    def join(self, make: Callable[[], Waiting]) -> Waiting:
        """The readers of the next barrier; `make` creates the object when the first reader joins."""
        if self._next is None:
            self._next = make()
        return self._next

    def begin(self) -> Waiting | None:
        """The readers of the barrier to be sent now; None if one is in flight or no reader waits."""
        if self._running or self._next is None:
            return None
        readers, self._next = self._next, None
        self._running = True
        return readers

    def end(self) -> None:
        """The barrier in flight was ordered or given up."""
        self._running = False


def passed_checkpoint(known: int, reached: int, interval: int) -> bool:
    """Whether a log at sequence `reached` has a checkpoint above sequence `known`."""
    return reached // interval > known // interval


# --- quorum reads ---------------------------------------------------------------------------------


class NothingStable(Exception):
    """f + 1 members report that the cluster has no stable checkpoint yet: waiting alone does not help."""


class QuorumReader(Protocol[Shown]):
    """The network and the clock of a quorum read."""

    @property
    def present(self) -> Membership:
        """The newest known epoch."""
        ...

    @property
    def acknowledged(self) -> int:
        """The newest sequence acknowledged to this process."""
        ...

    def ask(self) -> tuple[Shown | None, Counter[str]]:
        """Ask all members. Returns the newest answer that any member has proved in this read, and a count of
        the codes of the present answers."""
        ...

    def is_enough(self, shown: Shown) -> bool:
        """Whether the reader accepts this answer and does not ask for a newer one."""
        ...

    def is_stable(self) -> bool:
        """Whether this process knows from another source that a stable checkpoint exists."""
        ...

    def order(self) -> int | None:
        """Have one barrier ordered; returns its sequence, or None if it was not ordered and another one may
        be tried."""
        ...

    def is_over(self) -> bool:
        """Whether the read has timed out."""
        ...

    def pause(self) -> None:
        """Wait before the members are asked again."""
        ...


def quorum_read(reader: QuorumReader[Shown]) -> Shown | None:
    """The answer that members prove, None on timeout; raises NothingStable. Orders at most as many barriers
    as there are sequences between two checkpoints, and none while only one member, which may lie, needs
    them."""
    barriers = reader.present.parameters.checkpoint_interval
    while True:
        # Read before the members are asked: a checkpoint reached meanwhile is asked for first.
        known = reader.acknowledged
        shown, codes = reader.ask()
        if shown is None:
            needed = quorum.weak_quorum(len(reader.present.members), reader.present.mode)
            if codes[NO_PROOF] >= needed and not reader.is_stable():
                raise NothingStable
            if codes[NOT_FROZEN] >= needed:
                barriers -= _pass_checkpoint(reader, known, barriers)
        elif reader.is_enough(shown):
            return shown
        if reader.is_over():
            return shown
        reader.pause()


def _pass_checkpoint(reader: QuorumReader[Shown], known: int, most: int) -> int:
    """Have at most `most` barriers ordered, until the log has passed a checkpoint above sequence `known`;
    returns their number."""
    ordered, reached = 0, known
    while ordered < most and not reader.is_over():
        reached = max(reached, reader.acknowledged)
        if passed_checkpoint(known, reached, reader.present.parameters.checkpoint_interval):
            break
        sequence = reader.order()
        if sequence is not None:
            ordered, reached = ordered + 1, max(reached, sequence)
    return ordered
