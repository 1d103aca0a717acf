"""The routes that change tickets, ordered through this platform's gateway."""

from __future__ import annotations

from functools import partial

import msgspec

from dtvn.api.answers import Answer
from dtvn.api.calls import Call
from dtvn.api.operations import answer_batch, answer_operation, request_of
from tickets.rest.objects import issued, seeded
from tickets.services import batch, decide_one

__all__ = ["BATCH_BYTES_MAX", "change_tickets", "operate"]

BATCH_BYTES_MAX = 16 * 1024 * 1024
DATA = {"seed": seeded, "issue": issued}
"""Kind to the function that makes `data` of its answer; the others have none."""


def operate(kind: str, call: Call) -> Answer:
    """Have the operation ordered and return the cluster's decision."""
    decision = decide_one(request_of(kind, call), actor=call.actor)
    return answer_operation(kind, decision, DATA[kind](decision) if kind in DATA else msgspec.UNSET)


def change_tickets(call: Call) -> Answer:
    """Refusals are results; only where nothing was sent at all is the answer an error."""
    return answer_batch(call, call.scopes, partial(batch, actor=call.actor))
