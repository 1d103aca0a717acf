"""What the commands of all kinds are made of: their base, types and limits of fields, and checks of texts."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from dtvn.machine.codes import DIGEST_SIZE
from dtvn.protocol.genesis import PRINCIPAL_NAME

MICROSECONDS = 1_000_000
"""In a second: the log counts them, the API counts seconds."""
DEFAULT_EVENT = "default"
REHEARSAL = "rehearsal-"
"""Before its date, the name of a rehearsal's event."""
REHEARSAL_EVENT = f"^{REHEARSAL}[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$"
REHEARSAL_TICKET = "REHEARSAL-"
"""Beginning of the ids of a rehearsal's tickets, whose admissions are not counted."""
NONCE_BYTES_MAX = 64
DATA_BYTES_MAX = 4_096
"""Most bytes of an issued ticket's data; the state keeps them permanently."""
VALIDATION_DATA_BYTES_MAX = 64 * 1024
"""Most bytes of data sent with a validation; the log keeps them, the state does not."""
ACTOR_LENGTH_MAX = 128
METADATA_MAX = 16
METADATA_KEY_LENGTH_MAX = 64
METADATA_VALUE_LENGTH_MAX = 256
NAME_LENGTH_MAX = 64
"""Most characters of a gate or a device."""
ZONE_LENGTH_MAX = 64
LABEL_LENGTH_MAX = 128
"""Most characters of a product or a seat."""
REASON_LENGTH_MAX = 256
TICKET_NAME = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"
"""Pattern of a ticket's id."""
OVERLAP_MAX = 600_000_000
"""Longest time in microseconds for which a rotated key may remain valid."""


def whole(pattern: str) -> str:
    r"""A pattern of a whole text, as msgspec asks it: there `$` also matches before a last line feed,
    `\Z` does not. Schemas keep `$`, which in JavaScript matches at the end only."""
    return pattern.removesuffix("$") + r"\Z"


LEASE_MAX = 600_000_000
"""Longest lease of a lock in microseconds."""
WAIT_MAX = 600_000_000
"""Longest time in microseconds for which one may wait for a lock."""

LOCK_NAME_LENGTH_MAX = 256
LockName = Annotated[str, msgspec.Meta(min_length=1, max_length=LOCK_NAME_LENGTH_MAX)]
Holder = Annotated[bytes, msgspec.Meta(min_length=1, max_length=32)]
"""A word that the client chose; clients of one principal that choose different ones exclude each other."""
Lease = Annotated[int, msgspec.Meta(ge=1, le=LEASE_MAX)]
Token = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Name = Annotated[str, msgspec.Meta(max_length=NAME_LENGTH_MAX)]
Digest = Annotated[bytes, msgspec.Meta(min_length=DIGEST_SIZE, max_length=DIGEST_SIZE)]
"""Of a code (dtvn.machine.codes)."""
PrincipalName = Annotated[str, msgspec.Meta(pattern=whole(PRINCIPAL_NAME))]
PublicKey = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Label = Annotated[str, msgspec.Meta(max_length=LABEL_LENGTH_MAX)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""Unix microseconds; 0 means no bound."""
Pair = tuple[
    Annotated[str, msgspec.Meta(min_length=1, max_length=METADATA_KEY_LENGTH_MAX)],
    Annotated[str, msgspec.Meta(max_length=METADATA_VALUE_LENGTH_MAX)],
]

_NAME = re.compile(TICKET_NAME)
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class CommandError(ValueError):
    """A command that breaks a rule; the text names field and rule."""


class Command(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of all commands."""


def is_name(text: str) -> bool:
    """Whether `text` may name a ticket or an event (1 to 128 of A-Z a-z 0-9 . _ : -)."""
    return _NAME.fullmatch(text) is not None


def is_text(text: str) -> bool:
    """Whether `text` has no control characters (so that no NUL reaches a database and no line feed a log)
    and no lone surrogates, which cannot be encoded."""
    return _UNFIT.search(text) is None
