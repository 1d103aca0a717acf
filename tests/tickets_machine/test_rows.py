"""Rows for the ledger: a load of what `changes` gave rebuilds the same state (R9)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.machine import Admit, Barrier, Dispute, Issue, Resolve, RotatePrincipal, Seed, SetEvent, Validate
from dtvn.machine.rows import ROW_TYPES, TicketRow, change_from
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange
from tests.tickets_machine.support import Machine, public


@pytest.fixture
def lived() -> Machine:
    """A machine with every kind of row, saved."""
    machine = Machine()
    machine.do(Seed())
    machine.do(
        Issue(
            product="Standing",
            seat="Z9",
            not_before=5,
            not_after=2**63 - 1,
            commitment=b"c" * 32,
            metadata=(("order", "ABCDE"), ("channel", "web")),
        ),
        "T-1",
        event="other",
        nonce=b"issue",
    )
    for number in range(1, 40):
        machine.do(Validate(), f"TICKET-{number:03d}", entry=f"node{number % 4}")
    machine.do(Admit(gate="north", device="d1"), "TICKET-001", nonce=b"k" * 64)
    machine.do(Dispute(reason="copied"), "TICKET-002")
    machine.do(Resolve(verdict="uphold"), "TICKET-002")
    machine.do(SetEvent("Opera"), event="opera")
    machine.do(Barrier(), principal="scanner")
    machine.do(RotatePrincipal("reader", public("2")))
    machine.save()
    return machine


@pytest.mark.parametrize("backwards", [False, True])
def test_r9_loaded_rows_give_the_same_root_in_any_order(lived: Machine, backwards: bool) -> None:
    fresh = lived.reload(backwards=backwards)
    assert fresh.root() == lived.application.root()
    assert fresh.size() == lived.application.size()
    assert fresh.changes() == []


def test_ticket_counts_by_state_are_the_same_after_a_load(lived: Machine) -> None:
    expected = {"ISSUED": 462, "VALIDATED": 37, "CONSUMED": 1, "DISPUTED": 0, "UPHELD": 1}
    assert lived.application.count_states() == expected
    assert lived.reload().count_states() == expected


def test_r9_execution_continues_equally_after_a_load(lived: Machine) -> None:
    fresh = lived.reload()
    bundle = lived.bundle(
        [
            lived.operation(Admit(), "TICKET-001", nonce=b"k"),
            lived.operation(Admit(gate="north", device="d1"), "TICKET-001", nonce=b"k" * 64),
            lived.operation(Admit(), "TICKET-003", entry="node3"),
            lived.operation(Resolve(verdict="clear"), "TICKET-002"),
        ],
        done_below=30,
    )
    first = lived.execute([bundle])
    second = fresh.execute([bundle], sequence=lived.sequence, timestamp=lived.now)
    assert second == first
    assert fresh.root() == lived.application.root()
    assert fresh.changes() == lived.application.changes()


def test_changes_are_returned_once_with_their_last_value() -> None:
    machine = Machine()
    machine.do(Issue(), "T-1")
    machine.do(Validate(), "T-1")
    tickets = [c for c in machine.application.changes() if c.table == "ticket"]
    assert [(c.key, c.row.state) for c in tickets] == [(("default", "T-1"), "VALIDATED")]
    assert machine.application.changes() == []


def test_a_refusal_changes_no_ticket_row() -> None:
    machine = Machine()
    machine.do(Issue(), "T-1")
    machine.application.changes()
    machine.do(Dispute(), "T-1")
    assert {change.table for change in machine.application.changes()} <= {"session", "bundle"}


def test_a_ticket_row_has_every_field(lived: Machine) -> None:
    row = lived.rows[("ticket", ("other", "T-1"))].row
    assert (row.product, row.seat, row.not_before, row.not_after) == ("Standing", "Z9", 5, 2**63 - 1)
    assert (row.commitment, row.metadata) == (b"c" * 32, {"channel": "web", "order": "ABCDE"})
    assert (row.operation, row.principal, row.actor, row.nonce) == (
        "issue",
        "gateway",
        "anna",
        b"issue",
    )
    admitted = lived.rows[("ticket", ("default", "TICKET-001"))].row
    assert (admitted.state, admitted.validator, admitted.gate, admitted.device) == (
        "CONSUMED",
        "node1",
        "north",
        "d1",
    )
    upheld = lived.rows[("ticket", ("default", "TICKET-002"))].row
    assert (upheld.state, upheld.upheld, upheld.note) == ("DISPUTED", True, "copied")


ISSUED_FIELDS = (
    "event",
    "ticket",
    "product",
    "seat",
    "not_before",
    "not_after",
    "commitment",
    "data",
    "metadata",
)
"""Fields of a TicketRow that no change of its state touches."""


def test_issued_fields_never_change(lived: Machine) -> None:
    seed = {name: getattr(ticket_row(lived, "TICKET-001"), name) for name in ISSUED_FIELDS}
    untouched = Machine()
    untouched.do(Seed())
    untouched.save()
    assert seed == {name: getattr(ticket_row(untouched, "TICKET-001"), name) for name in ISSUED_FIELDS}


def ticket_row(machine: Machine, ticket: str) -> TicketRow:
    row = machine.rows[("ticket", ("default", ticket))].row
    assert isinstance(row, TicketRow)
    return row


def test_rows_fit_their_columns(lived: Machine) -> None:
    for (table, _), change in lived.rows.items():
        assert isinstance(change.row, ROW_TYPES[table])
        if table == "ticket":
            for name, value in msgspec.structs.asdict(change.row).items():
                if isinstance(value, int):
                    assert -(2**63) <= value < 2**63, name


def test_small_tables_are_stored_as_two_blobs(lived: Machine) -> None:
    assert {table for table, _ in lived.rows} | {"membership", "run", "lock", "waiter"} == set(ROW_TYPES)
    for (table, key), change in lived.rows.items():
        if table != "ticket":
            assert change_from(table, canonical.encode(key), canonical.encode_trimmed(change.row)) == change


def test_a_damaged_blob_is_refused_at_load() -> None:
    with pytest.raises(canonical.CanonicalError):
        change_from("session", canonical.encode((1, 0)), b"\x00")
    with pytest.raises(ValueError, match="columns"):
        change_from("ticket", canonical.encode(("default", "T-1")), b"")


def test_a_load_replaces_what_was_there(lived: Machine) -> None:
    other = Machine(lived.genesis)
    other.do(Issue(), "T-99")
    other.application.load(lived.rows.values())
    assert other.application.root() == lived.application.root()
    assert other.application.ticket("default", "T-99") is None
    assert other.application.changes() == []


def test_r9_rows_saved_at_any_interval_end_equal() -> None:
    """Saving after every batch or once at the end: the ledger holds the same."""
    often, once = Machine(), Machine()
    for machine in (often, once):
        for number in range(30):
            machine.do(Issue(), f"T-{number}")
            machine.do(Admit(), f"T-{number // 2}", nonce=bytes([number]))
            if machine is often:
                machine.save()
        machine.save()
    assert {k: c for k, c in often.rows.items() if isinstance(c, ApplicationChange)} == once.rows
