"""What a node's API reads of the node's own ledger: tickets, records, counts, changes since a position."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dtvn.api.helper.ledger import BEYOND
from dtvn.api.queries import RecordsQuery, TicketsQuery
from dtvn.ledger import Location
from dtvn.machine import State, TicketState, read_head
from dtvn.machine.rows import EventRow, TicketBytes
from dtvn.machine.terms import Terms, terms_bytes
from dtvn.protocol import canonical
from dtvn.protocol.consensus.effects import ApplicationChange, StateRecord
from dtvn.protocol.consensus.epoch_change_proof import record_name
from dtvn.protocol.genesis import ANY_EVENT, Grant, Principal
from tests.ledger.samples import CLUSTER, START, LogWriter, executed
from validators.ledger import Ledger, node_reader, open_ledger
from validators.ledger.location import drop_alias
from validators.ledger.node_reader import NodeReader

GATE = Principal("gate-a", b"k" * 32, (Grant(ANY_EVENT, "gate"),))
STATES = (State.ISSUED, State.VALIDATED, State.UPHELD, State.DISPUTED)


def ticket(number: int, event: str, name: str, state: State, **terms: Any) -> ApplicationChange:
    whole = TicketState(
        event, name, state, "r1", START + number, 3, 0, "validate", "gateway", "gate-a", b"", "north", "", "",
        (1, 0, 2),
    )  # fmt: skip
    encoded = canonical.encode(whole)
    row = TicketBytes(number, read_head(encoded), encoded, terms_bytes(Terms(**terms)))
    return ApplicationChange("ticket", (number,), row)


@pytest.fixture
def ledger(place: Location) -> Iterator[Ledger]:
    made = open_ledger(place, cluster_id=CLUSTER, alias="read-by-its-api")
    made.load()
    yield made
    made.close()


@pytest.fixture
def reader(ledger: Ledger, place: Location) -> Iterator[NodeReader]:
    yield NodeReader(place, ["r0", "r1", "r2", "r3"])
    drop_alias(node_reader.ALIAS)


@pytest.fixture
def filled(ledger: Ledger) -> None:
    """Three entries and six tickets."""
    writer = LogWriter()
    writer.entry(kinds=("issue", "validate"), tickets=("A-1", "A-2"))
    writer.entry(kinds=("seed", "admit", "resolve"), tickets=("", "A-1", "A-3"))
    writer.entry()
    ledger.append([*writer.records, writer.checkpoint(), StateRecord(record_name(0), b"proof")])
    codes = (["ok", "ok"], ["ok", "ok", "blocked"], ["ok", "ticket_not_found"])
    for record, each in zip(writer.records, codes, strict=True):
        ledger.notice(executed(record, each))
    event = EventRow("The cup", "Europe/Berlin", 0, True, (), True, b"s" * 32, 1, 1, 0, START)
    rows = [ticket(number, "default", f"A-{number}", state) for number, state in enumerate(STATES, 1)]
    rows += [
        ticket(5, "cup", "A-1", State.CONSUMED, not_before=START, not_after=START + 3_600_000_000),
        ticket(6, "cup", "B-1", State.ISSUED, blocked=True, block_reason="stolen"),
    ]
    others = [ApplicationChange("event", ("cup",), event), ApplicationChange("principal", ("gate-a",), GATE)]
    ledger.materialise([*rows, *others], 3, START + 3)


def listed(reader: NodeReader, *query: Any) -> tuple[list[str], bool, int]:
    page = reader.list_tickets(TicketsQuery(*query))
    return [item["ID"] for item in page.items], page.more, page.total


def records(reader: NodeReader, *query: Any) -> tuple[list[tuple[int, int, str, str]], bool, int]:
    page = reader.list_records(RecordsQuery(*query))
    told = [(each["sequence"], each["index"], each["operation"], each["code"]) for each in page.items]
    return told, page.more, page.total


def test_a_new_ledger_holds_nothing(reader: NodeReader) -> None:
    assert (reader.applied_sequence(), reader.position()) == (0, ((0, BEYOND), 0))
    assert reader.read_ticket("default", "A-1") is None
    assert listed(reader, "default", 2, None, "") == ([], False, 0)
    assert set(reader.holdings({}).states.values()) == {0}
    assert (reader.principals(), reader.event_zone("cup")) == ([], "")


@pytest.mark.usefixtures("filled")
def test_tickets_are_listed_in_pages_of_an_event_and_a_state(reader: NodeReader) -> None:
    assert listed(reader, "default", 2, None, "") == (["A-1", "A-2"], True, 4)
    assert listed(reader, "default", 2, None, "A-2") == (["A-3", "A-4"], False, 4)
    assert listed(reader, "default", 9, "DISPUTED", "") == (["A-3", "A-4"], False, 2), "upheld ones too"
    assert listed(reader, "cup", 2, "ISSUED", "") == (["B-1"], False, 1)
    found = reader.read_ticket("cup", "A-1")
    assert found is not None
    assert (found["State"], found["ValidatorID"], found["VectorClock"]) == (
        "CONSUMED",
        "r1",
        {"r0": 1, "r2": 2},
    )
    assert found["valid_until"] == "2023-11-15T00:13:20+01:00", "in the time of its event"
    assert reader.read_ticket("cup", "A-2") is None


@pytest.mark.usefixtures("filled")
def test_records_are_listed_by_outcome_kind_and_place(reader: NodeReader) -> None:
    assert records(reader, 1, None, False, False, None)[1:] == (True, 3)
    everything, more, total = records(reader, 9, None, True, True, None)
    assert (more, total) == (False, 7)
    assert everything[4] == (2, 2, "RESOLVE", "blocked")
    assert records(reader, 9, (1, 0), True, True, None)[0] == everything[1:]
    assert records(reader, 9, (1, None), True, True, None)[0] == everything[2:], "after a whole entry"
    assert all(code == "ok" for *_place, code in records(reader, 9, None, False, True, None)[0])


@pytest.mark.usefixtures("filled")
def test_holdings_count_each_state(reader: NodeReader, monkeypatch: pytest.MonkeyPatch) -> None:
    held = reader.holdings({"ISSUED": 77})
    assert held.states == {"ISSUED": 2, "VALIDATED": 1, "CONSUMED": 1, "DISPUTED": 1, "UPHELD": 1}
    assert held.checkpoint is not None
    assert (held.checkpoint[0], held.operations) == (3, 3)
    monkeypatch.setattr(node_reader, "COUNTED_MAX", 5)
    assert reader.holdings({"ISSUED": 77}).states == {"ISSUED": 77}, "of many, the node's own count"
    assert (reader.principals(), reader.epoch_changes()) == ([GATE], [b"proof"])


@pytest.mark.usefixtures("filled")
def test_changes_since_a_position_are_whole_or_too_many(
    reader: NodeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_reader, "AT_ONCE", 2)
    found = reader.since(((0, -1), 0))
    assert found is not None
    places = [(each.sequence, each.index) for each in found.listed]
    assert places == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)], "what was refused changed nothing"
    assert found.position == reader.position() == ((3, BEYOND), 6)
    later = reader.since(((1, 1), 4))
    assert later is not None
    assert len(later.listed) == 3
    assert reader.since(found.position).listed == []  # type: ignore[union-attr]
    monkeypatch.setattr(node_reader, "LISTED_MAX", 4)
    assert reader.since(((0, -1), 0)) is None
