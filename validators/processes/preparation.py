"""Preparation before the first process starts: cluster, tables, static files, accounts."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import DatabaseError, connection

from dtvn.events.checked import fields_of, without_effect
from dtvn.events.config import (
    CLUSTER_FIELDS,
    ConfigError,
    ConsensusConfig,
    LoadBalancerConfig,
    algorithms_of,
    caution,
)
from dtvn.events.judging import AlgorithmNotOffered, decision_rule, other_mode
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError, load_genesis
from dtvn.node.provision import create_demo_cluster
from dtvn.protocol import genesis, quorum
from dtvn.protocol.quorum import Mode
from dtvn.wording import counted
from validators.data_folder import environment
from validators.data_folder.folder import DataFolder, read_json, write_private_json
from validators.data_folder.judging import VARIABLE, given_values
from validators.data_folder.tcp_ports import LOOPBACK, choose_ports
from validators.models import ManagedNode, NodePart, NodeRole, Platform
from validators.services import api_keys, teams
from validators.services.nodes import register_nodes
from validators.services.platform import fingerprint

logger = logging.getLogger("dtvn.events")

ADMIN_USER = "admin"
NODES_DEFAULT = 4
NODES_MAX = 31
EFFECTIVE = {
    *CLUSTER_FIELDS,
    # Without its intervals: a gateway asks every member once a second.
    *(f"load_balancer.{field}" for field in LoadBalancerConfig.__struct_fields__ if "interval" not in field),
}
"""Fields of DTVN_EVENTS_CONFIG that the platform follows."""
MIGRATION_LOCK = int.from_bytes(b"dtvn", "big")
"""Number of PostgreSQL's advisory lock, which holds in one database."""


def ensure_cluster(
    folder: DataFolder, nodes: int | None, consensus: Mode | None = None
) -> tuple[genesis.Genesis, str]:
    """The genesis of this data folder, created on the first start, and a remark for the operator. Raises
    StartError, also if the cluster that is there agrees in another way than `consensus`."""
    places = ClusterFolder(folder.root)
    path = places.genesis
    if not path.exists():
        count = NODES_DEFAULT if nodes is None else nodes
        if not 1 <= count <= NODES_MAX:
            raise StartError(f"NODES={count} is not between 1 and {NODES_MAX}")
        ports = choose_ports([""] * count)
        create_demo_cluster(folder.root, count, LOOPBACK, ports, consensus=consensus or Mode.PBFT)
    founded = load_genesis(path)
    mode = genesis.mode(founded)
    if consensus not in (None, mode):
        raise StartError(
            f"the members of the cluster in {folder.root} agree by {mode.value}, which nothing changes, and "
            f"CONSENSUS={consensus} is asked for: leave it out, or found another cluster (DATA=...)"
        )
    for key in (places.gateway_key, places.learner_key):
        if not key.exists():
            raise StartError(
                f"{key} is missing: this party joined without a platform (genesis join --no-platform)"
            )
    members = len(founded.members)
    if nodes is not None and nodes != members:
        size = counted(members, "validator")
        return founded, f"this cluster has {size}; NODES counts only at the first start"
    return founded, quorum.fault_tolerance_sentence(members, mode) if mode is Mode.RAFT else ""


def check_events_config(folder: DataFolder, nodes: int | None = None, consensus: Mode | None = None) -> None:
    """Warns of fields that are set and that nothing here reads. Raises StartError if events are to be judged
    by an algorithm that the cluster of this folder, or the one that is to be founded here, does not offer."""
    config = settings.EVENTS_CONFIG
    if config is None:
        return
    name = os.environ.get(VARIABLE, "")
    named = f"{VARIABLE}={name}"
    try:
        _check_algorithm(config.consensus_config, folder, nodes, consensus)
    except (AlgorithmNotOffered, ConfigError) as refusal:
        raise StartError(f"{named}: {AlgorithmNotOffered.code}: {refusal}") from None
    if said := caution(config.consensus_config.effective_algorithm):
        logger.warning("%s: %s", named, said)
    if idle := without_effect(fields_of(given_values(name)), EFFECTIVE):
        logger.warning("%s: %s", named, idle)


