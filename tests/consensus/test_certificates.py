"""What q signatures prove, read strictly: one that differs in anything spoils it (R24; rows 2 and 4)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.consensus.helpers import Cluster, Keys, config_for
from validators.consensus import messages as m
from validators.consensus.certificate import (
    CheckpointCertificate,
    read_checkpoint,
    read_commits,
    read_prepared,
)
from validators.consensus.verified import Verified

CHECKPOINT = m.Checkpoint(0, 0, 10, b"s" * 32, b"l" * 32, 7)
COMMIT = m.Commit(0, 0, 2, 11, b"d" * 32)


def votes(base: Any, others: dict[int, Any], senders: tuple[int, ...] = (0, 1, 2)) -> list[Any]:
    """The same statement of each sender, but those that `others` say at a position."""
    return [others.get(place, replace(base, sender=sender)) for place, sender in enumerate(senders)]


def read(how: Any, said: list[Any]) -> Any:
    """As it is read out of a message: frames whose signatures were checked."""
    cluster = Cluster(4)
    frames = [cluster.sign(message) for message in said]
    nested: dict[bytes, Verified[Any]] = {frame: cluster.verified(frame, 1) for frame in frames}
    return how(frames, nested, config_for(0, 4))


def test_r24_q_equal_checkpoints_are_one() -> None:
    found = read(read_checkpoint, votes(CHECKPOINT, {}))
    assert isinstance(found, CheckpointCertificate)
    content = (found.sequence, found.state_root, found.log_root, found.timestamp)
    assert content == (10, b"s" * 32, b"l" * 32, 7)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "other",
    [{"sequence": 20}, {"state_root": b"x" * 32}, {"log_root": b"x" * 32}, {"timestamp": 8}],
    ids=lambda other: next(iter(other)),
)
def test_row_4_a_liars_checkpoint_among_honest_ones_lends_its_content_to_nobody(
    other: dict[str, Any], place: int
) -> None:
    """Put first, it would name the log that a member far behind installs."""
    lie = replace(CHECKPOINT, sender=place, **other)
    assert read(read_checkpoint, votes(CHECKPOINT, {place: lie})) is None


@pytest.mark.parametrize("senders", [(0, 1), (0, 1, 1), (0, 1, 2, 3), ()])
def test_row_4_exactly_q_distinct_members(senders: tuple[int, ...]) -> None:
    assert read(read_checkpoint, votes(CHECKPOINT, {}, senders)) is None


def test_row_4_nobody_signs_the_beginning() -> None:
    """Sequence 0 has no checkpoint: it would be one that covers nothing and passes for a low mark."""
    assert read(read_checkpoint, votes(replace(CHECKPOINT, sequence=0), {})) is None


def test_row_10_checkpoints_of_another_epoch_prove_nothing_in_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Keys, "member_key", lambda keys, _epoch, index: keys.pairs[index][0])
    assert read(read_checkpoint, votes(replace(CHECKPOINT, epoch=1), {})) is None
    assert read(read_checkpoint, votes(CHECKPOINT, {2: replace(CHECKPOINT, epoch=1, sender=2)})) is None
    assert read(read_commits, votes(replace(COMMIT, epoch=1), {})) is None


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("other", [{"view": 3}, {"sequence": 12}, {"digest": b"x" * 32}])
def test_row_2_commits_decide_one_digest_of_one_view_at_one_sequence(
    other: dict[str, Any], place: int
) -> None:
    assert read(read_commits, votes(COMMIT, {})).digest == b"d" * 32
    assert read(read_commits, votes(COMMIT, {place: replace(COMMIT, sender=place, **other)})) is None


def test_row_2_votes_of_another_kind_do_not_fill_up() -> None:
    prepare = m.Prepare(0, 2, COMMIT.view, COMMIT.sequence, COMMIT.digest)
    assert read(read_commits, votes(COMMIT, {2: prepare})) is None


def test_row_10_a_proposal_of_another_epoch_is_prepared_by_nobody_in_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its primary led the same view there; the PREPAREs are of this epoch."""
    monkeypatch.setattr(Keys, "member_key", lambda keys, _epoch, index: keys.pairs[index][0])
    cluster = Cluster(4)
    prepares = tuple(cluster.sign(m.Prepare(0, sender, 0, 11, b"d" * 32)) for sender in (1, 2))
    for epoch, holds in ((0, True), (1, False)):
        proposal = cluster.sign(m.PrePrepare(epoch, 0, 0, 11, b"d" * 32))
        nested = {frame: cluster.verified(frame, 1) for frame in (proposal, *prepares)}
        found = read_prepared(m.PreparedProof(proposal, prepares), nested, config_for(0, 4))
        assert (found is not None) is holds, epoch
