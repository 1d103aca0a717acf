"""Observers are notified of everything that happens in the world, right after it happened.

Checkers, reports, probes and eavesdropping liars are observers. A world notifies only those that override an
event: most need two events of seven, and frames of a few kinds. A run has ten thousand events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from dtvn.protocol.consensus.effects import Executed, Note, Record
from dtvn.protocol.consensus.messages import KIND_OF
from simulator.node import Node


class Observer:
    """Base class with a method for each event; override those of interest."""

    kinds: frozenset[type[Any]] | None = None
    """Frames for which `spoke` and `delivered` are called; None: all, also those that do not decode."""
    notes: frozenset[str] | None = None
    """Kinds of notes for which `noticed` is called, EXECUTED among them; None: all."""

    def turning(self, node: Node) -> None:
        """A node begins a turn."""

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """A turn's records are durable on a node."""

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """A node emits a note."""

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """A node sent a frame."""

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """A frame arrived."""

    def started(self, node: Node) -> None:
        """A node has started."""

    def stopped(self, node: Node) -> None:
        """A node has stopped."""


Kind = TypeVar("Kind")
EXECUTED = "executed"
"""Kind of the note that a node emits when it has executed a batch."""


class Listeners(dict[Kind, tuple[Callable[..., None], ...]]):
    """Kind of a frame or note -> the listeners to call, in the order in which they were added."""

    def __init__(self) -> None:
        self._all: list[tuple[frozenset[Any] | None, Callable[..., None]]] = []

    def append(self, kinds: frozenset[Any] | None, listener: Callable[..., None]) -> None:
        """Call `listener` for these kinds from now on; None: for all."""
        self._all.append((kinds, listener))
        self.clear()

    def __missing__(self, kind: Kind) -> tuple[Callable[..., None], ...]:
        found = self[kind] = tuple(tell for kinds, tell in self._all if kinds is None or kind in kinds)
        return found


class FrameListeners(Listeners[int]):
    """The same by a frame's second byte, which names its kind (-1: it has none)."""

    def append(self, kinds: frozenset[Any] | None, listener: Callable[..., None]) -> None:
        """See Listeners; `kinds` are message types."""
        super().append(None if kinds is None else frozenset(KIND_OF[kind] for kind in kinds), listener)


class ObserverList:
    """All observers of a world in the order of their addition; by event only those that override it."""

    def __init__(self) -> None:
        self.turning: list[Callable[[Node], None]] = []
        self.persisted: list[Callable[[Node, Sequence[Record]], None]] = []
        self.noticed: Listeners[str] = Listeners()
        self.spoke = FrameListeners()
        self.delivered = FrameListeners()
        self.started: list[Callable[[Node], None]] = []
        self.stopped: list[Callable[[Node], None]] = []

    def add(self, *observers: Observer) -> None:
        """Notify these observers from now on."""
        for observer in observers:
            for event, listeners in vars(self).items():
                _enlist(observer, event, listeners)

    def extend(self, observers: Iterable[Observer]) -> None:
        """See add."""
        self.add(*observers)


def _enlist(observer: Observer, event: str, listeners: Listeners[Any] | list[Any]) -> None:
    if getattr(type(observer), event) is getattr(Observer, event):
        return
    listener = getattr(observer, event)
    if isinstance(listeners, Listeners):
        listeners.append(observer.notes if event == "noticed" else observer.kinds, listener)
    else:
        listeners.append(listener)
