"""The official client takes a replayed recording as it takes the recording itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dtvn.replay import Replay, runs_of
from tests.events.meaning.test_as_the_client import run, say, texts_of
from tests.proxy.client import outcomes
from tests.proxy.support import served
from tests.proxy.test_command import PROGRAM, line_of, port_in, running
from tests.proxy.test_official_client import replaying

pytestmark = [pytest.mark.asyncio, pytest.mark.ci]
RECORDED = Path(__file__).parents[1] / "events/recorded"


@contextmanager
def replayed(*words: str) -> Iterator[str]:
    """The address of a real `dtvn replay`."""
    with running([*PROGRAM, "replay", *words, "--port", "0"], RECORDED) as process:
        yield f"http://127.0.0.1:{port_in(line_of(process))}"


def seen(outcome: dict[str, Any]) -> dict[str, Any]:
    """An outcome without the ids that the client draws itself."""
    return {name: outcome[name] for name in ("error", "messages", "state", "interrupts", "events")}


async def test_each_recording_replays_as_it_was() -> None:
    """Twice in one thread: the second answer has ids of its own, so the client takes it whole again."""
    files = sorted(RECORDED.glob("*.sse"))
    bodies = {str(at): file.read_bytes() for at, file in enumerate(files)}
    replays = {name: Replay(runs_of(texts_of(body)), speed=None) for name, body in bodies.items()}

    async def each(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await replays[scope["path"].removeprefix("/")](scope, receive, send)

    async with served(each) as url, served(replaying(bodies, {})) as recorded:
        asked = [{"url": f"{url}/{at}", "turns": [{}]} for at in range(len(files))]
        found = await outcomes(asked)
        replays = {name: Replay(runs_of(texts_of(body)), speed=None) for name, body in bodies.items()}
        again = await outcomes([one | {"turns": [{}, {}]} for one in asked])
        direct = await outcomes([{"url": f"{recorded}/{at}"} for at in range(len(files))])
    twice = 0
    for file, one, other, both in zip(files, found, direct, again, strict=True):
        if other["error"] is not None:  # how far the client gets depends on how the stream came in pieces
            assert one["error"] == other["error"], file.name
            continue
        assert seen(one) == seen(other), file.name
        if other["interrupts"] or "MESSAGES_SNAPSHOT" in other["events"]:
            continue  # the client has to answer first, or the snapshot replaces what it has
        twice += 1
        assert both["error"] is None, file.name
        texts = [each.get("content") for each in other["messages"]]
        assert [each.get("content") for each in both["messages"]] == texts * 2, file.name
        assert len({each["id"] for each in both["messages"]}) == len(both["messages"]), file.name
    assert twice > 15


async def test_the_command_replays_a_recording(tmp_path: Path) -> None:
    name = "pyd-02-parallel-tools.sse"
    async with served(replaying({"": (RECORDED / name).read_bytes()}, {})) as url:
        (direct,) = await outcomes([{"url": url}])
    with replayed(name) as url:
        (found,) = await outcomes([{"url": url}])
    assert (found["error"], found["messages"][-1]["role"]) == (None, "assistant")
    assert seen(found) == seen(direct)


async def test_several_runs_answer_in_turn_within_each_thread(tmp_path: Path) -> None:
    events = [*run(*say("a", "First")), *run(*say("b", "Second"))]
    (tmp_path / "two.ndjson").write_text("".join(json.dumps(each) + "\n" for each in events))
    with replayed(str(tmp_path / "two.ndjson")) as url:
        turns = [{"say": "1"}, {"say": "2"}, {"say": "3"}]
        (found,) = await outcomes([{"url": url, "turns": turns}])
    assert found["error"] is None
    assert [(each["role"], each["content"]) for each in found["messages"]] == [
        ("user", "1"),
        ("assistant", "First"),
        ("user", "2"),
        ("assistant", "Second"),
        ("user", "3"),
        ("assistant", "First"),
    ]
