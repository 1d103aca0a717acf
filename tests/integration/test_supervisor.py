"""The supervisor's cases of the contract on one cluster, in the order in which a person would meet them."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from datetime import datetime

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.announced import (
    ANNOUNCED_WITHIN,
    STAGES,
    deaf_client,
    heard_the_same,
    lines_came_in_order_and_at_once,
    restart_between_pings,
    start_if_alone,
)
from tests.integration.network import wait_until_gone
from tests.integration.supervised import (
    V1,
    Ears,
    Supervised,
    data_of,
    error_of,
    eventually,
    led_as_its_view_says,
    listening,
    open_socket,
    readable,
    seeded_everywhere,
    supervised,
    validator_of,
)
from tests.ports import occupied
from tests.waiting import MARGIN, PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

NODES = ["node0", "node1", "node2", "node3"]
STATS = {"node_id", "peer_count", "is_primary", "current_view", "sequence", "cache_size", "storage_stats"}


@pytest.fixture(scope="module")
def s(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    """One supervisor for all cases here; each leaves behind what the next one begins with."""
    with supervised(tmp_path_factory.mktemp("supervisor") / "data") as made:
        yield made


@pytest.fixture(scope="module")
def ears(s: Supervised) -> Iterator[Ears]:
    with listening(s) as made:
        yield made


@pytest.fixture
def api(s: Supervised) -> Iterator[httpx.Client]:
    with s.client() as client:
        yield client


# --- before anything was started -------------------------------------------------------------------


def test_c31_a_supervisor_starts_without_nodes(api: httpx.Client) -> None:
    assert api.get("/nodes").json() == []
    assert api.get("/status").json() == {
        "supervisor": "running",
        "nodes_count": 0,
        "nodes": [],
        "simulator_status": "idle",
    }
    stats = api.get("/stats").json()
    assert (stats["node_id"], stats["mode"], stats["nodes_count"]) == ("supervisor", "supervisor", 0)
    assert api.get("/peers").status_code == api.get("/config").status_code == 200
    for method, path in (("GET", "/tickets"), ("POST", "/tickets/seed"), ("POST", "/tickets/validate")):
        answer = api.request(method, path)
        assert answer.status_code == 503, path
        assert "no cluster has been started" in error_of(answer)


def test_c42_the_first_frame_is_connected_and_pings_are_answered(s: Supervised, ears: Ears) -> None:
    first = ears.wait_for("connected")
    assert ears.frames[0] is first
    assert (first["nodes"], first["simulator_status"], first["cluster_status"]) == ([], "idle", "idle")
    ears.say({"type": "ping"})
    ears.wait_for("pong")
    ears.say_plainly("this is no JSON")
    ears.say({"type": "ping"})
    wait_until(lambda: len(ears.of("pong")) == 2, what="the socket is still open")


@pytest.mark.parametrize(
    ("origin", "opens"),
    [("http://localhost:9", True), ("own", True), ("http://evil.example", False), ("null", False)],
)
def test_c42_websocket_origins_are_checked(s: Supervised, origin: str, opens: bool) -> None:
    headers = {"Origin": s.url if origin == "own" else origin}
    if opens:
        with open_socket(s.url, **headers):
            return
    with pytest.raises(InvalidStatus) as refused, open_socket(s.url, **headers):
        pass
    assert refused.value.response.status_code == 403


def test_c42_a_plain_request_to_ws_is_400(s: Supervised) -> None:
    assert httpx.get(f"{s.url}/ws", trust_env=False, timeout=PATIENCE).status_code == 400


def test_x40_health_and_pages_answer_without_foreign_addresses(s: Supervised, api: httpx.Client) -> None:
    with httpx.Client(base_url=s.url, trust_env=False, timeout=PATIENCE) as plain:
        assert plain.get("/health").json()["status"] == "healthy"
        assert plain.get("/ready").status_code == 503
        page = plain.get("/")
        assert page.status_code == 200
        served = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert served
        assert not [address for address in served if "//" in address]
        for path in served:
            if path.startswith("/static/"):
                content = plain.get(path)
                assert content.status_code == 200
                assert not re.findall(r"""(?:url\(|from |import )["']?https?://""", content.text)
        options = plain.options(f"{V1}/nodes")
    assert options.status_code == 405
    assert "access-control-allow-origin" not in options.headers, "the platform has no CORS"


def test_x41_a_page_of_another_site_changes_nothing(api: httpx.Client) -> None:
    foreign = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    answer = api.post("/cluster/start", content=b'{"node_count": 1}', headers=foreign)
    assert answer.status_code == 403
    assert api.get("/nodes", headers=foreign).json() == []


def test_x40_without_a_key_only_known_hosts_except_for_health(s: Supervised) -> None:
    far = {"Host": "tickets.example"}
    with httpx.Client(base_url=s.url, trust_env=False, timeout=PATIENCE) as plain:
        assert plain.get("/health", headers=far).json()["status"] == "healthy"
        refused = plain.get(f"{V1}/nodes", headers=far)
        assert refused.status_code == 400
        assert "DTVN_ALLOWED_HOSTS" in error_of(refused)


@pytest.mark.parametrize(
    "body", [b"Content-Length: 5000000000\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n"]
)
def test_an_oversize_body_is_refused_before_its_end(s: Supervised, body: bytes) -> None:
    with socket.create_connection(("127.0.0.1", s.port), PATIENCE) as client:
        client.sendall(b"POST /api/v1/tickets/validate HTTP/1.1\r\nHost: 127.0.0.1\r\n" + body)
        if b"chunked" in body:
            for _ in range(17):
                client.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"error"' in answer


@pytest.mark.parametrize("name", ["../../evil", "", "a b", "x" * 65, "-a", "<b>", 7, None])
def test_x30_a_node_id_that_is_a_path_is_refused(s: Supervised, api: httpx.Client, name: object) -> None:
    before = sorted(s.data.parent.rglob("*evil*"))
    assert api.post("/nodes", json={"node_id": name}).status_code == 400
    assert sorted(s.data.parent.rglob("*evil*")) == before
    assert api.get("/nodes").json() == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"node_count": "x"}', b'{"node_count": 31}', b"7"])
