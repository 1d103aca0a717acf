"""Ends of epochs in an answer: what a node shows of its ledger, and how much (R16, R35)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.consensus.epoch_change_proof import EpochChangeProof, record_name
from dtvn.protocol.epochs.proofs import (
    ANSWER_LENGTH_MAX,
    EPOCH_CHANGES,
    PAGE_BYTES,
    EpochChangeProofs,
    read_answer,
)
from tests.gateway.test_epochs import Town


@pytest.fixture(scope="module")
def end() -> EpochChangeProof:
    return canonical.decode(EpochChangeProof, Town().epoch_changes[0])


def of_size(end: EpochChangeProof, size: int) -> bytes:
    """An epoch change proof of the given size in bytes."""
    leaf = bytes(size - len(canonical.encode(msgspec.structs.replace(end, leaf=bytes(1 << 16)))) + (1 << 16))
    value = canonical.encode(msgspec.structs.replace(end, leaf=leaf))
    assert len(value) == size
    return value


def shown(*values: bytes, first: str = "0") -> list[bytes]:
    kept = EpochChangeProofs()
    kept.note(StateRecord(record_name(epoch), value) for epoch, value in enumerate(values))
    answer = kept.answer(m.Query(7, EPOCH_CHANGES, (first,)))
    assert (answer.number, answer.code) == (7, "")
    return read_answer(answer.text)


def test_r35_an_end_that_is_not_sealed_yet_is_not_shown(end: EpochChangeProof) -> None:
    unsealed = canonical.encode(msgspec.structs.replace(end, checkpoint=()))
    assert shown(canonical.encode(end), unsealed) == [canonical.encode(end)]


def test_a_page_holds_what_fits_and_at_least_one(end: EpochChangeProof) -> None:
    half, more = of_size(end, PAGE_BYTES // 2), of_size(end, PAGE_BYTES // 2 + 1)
    assert shown(half, half, half) == [half, half]
    assert shown(half, more) == [half]
    large = of_size(end, PAGE_BYTES + 1)
    assert shown(large, half) == [large]


def test_an_epoch_of_nine_digits_may_be_asked_for(end: EpochChangeProof) -> None:
    assert shown(canonical.encode(end), first="9" * 9) == []


def test_an_answer_that_is_too_long_is_not_read() -> None:
    longest = "[]" + " " * (ANSWER_LENGTH_MAX - 2)
    assert read_answer(longest) == []
    with pytest.raises(ValueError, match="characters"):
        read_answer(f"{longest} ")
