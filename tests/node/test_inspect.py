"""Answers of a node to queries: the contract's keys, its own sequence, and error codes."""

from __future__ import annotations

import base64
import time
from typing import Any

import msgspec
import pytest

from dtvn.gateway import Gateway
from dtvn.machine import Issue, Validate, build
from dtvn.net import public_key_of
from dtvn.node.clock import SystemClock
from dtvn.node.keys import dev_seed
from dtvn.node.node import WITHHELD_SHOWN
from dtvn.protocol import quorum
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.ordering import WithheldForTime
from dtvn.protocol.genesis import Principal
from dtvn.protocol.quorum import Mode
from tests.node.running import Running, answer_of, until_commits
from tests.support.table import table
from tests.waiting import PATIENCE
from validators.ledger.read import STORAGE_KEYS


def told(gateway: Gateway, what: str, *arguments: str) -> Any:
    answer = answer_of(gateway, what, *arguments)
    assert answer.code == ""
    return msgspec.json.decode(answer.text)


def do(gateway: Gateway, command: Any, ticket: str) -> str:
    operation = build(command, ticket=ticket, actor="tester", entry="node0")
    return gateway.submit([operation], wait=PATIENCE).result(2 * PATIENCE)[0].code


def test_a_revoked_principal_or_a_failing_question_does_not_stop_a_node(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`peers` was a KeyError once that principal was revoked, and what a question raised ended the loop."""
    node = running.node
    key = public_key_of(dev_seed("learnt"))
    with running.gateway() as gateway:
        until_commits(gateway)
        before = [each["name"] for each in told(gateway, "peers")["principals"]]
        listed = (*node.genesis.principals, Principal("once", key, ()))
        node.genesis = msgspec.structs.replace(node.genesis, principals=listed)
        assert [each["name"] for each in told(gateway, "peers")["principals"]] == before
        monkeypatch.setattr(node.inspector, "status", lambda: {}["nothing"])
        assert answer_of(gateway, "status").code == "unavailable"
        until_commits(gateway)


def test_stats_have_exactly_the_keys_of_the_contract(running: Running) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        stats = told(gateway, "stats")
    assert list(stats) == [
        "node_id",
        "peer_count",
        "is_primary",
        "current_view",
        "sequence",
        "cache_size",
        "storage_stats",
    ]
    assert tuple(stats["storage_stats"]) == STORAGE_KEYS
    assert all(type(value) is int for value in stats["storage_stats"].values())
    assert stats["storage_stats"]["write"] > 0
    assert stats["storage_stats"]["page_count"] > 0
    assert (stats["node_id"], stats["is_primary"], stats["current_view"]) == ("node0", True, 0)


def test_a_ticket_is_shown_as_in_the_rest_api_at_the_nodes_own_sequence(running: Running) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        assert do(gateway, Issue(data=b"row A", metadata=(("source", "test"),)), "T-1") == "ok"
        assert do(gateway, Validate(), "T-1") == "ok"
        sequence = gateway.acknowledged
        answer = told(gateway, "ticket", "default", "T-1")
        assert told(gateway, "ticket", "T-1") == answer
    assert (answer["node_id"], answer["sequence"]) == ("node0", sequence)
    ticket = answer["ticket"]
    assert list(ticket) == ["ID", "State", "Data", "ValidatorID", "Timestamp", "VectorClock", "Metadata"]
    assert base64.b64decode(ticket["Data"]) == b"row A"
    assert (ticket["State"], ticket["ValidatorID"]) == ("VALIDATED", "node0")
    assert ticket["VectorClock"] == {"node0": 2}
    assert ticket["Metadata"] == {"source": "test"}


def test_status_says_who_and_where_and_what_it_tolerates(running: Running) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        status = told(gateway, "status")
    assert (status["view"], status["state"], status["voting"]) == (0, "voting", True)
    assert (status["liars_tolerated"], status["note"]) == (0, "crash-only, no liar tolerated")
    assert (status["sequence"], status["complete_from"]) == (running.node.executed, 0)
    assert status["outcomes"]["ok"] >= 1
    assert status["peer_id"].startswith("12D3KooW")


def test_r3_status_says_log_time_and_whether_it_is_ahead_of_the_clock(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = running.node
    with running.gateway() as gateway:
        until_commits(gateway)
        status = told(gateway, "status")
        assert status["log_time"] == node.core.state.executor.timestamp
        states = ("log_time_ahead", "log_time_behind", "own_clock_doubtful", "withheld_ahead")
        assert [status[name] for name in states] == [0.0, 0.0, 0.0, 0.0]
        late = SystemClock().now().wall - 3_600_000_000_000
        monkeypatch.setattr(node.clock, "now", lambda: Now(time.monotonic_ns(), late))
        assert told(gateway, "status")["log_time_ahead"] == pytest.approx(3_600, abs=PATIENCE)


def test_r3_status_says_for_a_while_that_a_vote_was_withheld_for_time(running: Running) -> None:
    node = running.node
    with running.gateway() as gateway:
        until_commits(gateway)
        node.core.ordering.withheld_for_time = WithheldForTime(time.monotonic_ns(), 3_600_000_000)
        assert told(gateway, "status")["withheld_ahead"] == 3_600.0
        before = time.monotonic_ns() - WITHHELD_SHOWN
        node.core.ordering.withheld_for_time = WithheldForTime(before, 3_600_000_000)
        assert told(gateway, "status")["withheld_ahead"] == 0.0


def test_peers_list_principals_with_their_counters(running: Running) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        peers = told(gateway, "peers")
    assert peers["peers"] == []
    [gateway_peer] = [p for p in peers["principals"] if p["name"] == "gateway"]
    assert gateway_peer["counters"]["frames_received"] >= 1


def test_r18_a_node_proves_from_its_newest_checkpoint_or_says_it_is_lost(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)

        def code() -> str:
            return answer_of(gateway, "proof", "default", "T-1").code

        assert code() == "unavailable", "before the first checkpoint there is nothing to take away"
        while not told(gateway, "status")["stable"]:
            until_commits(gateway)
        assert code() == ""
        monkeypatch.setattr(running.node.application, "prove", lambda *_: None)
        assert code() == "not_frozen"


@pytest.mark.parametrize(
    ("what", "arguments", "code"),
    [
        ("ticket", ("default", "T-none"), "ticket_not_found"),
        ("ticket", (), "bad_arguments"),
        ("ticket", ("a", "b", "c"), "bad_arguments"),
        ("ticket", ("x" * 300,), "bad_arguments"),
        ("secrets", (), "unknown_query"),
        ("", (), "unknown_query"),
    ],
)
def test_a_question_that_cannot_be_answered_gets_an_error_code(
    running: Running, what: str, arguments: tuple[str, ...], code: str
) -> None:
    with running.gateway() as gateway:
        until_commits(gateway)
        answer = answer_of(gateway, what, *arguments)
    assert (answer.code, answer.text) == (code, "")


@table(
    ("members", "note"),
    [
        (1, "crash-only, no liar tolerated"),
        (2, "crash-only, no liar tolerated; one crash stops it"),
        (3, "crash-only, no liar tolerated"),
        (4, ""),
        (31, ""),
    ],
    count=5,
)
def test_r37_small_clusters_say_what_they_do_not_tolerate(members: int, note: str) -> None:
    assert quorum.fault_tolerance_note(members, Mode.PBFT) == note
