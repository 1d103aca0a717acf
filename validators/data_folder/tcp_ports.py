"""The ports of this platform and of its nodes: chosen once, kept, and written down for Prometheus."""

from __future__ import annotations

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

from dtvn.files.whole import whole_file, write_private
from dtvn.net import bindable
from dtvn.node.kept_ports import all_kept, keep_ports
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.listening import listen_on
from dtvn.node.moved import moved_to
from dtvn.node.options import StartError
from dtvn.node.settings import FIRST_MEMBER_PORT
from dtvn.protocol import genesis
from validators.data_folder.folder import DataFolder

LOOPBACK = "127.0.0.1"
FIRST_NODE_PORT = 10_000
FIRST_API_PORT = 9_001
FIRST_EPHEMERAL_PORT = 32_768
"""Linux' default start of the port range for outgoing connections."""
PORTS_ASKED_FOR = 64
NUMBERED = re.compile(r"node(0|[1-9]\d{0,4})", re.ASCII)
PORT_MAX = 65_535


def listen(host: str, port: int) -> socket.socket:
    """The web process's socket, bound now; raise StartError with the reason."""
    try:
        # Without TCP_NODELAY small answers wait for delayed acknowledgements (measured: a sixth of the
        # requests per second).
        return listen_on(host, port, (socket.TCP_NODELAY, 1))
    except socket.gaierror as error:
        raise StartError(
            f"HOST={host} (-web-addr) is not an address of this machine: {error.strerror}"
        ) from error
    except OSError as error:
        raise StartError(
            f"port {port} on {host}: {error.strerror}; choose another with PORT= or -web-port"
        ) from error


def choose_ports(names: Sequence[str], *, first: int = 0, besides: Collection[int] = ()) -> list[int]:
    """An unused loopback port for each name, all different and none of `besides`: they are held open together
    while they are chosen. Raises StartError if there are too few.

    nodeK gets `first` + K, if that is given and the port is free. All others come from `DTVN_NODE_PORTS`, or
    else from below the range that the kernel uses for outgoing connections: a node that was down for a moment
    could find a port in that range taken, even by a peer that dials it.
    """
    with ExitStack() as held:
        usual = [_usual_port(name, first) for name in names]
        ports = [None if port in besides else _hold(held, port, again=True) for port in usual]
        others = (port for port in _candidates() if port not in besides)
        free = (port for candidate in others if (port := _hold(held, candidate)) is not None)
        found = [next(free, None) if port is None else port for port in ports]
    if None in found:
        within = f" within DTVN_NODE_PORTS={os.environ['DTVN_NODE_PORTS']}" if settings.NODE_PORTS else ""
        raise StartError(f"no {len(names)} free ports on {LOOPBACK}{within}")
    return [port for port in found if port is not None]


def _usual_port(name: str, first: int) -> int | None:
    """The port of a node's number; None if it has none, or `DTVN_NODE_PORTS` names a range."""
    number = NUMBERED.fullmatch(name)
    if not first or number is None or settings.NODE_PORTS:
        return None
    port = first + int(number[1])
    return port if port <= PORT_MAX else None


def _hold(held: ExitStack, port: int | None, *, again: bool = False) -> int | None:
    """Hold a port (0: any) open; None if it is taken."""
    if port is None:
        return None
    one = held.enter_context(socket.socket())
    try:
        _bind(one, LOOPBACK, port, again=again)
    except OSError:
        return None
    return int(one.getsockname()[1])


def _bind(one: socket.socket, host: str, port: int, *, again: bool) -> None:
    """`again`: recently closed connections are no obstacle, as for a node that is started again."""
    if again:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((host, port))


def _candidates() -> Iterator[int]:
    """Ports in random order; if no range was named, then any that the kernel gives."""
    if settings.NODE_PORTS is not None:
        yield from _shuffled(list(settings.NODE_PORTS))
        return
    try:
        end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        end = FIRST_EPHEMERAL_PORT
    yield from _shuffled(list(range(FIRST_NODE_PORT, end)))
    yield from repeat(0, PORTS_ASKED_FOR)


def _shuffled(left: list[int]) -> Iterator[int]:
    """Yields each port of `left` once, in random order, and takes it out; draws on demand, since a start
    needs a few of thousands."""
    while left:
        place = secrets.randbelow(len(left))
        left[place], left[-1] = left[-1], left[place]
        yield left.pop()


