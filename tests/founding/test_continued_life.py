"""Real clusters of one node: one ends, another continues with its last state (R11)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.gateway import Gateway
from dtvn.machine import Admit, Issue, build
from dtvn.node.state_file import open_state
from dtvn.proof.reads import NO_PROOF
from tests.founding.parties import Said
from tests.node.running import Running, answer_of, commits, until_commits
from tests.proof.continuing import LOST
from tests.threads import Start
from tests.waiting import PATIENCE, wait_until

ADMITTED = "T-ADMITTED"
HOUR = 3_600
SEQUENCE = 10
"""Of the first checkpoint."""


@pytest.fixture(autouse=True)
def _ledgers_may_be_opened(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


def test_r11_tickets_admitted_below_the_checkpoint_are_refused(tmp_path: Path, started: Start) -> None:
    """Real nodes and ledgers, alone in their clusters."""
    first = started(Running(tmp_path / "old"))
    with first.gateway() as gateway:
        until_commits(gateway)
        assert code(gateway, Issue(), ADMITTED, "o") == "ok"
        assert code(gateway, Admit(), ADMITTED, "o") == "ok"
        wait_until(
            lambda: commits(gateway) and first.node.core.state.log.stable >= SEQUENCE, what="a checkpoint"
        )
        stable = first.node.core.state.log.stable
        assert code(gateway, Issue(), LOST, "o") == "ok"
    assert first.end() == 0
    state = tmp_path / "cup.state"
    said = Said("continue", "save", "--data-dir", tmp_path / "old", "--id", "node0", "--out", state)
    assert f"sequence {stable}" in said.text, said.error
    said = Said("continue", "demo", state, "--data-dir", tmp_path / "new", "--nodes", 1)
    assert said.code == 0, said.error
    second = started(Running(tmp_path / "new"))
    with second.gateway() as gateway:
        until_commits(gateway)
        assert second.node.executed > stable
        told = msgspec.json.decode(answer_of(gateway, "status").text)
        assert answer_of(gateway, "receipt", str(stable)).code, (
            "nobody signs for what it did not execute (R26)"
        )
        cluster = first.node.cluster.hex()
        assert answer_of(gateway, "proof", "default", ADMITTED).code == NO_PROOF, (
            "nobody here signed it (R18)"
        )
        assert told["continues"] == f"continues {cluster} at sequence {stable}, not proved by all"
        assert code(gateway, Admit(), ADMITTED, "n") == "already_consumed"
        assert code(gateway, Admit(), LOST, "n") == "ticket_not_found"
        assert code(gateway, Issue(), "T-NEW", "n") == "ok"
        assert code(gateway, Admit(), "T-NEW", "n") == "ok"
        wait_until(
            lambda: commits(gateway) and second.node.core.state.log.stable > stable, what="a checkpoint"
        )
    assert second.end() == 0
    again = tmp_path / "again.state"  # and so once more: its log begins behind that of the first
    said = Said("continue", "save", "--data-dir", tmp_path / "new", "--id", "node0", "--out", again)
    assert said.code == 0, said.error
    assert open_state(again).continued.cluster == second.node.cluster
    assert Said("continue", "demo", again, "--data-dir", tmp_path / "newest", "--nodes", 1).code == 0
    for data in ("new", "newest"):  # after a restart too
        third = started(Running(tmp_path / data))
        with third.gateway() as gateway:
            until_commits(gateway)
            assert code(gateway, Admit(), ADMITTED, "m") == "already_consumed"
            assert code(gateway, Admit(), "T-NEW", "m") == "already_consumed"
        assert third.end() == 0


def test_r3_a_cluster_that_continues_says_that_log_time_is_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Start
) -> None:
    """It takes over the old one's time, which an hour of wrong clocks had moved ahead."""
    first = Running(tmp_path / "old")
    with monkeypatch.context() as all_clocks:
        right = time.time_ns
        all_clocks.setattr(time, "time_ns", lambda: right() + HOUR * 1_000_000_000)
        started(first)
        with first.gateway() as gateway:
            wait_until(
                lambda: commits(gateway) and first.node.core.state.log.stable >= SEQUENCE, what="a checkpoint"
            )
            assert first.node.log_time_ahead == 0.0
        assert first.end() == 0
    state = tmp_path / "cup.state"
    saved = Said("continue", "save", "--data-dir", tmp_path / "old", "--id", "node0", "--out", state)
    assert saved.code == 0, saved.error
    assert Said("continue", "demo", state, "--data-dir", tmp_path / "new", "--nodes", 1).code == 0
    for _life in range(2):
        second = started(Running(tmp_path / "new", found=False))
        with second.gateway() as gateway:
            wait_until(lambda: not answer_of(gateway, "status").code, what="an answer")
            told = msgspec.json.decode(answer_of(gateway, "status").text)
        assert told["log_time_ahead"] == pytest.approx(HOUR, abs=PATIENCE)
        assert second.end() == 0


def code(gateway: Gateway, command: Any, ticket: str, mark: str) -> str:
    nonce = f"{mark} {ticket} {type(command).__name__}".encode()
    asked = build(command, ticket=ticket, actor="t", entry="node0", nonce=nonce)
    [result] = gateway.submit([asked], wait=PATIENCE).result(2 * PATIENCE)
    return result.code
