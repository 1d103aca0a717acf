"""Prepares what `manage.py validator` needs to run its node: folder, key, genesis, addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from dtvn.files.whole import write_private
from dtvn.net import (
    KeyFileError,
    encode_seed,
    ensure_seed,
    format_multiaddr,
    parse_multiaddr,
    public_key_of,
    read_seed,
)
from dtvn.node.keys import DEV_SALT, dev_seed, peer_id, public_key_of_peer_id
from dtvn.node.layout import ClusterFolder, NodeFolder
from dtvn.node.moved import moved_to
from dtvn.node.options import (
    NodeOptions,
    StartError,
    UsageError,
    load_genesis,
    load_genesis_file,
)
from dtvn.node.provision import api_principal, dev_genesis
from dtvn.node.settings import FIRST_MEMBER_PORT, KEYS, Settings
from dtvn.node.via import read_splice
from dtvn.protocol import genesis as g
from dtvn.protocol.versions import NEWEST

TOTAL_NODES = 4
"""Members with development keys, unless said otherwise."""

DEV_HOST = "127.0.0.1"

Address = tuple[str, int]


def prepare(
    settings: Settings,
    key_seed: str,
    tell: Callable[[str], None],
    warn: Callable[[str], None],
) -> tuple[NodeFolder, NodeOptions]:
    """Prepare the node's folder; return it with the options that say where the node listens and dials.

    The settings `consensus.*` are the cluster's: development keys found a cluster with them, otherwise they
    must equal those of genesis. `key_seed`: the salt of development keys, "" for the public one. `tell`
    receives the node's multiaddr, `warn` warnings for the operator. Raise UsageError (exit 2) or StartError
    (exit 1).
    """
    dev_keys, genesis_file = settings["node.dev_keys"], settings["node.genesis"]
    if dev_keys and genesis_file:
        raise UsageError("-dev-keys and -genesis cannot be used together")
    folder = ClusterFolder(Path(settings["node.data_dir"])).node(settings["node.id"])
    if dev_keys:
        genesis = _with_dev_keys(folder, settings, key_seed or DEV_SALT, warn)
    elif genesis_file:
        genesis, data = load_genesis_file(Path(genesis_file))
        _settle(folder, {}, data)
    elif folder.genesis.exists():
        genesis = load_genesis(folder.genesis)
    else:
        raise UsageError(
            f"{folder.root} holds no node yet: give -genesis FILE, or -dev-keys to try it with public keys"
        )
    if not dev_keys:
        _must_agree(genesis, settings)
    splice = _splice(settings)
    own = _own(genesis, folder, may_make=settings["network.bootstrap_mode"])
    host, port = settings["network.listen_address"], settings["network.listen_port"]
    bind = None
    if own is not None:
        bind = (host or own.host, port or own.port)
        at = (moved_to(folder) or bind) if host is None and port is None else bind
        if not splice:
            tell(f"{own.id} listens at {format_multiaddr(*at, peer_id(own.public_key))}")
    elif port is not None:
        bind = (host or DEV_HOST, port)
    is_book = settings["network.bootstrap_mode"] and own is None and not _has_followed(folder)
    if is_book:
        bind = bind or (host or DEV_HOST, FIRST_MEMBER_PORT)
        place = format_multiaddr(*bind, peer_id(public_key_of(read_seed(folder.key))))
        tell(f"{folder.id} is no member and keeps addresses only; it listens at {place}")
    addresses, books = _addresses(genesis, own, settings["network.bootstrap_peers"], warn)
    return folder, NodeOptions(
        bind=bind,
        splice=splice,
        addresses=addresses,
        books=books,
        is_book=is_book,
        index=0 if own is None else genesis.members.index(own),
    )


def _splice(settings: Settings) -> str:
    """The splice's multiaddr, "" for none; raise UsageError if it is unusable, or the node has another place
    too."""
    splice: str = settings["network.via"]
    if splice:
        source = settings.source("network.via")
        try:
            read_splice(splice)
        except ValueError as error:
            raise UsageError(f"{source}: {error}") from error
        for key in ("network.listen_address", "network.listen_port"):
            if settings.given(key):
                raise UsageError(f"{source} and {settings.source(key)} contradict each other")
    return splice


def _must_agree(genesis: g.Genesis, settings: Settings) -> None:
    """Raise UsageError if a given value differs from genesis, which all members share."""
    parameters = genesis.parameters
    for key, founded in (
        ("consensus.total_nodes", len(genesis.members)),
        ("consensus.view_timeout", parameters.view_timeout * 1_000),
        ("consensus.checkpoint_interval", parameters.checkpoint_interval),
    ):
        if settings[key] not in (None, founded):
            show = KEYS[key].kind.show
            raise UsageError(
                f"{key}: {show(settings[key])}, but the genesis of this cluster says {show(founded)}"
            )


def _with_dev_keys(
    folder: NodeFolder, settings: Settings, salt: str, warn: Callable[[str], None]
) -> g.Genesis:
    parameters, timeout = g.Parameters(), settings["consensus.view_timeout"]
    parameters = msgspec.structs.replace(
        parameters,
        view_timeout=timeout // 1_000 if timeout else parameters.view_timeout,
        checkpoint_interval=settings["consensus.checkpoint_interval"] or parameters.checkpoint_interval,
        version=load_genesis_file(folder.genesis)[0].parameters.version
        if folder.genesis.exists()
        else NEWEST,
    )
    total_nodes = settings["consensus.total_nodes"] or TOTAL_NODES
    genesis = dev_genesis(total_nodes, DEV_HOST, lambda index: FIRST_MEMBER_PORT + index, salt, parameters)
    is_member = folder.id in {member.id for member in genesis.members}
    if not (is_member or settings["network.bootstrap_mode"]):
        raise UsageError(f"-id {folder.id!r}: with -dev-keys the members are node0 to node{total_nodes - 1}")
    danger = "anyone who knows its seed can derive every key"
    if salt == DEV_SALT:
        danger = "anyone can derive every key of this network, vote as any node and admit any ticket"
    warn(f"WARNING: -dev-keys: {danger}. Use it for trying out only, never for real tickets.")
    keys = {folder.key: dev_seed(folder.id, salt), folder.api_key: dev_seed(api_principal(folder.id), salt)}
    _settle(folder, keys, g.encode(genesis))
    return genesis


def _settle(folder: NodeFolder, keys: Mapping[Path, bytes], genesis: bytes) -> None:
    """Write keys and genesis to the node's folder; raise StartError if it holds other ones."""
    data_dir = folder.root.parents[1]
    try:
        data_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        folder.create()
        for path, seed in keys.items():
            _keep_key(path, seed)
        if not folder.genesis.exists():
            write_private(folder.genesis, genesis)
        if load_genesis_file(folder.genesis)[1] != genesis:
            raise StartError(
                f"{folder.genesis} belongs to another cluster than the flags name: use another -data-dir."
            )
    except OSError as error:
        raise StartError(f"{folder.root} cannot be used: {error.strerror}.") from error
    except KeyFileError as error:
        raise StartError(str(error)) from error


