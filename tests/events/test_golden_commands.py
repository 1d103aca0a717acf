"""What the other commands of `dtvn` print: diff, verify-transcript, withhold, those that ask a platform."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.cli import events_proxy, replay, serving
from dtvn.cli import platform as asked_platform
from dtvn.cli.main import PRINTING, READING
from dtvn.cli.platform import PlatformError
from dtvn.events.transcript import decode_transcript, encode_transcript, withhold
from tests.events.command_story import CommandStory
from tests.events.meaning.support import Manner, Told, stream
from tests.events.rules.samples import event
from tests.events.transcript.support import CHUNKS, JudgedRun, cluster, joined, story, voters_of
from tests.golden import Compare
from tests.proof.support import PaperLog

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
PLAIN = Manner(lambda text: [text], lambda sort, number: f"{sort}{number}")
OTHERWISE = Manner(list, lambda sort, number: f"{number}-{sort}", chunks=True, by_delta=True, time=5)
SAID: list[tuple[str, str, Any]] = [
    ("reasoning", "First I look, then I say.", None),
    ("text", "It is sunny in Rome, and it will stay so for some days.", None),
    ("weather", '{"city": "Rome", "days": [1, 2, 3]}', '{"sky": "clear", "degrees": 30}'),
    ("weather", '{"city": "Bonn"}', "no JSON"),
    ("book", "{}", None),
]
CHANGED: list[tuple[str, str, Any]] = [
    ("text", "It is rainy in Rome, and it will stay so for many days.", None),
    ("weather", '{"city": "Bonn", "unit": null}', "no json"),
    ("weather", '{"city": "Rome", "days": [1, 3]}', '{"degrees": 3e1, "sky": "clear"}'),
    ("cancel", "[1, 2]", "done"),
    ("text", "Grüße 🌧", None),
]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandStory:
    return CommandStory(tmp_path, monkeypatch)


def lines(texts: list[bytes]) -> bytes:
    return b"".join(text + b"\n" for text in texts)


def test_each_command_has_a_help(commands: CommandStory) -> None:
    for name in (*READING, *PRINTING):
        commands.run(name, "--help")
        assert commands.lines[-1] == "exit 0 of the options"
        assert commands.lines[1].startswith(f"  usage: dtvn {name} ")
        commands.lines.clear()


def test_diff_of_streams(commands: CommandStory, golden: Compare) -> None:
    state = {"city": "Rome", "days": [1, 2], "deep": {"a": {"b": 1}}, "gone": True}
    changed = {"city": "Milan", "days": [2, 1, 3], "deep": {"a": {"b": 1.5, "c": None}}}
    refused = [*stream(Told(SAID), PLAIN)[:9], event("TE:nobody"), event("CU")]
    two_runs = [*stream(Told(SAID[:2]), PLAIN), *stream(Told(CHANGED, error="late"), PLAIN)]
    activity = json.dumps(
        {
            "type": "ACTIVITY_SNAPSHOT",
            "messageId": "act",
            "activityType": "plan",
            "content": {"steps": ["a", "b"]},
        }
    ).encode()
    files: dict[str, bytes] = {
        "one": lines(stream(Told(SAID, state), PLAIN)),
        "same": lines(stream(Told(SAID, state), OTHERWISE)),
        "other": lines(stream(Told(CHANGED, changed), OTHERWISE)),
        "failed": lines(stream(Told(SAID, state, error="The model is overloaded."), PLAIN)),
        "refused": lines(refused),
        "two runs": lines(two_runs),
        "open": lines(stream(Told(SAID, state), PLAIN)[:-2]),
        "activity": lines([*stream(Told(SAID, state), PLAIN)[:-1], activity, event("RF:run0")]),
        "empty": b"",
        "text": b"Hello\n",
        "null": lines([event("RS"), b"null"]),
    }
    for name, data in files.items():
        commands.write(name, data)
    for name in files:
        commands.run("diff", "one", name)
    commands.run("diff", "one", "other", "--json")
    commands.run("diff", "refused", "refused")
    commands.run("diff", "-", "-", stdin=b"")
    commands.run("diff", "missing", "one")
    commands.run("diff", "one")
    golden(GOLDEN / "diff.txt", commands.text())


def _transcripts() -> dict[str, bytes]:
    """Name -> bytes: what holds, and what each of one change makes of it."""
    replace = msgspec.structs.replace
    whole = story().transcript()
    other = JudgedRun("t2", "r2")
    for texts in CHUNKS[:2]:
        other.judge(texts, voters_of(cluster()), (0, 1, 2, 3)[:3])
    later = JudgedRun("t3", "r3")
    later.judge((event("RS:r3", threadId="t3"), event("RE")), voters_of(cluster(), 1), (1, 2, 3, 4))
    few = JudgedRun("t4", "r4")
    few.judge((event("RS:r4", threadId="t4"),), voters_of(cluster()), (0, 1))

    def line(at: int, **fields: bytes) -> bytes:
        changed = list(whole.events)
        changed[at] = replace(changed[at], **fields)
        return encode_transcript(replace(whole, events=tuple(changed)))

    kept, signed = whole.events, whole.certificates
    return {
        "whole": encode_transcript(whole),
        "unfinished": encode_transcript(other.transcript()),
        "later": encode_transcript(later.transcript()),
        "few": encode_transcript(few.transcript()),
        "joined": encode_transcript(joined()),
        "withheld": encode_transcript(withhold(whole, {1, 3, 6})),
        "text": line(2, text=b"{}"),
        "salt": line(5, salt=bytes(16)),
        "digest": line(0, digest=bytes(32)),
        "shorter": encode_transcript(replace(whole, events=kept[:-1])),
        "turned": encode_transcript(replace(whole, events=(kept[1], kept[0], *kept[2:]))),
        "without first": encode_transcript(replace(whole, certificates=signed[1:])),
        "without last": encode_transcript(replace(whole, certificates=signed[:-1])),
        "order": encode_transcript(replace(whole, certificates=(signed[1], signed[0], *signed[2:]))),
        "rules": encode_transcript(replace(whole, rules=bytes(32))),
        "cut": encode_transcript(whole)[:-1],
        "longer": encode_transcript(whole) + b"\0",
    }


def test_transcripts(commands: CommandStory, golden: Compare) -> None:
    commands.write("chain", cluster().chain())
    commands.write("other-chain", PaperLog(5).chain())
    for name, data in _transcripts().items():
        commands.write(name, data)
        commands.run("verify-transcript", name, "--genesis", "chain")
    commands.run("verify-transcript", "whole", "--genesis", "other-chain")
    commands.run("verify-transcript", "whole", "--genesis", "whole")
    commands.run("verify-transcript", "chain", "--genesis", "chain")
    commands.run("verify-transcript", "missing", "--genesis", "chain")
    commands.run("verify-transcript", "whole")
    golden(GOLDEN / "transcripts.txt", re.sub("[0-9a-f]{64}", "HASH", commands.text()))


def test_withholding_events(commands: CommandStory, golden: Compare) -> None:
    whole = _transcripts()["whole"]
    commands.write("whole", whole)
    commands.write("hidden", encode_transcript(withhold(decode_transcript(whole), {1, 3})))
    for name, keep in (
        ("whole", ("0",)),
        ("whole", ("6", "3", "3")),
        ("whole", ("7",)),
        ("whole", ("-1",)),
        ("hidden", ("0", "2")),
        ("hidden", ("2", "3", "1")),
        ("missing", ("0",)),
    ):
        commands.run("withhold", name, "--keep", *keep)
        printed = next((line for line in reversed(commands.lines) if line.startswith("  {")), None)
        if printed is not None and commands.lines[-1] == "exit 0":
            shown = decode_transcript(base64.b64decode(json.loads(printed)["transcript"]))
            commands.lines[-2] = f"  {[each.text.decode() if each.shown else None for each in shown.events]}"
    commands.run("withhold", "whole")
    commands.run("withhold", "whole", "--keep", "x")
    golden(GOLDEN / "withhold.txt", commands.text())


RUNS = {
    "data": [
        {
            "algorithm": "pbft",
            "verdict": "valid",
            "events": 7,
            "failure": None,
            "votes": {"r1": {"valid": 2}},
        },
        {
            "algorithm": "majority",
            "verdict": "invalid",
            "events": 11,
            "failure": None,
            "votes": {"r0": {"invalid": 1, "absent": 2}, "r1": {"valid": 3}},
        },
        {"algorithm": "pbft", "verdict": "none", "events": 0, "failure": "NO_QUORUM", "votes": {}},
        {"algorithm": "pbft", "verdict": "none", "events": 13, "failure": None, "votes": {"r2": {"late": 5}}},
        {"algorithm": "pbft", "verdict": "open", "events": 17, "failure": None, "votes": {}},
    ]
}
NODES = [
    {"id": "r0", "is_primary": False, "status": "stopped", "host": "a", "port": 1},
    {"id": "r1", "is_primary": True, "status": "running", "host": "b", "port": 2},
    {"id": "r2", "status": "failed", "view": 3, "peers": ["r0", "r1"]},
]


def state(**fields: Any) -> dict[str, Any]:
    usual = {
        "sentence": "All is well.",
        "level": "ok",
        "members": 4,
        "decides": True,
        "reachable": 4,
        "stopped": [],
        "error": "",
    }
    return {"success": True, "data": usual | fields}


METRICS = """\
# HELP dtvn_platform_breaker_state state
dtvn_platform_breaker_state{node_id="r0"} 0
dtvn_platform_breaker_state{node_id="r1"} 1.0
dtvn_platform_breaker_state{node_id="r2"} 2
other_metric{node_id="r3"} 1
"""


class Platform:
    """Answers in the place of `fetch`."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}

    def fetch(self, platform: str, path: str) -> bytes:
        answer = self.answers.get(path)
        if answer is None:
            raise PlatformError(f"{platform} answers 404: nothing at {path}")
        return answer.encode() if isinstance(answer, str) else msgspec.json.encode(answer)


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Platform:
    from dtvn.cli import circuit_breaker_status

    made = Platform()
    monkeypatch.setattr(asked_platform, "fetch", made.fetch)
    monkeypatch.setattr(circuit_breaker_status, "fetch", made.fetch)
    return made


