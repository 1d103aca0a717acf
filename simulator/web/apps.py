from importlib import import_module
from typing import Any

from django.apps import AppConfig


class SimulatorConfig(AppConfig):
    """Simulator runs of the platform."""

    name = "simulator.web"
    label = "simulator"
    verbose_name = "Simulator"

    def ready(self) -> None:
        """Give the live feed its part about the simulator."""
        from validators.feed import simulation

        simulation.simulator = LazyFeed()


class LazyFeed:
    """`simulator.web.feed`, imported with the simulator when the feed first asks: no node needs either."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module("simulator.web.feed"), name)
