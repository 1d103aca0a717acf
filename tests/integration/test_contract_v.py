"""The contract's cases of one validator that runs, on a real process (V)."""

from __future__ import annotations

import base64
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from dtvn.node.metrics.names import CONTRACT
from tests.integration.contract_nodes import Node, P, frames, single
from tests.metrics.scraping import Page, scrape
from tests.waiting import PATIENCE, allowed, wait_until

pytestmark = pytest.mark.integration

STORAGE_KEYS = {
    "tx_count", "open_tx_count", "page_count", "page_alloc", "cursor_count", "node_count", "node_deref",
    "rebalance", "rebalance_time", "split", "spill", "spill_time", "write", "write_time",
}  # fmt: skip
FIRST = (
    b'{"event":"Summer Music Festival 2026","venue":"Grand Arena","section":"VIP","seat":"A1",'
    b'"price":"150.00","buyer":"buyer_001@email.com"}'
)
TICKET_KEYS = ["ID", "State", "Data", "ValidatorID", "Timestamp", "VectorClock", "Metadata"]


class Fresh:
    """V, and its answers while it is new: empty, seeded, and after the first validation."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.tickets = node.get("/tickets")
        self.stats = node.stats()
        node.wait_deciding()
        with node.socket() as socket:
            self.seeded = [node.post("/tickets/seed"), node.post("/tickets/seed")]
            self.events = frames(socket, 1, quiet=0.5)
        self.seeded_list = node.get("/tickets").json()["data"]
        node.done("validate", "TICKET-500")
        self.storage = node.data_of("/storage/entries")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    with single(tmp_path_factory.mktemp("v") / "data") as node:
        yield Fresh(node)


@pytest.fixture
def v(fresh: Fresh) -> Node:
    return fresh.node


def data_of(ticket: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(ticket["Data"]))
    return found


# --- C ------------------------------------------------------------------------------------------------


def test_c1_health_is_exact(v: Node) -> None:
    response = v.http.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "healthy"})
    assert response.headers["content-type"] == "application/json"


def test_c2_a_fresh_node_has_no_tickets(fresh: Fresh) -> None:
    assert fresh.tickets.status_code == 200
    assert fresh.tickets.json() == {"success": True, "data": []}


def test_c3_seeding_creates_500_once(fresh: Fresh) -> None:
    assert [answer.status_code for answer in fresh.seeded] == [200, 200]
    assert [answer.json()["data"]["seeded"] for answer in fresh.seeded] == [500, 0]


def test_c4_the_list_after_seeding(fresh: Fresh) -> None:
    assert len(fresh.seeded_list) == 500
    for ticket in fresh.seeded_list:
        assert list(ticket) == TICKET_KEYS
        assert ticket["State"] == "ISSUED"
        assert ticket["Metadata"] == {"source": "seed"}
        assert ticket["ValidatorID"] == ""
        assert abs(ticket["Timestamp"] - time.time()) < 300
    ids = [ticket["ID"] for ticket in fresh.seeded_list]
    assert ids == [f"TICKET-{number:03d}" for number in range(1, 501)]


def test_c5_the_data_is_that_of_the_contract(v: Node) -> None:
    assert base64.b64decode(v.ticket("TICKET-001")["Data"]) == FIRST
    eleventh, last = data_of(v.ticket("TICKET-011")), data_of(v.ticket("TICKET-500"))
    assert (eleventh["seat"], eleventh["section"], eleventh["price"]) == ("B1", "Balcony", "65.00")
    assert (last["seat"], last["section"], last["price"]) == ("X10", "General", "40.00")


def test_c6_an_unknown_ticket_is_404(v: Node) -> None:
    response = v.get("/tickets/NOPE")
    assert response.status_code == 404
    assert response.json()["success"] is False
    assert isinstance(response.json()["error"], str)


def test_c7_x15_validate_names_the_node_and_counts_its_clock(v: Node) -> None:
    response = v.post("/tickets/validate", {"ticket_id": "TICKET-070", "data": None})
    assert response.status_code == 200
    assert response.json()["success"] is True
    assert "data" not in response.json()
    ticket = v.ticket("TICKET-070")
    assert (ticket["State"], ticket["ValidatorID"]) == ("VALIDATED", "node0")
    assert ticket["VectorClock"]["node0"] >= 1


def test_c8_shown_data_is_checked_and_never_stored(v: Node) -> None:
    before = v.ticket("TICKET-080")["Data"]
    v.done("validate", "TICKET-080", data=base64.b64encode(b"shown").decode())
    assert v.ticket("TICKET-080")["Data"] == before
    assert v.act("validate", "TICKET-081", data="%%%").status_code == 400
    assert v.state("TICKET-081") == "ISSUED"


def test_c9_a_second_validation_is_refused_with_the_agreed_text(v: Node) -> None:
    v.done("validate", "TICKET-090")
    response = v.act("validate", "TICKET-090")
    assert response.status_code == 409
    assert "already validated" in response.json()["error"]


def test_c10_consume_needs_a_validated_ticket(v: Node) -> None:
    v.done("validate", "TICKET-100")
    v.done("consume", "TICKET-100")
    assert v.state("TICKET-100") == "CONSUMED"
    assert v.act("consume", "TICKET-101").status_code == 409
    assert v.state("TICKET-101") == "ISSUED"


def test_c11_x11_dispute_needs_a_validated_ticket(v: Node) -> None:
    v.done("validate", "TICKET-110")
    v.done("dispute", "TICKET-110")
    assert v.state("TICKET-110") == "DISPUTED"
    assert v.act("dispute", "TICKET-110").status_code == 409
    assert v.act("dispute", "TICKET-111").status_code == 409
    v.done("validate", "TICKET-112")
    v.done("consume", "TICKET-112")
    assert v.act("dispute", "TICKET-112").status_code == 409, "the documented choice: CONSUMED is final"


def test_an_upheld_dispute_differs_from_an_open_one(v: Node) -> None:
    v.done("validate", "TICKET-113")
    v.done("dispute", "TICKET-113")
    assert "Upheld" not in v.ticket("TICKET-113")
    before = v.data_of("/storage/entries")
    v.done("resolve", "TICKET-113", verdict="uphold")
    after = v.data_of("/storage/entries")
    assert after["ticket_states"] == before["ticket_states"]
    assert after["upheld_tickets"] == before["upheld_tickets"] + 1
    assert (v.state("TICKET-113"), v.ticket("TICKET-113")["Upheld"]) == ("DISPUTED", True)
    assert [one["verdict"] for one in v.data_of("/consensus/logs") if "verdict" in one] == ["uphold"]


@pytest.mark.parametrize("kind", ["validate", "consume", "dispute"])
def test_c12_malformed_bodies_are_400(v: Node, kind: str) -> None:
    for body in (b"{}", b'{"ticket_id":""}', b"null"):
        response = v.post(f"/tickets/{kind}", body)
        assert response.status_code == 400, body
        assert "ticket_id is required" in response.json()["error"]
    for body in (b"", b"[]", b"{", b'{"ticket_id":5}'):
        assert v.post(f"/tickets/{kind}", body).status_code == 400, body


def test_c13_stats_have_exactly_their_keys(fresh: Fresh, v: Node) -> None:
    for stats in (fresh.stats, v.stats()):
        assert list(stats) == [
            "node_id", "peer_count", "is_primary", "current_view", "sequence", "cache_size", "storage_stats",
        ]  # fmt: skip
        assert set(stats["storage_stats"]) == STORAGE_KEYS
        assert all(isinstance(number, int) for number in stats["storage_stats"].values())
        assert (stats["node_id"], stats["is_primary"], stats["peer_count"]) == ("node0", True, 0)
    assert v.stats()["sequence"] >= 1


def test_c14_status_counts_open_sockets(v: Node) -> None:
    wait_until(lambda: v.data_of("/status")["ws_clients"] == 0, what="those of before are gone")
    status = v.data_of("/status")
    assert set(status) == {"status", "timestamp", "ws_clients"}
    assert (status["status"], status["ws_clients"]) == ("running", 0)
    assert abs(status["timestamp"] - time.time()) < 60
    with v.socket():
        wait_until(lambda: v.data_of("/status")["ws_clients"] == 1, what="one socket counted")
    wait_until(lambda: v.data_of("/status")["ws_clients"] == 0, what="no socket counted")


def test_c15_config_describes_the_single_node(v: Node) -> None:
    expected = {"node_id": "node0", "total_nodes": 1, "is_primary": True, "current_view": 0}
    assert v.data_of("/config") == expected


def test_c16_a_single_node_has_no_peers(v: Node) -> None:
    assert v.data_of("/peers") == {"peers": []}


def test_c17_crypto_identity_is_the_documented_one(v: Node) -> None:
    crypto = v.data_of("/node/crypto")
    assert crypto["peer_id"] == "12D3KooWLtBkKrip2jyaRzhUphqYyVXGUPMMbmpBWHZMYXaueb9C"
    assert crypto["public_key"] == "a46b18aaa80f1a2cd00c8cf03ad6520bad768e3727d65645e4f4761c7d7ab64b"
    assert (crypto["node_id"], crypto["key_algorithm"]) == ("node0", "Ed25519")
    assert crypto["listen_addresses"] == [v.multiaddr]
    assert crypto["transport_security"] == ["curvezmq"]


def test_c18_storage_entries_after_seed_and_one_validation(fresh: Fresh) -> None:
    storage = fresh.storage
    assert set(storage) == {
        "node_id", "total_tickets", "ticket_states", "consensus_log_count", "latest_checkpoint", "db_stats",
        "upheld_tickets",
    }  # fmt: skip
    assert storage["total_tickets"] == 500
    assert storage["ticket_states"] == {"ISSUED": 499, "VALIDATED": 1, "CONSUMED": 0, "DISPUTED": 0}
    assert storage["upheld_tickets"] == 0
    assert storage["consensus_log_count"] == 1
    assert set(storage["db_stats"]) == STORAGE_KEYS


def test_c22_each_change_is_one_frame(fresh: Fresh, v: Node) -> None:
    [seeded] = fresh.events
    assert (seeded["type"], seeded["count"]) == ("tickets_seeded", 500)
    assert isinstance(seeded["timestamp"], int)
    with v.socket() as socket:
        v.done("validate", "TICKET-220")
        v.done("consume", "TICKET-220")
        v.done("validate", "TICKET-221")
        v.done("dispute", "TICKET-221")
        told = frames(socket, 4, quiet=0.5)
    assert [(frame["type"], frame["ticket_id"]) for frame in told] == [
        ("ticket_validated", "TICKET-220"),
        ("ticket_consumed", "TICKET-220"),
        ("ticket_validated", "TICKET-221"),
        ("ticket_disputed", "TICKET-221"),
    ]
    assert all(abs(frame["timestamp"] - time.time()) < 60 for frame in told)


def test_c22_a_ping_is_answered_and_other_frames_are_ignored(v: Node) -> None:
    with v.socket() as socket:
        for text in ("nonsense", "[1]", '{"type":"subscribe"}', '{"type":"ping"}'):
            socket.send(text)
        socket.send(b"\xff\x00")
        assert frames(socket, 1, quiet=0.3) == [{"type": "pong"}]


def handshaken(v: Node) -> socket.socket:
    """A WebSocket of which nothing is read but the answer to its handshake: no library does it meanwhile."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.settimeout(PATIENCE)
    client.connect(("127.0.0.1", v.api_port))
    lines = ["GET /ws HTTP/1.1", "Host: 127.0.0.1", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    client.sendall("\r\n".join(lines).encode())
    assert client.recv(12) == b"HTTP/1.1 101"
    return client


def test_c22_a_client_that_never_reads_delays_no_other(v: Node) -> None:
    with handshaken(v) as deaf, v.socket() as quick:
        ping = b"\x81\x8f\0\0\0\0" + b'{"type":"ping"}'
        deaf.settimeout(0.5)
        with suppress(TimeoutError, ConnectionError):
            for _ in range(200):  # its answers wait, first in the kernel, then with the node
                deaf.sendall(ping * 500)
        began = time.monotonic()
        for number in range(222, 232):
            v.done("validate", f"TICKET-{number}")
        assert len(frames(quick, 10)) == 10
        assert time.monotonic() - began < allowed(10)


def test_c23_supervisor_routes_are_404_on_a_node(v: Node) -> None:
    for path in ("/nodes", "/simulator", "/cluster/start", "/nothing"):
        response = v.get(path)
        assert response.status_code == 404
        assert response.json()["success"] is False
    assert v.get("/tickets/").status_code == 404
    assert v.http.get("/ws").status_code == 400
    assert v.http.get(f"/{P}/stats").status_code in (301, 404), "two slashes"


@pytest.mark.parametrize(
    "origin", [None, "http://localhost:9", "https://127.0.0.1", "http://[::1]:3000", "own"]
)
def test_c21_sockets_of_own_and_local_pages_are_accepted(v: Node, origin: str | None) -> None:
    with v.socket(origin=v.url if origin == "own" else origin) as socket:
        socket.send('{"type":"ping"}')
        assert frames(socket, 1) == [{"type": "pong"}]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost.evil.example"])
def test_c21_sockets_of_other_pages_are_refused(v: Node, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, v.socket(origin=origin):
        pass
    assert refused.value.response.status_code == 403


# --- X ------------------------------------------------------------------------------------------------


def test_x3_a_consumed_ticket_is_not_validated_again(v: Node) -> None:
    v.done("validate", "TICKET-300")
    v.done("consume", "TICKET-300")
    with v.socket() as socket:
        assert v.act("validate", "TICKET-300").status_code == 409
        v.done("validate", "TICKET-301")
        [only] = frames(socket, 1)
    assert only["ticket_id"] == "TICKET-301", "the refusal is no event"


@pytest.mark.parametrize("kind", ["validate", "consume", "dispute"])
def test_x4_a_refusal_is_an_ordered_outcome(v: Node, kind: str) -> None:
    began = time.monotonic()
    assert v.act(kind, f"UNKNOWN-{kind}").status_code == 404
    assert time.monotonic() - began < allowed(2)
    [refused] = [
        entry
        for entry in v.data_of("/consensus/logs", params={"outcome": "all"})
        if entry["ticket_id"] == f"UNKNOWN-{kind}"
    ]
    assert (refused["operation"], refused["code"]) == (kind.upper(), "ticket_not_found")
    assert v.stats()["current_view"] == 0


def test_x12_invalid_requests_get_their_status_codes(v: Node) -> None:
    assert v.act("consume", "TICKET-120").status_code == 409
    assert v.post("/tickets/validate", b" " * 1_100_000).status_code == 413
    assert v.post("/tickets/validate", b'{"ticket_id":"TICKET-120"} junk').status_code == 400
    for ticket in ("T" * 10_000, "with space", "<script>", "../x", "-x", "ä"):
        assert v.act("validate", ticket).status_code == 400, ticket[:20]
    assert v.state("TICKET-120") == "ISSUED"


def test_x14_log_totals_match_its_entries_and_checkpoints_follow(v: Node) -> None:
    before = v.data_of("/storage/entries")["consensus_log_count"]
    for number in range(140, 152):
        v.done("validate", f"TICKET-{number}")
    storage = v.data_of("/storage/entries")
    assert storage["consensus_log_count"] == before + 12 == len(v.data_of("/consensus/logs"))
    checkpoint = storage["latest_checkpoint"]
    assert checkpoint["sequence"] > 0
    assert checkpoint["sequence"] % 10 == 0
    assert len(bytes.fromhex(checkpoint["state_digest"])) == 32
    for number in range(152, 164):
        v.done("validate", f"TICKET-{number}")
    later = v.data_of("/storage/entries")["latest_checkpoint"]
    assert later["sequence"] > checkpoint["sequence"]
    assert later["state_digest"] != checkpoint["state_digest"], "other tickets have other states"
    assert checkpoint["node_id"] == "node0"
    assert abs(checkpoint["timestamp"] - time.time()) < 300


ROUTES = {
    "GET": (
        "/tickets/TICKET-001", "/status", "/stats", "/peers", "/config", "/consensus/logs", "/node/crypto",
        "/storage/entries",
    ),
    "POST": tuple(f"/tickets/{kind}" for kind in ("validate", "consume", "dispute", "seed")),
}  # fmt: skip


def test_x16_wrong_methods_are_405_and_unknown_paths_404(v: Node) -> None:
    for taken, paths in ROUTES.items():
        for path in paths:
            for method in {"POST", "PUT", "DELETE", "PATCH"} - {taken}:
                response = v.http.request(method, P + path)
                assert response.status_code == 405, (method, path)
                assert response.headers["allow"] == taken
                assert response.json()["success"] is False
    listed = v.http.delete(f"{P}/tickets")
    assert (listed.status_code, listed.headers["allow"]) == (405, "GET, POST")
    assert v.get("/tickets/validate").status_code == 404, "a ticket of that name"
    for method in ("GET", "POST", "DELETE"):
        response = v.http.request(method, f"{P}/nothing/here")
        assert (response.status_code, response.json()["success"]) == (404, False)


def test_x17_api_metrics_match_the_requests(v: Node) -> None:
    def page() -> Page:
        return scrape(("127.0.0.1", v.metrics_port))

    labels = {"method": "POST", "endpoint": f"{P}/tickets/validate", "status": "200"}

    def agrees() -> bool:
        """The log says what they must come to; requests are told a moment after they were answered."""
        kinds = [entry["operation"] for entry in v.data_of("/consensus/logs")]
        found = page()
        return (
            found.value("tickets_validated_total") == kinds.count("VALIDATE")
            and found.value("consensus_success_total") == len(kinds)
            and found.value("ticket_state_count", state="ISSUED")
            == v.data_of("/storage/entries")["ticket_states"]["ISSUED"]
            and (found.value("api_requests_total", **labels) or 0) >= kinds.count("VALIDATE")
        )

    wait_until(agrees, what="counted as logged")
    validated = page().number("tickets_validated_total")
    asked = page().value("api_requests_total", **labels) or 0
    issued = v.data_of("/storage/entries")["ticket_states"]["ISSUED"]
    for number in (170, 171, 172):
        v.done("validate", f"TICKET-{number}")
    wait_until(
        lambda: page().value("api_requests_total", **labels) == asked + 3, what="three requests counted"
    )
    wait_until(agrees, what="three operations counted as logged")
    found = page()
    assert found.value("tickets_validated_total") == validated + 3
    assert found.value("ticket_state_count", state="ISSUED") == issued - 3
    assert [metric.name for metric in CONTRACT if metric.name not in found.types] == []
    assert (
        found.value("api_latency_seconds_count", method="POST", endpoint=labels["endpoint"]) or 0
    ) >= asked + 3
    assert "TICKET-" not in v.http.get(f"http://127.0.0.1:{v.metrics_port}/metrics").text
    with v.socket():
        wait_until(lambda: page().value("websocket_connections") == 1, what="an open socket")
    wait_until(lambda: page().value("websocket_connections") == 0, what="no open socket")


def test_each_request_is_logged_in_one_line_without_its_query(v: Node) -> None:
    """Section 1.8: method, URI, duration. The query is private and not logged."""
    assert v.get("/tickets/LINE-OF-ITS-OWN?api_key=a-secret").status_code == 404
    shown = r"request method=GET path=/api/v1/tickets/LINE-OF-ITS-OWN status=404 ms=\d+\.\d"
    wait_until(lambda: re.search(shown, v.log.read_text()), what="its line")
    text = v.log.read_text()
    assert "a-secret" not in text
    assert not re.search(r"path=/health status=200", text), "asked too often to be shown"


def test_x25_a_request_repeated_with_its_nonce_is_applied_once(v: Node) -> None:
    body = {"ticket_id": "TICKET-250", "nonce": "once"}
    assert v.post("/tickets/validate", body).status_code == 200
    ticket = v.ticket("TICKET-250")
    assert [v.post("/tickets/validate", body).status_code for _ in range(2)] == [200, 200]
    assert v.ticket("TICKET-250") == ticket, "clock and timestamp too"
    assert v.post("/tickets/validate", {"ticket_id": "TICKET-251", "nonce": "once"}).status_code == 422
    key = {"Idempotency-Key": "twice"}
    assert v.post("/tickets/validate", {"ticket_id": "TICKET-252"}, headers=key).status_code == 200
    assert v.post("/tickets/validate", {"ticket_id": "TICKET-252"}, headers=key).status_code == 200


def test_x35_lists_are_paged_in_order(v: Node) -> None:
    first = v.get("/tickets", params={"limit": "3", "state": "ISSUED"})
    assert [ticket["ID"] for ticket in first.json()["data"]] == ["TICKET-001", "TICKET-002", "TICKET-003"]
    assert first.headers["x-total-count"] == str(v.data_of("/storage/entries")["ticket_states"]["ISSUED"])
    following = v.http.get(first.links["next"]["url"]).json()["data"]
    assert [ticket["ID"] for ticket in following] == ["TICKET-004", "TICKET-005", "TICKET-006"]
    assert v.get("/tickets").headers["x-total-count"] == "500"
    log = v.get("/consensus/logs", params={"limit": "2"})
    assert len(log.json()["data"]) == 2
    rest = v.http.get(log.links["next"]["url"]).json()["data"]
    assert log.json()["data"][-1]["sequence"] <= rest[0]["sequence"]
    for query in ({"limit": "0"}, {"limit": "x"}, {"state": "LOST"}, {"after": "a b"}, {"event": "a b"}):
        assert v.get("/tickets", params=query).status_code == 400, query
    states = {entry["operation"] for entry in v.data_of("/consensus/logs", params={"state": "VALIDATED"})}
    assert states == {"VALIDATE"}
    wrong = ({"limit": "10001"}, {"after": "x"}, {"outcome": "some"}, {"kind": "some"}, {"state": "LOST"})
    for query in wrong:
        assert v.get("/consensus/logs", params=query).status_code == 400, query


def test_x35_a_number_out_of_range_is_refused_by_its_name(v: Node) -> None:
    for limit in ("0000000019999999", "000000001" + "9" * 25, "9" * 5_000):
        answer = v.get("/tickets", params={"limit": limit})
        assert (answer.status_code, answer.json()["error"][:6]) == (400, "limit "), limit
    for named in ("0" * 20 + "9" * 5_000, "9223372036854775808", "x"):
        assert v.get("/tickets", headers={"X-DTVN-Min-Sequence": named}).status_code == 400, named


def test_x41_pages_of_other_sites_change_nothing_without_a_key(v: Node) -> None:
    def form(origin: str | None) -> httpx.Response:
        headers = {"Content-Type": "text/plain"} | ({"Origin": origin} if origin else {})
        return v.post("/tickets/validate", {"ticket_id": "TICKET-410"}, headers=headers)

    for origin in ("http://evil.example", "null", "http://127.0.0.1.evil.example", "http://["):
        assert form(origin).status_code == 403, origin
    assert v.state("TICKET-410") == "ISSUED"
    assert form(None).status_code == 200
    assert v.get("/stats", headers={"Origin": "http://evil.example"}).status_code == 200
    assert v.act("validate", "TICKET-411").status_code == 200
