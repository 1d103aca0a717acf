"""Certificates of q signatures: one differing statement invalidates all (R24; rows 2 and 4)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.certificate import (
    CheckpointCertificate,
    ends_log,
    read_checkpoint,
    read_commits,
    read_continuation,
    read_end,
    read_prepared,
    why_refused,
)
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.verified import Verified
from tests.consensus.helpers import Cluster, config_for
from tests.support.table import table

CONFIG = replace(config_for(0, 4), epoch=1, base=5)
"""The epochs before and behind it are other ones, and so are sequences up to its base."""
CHECKPOINT = m.Checkpoint(1, 0, 10, b"s" * 32, b"l" * 32, 7)
COMMIT = m.Commit(1, 0, 2, 11, b"d" * 32)
OTHER_EPOCHS = pytest.mark.parametrize("other", [0, 2])


def votes(base: Any, others: dict[int, Any], senders: tuple[int, ...] = (0, 1, 2)) -> list[Any]:
    """One equal statement of each sender; `others` replaces those at given positions."""
    return [others.get(place, replace(base, sender=sender)) for place, sender in enumerate(senders)]


def nested_of(*said: Any) -> dict[bytes, Verified[Any]]:
    """Statements as the door hands them over, by frame; epochs and senders may be any, no decoder refuses."""
    cluster = Cluster(4)
    one = cluster.verified(cluster.sign(replace(CHECKPOINT, epoch=0)), 1)
    return {b"%d" % place: replace(one, message=message) for place, message in enumerate(said)}


def read(how: Any, said: list[Any]) -> Any:
    """The certificate read from a message: frames whose signatures were checked."""
    nested = nested_of(*said)
    return how(list(nested), nested, CONFIG)


def test_r24_q_equal_checkpoints_form_a_certificate() -> None:
    found = read(read_checkpoint, votes(CHECKPOINT, {}))
    assert isinstance(found, CheckpointCertificate)
    content = (found.sequence, found.state_root, found.log_root, found.timestamp)
    assert content == (10, b"s" * 32, b"l" * 32, 7)


@table("place", [0, 1, 2], count=3)
@table(
    "other",
    [{"sequence": 20}, {"state_root": b"x" * 32}, {"log_root": b"x" * 32}, {"timestamp": 8}],
    ids=lambda other: next(iter(other)),
    count=4,
)
def test_row_4_a_lie_among_q_checkpoint_votes_makes_no_certificate(other: dict[str, Any], place: int) -> None:
    """Put first, it would name the log that a member far behind installs."""
    lie = replace(CHECKPOINT, sender=place, **other)
    assert read(read_checkpoint, votes(CHECKPOINT, {place: lie})) is None


@pytest.mark.parametrize("senders", [(0, 1), (0, 1, 1), (0, 1, 2, 3), ()])
def test_row_4_a_certificate_needs_exactly_q_distinct_members(senders: tuple[int, ...]) -> None:
    assert read(read_checkpoint, votes(CHECKPOINT, {}, senders)) is None


def test_row_4_a_checkpoint_of_sequence_0_is_refused() -> None:
    """Sequence 0 has no checkpoint: it would be one that covers nothing and passes for a low mark."""
    assert read(read_checkpoint, votes(replace(CHECKPOINT, sequence=0), {})) is None
    assert read(read_checkpoint, votes(replace(CHECKPOINT, sequence=1), {})).sequence == 1


@OTHER_EPOCHS
def test_row_10_checkpoints_of_another_epoch_prove_nothing_in_this_one(other: int) -> None:
    assert read(read_checkpoint, votes(replace(CHECKPOINT, epoch=other), {})) is None
    assert read(read_checkpoint, votes(CHECKPOINT, {2: replace(CHECKPOINT, epoch=other, sender=2)})) is None
    assert read(read_commits, votes(replace(COMMIT, epoch=other), {})) is None


@table("place", [0, 1, 2], count=3)
@table("other", [{"view": 3}, {"sequence": 12}, {"digest": b"x" * 32}], count=3)
def test_row_2_commits_decide_one_digest_of_one_view_at_one_sequence(
    other: dict[str, Any], place: int
) -> None:
    assert read(read_commits, votes(COMMIT, {})).digest == b"d" * 32
    assert read(read_commits, votes(COMMIT, {place: replace(COMMIT, sender=place, **other)})) is None


def test_row_2_votes_of_another_kind_do_not_count() -> None:
    prepare = m.Prepare(1, 2, COMMIT.view, COMMIT.sequence, COMMIT.digest)
    assert read(read_commits, votes(COMMIT, {2: prepare})) is None


@pytest.mark.parametrize("senders", [(0, 1), (0, 1, 1), ()])
def test_row_2_fewer_than_q_members_decide_nothing(senders: tuple[int, ...]) -> None:
    assert read(read_commits, votes(COMMIT, {}, senders)) is None
    assert read(read_commits, votes(COMMIT, {}, (0, 1, 2, 3))).frames == (b"0", b"1", b"2", b"3")


@table(("how", "base"), [(read_checkpoint, CHECKPOINT), (read_commits, COMMIT)], count=2)
@table("stranger", [-1, 4, 5], count=3)
def test_row_2_a_vote_of_a_nonmember_does_not_count(how: Any, base: Any, stranger: int) -> None:
    assert read(how, votes(base, {}, (1, 2, 3))) is not None
    assert read(how, votes(base, {}, (1, 2, stranger))) is None


def test_row_2_a_frame_whose_signature_was_not_checked_proves_nothing() -> None:
    nested = nested_of(*votes(COMMIT, {}))
    assert read_commits([*nested, b"another"], nested, CONFIG) is None


OLDER, LATER = (replace(CHECKPOINT, epoch=epoch) for epoch in (0, 2))


@table(
    ("said", "reason"),
    [
        ([OLDER, LATER], Reason.WRONG_EPOCH),
        ([OLDER, CHECKPOINT], Reason.BAD_PROOF),
        ([CHECKPOINT, CHECKPOINT], Reason.BAD_PROOF),
        ([LATER, replace(COMMIT, epoch=2)], Reason.BAD_PROOF),
        ([], Reason.BAD_PROOF),
    ],
    count=5,
)
def test_r35_only_checkpoints_all_of_other_epochs_count_as_wrong_epoch(
    said: list[Any], reason: Reason
) -> None:
    nested = nested_of(*said)
    assert why_refused([*nested, b"unchecked"], nested, CONFIG) is reason


PROPOSAL = m.PrePrepare(1, 2, 2, 11, b"d" * 32)
PREPARE = m.Prepare(1, 0, 2, 11, b"d" * 32)

UNPREPARED: dict[str, tuple[Any, list[Any]]] = {
    "a proposal of the epoch before": (replace(PROPOSAL, epoch=0), votes(PREPARE, {}, (0, 1))),
    "a proposal of the next epoch": (replace(PROPOSAL, epoch=2), votes(PREPARE, {}, (0, 1))),
    "a proposal of a view before the first": (
        replace(PROPOSAL, view=-2),
        votes(replace(PREPARE, view=-2), {}, (0, 1)),
    ),
    "no proposal": (replace(PREPARE, sender=2), votes(PREPARE, {}, (0, 1))),
    "a proposal of a backup before it": (replace(PROPOSAL, sender=1), votes(PREPARE, {}, (0, 1))),
    "a proposal of a backup behind it": (replace(PROPOSAL, sender=3), votes(PREPARE, {}, (0, 1))),
    "a PREPARE of the primary": (PROPOSAL, votes(PREPARE, {}, (0, 2))),
    "a backup twice": (PROPOSAL, votes(PREPARE, {}, (0, 0))),
    "one PREPARE too few": (PROPOSAL, votes(PREPARE, {}, (0,))),
    "one PREPARE too many": (PROPOSAL, votes(PREPARE, {}, (0, 1, 3))),
    "PREPAREs of another view": (PROPOSAL, votes(replace(PREPARE, view=1), {}, (0, 1))),
    "PREPAREs of another sequence": (PROPOSAL, votes(replace(PREPARE, sequence=12), {}, (0, 1))),
    "PREPAREs of another digest": (PROPOSAL, votes(replace(PREPARE, digest=b"x" * 32), {}, (0, 1))),
    "PREPAREs of another epoch": (PROPOSAL, votes(replace(PREPARE, epoch=0), {}, (0, 1))),
    "a COMMIT among the PREPAREs": (PROPOSAL, votes(PREPARE, {1: replace(COMMIT, sender=1)}, (0, 1))),
}


def prepared_of(proposal: Any, prepares: list[Any]) -> Any:
    nested = nested_of(proposal, *prepares)
    first, *rest = nested
    return read_prepared(m.PreparedProof(first, tuple(rest)), nested, CONFIG)


@table("name", UNPREPARED, count=15)
def test_row_4_a_prepared_batch_is_proved_by_primary_and_q_minus_1_backups(name: str) -> None:
    assert prepared_of(PROPOSAL, votes(PREPARE, {}, (0, 1))).digest == b"d" * 32
    assert prepared_of(*UNPREPARED[name]) is None


def test_row_4_a_proposal_that_was_not_checked_proves_nothing() -> None:
    nested = nested_of(*votes(PREPARE, {}, (0, 1)))
    assert read_prepared(m.PreparedProof(b"unchecked", tuple(nested)), nested, CONFIG) is None


CONTINUATION = m.Continuation(1, 0, 18, b"s" * 32, b"l" * 32, 7, (b"k" * 32,))
ALL = (0, 1, 2, 3)


def test_r11_continuations_of_all_members_prove_an_end() -> None:
    found = read(read_continuation, votes(CONTINUATION, {}, ALL))
    assert (found.sequence, found.state_root, found.log_root, found.timestamp) == (
        18,
        b"s" * 32,
        b"l" * 32,
        7,
    )
    assert read(read_end, votes(CONTINUATION, {}, ALL)) == found
    assert read(read_end, votes(CHECKPOINT, {})) == read(read_checkpoint, votes(CHECKPOINT, {}))


@pytest.mark.parametrize("senders", [(0, 1, 2), (0, 1, 2, 2), ()])
def test_r11_continuations_of_fewer_than_all_prove_nothing(senders: tuple[int, ...]) -> None:
    assert read(read_continuation, votes(CONTINUATION, {}, senders)) is None
    assert read(read_end, votes(CONTINUATION, {}, senders)) is None


@table(
    "other",
    [
        {"sequence": 19},
        {"state_root": b"x" * 32},
        {"log_root": b"x" * 32},
        {"timestamp": 8},
        {"keys": (b"x" * 32,)},
    ],
    ids=lambda other: next(iter(other)),
    count=5,
)
def test_r11_continuations_must_name_the_same_end(other: dict[str, Any]) -> None:
    lie = replace(CONTINUATION, sender=3, **other)
    assert read(read_continuation, votes(CONTINUATION, {3: lie}, ALL)) is None


def test_r11_an_end_lies_above_the_beginning_and_is_no_checkpoint() -> None:
    for sequence, ends in ((4, False), (5, False), (6, True)):
        end = read(read_continuation, votes(replace(CONTINUATION, sequence=sequence), {}, ALL))
        assert (end is not None) is ends, sequence
    assert read(read_checkpoint, votes(CONTINUATION, {}, ALL)) is None
    assert read(read_checkpoint, votes(CONTINUATION, {}, (0, 1, 2))) is None
    assert read(read_continuation, votes(CHECKPOINT, {}, ALL)) is None
    assert read(read_end, [*votes(CHECKPOINT, {}), replace(CONTINUATION, sender=3)]) is None


def test_r11_an_end_is_read_among_frames_whose_signature_was_not_checked() -> None:
    """Such a frame is no statement, and stops no member."""
    nested = nested_of(*votes(CHECKPOINT, {}))
    assert read_end([b"unchecked", *nested], nested, CONFIG) is None
    assert read_end(list(nested), nested, CONFIG) == read_checkpoint(list(nested), nested, CONFIG)


def log_of(size: int) -> tuple[CheckpointCertificate, m.Entry, tuple[bytes, ...]]:
    """A certificate of a log of this size, its last entry, and the peaks below that."""
    entries = [m.Entry(0, number, b"b" * 32, b"r" * 32, number, b"p" * 32) for number in range(1, size + 1)]
    below = log_tree.Frontier()
    for entry in entries[:-1]:
        below = log_tree.append(below, m.entry_hash(entry))
    whole = log_tree.append(below, m.entry_hash(entries[-1]))
    found = CheckpointCertificate(size, b"s" * 32, log_tree.root(whole), size, ())
    return found, entries[-1], below.peaks


@pytest.mark.parametrize("size", [1, 2, 8, 12])
def test_r24_a_certificate_names_the_last_entry_of_its_log(size: int) -> None:
    found, entry, peaks = log_of(size)
    assert ends_log(found, entry, peaks)
    assert not ends_log(found, replace(entry, batch_digest=b"x" * 32), peaks)
    assert not ends_log(found, entry, (*peaks, b"x" * 32))
    assert not peaks or not ends_log(found, entry, peaks[1:])
    for other in (size - 1, size + 1):
        assert not ends_log(replace(found, sequence=other), entry, peaks)
    assert not ends_log(replace(found, log_root=b"x" * 32), entry, peaks)
