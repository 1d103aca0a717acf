"""Tells all that a node's API reads of the node's own ledger: tickets, records, counts, the store, changes
since a position; and what it reads while nothing is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
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
from tests.api.telling import Story, beside
from tests.golden import Compare
from tests.ledger.samples import CLUSTER, START, LogWriter, executed
from validators.ledger import Ledger, node_reader, open_ledger
from validators.ledger.location import drop_alias

MEMBERS = ["r0", "r1", "r2", "r3"]
TICKETS: tuple[tuple[str, str, State, dict[str, Any]], ...] = (
    ("default", "A-1", State.ISSUED, {}),
    ("default", "A-2", State.VALIDATED, {"product": "Day pass", "seat": "A1", "entries": 2}),
    ("default", "A-3", State.UPHELD, {}),
    ("default", "A-4", State.DISPUTED, {"metadata": (("k", "v"),), "data": b"data"}),
    ("cup", "A-1", State.CONSUMED, {"not_before": START, "not_after": START + 3_600_000_000}),
    ("cup", "B-1", State.ISSUED, {"blocked": True, "block_reason": "stolen"}),
)


def ticket(number: int, event: str, name: str, state: State, terms: dict[str, Any]) -> ApplicationChange:
    whole = TicketState(
        event,
        name,
        state,
        "r1",
        START + number,
        3,
        0,
        "validate",
        "gateway",
        "gate-a",
        b"",
        "north",
        "",
        "",
        (1, 0, 2),
    )
    encoded = canonical.encode(whole)
    row = TicketBytes(number, read_head(encoded), encoded, terms_bytes(Terms(**terms)))
    return ApplicationChange("ticket", (number,), row)


@pytest.fixture
def reading(place: Location) -> Iterator[tuple[Ledger, node_reader.NodeReader]]:
    ledger = open_ledger(place, cluster_id=CLUSTER, alias="read-by-its-api")
    ledger.load()
    yield ledger, node_reader.NodeReader(place, MEMBERS)
    drop_alias(node_reader.ALIAS)
    ledger.close()


class Reading:
    """A reader whose answers are told."""

    def __init__(self, reader: node_reader.NodeReader) -> None:
        self.reader, self.story = reader, Story(exact=True)

    def tell(self, name: str, *arguments: Any) -> Any:
        found = getattr(self.reader, name)(*arguments)
        shown = ", ".join(repr(each) for each in arguments)
        self.story.say(f"{name}({shown})")
        plain = msgspec.to_builtins(found, builtin_types=(bytes,), enc_hook=str)
        self.story.value(self._plain(plain))
        return found

    def _plain(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return value.hex()
        if isinstance(value, dict):
            return {str(name): self._plain(value[name]) for name in sorted(value)}
        return [self._plain(each) for each in value] if isinstance(value, (list, tuple)) else value

    def all(self) -> None:
        for name in ("applied_sequence", "principals", "epoch_changes", "position"):
            self.tell(name)
        sizes = self.reader.storage_stats()
        self.story.say(f"storage_stats: {[*sizes]}, {sizes['page_alloc'] > 0}")
        for counted in ({}, {"ISSUED": 77}):
            self.tell("holdings", counted)
        for event, name in (("default", "A-2"), ("cup", "A-1"), ("cup", "A-2"), ("default", "A-3")):
            self.tell("read_ticket", event, name)
        for query in (
            TicketsQuery("default", 2, None, ""),
            TicketsQuery("default", 2, None, "A-2"),
            TicketsQuery("default", 9, "DISPUTED", ""),
            TicketsQuery("cup", 2, "ISSUED", ""),
            TicketsQuery("none", 5, "ISSUED", ""),
        ):
            self.tell("list_tickets", query)
        for records in (
            RecordsQuery(2, None, False, False, None),
            RecordsQuery(9, (1, 0), True, True, None),
            RecordsQuery(9, (1, None), True, False, None),
            RecordsQuery(9, None, False, True, "CONSUMED"),
            RecordsQuery(3, (2, 0), False, False, "VALIDATED"),
        ):
            self.tell("list_records", records)
        for event in ("cup", "default"):
            self.tell("event_zone", event)
        for position in (((0, -1), 0), ((1, 1), 2), ((2, BEYOND), 6), ((99, 0), 0)):
            self.tell("since", position)


def test_what_a_nodes_api_reads(
    golden: Compare,
    reading: tuple[Ledger, node_reader.NodeReader],
    place: Location,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger, reader = reading
    told = Reading(reader)
    told.story.heading("Nothing is there")
    told.all()
    writer = LogWriter()
    writer.entry(kinds=("issue", "validate"), tickets=("A-1", "A-2"))
    writer.entry(kinds=("seed", "admit", "resolve"), tickets=("", "A-1", "A-3"))
    writer.entry()
    ledger.append([*writer.records, writer.checkpoint(), StateRecord(record_name(0), b"proof")])
    for record, codes in zip(
        writer.records, (["ok", "ok"], ["ok", "ok", "blocked"], ["ok", "ticket_not_found"]), strict=True
    ):
        ledger.notice(executed(record, codes))
    event = EventRow("The cup", "Europe/Berlin", 0, True, (), True, b"s" * 32, 1, 1, 0, START)
    gate = Principal("gate-a", b"k" * 32, (Grant(ANY_EVENT, "gate"),))
    rows = [ticket(number, *each) for number, each in enumerate(TICKETS, 1)]
    others = [
        ApplicationChange("event", ("cup",), event),
        ApplicationChange("principal", ("gate-a",), gate),
    ]
    ledger.materialise([*rows, *others], 3, START + 3)
    told.story.heading("Three entries and six tickets")
    told.all()
    told.story.heading("More than are counted, and more than are listed")
    monkeypatch.setattr(node_reader, "COUNTED_MAX", 5)
    monkeypatch.setattr(node_reader, "AT_ONCE", 2)
    for counted in ({}, {"ISSUED": 77}):
        told.tell("holdings", counted)
    told.tell("since", ((0, -1), 0))
    monkeypatch.setattr(node_reader, "COUNTED_MAX", 6)
    told.tell("holdings", {"ISSUED": 77})
    for most in (5, 4):
        monkeypatch.setattr(node_reader, "LISTED_MAX", most)
        told.story.say(f"at most {most}: {told.reader.since(((0, -1), 0)) is not None}")
    golden(beside(__file__, "node_reader"), str(told.story))
