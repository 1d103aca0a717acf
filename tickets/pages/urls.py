"""Addresses of the gate's page, the tickets page, the import page and the exports."""

from django.urls import URLPattern, URLResolver, path

from tickets.pages import (
    event_lists,
    event_teams,
    events,
    exports,
    gate,
    gate_guests,
    imports,
    interventions,
    steward_links,
    steward_login,
    tickets,
)

app_name = "tickets"
urlpatterns: list[URLPattern | URLResolver] = [
    path("gate/", gate.page, name="gate"),
    path("gate/state", gate.state, name="gate-state"),
    path("gate/guests", gate_guests.found, name="guests"),
    path("gate/link", steward_login.page, name="link"),
    path("dashboard/tickets", tickets.page, name="page"),
    path("dashboard/tickets/found", tickets.found, name="found"),
    path("dashboard/tickets/one", tickets.one, name="one"),
    path("dashboard/tickets/events", events.page, name="events"),
    path("dashboard/tickets/events/list", event_lists.page, name="list"),
    path("dashboard/tickets/events/stewards", steward_links.page, name="stewards"),
    path("dashboard/tickets/events/teams", event_teams.page, name="teams"),
    path("dashboard/tickets/events/interventions", interventions.page, name="interventions"),
    path("dashboard/tickets/files", imports.files, name="files"),
    path("dashboard/tickets/files/<int:import_id>", imports.show, name="import"),
    path("dashboard/tickets/files/<int:import_id>/state", imports.state, name="state"),
    path("dashboard/tickets/files/<int:import_id>/report", imports.report, name="report"),
    path("dashboard/tickets/files/<int:import_id>/answers", imports.answer, name="answers"),
    path("dashboard/tickets/files/<int:import_id>/changes", imports.changes, name="changes"),
    path("dashboard/tickets/files/<int:import_id>/choose", imports.choose, name="choose"),
    path("dashboard/tickets/files/<int:import_id>/confirm", imports.confirm, name="confirm"),
    path("dashboard/tickets/files/<int:import_id>/discard", imports.discard, name="discard"),
    path("dashboard/tickets/export/<str:kind>.<str:form>", exports.export, name="export"),
]
