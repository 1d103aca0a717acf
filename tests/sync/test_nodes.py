"""StateSynchronizer with real processes and sockets: A43 to A51 of the contract."""

from __future__ import annotations

import math
import time
from pathlib import Path

import msgspec
import pytest

from dtvn.gateway import StateSnapshot
from tests.sync.processes import NodeError, NodeProcess, root, running
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

PROTOCOLS = ["gossip", "merkle", "crdt", "snapshot"]


def test_a43_what_is_set_has_a_version_that_grows_a_node_and_a_checksum() -> None:
    with running("a") as [node]:
        before = time.time_ns() // 1_000
        first = node("set_state", "k", {"b": 1, "a": [True, None]})
        assert before <= first["version"] <= time.time_ns() // 1_000
        assert (first["node_id"], len(first["checksum"])) == ("a", 64)
        assert node("get_state", "k") == first
        second = node("set_state", "k", 2)
        assert second["version"] > first["version"]
        assert second["value"] == 2
        assert second["checksum"] != first["checksum"]
        assert node("get_state", "other") is None


def test_a44_a_snapshot_applied_elsewhere_gives_equal_values_and_an_altered_one_changes_nothing() -> None:
    with running("ab") as [a, b]:
        b("set_state", "own", 1)
        for n in range(20):
            a("set_state", f"k{n}", {"n": n})
        snapshot, before = a("get_snapshot"), root(b)
        for altered in _altered(snapshot):
            with pytest.raises(NodeError, match=r"checksum mismatch|signature"):
                b("apply", msgspec.json.encode(altered).decode())
        assert root(b) == before
        assert b("apply", msgspec.json.encode(snapshot).decode()) == 20
        assert b("apply", msgspec.json.encode(snapshot).decode()) == 0
        assert [b.value(f"k{n}") for n in range(20)] == [{"n": n} for n in range(20)]
        assert b.value("own") == 1


def _altered(snapshot: dict[str, object]) -> list[dict[str, object]]:
    """With another value, with another item, and with another item and a checksum that fits."""
    shown = msgspec.json.decode(msgspec.json.encode(snapshot), type=StateSnapshot)
    first = msgspec.structs.replace(shown.items[0], key="never written", value=b"99")
    forged = msgspec.structs.replace(shown, items=(first, *shown.items[1:]))
    views = shown.state_items | {"k0": msgspec.structs.replace(shown.state_items["k0"], value=99)}
    made = [
        msgspec.structs.replace(shown, state_items=views),
        forged,
        msgspec.structs.replace(forged, checksum=forged.summed()),
    ]
    return [msgspec.to_builtins(each) for each in made]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_nodes_are_equal_after_one_call_whatever_the_protocol(protocol: str) -> None:
    with running("ab", protocol=protocol, sync_interval=60.0) as [a, b]:
        for n in range(30):
            a("set_state", f"a{n}", n)
            b("set_state", f"b{n}", -n)
        a("sync_state")
        assert root(a) == root(b)
        assert (a.value("b7"), b.value("a7")) == (-7, 7)
        status = a("get_sync_status")
        assert (status["protocol"], status["sync_count"], status["error_count"]) == (protocol, 2, 0)
        assert status["node_status"] == {"b": "CLOSED"}


@pytest.mark.parametrize("resolution", ["last_write", "highest_version", "merge", "custom"])
def test_a45_both_nodes_resolve_a_conflict_alike(resolution: str) -> None:
    with running("ab", conflict_resolution=resolution, sync_interval=60.0) as [a, b]:
        a("set_state", "k", {"x": 1, "both": {"p": 1}, "list": [1, 2]})
        b("set_state", "other", 0)
        b("set_state", "k", {"y": 2, "both": {"q": 2}, "list": [2, 3]})
        a("sync_state")
        found = a("get_state", "k")
        assert found == b("get_state", "k")
        if resolution == "merge":
            assert found["value"] == {"x": 1, "y": 2, "both": {"p": 1, "q": 2}, "list": [1, 2, 3]}
            assert found["version"] == max(found["vector"].values())
        else:
            assert found["value"]["y"] == 2
        assert a("get_sync_status")["conflict_count"] == 1


def test_a46_one_write_reaches_eight_nodes_within_eight_rounds() -> None:
    with running("abcdefgh", gossip_fanout=1, sync_interval=0.5) as nodes:
        for node in nodes:
            node("start")
        nodes[3]("set_state", "k", "new")
        before = [node("get_sync_status")["sync_count"] for node in nodes]
        wait_until(lambda: all(node.value("k") == "new" for node in nodes), what="a node has not heard of it")
        rounds = [
            node("get_sync_status")["sync_count"] - count for node, count in zip(nodes, before, strict=True)
        ]
        assert max(rounds) <= 2 * math.ceil(math.log2(8)) + 2
        assert len({root(node) for node in nodes}) == 1
        for node in nodes:
            node("stop")


