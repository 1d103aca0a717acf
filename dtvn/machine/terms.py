"""What is fixed when a ticket is issued."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.machine.fields import DATA_BYTES_MAX, METADATA_MAX, Command, Label, Moment, Pair


class Terms(Command, frozen=True):
    """The fields of a ticket that no change of its state touches; its canonical bytes are `Ticket.issued`."""

    not_before: Moment = 0
    """Start of the window in which the ticket is valid at gates, Unix microseconds, both ends included; 0: no
    bound."""
    not_after: Moment = 0
    product: Label = ""
    seat: Label = ""
    commitment: Annotated[bytes, msgspec.Meta(max_length=32)] = b""
    """Salted hash of details that are kept out of the log: 32 bytes, or b"" without such details."""
    data: Annotated[bytes, msgspec.Meta(max_length=DATA_BYTES_MAX)] = b""
    metadata: Annotated[tuple[Pair, ...], msgspec.Meta(max_length=METADATA_MAX)] = ()
    """Pairs of key and value, ascending by key, each key once."""
