"""What the five steps of a recovery tell each member, with the files that they write; and each wrong step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dtvn.ceremony import recovery_steps
from tests.founding.genesis_story import GenesisStory, fixed_chance, private_files
from tests.golden import Compare
from tests.recovery.steps import Steps

GOLDEN = Path(__file__).parent / "golden"


class RecoveryStory:
    """The steps of one town, typed and told."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.story = GenesisStory(steps.root)
        self.story.files()
        self.story.lines.clear()

    def types(self, step: str, *words: str, node: str = "") -> None:
        named = ("--id", node) if node else ()
        given = [self.steps.file(word) if "." in word else word for word in words]
        self.story.types("recover", step, *given, *named, "--data-dir", self.steps.data.root)

    def signs(self, name: str, *others: str, plan: str = "cup.plan") -> None:
        shown = [f"{other}.signed" for other in others]
        self.types("sign", plan, *shown, "--out", f"{name}.signed", node=name)

    def seals(self, *names: str) -> None:
        self.types("seal", "cup.plan", *(f"{name}.signed" for name in names), "--out", "cup.sealed")


@pytest.fixture
def told(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecoveryStory]:
    fixed_chance(monkeypatch)
    # Ledgers are read in many pages.
    monkeypatch.setattr(recovery_steps, "PAGE_BYTES", 3_000)
    with private_files():
        yield RecoveryStory(steps)


def test_a_recovery_step_by_step(told: RecoveryStory, golden: Compare) -> None:
    for name in ("r0", "r1", "r2", "r3"):
        vouch = ["--vouch"] if name in ("r0", "r1") else []
        told.types("state", *vouch, "--out", f"{name}.state", node=name)
    told.types("plan", "r0.state", "r1.state", "r2.state", "r3.state", "--out", "cup.plan")
    told.signs("r2")
    for name in ("r0", "r1", "r3"):
        told.signs(name)
    told.seals("r0", "r1", "r3")
    told.signs("r2", "r0")
    told.signs("r2", "r0", "r1", "r3")
    told.seals("r0", "r1", "r2", "r3")
    for name in ("r0", "r1", "r2", "r3"):
        told.types("install", "cup.sealed", node=name)
    told.types("install", "cup.sealed")
    told.types("install", "cup.sealed", node="r0")
    told.story.tell("a second recovery")
    for name in ("r0", "r1", "r2", "r3"):
        told.types("state", "--vouch", "--out", f"{name}.again", node=name)
    golden(GOLDEN / "step-by-step.txt", told.story.text())


def test_wrong_steps_of_a_recovery(told: RecoveryStory, golden: Compare) -> None:
    story = told.story
    told.types("state", "--out", "r9.state", node="r9")
    for name in ("r0", "r1", "r2", "r3"):
        told.types("state", "--out", f"{name}.state", node=name)
    all_states = [f"r{number}.state" for number in range(4)]
    told.types("plan", *all_states, "--out", "cup.plan")
    told.types("state", "--vouch", "--out", "r0.state", node="r0")
    told.types("plan", *all_states, "--out", "cup.plan")
    told.types("state", "--vouch", "--out", "r3.state", node="r3")
    told.types("plan", *all_states, "--out", "cup.plan")
    told.types("plan", *all_states[:3], "--out", "cup.plan")
    told.types("plan", *all_states, "r0.state", "--out", "cup.plan")
    told.types("plan", "r0.state", "missing.state", "--out", "cup.plan")
    (told.steps.root / "noise.state").write_bytes(b"noise")
    told.types("plan", *all_states[:3], "noise.state", "--out", "cup.plan")
    told.types("state", "--vouch", "--out", "r2.state", node="r2")
    told.types("state", "--vouch", "--out", "r1.state", node="r1")
    told.types("plan", *all_states, "--out", "cup.plan")
    told.types("state", "--out", "r3.state", node="r3")
    told.types("plan", *all_states, "--out", "cup.plan")
    told.types("plan", *reversed(all_states), "--out", "other.plan")
    for name in ("r0", "r1", "r3"):
        told.signs(name)
    told.types("sign", "other.plan", "--out", "r0.other", node="r0")
    told.types("state", "--vouch", "--out", "r0.newer", node="r0")
    told.types("plan", "r0.newer", *all_states[1:], "--out", "newer.plan")
    told.types("sign", "newer.plan", "--out", "r0.newer-signed", node="r0")
    told.types("seal", "cup.plan", "r0.signed", "r0.newer-signed", "r1.signed", "--out", "cup.sealed")
    told.types("seal", "cup.plan", "r0.signed", "r1.signed", "r3.signed", "--out", "cup.sealed")
    story.tell("a plan that is no plan")
    told.signs("r0", plan="r0.state")
    told.signs("r0", plan="missing.plan")
    told.signs("r0", plan="cup.plan")
    told.types("state", "--out", "r0.late", node="r0")
    told.types("seal", "cup.plan", "r0.signed", "r0.signed", "--out", "cup.sealed")
    told.types("seal", "r0.signed", "r0.signed", "--out", "cup.sealed")
    told.types("install", "r0.signed", node="r0")
    golden(GOLDEN / "wrong-steps.txt", story.text())
