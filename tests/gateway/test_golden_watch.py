"""The watch for partitions of a gateway, as it comes: links, silence, reports and epochs."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.events.config import DetectionMethod, PartitionHandlerConfig, RecoveryStrategy
from dtvn.gateway import PartitionInfo, validator_partitions
from dtvn.gateway.face import MemberView
from dtvn.gateway.validator_partitions import Partitions
from dtvn.net import LinkCounters
from dtvn.protocol.consensus.effects import Now
from tests.gateway.wording import WALL, Clock, Wording
from tests.golden import Compare, Telling

GOLDEN = Path(__file__).parent / "golden"
SECOND = 1_000_000_000
METHODS, STRATEGIES = list(DetectionMethod), list(RecoveryStrategy)


class ScriptedGateway:
    """What a Partitions asks of its gateway: the members' views, and their links."""

    def __init__(self, drawn: random.Random, count: int) -> None:
        self.drawn = drawn
        self.elapsed = 100 * SECOND
        self.failing = False
        self.disconnects: dict[str, int] = {}
        self.views: dict[str, MemberView] = {}
        self.seat(count)

    def seat(self, count: int) -> None:
        """The members of an epoch; those of the one before are as they were."""
        before = self.views
        self.views = {}
        for index in range(count):
            made = MemberView(f"r{index}", index, False, index == 0, 0, 0, None, {})
            self.views[made.id] = before.get(made.id, made)

    def members(self) -> tuple[MemberView, ...]:
        if self.failing:
            raise OSError("no members")
        return tuple(self.views.values())

    def links(self) -> dict[str, LinkCounters]:
        return {name: LinkCounters(disconnects=count) for name, count in self.disconnects.items()}

    def changes(self, name: str) -> str:
        """Something happens to a member; what."""
        what: str = self.drawn.choice(
            ("up", "answers", "answers", "answers", "heard", "misses", "down", "breaks")
        )
        fields: dict[str, Any] = {"connected": what not in ("down", "breaks")}
        if what == "answers":
            fields |= {"heard_at": self.elapsed, "response_time_ms": float(self.drawn.randrange(90))}
        elif what == "heard":
            fields |= {"heard_at": None, "heard": self.drawn.random() * 4}
        elif what == "misses":
            fields["missed"] = self.views[name].missed + 1
        elif what == "breaks":
            self.disconnects[name] = self.disconnects.get(name, 0) + 1
        self.views[name] = msgspec.structs.replace(self.views[name], **fields)
        return what