def test_c33_x33_invalid_start_bodies_are_refused(api: httpx.Client, body: bytes) -> None:
    answer = api.post("/cluster/start", content=body)
    assert answer.status_code == 400
    error_of(answer)


# --- a cluster of four -----------------------------------------------------------------------------


def test_c32_c33_x33_a_cluster_starts_and_reports_its_progress(
    s: Supervised, api: httpx.Client, ears: Ears
) -> None:
    answer = api.post("/cluster/start", json={"node_count": 0})
    assert answer.elapsed.total_seconds() < 4 * MARGIN
    assert (answer.status_code, answer.json()) == (200, {"status": "starting", "node_count": 4})
    again = api.post("/cluster/start", json={"node_count": 4})
    assert again.status_code == 409
    assert "starting" in error_of(again)
    ears.wait_for("cluster_status", status="starting", nodes_started=0, nodes_total=4)
    done = ears.wait_for("cluster_status", status="running", nodes_started=4, nodes_total=4)
    counts = [frame["nodes_started"] for frame in ears.of("cluster_status", status="starting")]
    fell_back = False
    for name in NODES:
        told = ears.of("node_status", node_id=name)
        assert told[-1]["node"]["id"] == name
        runs = next(frame for frame in told if frame["status"] == "running")
        assert "starting" in [frame["status"] for frame in told[: told.index(runs)]]
        fell_back |= any(frame["status"] != "running" for frame in told[told.index(runs) :])
        assert ears.frames.index(runs) < ears.frames.index(done)
    # Whom a busy machine keeps from answering for seconds counts again when it is heard again.
    assert fell_back or counts == sorted(counts)
    assert not ears.of("node_status", node_id="learner")
    nodes = api.get("/nodes").json()
    assert [node["id"] for node in nodes] == NODES
    s.wait_until_running(4)
    assert nodes[0]["is_bootstrap"]
    assert len({node["port"] for node in nodes}) == 4
    wait_until(lambda: led_as_its_view_says(api), what="one primary, that of its view: node0 in view 0")
    for node in nodes:
        assert node["peer_id"].startswith("12D3KooW")
        assert node["host"] == "127.0.0.1"
        assert psutil.pid_exists(node["pid"])
        assert datetime.fromisoformat(node["started_at"]).tzinfo is not None


