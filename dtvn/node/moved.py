"""The address of a node that moved to another host or port, until and after the members ordered it."""

from __future__ import annotations

from dtvn.files.whole import write_private
from dtvn.net import format_multiaddr, parse_multiaddr
from dtvn.node.layout import NodeFolder
from dtvn.node.options import StartError


def moved_to(folder: NodeFolder) -> tuple[str, int] | None:
    """(host, port) at which the node is reached since it moved; None if it did not move. Raise StartError for
    a damaged file."""
    try:
        host, port, _ = parse_multiaddr(folder.address.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StartError(f"{folder.address} cannot be read: {error}.") from error
    return host, port


def keep_address(folder: NodeFolder, host: str, port: int, peer: str) -> None:
    """Store the address at which the node is reached from its next start on."""
    text = format_multiaddr(host, port, peer)
    write_private(folder.address, text.encode("ascii") + b"\n", replace=True)