class DrawnWatch(Telling):
    """A watch to which things happen, and which is asked everything after each."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.drawn = random.Random(seed)
        self.words = Wording()
        config = PartitionHandlerConfig(
            detection_method=METHODS[seed % len(METHODS)],
            recovery_strategy=STRATEGIES[seed % len(STRATEGIES)],
            heartbeat_timeout=2.0 + 2 * (seed % 3),
            quorum_size=2 + seed % 3,
            min_nodes_for_operation=1 + seed % 4,
            max_partition_duration=40.0,
            recovery_timeout=20.0,
            auto_recovery=seed % 4 > 0,
        )
        self.say(f"# {config}")
        self.needed = 3
        self.owes = [True, True]
        self.gateway = ScriptedGateway(self.drawn, 4)
        self.watch = Partitions(self.gateway, config, lambda: self.needed, self._now)  # type: ignore[arg-type]
        self.watch.owing += [lambda: self.owes[0], lambda: self.owes[1]]
        self.watch.set_partition_callbacks(
            self._heard("detected"), self._heard("recovered"), self._heard("escalated")
        )
        self.watch._thread = threading.current_thread()

    def _now(self) -> Now:
        return Now(monotonic=self.gateway.elapsed, wall=WALL + self.gateway.elapsed)

    def _heard(self, name: str) -> Any:
        def heard(info: PartitionInfo) -> None:
            self.say(f"  {name} {self.words(info)}")
            if self.drawn.random() < 0.2:
                raise RuntimeError("a program's own")

        return heard

    def step(self) -> None:
        self.gateway.elapsed += self.drawn.choice((1, 200_000_000, SECOND, SECOND, 3 * SECOND))
        what = self.drawn.choice(("views", "views", "views", "views", "report", "failure", "rare"))
        self.say(f"{self.gateway.elapsed / SECOND:g} s {what}")
        try:
            getattr(self, f"_{what}")()
            if self.drawn.random() < 0.6:
                self.say(f"  turn {self.watch.turn()}")
        except (ValueError, OSError) as error:
            self.say(f"  {self.words(error)}")
        self.gateway.failing = False
        self._standing()

    def _views(self) -> None:
        for name in self.gateway.views:
            if self.drawn.random() < 0.7:
                self.say(f"  {name} {self.gateway.changes(name)}")

    def _report(self) -> None:
        name, reachable = f"r{self.drawn.randrange(5)}", self.drawn.random() < 0.5
        self.say(f"  reported {name} {reachable}")
        self.watch.update_node_health(name, reachable, 7.5)

    def _failure(self) -> None:
        name = f"r{self.drawn.randrange(4)}"
        self.say(f"  failed {name} three times")
        for _time in range(3):
            self.watch.handle_node_failure(name)

    def _rare(self) -> None:
        what = self.drawn.choice(("grace", "epoch", "needed", "owes", "resolve", "fails", "resolve"))
        self.say(f"  {what}")
        if what == "grace":
            self.watch.end_grace()
        elif what == "epoch":
            self.gateway.seat(self.drawn.choice((3, 4, 5)))
        elif what == "needed":
            self.needed = self.drawn.choice((2, 3))
        elif what == "owes":
            self.owes = [self.drawn.random() < 0.7, self.drawn.random() < 0.7]
        elif what == "resolve" and (found := self.watch.get_current_partition()) is not None:
            self.watch.resolve_partition(found.id, "olga")
        self.gateway.failing = what == "fails"

    def _standing(self) -> None:
        """All that can be asked, in any order: each question looks first."""
        watch = self.watch
        questions: list[tuple[str, Any]] = [
            ("status", watch.get_status),
            ("recovery", watch.get_recovery_status),
            ("unreachable", lambda: sorted(watch.unreachable())),
            ("partitioned", watch.is_partitioned),
            ("current", watch.get_current_partition),
            ("figures", watch.get_metrics),
            (
                "history",
                lambda: [(each.id, each.recovered_at is None) for each in watch.get_partition_history()],
            ),
            ("r1", lambda: watch.get_node_health("r1")),
        ]
        self.drawn.shuffle(questions)
        if self.drawn.random() < 0.4:
            questions.sort(key=lambda each: each[0] != "history")
        for name, ask in questions:
            self.say(f"  {name} {self.words(ask())}")
        self.say(f"  woken {watch._wake.is_set()}")
        watch._wake.clear()
        for name in self.gateway.views:
            self.say(f"    {self.words(watch.get_node_health(name))}")


@pytest.mark.parametrize("seed", range(1, 7))
def test_a_watch_as_it_comes(golden: Compare, seed: int) -> None:
    told = DrawnWatch(seed)
    for _step in range(70):
        told.step()
    told.say(f"stopped {told.watch.stop()()} turn {told.watch.turn()}")
    for partition in told.watch.get_partition_history():
        told.say(f"history {told.words(partition)}")
    golden.drawn(GOLDEN / f"watch-{seed}.txt", told.text)


def test_a_watch_reads_both_clocks_of_its_system(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    clock.elapsed = 5 * SECOND
    monkeypatch.setattr(validator_partitions, "time", clock)
    assert validator_partitions.clock() == Now(monotonic=105 * SECOND, wall=WALL + 5 * SECOND + 1_000)
