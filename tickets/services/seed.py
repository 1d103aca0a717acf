"""Create the 500 demonstration tickets that do not exist yet, in one ordered operation."""

from dtvn.machine import Seed, seeded_count
from dtvn.machine.commands import DEFAULT_EVENT
from tickets.services.decide import Decision, Request, decide_one


def seed(
    *, actor: str, event: str = DEFAULT_EVENT, nonce: bytes = b"", entry: str | None = None
) -> tuple[Decision, int]:
    """The decision, and the number of new tickets; refused unless genesis says `demo: true` (R15)."""
    decision = decide_one(Request(Seed(), event=event, nonce=nonce), actor=actor, entry=entry)
    return decision, seeded_count(decision.result.state)
