"""Data that leaves the cluster: certificates and reads. R17, R18, R27; P10 and P19."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from simulator.mutants.registry import Plant, mutant, replaces
from simulator.seams import (
    Chain,
    CheckpointCertificate,
    Code,
    Collector,
    Freezer,
    Host,
    ProofError,
    SharedBarriers,
    barriers,
    proof_certificate,
    quorum,
    reads,
    statements,
    verifier,
)


@replaces(verifier, "_signers", "certificate-below-quorum", "R27", world="calm")
def certificate_of_a_few(right: Any, signatures: Any, *rest: Any) -> Any:
    """A certificate that f + 1 signed is believed."""

    def enough(members: int, mode: Any) -> int:
        return max(quorum.weak_quorum(members, mode), min(quorum.quorum(members, mode), len(signatures)))

    verifier.quorum = SimpleNamespace(quorum=enough)
    try:
        return right(signatures, *rest)
    finally:
        verifier.quorum = quorum


@replaces(proof_certificate, "subtree_paths", "path-of-another-leaf", "R27", world="calm")
def path_of_neighbour(right: Any, leaves: Any) -> Any:
    """A certificate is given the path of another leaf of its batch."""
    return right(leaves)[::-1]


@replaces(Chain, "members", "epochs-have-no-end", "R27 R35 P10", world="epochs")
def no_end(_right: Any, self: Chain, epoch: int, sequence: int) -> Any:
    """Members of an epoch that is over are believed about later entries."""
    if epoch >= len(self.epochs):
        raise ProofError(Code.UNKNOWN_EPOCH, f"epoch {epoch}", f"epoch {epoch} is not in this chain")
    return self.epochs[epoch].members


@replaces(Freezer, "prove", "proves-current-state", "R18", world="calm")
def proves_the_present(right: Any, self: Freezer, event: str, ticket: str) -> Any:
    """A node shows a ticket as it is now, not as it was at the checkpoint that q members signed."""
    registry = self._registry
    before, registry._before = registry._before, None
    try:
        return right(self, event, ticket)
    finally:
        registry._before = before


@replaces(statements, "read_end", "read-below-quorum", "R18 P19", world="calm")
def read_of_a_few(right: Any, frames: Any, nested: Any, config: Any) -> Any:
    """A state that f + 1 members signed is believed."""
    found = right(frames, nested, config)
    if found is not None or len(frames) <= config.f:
        return found
    said = nested[frames[0]].message
    content = said.sequence, said.state_root, said.log_root, said.timestamp
    return CheckpointCertificate(*content, frames=tuple(frames))


@replaces(Collector, "_settle", "acknowledged-position-forgotten", "R17", world="calm")
def forgets_told(right: Any, self: Collector, *rest: Any) -> None:
    """A gateway does not remember up to where it has acknowledged, so no client waits for its own writes."""
    before = self.acknowledged
    right(self, *rest)
    self.acknowledged = before


@replaces(Host, "flush_rows", "rows-lag-behind-answers", "R17", world="node-reads")
def rows_lag(*_arguments: Any) -> None:
    """A node's own API reads rows that lag behind its log."""


@replaces(reads, "prove_ticket", "absence-needs-no-proof", "R18", world="calm")
def absence_unproved(right: Any, cluster: Any, root: Any, proof: Any, *name: Any) -> Any:
    """A proof without the ticket is believed to prove that the ticket does not exist."""
    return right(cluster, root, proof, *name) if proof.items else None


@mutant("joins-a-barrier-under-way", "R18", world="barrier-reads", seed=4)
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


@replaces(barriers, "passed_checkpoint", "orders-no-barrier", "R18", world="barrier-reads")
def orders_no_barrier(*_arguments: Any) -> Any:
    """A quorum read after a restart of all members waits for a checkpoint, but orders no barrier that leads
    to one."""
    return True
