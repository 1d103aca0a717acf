"""The machine and the ledger together: materialised rows equal the state, on disk too (R9, row 8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dtvn.machine import TicketApplication
from dtvn.protocol.genesis import cluster_id
from tests.ledger.samples import CLUSTER, LogWriter
from tests.tickets_machine.story import batches
from tests.tickets_machine.support import SECOND, Machine
from validators.ledger import open_ledger


@pytest.fixture(autouse=True)
def _databases(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


def test_r9_a_state_saved_batch_by_batch_is_loaded_with_the_same_root(tmp_path: Path) -> None:
    machine = Machine()
    ledger = open_ledger(tmp_path / "ledger", cluster_id=CLUSTER, alias="machine-writes")
    ledger.load()
    writer = LogWriter()
    for bundles in batches(machine):
        machine.execute(bundles, after=SECOND)
        ledger.append(writer.entries(1))
        ledger.materialise(machine.application.changes(), machine.sequence, machine.now)
    ledger.close()

    again = open_ledger(tmp_path / "ledger", cluster_id=CLUSTER, alias="machine-reads")
    try:
        tail = again.load()
        assert tail.applied_sequence == machine.sequence
        fresh = TicketApplication(machine.genesis, cluster_id(machine.genesis))
        fresh.load(tail.rows)
        assert fresh.root() == machine.application.root()
        assert fresh.size() == machine.application.size() == 501
    finally:
        again.close()
