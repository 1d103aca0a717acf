"""The stored proof of an epoch's end covers the operation that ended it, and nothing else (R16, R35)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus import InvariantBreach, epoch_change_proof, log_tree
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.consensus.executor import Executor, Step
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.verified import VerifiedBatch
from dtvn.protocol.genesis import Parameters
from tests.consensus.doubles import KeyValue
from tests.consensus.helpers import Cluster


class Tree(KeyValue):
    """KeyValue whose leaves are those of a certificate: (index, operation, code, timestamp, state)."""

    def execute(self, bundles, *, sequence, timestamp):  # type: ignore[no-untyped-def]
        found = super().execute(bundles, sequence=sequence, timestamp=timestamp)
        leaves = []
        for verified, result in zip(bundles, found.results, strict=True):
            for at, outcome in enumerate(result.outcomes):
                operation = verified.bundle.operations[at]
                leaf = (result.first_index + at, operation, outcome.code, timestamp, outcome.state)
                leaves.append(canonical.digest(b"\x00" + canonical.encode(leaf)))
        return msgspec.structs.replace(found, results_root=canonical.merkle_root(leaves))


class Ending:
    """An executor that runs batches of a given number of requests."""

    def __init__(self) -> None:
        self.cluster = Cluster(1)
        self.executor = Executor(0, Tree())
        self.number = 0

    def execute(self, requests: int) -> Step:
        bundles = []
        for _ in range(requests):
            self.number += 1
            frame = self.cluster.bundle(f"T-{self.number}", number=self.number)
            bundles.append(self.cluster[0].signer.open(frame).bundle)
        digest = m.batch_digest(0, self.number, tuple(bundle.digest for bundle in bundles))
        batch = m.Batch(0, self.number, tuple(bundle.frame for bundle in bundles))
        return self.executor.execute(VerifiedBatch(batch, digest, canonical.encode(batch), tuple(bundles)))

    def begun(self, step: Step, after: int) -> StateRecord:
        following = Membership(1, after, (), Parameters())
        return epoch_change_proof.begun(step, self.executor, following)


def test_r35_the_proof_holds_entry_leaf_and_the_log_below() -> None:
    ending = Ending()
    for _ in range(6):
        ending.execute(2)
    before = ending.executor.frontier
    step = ending.execute(1)
    record = ending.begun(step, 7)
    assert record.name == "handover/0"
    found = canonical.decode(epoch_change_proof.EpochChangeProof, record.value)
    assert (found.entry, found.checkpoint) == (step.entry, ())
    assert canonical.digest(b"\x00" + found.leaf) == step.entry.results_root
    grown = log_tree.append(log_tree.Frontier(6, found.peaks), m.entry_hash(found.entry))
    assert found.peaks == before.peaks
    assert log_tree.root(grown) == ending.executor.log_root()


@pytest.mark.parametrize("operations", [2, 3, 4, 5])
def test_r35_the_batch_that_ends_an_epoch_has_one_operation(operations: int) -> None:
    """Otherwise its leaf would not be the results' root, and the next members could not be proved."""
    ending = Ending()
    with pytest.raises(InvariantBreach, match="more than one operation"):
        ending.begun(ending.execute(operations), 1)


@pytest.mark.parametrize("after", [0, 2])
def test_r35_the_next_epoch_begins_right_behind_it(after: int) -> None:
    ending = Ending()
    with pytest.raises(InvariantBreach):
        ending.begun(ending.execute(1), after)


def test_r35_the_end_is_recorded_when_it_is_executed_not_later() -> None:
    """The log below it is known only then."""
    ending = Ending()
    step = ending.execute(1)
    ending.execute(1)
    with pytest.raises(InvariantBreach):
        ending.begun(step, 1)


def test_r35_an_executor_without_the_end_gives_no_proof() -> None:
    ending = Ending()
    step = ending.execute(1)
    ending.executor = Executor(0, Tree())
    with pytest.raises(InvariantBreach):
        ending.begun(step, 1)


def test_r35_each_epoch_has_its_own_end() -> None:
    ending = Ending()
    record = ending.begun(ending.execute(1), 1)
    other = StateRecord("voting", b"1")
    assert epoch_change_proof.find([other, record], 0) is record
    assert epoch_change_proof.find([other, record], 1) is None
    assert epoch_change_proof.read([other], 0) is None
    whole = epoch_change_proof.sealed(record, (b"one", b"two"))
    assert whole is not None
    first, sealed = epoch_change_proof.read([record], 0), epoch_change_proof.read([other, whole], 0)
    assert sealed == msgspec.structs.replace(first, checkpoint=(b"one", b"two"))
    assert epoch_change_proof.sealed(None, (b"one",)) is None, "it was executed elsewhere: others show it"
