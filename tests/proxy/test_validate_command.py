"""`dtvn validate --cluster URL`, before a stand-in for the platform that judges by the rules here."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.cli import cluster
from dtvn.cli.platform import PlatformError, fetch
from dtvn.events.rules import refused
from tests.events.rules.test_validate_command import BAD, GOOD, agent, run, written  # noqa: F401 - a fixture
from tests.proxy.support import served
from tests.proxy.test_cluster_judge import RUNS, Platform
from tests.waiting import PATIENCE


class Lenient(Platform):
    """Accepts what the rules here refuse, and refuses their third event: its verdicts are its own."""

    def line(self, text: bytes) -> bytes:
        found = json.loads(super().line(text)) | {"accepted": True, "violations": []}
        if found["index"] == 2:
            (violation,) = refused(2, "FIRST_EVENT", "so the members say").violations
            found |= {"accepted": False, "violations": [violation]}
        return msgspec.json.encode(found)


@contextmanager
def serving(platform: Any) -> Iterator[str]:
    """The platform's address; it is served by a thread, for the command has a loop of its own."""
    ready, over = threading.Event(), threading.Event()
    addresses: list[str] = []

    async def serve() -> None:
        async with served(platform) as address:
            addresses.append(address)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield addresses[0]
    finally:
        over.set()
        thread.join()


def judged(platform: Platform, source: object, **options: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON object."""
    with serving(platform) as url:
        code, out, err = run(source, json=True, cluster=url, **options)
    assert err == ""
    return code, json.loads(out)


def test_the_scope_is_the_certificates_name(tmp_path: Path) -> None:
    platform = Platform()
    source = written(tmp_path, GOOD)
    code, found = judged(platform, source, skip=["advice"])
    assert code == 0
    assert found == {
        "source": str(source),
        "valid": True,
        "complete": True,
        "runs": 1,
        "events": 5,
        "delivered": 5,
        "code": None,
        "violations": [],
        "scope": "pbft 7",
    }
    assert [path.removeprefix(RUNS) for path, _ in platform.calls] == ["", "/7/events", "/7/end"]
    assert platform.texts == GOOD


def test_the_members_judge_and_not_this_machine(tmp_path: Path) -> None:
    code, found = judged(Lenient(), written(tmp_path, BAD), skip=["advice"])
    assert (code, found["code"], found["delivered"], found["events"]) == (1, "FIRST_EVENT", 2, 6)
    assert [each["message"] for each in found["violations"]] == ["so the members say"]


def test_only_the_scope_differs_from_a_judgement_here(tmp_path: Path) -> None:
    path = written(tmp_path, BAD, "sse")
    with serving(Platform()) as url:
        code, out, err = run(path, cluster=url)
    assert (code, out.replace("pbft 7", "LOCAL_ONLY"), err) == run(path)


def test_standard_input_and_an_address_are_judged_too(agent: str) -> None:  # noqa: F811 - the fixture
    assert judged(Platform(), "-", stdin=b"\n".join(GOOD))[1]["scope"] == "pbft 7"
    assert judged(Platform(), agent + "/run")[1]["events"] == 5


def test_the_first_refusal_ends_the_run_there(tmp_path: Path) -> None:
    platform = Platform()
    code, found = judged(platform, written(tmp_path, BAD), first=True)
    assert (code, found["events"]) == (1, 4)
    assert platform.calls[-1][0] == f"{RUNS}/7/end"


def test_how_the_cluster_decides_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTVN_API_KEY", "secret")
    platform = Platform()
    judged(platform, written(tmp_path, GOOD), algorithm="unanimous", drop_unknown=True)
    assert platform.keys == {b"secret"}
    assert platform.began == {"algorithm": "unanimous", "drop_unknown": True, "recorded": False}


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ((403, "not_permitted"), "the cluster's platform answers 403: it is so"),
        ((401, "unauthenticated"), "the cluster's platform answers 401: it is so"),
        ((422, "algorithm_not_offered"), "the cluster's platform answers 422: it is so"),
    ],
)
def test_a_refused_key_is_said_in_one_line(tmp_path: Path, failure: tuple[int, str], said: str) -> None:
    with serving(Platform(failure)) as url:
        found = run(written(tmp_path, GOOD), cluster=url)
    assert found == (2, "", f"dtvn validate: {said}\n")


@pytest.mark.parametrize("key", ["secret\n", " secret", "s\u00e9cret"])
def test_a_key_that_no_header_can_hold_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("DTVN_API_KEY", key)
    code, _, said = run(written(tmp_path, GOOD), cluster="http://127.0.0.1:1")
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("dtvn validate: $DTVN_API_KEY is not a key")
    with pytest.raises(PlatformError, match="is not a key"):
        fetch("http://127.0.0.1:1", "health")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1", "cannot reach the cluster's platform: All connection attempts failed"),
        ("nowhere", "'nowhere' is no address of the form http(s)://HOST[:PORT][/PATH]"),
    ],
)
def test_a_cluster_that_is_away_is_said_at_once(tmp_path: Path, url: str, said: str) -> None:
    assert run(written(tmp_path, GOOD), cluster=url) == (2, "", f"dtvn validate: {said}\n")


def test_a_cluster_without_a_quorum_is_asked_for_a_limited_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 1.0)
    with serving(Platform(*[(503, "no_verdict")] * 1_000)) as url:
        found = run(written(tmp_path, GOOD), cluster=url)
    assert found == (2, "", "dtvn validate: the cluster's platform answers 503: it is so\n")


def test_a_run_that_another_writes_is_not_called_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 1.0)
    platform = Platform()
    platform.later = (409, "run_is_live")
    with serving(platform) as url:
        code, out, err = run(written(tmp_path, GOOD), cluster=url)
    assert (code, out) == (2, "")
    assert err == "dtvn validate: the cluster's platform answers 409: it is so\n"


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": "pbft"},
        {"cluster": "http://x", "skip": ["shape"]},
        {"cluster": "http://x", "preset": "testing"},
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    code, out, err = run(written(tmp_path, GOOD), **options)
    assert (code, out, err.count("\n")) == (2, "", 1)
