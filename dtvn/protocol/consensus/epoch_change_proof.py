"""The epoch change proof record: the proof of how an epoch ended, stored by the replicas of that epoch
(R16, R35).

The operation that ended the epoch is alone in its batch, so its leaf is the entry's results root; its entry
is the last one under the log root that q CHECKPOINTs sign. A verifier that knows the old members needs
nothing else to learn the new ones (dtvn.proof.epoch_chain makes a certificate of it). The record is persisted
with the entry, since the log tree below the entry is known only then, and again with the CHECKPOINTs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.consensus.errors import InvariantBreach
from dtvn.protocol.consensus.executor import Executor, Step
from dtvn.protocol.consensus.fields import Hash
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Entry


class EpochChangeProof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The proof of the end of one epoch."""

    entry: Entry
    leaf: bytes
    """Canonical (index, operation, code, timestamp, state) of the operation (R1)."""
    peaks: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=62)]
    """Frontier of the log below the entry (log_tree)."""
    checkpoint: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=quorum.MEMBERS_MAX)]
    """q CHECKPOINT frames of the entry's sequence; () while it is not stable."""


def record_name(epoch: int) -> str:
    """Name of the state record that holds the end of `epoch`."""
    return f"handover/{epoch}"


def find(states: Iterable[StateRecord], epoch: int) -> StateRecord | None:
    """The epoch change proof record of `epoch` among the state records of a ledger, or None."""
    name = record_name(epoch)
    return next((state for state in states if state.name == name), None)


def read(states: Iterable[StateRecord], epoch: int) -> EpochChangeProof | None:
    """The epoch change proof of `epoch` in a ledger; None if the ledger does not hold it."""
    record = find(states, epoch)
    return None if record is None else canonical.decode(EpochChangeProof, record.value)


def begun(step: Step, executor: Executor, following: Membership) -> StateRecord:
    """The epoch change proof record, not sealed yet, of an epoch that `step` ended."""
    entry, base = step.entry, executor.base
    if base is None or base.entry != entry or following.after != entry.sequence:
        raise InvariantBreach(f"epoch {entry.epoch} does not end with the newest entry {entry.sequence}")
    bundle, result = step.done()[0]
    operation, outcome = bundle.bundle.operations[0], result.outcomes[0]
    said = (result.first_index, operation, outcome.code, entry.timestamp, outcome.state)
    leaf = canonical.encode(said if outcome.first is None else (*said, outcome.first))
    if canonical.digest(b"\x00" + leaf) != entry.results_root:
        raise InvariantBreach(f"epoch {entry.epoch} ended with more than one operation at {entry.sequence}")
    return StateRecord(
        record_name(entry.epoch), canonical.encode(EpochChangeProof(entry, leaf, base.peaks, ()))
    )


def sealed(begun: StateRecord | None, checkpoint: tuple[bytes, ...]) -> StateRecord | None:
    """The record `begun`, completed with the q CHECKPOINTs that end the epoch. None if the entry was not
    executed here: it came inside a snapshot, and other members must provide the proof."""
    if begun is None:
        return None
    found = canonical.decode(EpochChangeProof, begun.value)
    whole = msgspec.structs.replace(found, checkpoint=checkpoint)
    return StateRecord(begun.name, canonical.encode(whole))
