"""What all checkers share: they look on, remember little, and raise Violation at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from simulator.gateway import Gateway, Request
from simulator.node import Node
from simulator.violation import Violation
from simulator.world import World
from validators.consensus.effects import Executed, Note, Record

__all__ = ["Checker"]


class Checker:
    """An observer of nodes and clients that asks one question. Only honest nodes are held to it."""

    name = ""

    def __init__(self, world: World) -> None:
        self.world = world

    def fail(self, text: str) -> NoReturn:
        """The promise is broken."""
        raise Violation(self.name, text)

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

    def answered(self, gateway: Gateway, request: Request) -> None:
        """A client was told what became of its call."""

    def finish(self) -> None:
        """The run is over: everybody who lives is healed and has caught up."""
