"""A recorded conversation through the real proxy in each mode, judged by seven real nodes.

As many fail as they tolerate (f = 2): one lies with its own key, one is killed -9 within the streams."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from dtvn.events.judging import decode_certificate
from dtvn.events.transcript import Transcript, decode_transcript, encode_transcript
from dtvn.proof import TRANSCRIPT, unwrap
from tests.integration.judged_conversation import (
    HALF,
    MODES,
    WRONG_AT,
    conversation,
    faulty,
    given,
    half_is_judged,
    is_right,
    kill,
    lying,
    proves,
    proxied,
    touched,
    verdicts,
)
from tests.integration.network import Network, network
from tests.integration.proxied_agent import Answer
from tests.integration.test_process_life import wait_until_everyone_runs
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SENT = {mode: (conversation(), faulty()) for mode in MODES}
LIAR, KILLED = 6, 0
"""Indexes of the members that fail; 0 leads the first view."""


@pytest.mark.exhaustive
def test_a_conversation_is_judged_beside_a_liar_and_through_a_kill(tmp_path: Path) -> None:
    with network(tmp_path / "data", environment={"NODES": "7"}) as running:
        running.start()
        wait_until_everyone_runs(running)
        with running.client() as client:
            (tmp_path / "epochs.json").write_bytes(client.get("/api/v1/epochs").content)
        with lying(running, LIAR) as liar:
            wait_until_all_vote(running)
            turns = liar.turns
            answers = through_all_proxies(running, tmp_path)
            assert liar.turns > turns
    for mode, *pair in answers:
        for answer, sent, refused in zip(pair, SENT[mode], (None, WRONG_AT), strict=True):
            is_right(answer, mode, sent, refused=refused)
            proves(tmp_path, answer, sent)
            assert signers_at_the_end(answer) == set(range(7)) - {LIAR, KILLED}
    is_refused_once_touched(tmp_path, decode_transcript(unwrap(TRANSCRIPT, answers[0][1].transcript)))


def wait_until_all_vote(running: Network) -> None:
    silent = {f"node{index}" for index in range(7)}

    def all_voted() -> bool:
        silent.difference_update(
            name for name, said in given(running).items() if said in ("valid", "invalid")
        )
        return not silent

    wait_until(all_voted, what=lambda: f"{silent} vote\n{running.said()}")


def through_all_proxies(running: Network, folder: Path) -> list[tuple[str, Answer, Answer]]:
    """Both conversations through a proxy of each mode at once. A member is killed once half of the first was
    judged for each, and is dead throughout the second."""
    halves = Barrier(len(MODES), lambda: kill(running, f"node{KILLED}"), PATIENCE)

    def pass_both_on(mode: str) -> tuple[str, Answer, Answer]:
        good, bad = SENT[mode]

        def between() -> None:
            half_is_judged(running, good)
            halves.wait()

        with proxied(running, mode, folder) as made:
            return mode, made.pass_on(good, at=HALF, between=between), made.pass_on(bad)

    with ThreadPoolExecutor(len(MODES)) as threads:
        return list(threads.map(pass_both_on, MODES))


def signers_at_the_end(answer: Answer) -> set[int]:
    """The members whose votes the last certificate of its transcript holds."""
    transcript = decode_transcript(unwrap(TRANSCRIPT, answer.transcript))
    return {ballot.member for ballot in decode_certificate(transcript.certificates[-1]).ballots}


def is_refused_once_touched(folder: Path, whole: Transcript) -> None:
    """All verifiers refuse it alike, and name the place."""
    first = "chunk 0, from event 0"
    places = {"byte": "event 1 ", "event": first, "order": first, "verdict": "chunk "}
    for name, odd in touched(whole).items():
        found = verdicts(folder, encode_transcript(odd))
        assert {code for code, _said in found} == {1}, name
        assert len({said.strip().rpartition(" [")[2] for _code, said in found}) == 1
        assert places[name] in found[0][1], (name, found)
