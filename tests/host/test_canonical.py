"""One value, one byte form (PROTOCOL R1, P8)."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.log_tree import Frontier, append, root
from tests.support.table import table


def rfc6962(leaves: list[bytes]) -> bytes:
    """Merkle tree hash as RFC 6962 section 2.1 writes it, over already hashed leaves: the slow twin."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = rfc6962(leaves[:split]), rfc6962(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_r26_the_log_tree_grown_leaf_by_leaf_has_the_same_root(leaves: list[bytes]) -> None:
    frontier = Frontier()
    for leaf in leaves:
        frontier = append(frontier, leaf)
    assert root(frontier) == rfc6962(leaves)
    assert len(frontier.peaks) == frontier.size.bit_count()


SECOND_SPELLINGS: dict[str, tuple[type[m.Wire], str]] = {
    "long integer": (m.Suspect, "94cd000001a201a178"),
    "trailing byte": (m.Suspect, "94000101a17800"),
    "str as bytes": (m.Suspect, "94000101c40178"),
    "long string header": (m.Suspect, "94000101d90178"),
    "float for an integer": (m.Suspect, "94cb00000000000000000101a178"),
    "long array header": (m.Suspect, "dc0004000101a178"),
    "a field too many": (m.Suspect, "95000101a17800"),
    "a field too few": (m.Suspect, "93000101"),
    "a default left out": (m.Operation, "96a473656564a164a174a161a16500"),
    "a map of field names": (m.Suspect, "84a565706f636800a673656e64657201a47669657701a6726561736f6ea178"),
    "invalid UTF-8": (m.Suspect, "94000101a1ff"),
    "integer over 64 bits": (m.Suspect, "94c40900010101a178"),
    "nothing": (m.Suspect, ""),
}


@table("name", SECOND_SPELLINGS, count=13)
def test_r1_a_second_spelling_is_refused(name: str) -> None:
    kind, data = SECOND_SPELLINGS[name]
    with pytest.raises(canonical.CanonicalError):
        canonical.decode(kind, bytes.fromhex(data))


def test_r1_no_domain_tag_runs_into_the_data() -> None:
    assert canonical.tagged_digest("dtvn/v1/a", b"b") != canonical.tagged_digest("dtvn/v1/ab", b"")
    assert canonical.tagged_digest("dtvn/v1/a", b"x", b"yz") == canonical.tagged_digest(
        "dtvn/v1/a", b"x", b"yz"
    )


def test_r1_a_batch_digest_covers_its_origin_view_and_not_its_sequence() -> None:
    one = m.batch_digest(1, 5, (b"a" * 32,))
    assert one == m.batch_digest(1, 5, (b"a" * 32,))
    assert len({one, m.batch_digest(2, 5, (b"a" * 32,)), m.batch_digest(1, 6, (b"a" * 32,))}) == 3
    assert one != m.NULL_BATCH_DIGEST != m.batch_digest(0, 0, ())


class Unordered(msgspec.Struct, array_like=True, frozen=True):
    """A struct with a map: the encoder sorts its keys."""

    rows: dict[str, int]


def test_row_8_maps_are_sorted_and_an_unsorted_one_is_refused() -> None:
    data = canonical.encode(Unordered({"b": 1, "a": 2}))
    assert data == canonical.encode(Unordered({"a": 2, "b": 1}))
    swapped = bytes.fromhex("9182a16201a16102")
    assert data != swapped
    with pytest.raises(canonical.CanonicalError):
        canonical.decode(Unordered, swapped)


def test_row_8_the_bytes_do_not_depend_on_the_hash_seed() -> None:
    program = (
        "from tests.host.support import Paper, sample_statements\n"
        "from dtvn.protocol import canonical\n"
        "paper = Paper()\n"
        "for s in sample_statements(paper): print(canonical.digest(paper.sign(s)).hex())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
