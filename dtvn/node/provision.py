"""Creates a whole cluster on one host for a demonstration: keys, genesis and folders.

A cluster of several parties is created differently: each party creates its own key.
Here one operator holds all keys, and genesis says so (`demo`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dtvn.files.whole import write_private
from dtvn.net import ensure_seed, public_key_of
from dtvn.node.keys import DEV_SALT, dev_seed
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.options import StartError
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.quorum import Mode
from dtvn.protocol.versions import NEWEST

GATEWAY = "gateway"
LEARNER = "learner"


def api_principal(member: str) -> str:
    """Name of the principal with which a node's own API signs requests."""
    return f"api-{member}"


def member_id(index: int) -> str:
    """Id of a member by its number, as in the Go DTVN."""
    return f"node{index}"


def create_demo_cluster(
    data_dir: Path,
    nodes: int,
    host: str,
    ports: Sequence[int],
    name: str = "demo",
    *,
    names: Sequence[str] = (),
    consensus: Mode = Mode.PBFT,
    continues: g.Continued | None = None,
) -> None:
    """Create `nodes` validators below `data_dir`, unless a cluster is there already.

    `ports`: TCP ports on `host`, one per node, fixed in genesis. `names`: ids of the nodes, if they are not
    node0, node1 and so on. `consensus`: how they agree. `continues`: the state of another cluster to begin
    with (R11). The genesis file is written last and whole: an interrupted call is simply repeated, with the
    keys that it had created. Raises StartError, and writes nothing, if a party joined another cluster with
    this folder.
    """
    folder = ClusterFolder(data_dir)
    if folder.genesis.exists():
        return
    _check_no_party(folder)
    if len(ports) != nodes:
        raise ValueError(f"ports: {nodes} nodes need {nodes} ports, not {len(ports)}")
    folder.create()
    made = [folder.node(names[index] if names else member_id(index)) for index in range(nodes)]
    paths = {GATEWAY: folder.gateway_key, LEARNER: folder.learner_key}
    for node in made:
        node.create()
        ensure_seed(node.api_key)  # before the node's own key: see _check_no_party
        paths |= {node.id: node.key, api_principal(node.id): node.api_key}
    genesis = _demo_genesis(
        name,
        [(node.id, host, port) for node, port in zip(made, ports, strict=True)],
        lambda owner: ensure_seed(paths[owner]),
        created_at=time.time_ns() // 1_000,
        consensus=consensus,
        continues=continues,
    )
    content = g.encode(genesis)
    for node in made:
        write_private(node.genesis, content, replace=True)
    write_private(folder.genesis, content, replace=True)


def _check_no_party(folder: ClusterFolder) -> None:
    """Raise StartError if a node in the folder joined a cluster of several parties. Nodes that are made here
    have the key of their own API first."""
    for node in (NodeFolder(path) for path in sorted(folder.nodes.glob("*/"))):
        if not node.key.exists() or node.api_key.exists():
            continue
        if node.genesis.exists():
            start = f"manage.py validator -data-dir {folder.root} -id {node.id}"
            what = f"follows a cluster already: start it with `{start}`"
        else:
            what = (
                "joined a cluster that is not installed yet: when all have sealed it, run `manage.py genesis "
                f"install FILE --data-dir {folder.root}`"
            )
        raise StartError(f"no demonstration cluster is founded in {folder.root}: {node.id} {what}")


def make_newcomer(node: NodeFolder, genesis: bytes, newest: Membership | None = None) -> bytes:
    """Create folder, key and genesis of a node that is to join, unless they exist; return its public key.
    `newest`: the members that it may ask for the log, rewritten each time; None: those of genesis."""
    node.create()
    if newest is not None:
        write_private(node.sources, canonical.encode_trimmed(newest), replace=True)
    key = public_key_of(ensure_seed(node.key))
    if not node.genesis.exists():
        write_private(node.genesis, genesis)
    return key


def dev_genesis(
    total_nodes: int,
    host: str,
    port_of: Callable[[int], int],
    salt: str = DEV_SALT,
    parameters: g.Parameters | None = None,
) -> g.Genesis:
    """The genesis that every node with `-dev-keys` derives by itself. Its keys are public: for trials only.

    `port_of`: the port of a member by index. Nodes with different arguments form different clusters.
    """
    places = [(member_id(index), host, port_of(index)) for index in range(total_nodes)]
    return _demo_genesis("dev", places, lambda owner: dev_seed(owner, salt), parameters=parameters)


def _demo_genesis(
    name: str,
    places: Sequence[tuple[str, str, int]],
    seed_of: Callable[[str], bytes],
    *,
    created_at: int = 0,
    parameters: g.Parameters | None = None,
    consensus: Mode = Mode.PBFT,
    continues: g.Continued | None = None,
) -> g.Genesis:
    """The genesis of a cluster whose keys one party holds, marked as a demonstration. `places`: (id, host,
    port) of each member; `seed_of`: the seed of a member or principal by name."""

    def principal(owner: str, capabilities: Sequence[str] = g.CAPABILITIES) -> g.Principal:
        grants = tuple(g.Grant(event=g.ANY_EVENT, capability=capability) for capability in capabilities)
        return g.Principal(name=owner, public_key=public_key_of(seed_of(owner)), grants=grants)

    return g.make_genesis(
        name=name,
        created_at=created_at,
        members=(
            g.Member(id=member, public_key=public_key_of(seed_of(member)), host=host, port=port)
            for member, host, port in places
        ),
        principals=[
            principal(GATEWAY),
            principal(LEARNER, ()),
            *(principal(api_principal(member)) for member, _host, _port in places),
        ],
        parameters=parameters or g.Parameters(version=NEWEST),
        demo=True,
        continues=continues,
        consensus=consensus,
    )
