"""URLs of the ticket API, and of the log that it reads from. Literal paths come before `{ticket_id}`."""

from django.urls import URLPattern, URLResolver, path

from dtvn.machine import CAPABILITY
from dtvn.machine.kinds import KINDS
from tickets.rest.certificates import show_certificate, show_epochs
from tickets.rest.events import list_events
from tickets.rest.find import find_ticket
from tickets.rest.reads import list_records, list_tickets, show_ticket
from tickets.rest.writes import BATCH_BYTES_MAX, change_tickets, operation
from validators.rest.http import route
from validators.rest.supervision import validate_via_node

TICKETS = "api/v1/tickets"

urlpatterns: list[URLPattern | URLResolver] = [
    path(
        TICKETS,
        route(
            get=list_tickets,
            post=operation("issue"),
            scope=CAPABILITY["issue"],
            needs_nodes=True,
            about="event",
        ),
    ),
    path(
        f"{TICKETS}/batch",
        route(post=change_tickets, body_bytes=BATCH_BYTES_MAX, needs_nodes=True, about="event"),
    ),
    *(
        path(
            kind.path.removeprefix("/"),
            route(
                post=operation(kind.name),
                scope=kind.capability,
                needs_nodes=True,
                about="event",
                kind=kind.name,
            ),
        )
        for kind in KINDS.values()
        if kind.rest and kind.name != "issue"
    ),
    path(
        f"{TICKETS}/validate-via-node",
        route(
            post=validate_via_node,
            scope=CAPABILITY["validate"],
            enveloped=False,
            needs_nodes=True,
            about="event",
        ),
    ),
    path(f"{TICKETS}/events", route(get=list_events, needs_nodes=True, about="event")),
    path(f"{TICKETS}/find", route(post=find_ticket, needs_nodes=True, about="event")),
    path(f"{TICKETS}/<str:ticket_id>", route(get=show_ticket, needs_nodes=True, about="event")),
    path(
        f"{TICKETS}/<str:ticket_id>/certificate",
        route(get=show_certificate, needs_nodes=True, about="event"),
        name="ticket-certificate",
    ),
    path("api/v1/consensus/logs", route(get=list_records, needs_nodes=True)),
    path("api/v1/epochs", route(get=show_epochs, about="cluster"), name="epochs"),
]
