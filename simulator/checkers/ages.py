"""Does no follower look younger than its log is, and does each know its age in the end? (R45)

A follower of age A says: at a moment no earlier than A ago, some honest member's log was no longer than mine
is now. Wall clocks differ, so this much is allowed. Where more clocks went ahead than members may lie, heads
from the future count as of their arrival, and the time on their way is allowed too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from dtvn.protocol import quorum
from dtvn.protocol.consensus.effects import EntryRecord, Record
from simulator.checkers.base import Checker
from simulator.clock import MICROSECOND, SECOND
from simulator.node import Node
from simulator.world import World

LOOK_EVERY = SECOND // 4
"""Nanoseconds between two looks at a follower."""
KNOWN_WITHIN = 12 * SECOND
"""Time after which a follower that is up must know its age: two heads of each member, and two seconds."""
SETTLED = 6 * SECOND
"""Time for which a member must be up for its log to count by itself."""
ON_THE_WAY = 5 * SECOND
"""Time in which a head comes to a follower: the slowest message takes four seconds."""
WORD = 10 * SECOND
"""How old the word of others may be by which a member that has just started knows the log's end: it counts
for five seconds, and the slowest message takes four."""


class _Lengths:
    """When all members of a group had so many entries."""

    def __init__(self) -> None:
        self._lengths: list[int] = []
        self._times: list[int] = []

    def note(self, least: int, time: int) -> None:
        if least > (self._lengths[-1] if self._lengths else 0):
            self._lengths.append(least)
            self._times.append(time)

    def at(self, time: int) -> int:
        place = bisect_right(self._times, time)
        return self._lengths[place - 1] if place else 0


class Ages(Checker):
    """Records when each length of the log was synced by every honest member, and by those members that
    did not start a moment before: what the others' age says must not rest on an old log that came back."""

    name = "ages"
    of_all = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._of_all, self._of_settled = _Lengths(), _Lengths()
        self._since: dict[str, int] = {}
        """Node -> when it started."""
        self._look_at: dict[str, int] = {}
        """Follower -> when it is looked at next."""
        self._slack = 2 * world.settings.skew_max + SECOND // 10
        self._ahead: set[str] = set()
        """Members whose clock was ahead of the others'."""

    def started(self, node: Node) -> None:
        """See Observer."""
        self._since[node.name] = self.world.time

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Observer."""
        if node.index is None or not any(isinstance(record, EntryRecord) for record in records):
            return
        members, now = self._signers(), self.world.time
        self._of_all.note(min((len(each.disk.synced.log) for each in members), default=0), now)
        settled = [each for each in members if each.up and now - self._since.get(each.name, now) >= SETTLED]
        self._of_settled.note(min((len(each.disk.synced.log) for each in settled), default=0), now)

    def _signers(self) -> list[Node]:
        """The honest members, and those who have not heard yet that they are members no more: followers that
        have not heard it either take their word."""
        members = self.world.honest_members()
        former = [node for node in self.world.nodes.values() if node.honest and node.index is not None]
        return [*members, *(node for node in former if node not in members)]

    def turning(self, node: Node) -> None:
        """See Observer."""
        if node.index is not None and node.clock.skew > self.world.settings.skew_max:
            self._ahead.add(node.name)
        if node.index is not None or not node.honest:
            return
        if self.world.time >= self._look_at.get(node.name, 0):
            self._look_at[node.name] = self.world.time + LOOK_EVERY
            self._look(node)

    def _look(self, node: Node) -> None:
        host = node.host
        age = None if host is None else host.age()
        if host is None or age is None:
            return
        then = self.world.time - age * MICROSECOND - self._slack
        if len(self._ahead) > quorum.faults(self.world.members, self.world.mode):
            then -= ON_THE_WAY
        shortest = max(self._of_all.at(then), self._of_settled.at(then - WORD))
        if shortest > host.executed:
            self.fail(
                f"{node.name} says that its log of {host.executed} is {age // 1_000} ms old, but before that "
                f"every honest member had {shortest}"
            )

    def finish(self) -> None:
        """See Checker. Each follower hears of the log's end again."""
        world = self.world
        since, hosts = world.time, {node.name: node.host for node in world.learners() if node.host}

        def known() -> bool:
            ages = [host.age() for host in hosts.values()]
            return all(age is not None and age * MICROSECOND < world.time - since for age in ages)

        world.run_for(KNOWN_WITHIN, done=known)
        for node in world.learners():
            if node.host is not None:
                self._look(node)
                if (age := node.host.age()) is None or age * MICROSECOND > KNOWN_WITHIN:
                    self.fail(f"{node.name} is as old as the others, and its age is {age}")
