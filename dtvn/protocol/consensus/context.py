"""What every part of a replica may use during a step: the time, the effects, and who the others are."""

from __future__ import annotations

from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.consensus.outbox import Outbox


class Context:
    """What a subprotocol sees of the current step. `index`: the own member index; `members`: their number."""

    def __init__(self, index: int, members: int) -> None:
        self.index = index
        self.n = members
        self.others = [(index + k) % members for k in range(1, members)]
        self.now = Now(0, 0)
        self.outbox = Outbox(alone=members == 1)
