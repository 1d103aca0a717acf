"""The contract's cases of four validators with one bootstrap, on real processes (K4)."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration import servers
from tests.integration.contract_nodes import Four, Node, dev_peer_id, four, frames
from tests.waiting import allowed, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ALL = range(4)
QUIET_SECONDS = 40
"""How long `current_view` is watched (C29)."""
SETTLED_SECONDS = 20
"""After refusals (X4)."""


@pytest.fixture(scope="module")
def k4(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Four]:
    with four(tmp_path_factory.mktemp("k4")) as made:
        for node in made.nodes:
            node.wait_deciding()
        made.seeded = [node.seeded() for node in made.nodes]
        yield made


@pytest.fixture
def whole(k4: Four) -> Four:
    """All four up and connected, whatever a test before did."""
    for node in k4.nodes:
        if node.process is None or node.process.poll() is not None:
            node.launch()
    k4.wait_whole()
    return k4


def logs(node: Node, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.data_of("/consensus/logs", params=query)
    return found


@pytest.mark.backend
def test_c25_a_validation_is_everywhere(whole: Four) -> None:
    assert whole.seeded == [500, 0, 0, 0]
    began = time.monotonic()
    whole[0].done("validate", "TICKET-010")
    assert time.monotonic() - began < allowed(5)
    whole.everywhere("TICKET-010", "VALIDATED", within=allowed(10))


def test_c26_x8_every_node_shows_which_node_took_the_validation(whole: Four) -> None:
    began = time.monotonic()
    whole[2].done("validate", "TICKET-011")
    assert time.monotonic() - began < allowed(20)
    whole.everywhere("TICKET-011", "VALIDATED", within=allowed(10))
    tickets = [node.ticket("TICKET-011") for node in whole.nodes]
    assert all(ticket == tickets[0] for ticket in tickets)
    assert tickets[0]["ValidatorID"] == "node2"
    assert tickets[0]["VectorClock"]["node2"] >= 1


def test_c27_peers_have_the_documented_ids(whole: Four) -> None:
    peers = whole[1].data_of("/peers")["peers"]
    assert {peer["id"] for peer in peers} == {dev_peer_id(f"node{k}") for k in (0, 2, 3)}
    for peer in peers:
        assert abs(peer["connected_at"] - time.time()) < 3_600
        assert peer["addrs"][0].endswith(f"/p2p/{peer['id']}")
    listening = {address for peer in peers for address in peer["addrs"]}
    assert listening == {whole[k].multiaddr for k in (0, 2, 3)}, "where they really are"
    config = whole[1].data_of("/config")
    leads = config["current_view"] % 4 == 1  # a machine that was slow may have left view 0
    assert (config["node_id"], config["total_nodes"], config["is_primary"]) == ("node1", 4, leads)


@pytest.mark.bench
def test_c29_an_idle_cluster_keeps_its_view(whole: Four) -> None:
    def watched() -> None:
        until = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < until:
            stats = [node.stats() for node in whole.nodes]
            assert [one["is_primary"] for one in stats] == [
                one["current_view"] % 4 == k for k, one in enumerate(stats)
            ]
            for node in whole.nodes:
                assert node.get("/tickets", params={"limit": "1"}).status_code == 200
                assert node.get("/peers").status_code == node.get("/config").status_code == 200

    whole.undisturbed(watched)


def test_x1_a_ticket_is_consumed_once_in_the_whole_network(whole: Four) -> None:
    whole[0].done("validate", "TICKET-100")
    whole[0].done("consume", "TICKET-100")
    whole.everywhere("TICKET-100", "CONSUMED", within=allowed(5))
    assert whole[1].patiently("consume", "TICKET-100") == 409


@pytest.mark.backend
def test_x2_of_eight_concurrent_validations_one_succeeds(whole: Four) -> None:
    for kind, operation in (("validate", "VALIDATE"), ("consume", "CONSUME")):
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(whole[index % 4].patiently, kind, "TICKET-102") for index in range(8)]
            statuses = sorted(future.result() for future in asked)
        assert statuses == [200] + [409] * 7
        whole.agree()
        for node in whole.nodes:
            of_ticket = [entry for entry in logs(node) if entry["ticket_id"] == "TICKET-102"]
            assert [entry["operation"] for entry in of_ticket].count(operation) == 1


def test_x5_an_unknown_ticket_is_refused_without_a_view_change(whole: Four) -> None:
    def refused() -> float:
        began = time.monotonic()
        assert whole[2].patiently("validate", "NO-SUCH-TICKET") == 404
        return time.monotonic() - began

    assert whole.undisturbed(refused) < 10


@pytest.mark.exhaustive
def test_x4_refusals_of_unknown_and_disputed_tickets_change_no_view(whole: Four) -> None:
    whole[0].done("validate", "TICKET-120")
    whole[0].done("dispute", "TICKET-120")
    asked = [("TICKET-120", 409)] * 3 + [("NEVER-ISSUED", 404)] * 3
    others = iter(f"TICKET-{number}" for number in range(121, 130))

    def refusals() -> list[float]:
        took = []
        for number, kind in enumerate(("validate", "consume", "dispute") * 2):
            ticket, status = asked[number]
            began = time.monotonic()
            assert whole[number % 4].patiently(kind, ticket) == status
            took.append(time.monotonic() - began)
        whole.agree()
        settled = time.monotonic() + SETTLED_SECONDS
        wait_until(
            lambda: time.monotonic() > settled or len(whole.views()) > 1, what="nothing follows", pause=0.1
        )
        whole[3].done("validate", next(others))
        return took

    assert max(whole.undisturbed(refusals)) < allowed(2)
    for node in whole.nodes:
        refused = [entry for entry in logs(node, outcome="all") if entry["code"] != "ok"]
        assert [entry["ticket_id"] for entry in refused[-6:]] == [ticket for ticket, _ in asked]


@pytest.mark.backend
def test_x7_x14_all_nodes_have_one_log_and_one_state(whole: Four) -> None:
    whole.agree()
    before = len(logs(whole[0]))
    for number in range(70, 82):
        whole[number % 4].done("validate", f"TICKET-{number:03d}")
    sequence = whole.agree()
    listed = [logs(node) for node in whole.nodes]
    assert all(one == listed[0] for one in listed)
    assert len(listed[0]) == before + 12
    order = [(entry["sequence"], entry["index"]) for entry in listed[0]]
    assert order == sorted(order)
    assert order[-1][0] <= sequence
    assert all(len(bytes.fromhex(entry["digest"])) == 32 for entry in listed[0])
    assert {entry["node_id"] for entry in listed[0][-12:]} == {"node0", "node1", "node2", "node3"}

    def checkpoints() -> list[dict[str, Any]]:
        found = [node.data_of("/storage/entries")["latest_checkpoint"] for node in whole.nodes]
        return found if len({one["sequence"] for one in found}) == 1 else []

    found = wait_until(checkpoints, what="one checkpoint on all")
    assert found[0]["sequence"] % 10 == 0
    assert len({one["state_digest"] for one in found}) == 1
    assert [node.data_of("/storage/entries")["consensus_log_count"] for node in whole.nodes] == [
        len(listed[0])
    ] * 4


def test_x19_every_node_tells_its_own_clients_once(whole: Four) -> None:
    whole.agree()
    with whole[3].socket() as far, whole[0].socket() as near:
        whole[0].done("validate", "TICKET-190")
        for socket, name in ((far, "node3"), (near, "node0")):
            [frame] = frames(socket, 1, quiet=0.5)
            assert (frame["type"], frame["ticket_id"], frame["node_id"]) == (
                "ticket_validated",
                "TICKET-190",
                name,
            )


@pytest.mark.backend
def test_c28_x6_three_of_four_go_on_and_the_fourth_catches_up(whole: Four) -> None:
    assert whole[3].stop() == 0
    for number in range(30, 40):
        whole[0].done("validate", f"TICKET-{number:03d}")
    whole[3].start()
    for number in range(30, 40):
        whole.everywhere(f"TICKET-{number:03d}", "VALIDATED", [3], within=allowed(20))
    whole.agree()
    assert logs(whole[3]) == logs(whole[0]), "its audit log is whole"


@pytest.mark.exhaustive
@pytest.mark.backend
def test_x9_a_restarted_node_keeps_its_state(whole: Four) -> None:
    before = whole[0].stats()
    assert whole[0].stop() == 0
    whole[0].start()
    after = whole[0].stats()
    assert after["current_view"] >= before["current_view"]
    assert after["sequence"] >= before["sequence"]
    whole.wait_whole()
    assert whole[0].patiently("validate", "TICKET-091", within=allowed(30)) == 200
    assert whole.agree() > before["sequence"]


def send(number: int, nodes: list[Node]) -> None:
    for node in nodes:
        assert node.process is not None
        node.process.send_signal(number)


@pytest.mark.exhaustive
def test_x24_two_halves_decide_nothing_and_share_one_log_when_healed(whole: Four) -> None:
    """The halves run in turn, never at once: neither hears from the other."""
    halves = (whole.nodes[:2], whole.nodes[2:])
    tickets = {"TICKET-240": halves[0][1], "TICKET-241": halves[1][1]}
    decided = whole.agree()
    send(signal.SIGSTOP, halves[1])
    try:
        for ticket, entry in tickets.items():
            status = entry.act("validate", ticket, nonce=ticket).status_code
            assert status in (503, 504), "two of four are no quorum"
            assert entry.state(ticket) == "ISSUED"
            assert entry.stats()["sequence"] == decided
            if entry in halves[0]:
                send(signal.SIGSTOP, halves[0])
                send(signal.SIGCONT, halves[1])
    finally:
        send(signal.SIGCONT, whole.nodes)
    whole.wait_whole()
    for ticket, entry in tickets.items():
        assert entry.patiently("validate", ticket, nonce=ticket) == 200
        whole.everywhere(ticket, "VALIDATED", within=allowed(20))
    whole.agree()
    listed = [logs(node) for node in whole.nodes]
    assert all(one == listed[0] for one in listed)
    assert set(tickets) <= {entry["ticket_id"] for entry in listed[0]}
    for ticket in tickets:
        assert all(node.ticket(ticket) == whole[0].ticket(ticket) for node in whole.nodes)


@pytest.mark.parametrize(
    ("entry", "ticket"),
    [(1, "TICKET-020"), pytest.param(2, "TICKET-021", marks=pytest.mark.exhaustive)],
)
def test_x6b_c29_a_dead_primary_is_replaced(whole: Four, entry: int, ticket: str) -> None:
    view = whole.one_view()
    dead = view % 4
    through = entry if entry != dead else (entry + 1) % 4
    others = [k for k in ALL if k != dead]
    whole[dead].stop()
    began = time.monotonic()
    assert whole[through].patiently("validate", ticket, within=allowed(35)) == 200
    assert time.monotonic() - began < allowed(35)

    def settled() -> list[dict[str, Any]]:
        stats = [whole[k].stats() for k in others]
        same = len({one["current_view"] for one in stats}) == 1 and stats[0]["current_view"] > view
        return stats if same and sum(one["is_primary"] for one in stats) == 1 else []

    stats = wait_until(settled, what="one view and one primary")
    assert [one["node_id"] for one in stats if one["is_primary"]] == [f"node{stats[0]['current_view'] % 4}"]
    whole[dead].start()

    def joined() -> bool:
        back = whole[dead].stats()
        leads = back["current_view"] % 4 == dead  # only if all others were too slow meanwhile
        return back["current_view"] >= stats[0]["current_view"] and back["is_primary"] == leads

    wait_until(joined, what="the old primary in the new view, and not primary", timeout=allowed(20))
    whole.everywhere(ticket, "VALIDATED", within=allowed(20))


@pytest.mark.exhaustive
def test_c28_x13_without_a_quorum_nothing_is_decided(whole: Four) -> None:
    whole[2].stop()
    whole[3].stop()
    began = time.monotonic()
    response = whole[0].act("validate", "TICKET-130", nonce="x13")
    assert response.status_code in (503, 504)
    assert response.json()["success"] is False
    assert time.monotonic() - began < 30
    assert whole[0].state("TICKET-130") == "ISSUED"
    assert whole[1].state("TICKET-130") == "ISSUED"
    for node in (whole[2], whole[3]):
        node.launch()
    whole.wait_whole()
    assert whole[0].patiently("validate", "TICKET-130", nonce="x13", within=allowed(30)) == 200
    whole.everywhere("TICKET-130", "VALIDATED", within=allowed(10))


@pytest.mark.exhaustive
def test_x26b_an_absent_bootstrap_peer_only_delays_the_start(tmp_path: Path) -> None:
    with servers.place(broker=False) as place:
        made = Four(tmp_path / "late", place)
        (tmp_path / "late").mkdir()
        try:
            for node in made.nodes[1:]:
                node.launch()
            for node in made.nodes[1:]:
                node.wait_healthy()
                assert node.stats()["peer_count"] == 0, "nobody knows the others' ports"
            made[0].start()
            made.wait_whole(timeout=allowed(15))
            made[3].wait_deciding()
            assert made[3].seeded() == 500
            made[3].done("validate", "TICKET-001")
            made.everywhere("TICKET-001", "VALIDATED", within=allowed(10))
        finally:
            for node in made.nodes:
                node.end()
