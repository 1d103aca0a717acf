"""Base of all checkers: they observe, store little, and raise Violation at once."""

from __future__ import annotations

from typing import Any, NoReturn

from dtvn.protocol import quorum
from dtvn.protocol.consensus import messages as m
from simulator.gateway import Gateway, Request
from simulator.observers import Observer
from simulator.violation import Violation
from simulator.world import World


class Checker(Observer):
    """Observes nodes and clients and answers one question. Only honest nodes are checked."""

    name = ""
    of_all = False
    """True: its last question requires that all live nodes have caught up."""

    def __init__(self, world: World) -> None:
        self.world = world

    def quorum_in(self, epoch: int) -> int:
        """q of an epoch; for an unknown epoch a number that no quorum reaches."""
        membership = self.world.epochs.get(epoch)
        if membership is None:
            return quorum.MEMBERS_MAX + 1
        return quorum.quorum(len(membership.members), membership.mode)

    def enders_in(self, epoch: int, kind: type[Any]) -> int:
        """Number of members whose statements of this kind make a checkpoint stable: all for a CONTINUATION
        (R11), else q."""
        if kind is m.Continuation and epoch in self.world.epochs:
            return len(self.world.epochs[epoch].members)
        return self.quorum_in(epoch)

    def fail(self, text: str) -> NoReturn:
        """Raise Violation: the promise is broken."""
        raise Violation(self.name, text)

    def answered(self, gateway: Gateway, request: Request) -> None:
        """A client got the outcome of its call."""

    def finish(self) -> None:
        """The run is over and everything is healed: ask the last question."""