def test_c33_an_empty_object_starts_the_existing_cluster(
    s: Supervised, api: httpx.Client, ears: Ears
) -> None:
    here = len(ears.frames)
    before = {name: node["pid"] for name, node in s.nodes().items()}
    answer = api.post("/cluster/start", json={})
    assert (answer.status_code, answer.json()) == (200, {"status": "starting", "node_count": 4})
    begun = ears.wait_for("cluster_status", status="starting", nodes_started=0, nodes_total=4, after=here)
    here = ears.place_of(begun)
    ears.wait_for("cluster_status", status="running", nodes_started=4, nodes_total=4, after=here)
    nodes = s.nodes()
    assert list(nodes) == NODES
    assert all(nodes[name]["pid"] != before[name] for name in NODES), "each is started anew"


def test_c34_a_seed_counts_over_the_nodes(api: httpx.Client, ears: Ears) -> None:
    paths = ["/tickets", *(f"/nodes/{name}/stats" for name in NODES)]  # each was started anew just now
    wait_until(lambda: all(api.get(path).status_code == 200 for path in paths), what="all can be read")
    same = {"Content-Type": "application/json", "Idempotency-Key": "c34"}
    told = wait_until(lambda: seeded_everywhere(api, same), what="2000 tickets on four nodes")
    assert told["nodes"] == [{"node_id": name, "seeded": 500} for name in NODES]
    assert told["unique"] == told["seeded"] == 500
    seeded = ears.wait_for("tickets_seeded")
    assert (seeded["count"], seeded["nodes"]) == (2000, 4)
    assert api.post("/tickets/seed").json()["data"]["total_seeded"] == 0


def test_c35_tickets_are_validated_by_the_platform_and_by_a_node(api: httpx.Client, ears: Ears) -> None:
    wait_until(lambda: len(api.get("/tickets").json()["data"]) == 500, what="a copy of all tickets")
    assert (
        api.post("/tickets/validate", json={"ticket_id": "TICKET-001", "data": None}).json()["success"]
        is True
    )
    ears.wait_for("ticket_validated", ticket_id="TICKET-001")
    via = api.post("/tickets/validate-via-node", json={"ticket_id": "TICKET-002", "node_id": "node2"})
    assert via.status_code == 200
    assert ears.wait_for("ticket_validated", ticket_id="TICKET-002")["node_id"] == "node2"
    wait_until(lambda: validator_of(api, "TICKET-002") == "node2", what="the copy has it")
    for body, status, phrase in (
        ({"ticket_id": "TICKET-003", "node_id": "nope"}, 404, "nope"),
        ({"ticket_id": "TICKET-003"}, 400, "node_id is required"),
        ({"node_id": "node2"}, 400, "ticket_id is required"),
    ):
        refused = api.post("/tickets/validate-via-node", json=body)
        assert refused.status_code == status
        assert phrase in error_of(refused)
    again = api.post("/tickets/validate-via-node", json={"ticket_id": "TICKET-002", "node_id": "node2"})
    assert (again.status_code, again.json()["success"]) == (409, False), "the node's own answer"
    assert api.get("/tickets/TICKET-003").json()["data"]["State"] == "ISSUED"
    assert api.post("/tickets/validate", content=b" " * (1024 * 1024 + 1)).status_code == 413


