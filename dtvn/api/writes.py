"""The routes that change tickets: body to request, decision to answer. No decision is made here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from dtvn.api.answers import Answer, success
from dtvn.api.bodies import convert, request_of, with_event
from dtvn.api.calls import Call
from dtvn.api.errors import ApiError, InvalidRequest, ServiceError
from dtvn.api.ordering import BATCH_OPERATIONS_MAX, Decision, Request
from dtvn.machine import CAPABILITY, Issue, reasons
from dtvn.machine.bodies import Body
from dtvn.machine.kinds import OPERATIONS
from dtvn.protocol import canonical


class BatchBody(Body, frozen=True, kw_only=True):
    """Body of /tickets/batch."""

    operations: Annotated[
        list[Any],
        msgspec.Meta(
            max_length=BATCH_OPERATIONS_MAX,
            description=f"a list of at most {BATCH_OPERATIONS_MAX} items",
            extra_json_schema={
                "items": {
                    "type": "object",
                    "required": ["op"],
                    "properties": {"op": {"type": "string"}, "ticket_id": {"type": "string"}},
                }
            },
        ),
    ]


class BatchItem(msgspec.Struct, frozen=True):
    """Fields of one operation in a batch, besides the operation's own body."""

    op: Annotated[
        Literal[*OPERATIONS],  # type: ignore[valid-type]
        msgspec.Meta(description=f"one of {', '.join(OPERATIONS)}"),
    ]


def answer_operation(kind: str, decision: Decision, data: Any = msgspec.UNSET) -> Answer:
    """The answer to an executed operation. `data`: of a seed or an issue."""
    return success(OPERATIONS[kind].message, data, sequence=decision.result.sequence)


def issued_ticket(decision: Decision) -> tuple[bytes, bytes] | None:
    """Canonical (state, issued) of the ticket that an issue created, from its outcome without a read; None if
    only the code is known, as for repeats (R16)."""
    command, state = decision.request.command, decision.result.state
    return (state, canonical.encode_trimmed(command)) if state and isinstance(command, Issue) else None


def answer_batch(call: Call, body: BatchBody, order: Callable[[list[Request]], list[Decision]]) -> Answer:
    """Up to 10,000 operations: in order, not atomic, each with the status of its single call.

    Refusals are results; only where nothing was sent at all is the answer an error. `order`: has
    requests ordered (`ordering.decide_batch`).
    """
    if call.idempotency_key is not None:
        raise InvalidRequest("Idempotency-Key: give each operation of a batch its own nonce")
    results: list[dict[str, Any]] = []
    requests: list[Request] = []
    for item in body.operations:
        ticket = item.get("ticket_id") if isinstance(item, dict) else None
        results.append({"ticket_id": ticket if isinstance(ticket, str) else ""})
        try:
            requests.append(_read_item(item, call))
        except ServiceError as error:
            results[-1] |= {"status": error.status, "code": error.code, "error": str(error)}
    decisions = order(requests) if requests else []
    if decisions and all(decision.code in reasons.NOT_SENT for decision in decisions):
        decisions[0].check()
    waiting = iter(decisions)
    for result in results:
        if "status" not in result:
            result |= _told(next(waiting))
    counts = Counter(str(result["status"]) for result in results)
    sequence = max((decision.result.sequence for decision in decisions), default=0)
    later = {"Retry-After": "1"} if counts.keys() & {"503", "504"} else {}
    return success(data={"results": results, "counts": counts}, sequence=sequence or None, headers=later)


def _read_item(item: Any, call: Call) -> Request:
    if not isinstance(item, dict):
        raise InvalidRequest("each operation must be an object")
    kind = convert(item, BatchItem).op
    request = request_of(kind, convert(with_event(item, call.only_event), OPERATIONS[kind].body))
    if CAPABILITY[kind] not in call.scopes:
        raise ApiError(403, reasons.NOT_PERMITTED, f"This needs the scope {CAPABILITY[kind]!r}.")
    call.require_event(request.event)
    return request


def _told(decision: Decision) -> dict[str, Any]:
    if decision.code == reasons.OK:
        return {"status": decision.status}
    return {"status": decision.status, "code": decision.code, "error": decision.sentence}
