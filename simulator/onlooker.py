"""Who looks on: told of everything that happens in the world, after it happened and before anything else.

Checkers, reports, probes and eavesdropping liars are onlookers. A world tells only those that really
listen: most care about two events of seven, and of frames about a few kinds. A run has ten thousands of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from validators.consensus.messages import KIND_OF

if TYPE_CHECKING:
    from simulator.node import Node
    from validators.consensus.effects import Executed, Note, Record

__all__ = ["EXECUTED", "Audience", "FrameHearers", "Hearers", "Onlooker"]


class Onlooker:
    """Sees and hears everything and does nothing; overwrite what is of interest."""

    kinds: frozenset[type[Any]] | None = None
    """Of what frames `spoke` and `delivered` are told; None: of all, and of what is no frame at all."""
    notes: frozenset[str] | None = None
    """Kinds of the notes of which `noticed` is told, EXECUTED among them; None: of all."""

    def turning(self, node: Node) -> None:
        """A node begins a turn."""

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """A turn's records are durable on a node."""

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """A node tells something."""

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """A node sent a frame."""

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """A frame arrived."""

    def started(self, node: Node) -> None:
        """A node runs."""

    def stopped(self, node: Node) -> None:
        """A node does not."""


Kind = TypeVar("Kind")
EXECUTED = "executed"
"""Kind of what a node notes when it executed a batch."""


class Hearers(dict[Kind, tuple[Callable[..., None], ...]]):
    """By the kind of a frame or note: whom to tell of it, in the order in which they came."""

    def __init__(self) -> None:
        self._all: list[tuple[frozenset[Any] | None, Callable[..., None]]] = []

    def append(self, kinds: frozenset[Any] | None, listener: Callable[..., None]) -> None:
        """Tell it of these kinds from now on; None: of all."""
        self._all.append((kinds, listener))
        self.clear()

    def __missing__(self, kind: Kind) -> tuple[Callable[..., None], ...]:
        found = self[kind] = tuple(tell for kinds, tell in self._all if kinds is None or kind in kinds)
        return found


class FrameHearers(Hearers[int]):
    """The same by a frame's second byte, which names its kind (-1: it has none)."""

    def append(self, kinds: frozenset[Any] | None, listener: Callable[..., None]) -> None:
        """See Hearers; `kinds` are types of messages."""
        super().append(None if kinds is None else frozenset(KIND_OF[kind] for kind in kinds), listener)


class Audience:
    """All onlookers of a world, in the order in which they came; by event only those that listen."""

    def __init__(self) -> None:
        self.turning: list[Callable[[Node], None]] = []
        self.persisted: list[Callable[[Node, Sequence[Record]], None]] = []
        self.noticed: Hearers[str] = Hearers()
        self.spoke = FrameHearers()
        self.delivered = FrameHearers()
        self.started: list[Callable[[Node], None]] = []
        self.stopped: list[Callable[[Node], None]] = []

    def add(self, *onlookers: Onlooker) -> None:
        """Let them be told from now on."""
        for onlooker in onlookers:
            for event, listeners in vars(self).items():
                _enlist(onlooker, event, listeners)

    def extend(self, onlookers: Iterable[Onlooker]) -> None:
        """See add."""
        self.add(*onlookers)


def _enlist(onlooker: Onlooker, event: str, listeners: Hearers[Any] | list[Any]) -> None:
    if getattr(type(onlooker), event) is getattr(Onlooker, event):
        return
    listener = getattr(onlooker, event)
    if isinstance(listeners, Hearers):
        listeners.append(onlooker.notes if event == "noticed" else onlooker.kinds, listener)
    else:
        listeners.append(listener)
