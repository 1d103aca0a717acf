from django.apps import AppConfig

from validators.feed import simulation


class SimulatorConfig(AppConfig):
    """Simulator runs of the platform."""

    name = "simulator.web"
    label = "simulator"
    verbose_name = "Simulator"

    def ready(self) -> None:
        """Give the live feed its part about the simulator."""
        from simulator.web import feed  # its models exist only now

        simulation.simulator = feed
