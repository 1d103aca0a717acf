"""Addresses of the cluster API. The last one answers for every path below /api/ that nobody serves."""

from django.urls import URLPattern, URLResolver, path, re_path

from validators.api import cluster, health, metrics, nodes
from validators.api.http import not_found

V1 = "api/v1"
NODE = f"{V1}/nodes/<str:node_id>"
VERBS = ("start", "stop", "restart")

urlpatterns: list[URLPattern | URLResolver] = [
    path("health", health.health),
    path("ready", health.ready),
    path("metrics", metrics.metrics),
    path(f"{V1}/status", cluster.StatusView.as_view()),
    path(f"{V1}/stats", cluster.StatsView.as_view()),
    path(f"{V1}/peers", cluster.PeersView.as_view()),
    path(f"{V1}/config", cluster.ConfigView.as_view()),
    path(f"{V1}/consensus/logs", cluster.LogsView.as_view()),
    path(f"{V1}/nodes", nodes.NodesView.as_view()),
    path(NODE, nodes.NodeView.as_view()),
    path(f"{NODE}/stats", nodes.NodeStatsView.as_view()),
    path(f"{NODE}/tickets/<str:ticket_id>", nodes.NodeTicketView.as_view()),
    *(
        path(f"{NODE}/{verb}", nodes.NodeVerbView.as_view(), {"verb": verb})
        for verb in ("start", "stop", "restart")
    ),
    re_path(r"^api(/|$)", not_found),
]
