"""kill -9 at random moments, one node or all at once: what was acknowledged stands (R6, R7, R9)."""

from __future__ import annotations

import os
import random
import shutil
import threading
from pathlib import Path

import pytest

from dtvn.gateway import Gateway
from dtvn.machine import Admit, Issue
from dtvn.protocol.quorum import Mode
from tests.integration.node_cluster import Cluster, operation, running_cluster, submit
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

TICKETS = 240
ROUNDS = 3


class Gate(threading.Thread):
    """Admits ticket after ticket; an unknown outcome is asked again with the same nonce (R13)."""

    def __init__(self, gateway: Gateway, tickets: list[str]) -> None:
        super().__init__(daemon=True)
        self._gateway = gateway
        self._tickets = tickets
        self.admitted: dict[str, int] = {}
        self.surprises: list[str] = []

    def run(self) -> None:
        for ticket in self._tickets:
            while True:
                [result] = submit(
                    self._gateway, [operation(Admit(), ticket, nonce=ticket.encode())], wait=3.0
                )
                if result.code == "ok":
                    self.admitted[ticket] = result.sequence
                    break
                if result.code not in ("outcome_unknown", "unavailable", "busy", "expired"):
                    self.surprises.append(f"{ticket}: {result.code}")
                    break


@pytest.mark.backend
@pytest.mark.parametrize("all_at_once", [pytest.param(False, marks=pytest.mark.exhaustive), True])
@pytest.mark.parametrize("consensus", list(Mode))
def test_r6_acknowledged_admissions_survive_kill_9_at_random_moments(
    tmp_path: Path, all_at_once: bool, consensus: Mode
) -> None:
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    print(f"SEED={seed}")  # noqa: T201 - a failure is replayed with it
    dice = random.Random(seed)
    tickets = [f"T-{number}" for number in range(TICKETS)]
    with running_cluster(tmp_path, 4, consensus=consensus) as (cluster, gateway):
        issued = submit(gateway, [operation(Issue(), ticket) for ticket in tickets])
        assert {result.code for result in issued} == {"ok"}
        gates = [Gate(cluster.gateway(), tickets[part::4]) for part in range(4)]
        for gate in gates:
            gate.start()
        for _ in range(ROUNDS):
            crash(cluster, dice, gates, all_at_once=all_at_once)
            if not any(gate.is_alive() for gate in gates):
                break
        wait_until(
            lambda: not any(gate.is_alive() for gate in gates),
            timeout=3 * PATIENCE,
            what=lambda: f"all gates finish\n{cluster.outputs()}",
        )
        cluster.settled()
        check(cluster, gateway, gates)


def crash(cluster: Cluster, dice: random.Random, gates: list[Gate], *, all_at_once: bool) -> None:
    """After some more admissions, kill one node or all, and start them again."""
    goal = sum(len(gate.admitted) for gate in gates) + dice.randrange(5, 40)
    wait_until(
        lambda: sum(len(gate.admitted) for gate in gates) >= goal or not any(g.is_alive() for g in gates),
        what=lambda: f"{goal} admissions\n{cluster.outputs()}",
        pause=dice.random() * 0.01,
    )
    victims = list(range(4)) if all_at_once else [dice.randrange(4)]
    cluster.kill(*victims)
    cluster.start(*victims)


def check(cluster: Cluster, gateway: Gateway, gates: list[Gate]) -> None:
    """Every acknowledged admission stands on every node, in the sequence that was acknowledged."""
    assert [surprise for gate in gates for surprise in gate.surprises] == []
    admitted = {ticket: sequence for gate in gates for ticket, sequence in gate.admitted.items()}
    assert len(admitted) == TICKETS, cluster.outputs()
    for ticket in admitted:
        states = [cluster.ticket(gateway, index, ticket)["ticket"] for index in range(4)]
        assert states == [states[0]] * 4
        assert states[0]["State"] == "CONSUMED"
    for index in range(4):
        assert "evidence" not in cluster.output(index), cluster.output(index)
        assert "turn_lost" not in cluster.output(index), cluster.output(index)


@pytest.mark.exhaustive
@pytest.mark.skipif(
    "DATABASE_URL" in os.environ, reason="a ledger in PostgreSQL is no folder that is mistaken"
)
def test_r11_a_foreign_ledger_is_refused_and_the_node_follows_without_it(
    tmp_path: Path,
) -> None:
    """It voted as that member had and fell over its own invariants, life after life."""
    with running_cluster(tmp_path, 4) as (cluster, gateway):
        if "DATABASE_URL" in cluster.settings:
            pytest.skip("a ledger in PostgreSQL is no folder that is mistaken for another")
        cluster.settled()  # all four run: who begins later has the log of what was before, and no vote in it
        tickets = [f"T-{number}" for number in range(5)]
        for ticket in tickets:
            assert submit(gateway, [operation(Issue(), ticket)])[0].code == "ok"
        cluster.settled()
        assert cluster.stop(1, 2) == [0, 0]
        own, others = cluster.node(2).ledger, cluster.node(1).ledger
        own.rename(tmp_path / "own")
        shutil.copytree(others, own)
        cluster.start(1, 2)
        assert cluster.processes.pop(2).wait(PATIENCE) == 1
        said = cluster.output(2)
        assert "The ledger is another node's: it holds votes of member 1, and this is member 2." in said
        assert "Traceback" not in said
        shutil.rmtree(own)
        cluster.start(2)
        wait_until(lambda: cluster.status(gateway, 2), what=lambda: cluster.outputs())
        assert not cluster.status_of(gateway, 2)["voting"]
        cluster.settled()
        assert cluster.ticket(gateway, 2, "T-4")["ticket"]["State"] == "ISSUED"
