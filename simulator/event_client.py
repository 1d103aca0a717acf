"""The product's code for runs of agent events in one gateway process, under virtual time.

It writes runs of random events: real members judge them, and the log has the records. A process that takes
the place of another one goes on where the log stood, or believes that it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from dtvn.events.config import Algorithm
from dtvn.events.judging import Electorate, Event, RunPoint
from dtvn.events.rules import state_digest
from dtvn.gateway import EventActions, EventRuns, Judged, LiveRun, Recorded, Result, RunPlace
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now
from simulator.clock import SECOND
from simulator.dice import Dice
from simulator.gateway import Gateway, Request
from simulator.violation import Violation

RUNS = 2
"""Runs that each gateway writes at once."""
WAIT = SECOND
SUBMIT_WAIT = 5 * SECOND
THREAD = "t"
TEXTS = (
    b'{"type":"RUN_STARTED","threadId":"t","runId":"run"}',
    b'{"type":"TEXT_MESSAGE_START","messageId":"message","role":"assistant"}',
    b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"message","delta":"x"}',
    b'{"type":"TEXT_MESSAGE_END","messageId":"message"}',
    b"no JSON",
    b'{"type":"RUN_FINISHED","threadId":"t","runId":"run"}',
)


def draw_events(dice: Dice, position: int) -> list[Event]:
    """A few events from this index of a run on, most of them in the order that the rules want."""
    places = range(position, position + 1 + dice.below(4))
    texts = [TEXTS[place % len(TEXTS)] if dice.hit(0.8) else dice.pick(TEXTS) for place in places]
    return [Event(dice.bytes(16), text) for text in texts]


class EventWatcher(Protocol):
    """Is notified of what a client hears and says; a checker."""

    def hears(self, client: EventClient, member: int, body: bytes) -> None:
        """The body of a Judged is about to be taken in."""

    def heard(self, client: EventClient) -> None:
        """All that had arrived was taken in."""

    def answers(self, client: EventClient, answer: Judged, events: Sequence[Event]) -> None:
        """A caller gets the answer about these events."""


class Written(msgspec.Struct):
    """One live run as its writer sees it."""

    live: LiveRun
    since: int
    """Virtual time, in nanoseconds, from which its oldest open call was next in the run."""
    calls: dict[int, list[Event]] = {}
    ends: bool = False


class EventClient:
    """See gateway.Beside and gateway.ClientObserver."""

    def __init__(self, gateway: Gateway, dice: Dice, algorithms: Sequence[Algorithm] = ()) -> None:
        self.gateway = gateway
        self.lives = 0
        """Number of processes before this one."""
        self.watchers: list[EventWatcher] = []
        self.records: list[Recorded] = []
        """What callers were told is recorded in the log."""
        self.on_body: Callable[[int, bytes], None] | None = None
        """A forger in this process hears too what members say to it."""
        self.runs = self._new_runs()
        self._dice = dice
        self._algorithms = algorithms
        self._later = dice.fork("algorithms")
        """A random stream of its own, so that runs by the gateway's own algorithm stay as they were."""
        self._begun = 0
        self._written: dict[int, Written] = {}
        self._places: dict[str, RunPlace] = {}
        """Where runs of ended processes stood in the log."""
        self._flying: dict[int, int] = {}
        """Number of a call -> that of its records."""
        self._outcomes: list[tuple[int, Sequence[Result] | None]] = []
        gateway.beside = self
        gateway.observers.append(self)

    def electorate(self) -> Electorate:
        """The members of the epoch that the gateway believes in."""
        world, present = self.gateway.world, self.gateway.collector.epochs.present
        return Electorate(world.cluster, present.epoch, present.members, present.mode, world.keyring.scheme)

    def go_on(self) -> None:
        """One step of a writer: begin a run, have events judged, end a run."""
        dice, now = self._dice, self.gateway.clock.now().monotonic
        if len(self._written) < RUNS:
            self._begin()
        number = dice.pick(sorted(self._written))
        written = self._written[number]
        if written.ends or (written.calls and dice.hit(0.7)):
            return
        if dice.hit(0.1):
            written.ends = True
            self.runs.end(number, now, wait=WAIT)
        else:
            events = draw_events(dice, written.live.position)
            if not written.calls:
                written.since = self.gateway.world.time
            written.calls[self.runs.judge(number, events, now, wait=WAIT)] = events
        self.gateway.attend()

    def _begin(self) -> None:
        """A new run, rarely of a name that other gateways use too, or one of a process that died."""
        dice = self._dice
        self._begun += 1
        name, place = f"{self.gateway.number}-{self.lives}-{self._begun}", None
        if self._places and dice.hit(0.5):
            name = dice.pick(sorted(self._places))
            place = self._places.pop(name)
        elif dice.hit(0.1):
            name = f"shared-{self._begun}"
        algorithm, recorded = None, None
        if self._algorithms:
            algorithm, recorded = self._later.pick(self._algorithms), self._later.hit(0.5) or None
        live = self.runs.begin(
            THREAD, name, algorithm=algorithm, recorded=recorded, event="agents", actor="proxy", place=place
        )
        self._written[live.number] = Written(live, self.gateway.world.time)

    def waiting(self) -> list[tuple[str, int]]:
        """Runs with open calls: (name, virtual time in nanoseconds since which the oldest one waits)."""
        return [(each.live.track.point.run, each.since) for each in self._written.values() if each.calls]

    def places(self) -> list[tuple[RunPoint, RunPlace]]:
        """Where the recorded runs that are written here stand in the log."""
        made = []
        for each in self._written.values():
            place, point = each.live.place, each.live.track.point
            if place.position and each.live.recorder is not None:
                state = state_digest(place.state)
                there = msgspec.structs.replace(point, position=place.position, state=state)
                made.append((there, place))
        return made

    # --- gateway.Beside --------------------------------------------------------------------------

    def turn(
        self, judged: Sequence[tuple[int, bytes]], connected: frozenset[int], now: Now
    ) -> list[tuple[int, bytes]]:
        """See gateway.Beside. Nothing that a peer says may break the gateway."""
        try:
            actions = self._turn(judged, connected, now)
        except Violation:
            raise
        except Exception as error:
            raise Violation(
                "event-gateway", f"{self.gateway.name}: {type(error).__name__}: {error}"
            ) from error
        for number, operations in actions.submit:
            self._submit(number, operations)
        return actions.send

    def _turn(self, judged: Sequence[tuple[int, bytes]], connected: frozenset[int], now: Now) -> EventActions:
        runs = self.runs
        runs.connected(connected)
        for member, body in judged:
            for watcher in self.watchers:
                watcher.hears(self, member, body)
            runs.receive(member, body)
            if self.on_body is not None:
                self.on_body(member, body)
        for watcher in self.watchers:
            watcher.heard(self)
        outcomes, self._outcomes = self._outcomes, []
        for number, results in outcomes:
            runs.outcomes(number, results, now.monotonic)
        runs.tick(now.monotonic)
        actions = runs.take(now.monotonic)
        for call, answer in actions.judged:
            self._answer(call, answer)
        self.records += [record for _number, record in actions.recorded]
        for number, _end in actions.ended:
            del self._written[number]
        return actions

    def deadline(self) -> int | None:
        """See gateway.Beside."""
        return 0 if self._outcomes else self.runs.deadline()

    def enter(self) -> None:
        """See gateway.Beside."""
        for written in self._written.values():
            written.since = self.gateway.world.time
        self.runs.enter(self.electorate(), self.gateway.clock.now().monotonic)

    def restarted(self) -> None:
        """See gateway.Beside."""
        for written in self._written.values():
            self._places[written.live.track.point.run] = written.live.place
        self.lives += 1
        self._written.clear()
        self._flying.clear()
        self._outcomes.clear()
        self.runs = self._new_runs()

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See gateway.ClientObserver: records have their outcome."""
        number = self._flying.pop(request.number, None)
        if number is not None:
            self._outcomes.append((number, request.results))

    def _answer(self, call: int, answer: Judged) -> None:
        written = next(each for each in self._written.values() if call in each.calls)
        for watcher in self.watchers:
            watcher.answers(self, answer, written.calls[call])
        del written.calls[call]
        written.since = self.gateway.world.time

    def _submit(self, number: int, operations: tuple[m.Operation, ...]) -> None:
        request = self.gateway.ask(operations, wait=SUBMIT_WAIT)
        if request is None or request.over:
            self._outcomes.append((number, None if request is None else request.results))
        else:
            self._flying[request.number] = number

    def _new_runs(self) -> EventRuns:
        return EventRuns(self.electorate())
