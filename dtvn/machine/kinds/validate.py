"""validate: a ticket is declared valid."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.machine import bodies
from dtvn.machine.fields import VALIDATION_DATA_BYTES_MAX, Command
from dtvn.machine.kinds.kind import Act, Kind, Rest
from dtvn.machine.kinds.lifecycle import move


class Validate(Command, frozen=True):
    """ISSUED to VALIDATED."""

    data: Annotated[bytes, msgspec.Meta(max_length=VALIDATION_DATA_BYTES_MAX)] = b""
    """Data sent by the client and kept in the log; it never overwrites the issued data."""


class ValidateBody(bodies.TicketBody, frozen=True, kw_only=True):
    """Body of /tickets/validate."""

    data: (
        Annotated[
            bytes,
            msgspec.Meta(
                max_length=VALIDATION_DATA_BYTES_MAX,
                description=f"standard base64 of at most {VALIDATION_DATA_BYTES_MAX} bytes",
                extra_json_schema=bodies.BASE64,
            ),
        ]
        | None
    ) = b""


KIND = Kind(
    name="validate",
    command=Validate,
    rule=move,
    capability="operate",
    rest=Rest(
        ValidateBody,
        "Ticket validated successfully",
        "Validate a ticket: ISSUED becomes VALIDATED. Only the log keeps the data.",
    ),
    told=True,
    verb="validated",
    acts=(Act(name="validate", past="validated"),),
    event_type="ticket_validated",
)
