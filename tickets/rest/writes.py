"""The routes that change tickets, ordered through this platform's gateway."""

from __future__ import annotations

import msgspec

from dtvn.api.answers import Answer
from dtvn.api.calls import Call
from dtvn.api.writes import BatchBody, answer_batch, answer_operation
from dtvn.machine import reasons
from dtvn.machine.bodies import OperationBody
from dtvn.machine.kinds import OPERATIONS
from tickets.rest.asking import PlatformAsking
from tickets.rest.objects import issued, seeded
from validators.rest.http import Handler
from validators.services.decide import batch

BATCH_BYTES_MAX = 16 * 1024 * 1024
DATA = {"seed": seeded, "issue": issued}
"""Kind to the function that makes `data` of its answer; the others have none."""


def operation(kind: str) -> Handler:
    """The handler of one kind of operation."""

    def operate(call: Call, body: OperationBody) -> Answer:
        """Have the operation ordered and return the cluster's decision."""
        asking = PlatformAsking(call)
        (decision,) = asking.order([asking.request(kind, body, call.idempotency_key)])
        (more,) = asking.members([decision])
        executed = kind in DATA and decision.code == reasons.OK
        return answer_operation(kind, decision, DATA[kind](decision) if executed else msgspec.UNSET, more)

    operate.__annotations__["body"] = OPERATIONS[kind].body  # what the mount parses, and the document shows
    return operate


def change_tickets(call: Call, body: BatchBody) -> Answer:
    """Execute several operations. Refusals are results; the answer is an error only if nothing was sent."""
    return answer_batch(call, body, PlatformAsking(call, batch))
