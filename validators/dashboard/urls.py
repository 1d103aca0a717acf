"""Addresses of the pages."""

from django.urls import URLPattern, URLResolver, path

from validators.dashboard import entry, pages, views

app_name = "dashboard"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.page, name="page"),
    path("dashboard/nodes", pages.nodes, name="nodes"),
    path("dashboard/network", pages.network, name="network"),
    path("dashboard/tickets", pages.tickets, name="tickets"),
    path("dashboard/simulator", pages.simulator, name="simulator"),
    path("dashboard/metrics", pages.metrics, name="metrics"),
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
