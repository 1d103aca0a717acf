"""A frozen view of a replica for status pages and checkers. The replica never reads it."""

from __future__ import annotations

import msgspec

from dtvn.protocol.consensus.log import Vote
from dtvn.protocol.consensus.shared_parts import SharedParts
from dtvn.protocol.consensus.subprotocols import Subprotocols

SLOTS_MAX = 64
"""Maximum open sequences shown, lowest first."""


class SlotSnapshot(msgspec.Struct, frozen=True):
    """The phase and votes of one open sequence, to see why it is stuck."""

    sequence: int
    view: int
    phase: str
    """waiting, pre_prepared, prepared, decided or executed."""
    digest: bytes | None
    prepares: tuple[int, ...]
    """Members whose PREPARE for `digest` is held."""
    commits: tuple[int, ...]
    """Members whose COMMIT for `digest` is held."""
    abstain_reason: str = msgspec.field(name="withheld")
    """Why this replica casts no PREPARE; "" if it does. The encoded name is older."""
    opened: int
    """Monotonic nanoseconds when the slot was opened."""


class ReplicaSnapshot(msgspec.Struct, frozen=True):
    """The state of a replica after a step."""

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
    """Requests in the pool."""
    pending_operations: int
    catching_up_to: int
    """Sequence up to which to catch up; 0 if the replica does not lag."""
    suspicion: str
    """Why this replica suspects the view; "" if it does not."""
    suspects: tuple[int, ...]
    """Members that would leave the current view."""
    last_heartbeat: int
    """Monotonic nanoseconds of the last message received from the primary."""
    timeout: int
    """Current T, nanoseconds."""
    taken_at: int
    """Monotonic nanoseconds of the last step."""
    slots: tuple[SlotSnapshot, ...]


def take(core: Subprotocols) -> ReplicaSnapshot:
    """The snapshot of a replica after its last step."""
    return snapshot_of(
        core,
        suspicion=core.suspicion.cause or "",
        suspects=core.suspicion.suspecting(),
        heard=core.suspicion.primary_heard,
        slots=_slots(core),
    )


def snapshot_of(
    core: SharedParts,
    *,
    suspicion: str,
    suspects: tuple[int, ...],
    heard: int,
    slots: tuple[SlotSnapshot, ...],
) -> ReplicaSnapshot:
    """The snapshot of a core of any mode. `suspects`: the members that would leave the current view; `heard`:
    when the primary was last heard, in monotonic nanoseconds."""
    state, executor = core.state, core.state.executor
    target = state.lag.target()
    pending, operations = core.policy.size()
    return ReplicaSnapshot(
        index=state.index,
        epoch=state.config.epoch,
        view=state.views.view,
        changing=state.views.changing,
        primary=state.views.primary,
        voting=state.voting,
        voting_reason=state.voting_right.reason,
        executed=state.executed,
        stable=state.log.stable,
        log_root=executor.log_root(),
        timestamp=executor.timestamp,
        head=executor.head,
        pending=pending,
        pending_operations=operations,
        catching_up_to=target if target > state.executed else 0,
        suspicion=suspicion,
        suspects=suspects,
        last_heartbeat=heard,
        timeout=state.timeouts.timeout,
        taken_at=state.now.monotonic,
        slots=slots,
    )


def _slots(core: Subprotocols) -> tuple[SlotSnapshot, ...]:
    found = []
    for sequence in sorted(core.state.log.slots)[:SLOTS_MAX]:
        slot = core.state.log.slots[sequence]
        phase = slot.phase
        if sequence <= core.state.executed:
            phase = "executed"
        elif sequence in core.state.log.decisions:
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
                abstain_reason=slot.abstain_reason.value if slot.abstain_reason is not None else "",
                opened=slot.opened,
            )
        )
    return tuple(found)


def _for(votes: dict[int, Vote], digest: bytes | None) -> tuple[int, ...]:
    return tuple(sorted(sender for sender, vote in votes.items() if vote.digest == digest))
