"""Renders a snapshot in the text format of Prometheus. The exporter keeps the page for concurrent scrapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from dtvn.node.metrics.figures import Histogram
from dtvn.node.metrics.names import ALL
from dtvn.node.metrics.snapshot import Value

__all__ = ["Page", "families"]

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Page(Collector):
    """A collector with its own registry, so that nothing else of the process is shown or counted twice."""

    def __init__(self) -> None:
        self._values: Mapping[str, Value] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def render(self, values: Mapping[str, Value]) -> bytes:
        """The page with these values."""
        self._values = values
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Family]:
        """See prometheus_client."""
        return families(self._values)


def families(values: Mapping[str, Value]) -> Iterable[Family]:
    """Every metric in the order of the table; without a sample if its value is not known."""
    for metric in ALL:
        family = _KINDS[metric.kind](metric.name, metric.text, labels=metric.labels)
        value = values.get(metric.name)
        if isinstance(value, Mapping):
            for labels, one in sorted(value.items()):
                _add(family, labels, one)
        elif value is not None:
            _add(family, (), value)
        yield family


def _add(family: Family, labels: tuple[str, ...], value: float | Histogram) -> None:
    if isinstance(family, HistogramMetricFamily):
        if not isinstance(value, Histogram):
            raise TypeError(f"{family.name} is a histogram")
        family.add_metric(labels, value.buckets(), value.total)
    elif isinstance(value, Histogram):
        raise TypeError(f"{family.name} is no histogram")
    else:
        family.add_metric(labels, value)


_KINDS: dict[str, type[Family]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}
