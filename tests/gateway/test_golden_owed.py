"""What is owed as it comes: events and sequences, while members come, go, lie and answer too late."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dtvn.events.config import Algorithm
from dtvn.gateway import DistributedValidator, ValidatorError
from dtvn.gateway.owed_settler import Settler
from tests.events.rules.samples import event
from tests.gateway.test_events import falsely
from tests.gateway.test_golden_validator import Story, run_of
from tests.golden import Compare

GOLDEN = Path(__file__).parent / "golden"
STEPS = ("sequence", "sequence", "cut", "cut", "cut", "lie", "wait", "restart")
ALGORITHMS = (None, None, Algorithm.MAJORITY, Algorithm.UNANIMOUS)


class DrawnLife:
    """A validator whose settler takes its turns where something is owed, in the story's thread."""

    def __init__(self, story: Story, seed: int, folder: Path | None) -> None:
        self.story, self.drawn = story, random.Random(seed)
        self.runs = 0
        self.validator = self._made(folder)
        self.validator.start()

    def _made(self, folder: Path | None) -> DistributedValidator:
        told = self.story.tell
        return self.story.made(owed_folder=folder, on_settled=lambda settled: told("heard of", settled.run))

    def step(self, number: int) -> None:
        what = self.drawn.choice((*["event"] * 8, *["turn"] * 4, *STEPS))
        getattr(self, f"_{what}")(number)
        self.story.tell("owed", self.validator.get_owed())

    def _event(self, number: int) -> None:
        text = self.drawn.choice((event("RS:own", threadId="t"), event("TS:m"), event("TC:m"), event("TE:m")))
        self._judges(f"{number} event {text[9:30].decode()}", "validate_event", text)

    def _sequence(self, number: int) -> None:
        events = run_of(f"r{number % 4}", self.drawn.choice(("TC:m", "TC:other")))
        self._judges(f"{number} sequence r{number % 4}", "validate_sequence", events)

    def _judges(self, what: str, call: str, given: object) -> None:
        whole = call == "validate_sequence"
        algorithm = self.drawn.choice(ALGORITHMS) if whole or self.drawn.random() < 0.1 else None
        try:
            result = getattr(self.validator, call)(given, algorithm=algorithm)
        except (ValidatorError, TimeoutError, ValueError) as error:
            self.story.say(f"{what} {algorithm}: {self.story.words(error)}")
        else:
            self.story.result(f"{what} {algorithm}", result)

    def _cut(self, _number: int) -> None:
        self.story.cut(*self.drawn.choice(((), (), (3,), (2, 3), (2, 3), (1, 2, 3))))

    def _turn(self, number: int) -> None:
        settler = self.validator._settler
        if settler is not None:
            self.story.say(f"{number} the settler pauses {settler._turn()}")
            for settled in self.validator.get_settled():
                self.story.tell("settled", settled)
                self.validator.forget_settled(settled.id)

    def _lie(self, number: int) -> None:
        members = self.drawn.choice(((), (), (1,), (0, 1, 2), (0, 1)))
        self.story.say(f"{number} lie {list(members)}")
        falsely(self.story.gateway, *members)

    def _wait(self, _number: int) -> None:
        self.story.clock.elapsed += self.drawn.choice((1, 60)) * 10**9
        self.story.gateway.mute = self.drawn.random() < 0.2

    def _restart(self, number: int) -> None:
        self.story.say(f"{number} restart")
        self.validator.stop()
        self.validator.start()
        self.story.tell("metrics", self.validator.get_metrics())


def _turned(settler: Settler) -> None:
    """Something is owed: a turn is taken at once."""
    settler._turn()


@pytest.mark.parametrize(("seed", "keeps"), [(1, False), (2, True), (3, False), (4, True)])
def test_a_life_with_judgements_owed(
    golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int, keeps: bool
) -> None:
    monkeypatch.setattr(Settler, "wake", _turned)
    story = Story(monkeypatch)
    life = DrawnLife(story, seed, tmp_path / "owed" if keeps else None)
    for number in range(90):
        life.step(number)
    story.cut()
    falsely(story.gateway)
    for number in range(5):
        life._turn(number)
    life.validator.stop()
    golden.drawn(GOLDEN / f"owed-life-{seed}.txt", story.text.replace(str(tmp_path), "FOLDER"))
