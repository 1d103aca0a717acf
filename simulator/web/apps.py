from django.apps import AppConfig


class SimulatorConfig(AppConfig):
    """Simulator runs of the platform."""

    name = "simulator.web"
    label = "simulator"
    verbose_name = "Simulator"
