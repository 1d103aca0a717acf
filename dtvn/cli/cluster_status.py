"""`dtvn cluster-status --cluster URL`: the health of a cluster, or of one of its nodes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import msgspec

from dtvn.cli.platform import PlatformError, add_platform_options, ask, text_of
from dtvn.cli.validate import Output

HELP = "show the health of a cluster"
TEACH = """\
Shows whether a cluster can decide, as its platform at URL sees it, under the key in $DTVN_API_KEY.

Exit status: 0 healthy, 1 not, 2 not asked.
"""
HEALTHY, NOT_HEALTHY, NOT_ASKED = range(3)


class Health(msgspec.Struct):
    """The contract's health of a cluster (2.9)."""

    healthy: bool
    active_nodes: int
    total_nodes: int
    consensus_healthy: bool
    network_healthy: bool
    issues: list[str]


class _Cluster(msgspec.Struct):
    sentence: str
    level: str
    members: int
    reachable: int
    decides: bool
    stopped: list[str]
    error: str


class _ClusterAnswer(msgspec.Struct):
    data: _Cluster


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    add_platform_options(parser)
    parser.add_argument("--node-id", metavar="ID", help="show one node")


def run(options: Mapping[str, Any], stdout: Output, stderr: Output) -> int:
    """Print the health; return the exit code."""
    try:
        if options["node_id"] is None:
            found = _health(ask(options["cluster"], "cluster", _ClusterAnswer).data)
            fields, healthy = msgspec.to_builtins(found), found.healthy
        else:
            fields = _node(options["cluster"], options["node_id"])
            healthy = fields["status"] == "running"
    except PlatformError as error:
        stderr.write(f"dtvn cluster-status: {error}\n")
        return NOT_ASKED
    stdout.write(text_of(fields, json=options["json"]))
    return HEALTHY if healthy else NOT_HEALTHY


def _health(cluster: _Cluster) -> Health:
    decides = not cluster.error and cluster.decides
    said = cluster.error or ("" if cluster.level == "ok" else cluster.sentence)
    issues = [said] if said else []
    issues += [f"{node_id} is stopped" for node_id in cluster.stopped]
    whole = cluster.reachable == cluster.members
    return Health(decides, cluster.reachable, cluster.members, decides, whole, issues)


def _node(platform: str, node_id: str) -> dict[str, Any]:
    nodes = ask(platform, "nodes", list[dict[str, Any]])
    for node in nodes:
        if node["id"] == node_id:
            return node
    raise PlatformError(f"no node {node_id}; there are {', '.join(node['id'] for node in nodes)}")
