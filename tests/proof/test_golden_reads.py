"""Quorum reads and shared barriers as they come: each question, barrier and pause of drawn reads is told."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import msgspec

from dtvn.proof.barriers import NothingStable, SharedBarriers, passed_checkpoint, quorum_read
from dtvn.proof.reads import NO_PROOF, NOT_FROZEN
from dtvn.protocol.consensus.membership import Membership, founding
from tests.golden import Compare, Telling
from tests.host.support import make_genesis

GOLDEN = Path(__file__).parent / "golden"
MEMBERS = founding(make_genesis())
SMALL = msgspec.structs.replace(
    MEMBERS, parameters=msgspec.structs.replace(MEMBERS.parameters, checkpoint_interval=4)
)


class DrawnRead:
    """A QuorumReader whose cluster does as is drawn."""

    def __init__(self, seed: int, told: Telling) -> None:
        self.drawn, self.told = random.Random(seed), told
        self.log = self.drawn.randrange(1, 9)
        self.known = self.log
        self.proved = self.drawn.choice((0, 0, 4))
        self.turns = self.drawn.randrange(1, 14)

    @property
    def present(self) -> Membership:
        return SMALL

    @property
    def acknowledged(self) -> int:
        return self.known

    def ask(self) -> tuple[int | None, Counter[str]]:
        self.log += self.drawn.choice((0, 0, 0, 1, 3))
        self.known = max(self.known, self.log - self.drawn.randrange(2))
        shown = self.log // 4 * 4 if self.log // 4 * 4 > self.proved and self.drawn.random() < 0.7 else None
        code = self.drawn.choice((NO_PROOF, NOT_FROZEN, NOT_FROZEN, NOT_FROZEN, ""))
        codes = Counter({code: self.drawn.randrange(4)}) if code else Counter()
        self.told.say(f"  asks at {self.known} of {self.log}: {shown} {dict(codes)}")
        return shown, codes

    def is_enough(self, shown: int) -> bool:
        enough = self.drawn.random() < 0.4
        self.told.say(f"  {shown} is enough: {enough}")
        return enough

    def is_stable(self) -> bool:
        return self.drawn.random() < 0.6

    def order(self) -> int | None:
        if self.drawn.random() < 0.3:
            self.told.say("  a barrier is lost")
            return None
        self.log += 1
        self.told.say(f"  a barrier at {self.log}")
        return self.log

    def is_over(self) -> bool:
        self.turns -= 1
        return self.turns <= 0

    def pause(self) -> None:
        self.told.say("  pauses")


def test_quorum_reads(golden: Compare) -> None:
    told = Telling()
    for seed in range(60):
        told.say(f"read {seed}")
        try:
            shown = quorum_read(DrawnRead(seed, told))
            told.say(f"  reads {shown}")
        except NothingStable:
            told.say("  nothing is stable")
    golden.drawn(GOLDEN / "reads.txt", told.text)


def test_shared_barriers(golden: Compare) -> None:
    """Who shares a barrier with whom, and where the next checkpoint is."""
    told, drawn = Telling(), random.Random(1)
    barriers: SharedBarriers[list[int]] = SharedBarriers()
    for number in range(80):
        what = drawn.choice(("join", "join", "begin", "end"))
        if what == "join":
            barriers.join(list).append(number)
            told.say(f"{number} joins {barriers.join(list)}")
        elif what == "begin":
            told.say(f"{number} begins {barriers.begin()}")
        else:
            barriers.end()
            told.say(f"{number} ended")
    passed = [
        (known, reached) for known in range(9) for reached in range(9) if passed_checkpoint(known, reached, 4)
    ]
    told.say(f"passed {passed}")
    golden(GOLDEN / "barriers.txt", told.text)
