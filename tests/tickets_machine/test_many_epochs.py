"""Thousands of former members: what the state keeps of them (R35, decision 0167)."""

from __future__ import annotations

import tracemalloc

from dtvn.gateway.answers import STATE_BYTES_MAX
from dtvn.machine import Issue, Validate
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.genesis import Genesis, Member
from tests.tickets_machine.support import Machine, public

EPOCHS = 5_200


def stored(genesis: Genesis) -> list[ApplicationChange]:
    """In each epoch the oldest member was replaced; the newest epoch first."""
    members = genesis.members
    changes = []
    for epoch in range(1, EPOCHS + 1):
        members = (*members[1:], Member(f"late{epoch}", public("late"), "127.0.0.1", 4_000))
        row = Membership(epoch, epoch, members, genesis.parameters)
        changes.append(ApplicationChange("membership", (epoch,), row))
    return changes[::-1]


def test_r35_the_cost_of_former_members_is_not_quadratic_in_their_number() -> None:
    machine = Machine()
    rows = stored(machine.genesis)
    tracemalloc.start()
    try:
        machine.application.load(rows)
        assert tracemalloc.get_traced_memory()[0] < 10_000_000
    finally:
        tracemalloc.stop()
    assert len(machine.application.member_names) == 4 + EPOCHS
    assert machine.application.membership() == rows[0].row
    assert machine.application.epoch(1) == rows[-1].row


def test_r35_a_tickets_clock_has_an_entry_for_every_member_so_far() -> None:
    machine = Machine()
    epochs = stored(machine.genesis)
    machine.application.load(epochs)
    machine.sequence = EPOCHS
    machine.do(Issue(), "T-1")
    newest = f"late{EPOCHS}"
    machine.do(Validate(), "T-1", entry=newest)
    ticket = machine.application.ticket("default", "T-1")
    row = machine.application.row("default", "T-1")
    assert ticket is not None
    assert row is not None
    assert len(ticket.clock) == 4 + EPOCHS > STATE_BYTES_MAX
    assert row.clock == {"node0": 1, newest: 1}
    machine.save()
    fresh = Machine(machine.genesis).application
    fresh.load([*epochs, *machine.rows.values()])
    assert fresh.root() == machine.application.root()
