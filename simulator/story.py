"""The story of a run that broke a promise, in sentences: what was drawn, what happened, who was down, what
clients were told, and which promise broke."""

from __future__ import annotations

from collections import deque

from dtvn.protocol.consensus.effects import Executed, Note
from simulator.clock import MILLISECOND
from simulator.gateway import Gateway, Request
from simulator.node import Node
from simulator.observers import Observer
from simulator.run_plan import RunPlan
from simulator.violation import Violation
from simulator.world import World

LINES_MAX = 30
EVENTS_TOLD, ANSWERS_TOLD = 14, 9
"""Newest events and answers of which a story tells."""


class Story(Observer):
    """Remembers the newest events of a world, and tells them if it is asked."""

    notes = frozenset({"left_view", "entered_view", "follower", "halted", "paused"})

    def __init__(self, world: World, drawn: RunPlan) -> None:
        self._world = world
        self._drawn = drawn
        self._events: deque[str] = deque(maxlen=EVENTS_TOLD)
        self._answers: deque[str] = deque(maxlen=ANSWERS_TOLD)

    def happened(self, sentence: str) -> None:
        """Something that no node does."""
        self._events.append(f"{self._world.time / MILLISECOND:.1f} ms: {sentence}.")

    def started(self, node: Node) -> None:
        """See Observer."""
        if self._world.time:
            self.happened(f"{node.name} starts with a log of {len(node.disk.log)}")

    def stopped(self, node: Node) -> None:
        """See Observer."""
        self.happened(f"{node.name} stops with a log of {len(node.disk.log)}")

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Observer."""
        if isinstance(note, Note):
            said = ", ".join(f"{name} {value}" for name, value in note.fields.items())
            self.happened(f"{node.name} notes {note.kind.replace('_', ' ')} ({said[:80]})")

    def answered(self, gateway: Gateway, request: Request) -> None:
        """See ClientObserver."""
        for operation, result in zip(request.operations, request.results or (), strict=False):
            what = operation.ticket or operation.event or "the cluster"
            self._answers.append(
                f"{request.ended_at / MILLISECOND:.1f} ms: client-{gateway.number} is told {result.code} for "
                f"{operation.kind} of {what} by {operation.actor or 'nobody'!r}, at {result.sequence}."
            )

    def told(self, violation: Violation) -> tuple[str, ...]:
        """At most LINES_MAX sentences."""
        world, drawn = self._world, self._drawn
        down = [node.name for node in world.nodes.values() if not node.up]
        liars = [node.name for node in world.nodes.values() if not node.honest]
        lines = [
            f"{drawn.settings.members} members order by {world.mode.value}; {_named(liars)} "
            f"{'lie' if liars[1:] else 'lies'} ({', '.join(drawn.adversaries) or 'no kind'}).",
            f"At {world.time / MILLISECOND:.1f} ms {_named(down)} {'are' if down[1:] else 'is'} down, "
            f"and {len(world.network.cuts)} links are cut.",
            "What happened last:",
            *(f"  {event}" for event in self._events),
            "What clients were told last:",
            *(f"  {answer}" for answer in self._answers),
            f"The promise that broke: {violation}",
        ]
        return tuple(lines[-LINES_MAX:])


def _named(names: list[str]) -> str:
    return ", ".join(names) or "nobody"
