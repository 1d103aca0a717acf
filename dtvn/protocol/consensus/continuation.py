"""The statement with which all members end an epoch in which nothing can be ordered any more (R11).

If more than n - q members have lost their vote, no checkpoint becomes stable and no change can be ordered.
Then every member signs, offline and with its old key, the log extended by one entry: `sequence` holds the
operation `recover`, which names the same members under new keys. All n equal statements replace the q
CHECKPOINTs that end an epoch normally; fewer prove nothing. The statement is a kind of its own, so that
neither passes for a CHECKPOINT or the reverse, and two different ones of an epoch convict their signer,
with any end of the epoch.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.protocol.consensus.fields import Count, Hash, Wire
from dtvn.protocol.quorum import MEMBERS_MAX


class Continuation(Wire, frozen=True):
    """Signed by a member, offline: the epoch ends after `sequence` with this state and log, and the member
    signs no other end of it."""

    epoch: Count
    sender: Count
    sequence: Count
    """Sequence of the operation `recover`, the last of the epoch."""
    state_root: Hash
    log_root: Hash
    timestamp: Count
    """Last effective timestamp."""
    keys: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=MEMBERS_MAX)]
    """Public keys of the same members in the next epoch, in order of their index."""
