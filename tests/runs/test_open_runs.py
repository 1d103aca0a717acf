"""Runs that this process writes, while their rows cannot be written."""

from __future__ import annotations

from typing import Any

import pytest

from dtvn.api.event_bodies import RunBody
from events.services.open_runs import PIECES_WAITING_MAX, OpenRun
from tests.fake_gateway import FakeGateway
from tests.host.support import make_genesis


@pytest.mark.parametrize("newer", [0, 3, PIECES_WAITING_MAX])
def test_of_more_pieces_than_may_wait_the_oldest_are_lost(newer: int) -> None:
    run = OpenRun(FakeGateway(make_genesis(4), principal="gateway"), RunBody(), "tester")
    pieces: list[Any] = list(range(PIECES_WAITING_MAX + newer))
    run.pieces.extend(pieces[:PIECES_WAITING_MAX])
    taken, _ = run.waiting()
    run.pieces.extend(pieces[PIECES_WAITING_MAX:])
    run.put_back(taken, [])
    assert list(run.pieces) == pieces[-PIECES_WAITING_MAX:]
