"""Ports chosen for a node besides that of its genesis: stored once in its folder, and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from dtvn.files.whole import write_private
from dtvn.node.layout import NodeFolder, make_private
from dtvn.node.options import ApiOptions, MetricsOptions, StartError

FILE = "ports.json"

_decoder = msgspec.json.Decoder(dict[str, int])


def kept_port(folder: NodeFolder, name: str) -> int | None:
    """The port stored under this name, or None; raise StartError for a damaged file."""
    return _read(folder).get(name)


def all_kept(folder: NodeFolder) -> set[int]:
    """Every port stored for this node; raise StartError for a damaged file."""
    return set(_read(folder).values())


def kept_metrics(folder: NodeFolder) -> MetricsOptions | None:
    """The metrics address of a node that a platform runs: loopback, at its stored port; None without one."""
    port = kept_port(folder, "metrics")
    return MetricsOptions(port=port) if port else None


def kept_api(folder: NodeFolder, key: str) -> ApiOptions | None:
    """The API address of a node that a platform runs: as kept_metrics. `key`: the key that it asks for; "":
    the key in the node's folder, so that no client bypasses the platform's own keys."""
    port = kept_port(folder, "api")
    if not port:
        return None
    try:
        own = folder.api_token.read_text(encoding="ascii").strip() if folder.api_token.exists() else ""
    except (OSError, ValueError) as error:
        raise StartError(f"{folder.api_token} cannot be read: {error}.") from error
    return ApiOptions(port=port, key=key or own, closed=bool(own))


def keep_ports(
    folders: Sequence[NodeFolder], name: str, choose: Callable[[list[str]], list[int]]
) -> dict[str, int]:
    """Port by node id. `choose` gives ports to nodes without one, by their ids; they are stored at once."""
    kept = {folder.id: kept_port(folder, name) for folder in folders}
    lacking = [folder for folder in folders if kept[folder.id] is None]
    for folder, port in zip(
        lacking, choose([folder.id for folder in lacking]) if lacking else [], strict=True
    ):
        rewrite_ports(folder, **{name: port})
        kept[folder.id] = port
    return {node_id: port for node_id, port in kept.items() if port is not None}


def rewrite_ports(folder: NodeFolder, **ports: int) -> None:
    """Store these ports in place of the earlier ones; raise StartError for a damaged file."""
    make_private(folder.root)  # it may be gone: that node reports it, and the others still start
    content = msgspec.json.encode({**_read(folder), **ports}, order="sorted") + b"\n"
    write_private(folder.root / FILE, content, replace=True)


def _read(folder: NodeFolder) -> dict[str, int]:
    path = folder.root / FILE
    try:
        return _decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise StartError(f"{path} cannot be read: {error}.") from error
