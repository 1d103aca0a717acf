"""Every address of the platform; each room brings its own list."""

from django.contrib import admin
from django.urls import include, path

handler400 = "dtvn_project.failures.bad_request"
handler500 = "dtvn_project.failures.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("tickets.api.urls")),
    path("", include("simulator.web.urls")),
    path("", include("validators.api.urls")),
    path("", include("validators.dashboard.urls")),
]
