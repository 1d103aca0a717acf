"""Values that templates of pages and admin may use."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from dtvn.api.rights import READ
from dtvn.machine.kinds import ACTS, KINDS
from dtvn.machine.reasons import REASONS
from validators.models import ApiKey
from validators.rest.keys import caller_of_person
from validators.services.cluster_state import cluster_state
from validators.services.following import is_follower
from validators.services.teams import within

PLAIN_VERBS = {"issue": "added", "validate": "checked", "consume": "used"}
PLAIN_CODES = {
    "already_consumed": "used already",
    "not_validated": "not checked",
    "barcode_not_found": "unknown code",
    "ticket_not_found": "unknown ticket",
}
PLAIN_REASONS = {
    "already_consumed": "The ticket was used already.",
    "not_validated": "The ticket was not checked before.",
    "ticket_exists": "A ticket with this id was added before.",
}
"""Words of the pages for what the API says in those of the contract."""
PLAIN_STATES = {
    "issued": "not entered",
    "validated": "checked",
    "consumed": "used",
    "disputed": "disputed",
    "upheld": "dispute upheld",
}
"""The same for states of a ticket."""
WORDS = {
    "verbs": {name: kind.verb for name, kind in KINDS.items() if kind.verb}
    | {name: act.outcome for name, (_, act) in ACTS.items() if act.outcome}
    | PLAIN_VERBS,
    "subjects": {name: kind.subject for name, kind in KINDS.items() if kind.subject},
    "reasons": {code: reason.sentence for code, reason in REASONS.items()} | PLAIN_REASONS,
    "codes": PLAIN_CODES,
    "states": PLAIN_STATES,
}
CALLERS_MAX = 500
NAMED = frozenset(
    {
        "ApiKey",
        "ConsensusEntry",
        "EventTimeZone",
        "ManagedNode",
        "MemberEvidence",
        "MembershipChange",
        "OperationRecord",
        "Ticket",
        "TicketHolder",
    }
)
"""Models whose lists, or whose page instead, the index of the admin names in words of its own."""
"""For static/js/outcomes.js: words for applied operations by kind or verdict, for what they are about, and
sentences of reasons by code, short words for some of these codes, and words for states of a ticket."""


def words(request: HttpRequest) -> dict[str, Any]:
    """`words`, which a template calls only when it shows it: WORDS; `callers`, names of the newest API keys
    by actor, of the visitor's events; `places`, addresses of the pages that outcomes lead to."""

    def shown() -> dict[str, Any]:
        caller = caller_of_person(request)
        named = {} if caller is None else callers(caller.rights.events())
        return WORDS | {"callers": named, "places": _places(request)}

    return {"words": shown}


def callers(events: frozenset[str] | None = None) -> dict[str, str]:
    """Actor -> label, of the newest API keys whose teams are for none but these events; None: of all."""
    newest = ApiKey.objects.select_related("team").order_by("-pk")[:CALLERS_MAX]
    return {f"key:{key.pk}": key.label for key in newest if within(key.team, events)}


def _places(request: HttpRequest) -> dict[str, str]:
    """Page -> address. That of the log is "" for who may not open it, and goes on with an operation's id."""
    log = reverse("admin:ledger_operationrecord_changelist")
    return {
        "tickets": reverse("tickets:page"),
        "lists": reverse("tickets:events"),
        "log": log if "ledger.operationrecord" in _openable(request) else "",
    }


def state_of_cluster(request: HttpRequest) -> dict[str, Any]:
    """`cluster_state`, which a template calls only when it shows it; see services.cluster_state."""
    return {"cluster_state": cluster_state, "follows": is_follower()}


def access(request: HttpRequest) -> dict[str, Any]:
    """`may_read`: whether the visitor may see pages at all; `may_read_all`: those of no event, too.
    `may_open`: the labels of the models whose lists in the admin it may open."""

    def reads_all() -> bool:
        caller = caller_of_person(request)
        return caller is not None and caller.rights.may(READ, None)

    return {
        "may_read": SimpleLazyObject(lambda: caller_of_person(request) is not None),
        "may_read_all": SimpleLazyObject(reads_all),
        "may_open": SimpleLazyObject(lambda: _openable(request)),
    }


def index_of_admin(request: HttpRequest) -> dict[str, Any]:
    """`also`, for the index of the admin, which calls it: the lists that it does not name in its own words,
    so that each is named once."""
    return {"also": lambda: _also(request)}


def _also(request: HttpRequest) -> list[dict[str, Any]]:
    models = [model for app in admin.site.get_app_list(request) for model in app["models"]]
    return [model for model in models if model["admin_url"] and model["object_name"] not in NAMED]


def _openable(request: HttpRequest) -> frozenset[str]:
    shown = admin.site._registry.items()
    return frozenset(
        model._meta.label_lower
        for model, each in shown
        if each.has_view_or_change_permission(request)  # type: ignore[attr-defined]
    )