def test_c36_the_platform_returns_the_state_of_a_node(api: httpx.Client) -> None:
    stats = data_of(api, "/stats")
    assert set(stats) == {*STATS, "mode"}
    assert stats["mode"] == "supervisor"
    assert data_of(api, "/consensus/logs")
    crypto = data_of(api, "/node/crypto")
    assert crypto["peer_id"] == api.get(f"/nodes/{crypto['node_id']}").json()["peer_id"]
    assert data_of(api, "/storage/entries")["total_tickets"] == 500


def test_c37_x34_logs_of_a_node_are_returned(s: Supervised, api: httpx.Client) -> None:
    assert api.get("/nodes/node1").json()["id"] == "node1"
    assert api.get("/nodes/nope").status_code == api.get("/nodes/nope/logs").status_code == 404
    told = api.get("/nodes/node1/logs").json()
    assert set(told) == {"node_id", "logs"}
    assert 0 < len(told["logs"]) <= 1000
    assert all(re.match(r"\[(stdout|stderr)\] ", line) for line in told["logs"])
    assert re.fullmatch(r"\[stdout\] \S+Z INFO +begun", told["logs"][0]), "since this start"
    few = api.get("/nodes/node1/logs", params={"lines": 2}).json()["logs"]
    later = api.get("/nodes/node1/logs").json()["logs"]
    assert (len(few), "\n".join(few) in "\n".join(later)) == (2, True)
    for wrong in ("abc", "0", "-1", ""):
        assert api.get("/nodes/node1/logs", params={"lines": wrong}).status_code == 400
    with (s.data / "nodes" / "node1" / "log" / "node.log").open("a", encoding="utf-8") as file:
        file.writelines(f"2026-11-20T10:00:00.000Z INFO     filling {number}\n" for number in range(3_000))
    for asked in ({}, {"lines": "1000"}, {"lines": "999999999"}):
        newest = api.get("/nodes/node1/logs", params=asked).json()["logs"]
        assert (len(newest), any(line.endswith("filling 2999") for line in newest[-200:])) == (1000, True)


def test_x35_lists_have_a_stable_order(api: httpx.Client) -> None:
    tickets = [ticket["ID"] for ticket in api.get("/tickets").json()["data"]]
    assert tickets == sorted(tickets)
    for _ in range(20):
        assert [node["id"] for node in api.get("/nodes").json()] == NODES
    for _ in range(3):
        assert [ticket["ID"] for ticket in api.get("/tickets").json()["data"]] == tickets


def test_x42_ids_cannot_hold_html(api: httpx.Client) -> None:
    """Ids of nodes and tickets with markup are refused, so that no page can show them."""
    assert api.post("/nodes", json={"node_id": "<img src=x onerror=alert(1)>"}).status_code == 400
    evil = {"ticket_id": "<script>alert(1)</script>"}
    for verb in ("validate", "consume", "dispute"):
        answer = api.post(f"/tickets/{verb}", json=evil)
        assert answer.status_code == 400
        assert answer.headers["content-type"].startswith("application/json")


# --- nodes one by one ------------------------------------------------------------------------------


def test_c38_x33_a_node_is_stopped(s: Supervised, api: httpx.Client, ears: Ears) -> None:
    node = api.get("/nodes/node3").json()
    here, asked = len(ears.frames), time.time()
    assert api.delete("/nodes/node3").json() == {"status": "stopping", "node_id": "node3"}
    eventually(lambda: s.statuses()["node3"] == "stopped", within=10, what="node3 stopped")
    stopping = ears.wait_for("node_status", node_id="node3", status="stopping", after=here)
    assert ears.time_of(stopping) - asked < ANNOUNCED_WITHIN
    ears.wait_for("node_status", node_id="node3", status="stopped", after=ears.frames.index(stopping))
    wait_until(lambda: refuses(node["port"]), what="its port is closed")
    assert api.delete("/nodes/node3").status_code == 409
    assert api.delete("/nodes/nope").status_code == 404
    assert api.post("/nodes/nope/restart").status_code == 404
    down = api.post("/tickets/validate-via-node", json={"ticket_id": "TICKET-003", "node_id": "node3"})
    assert down.status_code == 503
    assert "node3" in error_of(down)


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_x33_invalid_node_starts_are_refused(s: Supervised, api: httpx.Client) -> None:
    assert api.post("/nodes", json={"node_id": "node1"}).status_code == 409
    second = api.post("/nodes", json={"node_id": "node3", "is_primary": True})
    assert second.status_code == 409
    assert "primary" in error_of(second)
    assert api.post("/nodes", json={"node_id": "node3", "is_primary": "yes"}).status_code == 400