def _keep_key(path: Path, seed: bytes) -> None:
    if not path.exists():
        write_private(path, encode_seed(seed))
    if read_seed(path) != seed:
        raise StartError(f"{path} holds another key: use another -data-dir for this node.")


def _own(genesis: g.Genesis, folder: NodeFolder, *, may_make: bool) -> g.Member | None:
    """The founding member with this node's key; None: the node joined later, and its ledger has its place, or
    it is no member. `may_make`: a missing key is made."""
    try:
        own_key = public_key_of(ensure_seed(folder.key) if may_make else read_seed(folder.key))
    except (KeyFileError, OSError) as error:
        raise StartError(str(error)) from error
    for member in genesis.members:
        if member.public_key == own_key:
            return member
    return None


def _has_followed(folder: NodeFolder) -> bool:
    """Whether the node has a ledger: it is a member that joined later, or is about to be one."""
    return folder.ledger_url.exists() or any(folder.ledger.glob("*"))


def _addresses(
    genesis: g.Genesis, own: g.Member | None, bootstrap: str, warn: Callable[[str], None]
) -> tuple[dict[int, Address], dict[bytes, Address]]:
    """From `bootstrap`: addresses of members by index, and of others by key, which may keep addresses;
    unusable items are skipped with a warning."""
    indices = {member.public_key: index for index, member in enumerate(genesis.members)}
    addresses: dict[int, Address] = {}
    books: dict[bytes, Address] = {}
    for item in filter(None, (text.strip() for text in bootstrap.split(","))):
        try:
            host, port, peer = parse_multiaddr(item)
            if not peer:
                raise ValueError(f"{item!r} has no /p2p/PEER-ID, which identifies the node that answers")
            key = public_key_of_peer_id(peer)
            index = indices.get(key)
        except ValueError as error:
            warn(f"-bootstrap: {error}: ignored")
            continue
        if index is None:
            warn(f"-bootstrap: {peer} is not a member of this cluster: only asked for addresses")
            books[key] = (host, port)
        elif genesis.members[index] != own:
            addresses[index] = (host, port)
    return addresses, books
