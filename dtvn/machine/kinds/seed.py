"""seed: the demonstration tickets are created."""

from __future__ import annotations

from typing import ClassVar

from dtvn.machine import bodies, reasons
from dtvn.machine.context import Context
from dtvn.machine.fields import Command
from dtvn.machine.kinds.kind import Kind, Rest, Result
from dtvn.machine.registry import TICKETS_MAX
from dtvn.machine.seed import SEED_COUNT, SEED_TICKETS
from dtvn.machine.ticket import Seeded, Ticket, read_terms
from dtvn.machine.transitions import State
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation

NONE_CREATED = canonical.encode(Seeded(created=0))


class Seed(Command, frozen=True):
    """Create those of the 500 demonstration tickets that do not exist; names no ticket."""


class SeedBody(bodies.OperationBody, frozen=True, kw_only=True):
    """Body of /tickets/seed, which may be empty."""

    may_be_unreadable: ClassVar[bool] = True


def rule(at: Context, operation: Operation, command: Seed, ticket: Ticket | None) -> Result:
    """Create the demonstration tickets that do not exist; existing ones do not change."""
    if not at.demo:
        return reasons.DEMO_ONLY, NONE_CREATED
    if len(at.registry) > TICKETS_MAX - SEED_COUNT:
        return reasons.FULL, NONE_CREATED
    event = operation.event
    missing = [item for item in SEED_TICKETS if at.registry.get(event, item[0]) is None]
    if missing:
        at.count(operation)
    for name, issued in missing:
        state = at.state(operation, name, State.ISSUED)
        terms = read_terms(issued)
        at.registry.create(event, name, state, issued, terms)
        if not at.events.full(event, terms.product):
            at.events.add(event, terms.product, at.moment, coded=False)
    return reasons.OK, canonical.encode(Seeded(created=len(missing)))


KIND = Kind(
    name="seed",
    command=Seed,
    rule=rule,
    capability="admin",
    names="event",
    subject="demo tickets",
    repeated=NONE_CREATED,
    rest=Rest(SeedBody, "Tickets seeded", "Create the 500 demo tickets that do not exist yet.", example=None),
    verb="seeded",
    event_type="tickets_seeded",
    plain=False,
)
