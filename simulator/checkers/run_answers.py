"""Are calls on runs of agent events answered in time, and are reported records in the log? (R27, P9)

No Byzantine member delays an answer beyond the call's time-out, and what a gateway reports as recorded is in
the log.
"""

from __future__ import annotations

from collections.abc import Sequence

from dtvn.events.judging import Event
from dtvn.gateway import Judged
from simulator.checkers.base import Checker
from simulator.checkers.one_history import OneHistory
from simulator.clock import MILLISECOND
from simulator.event_client import WAIT, EventClient
from simulator.world import World

LATEST = WAIT + 100 * MILLISECOND
"""Most nanoseconds of virtual time until the oldest call of a run is answered: its time-out, a late tick."""


class RunAnswers(Checker):
    """Checks the time at each answer, and the records at the end."""

    name = "run-answers"

    def __init__(self, world: World, clients: Sequence[EventClient], history: OneHistory) -> None:
        super().__init__(world)
        self._clients = clients
        self._history = history

    def hears(self, client: EventClient, member: int, body: bytes) -> None:
        """See EventWatcher."""

    def heard(self, client: EventClient) -> None:
        """See EventWatcher."""

    def answers(self, client: EventClient, answer: Judged, events: Sequence[Event]) -> None:
        """See EventWatcher."""
        self._check_time(answer.run, dict(client.waiting())[answer.run])

    def finish(self) -> None:
        """See Checker."""
        for client in self._clients:
            for run, since in client.waiting():
                self._check_time(run, since)
            for record in client.records:
                if record.head not in self._history.heads:
                    self.fail(f"{record.run} at {record.position} is called recorded, but not in the log")

    def _check_time(self, run: str, since: int) -> None:
        if self.world.time > since + LATEST:
            self.fail(f"a call on {run} is not answered in time, between {since} and {self.world.time}")
