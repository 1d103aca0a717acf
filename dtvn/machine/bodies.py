"""JSON bodies of operations as Structs: their base and the types of their fields.

The description of a field says what it must be, in the API document and in the error. Unknown fields are
ignored, and null counts as absent. dtvn/api/bodies.py reads them.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from dtvn.machine.codes import CODE_BYTES_MAX, VALID_MAX
from dtvn.machine.fields import (
    DEFAULT_EVENT,
    LABEL_LENGTH_MAX,
    METADATA_VALUE_LENGTH_MAX,
    MICROSECONDS,
    NAME_LENGTH_MAX,
    NONCE_BYTES_MAX,
    REASON_LENGTH_MAX,
    TICKET_NAME,
)
from dtvn.machine.lists import ENTRIES_MAX, LIST_NAME
from dtvn.protocol.genesis import EVENT_NAME

SECONDS_MAX = 253_402_300_799
"""9999-12-31T23:59:59Z in Unix seconds: the last second of Python's calendar, ISO 8601 and spreadsheets."""
BARCODE_LENGTH_MAX = 4_096
"""Most characters of a code as it is read, with what normalising it strips."""
COMPOSED = {"form": "NFC"}
"""Mark of texts that are composed (NFC) before their length is checked, because the log keeps them so."""
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""Pattern of a text without control characters."""
UNMARKED = r"^[^\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]*$"
"""Also without marks of direction, which would show a gate or a reason in another order than it has."""
PLAIN = "without control characters and marks of direction"
BASE64 = {"pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"}
"""Only for the API document; the decoder enforces it."""

Text = Annotated[str, Meta(description="a string")]
TicketId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=TICKET_NAME,
        description="a string of 1 to 128 characters of A-Z a-z 0-9 . _ : -, a letter or digit first",
    ),
]
EventName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=EVENT_NAME,
        description="a string of 1 to 64 characters of A-Z a-z 0-9 . _ : -, a letter or digit first",
    ),
]
ListName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=LIST_NAME,
        description="a string of 1 to 64 characters of A-Z a-z 0-9 . _ : -, a letter or digit first",
    ),
]
Nonce = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=NONCE_BYTES_MAX,
        description=f"a string of 1 to {NONCE_BYTES_MAX} bytes of UTF-8",
    ),
]
Name = Annotated[
    str,
    Meta(
        max_length=NAME_LENGTH_MAX,
        pattern=UNMARKED,
        description=f"a string of at most {NAME_LENGTH_MAX} characters {PLAIN}",
        extra=COMPOSED,
    ),
]
Label = Annotated[
    str,
    Meta(
        max_length=LABEL_LENGTH_MAX,
        pattern=PRINTABLE,
        description=f"a string of at most {LABEL_LENGTH_MAX} characters without control characters",
        extra=COMPOSED,
    ),
]
Reason = Annotated[
    str,
    Meta(
        max_length=REASON_LENGTH_MAX,
        pattern=UNMARKED,
        description=f"a string of at most {REASON_LENGTH_MAX} characters {PLAIN}",
        extra=COMPOSED,
    ),
]
NeededReason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=REASON_LENGTH_MAX,
        pattern=UNMARKED,
        description=f"a string of 1 to {REASON_LENGTH_MAX} characters {PLAIN}",
        extra=COMPOSED,
    ),
]
MetadataValue = Annotated[
    str, Meta(extra_json_schema={"maxLength": METADATA_VALUE_LENGTH_MAX, "pattern": PRINTABLE})
]
"""Only for the API document; the ticket machine enforces the limits, after Unicode composition."""
Seconds = Annotated[
    int,
    Meta(ge=0, le=SECONDS_MAX, description=f"a number of Unix seconds, at most {SECONDS_MAX} (year 9999)"),
]
Persons = Annotated[
    int, Meta(ge=1, le=ENTRIES_MAX, description=f"how many persons it admits, 1 to {ENTRIES_MAX}")
]
Flag = Annotated[bool, Meta(description="true or false")]
Barcode = Annotated[
    str,
    Meta(
        max_length=BARCODE_LENGTH_MAX,
        description=f"the text of a code, 1 to {CODE_BYTES_MAX} bytes of UTF-8",
    ),
]
"""A code as it was read; machine.codes normalises it and knows its limits."""
Barcodes = Annotated[
    list[Barcode],
    Meta(max_length=VALID_MAX, description=f"a list of at most {VALID_MAX} texts of codes"),
]
BarcodeDigest = Annotated[
    str, Meta(pattern="^[0-9A-Fa-f]{64}$", max_length=64, description="64 hex digits, the digest of a code")
]
BarcodeDigests = Annotated[
    list[BarcodeDigest],
    Meta(
        max_length=VALID_MAX,
        description=f"a list of at most {VALID_MAX} digests of codes, 64 hex digits each",
    ),
]
# The length besides: $ also matches before a line feed at the end.
Digest = Annotated[str, Meta(pattern="^([0-9A-Fa-f]{64})?$", max_length=64, description="64 hex digits")]


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all bodies."""

    may_be_empty: ClassVar[bool] = False
    """Whether the call needs no body at all."""
    may_be_unreadable: ClassVar[bool] = False
    """Whether a body that is no JSON object counts as an empty one."""
    further: ClassVar[dict[str, Any]] = {}
    """Members that the handler reads besides the fields: name -> JSON Schema."""
    one_of: ClassVar[tuple[str, ...]] = ()
    """Fields of which exactly one must be given."""
    event_with: ClassVar[tuple[str, ...]] = ()
    """Fields that need `event` beside them: a code of another event would read as an unknown code."""

    @property
    def recorded(self) -> str:
        """Text for the audit of this call, besides its path."""
        return ""


class NonceBody(Body, frozen=True, kw_only=True):
    """Body of a call that may be repeated (R13)."""

    nonce: Nonce | None = None


class OperationBody(NonceBody, frozen=True, kw_only=True):
    """Fields in the body of every operation."""

    event: EventName = DEFAULT_EVENT

    def fields(self) -> dict[str, Any]:
        """Arguments of the operation's command: the fields that are not those of every ticket's operation."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name not in SHARED}


class TicketBody(OperationBody, frozen=True, kw_only=True):
    """Fields in the body of every operation on a ticket."""

    ticket_id: TicketId


def window_end(seconds: int) -> int:
    """`not_after` in a body as the log has it: through its whole second, so "until 23:59:59" ends with the
    day; 0 is 0."""
    return seconds and (seconds + 1) * MICROSECONDS - 1


SHARED = frozenset(TicketBody.__struct_fields__)