def check_node_ports(
    founded: genesis.Genesis, own: Sequence[str], places: ClusterFolder | None = None
) -> None:
    """The ports that the genesis assigns to our own nodes, or to which they moved (`places`), must still be
    free for us; raise StartError naming the first one taken."""
    for member in founded.members:
        if member.id not in own:
            continue
        moved = moved_to(places.node(member.id)) if places is not None else None
        host, port = moved or (member.host, member.port)
        local = bindable(host)
        with socket.socket(socket.AF_INET6 if ":" in local else socket.AF_INET) as probe:
            try:
                _bind(probe, local, port, again=True)
            except OSError as error:
                raise StartError(
                    f"port {port}, kept for {member.id} since the first start: {error.strerror}"
                ) from error


def keep_metrics_ports(folder: DataFolder, founded: genesis.Genesis, own: Sequence[str], web: str) -> None:
    """Give each of our nodes a permanent port for its metrics, and write the addresses of the nodes and of
    the platform (`web`, host:port) for Prometheus (file_sd_config), and its key once. A port that is in use
    is not fatal: its node reports it and retries."""
    places = ClusterFolder(folder.root)
    free = partial(choose_ports, besides=_chosen(places, founded))
    ports = keep_ports([places.node(member_id) for member_id in own], "metrics", free)
    keep_metrics_key(folder)
    nodes = [_metrics_target(founded, name, ports[name]) for name in own]
    _write_targets(folder.prometheus / "nodes.json", nodes)
    _write_targets(
        folder.prometheus / "platform.json", [{"targets": [web], "labels": {"cluster": founded.name}}]
    )


def keep_metrics_key(folder: DataFolder) -> None:
    """Give Prometheus a key for the platform's own page, once."""
    folder.prometheus.mkdir(exist_ok=True, mode=0o700)
    if not folder.metrics_key.exists():
        write_private(folder.metrics_key, f"dtvn_metrics_{secrets.token_urlsafe(32)}\n".encode("ascii"))


def keep_apis(folder: DataFolder, founded: genesis.Genesis, own: Sequence[str]) -> None:
    """Give each of our nodes a permanent port for its own API (9001 + k, else a free one), and the
    key that it requires: a caller without a key of the platform cannot bypass it through a node. A
    supervisor's nodes require its own key, or none (C43)."""
    places = ClusterFolder(folder.root)
    nodes = [places.node(member_id) for member_id in own]
    keep_ports(nodes, "api", partial(choose_ports, first=FIRST_API_PORT, besides=_chosen(places, founded)))
    for node in nodes:
        if not settings.SUPERVISOR and not node.api_token.exists():
            node.create()
            write_private(node.api_token, secrets.token_urlsafe(32).encode("ascii") + b"\n")


def keep_newcomer_ports(folder: DataFolder, founded: genesis.Genesis, node: NodeFolder) -> tuple[str, int]:
    """Give a node that joins a running cluster its permanent ports (4001 + k to the other members,
    else a free one); returns the address at which it will listen to them."""
    places = ClusterFolder(folder.root)
    others = _chosen(places, founded)
    own = keep_ports([node], "member", partial(choose_ports, first=FIRST_MEMBER_PORT, besides=others))
    metrics = keep_ports([node], "metrics", partial(choose_ports, besides={*others, *own.values()}))
    keep_apis(folder, founded, [node.id])
    path = folder.prometheus / "nodes.json"
    targets = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    target = _metrics_target(founded, node.id, metrics[node.id])
    folder.prometheus.mkdir(exist_ok=True, mode=0o700)
    _write_targets(path, [*(other for other in targets if other != target), target])
    return _host_of_ours(places, founded), own[node.id]


def _host_of_ours(places: ClusterFolder, founded: genesis.Genesis) -> str:
    """The host at which other parties reach the members of this platform; raise StartError if it has none in
    a cluster of several hosts."""
    for member in founded.members:
        if places.node(member.id).key.exists():
            moved = moved_to(places.node(member.id))
            return member.host if moved is None else moved[0]
    if founded.demo:
        return LOOPBACK
    raise StartError(
        "this platform has no member, so it does not know at which address others reach it: make "
        "the node with `members prepare`"
    )


def _chosen(places: ClusterFolder, founded: genesis.Genesis) -> set[int]:
    """Ports of the members and nodes of this folder, including those that are down or were never started."""
    found = {member.port for member in founded.members}
    for folder in places.nodes.glob("*/"):
        with suppress(StartError):  # damaged: reported when that node starts
            found |= all_kept(NodeFolder(folder))
    return found


def _metrics_target(founded: genesis.Genesis, node_id: str, port: int) -> dict[str, Any]:
    return {"targets": [f"{LOOPBACK}:{port}"], "labels": {"cluster": founded.name, "node": node_id}}


def _write_targets(path: Path, groups: list[dict[str, Any]]) -> None:
    with whole_file(path, replace=True, mode=0o644) as file:
        file.write(json.dumps(groups, indent=2).encode() + b"\n")
