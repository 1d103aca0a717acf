"""URLs of the cluster API. The last one matches every unknown path below /api/."""

from django.urls import URLPattern, URLResolver, path, re_path

from dtvn.api.locks import VERBS
from dtvn.machine import CAPABILITY
from validators.rest import (
    cluster,
    evidence,
    health,
    locks,
    members,
    metrics,
    network,
    nodes,
    principals,
    supervision,
)
from validators.rest.http import not_found, route
from validators.rest.openapi import show_document, show_index, show_page

V1 = "api/v1"
NODE = f"{V1}/nodes/<str:node_id>"
MEMBER = f"{V1}/members/<str:node_id>"
PRINCIPAL = f"{V1}/principals/<str:name>"
ADMIN = "admin"

urlpatterns: list[URLPattern | URLResolver] = [
    path("health", health.health),
    path("live", health.live),
    path("ready", health.ready),
    path("metrics", metrics.metrics),
    path(f"{V1}/status", route(get=cluster.show_status, enveloped=False, about="cluster")),
    path(f"{V1}/stats", route(get=cluster.show_stats, about="cluster")),
    path(f"{V1}/peers", route(get=cluster.show_peers, about="cluster")),
    path(f"{V1}/config", route(get=cluster.show_config, about="cluster")),
    path(
        f"{V1}/nodes",
        route(get=nodes.list_node_objects, post=nodes.add, scope=ADMIN, enveloped=False),
    ),
    path(NODE, route(get=nodes.show, delete=nodes.stop, scope=ADMIN, body_bytes=0, enveloped=False)),
    path(f"{NODE}/logs", route(get=nodes.show_logs, enveloped=False)),
    path(f"{V1}/node/crypto", route(get=supervision.show_crypto, needs_nodes=True)),
    path(f"{V1}/storage/entries", route(get=supervision.show_storage, needs_nodes=True)),
    path(f"{V1}/cluster", route(get=supervision.show_cluster, about="cluster")),
    path(f"{V1}/cluster/start", route(post=supervision.start_cluster, scope=ADMIN, enveloped=False)),
    path(
        f"{V1}/cluster/stop", route(post=supervision.stop_cluster, scope=ADMIN, body_bytes=0, enveloped=False)
    ),
    path(f"{NODE}/stats", route(get=nodes.show_stats, about="cluster")),
    path(f"{NODE}/tickets/<str:ticket_id>", route(get=nodes.show_node_ticket, about="event")),
    path(f"{NODE}/start", route(post=nodes.start, scope=ADMIN, body_bytes=0, enveloped=False)),
    path(f"{NODE}/stop", route(post=nodes.stop, scope=ADMIN, body_bytes=0, enveloped=False)),
    path(f"{NODE}/restart", route(post=nodes.restart, scope=ADMIN, body_bytes=0, enveloped=False)),
    path(f"{V1}/members", route(get=members.show_members, post=members.add_member, scope=ADMIN)),
    path(f"{V1}/members/preview", route(post=members.preview_change, scope=ADMIN)),
    path(MEMBER, route(delete=members.remove_member, scope=ADMIN)),
    path(f"{MEMBER}/rotate", route(post=members.rotate_member, scope=ADMIN)),
    path(f"{V1}/parameters", route(patch=members.set_parameters, scope=ADMIN)),
    path(
        f"{V1}/principals",
        route(get=principals.list_principals, post=principals.add_principal, scope=ADMIN),
    ),
    path(
        PRINCIPAL,
        route(
            get=principals.show_principal,
            patch=principals.limit_principal,
            delete=principals.revoke_principal,
            scope=ADMIN,
        ),
    ),
    path(f"{PRINCIPAL}/rotate", route(post=principals.rotate_principal, scope=ADMIN)),
    path(f"{V1}/locks", route(get=locks.list_locks, about="event")),
    *(
        path(
            f"{V1}/locks/{verb}",
            route(post=locks.lock_operation(verb), scope=CAPABILITY["lock"], about="event"),
        )
        for verb in VERBS
    ),
    path(f"{V1}/changes", route(get=members.list_changes)),
    path(
        f"{V1}/changes/<int:number>",
        route(get=members.show_change, delete=members.cancel_change, scope=ADMIN, body_bytes=0),
    ),
    path(f"{V1}/network", route(get=network.show_network, about="cluster")),
    path(f"{V1}/evidence", route(get=evidence.list_evidence)),
    path(f"{V1}/evidence/<int:number>", route(get=evidence.show_evidence)),
    path(f"{V1}/openapi.json", show_document),
    path(f"{V1}/", show_index),
    path(V1, show_index),
    path("api/docs", show_page, name="api-docs"),
    re_path(r"^api(/|$)", not_found),
]
