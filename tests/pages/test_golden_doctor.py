"""Tells all that the doctor sees of each member, what it passes on to its findings, and what it reports."""

from __future__ import annotations

import json
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from dtvn.api.errors import Unavailable
from dtvn.events.balancing import BreakerState
from dtvn.events.config import Algorithm
from dtvn.gateway import Answered
from dtvn.protocol.quorum import Mode
from tests.api.telling import Story, beside
from tests.golden import Compare
from tests.platform.recording import Recorder
from validators.dashboard import doctor
from validators.dashboard.diagnosis import PROBLEMS
from validators.dashboard.findings import Finding
from validators.membership import CONTRADICTION, DISK_FULL, WAITING
from validators.models import MemberEvidence

STATUS: dict[str, Any] = {
    "voting": True,
    "state": "running",
    "cluster": "c0ffee",
    "peers": ["r1", "r2"],
    "sequence": 812,
    "stable": 768,
    "state_root": "ab" * 32,
    "events": {"checkpoint_differs": 3},
    "quorum_round_trip_ms": 1.25,
    "memory": 77_000_000,
    "clock_offsets": {"r1": 0.5},
    "log_time_ahead": 2.5,
    "withheld_ahead": 3.5,
    "complete_from": 640,
}
NODE = {"pending": 4, "problem": ""}
LITTLE = {name: STATUS[name] for name in ("voting", "cluster", "peers", "sequence", "stable", "state_root")}
ANSWERS = {
    "it runs": ("", NODE, STATUS),
    "an older release": ("", NODE, LITTLE | {"events": {}, "quorum_round_trip_ms": 0.0}),
    "it waits": ("", NODE, STATUS | {"voting": False, "state": WAITING, "awaits": ["r3", "r2"]}),
    "it has stopped and says so": ("", NODE, STATUS | {"contradiction": "two roots"}),
    "it has stopped and answers nothing": (PROBLEMS[CONTRADICTION], NODE, {}),
    "its disk is full": (PROBLEMS[DISK_FULL], NODE, STATUS),
    "its disk is full, and it has stopped": (PROBLEMS[DISK_FULL], NODE, STATUS | {"contradiction": "two"}),
    "no answer, for no reason": ("", NODE, {}),
    "times that are no numbers": ("", NODE, STATUS | {"log_time_ahead": "much", "withheld_ahead": None}),
}


def test_what_a_look_has(golden: Compare) -> None:
    story = Story(exact=True)
    for what, (problem, node, status) in ANSWERS.items():
        story.say(what)
        story.value(msgspec.to_builtins(doctor.look_of("r0", problem, node, status)))
    golden(beside(__file__, "doctor_look"), str(story))


def answered(code: str, text: str) -> Answered:
    return Answered(question=1, code=code, text=text)


class Late(Future[Answered]):
    """An answer that does not come."""

    def result(self, timeout: float | None = None) -> Answered:
        raise TimeoutError


class Network:
    """Members of which each answers in another way."""

    def __init__(self, told: Recorder) -> None:
        self.told, self.present = told, SimpleNamespace(mode=Mode.PBFT)
        self.asked, self.findings, self.differs = 0, list[Finding](), dict[str, Any]()
        self.offered = [Algorithm.UNANIMOUS, Algorithm.PBFT]
        self.events = SimpleNamespace(offered=lambda: self.offered, begin=self.begin)
        self.answers: list[Answered | None] = [
            answered("", json.dumps(STATUS)),
            answered(DISK_FULL, ""),
            answered("odd_code", ""),
            None,
            answered("", json.dumps(STATUS | {"sequence": 5})),
        ]

    def explained(self, diagnosis: dict[str, Any]) -> dict[str, Any]:
        """Each time more is pending."""
        self.asked += 1
        nodes = [node | {"pending": node["pending"] + 10 * self.asked} for node in diagnosis["nodes"]]
        return diagnosis | {"nodes": nodes} | self.differs

    def find(self, first: Any, second: Any, **_: Any) -> list[Finding]:
        for look in (*first, *second):
            self.told.say(f"    {look.id} {look.problem!r} executed {look.executed} pending {look.pending}")
        return self.findings

    def members(self) -> list[Any]:
        return [SimpleNamespace(id=f"r{place}", index=place, connected=place != 4) for place in range(6)]

    def query(self, index: int, kind: str, *, wait: float) -> Future[Answered]:
        self.told.call("query", index, kind, wait=wait)
        answer = self.answers[index % 5]
        if answer is None:
            return Late()
        found: Future[Answered] = Future()
        found.set_result(answer)
        return found

    def balance(self) -> Any:
        states = zip(("r0", "r1", "r2"), BreakerState, strict=False)
        return SimpleNamespace(
            nodes={name: SimpleNamespace(circuit_state=state.value) for name, state in states}
        )

    def begin(self, thread: str, run: str, **named: Any) -> Any:
        self.told.call("begin", thread, len(run), **named)
        return self.told.thing("run")


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    made = Network(told := Recorder(tmp_path))
    nodes = [{"id": f"r{place}", "pending": place, "problem": ""} for place in range(5)]
    diagnosis = {"nodes": nodes, "level": "slow", "verdict": "Two are away.", "log_time_ahead": 1.5}
    told.answers["explain"] = lambda: made.explained(diagnosis)

    @contextmanager
    def saying(what: str) -> Any:
        told.say(f"  saying {what}")
        yield

    monkeypatch.setattr(doctor, "informed_gateway", lambda: made)
    monkeypatch.setattr(doctor, "explain", told.function("explain"))
    monkeypatch.setattr(doctor, "find", told.function("find"))
    monkeypatch.setattr(doctor, "cut_now", lambda: "the cut")
    monkeypatch.setattr(doctor, "read_breakers", lambda: {"r1": "open", "r9": "closed"})
    monkeypatch.setattr(doctor, "saying", saying)
    monkeypatch.setattr(doctor, "time", SimpleNamespace(sleep=told.function("sleep")))
    future = told.thing("future")
    told.answers |= {"run.judge": future, "future.result": "judged", "find": made.find}
    return made


def examined(network: Network, seconds: float) -> None:
    told = network.told
    told.chapter(f"{seconds} seconds")
    try:
        found = doctor.examine(seconds=seconds)
    except (Unavailable, ValueError) as error:
        told.say(f"  = {type(error).__name__}: {error}")
        return
    told.say(f"  = {msgspec.to_builtins(found)}")


@pytest.mark.django_db
def test_what_an_examination_does(golden: Compare, network: Network) -> None:
    told = network.told
    for name, place in (("r0", "1"), ("r0", "2"), ("gone", "3")):
        MemberEvidence.objects.create(
            name=name, place=place, code="two_votes", epoch=0, member=0, content=b""
        )
    examined(network, 2.0)
    network.findings = [Finding("slow", "r1 is slow.", "Replace it."), Finding("x", "y.", "z.")]
    network.present.mode = Mode.RAFT
    examined(network, 0)
    network.offered = [Algorithm.PBFT]
    examined(network, 600)
    network.offered = [Algorithm.UNANIMOUS]
    told.answers["future.result"] = TimeoutError()
    network.findings, network.differs = [], {"level": "ok", "verdict": "All agree."}
    examined(network, 1)
    network.differs = {"nodes": [], "verdict": "There is no cluster."}
    for seconds in (1, 600.5, -1, float("nan"), float("inf")):
        examined(network, seconds)
    golden(beside(__file__, "doctor_examination"), told.text)
