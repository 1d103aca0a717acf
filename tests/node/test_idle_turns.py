"""How often the loop of an idle node turns, on a virtual clock."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from dtvn.node import run
from dtvn.node.heart import Heart

SECOND = 1_000_000_000
TURNS = 5
"""A second: for a request to stop, and for scrapes."""


def test_an_idle_node_turns_five_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now, turns = 0, 0

    def wait(pause: int) -> None:
        nonlocal now
        now += pause

    def turn() -> int:
        nonlocal turns
        turns += 1
        return 0

    def nothing(*_: object) -> None:
        return None

    process: Any = SimpleNamespace(
        journal=SimpleNamespace(alive=nothing),
        links=SimpleNamespace(wait=wait),
        host=SimpleNamespace(wake_at=nothing, turn=turn),
        ledger=SimpleNamespace(maintain=nothing, check_older=nothing),
        logger=logging.getLogger("idle"),
        executed=0,
        may_hand_over=lambda: False,
        **dict.fromkeys(("start", "introduce", "give_way", "publish", "brief", "refresh"), nothing),
    )
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic_ns=lambda: now))
    assert run.Loop(process, lambda: now >= 60 * SECOND, Heart(None)).run() == run.EXIT_STOPPED
    assert turns == 60 * TURNS
