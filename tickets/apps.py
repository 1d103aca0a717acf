from django.apps import AppConfig


class TicketsConfig(AppConfig):
    """Ticket services, admin and API."""

    name = "tickets"
    verbose_name = "Tickets"
