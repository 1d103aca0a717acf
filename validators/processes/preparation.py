"""Preparation before the first process starts: cluster, tables, static files, accounts."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import DatabaseError

from dtvn.files.whole import whole_file, write_private
from dtvn.node.kept_ports import all_kept, keep_ports
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.options import StartError as NodeError
from dtvn.node.provision import create_demo_cluster
from dtvn.protocol import genesis
from dtvn.protocol.genesis import ceremony
from validators.models import ManagedNode, NodePart, NodeRole
from validators.processes.errors import StartError
from validators.processes.folder import DataFolder, read_json, write_private_json
from validators.services import api_keys
from validators.services.nodes import register_nodes

ADMIN_USER = "admin"
GENESIS_FILE = "genesis.bin"
NODES_DEFAULT = 4
NODES_MAX = 31
LOOPBACK = "127.0.0.1"
FIRST_NODE_PORT = 10_000
FIRST_MEMBER_PORT = 4_001
"""Port on which node0 listens to the other members; nodeK uses this plus K (spec 3.1)."""
FIRST_API_PORT = 9_001
FIRST_EPHEMERAL_PORT = 32_768
"""Linux' default start of the port range for outgoing connections."""
PORTS_ASKED_FOR = 64
STALLED_CLIENT_MS = 30_000


def listen(host: str, port: int) -> socket.socket:
    """The web process's socket, bound now; raise StartError with the reason."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise StartError(
            f"HOST={host} (-web-addr) is no address of this machine: {error.strerror}"
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by accepted connections; without it small answers wait for delayed acknowledgements
        # (measured: a sixth of the requests per second).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A client that accepts no data for this long is disconnected: its data waits in our memory.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_CLIENT_MS)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise StartError(
            f"port {port} on {host}: {error.strerror}; choose another with PORT= or -web-port"
        ) from error
    return listener


def ensure_cluster(folder: DataFolder, nodes: int | None) -> tuple[genesis.Genesis, str]:
    """The genesis of this data folder, created on the first start, and a remark for the operator."""
    path = folder.cluster / GENESIS_FILE
    if not path.exists():
        count = NODES_DEFAULT if nodes is None else nodes
        if not 1 <= count <= NODES_MAX:
            raise StartError(f"NODES={count} is not between 1 and {NODES_MAX}")
        create_demo_cluster(folder.root, count, LOOPBACK, free_ports(count))
    try:
        founded = ceremony.open_genesis(path.read_bytes())
    except (OSError, genesis.GenesisError) as error:
        raise StartError(f"{path} cannot be read: {error}") from error
    for key in (ClusterFolder(folder.root).gateway_key, ClusterFolder(folder.root).learner_key):
        if not key.exists():
            raise StartError(f"{key} is not there: this party joined without a platform (genesis join)")
    members = len(founded.members)
    if nodes is not None and nodes != members:
        return founded, f"this cluster has {members} validators; NODES counts only at the first start"
    return founded, ""


def free_ports(count: int, besides: Collection[int] = ()) -> list[int]:
    """Unused loopback ports, all different and none of `besides`: they are held open together while they are
    chosen.

    They come from `DTVN_NODE_PORTS`, or else from below the range that the kernel uses for outgoing
    connections: a node that was down for a moment could find a port in that range taken, even by a peer that
    dials it.
    """
    with ExitStack() as held:
        found: list[int] = []
        for port in _candidates():
            if port in besides:
                continue
            one = held.enter_context(socket.socket())
            try:
                one.bind((LOOPBACK, port))
            except OSError:
                continue
            found.append(one.getsockname()[1])
            if len(found) == count:
                return found
    within = f" within DTVN_NODE_PORTS={os.environ['DTVN_NODE_PORTS']}" if settings.NODE_PORTS else ""
    raise StartError(f"no {count} free ports on {LOOPBACK}{within}")


def _candidates() -> Iterator[int]:
    """Ports in random order; if no range was named, then any that the kernel gives."""
    if settings.NODE_PORTS is not None:
        yield from secrets.SystemRandom().sample(settings.NODE_PORTS, len(settings.NODE_PORTS))
        return
    try:
        end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        end = FIRST_EPHEMERAL_PORT
    ports = list(range(FIRST_NODE_PORT, end))
    secrets.SystemRandom().shuffle(ports)
    yield from ports
    yield from repeat(0, PORTS_ASKED_FOR)


def own_members(folder: DataFolder, founded: genesis.Genesis) -> list[str]:
    """Ids of the members whose keys belong in this data folder; other parties run the others. If one party
    made them all, a member that lost its key is still ours."""
    if founded.demo:
        return [member.id for member in founded.members]
    places = ClusterFolder(folder.root)
    return [member.id for member in founded.members if places.node(member.id).key.exists()]


def check_node_ports(founded: genesis.Genesis, own: Sequence[str]) -> None:
    """The ports that the genesis assigns to our own nodes must still be free for us; raise StartError naming
    the first one taken."""
    for member in founded.members:
        if member.id not in own:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((member.host, member.port))
            except OSError as error:
                raise StartError(
                    f"port {member.port}, kept for {member.id} since the first start: {error.strerror}"
                ) from error


def keep_metrics_ports(folder: DataFolder, founded: genesis.Genesis, own: Sequence[str], web: str) -> None:
    """Give each of our nodes a permanent port for its metrics, and write the addresses of the nodes and of
    the platform (`web`, host:port) for Prometheus (file_sd_config). A port that is in use is not fatal: its
    node reports it and retries."""
    places = ClusterFolder(folder.root)
    try:
        free = partial(free_ports, besides=_chosen(places, founded))
        ports = keep_ports([places.node(member_id) for member_id in own], "metrics", free)
    except NodeError as error:
        raise StartError(str(error)) from error
    folder.prometheus.mkdir(exist_ok=True, mode=0o700)
    nodes = [_metrics_target(founded, name, ports[name]) for name in own]
    _write_targets(folder.prometheus / "nodes.json", nodes)
    _write_targets(
        folder.prometheus / "platform.json", [{"targets": [web], "labels": {"cluster": founded.name}}]
    )


def keep_apis(folder: DataFolder, founded: genesis.Genesis, own: Sequence[str]) -> None:
    """Give each of our nodes a permanent port for its own API (spec 3.1: 9001 + k, else a free one), and the
    key that it requires: a caller without a key of the platform cannot bypass it through a node. A
    supervisor's nodes require its own key, or none (C43)."""
    places = ClusterFolder(folder.root)
    try:
        for member_id in own:
            node = places.node(member_id)
            others = _chosen(places, founded)
            keep_ports([node], "api", partial(_numbered_ports, member_id, FIRST_API_PORT, others))
            if not settings.SUPERVISOR and not node.api_token.exists():
                node.create()
                write_private(node.api_token, secrets.token_urlsafe(32).encode("ascii") + b"\n")
    except NodeError as error:
        raise StartError(str(error)) from error


