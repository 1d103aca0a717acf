"""Two members, one of whom lost its disk: nothing is decided any more, and all of them recover the cluster
(R11). Real processes; the steps are those of the runbook."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from dtvn.files.epoch_changes import read_epoch_changes
from dtvn.gateway import Gateway
from dtvn.machine import Admit, Issue
from dtvn.node.keys import VotedStamp
from tests.integration.node_cluster import Cluster, operation, running_cluster, submit
from tests.integration.test_node_learner import learner, state_of
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SEVEN = [f"T-{number}" for number in range(7)]


class Operators:
    """What they type, and the files that they hand to each other."""

    def __init__(self, cluster: Cluster, root: Path) -> None:
        self.cluster = cluster
        self.root = root

    def run(self, step: str, *words: str, node: str = "", out: str = "") -> str:
        said = StringIO()
        flags = (["--id", node] if node else []) + (["--out", self.file(out)] if out else [])
        data = ["--data-dir", str(self.cluster.data)]
        call_command("genesis", "recover", step, *words, *flags, *data, stdout=said)
        return said.getvalue()

    def file(self, name: str) -> str:
        return str(self.root / name)

    def recover(self) -> None:
        self.run("state", "--vouch", node="node0", out="node0.state")
        self.run("state", node="node1", out="node1.state")
        self.run("plan", self.file("node0.state"), self.file("node1.state"), out="cup.plan")
        self.run("sign", self.file("cup.plan"), node="node0", out="node0.signed")
        self.run("sign", self.file("cup.plan"), self.file("node0.signed"), node="node1", out="node1.signed")
        signed = [self.file("node0.signed"), self.file("node1.signed")]
        self.run("seal", self.file("cup.plan"), *signed, out="cup.sealed")
        for node in ("node0", "node1"):
            assert "continues in epoch 1" in self.run("install", self.file("cup.sealed"), node=node)


@pytest.mark.exhaustive
def test_a_cluster_of_two_is_recovered_after_one_lost_its_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> None:
    with running_cluster(tmp_path / "data", 2) as (cluster, gateway), django_db_blocker.unblock():
        for name, value in cluster.settings.items():
            monkeypatch.setenv(name, value)
        operators = Operators(cluster, tmp_path)
        submit(gateway, [operation(Issue(), ticket) for ticket in SEVEN])
        for ticket in SEVEN:
            assert submit(gateway, [operation(Admit(), ticket)])[0].code == "ok"
        with learner(cluster):  # the platform's copy, which stood at the end of the log
            wait_until(lambda: state_of(cluster, "T-6") == "CONSUMED", what="the learner follows")
        with pytest.raises(CommandError, match="in use by another process"):
            operators.run("state", node="node0", out="node0.state")
        assert cluster.stop() == [0, 0]
        cluster.lose_ledger(1)
        assert VotedStamp(cluster.node(1).identity).present
        operators.recover()
        cluster.start()
        epoch_changes = read_epoch_changes(cluster.folder.epoch_changes)
        later = Gateway.open(
            cluster.folder.genesis,
            cluster.folder.gateway_key,
            principal="gateway",
            epoch_changes=epoch_changes,
        )
        try:
            with learner(cluster):
                _goes_on(cluster, later)
                wait_until(lambda: state_of(cluster, "NEW") == "CONSUMED", what="the learner goes on")
        finally:
            later.close()


def _goes_on(cluster: Cluster, gateway: Gateway) -> None:
    """Both vote in epoch 1; what was admitted is refused; what is new is admitted."""
    cluster.ready(gateway)
    for ticket in SEVEN:
        assert submit(gateway, [operation(Admit(), ticket)])[0].code == "already_consumed"
    assert submit(gateway, [operation(Issue(), "NEW")])[0].code == "ok"
    assert submit(gateway, [operation(Admit(), "NEW")])[0].code == "ok"
    for index in (0, 1):
        status = cluster.status_of(gateway, index)
        assert (status["epoch"], status["voting"]) == (1, True)
    wait_until(
        lambda: cluster.ticket(gateway, 1, "NEW").get("ticket", {}).get("State") == "CONSUMED",
        what=lambda: f"node1 has the whole state\n{cluster.outputs()}",
    )
    assert cluster.ticket(gateway, 1, "T-6")["ticket"]["State"] == "CONSUMED"
