"""Judged runs in the admin, read-only. They are erased over the API."""

from __future__ import annotations

from django.contrib import admin

from events.models import JudgedRun
from validators.dashboard.readonly import ReadOnlyAdmin


@admin.register(JudgedRun)
class JudgedRunAdmin(ReadOnlyAdmin):
    """Runs and their verdicts; a run cannot be changed here."""

    list_display = ("id", "thread", "run", "algorithm", "status", "verdict", "code", "events", "created_at")
    list_filter = ("verdict", "status", "algorithm")
    search_fields = ("thread", "run", "code")
    fields = (
        *("thread", "run", "algorithm", "actor", "status", "verdict", "code", "failure"),
        *("events", "delivered", "refused", "scope", "recorded", "record_code", "epoch", "votes"),
        *("violations", "omitted", "pieces_left_out", "created_at", "changed_at", "ended_at"),
    )
    readonly_fields = fields
