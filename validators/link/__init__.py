"""The encrypted way to the members of a cluster: shared by nodes, gateways and the learner. I/O."""

from validators.link.counters import LinkCounters
from validators.link.curve import CurveKeys, curve_keys, curve_public
from validators.link.dial import Dialler
from validators.link.dialled import DialledLink
from validators.link.keyfile import (
    KeyFileError,
    ensure_seed,
    named_seed,
    public_key_of,
    read_named_seed,
    read_seed,
    sync_folder,
    write_private,
)
from validators.link.queues import Lane, Outbound, lane_of

__all__ = [
    "CurveKeys",
    "DialledLink",
    "Dialler",
    "KeyFileError",
    "Lane",
    "LinkCounters",
    "Outbound",
    "curve_keys",
    "curve_public",
    "ensure_seed",
    "lane_of",
    "named_seed",
    "public_key_of",
    "read_named_seed",
    "read_seed",
    "sync_folder",
    "write_private",
]
