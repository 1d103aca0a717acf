"""Tells every finding of the doctor about clusters in which much is wrong at once, in no order, and with
figures just at, below and above each limit."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dtvn.protocol.quorum import Mode
from dtvn.watch import NO_CUT, Cut, MemberReport, verdict
from tests.api.telling import Story, beside
from tests.golden import Compare
from validators.dashboard import findings
from validators.dashboard.findings import filling, find
from validators.membership import WAITING

NAMES = ("zeta", "alfa", "mike", "kilo", "echo")
MIB = 1024 * 1024


def look(name: str, **fields: Any) -> MemberReport:
    linked = tuple(other for other in NAMES if other != name)
    fine = MemberReport(
        id=name,
        connected=True,
        heard=0.0,
        voting=True,
        cluster="c0",
        peers=linked,
        sequence=40,
        memory=90 * MIB,
    )
    return msgspec.structs.replace(fine, **fields)


def five(**changed: dict[str, Any]) -> list[MemberReport]:
    return [look(name, **changed.get(name, {})) for name in NAMES]


def tell(
    story: Story,
    heading: str,
    first: list[MemberReport],
    second: list[MemberReport],
    cut: Cut = NO_CUT,
    log_time_ahead: float = 0.0,
    **more: Any,
) -> None:
    before: list[str] | None = None
    for mode in Mode:
        state = verdict(second, mode=mode, window=1_000, cut=cut)
        state = msgspec.structs.replace(state, log_time_ahead=log_time_ahead)
        found = find(first, second, state=state, **more)
        lines = [line for each in found for line in (f"{each.trouble}: {each.wrong}", f"  {each.remedy}")]
        if lines != before:
            story.heading(f"{heading}, {mode.value}")
            story.lines += story.differences.of(heading, lines)
        before = lines
    story.say("".join(f"{sentence}\n" for sentence in filling(second)))


@pytest.fixture
def story() -> Story:
    return Story()


def test_what_the_doctor_finds(golden: Compare, story: Story) -> None:
    tell(story, "Nothing is wrong", five(), five())
    roots: dict[str, dict[str, Any]] = {
        "zeta": {"stable": 64, "state_root": "aa"},
        "alfa": {"stable": 32, "state_root": "bb"},
        "mike": {"stable": 64, "state_root": "cc", "contradiction": "two certificates"},
        "kilo": {"stable": 32, "state_root": "dd", "events": {"checkpoint_differs": 3}},
        "echo": {"stable": 32, "state_root": "bb", "events": {"checkpoint_differs": 1}},
    }
    evidence, breakers = {"mike": 2, "alfa": 1}, {"zeta": "open", "alfa": "half-open", "kilo": "closed"}
    tell(story, "Forks and lies", five(), five(**roots), evidence=evidence, breakers=breakers)
    votes: dict[str, dict[str, Any]] = {
        "zeta": {"voting": False, "state": WAITING, "awaits": ("kilo", "alfa")},
        "alfa": {"voting": False, "state": WAITING},
        "mike": {"voting": False, "problem": "no answer"},
        "kilo": {"voting": False},
    }
    tell(story, "Few vote", five(), five(**votes), cut=Cut("zeta | alfa and mike"))
    parts: dict[str, dict[str, Any]] = {
        "zeta": {"peers": ("kilo",), "sequence": 12},
        "alfa": {"peers": ("mike",), "cluster": "c1"},
        "mike": {"peers": (), "sequence": 39},
        "kilo": {"peers": ()},
        "echo": {"peers": ("zeta", "absent"), "complete_from": 17},
    }
    tell(story, "Groups, in both looks", five(**parts), five(**parts))
    tell(story, "Groups, in the second look only", five(), five(**parts))
    clocks: dict[str, dict[str, Any]] = {
        "zeta": {"clock_ahead": 2.5, "log_time_ahead": 61.0},
        "alfa": {"clock_ahead": -7.25, "log_time_ahead": 61.0, "withheld_ahead": 12.5},
        "mike": {"clock_ahead": 0.1, "log_time_ahead": 3_700.0},
    }
    tell(story, "Clocks", five(), five(**clocks), log_time_ahead=61.0)
    golden(beside(__file__, "doctor_findings"), str(story))


def test_what_the_doctor_finds_at_its_limits(golden: Compare, story: Story) -> None:
    many, slow, most = findings.PENDING_MANY, findings.ROUND_TRIP_SLOW_MS, findings.MEMORY_MAX
    off, least = findings.CLOCK_OFF, findings.MEMORY_GROWTH_LEAST
    for step in (-1, 0, 1):
        changed: dict[str, dict[str, Any]] = {
            "zeta": {"pending": many + step, "memory": most + step},
            "alfa": {"round_trip_ms": slow + step / 10, "memory": 90 * MIB + least + step},
            "mike": {"clock_ahead": off + step / 10},
            "kilo": {"pending": int(findings.UNEVEN * many) + step, "clock_ahead": -off - step / 10},
        }
        tell(story, f"{step:+d}", five(), five(**changed))
    shares: dict[str, dict[str, Any]] = {name: {"pending": 10 * many} for name in NAMES}
    tell(story, "All have much to do", five(), five(**shares))
    tell(story, "Nobody answers", five(), [MemberReport(id=name, problem="no answer") for name in NAMES])
    tell(story, "Nobody is there", [], [])
    golden(beside(__file__, "doctor_limits"), str(story))
