"""Locks in the admin, read-only: who holds them until when, and who waits."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from dtvn.api.lock_lists import shown_holder
from dtvn.machine.rows import LockRow
from validators.dashboard.formatting import moment
from validators.data_folder.routers import LEARNER_ALIAS
from validators.ledger.lock_rows import Key, LockReader
from validators.ledger.read import applied_sequence

PAGE = "admin:ledger_operationrecord_locks"
PAGE_SIZE = 100

_copy = LockReader(LEARNER_ALIAS)


def locks_page(request: HttpRequest, *, allowed: bool) -> HttpResponse:
    """One page of the locks of all events, in the order of their keys."""
    if not allowed:
        raise PermissionDenied
    try:
        after = bytes.fromhex(request.GET.get("after", ""))
    except ValueError:
        return redirect(PAGE)
    sequence = applied_sequence(LEARNER_ALIAS)
    found, following = _copy.all_locks(PAGE_SIZE, after)
    context = {
        **admin.site.each_context(request),
        "title": "Locks",
        "sequence": sequence,
        "locks": [_shown(key, row) for key, row in found],
        "following": following.hex(),
    }
    return TemplateResponse(request, "admin/locks.html", context)


def _shown(key: Key, row: LockRow) -> dict[str, Any]:
    return {
        "event": key[0],
        "name": key[1],
        "principal": row.principal,
        "holder": shown_holder(row.holder),
        "token": str(row.token),
        "ends": moment(row.ends),
        "queue": [
            {
                "principal": waiter.principal,
                "holder": shown_holder(waiter.holder),
                "until": moment(waiter.until),
            }
            for waiter in _copy.queue(key)
        ],
    }
