"""Runs of agent events: gateways have them judged by the members and recorded in the log, and one lies."""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.events.config import Algorithm
from simulator.clock import MILLISECOND
from simulator.dice import Dice
from simulator.event_client import EventClient
from simulator.event_forger import EventForger
from simulator.gateway import Gateway
from simulator.recurring import Recurring
from simulator.world import World

PAUSE_MAX = 60 * MILLISECOND


class EventRuns(Recurring):
    """All writers of all gateways; the last gateway forges too."""

    def __init__(
        self, world: World, gateways: Sequence[Gateway], dice: Dice, algorithms: Sequence[Algorithm] = ()
    ) -> None:
        super().__init__(world, dice.fork("when"), PAUSE_MAX)
        self._dice = dice
        self.clients = [
            EventClient(gateway, dice.fork(f"client {gateway.number}"), algorithms) for gateway in gateways
        ]
        self.forger = EventForger(self.clients[-1], dice.fork("forger"), self.clients[:-1])

    def start(self) -> None:
        """See Recurring."""
        super().start()
        self.forger.start()

    def stop(self) -> None:
        """See Recurring."""
        super().stop()
        self.forger.stop()

    def happen(self) -> None:
        """One writer goes on."""
        self._dice.pick(self.clients).go_on()
