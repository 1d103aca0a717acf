"""URLs of the cluster API. The last one matches every unknown path below /api/."""

from django.urls import URLPattern, URLResolver, path, re_path

from validators.rest import cluster, health, members, metrics, nodes, principals, supervision
from validators.rest.http import not_found
from validators.rest.openapi import OpenApiView

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
    path(f"{NODE}/logs", nodes.NodeLogsView.as_view()),
    path(f"{V1}/node/crypto", supervision.CryptoView.as_view()),
    path(f"{V1}/storage/entries", supervision.StorageEntriesView.as_view()),
    path(f"{V1}/cluster/start", supervision.ClusterStartView.as_view()),
    path(f"{V1}/cluster/stop", supervision.ClusterStopView.as_view()),
    path(f"{NODE}/stats", nodes.NodeStatsView.as_view()),
    path(f"{NODE}/tickets/<str:ticket_id>", nodes.NodeTicketView.as_view()),
    *(
        path(f"{NODE}/{verb}", nodes.NodeVerbView.as_view(), {"verb": verb})
        for verb in ("start", "stop", "restart")
    ),
    path(f"{V1}/members", members.MembersView.as_view()),
    path(f"{V1}/members/preview", members.PreviewView.as_view()),
    path(f"{V1}/members/<str:node_id>", members.MemberView.as_view()),
    path(f"{V1}/members/<str:node_id>/rotate", members.MemberKeyView.as_view()),
    path(f"{V1}/parameters", members.ParametersView.as_view()),
    path(f"{V1}/principals", principals.PrincipalsView.as_view()),
    path(f"{V1}/principals/<str:name>", principals.PrincipalView.as_view()),
    path(f"{V1}/principals/<str:name>/rotate", principals.PrincipalKeyView.as_view()),
    path(f"{V1}/changes", members.ChangesView.as_view()),
    path(f"{V1}/changes/<int:number>", members.ChangeView.as_view()),
    path(f"{V1}/openapi.json", OpenApiView.as_view()),
    re_path(r"^api(/|$)", not_found),
]
