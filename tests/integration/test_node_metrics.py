"""Real validator processes scraped over HTTP, and configured by file, environment and flags (X17, X18)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from dtvn.gateway import Gateway
from dtvn.machine import Barrier, Issue, Seed, Validate
from dtvn.node.metrics.names import ALL, CONTRACT
from tests.integration.network import Network
from tests.integration.network import network as running
from tests.integration.node_cluster import Cluster, operation, submit, validator
from tests.metrics.scraping import Page, scrape
from tests.ports import free_ports
from tests.waiting import MARGIN, PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

NODES = 4
VOTES: tuple[tuple[str, dict[str, str]], ...] = (
    ("dtvn_messages_total", {"direction": "received", "kind": "Commit"}),
    ("dtvn_phase_seconds_count", {"phase": "prepare"}),
    ("dtvn_phase_seconds_count", {"phase": "commit"}),
)
"""What a node shows that took part in a decision."""


class Measured(Cluster):
    """Four nodes, each with its metrics on a port of its own."""

    def __init__(self, data: Path) -> None:
        self.ports = free_ports(NODES)
        super().__init__(data, NODES, flags=lambda index: ("-metrics-port", str(self.ports[index])))

    def page(self, index: int) -> Page:
        return scrape(("127.0.0.1", self.ports[index]))

    def until(self, index: int, name: str, least: float, **labels: str) -> Page:
        """Wait until a metric has reached a value; returns the page."""

        def shows() -> Page | None:
            try:
                page = self.page(index)
            except httpx.TransportError:
                return None
            return page if (page.value(name, **labels) or 0) >= least else None

        what = f"node{index}: {name} {labels} >= {least}"
        page = wait_until(shows, what=lambda: f"{what}\n{self.outputs()}", pause=0.1)
        assert page is not None
        return page

    def until_it_votes(self, index: int, gateway: Gateway) -> None:
        """Three are enough to decide: one that began after the others has what was before only from them."""

        def votes() -> bool:
            submit(gateway, [operation(Barrier())], wait=2.0)
            page = self.until(index, "peer_count", NODES - 1)
            return all((page.value(name, **labels) or 0) > 0 for name, labels in VOTES)

        wait_until(votes, what=lambda: f"node{index} votes\n{self.outputs()}", pause=0.2)


@pytest.fixture
def measured(tmp_path: Path) -> Iterator[Measured]:
    with Measured(tmp_path) as cluster:
        cluster.start()
        yield cluster


def test_x17_http_metrics_of_every_node_match_its_work(measured: Measured) -> None:
    gateway = measured.gateway()
    for index in range(NODES):
        measured.until_it_votes(index, gateway)
    assert submit(gateway, [operation(Seed())])[0].code == "ok"
    tickets = ["TICKET-001", "TICKET-002", "TICKET-003"]
    assert [submit(gateway, [operation(Validate(), ticket)])[0].code for ticket in tickets] == ["ok"] * 3
    judged = 0
    for index in range(NODES):
        measured.until(index, "consensus_success_total", 3)
        page = measured.until(index, "peer_count", 3)
        assert {metric.name for metric in ALL} <= set(page.types)
        assert {m.name: m.kind for m in CONTRACT} == {m.name: page.types[m.name] for m in CONTRACT}
        assert page.value("consensus_success_total") == page.value("tickets_validated_total") == 3
        assert page.value("ticket_state_count", state="ISSUED") == 497
        assert page.value("peer_count") == 3
        assert page.value("dtvn_members_needed") == 3
        assert page.value("dtvn_is_primary") == float(page.number("dtvn_view") % NODES == index)
        others = {f"node{other}" for other in range(NODES) if other != index}
        connected = {dict(labels)["peer"]: value for labels, value in page.of("dtvn_peer_connected").items()}
        assert connected == dict.fromkeys(others, 1)
        [info] = page.of("dtvn_node_info")
        assert dict(info)["node_id"] == f"node{index}"
        offsets = {
            dict(labels)["peer"]: found for labels, found in page.of("dtvn_clock_offset_seconds").items()
        }
        assert set(offsets) <= others
        assert all(abs(offset) < 10 * MARGIN for offset in offsets.values()), "one clock: only the way counts"
        judged += len(offsets)
    assert judged > 0


@pytest.mark.exhaustive
def test_metrics_show_a_view_change_and_end_with_their_node(measured: Measured) -> None:
    gateway = measured.gateway()
    measured.ready(gateway)
    view = int(measured.until(0, "peer_count", 3).number("dtvn_view"))
    leader = view % NODES
    measured.kill(leader)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", measured.ports[leader]))
    assert submit(gateway, [operation(Issue(), "T-1")])[0].code == "ok"
    for index in set(range(NODES)) - {leader}:

        def seen(index: int = index) -> bool:
            page = measured.until(index, "dtvn_view_changes_installed_total", 1)
            assert page.number("dtvn_view_changes_attempted_total") >= 1
            gone = page.number("dtvn_peer_connected", peer=f"node{leader}") == 0
            return gone and page.number("dtvn_view") > view

        wait_until(seen, what=f"node{index} shows that node{leader} is gone, and a view after {view}")
    measured.start(leader)
    measured.until(leader, "peer_count", 3)


def ended(tmp_path: Path, *flags: str, settings: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and output of a node that does not start."""
    out = tmp_path / "out"
    with out.open("wb") as log:
        process = validator("-data-dir", str(tmp_path / "data"), *flags, log=log, settings=settings)
        try:
            code = process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait(PATIENCE)
    return code, out.read_text(encoding="utf-8")


