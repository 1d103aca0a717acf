"""The proposals that a new view must carry over: a pure function of q VIEW-CHANGEs (R33; Castro & Liskov
1999, 4.4).

Every replica computes and compares them; the new primary chooses only which q VIEW-CHANGEs it uses. Worked
example, n = 4, window 32: A's stable checkpoint is 10 and it prepared 11 and 13 in view 0; B's is 10 and it
prepared 13 as another batch in view 2; C's is 0 with nothing prepared. Then the base is 10, sequence 11 is
A's batch, 12 is the null request, and 13 is B's (the higher view wins: a quorum of view 2 knew that A's
could not have been committed).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from dtvn.protocol import quorum
from dtvn.protocol.consensus.certificate import (
    CheckpointCertificate,
    Prepared,
    read_checkpoint,
    read_prepared,
)
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.messages import NULL_BATCH_DIGEST, PrePrepare, ViewChange
from dtvn.protocol.consensus.verified import Verified


class CheckedViewChange(msgspec.Struct, frozen=True):
    """A VIEW-CHANGE whose proofs were checked."""

    sender: int
    view: int
    digest: bytes
    """Digest of the VIEW-CHANGE's signed body, by which a NEW-VIEW names it."""
    checkpoint: CheckpointCertificate | None
    prepared: tuple[Prepared, ...]
    frame: bytes
    base: int = 0
    """Base of the epoch (Config.base)."""

    @property
    def stable(self) -> int:
        """Sequence of the sender's stable checkpoint."""
        return self.checkpoint.sequence if self.checkpoint is not None else self.base


class Plan(msgspec.Struct, frozen=True):
    """The base of the new view and the batches that it must decide again."""

    base: int
    """Newest stable checkpoint among the VIEW-CHANGEs (min-s in the paper)."""
    checkpoint: CheckpointCertificate | None
    digests: tuple[tuple[int, bytes], ...]
    """(sequence, batch digest) from base + 1 to the highest prepared sequence, without gaps."""
    holders: tuple[tuple[bytes, tuple[int, ...]], ...]
    """Digest -> members whose certificate shows that they hold the body."""


def check_view_change(verified: Verified[Any], config: Config) -> CheckedViewChange | None:
    """Check every proof inside a VIEW-CHANGE; None if one of them is invalid.

    An absent proof is empty and proves nothing; a present one must be valid (P4).
    """
    message: ViewChange = verified.message
    checkpoint: CheckpointCertificate | None = None
    if message.checkpoint:
        checkpoint = read_checkpoint(message.checkpoint, verified.nested, config)
        if checkpoint is None:
            return None
    low = checkpoint.sequence if checkpoint is not None else config.base
    previous = low
    prepared: list[Prepared] = []
    for proof in message.prepared:
        found = read_prepared(proof, verified.nested, config)
        if found is None or found.view >= message.view:
            return None
        if not previous < found.sequence <= low + config.watermark_span:
            return None
        previous = found.sequence
        prepared.append(found)
    return CheckedViewChange(
        sender=message.sender,
        view=message.view,
        digest=verified.body_digest,
        checkpoint=checkpoint,
        prepared=tuple(prepared),
        frame=verified.frame,
        base=config.base,
    )


def plan(changes: Iterable[CheckedViewChange]) -> Plan:
    """Compute the paper's min-s, max-s and O. The order of `changes` does not matter."""
    ordered = sorted(changes, key=lambda change: change.sender)
    newest = max(ordered, key=lambda change: change.stable)
    base = newest.stable
    chosen: dict[int, Prepared] = {}
    for change in ordered:
        for found in change.prepared:
            known = chosen.get(found.sequence)
            if known is None or (found.view, found.digest) > (known.view, known.digest):
                chosen[found.sequence] = found
    last = max(chosen, default=base)
    # Batches prepared at or below the base are left out: the checkpoint covers them.
    digests = tuple(
        (sequence, chosen[sequence].digest if sequence in chosen else NULL_BATCH_DIGEST)
        for sequence in range(base + 1, last + 1)
    )
    holders: dict[bytes, list[int]] = {}
    for change in ordered:
        for found in change.prepared:
            holders.setdefault(found.digest, []).append(change.sender)
    wanted = [digest for _sequence, digest in digests if digest in holders]
    return Plan(
        base=base,
        checkpoint=newest.checkpoint,
        digests=digests,
        holders=tuple((digest, tuple(holders[digest])) for digest in dict.fromkeys(wanted)),
    )


def proposals(found: Plan, *, epoch: int, view: int, members: int) -> tuple[PrePrepare, ...]:
    """The PRE-PREPAREs that the primary of `view` must send for a plan."""
    sender = quorum.primary(view, members)
    return tuple(PrePrepare(epoch, sender, view, sequence, digest) for sequence, digest in found.digests)
