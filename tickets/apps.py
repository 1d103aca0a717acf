from django.apps import AppConfig


class TicketsConfig(AppConfig):
    """Ticket services, admin and API."""

    name = "tickets"
    verbose_name = "Tickets"

    def ready(self) -> None:
        """Give the web process its part about imports."""
        from validators.web import parts

        parts.add("tickets.web_part")
