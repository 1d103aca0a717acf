"""The demonstration tickets, byte for byte (acceptance case C5)."""

from __future__ import annotations

import json

import pytest

from dtvn.machine import SEED_TICKETS, Issue, Seed, Validate, seeded_count
from dtvn.machine.rows import TicketRow
from dtvn.machine.seed import seed_data
from dtvn.protocol import canonical
from tests.tickets_machine.support import Machine, genesis


def seeded() -> tuple[Machine, dict[str, TicketRow]]:
    machine = Machine()
    machine.do(Seed(), entry="node2")
    machine.save()
    rows = {change.row.ticket: change.row for (table, _), change in machine.rows.items() if table == "ticket"}
    return machine, rows


def test_spec_5_seed_data_has_the_check_values() -> None:
    assert seed_data(1) == (
        b'{"event":"Summer Music Festival 2026","venue":"Grand Arena","section":"VIP","seat":"A1",'
        b'"price":"150.00","buyer":"buyer_001@email.com"}'
    )
    assert json.loads(seed_data(11)) == {
        "event": "Summer Music Festival 2026",
        "venue": "Grand Arena",
        "section": "Balcony",
        "seat": "B1",
        "price": "65.00",
        "buyer": "buyer_011@email.com",
    }
    last = json.loads(seed_data(500))
    assert (last["section"], last["seat"], last["price"]) == ("General", "X10", "40.00")
    seats = {number: json.loads(seed_data(number))["seat"] for number in (1, 10, 11, 260, 261)}
    assert seats == {1: "A1", 10: "A10", 11: "B1", 260: "Z10", 261: "A1"}


def test_spec_5_all_seed_data_has_the_given_digest() -> None:
    """SHA-256 over the 500 `Data` values one after the other."""
    everything = b"".join(seed_data(number) for number in range(1, 501))
    assert canonical.digest(everything).hex() == (
        "8aebe9a69b2b32ba4d7afee96cd377b26da3919ca4401e4ed04a66da46772c34"
    )


def test_spec_5_a_seeded_ticket_has_the_given_fields() -> None:
    machine, rows = seeded()
    assert sorted(rows) == [f"TICKET-{number:03d}" for number in range(1, 501)]
    row = rows["TICKET-001"]
    assert (row.state, row.validator, row.metadata, row.data) == (
        "ISSUED",
        "",
        {"source": "seed"},
        seed_data(1),
    )
    assert (row.timestamp, row.seat, row.product) == (machine.now, "A1", "VIP")
    assert row.clock == {"node2": 1}


def test_spec_5_existing_tickets_are_neither_changed_nor_counted() -> None:
    machine, _ = seeded()
    machine.do(Validate(), "TICKET-001")
    before = machine.show("TICKET-001")
    (outcome,) = machine.order(machine.operation(Seed()))
    assert (outcome.code, seeded_count(outcome.state)) == ("ok", 0)
    assert machine.show("TICKET-001") == before
    machine.save()
    assert machine.application.size() == 500


def test_a_seed_adds_the_missing_tickets() -> None:
    machine = Machine()
    (outcome,) = machine.order(machine.operation(Seed(), event="second"))
    assert seeded_count(outcome.state) == 500
    name, _ = SEED_TICKETS[0]
    assert machine.show(name, event="second") is not None
    assert machine.show(name) is None


def test_r15_a_seed_takes_a_demonstration_genesis() -> None:
    machine = Machine(genesis(demo=False))
    (outcome,) = machine.order(machine.operation(Seed()))
    assert (outcome.code, seeded_count(outcome.state)) == ("demo_only", 0)
    assert machine.application.size() == 0


@pytest.mark.parametrize(("others", "code", "size"), [(1, "ok", 501), (2, "full", 2)])
def test_a_seed_for_which_there_is_no_room_creates_nothing(
    monkeypatch: pytest.MonkeyPatch, others: int, code: str, size: int
) -> None:
    monkeypatch.setattr("dtvn.machine.kinds.seed.TICKETS_MAX", 501)
    machine = Machine()
    for number in range(others):
        machine.do(Issue(), f"T-{number}")
    (outcome,) = machine.order(machine.operation(Seed()))
    assert (outcome.code, seeded_count(outcome.state)) == (code, size - others)
    assert machine.application.size() == size
