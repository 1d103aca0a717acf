"""A fetched range of the log proves itself: each entry by its own body and COMMITs, or all by one certificate
(R23, R28; P17)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST
from dtvn.protocol.consensus.transfer.entries import Range, read_range
from tests.consensus.helpers import Cluster, Node
from tests.support.table import table


def busy(cluster: Cluster, count: int) -> None:
    """This many entries, one after another."""
    for number in range(count):
        cluster.request(f"T-{cluster.executed()[0]}-{number}")
        cluster.stabilize()


class Source:
    """Answers of a member to a replica without any entry, for the tests to corrupt."""

    def __init__(self, *, forgotten: bool) -> None:
        self.cluster = Cluster(4)
        self.cluster[3].crash()
        busy(self.cluster, 10)
        if forgotten:
            self.cluster[0].journal.forget_commits()
        self.cluster.waiting.clear()
        self.node: Node = self.cluster[3]
        self.node.restart()
        entries = self.cluster[0].journal.range(1, 10)
        assert entries is not None
        self.entries = entries

    def read(self, entries: m.Entries) -> Range:
        verified = self.cluster.verified(self.cluster[0].signer.link(entries), 0)
        core = self.node.core
        return read_range(verified, core.state.executor, core.config)

    def spoil(self, at: int, **changes: object) -> m.Entries:
        """The range with one entry changed."""
        rows = list(self.entries.entries)
        entry, body, commits = rows[at]
        rows[at] = (msgspec.structs.replace(entry, **changes), body, commits)
        return m.Entries(tuple(rows), self.entries.checkpoint)


@pytest.mark.parametrize("forgotten", [False, True])
def test_r23_a_correct_range_is_taken_whole(forgotten: bool) -> None:
    source = Source(forgotten=forgotten)
    found = source.read(source.entries)
    assert found.honest
    assert len(found.proved) == 10
    assert (found.checkpoint is not None) is forgotten


@table(
    "changes",
    [
        {"results_root": b"x" * 32},
        {"timestamp": 5},
        {"previous": b"x" * 32},
        {"batch_digest": b"x" * 32},
        {"sequence": 77},
        {"epoch": 3},
    ],
    count=6,
)
@table("at", [0, 4, 9], count=3)
def test_r23_a_certified_range_with_any_field_changed_is_refused(changes: dict[str, object], at: int) -> None:
    """Nothing of it is executed: the log root is compared first."""
    source = Source(forgotten=True)
    found = source.read(source.spoil(at, **changes))
    assert not found.proved


def test_r23_a_range_without_proof_is_refused() -> None:
    source = Source(forgotten=True)
    bare = m.Entries(source.entries.entries, ())
    assert not source.read(bare).honest
    shorter = m.Entries(source.entries.entries[:9], source.entries.checkpoint)
    assert not source.read(shorter).honest
    two = m.Entries(source.entries.entries, source.entries.checkpoint[:2])
    assert not source.read(two).honest


def test_r23_commits_of_two_views_or_too_few_prove_nothing() -> None:
    source = Source(forgotten=False)
    entry, body, commits = source.entries.entries[0]
    few = m.Entries(((entry, body, commits[:2]),), ())
    assert not source.read(few).honest
    digest = entry.batch_digest
    mixed = tuple(
        source.cluster.sign(m.Commit(0, i, view, 1, digest)) for i, view in ((0, 0), (1, 0), (2, 1))
    )
    assert not source.read(m.Entries(((entry, body, mixed),), ())).honest
    twice = (commits[0], commits[0], commits[1])
    assert not source.read(m.Entries(((entry, body, twice),), ())).honest


def proves(source: Source, entry: m.Entry, body: bytes, commits: tuple[bytes, ...]) -> bool:
    """Whether these COMMITs make a reader take this entry."""
    found = source.read(m.Entries(((entry, body, commits),), ()))
    assert found.honest == bool(found.proved)
    return bool(found.proved)


def test_r23_commits_prove_the_batch_that_they_name_and_no_other() -> None:
    """A lying source shows an invented entry under the true COMMITs of its sequence."""
    source = Source(forgotten=False)
    (entry, body, commits), (later, another, others) = source.entries.entries[:2]
    empty = msgspec.structs.replace(entry, batch_digest=NULL_BATCH_DIGEST)
    moved = msgspec.structs.replace(entry, batch_digest=later.batch_digest)
    assert proves(source, entry, body, commits)
    assert not proves(source, empty, b"", commits), "no batch"
    assert not proves(source, moved, another, commits), "the batch of another sequence"
    assert not proves(source, entry, another, commits), "a body that is not the entry's"
    assert not proves(source, moved, body, commits), "an entry that is not its body's"
    assert not proves(source, entry, b"", commits), "no body"
    assert not proves(source, entry, body, others), "its body under COMMITs of the next"


def test_r23_commits_prove_a_batch_at_their_own_sequence_only() -> None:
    """All empty batches have one digest, so that COMMITs of one sequence would prove it at any other."""
    source = Source(forgotten=False)
    empty = msgspec.structs.replace(source.entries.entries[0][0], batch_digest=NULL_BATCH_DIGEST)

    def commits(sequence: int) -> tuple[bytes, ...]:
        votes = [m.Commit(0, sender, 0, sequence, NULL_BATCH_DIGEST) for sender in range(3)]
        return tuple(map(source.cluster.sign, votes))

    assert proves(source, empty, b"", commits(1))
    assert not proves(source, empty, b"", commits(2))
    assert not proves(source, empty, b"", commits(0))


def test_r23_a_range_needs_commits_for_each_of_its_entries() -> None:
    """And a certificate that covers all of it makes none of these needed."""
    source = Source(forgotten=False)
    first, (entry, body, _commits) = source.entries.entries[:2]
    found = source.read(m.Entries((first, (entry, body, ())), ()))
    assert not found.honest
    assert not found.proved


def test_r23_commits_and_a_certificate_must_both_be_true() -> None:
    """A range up to a certificate may hold COMMITs too; false ones are a lie nevertheless."""
    forgotten, kept = Source(forgotten=True).entries, Source(forgotten=False)
    commits = [row[2] for row in kept.entries.entries]
    rows = [(entry, body, commits[at]) for at, (entry, body, _none) in enumerate(forgotten.entries)]
    assert kept.read(m.Entries(tuple(rows), forgotten.checkpoint)).honest
    rows[4] = (*rows[4][:2], commits[5])
    found = kept.read(m.Entries(tuple(rows), forgotten.checkpoint))
    assert not found.honest
    assert not found.proved


def test_r23_a_range_begins_at_the_end_of_the_log_and_has_no_gap() -> None:
    source = Source(forgotten=False)
    entries = source.entries.entries
    gap = source.read(m.Entries((entries[0], entries[2]), ()))
    assert not gap.honest
    late = source.read(m.Entries(entries[1:], ()))
    assert (late.honest, late.proved) == (True, ()), "what came before may be lost: no lie"
    epoch = source.read(source.spoil(0, epoch=1))
    assert (epoch.honest, epoch.proved) == (True, ()), "of a later epoch: no lie, and nothing proved"
    assert not source.read(source.spoil(1, epoch=1)).honest
    assert not source.read(m.Entries((entries[0], entries[0]), ())).honest, "the same entry twice"
    disorder = source.read(m.Entries((entries[1], entries[0]), ()))
    assert (disorder.honest, disorder.proved) == (True, ()), "the first one decides"
    for checkpoint in ((), Source(forgotten=True).entries.checkpoint):
        alone = source.read(m.Entries((), checkpoint))
        assert (alone.honest, alone.proved, alone.checkpoint) == (True, (), None), "no entries"
    source.node.core.state.executor.executed = 3
    follows = source.read(source.entries)
    assert [one.entry.sequence for one in follows.proved] == list(range(4, 11)), "the first were executed"


def test_r23_an_entry_of_an_earlier_epoch_is_a_lie() -> None:
    """This replica begins its epoch at the end of its log: what follows there is of no epoch before."""
    source = Source(forgotten=False)
    core = source.node.core
    verified = source.cluster.verified(source.cluster[0].signer.link(source.entries), 0)
    later = msgspec.structs.replace(core.config, epoch=1)
    found = read_range(verified, core.state.executor, later)
    assert (found.honest, found.proved) == (False, ())
