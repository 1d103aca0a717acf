"""validate: a ticket is declared valid."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.machine.fields import VALIDATION_DATA_BYTES_MAX, Command
from dtvn.machine.kinds.kind import Kind
from dtvn.machine.kinds.lifecycle import move


class Validate(Command, frozen=True):
    """ISSUED to VALIDATED."""

    data: Annotated[bytes, msgspec.Meta(max_length=VALIDATION_DATA_BYTES_MAX)] = b""
    """Data sent by the client and kept in the log; it never overwrites the issued data."""


KIND = Kind(
    name="validate",
    command=Validate,
    rule=move,
    capability="operate",
    event_type="ticket_validated",
)
