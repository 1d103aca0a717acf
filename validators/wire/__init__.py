"""The door between bytes and messages: framing, limits, signatures. No sockets."""

from validators.wire.door import CHECK, Door, Keys, PeerError
from validators.wire.envelope import Envelope, decode_envelope, kind_of, signed_bytes
from validators.wire.limits import FRAME_BYTES_MAX
from validators.wire.scheme import ED25519, Ed25519, Scheme
from validators.wire.signer import FrameSigner, link_frame

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
    "decode_envelope",
    "kind_of",
    "link_frame",
    "signed_bytes",
]
