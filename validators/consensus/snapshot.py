"""What a replica shows of itself: a frozen value for status pages and checkers, never fed back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from validators.consensus.log import Vote

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["MemberSnapshot", "ReplicaSnapshot", "SlotSnapshot", "take"]

SLOTS_MAX = 64
"""Open sequences shown, lowest first."""


class SlotSnapshot(msgspec.Struct, frozen=True):
    """One open sequence: how far, and whose votes are here (why is it stuck?)."""

    sequence: int
    view: int
    phase: str
    """waiting, pre_prepared, prepared, decided or executed."""
    digest: bytes | None
    prepares: tuple[int, ...]
    """Members whose PREPARE for `digest` is held."""
    commits: tuple[int, ...]
    withheld: str
    """Why the own PREPARE is not given, "" when nothing speaks against it."""
    opened: int
    """Monotonic nanoseconds."""


class MemberSnapshot(msgspec.Struct, frozen=True):
    """What a member said last in its Status."""

    index: int
    view: int
    changing: bool
    executed: int
    stable: int
    voting: bool
    heard: int
    """Monotonic nanoseconds."""
    suspects: bool
    """It would leave the current view."""


class ReplicaSnapshot(msgspec.Struct, frozen=True):
    """One replica at one moment."""

    index: int | None
    """None: a learner."""
    epoch: int
    view: int
    changing: bool
    primary: int
    voting: bool
    voting_reason: str
    executed: int
    stable: int
    log_root: bytes
    timestamp: int
    """Last effective timestamp, Unix microseconds."""
    head: bytes
    """Entry hash of `executed`."""
    pending: int
    """Requests waiting."""
    pending_operations: int
    catching_up_to: int
    """Sequence to fetch up to; 0 when nothing is lacking."""
    suspicion: str
    """Why this replica suspects the view, "" when it does not."""
    suspects: tuple[int, ...]
    """Members that would leave the current view."""
    last_heartbeat: int
    """Monotonic nanoseconds when the primary was heard last."""
    timeout: int
    """T now, nanoseconds."""
    taken_at: int
    """Monotonic nanoseconds of the last step."""
    slots: tuple[SlotSnapshot, ...]
    members: tuple[MemberSnapshot, ...]


def take(core: Replica) -> ReplicaSnapshot:
    """The replica after its last step."""
    executor = core.execution.executor
    target = core.catch_up.target()
    suspects = core.suspicion.suspecting()
    return ReplicaSnapshot(
        index=core.index,
        epoch=core.config.epoch,
        view=core.views.view,
        changing=core.views.changing,
        primary=core.views.primary,
        voting=core.voting,
        voting_reason=core.voting_reason,
        executed=core.executed,
        stable=core.log.stable,
        log_root=executor.log_root(),
        timestamp=executor.timestamp,
        head=executor.head,
        pending=len(core.pool),
        pending_operations=core.pool.operations,
        catching_up_to=target if target > core.executed else 0,
        suspicion=core.suspicion.ground or "",
        suspects=suspects,
        last_heartbeat=core.suspicion.primary_heard,
        timeout=core.suspicion.timeout,
        taken_at=core.now.monotonic,
        slots=_slots(core),
        members=tuple(
            MemberSnapshot(
                index=index,
                view=known.status.view,
                changing=known.status.changing,
                executed=known.status.executed,
                stable=known.status.stable,
                voting=known.status.voting,
                heard=known.heard,
                suspects=index in suspects,
            )
            for index, known in sorted(core.reporting.members.items())
        ),
    )


def _slots(core: Replica) -> tuple[SlotSnapshot, ...]:
    found = []
    for sequence in sorted(core.log.slots)[:SLOTS_MAX]:
        slot = core.log.slots[sequence]
        phase = slot.phase
        if sequence <= core.executed:
            phase = "executed"
        elif sequence in core.log.decisions:
            phase = "decided"
        digest = slot.prepared or slot.digest
        found.append(
            SlotSnapshot(
                sequence=sequence,
                view=slot.view,
                phase=phase,
                digest=digest,
                prepares=_for(slot.prepares.votes, digest),
                commits=_for(slot.commits.votes, digest),
                withheld=slot.withheld.value if slot.withheld is not None else "",
                opened=slot.opened,
            )
        )
    return tuple(found)


def _for(votes: dict[int, Vote], digest: bytes | None) -> tuple[int, ...]:
    return tuple(sorted(sender for sender, vote in votes.items() if vote.digest == digest))