def test_what_a_platform_says_of_its_cluster(
    commands: CommandStory, platform: Platform, golden: Compare
) -> None:
    url = ("--cluster", "http://one:8000")
    states = {
        "well": state(),
        "one stopped": state(reachable=3, level="warning", sentence="r2 is away.", stopped=["r2", "r0"]),
        "too few": state(reachable=2, decides=False, level="error", sentence="No quorum."),
        "error": state(error="The cluster is not there.", level="ok"),
        "no form": {"data": {}},
        "no JSON": "<html>",
    }
    for title, given in states.items():
        commands.tell(title)
        platform.answers = {"api/v1/cluster": given}
        commands.run("cluster-status", *url)
    commands.run("cluster-status", *url, "--json")
    platform.answers = {"api/v1/nodes": NODES}
    for node in ("r0", "r1", "r2", "r3"):
        commands.run("cluster-status", *url, "--node-id", node)
    commands.run("cluster-status", *url, "--node-id", "r1", "--json")
    commands.run("cluster-status", *url)
    commands.run("cluster-status")
    commands.tell("circuit breakers")
    for metrics in (METRICS, METRICS.replace(" 1.0\n", " 0\n").replace(" 2\n", " 0\n"), "nothing"):
        platform.answers = {"metrics": metrics}
        commands.run("circuit-breaker-status", *url)
    platform.answers = {}
    commands.run("circuit-breaker-status", *url)
    golden(GOLDEN / "cluster-status.txt", commands.text())