def test_a47_one_differing_key_among_1_000_transfers_one_item() -> None:
    with running("ab", protocol="merkle", sync_interval=60.0) as [a, b]:
        for n in range(1_000):
            a("set_state", f"k{n}", n)
        a("sync_state")
        before = a("get_sync_status")
        b("set_state", "k7", "changed")
        a("sync_state")
        after = a("get_sync_status")
        assert root(a) == root(b)
        assert after["items"] == before["items"] + 1
        spent = sum(after[f"bytes_{way}"] - before[f"bytes_{way}"] for way in ("sent", "received"))
        assert spent < 3_000
        a("sync_state")
        last = a("get_sync_status")
        assert sum(last[f"bytes_{way}"] - after[f"bytes_{way}"] for way in ("sent", "received")) < 120


def test_a48_concurrent_counters_add_up_and_a_concurrent_adding_survives_a_removal() -> None:
    with running("abc", protocol="crdt", sync_interval=60.0) as nodes:
        for turn, node in enumerate(nodes):
            for _ in range(10):
                node.begin("increment", "visitors", turn + 1)
        assert all([node.end() for _ in range(10)][-1] >= 10 for node in nodes)
        nodes[2]("increment", "visitors", -5)
        nodes[0]("add_member", "gates", "north")
        for node in nodes:
            node("sync_state")
        nodes[0]("sync_state")
        assert [node("get_counter", "visitors") for node in nodes] == [55, 55, 55]
        nodes[1]("remove_member", "gates", "north")
        nodes[2]("add_member", "gates", "north")
        nodes[1]("remove_member", "gates", "south")
        for node in (*nodes, *nodes):
            node("sync_state")
        assert [node("get_members", "gates") for node in nodes] == [["north"]] * 3
        nodes[0]("remove_member", "gates", "north")
        for node in (*nodes, *nodes):
            node("sync_state")
        assert [node("get_members", "gates") for node in nodes] == [[]] * 3


def test_a49_snapshot_exchanges_after_as_many_writes_as_the_threshold() -> None:
    with running("abc", protocol="snapshot", snapshot_threshold=10, sync_interval=0.05) as [a, b, c]:
        a("start")
        wait_until(lambda: a("get_sync_status")["sync_count"] == 2, what="it has met the others")
        for n in range(9):
            a("set_state", f"k{n}", n)
        begun = a("get_sync_status")
        assert (begun["sync_count"], begun["changes"], b("get_sync_status")["items"]) == (2, 9, 0)
        a("set_state", "k9", 9)
        wait_until(lambda: root(a) == root(b) == root(c), what="the others have not heard of it")
        wait_until(lambda: a("get_sync_status")["changes"] == 0, what="the round does not end")
        assert a("get_sync_status")["sync_count"] == 4  # one more with each peer
        a("stop")


def test_a50_more_than_half_of_the_peers_failing_is_an_error_and_exactly_half_is_none() -> None:
    with running("abcde", max_retries=1, sync_interval=60.0) as [a, b, c, d, e]:
        a("sync_state")
        for victim in (d, e):
            victim.kill()
        a("set_state", "k", 1)
        a("sync_state")
        assert (b.value("k"), c.value("k")) == (1, 1)
        c.kill()
        with pytest.raises(
            NodeError, match=r"3 of 4 peers failed: .* is not reached: the connection is refused"
        ):
            a("sync_state")
        for _ in range(4):
            with pytest.raises(NodeError):
                a("sync_state")
        assert a("get_sync_status")["node_status"] == {"b": "CLOSED", "c": "OPEN", "d": "OPEN", "e": "OPEN"}
        with pytest.raises(NodeError, match="is open"):
            a("sync_state")


@pytest.mark.parametrize("protocol", ["gossip", "merkle"])
def test_a_peer_that_hangs_or_is_gone_holds_up_no_other(protocol: str) -> None:
    """Each question to the one that hangs lasts a minute."""
    with running("abcd", protocol=protocol, sync_interval=0.2, timeout=60.0) as [a, b, c, d]:
        a("start")
        c.pause(on=True)
        d.kill()
        for n in range(5):
            begun = time.monotonic()
            a("set_state", "k", n)
            wait_until(lambda n=n: b.value("k") == n, what="the other has not heard of it")  # type: ignore[misc]
            assert time.monotonic() - begun < 5
        c.pause(on=False)
        a("stop")


def test_a_round_does_not_wait_for_one_that_hangs_once_half_are_done() -> None:
    with running("abc", sync_interval=60.0, timeout=60.0) as [a, b, c]:
        a("set_state", "k", 1)
        c.pause(on=True)
        begun = time.monotonic()
        a("sync_state")
        assert b.value("k") == 1
        assert time.monotonic() - begun < 10
        c.pause(on=False)


