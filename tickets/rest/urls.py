"""URLs of the ticket API. Literal paths come before `{ticket_id}`."""

from django.urls import URLPattern, URLResolver, path

from dtvn.machine import CAPABILITY
from tickets.rest.certificates import CertificateView, EpochsView
from tickets.rest.operations import BatchView, OperationView, operation_view
from tickets.rest.reads import TicketListView, TicketView
from validators.rest.supervision import ValidateViaNodeView


class TicketsView(TicketListView, OperationView):
    """GET lists, POST issues."""

    kind = "issue"
    scopes = {"POST": CAPABILITY["issue"]}


VERBS = ("seed", "validate", "consume", "admit", "dispute", "resolve")

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/tickets", TicketsView.as_view()),
    path("api/v1/tickets/batch", BatchView.as_view()),
    *(path(f"api/v1/tickets/{verb}", operation_view(verb)) for verb in VERBS),
    path("api/v1/tickets/validate-via-node", ValidateViaNodeView.as_view()),
    path("api/v1/tickets/<str:ticket_id>", TicketView.as_view()),
    path("api/v1/tickets/<str:ticket_id>/certificate", CertificateView.as_view(), name="ticket-certificate"),
    path("api/v1/epochs", EpochsView.as_view(), name="epochs"),
]