def test_x27_nodes_keep_their_ports_over_restarts(s: Supervised, api: httpx.Client) -> None:
    before = {name: (node["port"], node["api_port"]) for name, node in s.nodes().items()}
    started = {name: node["started_at"] for name, node in s.nodes().items()}
    with occupied(before["node3"][1]):
        told = api.post("/nodes", json={"node_id": "node3"})
        assert told.json() == {"status": "starting", "node_id": "node3"}

        def says_so() -> bool:
            node = s.nodes()["node3"]
            return "in use" in node.get("error", "") and node["status"] == "starting"

        wait_until(says_so, what="it says that its port is taken")
    s.wait_until_running(4)
    for name in ("node0", "node1"):
        assert api.post(f"/nodes/{name}/restart").json() == {"status": "restarting", "node_id": name}
        wait_until(lambda name=name: s.nodes()[name]["started_at"] != started[name], what=f"{name} is new")
        s.wait_until_running(4)
    assert {name: (node["port"], node["api_port"]) for name, node in s.nodes().items()} == before
    again = api.get("/nodes/node1/logs").json()["logs"]
    assert again[0].endswith(" begun")
    assert not [line for line in again if "filling" in line], "cleared when it was started again (3.2)"
    assert len({port for ports in before.values() for port in ports if port}) >= 4

    def meshed() -> bool:
        answers = [api.get(f"/nodes/{name}/stats") for name in NODES]
        return all(a.status_code == 200 and a.json()["data"]["peer_count"] == 3 for a in answers)

    wait_until(meshed, what="every node has three peers")
    wait_until(
        lambda: (
            api.post("/tickets/validate", json={"ticket_id": "TICKET-010", "nonce": "x27"}).status_code == 200
        ),
        what="a validate works",
    )


def test_x31_a_node_that_dies_is_an_error_until_it_is_back(s: Supervised, ears: Ears) -> None:
    here = len(ears.frames)
    pid, killed = s.nodes()["node2"]["pid"], time.time()
    os.kill(pid, signal.SIGKILL)
    said = ears.wait_for("node_status", node_id="node2", status="error", after=here)
    assert ears.time_of(said) - killed < ANNOUNCED_WITHIN
    assert "killed" in said["node"]["error"]
    again = ears.frames.index(said)
    ears.wait_for("node_status", node_id="node2", status="starting", after=again)
    back = ears.wait_for("node_status", node_id="node2", status="running", after=again)["node"]
    health = f"http://127.0.0.1:{back['api_port']}/health"
    assert httpx.get(health, trust_env=False, timeout=PATIENCE).status_code == 200
    s.wait_until_running(4)


@pytest.mark.exhaustive
def test_x36_a_client_that_never_reads_delays_no_other(s: Supervised, api: httpx.Client, ears: Ears) -> None:
    start_if_alone(s, api)
    deaf = deaf_client(s)
    try:
        with listening(s) as other:
            other.wait_for("connected")
            here, pongs = len(ears.frames), len(ears.of("pong"))
            for _ in range(4):
                restart_between_pings(api, ears, "node3")
            wait_until(lambda: len(ears.of("pong")) == pongs + 200, what="200 pongs")
            heard_the_same(ears, other, at_least=4 * len(STAGES))
            validated = api.post("/tickets/validate", json={"ticket_id": "TICKET-020", "nonce": "x36"})
            assert validated.status_code == 200
            eventually(
                lambda: all(each.of("ticket_validated", ticket_id="TICKET-020") for each in (ears, other)),
                within=1.0,
                what="the event arrives",
            )
        lines_came_in_order_and_at_once(ears, "node3", after=here, at_least=4)
    finally:
        deaf.close()


