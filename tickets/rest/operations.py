"""The routes that change tickets: they read the body, call the service and return the outcome, without
deciding anything."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework.request import Request as HttpRequest

from dtvn.machine import CAPABILITY, reasons
from tickets.rest.bodies import KINDS, MESSAGES, Fields, fields_of, nonce_of, read_fields, request_of
from tickets.rest.objects import issued_ticket, seeded
from tickets.services import BATCH_OPERATIONS_MAX, InvalidRequest, Request, batch, decide_one
from tickets.services.decide import Decision
from validators.rest.errors import RETRY_AFTER, ApiError
from validators.rest.http import ApiView, read_body, success

__all__ = ["BatchView", "OperationView"]

BATCH_BYTES_MAX = 16 * 1024 * 1024


class OperationView(ApiView):
    """POST of one operation; `kind` is set where the route is."""

    needs_nodes = True
    kind: ClassVar[str] = ""

    def post(self, http: HttpRequest) -> HttpResponse:
        """Have the operation ordered and return the cluster's decision."""
        fields = fields_of(self.kind, read_body(http))
        request = request_of(
            self.kind, fields, nonce_of(http._request.META.get("HTTP_IDEMPOTENCY_KEY"), fields)
        )
        decision = decide_one(request, actor=self.caller().actor)
        message, sequence = MESSAGES[self.kind], decision.result.sequence
        if self.kind == "seed":
            return success(message, seeded(decision), sequence=sequence)
        if self.kind == "issue":
            return success(message, issued_ticket(decision), sequence=sequence)
        return success(message, sequence=sequence)


def operation_view(kind: str) -> Any:
    """The view of one kind, requiring the same scope as genesis does."""
    fields = {"kind": kind, "scopes": {"POST": CAPABILITY[kind]}}
    view: type[OperationView] = type(f"{kind.capitalize()}View", (OperationView,), fields)
    return view.as_view()


class BatchView(ApiView):
    """POST of up to 10,000 operations: in order, not atomic, each with the status of its single call."""

    needs_nodes = True

    def post(self, http: HttpRequest) -> HttpResponse:
        """Refusals are results; only where nothing was sent at all is the answer an error."""
        if "HTTP_IDEMPOTENCY_KEY" in http._request.META:
            raise InvalidRequest("Idempotency-Key: give each operation of a batch a nonce of its own")
        fields = read_fields(read_body(http, limit=BATCH_BYTES_MAX))
        items = fields.objects("operations", most=BATCH_OPERATIONS_MAX)
        caller = self.caller()
        results: list[dict[str, Any]] = []
        requests: list[Request] = []
        for item in items:
            ticket = item.get("ticket_id") if isinstance(item, dict) else None
            result: dict[str, Any] = {"ticket_id": ticket if isinstance(ticket, str) else ""}
            results.append(result)
            try:
                requests.append(_read_item(item, caller.scopes))
            except InvalidRequest as error:
                result |= {"status": error.status, "code": error.code, "error": str(error)}
            except ApiError as error:
                result |= {"status": error.status, "code": error.code, "error": error.sentence}
        decisions = batch(requests, actor=caller.actor) if requests else []
        if decisions and all(decision.code in reasons.NOT_SENT for decision in decisions):
            decisions[0].check()
        waiting = iter(decisions)
        for result in results:
            if "status" not in result:
                _tell(result, next(waiting))
        counts = Counter(str(result["status"]) for result in results)
        sequence = max((decision.result.sequence for decision in decisions), default=0)
        later = {"Retry_After": RETRY_AFTER[503]} if counts.keys() & {"503", "504"} else {}
        return success(data={"results": results, "counts": counts}, sequence=sequence or None, **later)


def _read_item(item: Any, scopes: frozenset[str]) -> Request:
    if not isinstance(item, dict):
        raise InvalidRequest("each operation must be an object")
    fields = Fields(item)
    kind = fields.text("op")
    if kind not in KINDS:
        raise InvalidRequest(f"op must be one of {', '.join(KINDS)}")
    request = request_of(kind, fields, fields.nonce())
    if CAPABILITY[kind] not in scopes:
        raise ApiError(403, reasons.NOT_PERMITTED, f"This needs the scope {CAPABILITY[kind]!r}.")
    return request


def _tell(result: dict[str, Any], decision: Decision) -> None:
    result["status"] = decision.status
    if decision.code != reasons.OK:
        result |= {"code": decision.code, "error": decision.sentence}
