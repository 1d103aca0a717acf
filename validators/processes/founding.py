"""Founding a cluster while the platform runs, and setting an earlier one aside. Nothing is ever deleted."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from django.db import connections, transaction

from dtvn.node.layout import ClusterFolder, make_private
from dtvn.node.options import StartError, load_genesis
from dtvn.node.provision import create_demo_cluster
from dtvn.node.settings import FIRST_MEMBER_PORT
from dtvn.protocol import genesis
from dtvn.protocol.quorum import Mode
from validators.data_folder import tcp_ports
from validators.data_folder.folder import DataFolder
from validators.models import ChangeState, DesiredState, ManagedNode, MembershipChange
from validators.processes import preparation
from validators.services.cluster import member_names
from validators.services.mode import cluster_mode

logger = logging.getLogger("dtvn.cluster")

EARLIER = "earlier"
"""Folder below the data folder: each of its subfolders is a complete data folder with one cluster."""
PARTS = ("nodes", "learner", "keys/gateway.key", "keys/learner.key", "prometheus", "cluster")
UNFINISHED = ".unfinished"


def found_cluster(folder: DataFolder, names: Sequence[str], web: str, consensus: Mode | None = None) -> None:
    """Ensure that the cluster in the folder is that of `names`, and that its nodes can listen.

    A cluster with other members is moved aside. `web`: host:port of the platform, for Prometheus.
    `consensus`: how the members agree; None: as those of the cluster that was there. No process of the
    cluster may run. Raises StartError.
    """
    path = ClusterFolder(folder.root).genesis
    mode = consensus or cluster_mode()
    if path.exists() and member_names() != list(names):
        put_aside(folder)
    if not path.exists():
        chosen = tcp_ports.choose_ports(names, first=FIRST_MEMBER_PORT)
        create_demo_cluster(folder.root, len(names), tcp_ports.LOOPBACK, chosen, names=names, consensus=mode)
    founded, _ = preparation.ensure_cluster(folder, None, consensus)
    own = preparation.own_members(folder, founded)
    if set(member_names()) != set(names):
        with transaction.atomic():
            MembershipChange.objects.exclude(state=ChangeState.DONE).delete()
            ManagedNode.objects.all().delete()
            preparation.register_cluster(folder, founded, own)
            # The start that founds them sets them to run, unless the cluster was stopped meanwhile.
            ManagedNode.objects.update(desired=DesiredState.STOPPED)
    tcp_ports.check_node_ports(founded, own, ClusterFolder(folder.root))
    tcp_ports.keep_apis(folder, founded, names)
    tcp_ports.keep_metrics_ports(folder, founded, member_names(), web)


def put_aside(folder: DataFolder) -> Path:
    """Move the cluster with all its keys and ledgers into its own folder; returns that folder."""
    founded = load_genesis(ClusterFolder(folder.root).genesis)
    if not founded.demo:
        raise StartError("this cluster was not made by this platform alone, so it is not moved aside")
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    place = folder.root / EARLIER / f"{stamp}-{genesis.cluster_id(founded).hex()[:12]}"
    make_private(place.parent)
    make_private(place)
    (place / UNFINISHED).touch()
    _move(folder, place)
    logger.warning("the cluster of %s nodes was moved to %s", len(founded.members), place)
    return place


def finish_putting_aside(folder: DataFolder) -> None:
    """Completes a move that a crash interrupted; called before any code looks for a cluster."""
    for mark in (folder.root / EARLIER).glob(f"*/{UNFINISHED}"):
        _move(folder, mark.parent)


def _move(folder: DataFolder, place: Path) -> None:
    """Each part moves atomically, so the move can be repeated."""
    make_private(place / "keys")
    for part in PARTS:
        if (folder.root / part).exists() and not (place / part).exists():
            (folder.root / part).rename(place / part)
    _rename_learner_schema(place)
    (place / UNFINISHED).unlink()


def _rename_learner_schema(place: Path) -> None:
    """On PostgreSQL the learner's tables are in a schema; those of nodes already have their cluster in the
    name."""
    if connections["default"].vendor != "postgresql":
        return
    kept = re.sub(r"[^a-z0-9]", "_", f"learner_{place.name}")
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1 FROM information_schema.schemata WHERE schema_name = 'learner'")
        if cursor.fetchone():
            cursor.execute(f'ALTER SCHEMA learner RENAME TO "{kept}"')
