"""The terms of a ticket: all that an issue says of it, and what other operations make of that."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from dtvn.machine.codes import VALID_MAX
from dtvn.machine.fields import (
    DATA_BYTES_MAX,
    METADATA_MAX,
    REASON_LENGTH_MAX,
    Command,
    CommandError,
    Digest,
    Label,
    Moment,
    Pair,
)
from dtvn.machine.lists import ENTRIES_MAX, ListCount
from dtvn.machine.movements import Movement
from dtvn.protocol import canonical

Persons = Annotated[int, msgspec.Meta(ge=1, le=ENTRIES_MAX)]


class FirstTerms(Command, frozen=True):
    """What an issue says of its ticket."""

    first_form: ClassVar[int] = 7

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
    codes: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=VALID_MAX)] = ()
    """Digests of its valid codes, each once."""
    blocked: bool = False
    block_reason: Annotated[str, msgspec.Meta(max_length=REASON_LENGTH_MAX)] = ""


class Terms(FirstTerms, frozen=True):
    """The terms of a ticket as they stand; the canonical bytes are `Ticket.issued`. Those of an issue are
    such bytes too."""

    revoked: tuple[bytes, ...] = ()
    """Digests of its codes that were replaced; they stay the ticket's for ever."""
    entered_at: int = 0
    """The source's time of an entry that was made elsewhere and imported, Unix microseconds; 0: unknown, or
    no such entry."""
    changed: bool = False
    """Whether another operation changed the terms since the issue: then a late retry of the issue is not
    compared with what may have changed (R13)."""
    entries: Persons = 1
    """How many persons it admits."""
    counts: tuple[ListCount, ...] = ()
    """Of the lists on which it moved, ascending by slug; this and `movements`: see dtvn.machine.movements."""
    movements: tuple[Movement, ...] = ()
    """The newest ones, the oldest first."""


def check_codes(codes: tuple[bytes, ...]) -> None:
    """Raises CommandError if a code is given twice."""
    if len(set(codes)) != len(codes):
        raise CommandError("codes: one is given twice")


def terms_bytes(issued: FirstTerms) -> bytes:
    """The bytes of the Terms of a ticket that was issued so; those of the command itself if it is for one
    person."""
    return canonical.encode_trimmed(Terms(**msgspec.structs.asdict(issued)))
