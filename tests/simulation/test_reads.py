"""Reads while the primary withholds COMMITs (R18, P19: arXiv 2107.11144): they end, and the result
holds everything that was decided before they began."""

from __future__ import annotations

import pytest

from dtvn.machine import Barrier, Command, Dispute, Issue, Resolve, Validate, build, prove_ticket
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.genesis import Parameters
from simulator.clock import SECOND
from simulator.cluster import Cluster
from simulator.gateway import Request
from simulator.network import PERFECT
from simulator.world import Settings

pytestmark = pytest.mark.ci


class Stingy:
    """A cluster whose primary sends its COMMITs to f + 1 members only, or to none."""

    def __init__(self, told: int) -> None:
        settings = Settings(
            gateways=1, learners=0, quality=PERFECT, parameters=Parameters(checkpoint_interval=5)
        )
        self.cluster = Cluster(19, settings)
        self.world = self.cluster.world
        for name in self.world.member_names[1 + told :]:
            self.world.network.when(kind=m.Commit, sender="r0", receiver=name).drop()
        self.cluster.start()
        self.world.run_for(SECOND)

    def ask(self, command: Command, ticket: str = "") -> Request:
        """An operation, decided within three seconds (R34)."""
        gateway = self.cluster.gateways[0]
        until = gateway.clock.now().wall // 1_000 + 10_000_000
        operation = build(command, ticket=ticket, actor="gate", entry="r0", valid_until=until)
        request = gateway.ask([operation], wait=10 * SECOND)
        assert self.world.run_for(3 * SECOND, done=lambda: request.over), "the reader ends"
        return request

    def sequence(self, request: Request) -> int:
        assert request.results is not None
        assert request.results[0].code == "ok"
        return request.results[0].sequence


@pytest.mark.parametrize("told", [2, 0])
def test_p19_a_primary_that_withholds_commits_delays_no_reader(told: int) -> None:
    stingy = Stingy(told)
    stingy.ask(Issue(), "T-1")
    changes: list[Command] = [Validate(), *([Dispute(reason="x"), Resolve(verdict="clear")] * 5)]
    for change in changes:
        written = stingy.sequence(stingy.ask(change, "T-1"))
        assert stingy.sequence(stingy.ask(Barrier())) > written, "ordered after what it must see"
    assert stingy.world.run_for(20 * SECOND, done=stingy.cluster.settled)
    stingy.cluster.finish()


def test_p19_a_proof_of_a_lagging_replica_shows_its_older_checkpoint() -> None:
    """r3 is cut off for a while: its proof is of an older checkpoint, and the newer ones win."""
    stingy = Stingy(2)
    stingy.ask(Issue(), "T-1")
    for _ in range(5):
        stingy.ask(Barrier())
    for name in ("r0", "r1", "r2"):
        stingy.world.network.cut(name, "r3")
    stingy.ask(Validate(), "T-1")
    for _ in range(10):
        stingy.ask(Barrier())
    shown: dict[str, tuple[int, str]] = {}
    for name, node in stingy.world.nodes.items():
        certificate = node.core.state.checkpoint.certificate
        proof = node.core.state.application.prove("default", "T-1")
        assert certificate is not None
        assert proof is not None
        assert proof.sequence == certificate.sequence
        found = prove_ticket(stingy.world.cluster, certificate.state_root, proof, "default", "T-1")
        shown[name] = (proof.sequence, "" if found is None else found[0].hex())
    assert shown["r3"][0] < min(shown[name][0] for name in ("r0", "r1", "r2"))
    newest = max(shown.values())
    assert newest[1] != shown["r3"][1]
    assert [name for name in shown if shown[name] == newest] == ["r0", "r1", "r2"]
