"""What the admin's list of tickets offers, made of the table of kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join

from dtvn.api.bodies import convert, request_of
from dtvn.api.errors import ServiceError
from dtvn.api.ordering import Decision
from dtvn.machine.fields import REASON_LENGTH_MAX
from dtvn.machine.kinds import ACTS, OPERATIONS, Act, Kind
from dtvn.machine.reasons import OUTCOME_UNKNOWN
from tickets.pages.handover import followed
from tickets.pages.ticket_facts import BY_CODE_ONLY
from tickets.services.codes import by_name_only
from validators.dashboard.confirming import confirmed
from validators.data_folder.routers import LEARNER_ALIAS
from validators.feed import wait_for
from validators.ledger.models import Ticket
from validators.ledger.read import event_row
from validators.ledger.state_rows import unpack_ticket
from validators.rest.http import OWN_WRITES_WAIT
from validators.rest.keys import actor_of, may
from validators.services.decide import batch

OFFERED = {name: found for name, found in ACTS.items() if not found[1].inputs}
"""The acts that need nothing but a reason; the tickets page has the others."""
GIVEN_WITH = ", ".join(name for name, (_, act) in OFFERED.items() if act.reason)
"""The acts that take a reason."""


def _action(kind: Kind, act: Act) -> Callable[..., HttpResponse | None]:
    """The admin action of an act, whose name it has; it needs has_<capability>_permission."""

    def decide(model_admin: Any, request: HttpRequest, queryset: QuerySet[Ticket]) -> None:
        fields = dict(act.fields)
        if act.reason:
            fields["reason"] = request.POST.get("reason", "")[:REASON_LENGTH_MAX]
        _decide(model_admin, request, queryset, kind, fields, act.past)

    decide.__name__ = act.name
    asking: Callable[..., Any] = decide
    if act.consequence:
        asking = confirmed(act.question or act.title, lambda _: act.consequence)(decide)
    handed = followed(act)(asking)
    return admin.action(description=act.label or act.title, permissions=[kind.capability])(handed)


def _decide(
    model_admin: Any,
    request: HttpRequest,
    queryset: QuerySet[Ticket],
    kind: Kind,
    fields: dict[str, str],
    done: str,
) -> None:
    """Have one operation ordered per chosen ticket, and report the outcome of each."""
    chosen = list(queryset)
    if kind.name == "admit" and not may(request, "operate"):
        rows = {event: event_row(LEARNER_ALIAS, event) for event in {one.event for one in chosen}}
        by_name = [one for one in chosen if by_name_only(rows[one.event], unpack_ticket(one.row))]
        if by_name:
            withheld = [one.ticket_id for one in by_name]
            model_admin.message_user(
                request, f"Not admitted: {', '.join(withheld)}. {BY_CODE_ONLY}", messages.WARNING
            )
            chosen = [one for one in chosen if one not in by_name]
    body = OPERATIONS[kind.name].body
    named = [{"ticket_id": one.ticket_id, "event": one.event} | fields for one in chosen]
    try:
        requests = [request_of(kind.name, convert(members, body)) for members in named]
        decisions = batch(requests, actor=actor_of(request.user))
    except ServiceError as error:
        model_admin.message_user(request, f"Nothing changed: {error}", messages.ERROR)
        return
    wait_for(max((decision.result.sequence for decision in decisions), default=0), OWN_WRITES_WAIT)
    unknown = [one for one in decisions if one.code == OUTCOME_UNKNOWN]
    refused = [one for one in decisions if one.code not in ("ok", OUTCOME_UNKNOWN)]
    _report(request, done, [one for one in decisions if one.code == "ok"], messages.SUCCESS)
    _report(request, "not " + done, refused, messages.WARNING)
    _report(request, "perhaps " + done, unknown, messages.WARNING)


def _report(request: HttpRequest, word: str, decisions: Sequence[Decision], level: int) -> None:
    if not decisions:
        return
    lines = format_html_join(
        "",
        "<li><b>{}</b> {}{}</li>",
        (
            (
                decision.request.ticket,
                word if decision.code == "ok" else decision.sentence.removesuffix("."),
                f", at sequence {decision.result.sequence}" if decision.result.sequence else "",
            )
            for decision in decisions
        ),
    )
    text = format_html("{} {}:<ul>{}</ul>", len(decisions), word, lines)
    messages.add_message(request, level, text)


ACTIONS = [_action(kind, act) for kind, act in OFFERED.values()]
