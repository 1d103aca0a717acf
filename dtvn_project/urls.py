"""All URLs of the platform; each app includes its own list."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from validators.dashboard.accounts import change_own_password
from validators.dashboard.login import log_in

handler400 = "validators.rest.failures.bad_request"
handler500 = "validators.rest.failures.server_error"

admin.autodiscover()  # here and not at setup, so that nodes and commands import neither pages nor REST

urlpatterns = [
    path("", include("tickets.rest.urls")),  # first: gates ask most often, and patterns are tried in order
    path("admin/login/", log_in),
    path("admin/password_change/", admin.site.admin_view(change_own_password)),
    re_path("^admin/ledger/ticket/", RedirectView.as_view(pattern_name="tickets:page")),  # a list of before
    path("admin/", admin.site.urls),
    path("", include("tickets.pages.urls")),
    path("", include("events.rest.urls")),
    path("", include("tickets.rest.event_urls")),  # behind the names of runs, which are no slugs
    path("", include("simulator.web.urls")),
    path("", include("validators.rest.urls")),
    path("", include("validators.dashboard.urls")),
]
