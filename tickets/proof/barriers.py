"""Barriers of readers: who waits for which one, and when a quorum read has some ordered (R18). Pure.

A linearizable read has an empty operation ordered, its barrier, before it looks. A reader may share one that
was sent after the reader asked, never one sent before: what was decided in between would be missing.

A quorum read has barriers ordered where members cannot prove the state that they have: all started again
since their stable checkpoint, so that only the next one is proved again. The platform and the simulator's
readers run the same `quorum_read`, each with its own network and time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from tickets.proof.reads import NO_PROOF, NOT_FROZEN
from validators import quorum
from validators.consensus.membership import Membership

__all__ = ["NothingStable", "QuorumReader", "SharedBarriers", "passed_checkpoint", "quorum_read"]

Waiting = TypeVar("Waiting")
"""Whatever stands for the readers of one barrier."""
Shown = TypeVar("Shown")
"""What a member proves."""


class SharedBarriers(Generic[Waiting]):
    """One barrier under way at a time, and one that is sent after it, for all who came meanwhile."""

    def __init__(self) -> None:
        self._running = False
        self._next: Waiting | None = None

    def join(self, make: Callable[[], Waiting]) -> Waiting:
        """The readers of the barrier that is sent next; `make` makes them for the first of them."""
        if self._next is None:
            self._next = make()
        return self._next

    def begin(self) -> Waiting | None:
        """The readers of the barrier to be sent now; None: one is under way, or no reader waits."""
        if self._running or self._next is None:
            return None
        readers, self._next = self._next, None
        self._running = True
        return readers

    def end(self) -> None:
        """The one under way is ordered, or was given up."""
        self._running = False


def passed_checkpoint(known: int, reached: int, interval: int) -> bool:
    """Whether a log at sequence `reached` has a checkpoint above sequence `known`."""
    return reached // interval > known // interval


# --- quorum reads ---------------------------------------------------------------------------------


class NothingStable(Exception):
    """The cluster has no stable checkpoint yet, which f + 1 members say: waiting alone does not help."""


class QuorumReader(Protocol[Shown]):
    """What a quorum read needs of the network and of time."""

    @property
    def present(self) -> Membership:
        """The newest epoch that is known."""
        ...

    @property
    def acknowledged(self) -> int:
        """The newest sequence of which this process was told."""
        ...

    def ask(self) -> tuple[Shown | None, Counter[str]]:
        """Ask all members: the newest that any has proved in this read, and the codes of these answers."""
        ...

    def is_enough(self, shown: Shown) -> bool:
        """Whether the reader takes this now, and does not ask for something newer."""
        ...

    def is_stable(self) -> bool:
        """Whether a stable checkpoint is known of otherwise."""
        ...

    def order(self) -> int | None:
        """Have one barrier ordered: its sequence. None: it was not, and another one may be."""
        ...

    def is_over(self) -> bool:
        """Whether the read's time is over."""
        ...

    def pause(self) -> None:
        """Until members are asked again."""
        ...


def quorum_read(reader: QuorumReader[Shown]) -> Shown | None:
    """What members prove, None when the time is over; raise NothingStable. Orders no more barriers than lie
    between two checkpoints, and none while one member alone, who may lie, wants them."""
    barriers = reader.present.parameters.checkpoint_interval
    while True:
        # Before members are asked: a checkpoint that is reached meanwhile is looked for first.
        known = reader.acknowledged
        shown, codes = reader.ask()
        if shown is None:
            needed = quorum.weak_quorum(len(reader.present.members))
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
    """Have barriers ordered, at most so many, until the log has passed a checkpoint above sequence `known`;
    how many."""
    ordered, reached = 0, known
    while ordered < most and not reader.is_over():
        reached = max(reached, reader.acknowledged)
        if passed_checkpoint(known, reached, reader.present.parameters.checkpoint_interval):
            break
        sequence = reader.order()
        if sequence is not None:
            ordered, reached = ordered + 1, max(reached, sequence)
    return ordered
