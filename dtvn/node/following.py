"""What a follower keeps in its data folder: its key, the cluster that it follows, and how it was started.

The cluster's id is pinned with the first genesis: a follower never shows another cluster's tickets under the
same addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dtvn.files.whole import write_private
from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError
from dtvn.protocol import genesis as g
from dtvn.protocol.genesis.ceremony import open_genesis

FILE = "follow.json"
REPORT_FILE = "follower-report.json"
"""What a follower without pages said of itself last: nothing else on its host keeps it."""


class Following(msgspec.Struct, frozen=True):
    """How a follower was started; kept for the next start."""

    start: str
    """Multiaddr of the peer that it asked first (`--from`)."""
    cluster: str = ""
    """Id of the cluster, in hexadecimal digits; "" before the first genesis."""
    name: str = ""
    """Its name as a principal, as its operator calls it."""
    listen: str = ""
    """HOST:PORT at which its own followers reach it; "": it has none."""
    via: str = ""
    """Multiaddr of the splice through which these reach it; "": they dial it."""
    writes_at: str = ""
    """Where people change something, for its pages; "": not told."""
    host: str = ""
    """Of its pages; "": as the environment tells."""
    port: str = ""
    """Of its pages, in decimal digits; "": as the environment tells."""
    no_pages: bool = False
    """It has no web process."""


def following_in(data: Path) -> Following | None:
    """How the follower of a data folder was started; None if the folder is none of a follower. Raises
    StartError if the file is damaged."""
    path = ClusterFolder(data).cluster / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Following)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise StartError(f"{path} cannot be read: {error}.") from error


def keep_following(data: Path, following: Following) -> None:
    """Keep how the follower is started."""
    path = ClusterFolder(data).cluster / FILE
    write_private(path, msgspec.json.format(msgspec.json.encode(following)) + b"\n", replace=True)


def keep_report(data: Path, report: Mapping[str, Any]) -> None:
    """Keep what a follower without pages says of itself, whole, in the place of what it said before."""
    path = ClusterFolder(data).cluster / REPORT_FILE
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(report))
    fresh.replace(path)


def report_in(data: Path) -> dict[str, Any]:
    """What it said last; empty if it said nothing that can be read."""
    try:
        found = msgspec.json.decode((ClusterFolder(data).cluster / REPORT_FILE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return {}
    return found if isinstance(found, dict) else {}


def check_folder(data: Path) -> None:
    """Raise StartError if the folder belongs to a platform or a node."""
    folder = ClusterFolder(data)
    if following_in(data) is None and (folder.genesis.exists() or any(folder.nodes.glob("*"))):
        raise StartError(f"{data} holds a platform or a node: give this follower a folder of its own.")


def pin(data: Path, following: Following, genesis_file: bytes, wanted: str) -> Following:
    """Keep the genesis of the cluster that is followed from now on. `wanted`: the id that the operator
    expects, or the beginning of it; "": any. Raises StartError for another cluster than that, or than the one
    that this folder follows already."""
    found = g.cluster_id(open_genesis(genesis_file)).hex()
    if wanted and not found.startswith(wanted.lower()):
        raise StartError(f"The peer is of cluster {found}, not {wanted}: --from or --cluster is wrong.")
    if following.cluster and following.cluster != found:
        raise StartError(
            f"The peer is of cluster {found}, and {data} follows {following.cluster}: give the follower of "
            "another cluster another folder (--data-dir)."
        )
    pinned = msgspec.structs.replace(following, cluster=found)
    write_private(ClusterFolder(data).genesis, genesis_file, replace=True)
    keep_following(data, pinned)
    return pinned