def _restarted(node: NodeProcess, others: list[NodeProcess]) -> None:
    """A node writes, is killed once another one knows it, and what it writes first after that stays."""
    for value in ("open-1", "open-2"):
        node("set_state", "door", value)
    node("increment", "people", 100)
    node("sync_state")
    node.restart()
    assert (node("set_state", "door", "SHUT")["value"], node("increment", "people", 1)) == ("SHUT", 101)
    node("sync_state")
    for each in (node, *others):
        assert (each.value("door"), each("get_counter", "people")) == ("SHUT", 101)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_r46_a_restarted_writer_does_not_lose_to_its_own_past(protocol: str) -> None:
    with running("abc", protocol=protocol, sync_interval=60.0) as [a, b, c]:
        assert a("get_sync_status")["durable"] is False
        _restarted(a, [b, c])
        assert a("get_sync_status")["unconfirmed"] is False


def test_r46_the_first_peer_that_answers_shows_a_writer_its_past() -> None:
    with running("abcde", sync_interval=60.0) as [a, b, c, d, e]:
        a("sync_state")
        c.pause(on=True)
        d.kill()
        _restarted(a, [b, e])
        c.pause(on=False)


def test_r46_a_writer_whom_nobody_answers_writes_by_its_clock_and_says_so() -> None:
    with running("ab", sync_interval=60.0, max_retries=1) as [a, b]:
        a("set_state", "k", 1)
        b.kill()
        a.restart()
        assert a("get_sync_status")["unconfirmed"] is True
        assert a("set_state", "k", 2)["value"] == 2
        status = a("get_sync_status")
        assert (status["unconfirmed"], status["durable"]) == (True, False)


def test_r46_what_a_node_wrote_into_a_folder_outlives_all_others(tmp_path: Path) -> None:
    with running("ab", sync_interval=60.0, folder=tmp_path) as [a, b]:
        a("set_state", "k", 1)
        b("sync_state")
        b("set_state", "of b", 1)
        a("sync_state")
        a("increment", "people", 7)
        a("set_state", "gone", 1)
        a("delete_state", "gone")
        a.kill()
        b.kill()
        a.restart()
        status = a("get_sync_status")
        assert (status["durable"], status["unconfirmed"], status["items"]) == (True, False, 3)
        assert (a.value("k"), a.value("gone"), a.value("of b")) == (1, None, None)
        assert a("increment", "people", 1) == 8


def test_a50_a_node_without_peers_synchronises_with_nobody() -> None:
    with running("a") as [node]:
        node("sync_state")
        assert node("get_sync_status")["last_sync"] is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a51_a_deletion_propagates_and_the_value_does_not_come_back(protocol: str) -> None:
    with running("abc", protocol=protocol, sync_interval=60.0) as nodes:
        a, b, c = nodes
        a("set_state", "k", 1)
        for node in nodes:
            node("sync_state")
        assert c.value("k") == 1
        b("delete_state", "k")
        for node in (b, a, c, a, b):
            node("sync_state")
            assert b.value("k") is None
        assert [node.value("k") for node in nodes] == [None, None, None]
        assert len({root(node) for node in nodes}) == 1


def test_owed_judgements_are_told_to_others_and_end_with_the_judgement() -> None:
    owed = {"id": 1, "thread": "t", "run": "r", "made": "2026-11-28T12:00:00Z", "events": 3, "bytes": 99}
    with running("abc", sync_interval=60.0) as [a, b, c]:
        a("owe", [owed, owed | {"id": 2, "run": "s", "made": "2026-11-28T11:00:00Z"}])
        a("sync_state")
        c("sync_state")
        told = c("get_owed")
        assert [note[1] for note in told["a"]] == ["s", "r"]
        assert told == b("get_owed") == a("get_owed")
        a("owe", [owed | {"events": 4}])
        a("sync_state")
        assert [(note[1], note[3]) for note in b("get_owed")["a"]] == [("r", 4)]
        a("owe", [])
        a("sync_state")
        assert b("get_owed") == {}


def test_starting_twice_is_an_error_stopping_twice_is_none_and_it_starts_again() -> None:
    with running("ab", sync_interval=0.05) as [a, b]:
        a("start")
        with pytest.raises(NodeError, match="runs already"):
            a("start")
        a("stop")
        a("stop")
        a("start")
        a("set_state", "k", 1)
        wait_until(lambda: b.value("k") == 1, what="it synchronises no more")


def test_stopping_does_not_wait_for_a_peer_that_hangs() -> None:
    with running("ab", sync_interval=0.05) as [a, b]:
        b.pause(on=True)
        a("start")
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun > 0.5, what="its question is out")
        begun = time.monotonic()
        a("stop")
        assert time.monotonic() - begun < 3
        b.pause(on=False)
        a("set_state", "k", 1)
        a("sync_state")
        assert b.value("k") == 1


def test_a_node_that_is_not_listed_is_refused_at_the_handshake() -> None:
    with running("ab", strangers="x", max_retries=1, sync_interval=60.0, timeout=0.6) as [a, b, x]:
        a("set_state", "k", 1)
        x("set_state", "k", "forged")
        with pytest.raises(NodeError, match=r"2 of 2 peers failed: .* the connection is refused"):
            x("sync_state")
        assert x.value("k") == "forged"
        b("sync_state")
        assert b.value("k") == 1
