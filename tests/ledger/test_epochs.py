"""What the learner's rows say about members who joined later (R35)."""

from __future__ import annotations

from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.consensus.epoch_change_proof import record_name
from tests.tickets_machine.support import Machine
from tests.tickets_machine.test_membership import newcomer, reconfigured
from validators.ledger import Ledger, read
from validators.ledger.state_rows import MaterialisedRows


def test_epochs_are_stored_read_back_first_and_name_all_members(ledger: Ledger) -> None:
    machine = Machine()
    reconfigured(machine, 0, joins=(newcomer(4),))
    reconfigured(machine, 1, leaves="node1", joins=(newcomer(5),))
    changes = [change for change in machine.application.changes() if change.table == "membership"]
    ledger.materialise(changes, 0, 0)
    founders = [member.id for member in machine.genesis.members]
    assert [each.epoch for each in read.memberships(ledger.alias)] == [1, 2]
    assert read.member_names(ledger.alias, founders) == [*founders, "node4", "node5"]
    rows = [change for change in MaterialisedRows(ledger._store) if change.table == "membership"]
    assert [row.row.epoch for row in rows] == [1, 2]


def test_ends_of_epochs_are_read_from_any_of_them_on_up_to_a_missing_one(ledger: Ledger) -> None:
    """Those before are known from elsewhere, as after a recovery."""
    ends = {epoch: b"end %d" % epoch for epoch in (0, 1, 2, 4)}
    ledger.append([StateRecord(record_name(epoch), end) for epoch, end in ends.items()])
    found = [read.epoch_changes(ledger.alias, after=after) for after in range(5)]
    assert found == [[ends[0], ends[1], ends[2]], [ends[1], ends[2]], [ends[2]], [], [ends[4]]]
