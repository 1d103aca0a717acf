"""The real proxy before a real platform of four nodes: what it says when no verdict can come.

What it says when they come: test_events_beside_liars.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dtvn.events.transcript import decode_transcript
from dtvn.proof import TRANSCRIPT, unwrap
from tests.integration.judged_conversation import (
    HALF,
    MODES,
    PATIENT,
    WRONG_AT,
    conversation,
    faulty,
    half_is_judged,
    is_right,
    kill,
    lying,
    proves,
    proxied,
    started_again,
    verdicts,
)
from tests.integration.network import Network, network
from tests.integration.proxied_agent import proxy
from tests.integration.test_process_life import wait_until_everyone_runs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("proxied") / "data") as started:
        started.start()
        wait_until_everyone_runs(started)
        yield started


@pytest.fixture
def folder(running: Network, tmp_path: Path) -> Path:
    """Where transcripts are put, with the chain beside them."""
    with running.client() as client:
        (tmp_path / "epochs.json").write_bytes(client.get("/api/v1/epochs").content)
    return tmp_path


@pytest.mark.parametrize("outage", [pytest.param("pass", marks=pytest.mark.exhaustive), "refuse"])
def test_a_liar_and_a_kill_at_once_are_reported_as_an_outage(
    running: Network, folder: Path, outage: str
) -> None:
    terms = ("--verdict-seconds", "3", "--on-outage", outage)
    with started_again(running, "node3"), lying(running, 3):
        for mode in MODES if outage == "refuse" else ("refuse",):
            sent = conversation()

            def between(sent: list[bytes] = sent) -> None:
                half_is_judged(running, sent)
                kill(running, "node2")

            with started_again(running, "node2"), proxied(running, mode, folder, *terms) as made:
                answer = made.pass_on(sent, at=HALF, between=between)
            within = "30 s after the end" if mode == "observe" else "3 s"
            assert answer.report["not_validated"] == f"no verdict within {within}"
            said = answer.events[-1]
            if mode == "observe":
                assert answer.body == b"".join(sent)
            elif mode == "refuse" and outage == "refuse":
                assert (said["type"], said["code"]) == ("RUN_ERROR", "NO_VERDICT")
                assert answer.body.startswith(b"".join(sent[:HALF]))
            else:
                (note,) = [each["value"] for each in answer.events if each.get("name") == "dtvn.verdict"][:1]
                assert (note["valid"], note["not_validated"]) == (None, "no verdict within 3 s")
                assert [each for each in sent if each not in answer.body] == []
            covered = decode_transcript(unwrap(TRANSCRIPT, answer.transcript)).events
            assert len(covered) >= HALF
            for code, text in verdicts(folder, unwrap(TRANSCRIPT, answer.transcript)):
                assert code == 0, text


def test_a_bad_key_is_said_in_the_stream(running: Network, folder: Path) -> None:
    for mode in ("mark", "refuse"):
        with proxy(running.url, "dtvn_wrong", mode, folder / f"{mode}-without", *PATIENT) as made:
            answer = made.pass_on(conversation())
        reason = answer.report["not_validated"]
        assert reason.startswith("the cluster's platform answers 401: ")
        assert (answer.report["valid"], answer.transcript) == (None, b"")
        if mode == "refuse":
            assert [each["message"] for each in answer.events] == [f"Not validated: {reason}."]
        else:
            notes = [each["value"] for each in answer.events if each.get("name") == "dtvn.verdict"]
            assert [(each["valid"], each["not_validated"]) for each in notes] == [(None, reason)]


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_is_recorded_already_is_said_and_its_good_events_stay_valid(
    running: Network, folder: Path, mode: str
) -> None:
    """A retry, whose agent names the run as before."""
    sent = conversation()
    with proxied(running, mode, folder) as made:
        first, again = made.pass_on(sent), made.pass_on(sent)
    assert (first.report["valid"], first.report["violations"]) == (True, [])
    assert (again.report["valid"], again.report["code"], again.report["not_validated"]) == (True, None, None)
    (told,) = again.report["violations"]
    assert (told["severity"], told["code"]) == ("warning", "not_next")
    assert told["message"].startswith('Run "r1" was recorded before; a run is recorded once.')
    assert [each for each in sent if each not in again.body] == []
    assert (bool(first.transcript), again.transcript) == (True, b"")


def test_a_platform_that_goes_away_is_said_and_comes_back(running: Network, folder: Path) -> None:
    """Its web process is killed within a stream: it began the run, so the rest of it is not judged."""
    wait_until_everyone_runs(running)
    with proxied(running, "refuse", folder) as made:
        sent = conversation()
        web = running.wait_for_title("dtvn web")

        def gone() -> None:
            half_is_judged(running, sent)
            web.kill()
            running.wait_for_title("dtvn web", besides=web.pid)

        answer = made.pass_on(sent, at=HALF, between=gone)
        assert answer.body.startswith(b"".join(sent[:HALF]))
        assert [answer.events[-1][name] for name in ("type", "code")] == ["RUN_ERROR", "NO_VERDICT"]
        assert "Another web process began run" in answer.events[-1]["message"]
        with running.client() as client:
            texts = [text.removeprefix(b"data: ").decode().strip() for text in sent]
            told = client.post("/api/v1/events/validate-sequence", json={"texts": texts}).json()
        assert told["code"] == "run_is_live", "its stream was cut off by the end of its web process"
        later = faulty()
        answer = made.pass_on(later)
        is_right(answer, "refuse", later, refused=WRONG_AT)
        proves(folder, answer, later)
