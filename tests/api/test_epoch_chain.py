"""The epochs that a platform shows: those that its gateway knows, then those of its own copy (R16, R27)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dtvn.proof import Code, ProofError
from validators.services import epochs


def test_ends_that_the_gateway_does_not_know_yet_come_from_the_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [b"copy-0", b"copy-1", b"copy-2", b"not stable", b"copy-4"]

    def stable(end: bytes, cluster: bytes) -> bytes:
        assert cluster == b"cluster"
        if end == b"not stable":
            raise ProofError(Code.SIGNATURE_COUNT, "end", "no stable checkpoint")
        return end

    monkeypatch.setattr(epochs, "gateway", lambda: SimpleNamespace(epoch_changes=(b"gateway-0",)))
    monkeypatch.setattr(epochs.read, "epoch_changes", lambda _alias, after=0: kept[after:])
    monkeypatch.setattr(epochs, "epoch_change_certificate", stable)
    assert epochs._known(b"cluster") == (b"gateway-0", b"copy-1", b"copy-2")
