"""A gateway counts what passes its links to a real member."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from dtvn.gateway import ConnectionStatus, DistributedValidator, Gateway
from tests.node.running import Running, until_commits
from tests.threads import Start
from tests.waiting import wait_until


def test_the_transport_counts_bytes_and_connections(tmp_path: Path, started: Start) -> None:
    node = started(Running(tmp_path / "data"))
    with node.gateway() as gateway:
        validator = DistributedValidator(gateway)
        before = validator.get_metrics()
        until_commits(gateway)
        after = validator.get_metrics()
        transport = validator.get_transport()
        stats = transport.get_stats()
        assert transport.get_status("node0") is ConnectionStatus.CONNECTED
        assert transport.get_status("node1") is ConnectionStatus.UNKNOWN
        assert node.end() == 0
        wait_until(lambda: transport.get_status("node0") is ConnectionStatus.DISCONNECTED, what="a lost link")
    assert (stats.active_connections, stats.total_connections, stats.connection_errors) == (1, 1, 0)
    assert after.messages_sent > before.messages_sent
    assert after.messages_received > before.messages_received
    assert min(stats.bytes_sent, stats.bytes_received) > 100
    assert gateway.links() == {}, "a closed gateway has none"


def test_a_real_member_has_a_load_and_a_last_heartbeat(tmp_path: Path, started: Start) -> None:
    begun = datetime.now(UTC)
    node = started(Running(tmp_path / "data"))
    with node.gateway() as gateway:
        validator = DistributedValidator(gateway)

        def loaded() -> bool:
            until_commits(gateway)  # a gateway at rest asks less often, and a node at rest works little
            return validator.get_nodes()[0].load > 0

        wait_until(loaded, what="the member has a load")
        info = validator.get_nodes()[0]
        assert info.last_heartbeat is not None
        assert begun < info.last_heartbeat <= datetime.now(UTC)
        assert 0 < info.load <= 1
        assert 0 < validator.get_metrics().average_load <= 1
    assert node.end() == 0


def test_a_link_that_was_never_made_is_connecting_or_an_error(tmp_path: Path, started: Start) -> None:
    """Nobody listens at the member's address; then it is said to be where another cluster's member is."""
    absent, stranger = (Running(tmp_path / name) for name in ("absent", "stranger"))
    started(stranger)
    port = int(stranger.node.transport.endpoint.rpartition(":")[2])
    folder = absent.folder
    with Gateway.open(folder.genesis, folder.gateway_key, principal="gateway") as gateway:
        validator = DistributedValidator(gateway)
        transport = validator.get_transport()
        wait_until(lambda: transport.get_status("node0") is ConnectionStatus.CONNECTING, what="a dial")
        validator.register_node("node0", "127.0.0.1", port)
        wait_until(lambda: transport.get_status("node0") is ConnectionStatus.ERROR, what="a refusal")
    assert stranger.end() == 0
