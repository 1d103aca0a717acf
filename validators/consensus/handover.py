"""What proves how an epoch ended, as the replicas of that epoch leave it behind (R16, R35).

The operation that ended it stands alone in its batch, so its leaf is the entry's results root; its entry is
the last under the log root that q CHECKPOINTs sign. Whoever knows the old members needs nothing else to know
the new ones (tickets.proof.handover makes a certificate of it). Durable with the entry, since what lies below
it in the log's tree is known only then, and again with the CHECKPOINTs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from validators import canonical, quorum
from validators.consensus.effects import StateRecord
from validators.consensus.errors import InvariantBreach
from validators.consensus.executor import Executor, Step
from validators.consensus.fields import Hash
from validators.consensus.membership import Membership
from validators.consensus.messages import Entry

__all__ = ["HandOver", "begun", "find", "read", "record_name", "sealed"]


class HandOver(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The end of one epoch."""

    entry: Entry
    leaf: bytes
    """Canonical (index, operation, code, timestamp, state) of the operation (R1)."""
    peaks: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=62)]
    """Frontier of the log below the entry (log_tree)."""
    checkpoint: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=quorum.MEMBERS_MAX)]
    """q CHECKPOINT frames of the entry's sequence; () while they are not stable."""


def record_name(epoch: int) -> str:
    """Name of the state record that holds the end of `epoch`."""
    return f"handover/{epoch}"


def find(states: Iterable[StateRecord], epoch: int) -> StateRecord | None:
    """The record of `epoch` among those of a ledger."""
    name = record_name(epoch)
    return next((state for state in states if state.name == name), None)


def read(states: Iterable[StateRecord], epoch: int) -> HandOver | None:
    """The end of `epoch` in a ledger, None where it does not hold that."""
    record = find(states, epoch)
    return None if record is None else canonical.decode(HandOver, record.value)


def begun(step: Step, executor: Executor, following: Membership) -> StateRecord:
    """The end of an epoch that was executed just now, in `step`."""
    entry, base = step.entry, executor.base
    if base is None or base.entry != entry or following.after != entry.sequence:
        raise InvariantBreach(f"epoch {entry.epoch} does not end with the newest entry {entry.sequence}")
    bundle, result = step.done()[0]
    operation, outcome = bundle.bundle.operations[0], result.outcomes[0]
    leaf = canonical.encode((result.first_index, operation, outcome.code, entry.timestamp, outcome.state))
    if canonical.digest(b"\x00" + leaf) != entry.results_root:
        raise InvariantBreach(f"epoch {entry.epoch} ended with more than one operation at {entry.sequence}")
    return StateRecord(record_name(entry.epoch), canonical.encode(HandOver(entry, leaf, base.peaks, ())))


def sealed(begun: StateRecord | None, checkpoint: tuple[bytes, ...]) -> StateRecord | None:
    """With the q CHECKPOINTs that end the epoch. None where the entry was not executed here: it came
    inside a snapshot, and others have to show it."""
    if begun is None:
        return None
    found = canonical.decode(HandOver, begun.value)
    whole = msgspec.structs.replace(found, checkpoint=checkpoint)
    return StateRecord(begun.name, canonical.encode(whole))
