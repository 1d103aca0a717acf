"""Paths through a log whose lower part is not here: a cluster that continues another one (R11, R26)."""

from __future__ import annotations

import pytest

from dtvn.protocol import canonical
from dtvn.protocol.consensus.log_tree import inclusion_path
from tests.ledger.samples import LogWriter
from tests.ledger.test_install import snapshot_of
from validators.ledger import Ledger, proofs
from validators.ledger.proofs import LogPaths


@pytest.mark.parametrize("begins", [0, 1, 7, 8, 9, 20, 23, 24])
def test_r26_every_entry_above_the_beginning_has_its_path(
    sqlite_ledger: Ledger, begins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "TILE_LEVEL", 2)
    monkeypatch.setattr(proofs, "TILE", 4)
    writer = LogWriter()
    writer.entries(begins)
    if begins:
        sqlite_ledger.install(snapshot_of(writer))
        sqlite_ledger.load()
    sqlite_ledger.append(writer.entries(26 - begins))
    hashes = [record.entry_hash for record in writer.records]

    def subtree(level: int, number: int) -> bytes:
        return canonical.merkle_root(hashes[number << level : (number + 1) << level])

    paths = LogPaths(sqlite_ledger.alias)
    for size in range(begins + 1, 27):
        for sequence in range(begins + 1, size + 1):
            assert paths.path(sequence, size) == inclusion_path(sequence - 1, size, subtree)
    if begins:
        with pytest.raises(LookupError, match=f"behind entry {begins}"):
            paths.path(begins, 26)
    with pytest.raises(LookupError, match="not all here"):
        paths.path(26, 27)
