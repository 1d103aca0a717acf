"""Formatting of log values in the admin."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString

from dtvn.machine.contract import MICROSECONDS


def moment(microseconds: int) -> str:
    """A timestamp of the log as text; "" for none."""
    if not microseconds:
        return ""
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def outcome_pill(code: str) -> SafeString:
    """An outcome as a coloured label."""
    return format_html('<span class="pill plain {}">{}</span>', "ok" if code == "ok" else "bad", code)
