"""Reads a page of metrics as Prometheus does, with a parser that is not ours."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


class Page:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.types: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.samples: dict[tuple[str, Labels], float] = {}
        for family in text_string_to_metric_families(text):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            self.types[name] = family.type
            self.texts[name] = family.documentation
            for sample in family.samples:
                self.samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value

    def value(self, name: str, **labels: str) -> float | None:
        """The sample with exactly these labels, or None."""
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def number(self, name: str, **labels: str) -> float:
        """The sample with exactly these labels, which must be there."""
        found = self.value(name, **labels)
        assert found is not None, f"{name} {labels}"
        return found

    def of(self, name: str) -> Mapping[Labels, float]:
        """All samples of a name, by labels."""
        return {labels: value for (found, labels), value in self.samples.items() if found == name}


def scrape(address: tuple[str, int]) -> Page:
    """GET /metrics."""
    response = httpx.get(f"http://{address[0]}:{address[1]}/metrics", timeout=10, trust_env=False)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    return Page(response.text)
