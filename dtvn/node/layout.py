"""Paths of the files of a node, a learner and a cluster below a data folder."""

from __future__ import annotations

import re
from pathlib import Path

from dtvn.protocol.genesis import PRINCIPAL_NAME

_NODE_ID = re.compile(PRINCIPAL_NAME)
"""A node that is not a member follows the log as a principal of its own name."""

_RESERVED = frozenset({"gateway", "learner", "preview"})
"""Names of a cluster's own principals and processes, and a path segment of the API."""
_API = "api-"
"""The principal of node X's own API is api-X, and a principal's name is as long as a node's may be."""


def is_node_id(text: str) -> bool:
    """Whether a name is safe as a folder name and readable in a process list."""
    return _NODE_ID.fullmatch(text) is not None


def why_not_joins_as(text: str, *, made_here: bool = True) -> str:
    """Why no new node can have this name, as the end of a sentence about it; "" if one can.

    `made_here`: the node's own API gets a principal too. Existing nodes with such a name keep it.
    """
    longest = 64 - len(_API) if made_here else 64
    if not is_node_id(text) or len(text) > longest:
        return f"must be 1 to {longest} of A-Z a-z 0-9 . _ -, with a letter or digit first"
    if text in _RESERVED or text.startswith(_API):
        return f"{text!r} is reserved for parts of the network: choose another"
    return ""


def make_private(folder: Path) -> None:
    """Create a folder for its owner only (0700), and its parents with the modes of the umask."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)


class NodeFolder:
    """Paths of one node: DATA/nodes/<id>. Creating the object touches no files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.id = root.name
        self.identity = root / "identity"
        self.key = self.identity / "node.key"
        self.api_key = self.identity / "api.key"
        """The key with which this node's own API signs requests as its principal, if it has one."""
        self.api_token = self.identity / "api.token"
        """The key that this node's own API asks its clients for, if a platform runs the node."""
        self.next_key = self.identity / "next.key"
        """The key of the next epoch, while it is being rotated."""
        self.recovery_key = self.identity / "recovery.key"
        """The key of the epoch that a recovery begins (R11), until the recovery is installed."""
        self.promise = self.identity / "promise.bin"
        """The end of an epoch that this node's key signed (R11): it signs no other end of that epoch."""
        self.liveness_proof = self.identity / "alive.bin"
        """The newest liveness proof of a node that is not a member (R36)."""
        self.address = self.identity / "address"
        """Multiaddr at which the node is reached since it moved (`manage.py members moved`)."""
        self.via = self.identity / "via"
        """Multiaddrs of the splice at which the node is dialled (dtvn.node.via), and of its place there."""
        self.genesis = self.identity / "genesis.bin"
        self.sources = self.identity / "sources.bin"
        """A newer membership than the ledger's: members that a newcomer may ask for the log if those of its
        own epoch are gone. Only a hint: nothing that they answer is accepted without proof."""
        self.continued = ClusterFolder(root.parent.parent).continued
        """The initial state of a cluster that continues another one; the nodes of a host share the file."""
        self.ledger = root / "ledger"
        self.ledger_url = root / "ledger.url"
        """The server that holds this node's ledger, if it is not in the folder above."""
        self.log = root / "log"

    def create(self) -> None:
        """Make the folders, 0700."""
        make_private(self.root.parent)
        for folder in (self.root, self.identity, self.ledger, self.log):
            make_private(folder)


class ClusterFolder:
    """Paths of a whole cluster on one host: DATA."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cluster = root / "cluster"
        self.genesis = self.cluster / "genesis.bin"
        self.continued = self.cluster / "continued.state"
        """The last certified state of the cluster that this one continues (dtvn.node.state_file)."""
        self.epoch_changes = self.cluster / "handovers.bin"
        """The ends of epochs up to the last recovery (dtvn.files.epoch_changes)."""
        self.nodes = root / "nodes"
        self.keys = root / "keys"
        self.gateway_key = self.keys / "gateway.key"
        self.learner_key = self.keys / "learner.key"
        self.follower_key = self.keys / "follower.key"
        """The key of a follower (manage.py follow), which is a principal."""
        self.follower_via = self.cluster / "via"
        """Multiaddrs of the splice through which a follower is reached, and of its place there."""
        self.learner = root / "learner"
        self.learner_sources = self.learner / "sources.bin"
        """See NodeFolder.sources."""

    def node(self, node_id: str) -> NodeFolder:
        """Folder of one node; raise ValueError for a name that is not a node id."""
        if not is_node_id(node_id):
            raise ValueError(f"id: {node_id!r} is not a valid node name (letters, digits, . _ -; 64 at most)")
        return NodeFolder(self.nodes / node_id)

    def create(self) -> None:
        """Make the folders, 0700."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.cluster, self.nodes, self.keys):
            make_private(folder)
