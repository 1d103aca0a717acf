from django.apps import AppConfig


class EventsConfig(AppConfig):
    """Judged runs of agents."""

    name = "events"
    verbose_name = "Agent events"

    def ready(self) -> None:
        """Give the live feed and the web process their parts about runs."""
        from validators.feed import parts
        from validators.web import parts as web_parts

        parts.add("events.feed")
        web_parts.add("events.web_part")
