"""Every metric as a scraper receives it: its kind, name, labels, bounds and text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from dtvn.node.metrics.names import ALL, counter, gauge, histogram
from tests.golden import Compare, Telling

GOLDEN = Path(__file__).parent / "golden"
MAKERS: dict[str, Callable[[str, CollectorRegistry], Any]] = {
    "counter": counter,
    "gauge": gauge,
    "histogram": histogram,
}


def test_every_metric(golden: Compare) -> None:
    story, registry = Telling(), CollectorRegistry()
    for metric in ALL:
        bounds = f" {metric.bounds}" if metric.kind == "histogram" else ""
        family = next(iter(MAKERS[metric.kind](metric.name, registry).collect()))
        labels = f" by {', '.join(metric.labels)}" if metric.labels else ""
        story.say(f"{family.type} {metric.name}{labels}{bounds}: {family.documentation}")
    golden(GOLDEN / "every-metric.txt", story.text)