def test_c40_a_newcomer_joins_the_running_cluster_as_a_member(
    s: Supervised, api: httpx.Client, ears: Ears
) -> None:
    """Defect 26: not a node that counts to another total, but a change of the membership, learner first."""
    here = len(ears.frames)
    assert api.post("/nodes", json={"node_id": "node4"}).json() == {"status": "starting", "node_id": "node4"}
    told = s.nodes()["node4"]
    # Listed from the start, and as one that joins until it has.
    assert told.get("joining") in ("waiting", "following", "ordering") or told["status"] == "running"
    assert told["status"] in ("starting", "unresponsive", "running")
    wait_until(lambda: s.statuses().get("node4") == "running", what=lambda: f"node4 runs\n{s.said()}")
    wait_until(lambda: api.get("/config").json()["data"].get("total_nodes") == 5, what="five members")
    ears.wait_for("node_status", node_id="node4", status="running", after=here)
    stages = [frame["status"] for frame in ears.of("node_status", node_id="node4", after=here)]
    before = stages[: stages.index("running")]
    assert before.count("starting") >= 3, "asked for, followed, ordered"
    assert set(before) <= {"starting", "unresponsive"}, "a busy machine may make a node wait for seconds"
    via = {"ticket_id": "TICKET-030", "node_id": "node4", "nonce": "newcomer"}
    wait_until(
        lambda: api.post("/tickets/validate-via-node", json=via).status_code == 200,
        what="node4 takes requests",
    )
    wait_until(lambda: validator_of(api, "TICKET-030") == "node4", what="the copy has it")


# --- the end ---------------------------------------------------------------------------------------


def test_c41_x32_the_cluster_stops_on_request(s: Supervised, api: httpx.Client, ears: Ears) -> None:
    here = len(ears.frames)
    assert api.post("/cluster/stop").json() == {"status": "stopping"}
    eventually(lambda: set(s.statuses().values()) == {"stopped"}, within=15, what="all stopped")
    ears.wait_for("cluster_status", status="stopping", after=here)
    ears.wait_for("cluster_status", status="idle", after=here)
    assert api.post("/cluster/stop").json() == {"status": "stopping"}, "also when nothing runs"
    refused = api.post("/tickets/validate", json={"ticket_id": "TICKET-040"})
    assert refused.status_code == 503
    assert "not running" in error_of(refused)
    stranger = api.post("/nodes", json={"node_id": "node9"})
    assert stranger.status_code == 409
    assert "start the cluster first" in error_of(stranger)


def test_x32_a_failed_start_gives_its_reason_and_the_next_one_works(
    s: Supervised, api: httpx.Client, ears: Ears
) -> None:
    here = len(ears.frames)
    port = s.nodes()["node1"]["port"]
    with occupied(port):
        assert api.post("/cluster/start", json={"node_count": 5}).status_code == 200
        failed = ears.wait_for("cluster_status", status="idle", after=here)
    assert str(port) in failed["error"]
    here = len(ears.frames)
    assert api.post("/cluster/start", json={"node_count": 5}).status_code == 200
    ears.wait_for("cluster_status", status="running", nodes_started=5, after=here)
    found = wait_until(lambda: readable(api, "/tickets/TICKET-001"), what="the copy can be read again")
    assert found is not None
    assert found.json()["data"]["State"] == "VALIDATED", "the same cluster goes on"


def test_x29_sigterm_leaves_no_process(s: Supervised) -> None:
    processes = s.processes()
    assert len(processes) > 8
    assert s.process is not None
    s.process.send_signal(signal.SIGTERM)
    wait_until_gone(processes, timeout=12 * MARGIN)
    assert s.process.wait(PATIENCE) == 0
    assert "ERROR" not in s.log.read_text().rsplit("| stopping", 1)[1]
