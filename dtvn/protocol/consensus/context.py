"""The data that every part of a replica may use in a step: the time, the effects, the other members."""

from __future__ import annotations

from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.outbox import Outbox


class Context:
    """A subprotocol's view of the current step. `index`: the own member index; `members`: their number."""

    def __init__(self, index: int, members: int) -> None:
        self.index = index
        self.n = members
        self.others = [(index + k) % members for k in range(1, members)]
        self.now = Now(0, 0)
        self.outbox = Outbox(alone=members == 1)
