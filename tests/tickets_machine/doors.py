"""A machine with an event and its door: codes are issued, scanned, replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dtvn.machine import (
    Admit,
    AnsweredState,
    Command,
    EventRow,
    Issue,
    SetEvent,
    code_digest,
    default_salt,
    read_state,
)
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation, Outcome
from dtvn.protocol.genesis import Genesis, Grant, Principal, cluster_id
from tests.tickets_machine.support import Machine, genesis, public

EVENT = "opera"
PRINCIPALS = (
    Principal("gateway", public("g"), tuple(Grant("*", c) for c in ("issue", "operate", "gate", "admin"))),
    Principal("reader", public("r"), ()),
    Principal("scanner", public("s"), (Grant("*", "gate"),)),
)


class Door(Machine):
    """The scanner may admit in every event, and nothing else."""

    def __init__(
        self,
        founded: Genesis | None = None,
        *,
        created: bool = True,
        searched: bool = True,
        event: str = EVENT,
    ) -> None:
        super().__init__(founded or genesis(principals=PRINCIPALS), searched=searched)
        self.event = event
        self.salt = default_salt(cluster_id(self.genesis), event)
        if created:
            assert self.does(SetEvent(name="Opera", zone="Europe/Vienna")).code == "ok"

    def digest(self, text: str, event: str = "") -> bytes:
        """`event`: another one than the door's."""
        salt = default_salt(cluster_id(self.genesis), event) if event else self.salt
        return code_digest(salt, text)

    def digests(self, *texts: str, event: str = "") -> tuple[bytes, ...]:
        return tuple(self.digest(text, event) for text in texts)

    def does(self, command: Command, ticket: str = "", *, principal: str = "gateway", **more: Any) -> Outcome:
        """The outcome of one operation in the event."""
        operation = self.operation(command, ticket, **{"event": self.event} | more)
        return self.order(operation, principal=principal)[0]

    def issues(self, ticket: str, *texts: str, **fields: Any) -> Outcome:
        return self.does(Issue(codes=self.digests(*texts), **fields), ticket)

    def scans(
        self, text: str, *, ticket: str = "", gate: str = "north", principal: str = "scanner", **more: Any
    ) -> Outcome:
        """What a gate does with the text that it read."""
        command = Admit(gate=gate, device="d1", code=self.digest(text))
        return self.does(command, ticket, principal=principal, **more)

    def event_row(self, event: str = "") -> EventRow | None:
        """The event's row, as a ledger has it."""
        self.save()
        change = self.rows.get(("event", (event or self.event,)))
        return None if change is None else change.row


def answer(outcome: Outcome) -> AnsweredState:
    """What the gate is told of the ticket."""
    state = read_state(outcome.state)
    assert isinstance(state, AnsweredState)
    return state


def row(outcome: Outcome) -> EventRow:
    """The event in an outcome."""
    return canonical.decode(EventRow, outcome.state)


def with_payload(operation: Operation, fields: Sequence[object]) -> Operation:
    """The operation with a payload that `build` would not make."""
    return msgspec.structs.replace(operation, payload=canonical.encode(tuple(fields)))
