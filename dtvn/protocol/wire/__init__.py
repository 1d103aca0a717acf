"""Conversion between bytes and messages: framing, limits, signatures (the door). No sockets."""

from dtvn.protocol.scheme import ED25519, Ed25519, Scheme
from dtvn.protocol.wire.door import CHECK, Door, Keys, PeerError, one_in_64
from dtvn.protocol.wire.envelope import Envelope, decode_envelope, encode_envelope, kind_of, signed_bytes
from dtvn.protocol.wire.limits import FRAME_BYTES_MAX, VERIFIED_CACHE_MAX
from dtvn.protocol.wire.signer import FrameSigner, link_frame
from dtvn.protocol.wire.spoken import spoken

__all__ = [
    "CHECK",
    "ED25519",
    "FRAME_BYTES_MAX",
    "Door",
    "Ed25519",
    "Envelope",
    "FrameSigner",
    "Keys",
    "PeerError",
    "Scheme",
    "VERIFIED_CACHE_MAX",
    "decode_envelope",
    "encode_envelope",
    "kind_of",
    "link_frame",
    "one_in_64",
    "signed_bytes",
    "spoken",
]
