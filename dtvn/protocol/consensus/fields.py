"""Field types of messages, proofs and records, each with its bound."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.protocol import canonical, quorum
from dtvn.protocol.genesis import BOUNDS

Hash = Annotated[bytes, msgspec.Meta(min_length=canonical.HASH_SIZE, max_length=canonical.HASH_SIZE)]
"""32 bytes, checked on decoding: longer hashes would be a cheap way to fill tables and links."""
Votes = Annotated[tuple[bytes, ...], msgspec.Meta(max_length=quorum.MEMBERS_MAX)]
"""Frames of distinct members. The length is checked before the elements are decoded: empty ones cost most."""
SPAN = msgspec.Meta(max_length=32_768)
"""Bound of lists of sequences: more than a replica accepts at once, and more than one range of the log has
(three intervals of 10,000)."""
BATCH = msgspec.Meta(max_length=BOUNDS["batch_operations_max"][1])
"""Bound of a request's operations: no cluster takes more in a batch."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""A view, sequence, index or time; fits every database's 64-bit integer with room to add."""
Group = Annotated[int, msgspec.Meta(ge=0, lt=1024)]
"""Number of a group of the state (decision 0052)."""
Start = Annotated[bytes, msgspec.Meta(max_length=16)]
"""Random bytes by which a process differs from every other one under its key (R44)."""
Word = Annotated[str, msgspec.Meta(max_length=256)]
Text = Annotated[str, msgspec.Meta(max_length=1024)]


class Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base class of all wire structures: a MessagePack array without field names."""
