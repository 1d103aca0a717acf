"""Creates a whole cluster on one host for a demonstration: keys, genesis and folders.

A cluster of several parties is created differently (DESIGN section 6): each party creates its own key.
Here one operator holds all keys, and genesis says so (`demo`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dtvn.files.whole import write_private
from dtvn.net import ensure_seed, public_key_of
from dtvn.node.keys import DEV_SALT, dev_seed
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.membership import Membership

__all__ = [
    "GATEWAY",
    "LEARNER",
    "api_principal",
    "create_demo_cluster",
    "dev_genesis",
    "make_newcomer",
    "member_id",
]

GATEWAY = "gateway"
LEARNER = "learner"


def api_principal(member: str) -> str:
    """Name of the principal with which a node's own API signs requests."""
    return f"api-{member}"


def member_id(index: int) -> str:
    """Id of a member by its number, as in the seed project."""
    return f"node{index}"


def create_demo_cluster(
    data_dir: Path,
    nodes: int,
    host: str,
    ports: Sequence[int],
    name: str = "demo",
    *,
    names: Sequence[str] = (),
    continues: g.Continued | None = None,
) -> None:
    """Create `nodes` validators below `data_dir`, unless a cluster is there already.

    `ports`: TCP ports on `host`, one per node, fixed in genesis. `names`: ids of the nodes, if they are not
    node0, node1 and so on. `continues`: the state of another cluster to begin with (R11). The genesis file is
    written last and whole: an interrupted call is simply repeated, with the keys that it had created.
    """
    folder = ClusterFolder(data_dir)
    if folder.genesis.exists():
        return
    if len(ports) != nodes:
        raise ValueError(f"ports: {nodes} nodes need {nodes} ports, not {len(ports)}")
    folder.create()
    members = []
    for index, port in enumerate(ports):
        node = folder.node(names[index] if names else member_id(index))
        node.create()
        public_key = public_key_of(ensure_seed(node.key))
        members.append(g.Member(id=node.id, public_key=public_key, host=host, port=port))
    principals = _principals(
        gateway=public_key_of(ensure_seed(folder.gateway_key)),
        learner=public_key_of(ensure_seed(folder.learner_key)),
        apis={member.id: public_key_of(ensure_seed(folder.node(member.id).api_key)) for member in members},
    )
    genesis = g.Genesis(
        name=name,
        created_at=time.time_ns() // 1_000,
        members=tuple(members),
        principals=principals,
        parameters=g.Parameters(),
        demo=True,
    )
    if continues is not None:
        genesis = g.continuing(genesis, continues)
    g.check(genesis)
    content = g.encode(genesis)
    for member in members:
        write_private(folder.node(member.id).genesis, content, replace=True)
    write_private(folder.genesis, content, replace=True)


def make_newcomer(node: NodeFolder, genesis: bytes, newest: Membership | None = None) -> bytes:
    """Create folder, key and genesis of a node that is to join, unless they exist; return its public key.
    `newest`: the members that it may ask for the log, rewritten each time; None: those of genesis."""
    node.create()
    if newest is not None:
        write_private(node.sources, canonical.encode(newest), replace=True)
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
    members = tuple(
        g.Member(
            id=member_id(index),
            public_key=public_key_of(dev_seed(member_id(index), salt)),
            host=host,
            port=port_of(index),
        )
        for index in range(total_nodes)
    )
    principals = _principals(
        gateway=public_key_of(dev_seed(GATEWAY, salt)),
        learner=public_key_of(dev_seed(LEARNER, salt)),
        apis={member.id: public_key_of(dev_seed(api_principal(member.id), salt)) for member in members},
    )
    genesis = g.Genesis(
        name="dev",
        created_at=0,
        members=members,
        principals=principals,
        parameters=parameters or g.Parameters(),
        demo=True,
    )
    g.check(genesis)
    return genesis


def _principals(*, gateway: bytes, learner: bytes, apis: Mapping[str, bytes]) -> tuple[g.Principal, ...]:
    """`apis`: key of each node's own API, by the node's id."""
    everything = tuple(g.Grant(event=g.ANY_EVENT, capability=capability) for capability in g.CAPABILITIES)
    listed = [
        g.Principal(name=GATEWAY, public_key=gateway, grants=everything),
        g.Principal(name=LEARNER, public_key=learner, grants=()),
        *(
            g.Principal(name=api_principal(member), public_key=key, grants=everything)
            for member, key in apis.items()
        ),
    ]
    return tuple(sorted(listed, key=lambda principal: principal.name))