def test_how_a_cluster_decided(commands: CommandStory, platform: Platform, golden: Compare) -> None:
    url = ("--cluster", "http://one:8000")
    offered = {"data": {"algorithms": ["majority", "unanimous", "pbft"]}}
    platform.answers = {"api/v1/events/runs?limit=1000": RUNS, "api/v1/events": offered}
    commands.run("consensus-metrics", *url)
    platform.answers["api/v1/nodes"] = NODES
    for algorithm in (None, "pbft", "majority", "unanimous", "raft", "other\nline"):
        chosen = () if algorithm is None else ("--algorithm", algorithm)
        commands.run("consensus-metrics", *url, *chosen)
    commands.run("consensus-metrics", *url, "--json")
    platform.answers |= {
        "api/v1/events/runs?limit=1000": {"data": []},
        "api/v1/events": {"data": {"algorithms": []}},
        "api/v1/nodes": [],
    }
    commands.run("consensus-metrics", *url)
    commands.run("consensus-metrics", *url, "--algorithm", "pbft")
    golden(GOLDEN / "consensus-metrics.txt", commands.text())


PROXY_MISTAKES: list[tuple[str, ...]] = [
    ("--mode", "other"),
    ("--port", "-1"),
    ("--host", "not a host"),
    ("--cluster", "nowhere"),
    ("--streams", "x"),
    ("--verdict-seconds", "0"),
    ("--silence-seconds", "86400"),
    ("--transcripts", "folder"),
    ("--algorithm", "pbft"),
]


def _never(*_: object) -> None:
    raise AssertionError("a server started")


def test_what_keeps_servers_from_starting(
    commands: CommandStory, golden: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "serve", _never)
    monkeypatch.setattr(events_proxy, "serve", _never)
    monkeypatch.setattr(replay, "serve", _never)
    commands.write("run", lines(stream(Told(SAID), PLAIN)))
    commands.write("empty", b"")
    commands.write("text", b"Hello\n")
    for given in (
        ("replay",),
        ("replay", "missing"),
        ("replay", "empty"),
        ("replay", "text"),
        ("replay", "run", "--speed", "0"),
        ("replay", "run", "--speed", "fast"),
        ("replay", "run", "--speed", "2", "--no-delay"),
        ("replay", "run", "--allow-origin", "localhost"),
        ("replay", "run", "--port", "70000"),
        ("replay", "run", "--host", "not a host"),
        ("replay", "run", "--streams", "0"),
        ("events-proxy",),
        *(("events-proxy", "--upstream", "http://127.0.0.1:1", *more) for more in PROXY_MISTAKES),
        ("events-proxy", "--upstream", "nowhere"),
        ("events-proxy", "--upstream", "http://agent/path?query"),
    ):
        commands.run(*given)
    golden(GOLDEN / "servers.txt", commands.text())
