"""All that a watch tells of some minutes of chance, by each method and strategy: events, times, figures."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.protocol.durations import SECOND
from dtvn.protocol.partitions import NotActive, WatchConfig
from dtvn.protocol.partitions.values import PartitionInfo
from tests.golden import Compare
from tests.partitions.support import EPOCH, Watched

GOLDEN = Path(__file__).parent / "golden"
CHOICES = [
    ("hybrid", "merge", "n0", {}),
    ("heartbeat", "wait", "n0", {"heartbeat_timeout": 6 * SECOND, "max_partition_duration": 40 * SECOND}),
    ("quorum", "reset", "", {"quorum_size": 3, "recovery_timeout": 8 * SECOND}),
    ("gossip", "manual", "n0", {"min_nodes_for_operation": 2, "max_partition_duration": 60 * SECOND}),
    ("hybrid", "wait", "", {"auto_recovery": False, "phi_threshold": 2.0, "window": 25}),
    ("hybrid", "reset", "n0", {"min_nodes_for_operation": 3, "acceptable_pause": 0}),
]


class WatchStory:
    """A watch of four peers, what happens to it by chance, and what it tells of that."""

    def __init__(self, method: str, strategy: str, own: str, changes: dict[str, Any]) -> None:
        settings = {"detection_method": method, "recovery_strategy": strategy, **changes}
        self.watched = Watched(own, 4, **settings)
        self.watch = self.watched.watch
        self.chance = random.Random(f"{method} {strategy}")
        self.lines = [f"# {msgspec.to_builtins(msgspec.convert(settings, WatchConfig))}"]
        self.told = 0
        self.silent: set[str] = set()

    def tell(self, what: str) -> None:
        """What was done, and the events since the last line."""
        new = self.watched.events[self.told :]
        self.told += len(new)
        self.lines.append(f"{self.watched.seconds:.3f} s: {what}")
        self.lines += [f"  {type(event).__name__} {_said(event)}" for event in new]

    def standing(self) -> None:
        watch, now = self.watch, self.watched.now
        due = watch.deadline()
        self.lines.append(f"  due {None if due is None else due - now.monotonic}")
        self.lines.append(f"  {watch.get_status()!r} {_said(watch.get_recovery_status())}")
        self.lines.append(f"  {_said(watch.get_metrics(now))}")
        self.lines.append(f"  of {watch.nodes()}: {watch.reachable_nodes()}, not {watch.unreachable_nodes()}")
        if self.chance.random() < 0.3:
            self.lines += [f"    {_said(watch.get_node_health(peer, now))}" for peer in watch.nodes()]

    def step(self) -> None:
        """One thing by chance, and some seconds."""
        chance, watched, watch = self.chance, self.watched, self.watch
        peers = watched.peers
        some = chance.sample(peers, chance.randint(1, len(peers)))
        match chance.randrange(14):
            case 0 | 1 | 2:
                self.silent = set(some)
                self.tell(f"from now on silent: {some}")
            case 3 | 4:
                self.silent = set()
                self.tell("nobody is silent")
            case 5:
                for peer in some:
                    watched.fail(peer, chance.randint(1, 3))
                self.tell(f"failures of {some}")
            case 6:
                watched.cut(*some, "n0")
                self.tell(f"cut from {some}")
            case 7:
                for _time in range(3):
                    done = {peer: chance.random() < 0.3 for peer in [*some, "n0"]}
                    watched.told(watch.add_round(done, watched.now))
                    self.tell(f"a round: {done}")
            case 8:
                self.reports()
            case 9:
                self.resolves()
            case 10:
                watch.excuse(some[0], watched.now)
                self.tell(f"{some[0]} is excused")
            case 11:
                watched.seconds += chance.choice((4.0, 30.0))
                watched.told(watch.tick(watched.now))
                self.tell("the process slept")
            case _:
                self.changes(some)
        watched.pass_seconds(chance.choice((1, 6, 12, 25)), heard=[p for p in peers if p not in self.silent])
        self.tell("time passes")
        self.standing()

    def reports(self) -> None:
        watched, watch = self.watched, self.watch
        match self.chance.randrange(3):
            case 0:
                watched.told(watch.judged(watched.now))
                self.tell("judged")
            case 1:
                watched.told(watch.took_state(watched.now))
                self.tell("took a state")
            case _:
                watched.told(watch.recovery_failed("no disk", watched.now))
                self.tell("could not")

    def resolves(self) -> None:
        current = self.watch.get_current_partition()
        for name, operator in (("partition-1", "olga"), (current.id if current else "", "")):
            try:
                self.watched.told(self.watch.resolve_partition(name, operator, self.watched.now))
            except (NotActive, ValueError) as error:
                self.tell(f"{type(error).__name__}: {error}")
        if current and self.chance.random() < 0.5:
            self.watched.told(self.watch.resolve_partition(current.id, "olga", self.watched.now))
            self.tell("olga resolves it")

    def changes(self, some: list[str]) -> None:
        watched, watch = self.watched, self.watch
        if self.chance.random() < 0.5:
            size, least = self.chance.randint(1, 4), self.chance.randint(1, 3)
            now = watched.now
            watched.told(watch.require(quorum_size=size, min_nodes_for_operation=least, now=now))
            self.tell(f"{size} are a quorum, {least} the least")
            return
        watched.told(watch.set_nodes(["n0", *some], watched.now))
        self.tell(f"nodes are {some}")
        watched.told(watch.set_nodes(["n0", *watched.peers], watched.now))
        self.tell("nodes are all again")


def _said(value: Any) -> str:
    """A value by its fields; a partition with what it says in sentences."""
    if value is None or not isinstance(value, msgspec.Struct):
        return repr(value)
    parts = []
    for field in value.__struct_fields__:
        told = getattr(value, field)
        if isinstance(told, int) and told >= EPOCH:
            told = f"+{(told - EPOCH) / SECOND:g}"
        elif isinstance(told, float):
            told = f"{told:.6g}"
        elif isinstance(told, str) and told.startswith("partition-"):
            told = f"partition +{(int(told.removeprefix('partition-')) - EPOCH) / SECOND:g}"
        elif isinstance(told, msgspec.Struct):
            told = f"[{_said(told)}]"
        parts.append(f"{field}={told}")
    if isinstance(value, PartitionInfo):
        parts += [*value.messages, f"affects {value.affected_nodes}"]
    return ", ".join(parts)


@pytest.mark.parametrize(("method", "strategy", "own", "changes"), CHOICES)
def test_some_minutes_of_chance(
    golden: Compare, method: str, strategy: str, own: str, changes: dict[str, Any]
) -> None:
    story = WatchStory(method, strategy, own, changes)
    story.standing()
    for _step in range(60):
        story.step()
    story.tell("the history")
    story.lines += [f"  {_said(info)}" for info in story.watch.get_partition_history()]
    name = f"watch-{method}-{strategy}{'' if own else '-of-no-node'}.txt"
    golden.drawn(GOLDEN / name, "\n".join(story.lines) + "\n")
