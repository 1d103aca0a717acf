"""Invariants that hold after every step, for any input of peers."""

from __future__ import annotations

from dtvn.protocol.consensus.log import Slot
from dtvn.protocol.consensus.subprotocols import Subprotocols


def check(core: Subprotocols, *, deep: bool) -> None:
    """Raise InvariantBreach if the replica's state is inconsistent; `deep` also checks all open slots."""
    executor = core.state.executor
    if executor.frontier.size != executor.executed:
        raise core.state.breach("the log's tree and its last sequence differ")
    if core.state.log.stable > executor.executed:
        raise core.state.breach("a checkpoint is stable that was not executed")
    if core.state.views.promised > core.state.views.view:
        raise core.state.breach("in a view below an own VIEW-CHANGE")
    if deep:
        for slot in core.state.log.slots.values():
            _check_slot(core, slot)


def _check_slot(core: Subprotocols, slot: Slot) -> None:
    """Check that the replica's counted votes are the votes that it cast, and that a COMMIT has its
    certificate."""
    for phase, frame, tally in (
        ("prepare", slot.my_prepare, slot.prepares),
        ("commit", slot.my_commit, slot.commits),
    ):
        if frame is None:
            continue
        vote = tally.votes.get(core.state.index)
        cast = core.state.own_votes.find(view=slot.view, sequence=slot.sequence, phase=phase)
        if vote is None or vote.frame != frame or vote.digest != cast:
            raise core.state.breach(f"the {phase} counted at {slot.sequence} is not the one cast")
    if slot.my_commit is not None and slot.sequence not in core.state.log.certificates:
        raise core.state.breach(f"a COMMIT at {slot.sequence} without its certificate")
