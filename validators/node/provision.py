"""Makes a cluster by one hand: keys, genesis and folders for a demonstration on one host.

A cluster of several parties is made otherwise (DESIGN section 6): each makes its own key. Here one
hand holds them all, and genesis says so (`demo`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from validators import canonical
from validators import genesis as g
from validators.consensus.membership import Membership
from validators.link import ensure_seed, public_key_of, write_private
from validators.node.keys import DEV_SALT, dev_seed
from validators.node.layout import ClusterFolder, NodeFolder

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
    """The name with which a node's own API signs what it is asked for."""
    return f"api-{member}"


def member_id(index: int) -> str:
    """The name of a member by its number, as in the seed project."""
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
    """Make `nodes` validators below `data_dir`, unless a cluster is there already.

    `ports`: TCP ports on `host`, one per node, kept for good in genesis. `names`: of the nodes, where they
    are not node0, node1 and so on. `continues`: the state of another cluster to begin with (R11). The genesis
    file is written last and whole: a start that was cut off before is simply done again, with the keys it had
    made.
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
    """Folder, key and genesis of a node that is to join, unless they are there; its public key. `newest`:
    whom it may ask for the log, written anew each time; None: the members of genesis."""
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
    """The genesis that every node with `-dev-keys` derives by itself: public keys, for trying out only.

    `port_of`: the port of a member by index. Nodes must agree on all of it, or they are two clusters.
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
