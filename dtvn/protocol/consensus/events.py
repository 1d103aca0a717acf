"""Events that a subprotocol reports to those above it: `Replica` handles each event before the reporter goes
on. They are emitted through a callback, not returned: returned events would change the order of effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from dtvn.protocol.consensus.log import Slot
from dtvn.protocol.consensus.verified import Verified

Slots = Sequence[Slot]


class Event(msgspec.Struct, frozen=True):
    """Base of all events."""


class Executed(Event, frozen=True):
    """A sequence was executed."""

    requests: bool
    """Whether its batch held any."""
    origin_view: int
    """The view in which its batch was first proposed."""


class StateFrozen(Event, frozen=True):
    """The application froze its state after `sequence`, for a checkpoint."""

    sequence: int


class CheckpointAheadCertified(Event, frozen=True):
    """q members signed a state after `sequence`, which this replica has not executed."""

    sequence: int


class CheckpointStable(Event, frozen=True):
    """The checkpoint at `sequence` is stable here (R24)."""

    sequence: int


class PrimaryHeard(Event, frozen=True):
    """A proposal of the current view came directly from its primary."""


class VotesReleased(Event, frozen=True):
    """Votes that were held back may be sent now (R11, R35)."""


class VoteLost(Event, frozen=True):
    """This replica became a follower (R11)."""


class VoteRegained(Event, frozen=True):
    """No vote of this replica can contradict an earlier one any more (R11)."""


class ReturnViewRequested(Event, frozen=True):
    """A member without a vote named the view in which it may vote again (R11)."""


class ViewChangeCounted(Event, frozen=True):
    """A VIEW-CHANGE was counted."""


class BadNewView(Event, frozen=True):
    """The NEW-VIEW of `view` does not follow from its VIEW-CHANGEs."""

    view: int


class LeftView(Event, frozen=True):
    """This replica sent a VIEW-CHANGE and left `left_view`. `had_entered`: it had entered that view, not only
    been bound to it."""

    left_view: int
    had_entered: bool


class EnteredView(Event, frozen=True):
    """This replica entered a view. `left`: the slots of the view before."""

    left: Slots


class StatementSupplied(Event, frozen=True):
    """A member supplied a statement, which is handled as if it had arrived by itself."""

    verified: Verified[Any]


Listener = Callable[[Event], None]
"""Handles an event before it returns."""
