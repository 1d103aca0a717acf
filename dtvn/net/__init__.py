"""Encrypted links to the members of a cluster, shared by nodes, gateways and the learner. I/O."""

from dtvn.net.counters import LinkCounters
from dtvn.net.curve import CurveKeys, curve_keys, curve_public
from dtvn.net.dial import Dialler, endpoint_of
from dtvn.net.dialled import DialledLink, tune
from dtvn.net.keyfile import (
    KeyFileError,
    encode_seed,
    ensure_seed,
    public_key_of,
    read_named_seed,
    read_seed,
)
from dtvn.net.links import Links
from dtvn.net.local_address import bindable
from dtvn.net.multiaddr import format_multiaddr, parse_multiaddr
from dtvn.net.questions import NoAnswer, QuestionLinks
from dtvn.net.queues import Lane, Outbound, lane_of
from dtvn.net.relay_transport import RelayTransport
from dtvn.net.splice_report import SpliceReport
from dtvn.net.transport import ZmqTransport

__all__ = [
    "CurveKeys",
    "DialledLink",
    "Dialler",
    "KeyFileError",
    "Lane",
    "LinkCounters",
    "Links",
    "NoAnswer",
    "Outbound",
    "QuestionLinks",
    "RelayTransport",
    "SpliceReport",
    "ZmqTransport",
    "bindable",
    "curve_keys",
    "curve_public",
    "endpoint_of",
    "encode_seed",
    "ensure_seed",
    "format_multiaddr",
    "lane_of",
    "parse_multiaddr",
    "public_key_of",
    "read_named_seed",
    "read_seed",
    "tune",
]
