"""How the members of this platform's cluster agree, for code that has no gateway at hand."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from dtvn.node.layout import ClusterFolder
from dtvn.node.options import StartError, load_genesis
from dtvn.protocol import genesis as g
from dtvn.protocol.quorum import Mode


def cluster_mode() -> Mode:
    """The mode in the genesis of the data folder; PBFT while none can be read: the start of a node
    then reports why."""
    path = ClusterFolder(Path(settings.DATA)).genesis
    try:
        return _mode(path, path.stat().st_mtime_ns)
    except (OSError, StartError):
        return Mode.PBFT


@lru_cache(maxsize=4)
def _mode(path: Path, _changed: int) -> Mode:
    return g.mode(load_genesis(path))
