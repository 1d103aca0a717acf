"""URLs of the events of tickets, behind those of agents' events, whose names are no slugs."""

from django.urls import URLPattern, URLResolver, path

from dtvn.machine.kinds import KINDS
from tickets.rest.events import put_event, show_event
from validators.rest.http import route

urlpatterns: list[URLPattern | URLResolver] = [
    path(
        "api/v1/events/<str:slug>",
        route(
            get=show_event,
            put=put_event,
            scope=KINDS["set_event"].capability,
            needs_nodes=True,
            about="event",
        ),
    ),
]
