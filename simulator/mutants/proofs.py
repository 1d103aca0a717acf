"""Data that leaves the cluster: certificates and reads. R17, R18, R27; rows 10 and 19."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

from dtvn.gateway import Collector
from dtvn.machine import snapshot
from dtvn.machine.snapshot import Freezer
from dtvn.proof import ProofError, barriers, reads
from dtvn.proof.barriers import SharedBarriers
from dtvn.proof.verify import Chain
from dtvn.protocol import quorum
from dtvn.protocol.consensus.certificate import CheckpointCertificate
from dtvn.protocol.host import Host
from simulator.mutants.registry import Plant, mutant

verifier: Any = import_module("dtvn.proof.verify")
"""The module, since the package has a function of that name."""
certificate: Any = import_module("dtvn.proof.certificate")
statements: Any = import_module("dtvn.proof.statements")


@mutant("certificate-of-a-few", "R27", world="calm")
def certificate_of_a_few(plant: Plant) -> None:
    """A certificate that f + 1 signed is believed."""
    right = verifier._signers

    def mutant(signatures: Any, *rest: Any) -> Any:
        def enough(members: int) -> int:
            return max(quorum.weak_quorum(members), min(quorum.quorum(members), len(signatures)))

        verifier.quorum = SimpleNamespace(quorum=enough)
        try:
            return right(signatures, *rest)
        finally:
            verifier.quorum = quorum

    plant.put(verifier, "_signers", mutant)


@mutant("path-of-the-neighbour", "R27", world="calm")
def path_of_neighbour(plant: Plant) -> None:
    """A certificate is given the path of another leaf of its batch."""
    right = certificate.subtree_paths
    plant.put(certificate, "subtree_paths", lambda leaves: right(leaves)[::-1])


@mutant("epochs-have-no-end", "R27 R35 P10", world="epochs")
def no_end(plant: Plant) -> None:
    """Members of an epoch that is over are believed about later entries."""

    def mutant(self: Chain, epoch: int, sequence: int) -> Any:
        if epoch >= len(self.epochs):
            raise ProofError(f"epoch {epoch} is not in this chain")
        return self.epochs[epoch].members

    plant.put(Chain, "members", mutant)


@mutant("proves-the-present", "R18", world="calm")
def proves_the_present(plant: Plant) -> None:
    """A node shows a ticket as it is now, not as it was at the checkpoint that q members signed."""
    right = Freezer.prove

    def mutant(self: Freezer, event: str, ticket: str) -> Any:
        registry = self._registry
        before, registry._before = registry._before, None
        try:
            return right(self, event, ticket)
        finally:
            registry._before = before

    plant.put(Freezer, "prove", mutant)


@mutant("read-of-a-few", "R18 P19", world="calm")
def read_of_a_few(plant: Plant) -> None:
    """A state that f + 1 members signed is believed."""
    right = statements.read_end

    def mutant(frames: Any, nested: Any, config: Any) -> Any:
        found = right(frames, nested, config)
        if found is not None or len(frames) <= config.f:
            return found
        said = nested[frames[0]].message
        content = said.sequence, said.state_root, said.log_root, said.timestamp
        return CheckpointCertificate(*content, frames=tuple(frames))

    plant.put(statements, "read_end", mutant)


@mutant("forgets-what-it-told", "R17", world="calm")
def forgets_told(plant: Plant) -> None:
    """A gateway does not remember up to where it has acknowledged, so no client waits for its own writes."""
    right = Collector._settle

    def mutant(self: Collector, *rest: Any) -> None:
        before = self.acknowledged
        right(self, *rest)
        self.acknowledged = before

    plant.put(Collector, "_settle", mutant)


@mutant("rows-lag-behind-answers", "R17", world="readers")
def rows_lag(plant: Plant) -> None:
    """A node's own API reads rows that lag behind its log."""
    plant.put(Host, "flush_rows", lambda self: None)


@mutant("absence-needs-no-proof", "R18", world="calm")
def absence_unproved(plant: Plant) -> None:
    """A proof without the ticket is believed to prove that the ticket does not exist."""
    right = snapshot.prove_ticket

    def mutant(cluster: Any, root: Any, proof: Any, *name: Any) -> Any:
        return right(cluster, root, proof, *name) if proof.items else None

    plant.put(reads, "prove_ticket", mutant)


@mutant("joins-a-barrier-under-way", "R18", world="barriers", seed=4)
def joins_under_way(plant: Plant) -> None:
    """A reader shares the barrier under way, which does not cover decisions since it was sent."""
    join, begin = SharedBarriers.join, SharedBarriers.begin

    def joining(self: Any, make: Any) -> Any:
        return self.sent if self._running else join(self, make)

    def beginning(self: Any) -> Any:
        found = begin(self)
        if found is not None:
            self.sent = found
        return found

    plant.put(SharedBarriers, "join", joining)
    plant.put(SharedBarriers, "begin", beginning)


@mutant("orders-no-barrier", "R18", world="barriers")
def orders_no_barrier(plant: Plant) -> None:
    """A quorum read after a restart of all members waits for a checkpoint, but orders no barrier that leads
    to one."""
    plant.put(barriers, "passed_checkpoint", lambda known, reached, interval: True)
