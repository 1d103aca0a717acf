"""Own statements that come back from others (R11).

What this replica said is in its ledger before anybody hears it. A statement under its own key that it
does not know of means that the ledger is older than the key: a restored or truncated disk, or a twin.
Then it must not vote, because it cannot know what else it promised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from validators.consensus.effects import Reason
from validators.consensus.messages import (
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
)
from validators.consensus.verified import Verified
from validators.probes import probe

if TYPE_CHECKING:
    from validators.consensus.replica import Replica

__all__ = ["Own"]

_PHASES: dict[type[Any], str] = {PrePrepare: "pre_prepare", Prepare: "prepare", Commit: "commit"}


class Own:
    """Compares returning statements with what is remembered."""

    def __init__(self, core: Replica) -> None:
        self.core = core

    def refuse(self, message: Any) -> Reason | None:
        """SECOND_MESSAGE for what is remembered or long settled; None: never said by this ledger. A twin may
        have given another vote than the one that is remembered."""
        core = self.core
        if not core.voting or message.epoch != core.config.epoch:
            return Reason.SECOND_MESSAGE
        kind = type(message)
        phase = _PHASES.get(kind)
        unknown = False
        if phase is not None:
            unknown = (
                message.sequence > core.log.stable
                and message.view >= core.views.view
                and core.ballot.find(view=message.view, sequence=message.sequence, phase=phase)
                != message.digest
            )
        elif kind is Checkpoint:
            unknown = message.sequence > core.executed
        elif kind is ViewChange:
            unknown = message.view > max(core.views.view, core.views.promised)
        elif kind is NewView:
            # Who is bound to a view has not led it: with this it would be active in it.
            unknown = core.views.is_ahead(message.view)
        return None if unknown else Reason.SECOND_MESSAGE

    def on_own(self, verified: Verified[Any]) -> None:
        """A statement under the own key arrived."""
        if self.refuse(verified.message) is None:
            probe("own.heard_what_it_never_said")
            kind = type(verified.message).__name__
            self.core.stop_voting(f"a {kind} under this node's key is not in its ledger")
