"""Judged runs in the web process: what waits for the members is judged from its start on, and counted."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from events.services import owed_rows
from events.services.settling import settling


def begin() -> None:
    """See WebPart."""
    settling.settler.wake()


def collect() -> Iterable[Metric]:
    """See WebPart."""
    waiting = GaugeMetricFamily(
        "dtvn_platform_event_owed",
        "Runs that the platform's rules judged alone and that wait for the members.",
        owed_rows.count(),
    )
    settled = CounterMetricFamily(
        "dtvn_platform_event_settled",
        "Such runs that the members have judged since, by whether they said otherwise.",
        labels=("differs",),
    )
    for differs, label in ((False, "no"), (True, "yes")):
        settled.add_metric((label,), settling.settled[differs])
    return waiting, settled
