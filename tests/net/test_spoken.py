"""What is sent to members that may run release 0.1.0 (R47)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.versions import FIRST, LISTS
from dtvn.protocol.wire import decode_envelope, link_frame, spoken

OF_0_1_0 = {1, *range(16, 27), *range(64, 78), *range(80, 86)}
"""Kinds that release 0.1.0 reads."""
SESSION, HASH = (1, 0), bytes(32)
SHORTER = {
    m.Busy(SESSION, 1, HASH, "expired", 0, timestamp=7): m.Busy(SESSION, 1, HASH, "expired", 0),
    m.Follow(0, 9, lazy=True): m.Follow(0, 9),
    m.FetchEntries(0, 3, 9, alone=True): m.FetchEntries(0, 3, 9),
}


@pytest.mark.parametrize("said", SHORTER, ids=lambda said: type(said).__name__)
def test_r47_later_fields_are_left_out_below_their_version(said: object) -> None:
    frame = link_frame(said)
    assert spoken(frame, LISTS) == frame
    told = spoken(frame, FIRST)
    assert told is not None
    assert decode_envelope(told)[1] == SHORTER[said]  # type: ignore[index]


def test_r47_later_kinds_are_not_sent_below_their_version() -> None:
    for message in (m.Announce(0, 7, ()), m.Gossip(b"overlay")):
        assert spoken(link_frame(message), LISTS) == link_frame(message)
        assert spoken(link_frame(message), FIRST) is None
        assert m.KIND_OF[type(message)] not in OF_0_1_0


def test_r11_a_member_of_the_first_version_is_not_told_that_nothing_is_remembered() -> None:
    """It could not read that, and would take the answer without it for a full one."""
    for remembers in (True, False):
        frame = link_frame(m.Pong(0, 1, (), (), 0, 0, remembers=remembers))
        assert spoken(frame, FIRST) == (frame if remembers else None)
