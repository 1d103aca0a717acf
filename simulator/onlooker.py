"""Who looks on: told of everything that happens in the world, after it happened and before anything else.

Checkers, reports, probes and eavesdropping liars are onlookers. A world tells only those that really
listen: most care about two events of seven, and a run has a hundred thousand of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.node import Node
    from validators.consensus.effects import Executed, Note, Record

__all__ = ["Audience", "Onlooker"]


class Onlooker:
    """Sees and hears everything and does nothing; overwrite what is of interest."""

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


class Audience:
    """All onlookers of a world, in the order in which they came; by event only those that listen."""

    def __init__(self) -> None:
        self.turning: list[Callable[[Node], None]] = []
        self.persisted: list[Callable[[Node, Sequence[Record]], None]] = []
        self.noticed: list[Callable[[Node, Executed | Note], None]] = []
        self.spoke: list[Callable[[Node, str, bytes], None]] = []
        self.delivered: list[Callable[[str, str, bytes], None]] = []
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


def _enlist(onlooker: Onlooker, event: str, listeners: list[Any]) -> None:
    if getattr(type(onlooker), event) is not getattr(Onlooker, event):
        listeners.append(getattr(onlooker, event))
