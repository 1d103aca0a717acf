"""A recorded conversation through the real proxy in each mode, judged by seven real nodes.

As many fail as they tolerate (f = 2): one lies with its own key, one is killed -9 within the stream."""

from __future__ import annotations

from pathlib import Path

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
from tests.integration.proxied_agent import Proxy
from tests.integration.test_process_life import wait_until_everyone_runs
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

LIAR = 6
KILLED = (1, 0, 2)
"""Indexes of the members that are killed, one in each mode; 0 leads the first view."""
QUORUM = 5
"""Of seven: all that neither lie nor are dead."""


def test_a_conversation_is_judged_beside_a_liar_and_through_a_kill(tmp_path: Path) -> None:
    with network(tmp_path / "data", environment={"NODES": "7"}) as running:
        running.start()
        wait_until_everyone_runs(running)
        with running.client() as client:
            (tmp_path / "epochs.json").write_bytes(client.get("/api/v1/epochs").content)
        with lying(running, LIAR) as liar:
            for mode, killed in zip(MODES, KILLED, strict=True):
                wait_until(lambda: only_the_liar_is_off(running), what=running.said)
                turns = liar.turns
                with proxied(running, mode, tmp_path) as made:
                    transcript = is_judged(running, made, mode, tmp_path, killed)
                assert liar.turns > turns
    is_refused_once_touched(tmp_path, transcript)


def only_the_liar_is_off(running: Network) -> bool:
    rest = [node for name, node in running.nodes().items() if name != f"node{LIAR}"]
    return len(rest) == 6 and all(node["status"] == "running" and node["pid"] for node in rest)


def is_judged(running: Network, made: Proxy, mode: str, folder: Path, killed: int) -> Transcript:
    """Both conversations get the verdicts of the rules, and transcripts that prove them; returns that of the
    good one, within which the member `killed` is killed."""
    good, bad = conversation(), faulty()

    def between() -> None:
        half_is_judged(running, good)
        kill(running, f"node{killed}")

    answer = made.pass_on(good, at=HALF, between=between)
    is_right(answer, mode, good, refused=None)
    wrong = made.pass_on(bad)
    is_right(wrong, mode, bad, refused=WRONG_AT)
    for each, sent in ((answer, good), (wrong, bad)):
        proves(folder, each, sent)
    transcript = decode_transcript(unwrap(TRANSCRIPT, answer.transcript))
    for data in transcript.certificates:
        signers = {ballot.member for ballot in decode_certificate(data).ballots}
        assert len(signers) == QUORUM
        assert LIAR not in signers
    return transcript


def is_refused_once_touched(folder: Path, whole: Transcript) -> None:
    """All verifiers refuse it alike, and name the place."""
    first = "chunk 0, from event 0"
    places = {"byte": "event 1 ", "event": first, "order": first, "verdict": "chunk "}
    for name, odd in touched(whole).items():
        found = verdicts(folder, encode_transcript(odd))
        assert {code for code, _said in found} == {1}, name
        assert len({said.strip().rpartition(" [")[2] for _code, said in found}) == 1
        assert places[name] in found[0][1], (name, found)
