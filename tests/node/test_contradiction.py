"""A node that halted on contradicting certificates keeps running to report it, after each start (R24)."""

from __future__ import annotations

from typing import Any

import msgspec

from dtvn.machine import reasons
from dtvn.node.metrics.snapshot import take
from dtvn.node.process import CONTRADICTION
from dtvn.node.run import EXIT_STOPPED
from dtvn.protocol.consensus.contradiction import RECORD, read
from dtvn.protocol.consensus.effects import StateRecord
from tests.node.running import Running, answer_of, commits, is_sent_and_not_answered, until_commits
from tests.threads import Start
from tests.waiting import wait_until

WHY = "quorums signed two states after sequence 1 of epoch 0"


def find_two(running: Running) -> None:
    """At its next message the core of this node finds two certificates."""
    core = running.node.core
    real = core.receive

    def receive(verified: Any, now: Any) -> Any:
        core.contradictions._stop("checkpoint", 1, (), ())
        return real(verified, now)

    core.receive = receive  # type: ignore[method-assign]


def test_r24_the_node_reports_why_it_halts_and_stays_halted_after_restart(
    running: Running, started: Start
) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        before = running.node.executed
        find_two(running)
        assert is_sent_and_not_answered(gateway)
        wait_until(lambda: commits(gateway) == reasons.CLUSTER_CONTRADICTION, what="the gateway refuses")
        assert running.node.executed == before
        status = msgspec.json.decode(answer_of(gateway, "status").text)
        assert (status["state"], status["voting"], status["contradiction"]) == (CONTRADICTION, False, WHY)
        assert answer_of(gateway, "evidence", "0").code == ""
        for what in ("proof", "receipt", "alive", "consensus"):
            assert answer_of(gateway, what).code == CONTRADICTION, what
        wait_until(lambda: running.beats[-1]["state"] == CONTRADICTION, what="the heartbeat says so")
        assert take(running.node).values["dtvn_contradiction"] == 1
    kept = running.node.ledger.state_value(RECORD)
    assert running.end() == EXIT_STOPPED
    again = started(Running(running.data, found=False))
    with again.gateway() as gateway:
        wait_until(lambda: commits(gateway) == reasons.CLUSTER_CONTRADICTION, what="it refuses again")
        assert msgspec.json.decode(answer_of(gateway, "status").text)["contradiction"] == WHY
    found = read([StateRecord(RECORD, kept or b"")])
    assert found is not None
    assert found.sentence == WHY
    assert again.end() == EXIT_STOPPED
