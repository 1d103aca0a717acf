"""The identity of a request, when it ends, and what it takes in a batch (R12, R13, R20)."""

from __future__ import annotations

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import UNOPENED, Bundle

Key = tuple[str, int, int, int] | bytes
FRAMING = 8
"""Bytes that a request takes in a batch besides its frame (MessagePack header of `bin`)."""
BATCH_HEADER = 32
"""Bytes of a batch besides its requests."""


def key_of(bundle: Bundle) -> Key:
    """The identity under which a bundle may be executed only once: its number in a session, or the opening of
    a session (R12). It includes the signing principal, so that a principal that names another's session is
    not taken for its owner."""
    if bundle.session == UNOPENED:
        # Two openings that are the same operation to the state (R13: actor, nonce, body) have the same key,
        # so that a client that signs both cannot make a correct primary's proposal look like a repetition.
        # Openings that the state distinguishes need different keys: with the same key a backup could wait
        # for one opening while the primary holds the other.
        told = [msgspec.structs.replace(each, entry="", valid_until=0) for each in bundle.operations[:1]]
        parts = (bundle.principal.encode(), b"\0", canonical.encode(told))
        return canonical.tagged_digest("dtvn/v1/opening", *parts)
    return (bundle.principal, *bundle.session, bundle.number)


def end_of(bundle: Bundle) -> int:
    """Batch time after which no operation of the bundle can be executed any more, microseconds (R14)."""
    return max([operation.valid_until for operation in bundle.operations], default=0)
