"""What the stories of links share: frames of both lanes, keys, and counters in words."""

from __future__ import annotations

from msgspec.structs import asdict

from dtvn.net import (
    LinkCounters,
    public_key_of,
)
from dtvn.node.keys import dev_seed
from dtvn.protocol.wire.envelope import encode_envelope

MEMBERS = ("node0", "node1", "node2", "node3")


def vote(text: str) -> bytes:
    return encode_envelope(17, text.encode(), b"")


def bulk(text: str) -> bytes:
    return encode_envelope(1, text.encode(), b"")


def key_of(owner: str) -> bytes:
    return public_key_of(dev_seed(owner))


def counted(counters: LinkCounters) -> str:
    """Those that are not zero."""
    return ", ".join(f"{name} {value}" for name, value in asdict(counters).items() if value) or "nothing"
