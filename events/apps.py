from django.apps import AppConfig


class EventsConfig(AppConfig):
    """Judged runs of agents."""

    name = "events"
    verbose_name = "Agent events"

    def ready(self) -> None:
        """Give the live feed its part about runs."""
        from validators.feed import parts

        parts.add("events.feed")
