"""Values that templates of pages and admin may use."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from dtvn.machine.kinds import ACTS, KINDS
from dtvn.machine.reasons import REASONS
from validators.rest.keys import caller_of_person
from validators.services.cluster_state import cluster_state

WORDS = {
    "verbs": {name: kind.verb for name, kind in KINDS.items() if kind.verb}
    | {name: act.outcome for name, (_, act) in ACTS.items() if act.outcome},
    "subjects": {name: kind.subject for name, kind in KINDS.items() if kind.subject},
    "reasons": {code: reason.sentence for code, reason in REASONS.items()},
}
"""For static/js/outcomes.js: words for applied operations by kind or verdict, for what they are about, and
sentences of reasons by code."""


def words(request: HttpRequest) -> dict[str, Any]:
    """`words`: WORDS."""
    return {"words": WORDS}


def state_of_cluster(request: HttpRequest) -> dict[str, Any]:
    """`cluster_state`, which a template calls only when it shows it; see services.cluster_state."""
    return {"cluster_state": cluster_state}


def access(request: HttpRequest) -> dict[str, Any]:
    """`may_read`: whether the visitor may see pages at all. `may_open`: the labels of the models whose lists
    in the admin it may open."""
    return {
        "may_read": SimpleLazyObject(lambda: caller_of_person(request) is not None),
        "may_open": SimpleLazyObject(lambda: _openable(request)),
    }


def _openable(request: HttpRequest) -> frozenset[str]:
    shown = admin.site._registry.items()
    return frozenset(
        model._meta.label_lower
        for model, each in shown
        if each.has_view_or_change_permission(request)  # type: ignore[attr-defined]
    )