def _numbered_ports(member_id: str, first: int, others: Collection[int], count: int) -> list[int]:
    """The port of the node's number, if it is free and `DTVN_NODE_PORTS` names no range; else any free
    one."""
    number = None if settings.NODE_PORTS else re.fullmatch(r"node(\d{1,3})", member_id)
    if number is not None and (port := first + int(number[1])) not in others:
        with socket.socket() as probe, suppress(OSError):
            # As the node will: recently closed connections are no reason to change the port for good.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return [port]
    return free_ports(count, others)


def keep_newcomer_ports(folder: DataFolder, founded: genesis.Genesis, node: NodeFolder) -> tuple[str, int]:
    """Give a node that joins a running cluster its permanent ports (spec 3.1: 4001 + k to the other members,
    else a free one); returns the address at which it will listen to them."""
    places = ClusterFolder(folder.root)
    others = _chosen(places, founded)
    own = keep_ports([node], "member", partial(_numbered_ports, node.id, FIRST_MEMBER_PORT, others))
    metrics = keep_ports([node], "metrics", partial(free_ports, besides={*others, *own.values()}))
    keep_apis(folder, founded, [node.id])
    path = folder.prometheus / "nodes.json"
    targets = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    target = _metrics_target(founded, node.id, metrics[node.id])
    folder.prometheus.mkdir(exist_ok=True, mode=0o700)
    _write_targets(path, [*(other for other in targets if other != target), target])
    return LOOPBACK, own[node.id]


def _chosen(places: ClusterFolder, founded: genesis.Genesis) -> set[int]:
    """Ports of the members and nodes of this folder, including those that are down or were never started."""
    found = {member.port for member in founded.members}
    for folder in places.nodes.glob("*/"):
        with suppress(NodeError):  # damaged: reported when that node starts
            found |= all_kept(NodeFolder(folder))
    return found


def _metrics_target(founded: genesis.Genesis, node_id: str, port: int) -> dict[str, Any]:
    return {"targets": [f"{LOOPBACK}:{port}"], "labels": {"cluster": founded.name, "node": node_id}}


def _write_targets(path: Path, groups: list[dict[str, Any]]) -> None:
    with whole_file(path, replace=True, mode=0o644) as file:
        file.write(json.dumps(groups, indent=2).encode() + b"\n")


def migrate() -> None:
    """Bring the platform's tables to this version. Each ledger is migrated by its own process."""
    try:
        call_command("migrate", interactive=False, verbosity=0)
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0]
        raise StartError(f"the platform's database: {reason}") from error


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
                facts = path.stat()
                digest.update(f"{path} {facts.st_size} {facts.st_mtime_ns}".encode())
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
    api_keys.store_api_key(kept["api_key"], label="first key")
    return kept


def register_cluster(folder: DataFolder, founded: genesis.Genesis, own: Sequence[str]) -> list[str]:
    """Create rows for the nodes that this platform runs, with their membership; the other members are shown
    as external. Rows of nodes that it made for the running cluster stay as long as their keys are here."""
    places = ClusterFolder(folder.root)
    known = ManagedNode.objects.filter(role=NodeRole.VALIDATOR).values_list("node_id", flat=True)
    made = [node_id for node_id in known if places.node(node_id).key.exists()]
    register_nodes([member.id for member in founded.members], own, made)
    taking_part = ManagedNode.objects.filter(role=NodeRole.VALIDATOR).exclude(part=NodePart.LEFT)
    return list(taking_part.values_list("node_id", flat=True))
