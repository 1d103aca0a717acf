"""The smallest histories that break a checker's promise, and what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec

from dtvn.machine import (
    Command,
    Consume,
    State,
    TicketState,
)
from dtvn.machine.commands import build
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from tests.simulation.stand_ins import StandInHistory, StandInWorld, word

NOON = 20_000 * 86_400_000_000 + 43_200_000_000
ROOTS = word("state"), word("log"), 50
GATE: Any = SimpleNamespace(name="gate", principal="gate")
FIRES: list[tuple[Callable[[], object], str]] = []


def fires(sentence: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Register a history that ends in this violation."""

    def register(history: Callable[[], object]) -> Callable[[], object]:
        FIRES.append((history, sentence))
        return history

    return register


def operation(command: Command, ticket: str = "", **said: Any) -> m.Operation:
    return build(
        command, ticket=ticket, **{"actor": "anna", "entry": "m0", "valid_until": NOON + 900_000_000, **said}
    )


def consumes(ticket: str = "a", **said: Any) -> m.Operation:
    return operation(Consume(), ticket, **said)


def shown(ticket: str, sequence: int = 1) -> bytes:
    last = 1, sequence, 0, "consume", "gate", "anna", b"", "", "", "", (0,)
    return canonical.encode(TicketState("default", ticket, State.CONSUMED, "m0", *last))


def world_of(members: int = 4, **said: Any) -> Any:
    return StandInWorld(members, **said)


def logged(
    world: Any, kind: Any, *batches: tuple[m.Operation, str, bytes], at: int = NOON, **said: Any
) -> Any:
    """A checker that read a log of these operations, a batch each, and is told so."""
    history: Any = StandInHistory(world)
    checker = kind(world, history)
    for number, (done, code, state) in enumerate(batches, 1):
        history.batch(at + number, (done, m.Outcome(code, state)), **said)
    checker.persisted(world.nodes["m0"], [])
    return checker


def signed(world: Any, message: Any, *senders: int) -> tuple[bytes, ...]:
    return tuple(world.sign(msgspec.structs.replace(message, sender=each)) for each in senders)


def vote(kind: Any = m.Prepare, *, sender: int = 0, what: str = "batch") -> Any:
    return kind(0, sender, 1, 5, word(what))
