"""The routes that change tickets: body to request, decision to answer. No decision is made here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal, Protocol

import msgspec

from dtvn.api.answers import Answer, success
from dtvn.api.bodies import convert, with_event
from dtvn.api.calls import Call
from dtvn.api.errors import InvalidRequest, ServiceError
from dtvn.api.ordering import BATCH_OPERATIONS_MAX, Decision, Request
from dtvn.api.outcome import untold
from dtvn.machine import CAPABILITY, AnsweredState, Issue, read_state, reasons, terms_bytes
from dtvn.machine.bodies import Body, OperationBody
from dtvn.machine.kinds import KIND_OF, KINDS, OPERATIONS
from dtvn.machine.movements import EXIT


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


Members = dict[str, Any]
"""Members of an answer, or of a result in a batch, besides those that all have."""


def answer_operation(
    kind: str, decision: Decision, data: Any = msgspec.UNSET, more: Members | None = None
) -> Answer:
    """The answer to an operation; raises TicketError unless it was executed. `data`: of a seed or an issue.
    `more`: see `members_of`, of which it is the default."""
    more = members_of(decision) if more is None else more
    sequence = decision.check(more).result.sequence
    return success(_message(kind, more), data, sequence=sequence, more=more)


def members_of(decision: Decision) -> Members:
    """What an answer says besides, by the kind of the operation (Rest.full)."""
    state = decision.result.state
    if OPERATIONS[KIND_OF[type(decision.request.command)]].full:
        made: Members = msgspec.to_builtins(decision.told)
        return made | (decision.hint.members if decision.hint is not None else {})
    found = read_state(state) if isinstance(decision.request.command, Issue) else None
    added = isinstance(found, AnsweredState) and found.product_added
    return {"product_added": True} if added else {}


def members_untold(kind: Any, error: ServiceError) -> Members:
    """The same, of an error that came before any decision about an operation of this kind, if it is one."""
    rest = OPERATIONS.get(kind) if isinstance(kind, str) else None
    if rest is None or not rest.full:
        return {}
    made: Members = msgspec.to_builtins(untold(error.code, error.status))
    return made


def _message(kind: str, more: Members) -> str:
    """The message of a success; with what a steward reads out, or must know."""
    message = OPERATIONS[kind].message
    if more.get("product_added"):
        return f"{message}; product added as an entrance"
    if kind == "admit" and more.get("kind") == EXIT:
        return "Exit recorded"
    if more.get("outcome") != "admitted" or kind not in ("admit", "force"):
        return message
    seat = f"seat {more['seat']}" if more["seat"] else ""
    told = ", ".join(filter(None, (more["product"], seat)))
    return f"{message}: {told}" if told else message


def issued_ticket(decision: Decision) -> tuple[bytes, bytes] | None:
    """Canonical (state, issued) of the ticket that an issue created, from its outcome without a read; None if
    only the code is known, as for repeats (R16)."""
    command, state = decision.request.command, decision.result.state
    return (state, terms_bytes(command)) if state and isinstance(command, Issue) else None


class Asking(Protocol):
    """How a mount makes requests of bodies, and answers of decisions."""

    def request(self, kind: str, body: OperationBody, header: str | None = None) -> Request:
        """See request_of."""

    def order(self, requests: list[Request]) -> list[Decision]:
        """Has them ordered (`ordering.decide_batch`)."""

    def members(self, decisions: Sequence[Decision]) -> list[Members]:
        """See `members_of`, of each."""


def answer_batch(call: Call, body: BatchBody, asking: Asking) -> Answer:
    """Up to 10,000 operations: in order, not atomic, each with the status of its single call.

    Refusals are results; only where nothing was sent at all is the answer an error.
    """
    if call.idempotency_key is not None:
        raise InvalidRequest("Idempotency-Key: give each operation of a batch its own nonce")
    results: list[dict[str, Any]] = []
    requests: list[Request] = []
    unread: ServiceError | None = None
    for item in body.operations:
        ticket = item.get("ticket_id") if isinstance(item, dict) else None
        results.append({"ticket_id": ticket if isinstance(ticket, str) else ""})
        try:
            requests.append(_read_item(item, call, asking))
        except ServiceError as error:
            results[-1] |= {"status": error.status, "code": error.code, "error": str(error)}
            results[-1] |= _named(members_untold(item.get("op") if isinstance(item, dict) else None, error))
            unread = unread or (error if error.status == HTTPStatus.SERVICE_UNAVAILABLE else None)
    if unread is not None and not requests:
        raise unread
    decisions = asking.order(requests) if requests else []
    if decisions and all(decision.code in reasons.NOT_SENT for decision in decisions):
        decisions[0].check()
    waiting = zip(decisions, asking.members(decisions), strict=True)
    for result in results:
        if "status" not in result:
            result |= _result(*next(waiting))
    counts = Counter(str(result["status"]) for result in results)
    sequence = max((decision.result.sequence for decision in decisions), default=0)
    later = {"Retry-After": "1"} if counts.keys() & {"503", "504"} else {}
    return success(data={"results": results, "counts": counts}, sequence=sequence or None, headers=later)


def require_scopes(call: Call, kind: str, event: str) -> None:
    """Raise ApiError (403) unless the caller may ask for operations of this kind at this event."""
    for scope in filter(None, (CAPABILITY[kind], KINDS[kind].besides)):
        call.rights.require(scope, event)


def _read_item(item: Any, call: Call, asking: Asking) -> Request:
    if not isinstance(item, dict):
        raise InvalidRequest("each operation must be an object")
    kind = convert(item, BatchItem).op
    body = convert(with_event(item, call.rights.only_event), OPERATIONS[kind].body)
    require_scopes(call, kind, body.event)
    return asking.request(kind, body)


def _result(decision: Decision, more: Members) -> dict[str, Any]:
    said: dict[str, Any] = {"status": decision.status}
    if decision.code != reasons.OK:
        said |= {"code": decision.code, "error": decision.sentence}
    return said | _named(more)


def _named(more: Members) -> Members:
    """The members of a result, which names the ticket that was asked for where no other is known."""
    return {name: value for name, value in more.items() if name != "ticket_id" or value is not None}
