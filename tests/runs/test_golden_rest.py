"""What the platform answers about runs of agent events: a run's life, single events, mistakes.

Members really vote. Digests, times and ids differ from run to run: equal ones have one name.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.events.rules.samples import event
from tests.fake_gateway import FakeGateway
from tests.golden import Compare
from tests.team_keys import store_key

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

GOLDEN = Path(__file__).parent / "golden"
GOOD = [event("RS:r", threadId="t"), event("TS:m"), event("TC:m"), event("TE:m"), event("RF:r", threadId="t")]
BAD = [*GOOD[:2], event("TC:other"), event("TE:m"), b"no JSON", event("RF:r", threadId="t")]
UNKNOWN = [
    re.compile(r"\b[0-9a-f]{16,}\b"),
    re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?"),
    re.compile(r"[A-Za-z0-9+/]{22}==|[A-Za-z0-9+/]{40,}={0,2}"),
]


def filled(value: Any) -> Any:
    """Without what is empty, which most fields of most answers are."""
    if isinstance(value, dict):
        return {key: filled(each) for key, each in value.items() if each not in ("", None, [], {})}
    return [filled(each) for each in value] if isinstance(value, list) else value


def fields(answer: dict[str, Any]) -> list[str]:
    """The fields of an answer's data, or of a refusal, a line each."""
    told = answer.get("data", answer)
    if isinstance(told, list):
        told = {"data": [{key: value for key, value in each.items() if key != "id"} for each in told]}
    return [f"  {key}: {json.dumps(value)}" for key, value in filled(told).items() if key != "success"]


class Story:
    """Calls of the API, and their answers."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.lines: list[str] = []
        self.runs: dict[int, str] = {}

    def call(self, method: str, path: str, body: Any = None, api: Api | None = None, **headers: str) -> Any:
        answer = (api or self.api).call(method, path, body, **headers)
        given = "" if body is None else f" {body.decode() if isinstance(body, bytes) else json.dumps(body)}"
        self.lines.append(f"\n{method} {path}{given[:120]} {headers or ''}".rstrip())
        shown = {"retry-after", "allow", "location"}
        found = {name: value for name, value in answer.headers.items() if name.lower() in shown}
        self.lines.append(f"  {answer.status_code} {answer.headers['Content-Type']} {found or ''}".rstrip())
        if not answer.content:
            return None
        if answer.headers["Content-Type"] != "application/json":
            self.lines += [f"  {line}" for line in answer.content.decode().splitlines()]
            return None
        read = json.loads(answer.content)
        self.lines += fields(read)
        self._name(read.get("data"))
        return read

    def _name(self, data: Any) -> None:
        """The id of a run that is told for the first time has a name of its own in the story."""
        if isinstance(data, dict) and isinstance(data.get("id"), int):
            self.runs.setdefault(data["id"], f"RUN-{len(self.runs) + 1}")

    def begin(self, body: Any) -> int:
        """A run begins; its id."""
        return int(self.call("POST", "events/runs", body)["data"]["id"])

    def judge(self, path: str, events: list[bytes], **more: Any) -> Any:
        return self.call("POST", path, {"texts": [each.decode() for each in events], **more})

    def text(self) -> str:
        told = "\n".join(self.lines) + "\n"
        for number, name in self.runs.items():
            told = re.sub(rf'(runs/|[Rr]un |\bid: |"id": |"run": ){number}\b', rf"\1{name}", told)
        told = re.sub(r"\bkey:\d+", "key:N", told)
        names: dict[str, str] = {}
        for pattern in UNKNOWN:
            told = pattern.sub(lambda found: names.setdefault(found[0], f"#{len(names) + 1}"), told)
        return told


@pytest.fixture
def story(api: Api) -> Story:
    return Story(api)


def test_a_run_from_its_beginning_to_its_erasure(story: Story, fake: FakeGateway, golden: Compare) -> None:
    run = story.begin({"thread": "t", "run": "r", "algorithm": "majority"})
    path = f"events/runs/{run}"
    story.judge(f"{path}/events", GOOD[:2])
    fake.events.down = frozenset({3})
    story.judge(f"{path}/events", BAD[2:5])
    fake.events.down = frozenset()
    story.judge(f"{path}/events", BAD[5:])
    story.call("POST", f"{path}/end")
    story.judge(f"{path}/events", GOOD[:1])
    story.call("GET", f"{path}/pieces?limit=1")
    story.call("GET", "events/runs?limit=1")
    story.call("DELETE", path)
    story.call("GET", path)
    golden(GOLDEN / "one-run.txt", story.text())


def test_sequences_and_single_events(story: Story, fake: FakeGateway, golden: Compare) -> None:
    story.judge("events/validate-sequence", GOOD)
    story.judge("events/validate-sequence", BAD, algorithm="majority")
    story.judge("events/validate-sequence", GOOD, algorithm="raft")
    story.judge("events/validate", GOOD[:1])
    fake.events.down = frozenset({2, 3})
    story.judge("events/validate-sequence", GOOD)
    golden(GOLDEN / "sequences.txt", story.text())


def test_mistakes(story: Story, golden: Compare) -> None:
    run = story.begin({"thread": "t", "run": "r"})
    good = [each.decode() for each in GOOD]
    bodies: list[tuple[str, str, Any]] = [
        ("POST", "events/runs", {"thread": "", "run": ""}),
        ("POST", "events/runs", {"thread": "t" * 600, "run": "r"}),
        ("POST", "events/runs", {"thread": "t", "run": "r", "algorithm": "other"}),
        ("POST", "events/runs", {"thread": "t", "run": "r", "more": 1}),
        ("POST", "events/runs", b"no JSON"),
        ("POST", f"events/runs/{run}/events", {}),
        ("POST", f"events/runs/{run}/events", {"texts": "text"}),
        ("POST", f"events/runs/{run}/events", {"texts": [1]}),
        ("POST", f"events/runs/{run}/events", {"texts": good, "salts": ["AA=="]}),
        ("POST", f"events/runs/{run}/events", [1]),
        ("POST", "events/runs/999999/events", {"texts": good}),
        ("POST", "events/runs/999999/end", None),
        ("GET", "events/runs/999999", None),
        ("GET", "events/runs/999999/pieces", None),
        ("DELETE", "events/runs/999999", None),
        ("POST", "events/validate-sequence", {"texts": []}),
        ("POST", "events/validate-sequence", {"texts": good, "thread": "other"}),
        ("POST", "events/validate", {"texts": []}),
        ("POST", "events/validate", {"texts": good}),
        ("POST", f"events/runs/{run}/transcript", {}),
        ("GET", "events/runs?limit=0", None),
        ("GET", "events/runs?limit=1001", None),
        ("GET", "events/runs?limit=x", None),
        ("GET", "events/runs?verdict=other", None),
        ("GET", "events/runs?unknown=1", None),
        ("PUT", f"events/runs/{run}", {}),
        ("GET", "events/validate", None),
    ]
    for method, path, body in bodies:
        story.call(method, path, body)
    story.call("GET", "events/runs", api=Api(None))
    story.call("POST", "events/runs", {"thread": "t", "run": "r"}, api=Api("wrong"))
    store_key("dtvn_second_key_of_the_story", label="other", scopes=["record"])
    other = Api("dtvn_second_key_of_the_story")
    story.call("POST", f"events/runs/{run}/end", api=other)
    golden(GOLDEN / "mistakes.txt", story.text())
