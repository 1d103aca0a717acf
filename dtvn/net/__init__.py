"""Encrypted links to the members of a cluster, shared by nodes, gateways and the learner. I/O."""

from dtvn.net.counters import LinkCounters
from dtvn.net.curve import CurveKeys, curve_keys, curve_public
from dtvn.net.dial import Dialler
from dtvn.net.dialled import DialledLink
from dtvn.net.keyfile import (
    KeyFileError,
    ensure_seed,
    named_seed,
    public_key_of,
    read_named_seed,
    read_seed,
)
from dtvn.net.queues import Lane, Outbound, lane_of

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
]
