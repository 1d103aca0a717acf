"""A validator for programs beside four real nodes of which some are killed, and some are stopped (A53, A55,
A59)."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from dtvn.events.config import PartitionHandlerConfig
from dtvn.gateway import DistributedValidator, Gateway, NodeState, PartitionInfo
from tests.integration.node_cluster import Cluster, running_cluster
from tests.waiting import allowed, wait_until

pytestmark = pytest.mark.integration

RUN = (
    b'{"type":"RUN_STARTED","threadId":"t","runId":"r"}',
    b'{"type":"RUN_FINISHED","threadId":"t","runId":"r"}',
)
SILENCE = 5.0
"""Seconds of `heartbeat_timeout`; with a look every third of it, a cut is seen within four thirds."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Gateway]]:
    with running_cluster(tmp_path_factory.mktemp("partitions") / "data", 4) as made:
        yield made


def run(number: int) -> list[bytes]:
    return [text.replace(b'"r"', b'"r%d"' % number) for text in RUN]


def test_killed_members_are_a_partition_until_they_are_back_a53_a59(running: tuple[Cluster, Gateway]) -> None:
    cluster, gateway = running
    told: list[tuple[str, PartitionInfo]] = []
    with DistributedValidator(gateway) as validator:
        validator.set_partition_callbacks(
            lambda info: told.append(("detected", info)), lambda info: told.append(("recovered", info))
        )
        assert validator.validate_sequence(run(1)).certified
        assert not validator.is_partitioned()
        cluster.kill(2, 3)
        wait_until(lambda: len(validator.get_active_nodes()) == 2, what="the loss of both")
        found = wait_until(validator.get_current_partition, what="the partition")
        assert (found.type, found.unreachable_nodes) == ("split", ("node2", "node3"))
        assert {validator.get_all_nodes()[name].state for name in found.unreachable_nodes} == {
            NodeState.PARTITIONED
        }
        alone = validator.validate_sequence(run(2))
        assert [each.code for each in alone.warnings] == ["LOCAL_ONLY"]
        cluster.start(2, 3)
        wait_until(lambda: [each for each, _ in told] == ["detected", "recovered"], what="the recovery")
        assert (told[1][1].id, told[1][1].is_active) == (found.id, False)
        assert validator.get_owed() == [], "a merge is over when the members have judged what is owed"
        assert not validator.is_partitioned()
        assert validator.validate_sequence(run(3)).certified
        metrics = validator.get_partition_handler().get_metrics()
        assert (metrics.partition_count, metrics.recovery_count, metrics.failed_recoveries) == (1, 1, 0)


def test_stopped_members_are_silent_and_missed_a55(running: tuple[Cluster, Gateway]) -> None:
    """Their sockets stay open: nobody says that they are gone."""
    cluster, gateway = running
    config = PartitionHandlerConfig(heartbeat_timeout=SILENCE)
    with DistributedValidator(gateway, partitions=config) as validator:
        assert validator.validate_sequence(run(4)).certified
        wait_until(lambda: len(validator.get_active_nodes()) == 4, what="all members")
        stopped_at = time.monotonic()
        try:
            for index in (1, 2):
                cluster.processes[index].send_signal(signal.SIGSTOP)
            found = wait_until(validator.get_current_partition, what="the partition")
            took = time.monotonic() - stopped_at
            wait_until(lambda: len(validator.get_active_nodes()) == 2, what="the loss of both")
        finally:
            for index in (1, 2):
                cluster.processes[index].send_signal(signal.SIGCONT)
        assert took < allowed(SILENCE * 4 / 3 + 1), found
        wait_until(lambda: not validator.is_partitioned(), what="the recovery")
        assert validator.validate_sequence(run(5)).certified


def test_some_quiet_seconds_raise_no_alarm(running: tuple[Cluster, Gateway]) -> None:
    _cluster, gateway = running
    with DistributedValidator(gateway) as validator:
        node = gateway.present.members[0]
        validator.register_node(node.id, node.host, node.port)  # dials all members anew
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun > 20, what="some seconds")
        assert validator.get_partition_history() == []
        assert validator.get_health().healthy
