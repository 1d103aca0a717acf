"""Addresses of the pages."""

from django.urls import URLPattern, URLResolver, path

from validators.dashboard import login as entry
from validators.dashboard import pages, views
from validators.dashboard.views import page_of
from validators.feed.rows import LATEST_MAX, RATE_SECONDS

app_name = "dashboard"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", page_of("page", title="Live", latest_max=LATEST_MAX, rate_seconds=RATE_SECONDS), name="page"),
    *(
        path(f"dashboard/{name}", page_of(name), name=name)
        for name in ("nodes", "network", "tickets", "simulator")
    ),
    path("dashboard/metrics", page_of("metrics", charts=pages.CHARTS), name="metrics"),
    path("dashboard/links", pages.links, name="links"),
    path("dashboard/figures", pages.figures, name="figures"),
    *(
        path(f"dashboard/node/<str:node_id>/{part}", pages.node_part, {"part": part})
        for part in ("crypto", "storage", "consensus")
    ),
    path("dashboard/key", entry.enter, name="key"),
    path("dashboard/leave", entry.leave, name="leave"),
    path("dashboard/snapshot", views.snapshot, name="snapshot"),
    path("dashboard/stuck", views.stuck, name="stuck"),
    path("ws", views.websocket_only, name="websocket"),
]
