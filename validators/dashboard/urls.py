"""Addresses of the pages."""

from django.urls import URLPattern, URLResolver, path

from validators.dashboard import login, pages, second_factor, sessions, views
from validators.dashboard.views import page_of
from validators.figures_window import INTERVAL

app_name = "dashboard"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", page_of("page", title="Live"), name="page"),
    *(path(f"dashboard/{name}", page_of(name), name=name) for name in ("nodes", "network")),
    path("dashboard/metrics", page_of("metrics", charts=pages.CHARTS, interval=INTERVAL), name="metrics"),
    path("dashboard/links", pages.links, name="links"),
    path("dashboard/figures", pages.figures, name="figures"),
    path("dashboard/gates", pages.gates, name="gates"),
    *(
        path(f"dashboard/node/<str:node_id>/{part}", pages.node_part, {"part": part})
        for part in ("crypto", "storage", "consensus")
    ),
    path("dashboard/key", login.enter, name="key"),
    path("dashboard/leave", login.leave, name="leave"),
    path("dashboard/sessions", sessions.page, name="sessions"),
    path("dashboard/second-factor", second_factor.page, name="second-factor"),
    path("dashboard/snapshot", views.snapshot, name="snapshot"),
    path("dashboard/stuck", views.diagnosis, name="diagnosis"),
    path("ws", views.websocket_only, name="websocket"),
]
