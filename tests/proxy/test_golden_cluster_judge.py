"""What a cluster's platform is asked for verdicts, when it is asked again, and what becomes of its answers;
in a time that passes at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from dtvn.proxy import ClusterJudge, NoVerdict, cluster_judge
from dtvn.proxy.judge import Judgement
from tests.golden import Compare, Telling
from tests.net.still import play

GOLDEN = Path(__file__).parent / "golden"
ENDED: dict[str, Any] = {"events": 5, "scope": "pbft 9", "failure": None, "recorded": "ok"}
Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]] | httpx.TransportError


class Platform(Telling):
    """Answers of a script come first; then runs begin, are judged and end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.script: list[Answer] = []
        self.position = 0
        self._made: list[ClusterJudge] = []
        monkeypatch.setattr(cluster_judge, "time", SimpleNamespace(monotonic=self._now))
        monkeypatch.setattr(
            cluster_judge.log, "warning", lambda text, *given: self.say(f"  log: {text % given}")
        )

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def judge(self, **options: Any) -> ClusterJudge:
        made = ClusterJudge("http://platform.test/base", **options)
        made.client._transport = httpx.MockTransport(self._answer)
        self._made.append(made)
        self.position = 0
        self.chapter(f"{options}")
        return made

    async def close(self) -> None:
        for each in self._made:
            await each.client.aclose()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = request.content
        headers = {name: request.headers.get(name) for name in ("content-type", "x-api-key")}
        at = f"{self._now() - 1_000:g} s"
        said = f"{body[:120]!r} ({len(body)} bytes)"
        self.say(f"  {at} {request.method} {request.url.raw_path.decode()} {headers} {said}")
        if self.script:
            answer = self.script.pop(0)
            if isinstance(answer, httpx.TransportError):
                raise answer
            status, content, *more = answer
            text = content if isinstance(content, bytes) else json.dumps(content).encode()
            return httpx.Response(status, content=text, headers=more[0] if more else {})
        path = request.url.path
        if path.endswith("/runs"):
            return httpx.Response(201, json={"data": {"id": 7}})
        if path.endswith("/end"):
            return httpx.Response(200, json={"data": ENDED})
        lines = headers["content-type"] == "application/x-ndjson"
        count = len(body.split(b"\n")) if lines else len(json.loads(body)["texts"])
        return httpx.Response(200, content=b"\n".join(self.line() for _each in range(count)))

    def line(self, **changes: Any) -> bytes:
        found = {"index": self.position, "accepted": True, "violations": [], "scope": f"pbft {self.position}"}
        self.position += 1
        return json.dumps(found | changes).encode()

    async def judged(self, judgement: Judgement, *events: bytes) -> None:
        self.say(f"judge {[event[:30] for event in events[:5]]}, {len(events)} in all")
        try:
            verdicts = await judgement.judge(events)
            told = [
                (each.accepted, [violation.code for violation in each.violations]) for each in verdicts[:3]
            ]
            self.say(f"  = {len(verdicts)} verdicts, {told}, scope {judgement.scope!r}")
        except NoVerdict as error:
            self.say(f"  ! {error}; {len(error.verdicts)} verdicts; waits for {judgement.waits_for!r}")

    async def closed(self, judgement: Judgement) -> None:
        self.say("close")
        try:
            self.say(f"  = {await judgement.close()}, scope {judgement.scope!r}")
        except NoVerdict as error:
            self.say(f"  ! {error}")


async def _texts(platform: Platform) -> None:
    judge = platform.judge(key="secret", algorithm="pbft", drop_unknown=True, recorded=False)
    judgement = await judge.open()
    await platform.judged(judgement, b'{"a":1}', b'{"b":2}')
    await platform.judged(judgement)
    await platform.judged(judgement, b' {"a":1}', b'{"b":2}')
    await platform.judged(judgement, b'{"a":\n1}', b'{"b":2}\r')
    await platform.judged(judgement, b'{"a":\n"\xff"}')
    await platform.judged(judgement, b'{"a":"\xff"}')
    await platform.judged(judgement, *([b"{}"] * 2_001))
    await platform.judged(judgement, b"x" * 600_000, b"y" * 600_000, b"z")
    await platform.judged(judgement, b"a", b"x" * 1_048_577, b"b")
    await platform.judged(judgement, b"x" * 1_048_576)
    await platform.closed(judgement)


async def _failures(platform: Platform) -> None:
    failure = {"error": "So it is.", "code": "code"}
    for options in ({}, {"patience": 3.0}):
        for answers in (
            [(503, failure), (502, b"junk"), (429, failure, {"Retry-After": "2"})],
            [(503, failure, {"Retry-After": "soon"}), (504, failure), (503, failure), (503, failure)],
            [(409, {"error": "Busy.", "code": "run_busy"})],
            [(404, b"")],
            [(400, failure)],
            [httpx.ConnectError("refused"), httpx.ReadTimeout("")],
        ):
            judge = platform.judge(**options)
            platform.script = list(answers)  # type: ignore[arg-type]
            judgement = await judge.open()
            await platform.judged(judgement, b"{}")
            platform.say(f"  reached {judge.reached}, {len(platform.script)} answers left")
            platform.script = []
            await platform.closed(judgement)


async def _answers(platform: Platform) -> None:
    judge = platform.judge(patience=4.0)
    judgement = await judge.open()
    live = (409, {"error": "An earlier stream writes it.", "code": "run_is_live"})
    await platform.judged(judgement, b"{}")
    violation = {
        "code": "BAD",
        "index": 1,
        "message": "It is bad.",
        "suggestion": "Mend it.",
        "severity": "error",
        "field": None,
    }
    bad, odd = platform.line(accepted=False, violations=[violation]), platform.line(index=9)
    scripts: Sequence[list[Answer]] = (
        [(200, bad + b"\n\n")],
        [live, live],
        [live] * 20,
        [(200, odd)],
        [(200, b"")],
        [(200, b"junk")],
        [(200, b'{"index": 3}')],
    )
    for script in scripts:
        platform.script, platform.position = list(script), judgement._position  # type: ignore[attr-defined]
        await platform.judged(judgement, b"{}")
        platform.say(f"  waits for {judgement.waits_for!r}, {len(platform.script)} answers left")
    for ended in (
        (200, {"data": ENDED | {"failure": {"code": "not_recorded", "text": "No room."}}}),
        (200, {"data": ENDED | {"failure": {"code": "ok", "text": "No room."}, "recorded": "ok"}}),
        (200, {}),
        (404, {"error": "It is gone."}),
    ):
        platform.script = [ended]
        await platform.closed(judgement)
    judge = platform.judge()
    platform.script = [(400, b"{}")]
    await platform.closed(await judge.open())


@pytest.mark.parametrize("story", [_texts, _failures, _answers])
def test_a_cluster_as_the_judge(golden: Compare, monkeypatch: pytest.MonkeyPatch, story: Any) -> None:
    platform = Platform(monkeypatch)

    async def whole() -> None:
        await story(platform)
        await platform.close()

    play(whole())
    golden(GOLDEN / f"cluster-judge-{story.__name__.strip('_')}.txt", platform.text)
