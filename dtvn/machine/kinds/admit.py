"""admit: a ticket is validated and consumed in one step."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from dtvn.machine.codes import DIGEST_SIZE
from dtvn.machine.fields import Command, Name
from dtvn.machine.kinds.kind import Kind
from dtvn.machine.kinds.lifecycle import move


class Admit(Command, frozen=True):
    """ISSUED or VALIDATED to CONSUMED in one step: what a gate does with one scan."""

    first_form: ClassVar[int] = 2

    gate: Name = ""
    device: Name = ""
    code: Annotated[bytes, msgspec.Meta(max_length=DIGEST_SIZE)] | None = None
    """Digest of the code that was read; the operation's ticket may then be "". b"": none, the ticket is named
    by its id. None: the first form, which names it so too and has the reasons in their earlier order."""


KIND = Kind(
    name="admit",
    command=Admit,
    rule=move,
    capability="gate",
    event_type="ticket_consumed",
)
