"""A door with lists, and what its scanners and its steward ask of them (D10, D11)."""

from __future__ import annotations

from typing import Any

from dtvn.machine import (
    Admit,
    Annul,
    EventList,
    Force,
    ListedState,
    SetEvent,
    State,
    read_state,
)
from dtvn.machine.movements import Visit
from dtvn.protocol.consensus.messages import Outcome
from dtvn.protocol.genesis import Genesis, Grant, Principal
from tests.tickets_machine.doors import EVENT, PRINCIPALS, Door
from tests.tickets_machine.support import HOUR, genesis, public

DAY = 24 * HOUR
STEWARD = Principal("steward", public("w"), (Grant("*", "gate"), Grant("*", "supervise")))


def founded() -> Genesis:
    """The gateway's `admin` gives `supervise`, as in genesis files of before; the steward has it by name."""
    return genesis(principals=(*PRINCIPALS, STEWARD))


def door_with(*lists: EventList, entries: int = 1, product: str = "Stalls", searched: bool = True) -> Door:
    """A door with these lists, and ticket T-1 with code ABC."""
    door = Door(founded(), searched=searched)
    assert door.does(SetEvent(products=(("Parking", False), ("Stalls", True)), lists=lists)).code == "ok"
    assert door.issues("T-1", "ABC", product=product, entries=entries).code == "ok"
    return door


def scan(door: Door, slug: str = "main", kind: Any = "entry", **more: Any) -> Outcome:
    """An entry or an exit by code, as the scanner at the north gate makes it."""
    command = Admit(
        gate=more.pop("gate", "north"),
        device=more.pop("device", "d1"),
        code=door.digest(more.pop("text", "ABC")),
        list=slug,
        kind=kind,
    )
    return door.does(command, **{"principal": "scanner"} | more)


def annul(door: Door, slug: str = "main", **more: Any) -> Outcome:
    command = Annul(
        gate="north",
        device=more.pop("device", "d1"),
        code=door.digest(more.pop("text", "ABC")),
        list=slug,
        reason=more.pop("reason", ""),
        supervised=more.pop("supervised", False),
        movement=more.pop("movement", b""),
    )
    return door.does(command, **{"principal": "scanner"} | more)


def force(door: Door, slug: str = "main", **more: Any) -> Outcome:
    command = Force(
        gate="north",
        device=more.pop("device", "d1"),
        code=door.digest(more.pop("text", "ABC")),
        list=slug,
        reason=more.pop("reason", "guest of the house"),
    )
    return door.does(command, **{"principal": "steward"} | more)


def codes(*outcomes: Outcome) -> list[str]:
    return [outcome.code for outcome in outcomes]


def visit(outcome: Outcome) -> Visit:
    state = read_state(outcome.state)
    assert isinstance(state, ListedState)
    return state.visit


def counted(door: Door) -> list[str]:
    """The lists of which the ticket keeps counts."""
    found = door.application.row(EVENT, "T-1")
    assert found is not None
    return [count.list for count in found.counts]


def status(door: Door) -> State:
    found = door.application.ticket(EVENT, "T-1")
    assert found is not None
    return found.state
