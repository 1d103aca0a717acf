"""Frames of the simulator for the live feed: read from the rows, in order, each once per web process."""

from __future__ import annotations

from typing import Any

from simulator.web.models import SimulatorEvent
from simulator.web.services import current_run, shown_status

FRAMES_MAX = 500
"""Most frames of one poll; the rest follows with the next."""
MEMBERS = {
    "simulator_status": "status",
    "simulator_output": "line",
    "simulator_progress": "progress",
    "simulator_results": "results",
}
"""Frame type -> the member that holds its content."""


def newest_event() -> int:
    """Number of the newest event; 0 before the first."""
    return SimulatorEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0


def read_frames(after: int) -> tuple[int, list[dict[str, Any]]]:
    """The frames that followed event `after`, and the number of the last of them."""
    events = list(SimulatorEvent.objects.filter(id__gt=after).order_by("id")[:FRAMES_MAX])
    if not events:
        current_run()  # detects a run whose process died; its end is in the next poll
    frames = [{"type": event.type, MEMBERS[event.type]: event.content} for event in events]
    return (events[-1].id if events else after), frames


def status_now() -> str:
    """Status for the first frame of a client, and for /status."""
    return shown_status(current_run())
