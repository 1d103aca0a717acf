"""A frozen view of a Raft member for status pages and checkers. The member never reads it."""

from __future__ import annotations

from dtvn.protocol.consensus.raft.parts import RaftParts
from dtvn.protocol.consensus.snapshot import SLOTS_MAX, ReplicaSnapshot, SlotSnapshot, snapshot_of


def take(core: RaftParts) -> ReplicaSnapshot:
    """The snapshot of a member after its last step."""
    members = core.statuses.members
    changing = core.state.views.changing
    return snapshot_of(
        core,
        suspicion="no_leader" if changing else "",
        suspects=tuple(sorted(index for index, known in members.items() if known.status.changing)),
        heard=core.elections.heard,
        slots=tuple(_slots(core)),
    )


def _slots(core: RaftParts) -> list[SlotSnapshot]:
    """The entries that are not executed: `appended`, or `decided`."""
    state, found = core.state, []
    for index in list(core.log.open_indexes())[:SLOTS_MAX]:
        batch = core.log.batch(index)
        digest = None if batch is None else batch.digest
        commits = core.replication.commits.get(index, {})
        found.append(
            SlotSnapshot(
                sequence=index,
                view=core.log.own_term(index) or 0,
                phase="decided" if index in state.log.decisions else "appended",
                digest=digest,
                prepares=(),
                commits=tuple(sorted(at for at, (_term, vote) in commits.items() if vote.digest == digest)),
                abstain_reason="",
                opened=state.now.monotonic,
            )
        )
    return found
