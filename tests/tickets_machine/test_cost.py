"""What applying costs: the bench runs, and work grows with what changed, not with what is there (R25)."""

from __future__ import annotations

import hashlib

import pytest

from benchmarks.apply import measure
from tests.tickets_machine.support import Machine
from tickets.machine import Seed, Validate, tree


def test_the_bench_measures_operations_that_were_applied() -> None:
    costs = measure(20_000)
    assert costs["apply_with_rows_per_second"] > 1_000
    with pytest.raises(ValueError, match="at least"):
        measure(100)


def test_r25_one_change_rehashes_one_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket, its session's row, page and the clock: four buckets and eight nodes above each."""
    machine = Machine()
    machine.do(Seed())
    machine.application.root()
    hashed = []

    def counting(data: bytes) -> object:
        hashed.append(data)
        return hashlib.sha256(data)

    machine.do(Validate(), "TICKET-001")
    monkeypatch.setattr(tree, "sha256", counting)
    machine.application.root()
    assert 0 < len(hashed) <= 4 * 9
    hashed.clear()
    machine.application.root()
    assert hashed == []