def test_x18_an_unknown_key_or_a_wrong_type_ends_with_2_and_names_the_key(tmp_path: Path) -> None:
    file = tmp_path / "validator.yaml"
    file.write_text("consensus:\n  total_node: 4\n", encoding="utf-8")
    code, text = ended(tmp_path, "-dev-keys", "-config", str(file))
    assert code == 2
    assert text == f"{file}:2: consensus.total_node: unknown key; the nearest is consensus.total_nodes\n"
    file.write_text("metrics:\n  enabled: perhaps\n", encoding="utf-8")
    code, text = ended(tmp_path, "-dev-keys", "-config", str(file))
    assert (code, text) == (2, f"{file}:2: metrics.enabled: 'perhaps' is neither true nor false\n")


def test_a_taken_metrics_port_ends_a_node_configured_to_use_it(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        flags = ("-dev-keys", "-total-nodes", "1", "-port", str(port), "-metrics-port", taken)
        code, text = ended(tmp_path, *flags)
    assert code == 1
    assert f"Cannot serve metrics on 127.0.0.1:{taken}: Address already in use" in text


@pytest.mark.exhaustive
def test_x18_a_node_starts_from_a_file_and_a_flag_overrides_it(tmp_path: Path) -> None:
    port, metrics, unused = free_ports(3)
    file = tmp_path / "validator.yaml"
    content = {
        "node": {"id": "node0", "data_dir": str(tmp_path / "data")},
        "network": {"listen_port": port},
        "consensus": {"total_nodes": 1, "checkpoint_interval": 25},
        "gossip": {"cache_size": 100},
        "storage": {"type": "boltdb", "path": str(tmp_path / "store")},
        "metrics": {"port": unused},
        "logging": {"format": "json", "output": str(tmp_path / "node.jsonl")},
    }
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    with (tmp_path / "out").open("wb") as log:
        flags = ("-config", str(file), "-dev-keys", "-metrics-port", str(metrics))
        process = validator(*flags, log=log)
    try:

        def served() -> bool:
            assert process.poll() is None, (tmp_path / "out").read_text(encoding="utf-8")
            try:
                return scrape(("127.0.0.1", metrics)).value("dtvn_voting") == 1
            except httpx.TransportError:
                return False

        wait_until(served, what="metrics are served where the flag says")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", unused))
        assert (tmp_path / "store" / "ledger.sqlite3").exists()
        said = (tmp_path / "node.jsonl").read_text(encoding="utf-8").splitlines()
        assert all(line.startswith("{") for line in said)
        assert any("started node_id=node0" in line for line in said)
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.mark.exhaustive
def test_nodes_of_make_up_listen_where_prometheus_looks(tmp_path: Path) -> None:
    with running(tmp_path / "data") as network:
        network.start()
        nodes = targets(network, "nodes.json")
        assert len(nodes) == NODES
        for address in nodes:
            wait_until(lambda: shows_quorum(address), what=f"a node at {address}")  # noqa: B023 - at once
        [web] = targets(network, "platform.json")
        # The network is ready once it commits; a node is shown running once its own API answers as well.
        wait_until(lambda: shown(web, "dtvn_platform_node_up", node_id="node0") == 1, what="node0 is up")
        wait_until(lambda: shown(web, "dtvn_platform_learner_lag_sequences") == 0, what="no lag")
        network.stop()
        network.start()
        assert targets(network, "nodes.json") == nodes


def targets(network: Network, name: str) -> list[tuple[str, int]]:
    groups = json.loads((network.data / "prometheus" / name).read_text(encoding="utf-8"))
    found = [target.rpartition(":") for group in groups for target in group["targets"]]
    return [(host, int(port)) for host, _colon, port in found]


def shows_quorum(address: tuple[str, int]) -> bool:
    return (shown(address, "peer_count") or 0) >= 2


def shown(address: tuple[str, int], name: str, **labels: str) -> float | None:
    """A value, None while no node answers."""
    try:
        return scrape(address).value(name, **labels)
    except httpx.TransportError:
        return None