def _check_algorithm(
    config: ConsensusConfig, folder: DataFolder, nodes: int | None, consensus: Mode | None
) -> None:
    """Raises AlgorithmNotOffered for the other mode's algorithm; ConfigError if the cluster is to be founded
    here with too few members. One that is there may have changed its members: then its answers say so."""
    path = ClusterFolder(folder.root).genesis
    mode = genesis.mode(load_genesis(path)) if path.exists() else consensus or Mode.PBFT
    if config.algorithm not in algorithms_of(mode):
        raise AlgorithmNotOffered(config.algorithm, algorithms_of(mode), other_mode(mode))
    count = NODES_DEFAULT if nodes is None else nodes
    if path.exists() or not 1 <= count <= NODES_MAX:
        return
    try:
        decision_rule(config, count, mode)
    except ConfigError as error:
        least = max(config.min_nodes, config.quorum_size)
        raise ConfigError(f"{error} that are founded: NODES={least}") from None


def own_members(folder: DataFolder, founded: genesis.Genesis) -> list[str]:
    """Ids of the members whose keys belong in this data folder; other parties run the others. If one party
    made them all, a member that lost its key is still ours."""
    if founded.demo:
        return [member.id for member in founded.members]
    places = ClusterFolder(folder.root)
    return [member.id for member in founded.members if places.node(member.id).key.exists()]


def migrate() -> None:
    """Bring the platform's tables to this version. Each ledger is migrated by its own process."""
    try:
        with _one_at_a_time():
            _keep_private()
            call_command("migrate", interactive=False, verbosity=0)
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0]
        raise StartError(f"the platform's database: {reason}") from error


def _keep_private() -> None:
    """An SQLite file is for its owner only, whatever the umask and wherever it is copied to; the files that
    SQLite keeps beside it get its mode."""
    if connection.vendor == "sqlite":
        path = Path(connection.settings_dict["NAME"])
        if path.parent.is_dir():
            path.touch(mode=0o600)
            path.chmod(0o600)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """The first tables of a database are made before any platform has its lease: others on the same server
    wait. An SQLite file is one data folder's, which `up` has locked."""
    if connection.vendor == "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])


def collect_static(folder: DataFolder) -> None:
    """Collect static files under hashed names, only when one of them changed."""
    mark = folder.static / ".collected"
    fingerprint = static_fingerprint()
    try:
        if mark.read_text(encoding="ascii") == fingerprint:
            return
    except FileNotFoundError:
        folder.static.mkdir(exist_ok=True)
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    mark.write_text(fingerprint, encoding="ascii")


def static_fingerprint() -> str:
    """Changes when a file of ours, or the version of a package with static files, changes."""
    import django
    import rest_framework

    digest = hashlib.sha256(f"{django.__version__} {rest_framework.VERSION}".encode())
    roots = [*(Path(root) for root in settings.STATICFILES_DIRS), settings.BASE_DIR / "validators"]
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix not in {".py", ".pyc"}:
                found = path.stat()
                digest.update(f"{path} {found.st_size} {found.st_mtime_ns}".encode())
    return digest.hexdigest()


def ensure_accounts(folder: DataFolder) -> dict[str, Any]:
    """The first administrator and API key: created once, kept in a private file, stored as hashes."""
    path = folder.keys / "platform.json"
    kept = read_json(path)
    if kept is None:
        kept = {
            "admin_user": ADMIN_USER,
            "admin_password": secrets.token_urlsafe(18),
            "api_key": api_keys.generate_api_key(),
        }
        write_private_json(path, kept)
    user, made = get_user_model().objects.get_or_create(
        username=kept["admin_user"], defaults={"is_staff": True, "is_superuser": True}
    )
    if made:
        user.set_password(kept["admin_password"])
        user.save(update_fields=["password"])
    api_keys.store_api_key(kept["api_key"], label="first key", team=teams.everything())
    return kept


def keep_fingerprint(folder: DataFolder) -> None:
    """Store the fingerprint by which further web processes recognise this platform's secret key."""
    row = Platform.objects.get()
    row.secret_fingerprint = fingerprint(row.platform_id, environment.read_secret_key(folder.root))
    row.save(update_fields=["secret_fingerprint"])


def register_cluster(folder: DataFolder, founded: genesis.Genesis, own: Sequence[str]) -> list[str]:
    """Create rows for the nodes that this platform runs, with their membership; the other members are shown
    as external. Rows of nodes that it made for the running cluster stay as long as their keys are here."""
    places = ClusterFolder(folder.root)
    known = ManagedNode.objects.filter(role=NodeRole.VALIDATOR).values_list("node_id", flat=True)
    made = [node_id for node_id in known if places.node(node_id).key.exists()]
    register_nodes([member.id for member in founded.members], own, made)
    Platform.objects.update(cluster=genesis.cluster_id(founded).hex())
    taking_part = ManagedNode.objects.filter(role=NodeRole.VALIDATOR).exclude(part=NodePart.LEFT)
    return list(taking_part.values_list("node_id", flat=True))
