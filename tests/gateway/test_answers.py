"""The outcomes that a gateway accepts are bounded by what an operation can produce (P15, decision 0167)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.gateway.answers import STATE_BYTES_MAX, ReplyHead, Verifier
from dtvn.machine import AnsweredState, EventRow, State
from dtvn.machine.leaf import subtree
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.quorum import MEMBERS_MAX
from tests.gateway.support import START, operation
from tests.host.support import Paper
from tests.support.table import table

WIDE = "\U0001f39f"


def longest(members: int) -> bytes:
    """A ticket's state with every text at its longest, and the highest count for each of `members`."""
    return canonical.encode(
        AnsweredState(
            *("e" * 64, "t" * 128, State.CONSUMED, "m" * 64),
            *(2**62, 2**62, 2**32, "x" * 16, "p" * 64, WIDE * 128, bytes(64)),
            *(WIDE * 64, WIDE * 64, WIDE * 256),
            (2**62,) * members,
            *(WIDE * 128, WIDE * 128, 2**62, 2**62, True, WIDE * 256, 2**62, True),
        )
    )


def taken(epoch: int, state: bytes, kind: str = "") -> bool:
    """Whether a gateway in this epoch takes the outcome that a true reply shows. `kind`: of the operation,
    "" for one on a ticket."""
    asked = (msgspec.structs.replace(operation(), kind=kind) if kind else operation(),)
    shown = (m.Outcome("ok", state),)
    entry = m.Entry(epoch, 1, bytes(32), subtree(0, asked, shown, START // 1_000), START // 1_000, bytes(32))
    head = ReplyHead(
        *((1, 0), 0, bytes(32), msgspec.Raw(canonical.encode(entry)), 0),
        *(msgspec.Raw(canonical.encode(shown)), (), b""),
    )
    return Verifier(Paper(4).door, ("r0", "r1", "r2", "r3"), epoch).outcomes(head, entry, asked) == shown


@table("epoch", [0, 1, 600, 4_000, 9_999], count=5)
def test_p15_a_state_with_a_count_for_every_former_member_is_accepted(epoch: int) -> None:
    """Each epoch brings one newcomer at most."""
    assert taken(epoch, longest(MEMBERS_MAX + epoch))


@pytest.mark.parametrize("epoch", [0, 1, 4_000])
def test_p15_a_state_too_large_for_this_epoch_is_refused(epoch: int) -> None:
    assert not taken(epoch, bytes(STATE_BYTES_MAX + 600 + 9 * epoch))


def test_p15_the_row_of_an_event_with_a_thousand_products_is_accepted() -> None:
    """The names of its products have 64 KiB in all."""
    products = tuple((f"{number:04}" + WIDE * 15, True) for number in range(1_000))
    row = EventRow(WIDE * 128, "z" * 64, 2**62, True, products, True, bytes(32), 1, 2**62, 2**32, 2**62)
    assert taken(0, canonical.encode(row), "set_event")
    assert not taken(0, canonical.encode(row))
    assert not taken(0, bytes(80 * 1024), "set_event")
