"""Messages of an exchange between two stores: one side asks, the other answers, one question at a time.

A message is valid only on the authenticated link that it came over; what it carries as items is signed by
their authors. Every message is at most MESSAGE_BYTES_MAX bytes, every list has a bound, and the first thing
in it is its form: one of another form is refused by name, never read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from dtvn.protocol import canonical
from dtvn.sync.item import Item, Time
from dtvn.sync.tree import Entry

FORM = 2
"""Of these messages and of the items in them. Messages of form 1 did not say their form."""
MESSAGE_BYTES_MAX = 60 * 1024
ITEMS_BYTES_MAX = 40 * 1024
"""Most bytes of items in one message; a single item is smaller."""
ITEMS_MAX = 1_000
LISTED_MAX = 512
"""Most entries of a range that is compared by them."""
PATHS_MAX = 24
"""Most ranges in one question: their leaves fill 46 KB at most."""
PLACES_MAX = 512
MARK_SIZE = 16
"""Bytes of a hash that messages carry: enough to notice a difference. Roots are whole."""

Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Mark = Annotated[bytes, msgspec.Meta(min_length=MARK_SIZE, max_length=MARK_SIZE)]
Path = Annotated[str, msgspec.Meta(max_length=64, pattern=r"\A[0-9a-f]*\Z")]
Listed = tuple[Hash, Time, Mark]
"""An entry of the tree: (key, version, first bytes of the hash of its value)."""
Items = Annotated[tuple[Item, ...], msgspec.Meta(max_length=ITEMS_MAX)]


class SyncError(ValueError):
    """A message that no honest peer of this release sends; the text says why. It counts against the link."""


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base class: a MessagePack array that begins with the name of the message."""


class Open(_Message, frozen=True):
    """Are we equal?"""

    root: Hash


class Root(_Message, frozen=True):
    """The answerer's root."""

    root: Hash


class Look(_Message, frozen=True):
    """What is in these ranges, whose hashes differ?"""

    paths: Annotated[tuple[Path, ...], msgspec.Meta(min_length=1, max_length=PATHS_MAX)]


class Branch(_Message, frozen=True):
    """One range: its parts that have entries, with their hashes; or, of a small one, its entries."""

    parts: Annotated[tuple[tuple[Path, Mark], ...], msgspec.Meta(max_length=16)]
    entries: Annotated[tuple[Listed, ...], msgspec.Meta(max_length=LISTED_MAX)]


class Branches(_Message, frozen=True):
    """The ranges asked for, in that order."""

    found: Annotated[tuple[Branch, ...], msgspec.Meta(max_length=PATHS_MAX)]


class Want(_Message, frozen=True):
    """Send me the items at these places."""

    places: Annotated[tuple[Hash, ...], msgspec.Meta(min_length=1, max_length=PLACES_MAX)]


class Found(_Message, frozen=True):
    """Items that were asked for: those of the first `answered` places, in the order asked. The others are to
    be asked for again."""

    items: Items
    answered: Annotated[int, msgspec.Meta(ge=0, le=PLACES_MAX)]


class Give(_Message, frozen=True):
    """Items that the answerer has not, or older ones."""

    items: Items


class Took(_Message, frozen=True):
    """The items are merged in."""


class Behind(_Message, frozen=True):
    """The answerer was away for too long, and says nothing before it has taken what others hold."""


Question = Open | Look | Want | Give
Answer = Root | Branches | Found | Took | Behind


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What travels."""

    form: Annotated[int, msgspec.Meta(ge=FORM, le=FORM)]
    number: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    """The asker's own; the answer has the same."""
    answer: bool
    body: Open | Look | Want | Give | Root | Branches | Found | Took | Behind


def encode(number: int, body: Question | Answer, *, answer: bool) -> bytes:
    """The bytes that travel."""
    return canonical.encode(Envelope(FORM, number, answer, body))


def decode(data: bytes) -> Envelope:
    """The message in these bytes; raise SyncError."""
    if len(data) > MESSAGE_BYTES_MAX:
        raise SyncError(f"{len(data)} bytes are more than {MESSAGE_BYTES_MAX}")
    try:
        return canonical.decode(Envelope, data)
    except canonical.CanonicalError as error:
        form = _form_of(data)
        if form in (None, FORM):
            raise SyncError(str(error)) from error
        raise SyncError(
            f"a message of form {form}, and this release exchanges form {FORM}: both peers need releases "
            "that have one form"
        ) from error


def _form_of(data: bytes) -> int | None:
    """The form of a message that is not of this one; None if it looks like none."""
    try:
        whole = msgspec.msgpack.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
    match whole:
        case [int(), bool(), [str(), *_]]:
            return 1
        case [int(form), int(), bool(), *_]:
            return form
    return None


def listed(entries: Iterable[Entry]) -> tuple[Listed, ...]:
    """Entries as messages carry them."""
    return tuple((key, version, value_hash[:MARK_SIZE]) for key, version, value_hash in entries)


def packed(items: Iterable[Item], most: int) -> Iterator[Item]:
    """The first items that fit one message."""
    size = 0
    for count, item in enumerate(items):
        size += len(canonical.encode(item))
        if count and (size > ITEMS_BYTES_MAX or count >= most):
            return
        yield item
