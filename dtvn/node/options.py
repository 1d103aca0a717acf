"""The options of a node, and the error of a node that cannot start."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dtvn.files.genesis import read_genesis_bytes
from dtvn.ledger import Location
from dtvn.node.layout import ClusterFolder
from dtvn.node.via import Via
from dtvn.overlay.overlay import Settings
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis.ceremony import open_genesis
from dtvn.protocol.wire import VERIFIED_CACHE_MAX


class StartError(Exception):
    """A process that cannot start; the text is one sentence for the operator."""


class UsageError(Exception):
    """Wrong flags, environment or configuration file; the text is one line."""


class MetricsOptions(msgspec.Struct, frozen=True):
    """The address on which a node serves its metrics."""

    port: int
    """0: any free one."""
    host: str = "127.0.0.1"
    needed: bool = False
    """True: the operator asked for this port, and the node does not start without it. False: the node runs
    without it, logs that, and tries again (votes matter more than metrics)."""


class ApiOptions(msgspec.Struct, frozen=True):
    """The address and the settings of a node's own API."""

    port: int
    """0: any free one."""
    host: str = "127.0.0.1"
    key: str = ""
    """The key that every path below /api/ asks for; "": no key."""
    cors: bool = True
    closed: bool = False
    """Whether the WebSocket asks for the key too."""
    static: str = ""
    """Folder of a page to serve; "": no page."""
    needed: bool = False
    """See MetricsOptions.needed."""


class NodeOptions(msgspec.Struct, frozen=True):
    """Settings of a node that a command line may give, besides its folder."""

    bind: tuple[str, int] | None = None
    """(host, port) to listen on; None: this member's address in genesis."""
    splice: str = ""
    """Multiaddr of the splice through which others reach this node; "": they dial it."""
    via: Via | None = None
    """The registration there, once it runs; `bind` is then its place."""
    addresses: dict[int, tuple[str, int]] = {}
    """(host, port) to dial members at, by index; others are dialled at their address in genesis."""
    books: dict[bytes, tuple[str, int]] = {}
    """Public key and (host, port) of nodes that are no members, but keep addresses (`book_node`)."""
    is_book: bool = False
    """The node is no member, and runs the address book alone."""
    own_url: str = ""
    """postgresql://... of the server that this node's own setting names for its ledger; "": none."""
    platform_url: str = ""
    """postgresql://... of the platform, which may still hold a ledger of an earlier form."""
    ledger: Location | None = None
    """Where the ledger is (`ledger_place`); None: in a file in `ledger_folder`."""
    index: int = 0
    """This member's index in genesis."""
    ledger_folder: Path | None = None
    """None: in the node's folder."""
    ledger_patience: int = 0
    """Nanoseconds that a start waits for a ledger that another process still holds."""
    remembered_max: int = VERIFIED_CACHE_MAX
    """Number of messages that the node caches as verified."""
    others_are_gone: bool = False
    """The operator states that the members that do not answer will not come back (R11)."""
    overlay: Settings = Settings(role="member")
    """The settings gossip.* (R45). `fanout` is also the most followers that the log is pushed to."""
    status_idle: int = 0
    """Nanoseconds between two Status messages of an idle backup; 0: the core's default."""
    metrics: MetricsOptions | None = None
    """Port of the metrics; None: there are none."""
    api: ApiOptions | None = None
    """None: no API of its own."""


def check_folder(data: ClusterFolder, node_id: str) -> None:
    """Raise StartError if the data folder holds no cluster, or no such node ("": only the platform)."""
    there = sorted(folder.name for folder in data.nodes.glob("*") if folder.is_dir())
    if not there and not data.genesis.exists():
        raise StartError(f"{data.root} holds no cluster: give its data folder (--data-dir).")
    if node_id and node_id not in there:
        held = f", but {', '.join(there)}" if there else ""
        raise StartError(f"{data.root} holds no node {node_id}{held}: name another node or --data-dir.")


def genesis_in(data: ClusterFolder, node_id: str) -> Path:
    """Path of a node's genesis in a data folder, or of the platform's (""); raise StartError."""
    try:
        path = data.node(node_id).genesis if node_id else data.genesis
    except ValueError as error:
        raise StartError(f"{error}.") from error
    check_folder(data, node_id)
    if not node_id and not path.exists():
        names = ", ".join(sorted(folder.name for folder in data.nodes.glob("*")))
        raise StartError(f"{data.root} holds no platform, but {names}: give the node's --id.")
    return path


def load_genesis(path: Path) -> g.Genesis:
    """The genesis in a file; raise StartError with a sentence for the operator."""
    return load_genesis_file(path)[0]


def load_genesis_file(path: Path) -> tuple[g.Genesis, bytes]:
    """The genesis in a file, and the file's content, which is read once; raise StartError with a sentence for
    the operator."""
    try:
        data = read_genesis_bytes(path)
        return open_genesis(data), data
    except FileNotFoundError as error:
        raise StartError(
            f"The genesis {path} cannot be read: {error.strerror}. Where a node's folder was lost, its key "
            f"is gone with it: a new member takes its place (manage.py members replace)."
        ) from error
    except OSError as error:
        raise StartError(f"The genesis {path} cannot be read: {error.strerror}.") from error
    except g.GenesisError as error:
        raise StartError(f"The genesis {path} is not usable: {error}.") from error
