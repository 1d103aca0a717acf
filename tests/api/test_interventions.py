"""What a report of interventions counts (R13, R41)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tickets.services import interventions


def test_a_repetition_that_changed_nothing_is_none_also_beside_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both may be in one batch, under one nonce; both outcomes tell the ticket as the first one left it."""
    records: list[Any] = [
        SimpleNamespace(pk=1, sequence=5, batch_index=2),
        SimpleNamespace(pk=2, sequence=5, batch_index=3),
        SimpleNamespace(pk=3, sequence=9, batch_index=2),
    ]
    left = SimpleNamespace(sequence=5, index=2)
    monkeypatch.setattr(interventions, "outcome_states", lambda _alias, _sequences: {})
    monkeypatch.setattr(interventions, "read_state", lambda _state: left)
    signed = {record.pk: f"operation {record.pk}" for record in records}
    monkeypatch.setattr(interventions.read, "operations_at", lambda _alias, _sequences: signed)
    assert interventions._done(records) == [(records[0], "operation 1")]
