"""Frames of judged runs for the live feed: which runs have changed. Pages ask for what they show of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Max

from events.models import JudgedRun

RUNS_MAX = 100
"""Most runs that one frame names, those that changed last."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


def newest_event() -> int:
    """Unix microseconds at which a run last changed; 0 before the first run."""
    newest = JudgedRun.objects.aggregate(newest=Max("changed_at"))["newest"]
    return 0 if newest is None else (newest - _EPOCH) // _TICK


def read_frames(after: int) -> tuple[int, list[dict[str, Any]]]:
    """(time of the newest change, one frame with the ids of the runs that changed after `after`); no frame if
    none did. Times are Unix microseconds."""
    changed = JudgedRun.objects.filter(changed_at__gt=_EPOCH + after * _TICK).order_by("-changed_at")
    rows = list(changed.values_list("id", "changed_at")[:RUNS_MAX])
    if not rows:
        return after, []
    return (rows[0][1] - _EPOCH) // _TICK, [{"type": "event_runs", "runs": [row[0] for row in rows]}]
