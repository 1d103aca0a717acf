"""Tells what the controllers of processes decide while chance has them start, end, hang, crash and be
replaced: nodes, the web process and workers, their APIs. Time passes in steps on both sides of each limit."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.api.telling import beside
from tests.golden import Compare, Telling
from tests.platform.observed import never_started
from tests.platform.test_children import Nursery
from validators.data_folder.changes import note_change
from validators.data_folder.folder import DataFolder
from validators.local_get import NO_ANSWER
from validators.models import DesiredState
from validators.processes import api_probes, attention
from validators.processes.api_probes import ANSWER_PATIENCE, TOGETHER, WELL_INTERVAL, ApiProbes
from validators.processes.attention import Attention
from validators.processes.health_check import STARTING_PATIENCE, HealthCheck
from validators.processes.node_controller import (
    CLAIM_PATIENCE,
    KILL_SILENT_AFTER,
    SILENT_AFTER,
    STEADY_AFTER,
    STOP_PATIENCE,
    Action,
    NodeController,
)

SECONDS = (0.5, 1.0, 2.0, 2.25, SILENT_AFTER, CLAIM_PATIENCE, STOP_PATIENCE, STEADY_AFTER)
"""Of these, most are short."""


def passing(chance: Random) -> float:
    """Seconds until the next look."""
    return chance.choice(SECONDS) if chance.random() < 0.15 else 0.5


class Drawn:
    """The facts about one node, which chance changes."""

    def __init__(self, seed: int) -> None:
        self.chance, self.now, self.story = Random(seed), 500.0, Telling()
        self.facts, self.beats = never_started(), True
        self.controller = NodeController(1)

    def change(self, **facts: Any) -> str:
        self.facts = msgspec.structs.replace(self.facts, **facts)
        return ", ".join(f"{name} {value!r}" for name, value in facts.items())

    def happens(self) -> str:
        """Something that may happen to a node."""
        draw, facts = self.chance.random(), self.facts
        if draw < 0.3 and facts.holder is None:
            ran = facts.generation - (self.chance.random() < 0.15)
            self.beats = True
            claims = self.chance.random() < 0.9
            return self.change(
                claimed=claims, holder=7, turning=self.chance.random() < 0.8, running_generation=ran
            )
        if draw < 0.55 and facts.holder is not None:
            return self.change(
                holder=None,
                exit_reason=self.chance.choice(("", "no disk")),
                blocked=self.chance.random() < 0.15,
            )
        if draw < 0.62:
            desired = self.chance.choice((DesiredState.RUNNING, DesiredState.RUNNING, DesiredState.STOPPED))
            return self.change(desired=desired, generation=facts.generation + 1)
        if draw < 0.74:
            self.beats = not self.beats
            return "beats" if self.beats else "is silent"
        if draw < 0.82:
            return self.change(trouble=self.chance.choice(("", "its port is in use")))
        if draw < 0.9:
            why = self.chance.choice(("", "the broker is away"))
            self.controller.request_lost(why)
            return f"request lost {why}"
        self.controller.worker_lost()
        return "worker lost"

    def look(self) -> None:
        self.now += passing(self.chance)
        if self.beats and self.facts.holder is not None:
            self.change(heartbeat=self.now)
        made = self.controller.step(self.facts, self.now)
        self.story.say(
            f"{self.now} {made.status} {made.error!r} {made.action.value} {made.counts_as_restart}"
        )
        if made.action is Action.START:
            self.change(claimed=False, turning=False, exit_reason="", blocked=False)
        if made.action is Action.KILL:
            self.change(holder=None, exit_reason="")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_decided_about_a_node(golden: Compare, seed: int) -> None:
    drawn = Drawn(seed)
    often = (0.02, 0.1, 0.4)[seed - 1]
    for _ in range(3_000):
        if drawn.chance.random() < often:
            drawn.story.say(drawn.happens())
        drawn.look()
    golden.drawn(beside(__file__, f"drawn-node-{seed}"), drawn.story.text)


def test_what_health_checks_find(golden: Compare) -> None:
    chance, story, now, beat = Random(4), Telling(), 100.0, 0
    check = HealthCheck(kill_after=KILL_SILENT_AFTER)
    check.begin(beat, now)
    for _ in range(3_000):
        now += chance.choice((0.5, 1.0, 1.0, 1.75, 2.0, 2.25, SILENT_AFTER))
        if chance.random() < (0.6 if now % 400 < 200 else 0.01):
            beat += 1
        found = check.look(beat, now)
        story.say(f"{now} {beat} {found.verdict.value} {found.silent_for}")
        if chance.random() < 0.004:
            check.begin(beat, now)
            story.say("begins")
    check = HealthCheck(kill_after=2 * STARTING_PATIENCE)
    check.begin(0, 0.0)
    for second in range(int(2 * STARTING_PATIENCE) + 2):
        story.say(f"{second} {check.look(0, float(second)).verdict.value}")
    golden.drawn(beside(__file__, "drawn-health"), story.text)


def test_what_is_done_with_a_child(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, story, nursery = Random(5), Telling(), Nursery(monkeypatch)
    beats = True
    for _ in range(2_000):
        step = passing(chance)
        if chance.random() < 0.03:
            beats = not beats
        nursery.beat += beats
        if chance.random() < 0.05 and nursery.processes[-1].returncode is None:
            said = nursery.end(step, chance.choice((0, 1, -9, -15)))
        else:
            said = nursery.look(step)
        child = nursery.child
        story.say(
            f"{nursery.now} {said}; {len(nursery.processes)} started, {nursery.ends} ended, "
            f"{child.process_id is not None} {child.lives()}, "
            f"rests {child.rest(1.0):.2f} {child.rest(60.0):.2f}"
        )
    golden.drawn(beside(__file__, "drawn-child"), story.text)


class Apis:
    """APIs of nodes whose answers chance draws, and the clock by which they come."""

    def __init__(self, chance: Random) -> None:
        self.chance, self.now = chance, 100.0
        self.asked: list[str] = []
        self.changes = 0

    def monotonic(self) -> float:
        return self.now

    def get(self, host: str, port: int, path: str, *, patience: float, most: int) -> Any:
        assert (path, patience, most) == ("/health", ANSWER_PATIENCE, 0)
        draw = self.chance.random()
        self.asked.append(f"{host}:{port} {draw:.2f}")
        self.now += self.chance.choice((0.0, 0.1))
        if draw < 0.5:
            return SimpleNamespace(status=HTTPStatus.OK)
        if draw < 0.6:
            return SimpleNamespace(status=HTTPStatus.SERVICE_UNAVAILABLE)
        if draw < 0.9:
            self.now += ANSWER_PATIENCE
        raise NO_ANSWER[0]()


@pytest.fixture
def apis(monkeypatch: pytest.MonkeyPatch) -> Apis:
    found = Apis(Random(6))
    ports = {"a": 9001, "b": 9002, "c": 0}
    monkeypatch.setattr(api_probes, "time", found)
    monkeypatch.setattr(api_probes, "get", found.get)
    monkeypatch.setattr(api_probes, "kept_port", lambda node, _kind: ports[node.root.name])
    return found


def test_what_probes_find(golden: Compare, apis: Apis, tmp_path: Path) -> None:
    def changed() -> None:
        apis.changes += 1

    story, chance = Telling(), apis.chance
    probes = ApiProbes(DataFolder(tmp_path), changed)
    runs = {"a": "1", "b": "1", "c": "1"}
    probes.watch(runs)
    for turn in range(600):
        if chance.random() < 0.05:
            runs = {name: str(turn) if chance.random() < 0.3 else run for name, run in runs.items()}
            probes._waking.clear()
            probes.watch(runs)
            story.say(f"runs {runs}, woken {probes._waking.is_set()}")
        apis.now += chance.choice((0.25, 0.5, WELL_INTERVAL - 0.25, WELL_INTERVAL))
        for name in probes.due(apis.now + chance.choice((0.0, TOGETHER))):
            probes._ask(name)
        told = {name: probes.answers(name) for name in ("a", "b", "c", "d")}
        story.say(f"{apis.now:.2f} {apis.asked} {told} {apis.changes} {probes.rest(apis.now):.2f}")
        apis.asked.clear()
    golden.drawn(beside(__file__, "drawn-probes"), story.text)


def test_when_reconcile_takes_a_turn(
    golden: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each look it is told whether a turn is due, whose end is waited for, and for how long."""
    chance, story = Random(8), Telling()
    now, held, beats, answers = 0.0, dict[str, int | None](), dict[str, float](), dict[str, bool]()
    folder = DataFolder(tmp_path)
    folder.create()
    monkeypatch.setattr(attention, "time", SimpleNamespace(time=lambda: 1_000.0 + now))
    monkeypatch.setattr(attention, "lock_holder", lambda path: held.get(path.stem))
    monkeypatch.setattr(attention, "heartbeat", lambda path: beats.get(path.stem, 0.0) * 1e9)
    found = Attention(folder, lambda name: answers.get(name, False))
    names = ("a", "b")
    for _ in range(1_500):
        now += chance.choice((0.2, 0.2, 0.2, 0.25, 0.8, 1.0))
        name = chance.choice(names)
        draw = chance.random()
        if draw < 0.05:
            held[name] = chance.choice((None, 7, 8))
        elif draw < 0.08:
            answers[name] = not answers.get(name, False)
        elif draw < 0.1:
            note_change(folder.desired_changes)
        elif draw < 0.5:
            beats[name] = 1_000.0 + now
        due = found.is_due(names if chance.random() < 0.9 else (), now)
        if due and chance.random() < 0.7:
            found.settled = True
        story.say(f"{now:.2f} {due} {found.settled} {found.processes} {found.rest():.2f}")
    golden.drawn(beside(__file__, "drawn-attention"), story.text)
