"""Parts of the web process that apps above this one hand over when Django starts, as those of the feed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Protocol

from prometheus_client.metrics_core import Metric


class WebPart(Protocol):
    """A module of such an app."""

    def begin(self) -> None:
        """Called once when the web process begins to serve."""

    def collect(self) -> Iterable[Metric]:
        """Metrics, at each scrape. Raises DatabaseError."""


_names: list[str] = []


def add(name: str) -> None:
    """Add a part by the name of its module, which is imported at first use: no node needs it."""
    if name not in _names:
        _names.append(name)


def parts() -> list[WebPart]:
    """All parts."""
    return [import_module(name) for name in _names]  # type: ignore[misc]


def begin() -> None:
    """Let all parts begin; called once Django is set up."""
    for part in parts():
        part.begin()
