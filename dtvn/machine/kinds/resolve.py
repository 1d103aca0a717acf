"""resolve: a dispute is decided."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.machine.fields import Command
from dtvn.machine.kinds.kind import Kind
from dtvn.machine.kinds.lifecycle import move


class Resolve(Command, frozen=True):
    """End a dispute: `clear` it (back to VALIDATED) or `uphold` it (DISPUTED finally)."""

    verdict: Annotated[str, msgspec.Meta(pattern="^(clear|uphold)$")]


KIND = Kind(
    name="resolve",
    command=Resolve,
    rule=move,
    capability="operate",
    event_type="ticket_resolved",
)
