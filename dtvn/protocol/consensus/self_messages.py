"""Guards against statements under the own key that come from other members and are not in the ledger (R11).

A statement of this replica is in its ledger before it is sent. So an unknown statement under its own key
means that the ledger misses earlier statements: its disk was restored or truncated, or a twin uses the key.
Then the replica must not vote, because it cannot know what else it promised.
"""

from __future__ import annotations

from typing import Any

from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.messages import Checkpoint, Commit, NewView, Prepare, PrePrepare, ViewChange
from dtvn.protocol.consensus.state import State
from dtvn.protocol.consensus.verified import Verified
from dtvn.protocol.consensus.voting import Voting
from dtvn.protocol.probes import probe

_PHASES: dict[type[Any], str] = {PrePrepare: "pre_prepare", Prepare: "prepare", Commit: "commit"}


class SelfMessageGuard:
    """Compares received statements under the own key with those that this replica remembers."""

    def __init__(
        self,
        state: State,
        voting: Voting,
        *,
        of_any_view: bool = False,
    ) -> None:
        """`of_any_view`: votes of views that were left bind too (R44), so that one that is missing counts."""
        self.state = state
        self.voting = voting
        self._of_any_view = of_any_view

    def refuse(self, message: Any) -> Reason | None:
        """Returns SECOND_MESSAGE for a statement that is remembered or settled long ago; None for one that
        the ledger lacks, such as a vote for a slot that differs from the remembered one (a twin's vote)."""
        state = self.state
        if not state.voting or message.epoch != state.config.epoch:
            return Reason.SECOND_MESSAGE
        kind = type(message)
        phase = _PHASES.get(kind)
        unknown = False
        if phase is not None:
            unknown = (
                message.sequence > state.log.stable
                and (self._of_any_view or message.view >= state.views.view)
                and state.own_votes.find(view=message.view, sequence=message.sequence, phase=phase)
                != message.digest
            )
        elif kind is Checkpoint:
            unknown = message.sequence > state.executed
        elif kind is ViewChange:
            unknown = message.view > max(state.views.view, state.views.promised)
        elif kind is NewView:
            # A replica that is only bound to a view has not sent its NEW-VIEW: that would have activated it.
            unknown = state.views.is_ahead(message.view)
        return None if unknown else Reason.SECOND_MESSAGE

    def on_own(self, verified: Verified[Any]) -> None:
        """Stops voting if a statement under the own key is not in the ledger."""
        if self.refuse(verified.message) is None:
            probe("self_messages.unknown_statement")
            kind = type(verified.message).__name__
            self.voting.lose(f"a {kind} under this node's key is not in its ledger")
