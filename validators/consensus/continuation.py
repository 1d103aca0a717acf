"""The statement with which all members of an epoch end it where nothing can be ordered any more (R11).

More than n - q members have lost their vote: no checkpoint becomes stable, no change can be ordered. Then
every member, offline and with its old key, signs what the log is, one entry longer: `sequence` holds the
operation `recover`, which names the same members under new keys. All n equal statements are what q
CHECKPOINTs are where an epoch ends by itself, and fewer are worth nothing. It stands apart from CHECKPOINT,
so that neither passes for the other, and two different ones of an epoch convict their signer wherever they
say that it ended.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from validators.consensus.fields import Count, Hash, Wire
from validators.quorum import MEMBERS_MAX

__all__ = ["Continuation"]


class Continuation(Wire, frozen=True):
    """Member, offline: the epoch ends after `sequence` with this state and log; I sign no other end of it."""

    epoch: Count
    sender: Count
    sequence: Count
    """Of the operation `recover`, the last of the epoch."""
    state_root: Hash
    log_root: Hash
    timestamp: Count
    """Last effective timestamp."""
    keys: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=MEMBERS_MAX)]
    """Public keys of the same members in the next epoch, in order of their index."""
