"""What all checkers share: they look on, remember little, and raise Violation at once."""

from __future__ import annotations

from typing import NoReturn

from simulator.gateway import Gateway, Request
from simulator.onlooker import Onlooker
from simulator.violation import Violation
from simulator.world import World
from validators import quorum

__all__ = ["Checker"]


class Checker(Onlooker):
    """Looks on at nodes and clients and asks one question. Only honest nodes are held to it."""

    name = ""
    of_all = False
    """Its last question asks that everybody who lives has caught up."""

    def __init__(self, world: World) -> None:
        self.world = world

    def quorum_in(self, epoch: int) -> int:
        """q of an epoch; no epoch is known: more than there can be."""
        membership = self.world.epochs.get(epoch)
        return quorum.quorum(len(membership.members)) if membership else quorum.MEMBERS_MAX + 1

    def fail(self, text: str) -> NoReturn:
        """The promise is broken."""
        raise Violation(self.name, text)

    def answered(self, gateway: Gateway, request: Request) -> None:
        """A client was told what became of its call."""

    def finish(self) -> None:
        """The run is over: everything is healed."""
