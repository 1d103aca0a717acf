"""Messages of an exchange between two stores: one side asks, the other answers, one question at a time.

A message is valid only on the authenticated link that it came over; what it carries as items is signed by
their authors. Every message is at most MESSAGE_BYTES_MAX bytes, and every list has a bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from dtvn.protocol import canonical
from dtvn.sync.item import Item, Key, Time
from dtvn.sync.tree import Entry

MESSAGE_BYTES_MAX = 60 * 1024
ITEMS_BYTES_MAX = 40 * 1024
"""Most bytes of items in one message; a single item is smaller."""
ITEMS_MAX = 1_000
LISTED_MAX = 512
"""Most entries in one page of digests: 30 KB."""
PATHS_MAX = 24
"""Most ranges in one question: their leaves fill 46 KB at most."""
PLACES_MAX = 512
VERSIONS_MAX = 1_000
CHUNK_BYTES = 48 * 1024
SNAPSHOT_BYTES_MAX = 64 * 2**20
"""Of a snapshot, unpacked."""
SNAPSHOT_ITEMS_MAX = 100_000
"""Of a snapshot, each of which may cost a signature check: as many as a store holds."""
MARK_SIZE = 16
"""Bytes of a hash that messages carry: enough to notice a difference. Roots are whole."""

Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Mark = Annotated[bytes, msgspec.Meta(min_length=MARK_SIZE, max_length=MARK_SIZE)]
Path = Annotated[str, msgspec.Meta(max_length=64, pattern="^[0-9a-f]*$")]
Size = Annotated[int, msgspec.Meta(ge=0, le=SNAPSHOT_BYTES_MAX)]
Listed = tuple[Hash, Time, Mark]
"""An entry of the tree: (key, version, first bytes of the hash of its value)."""
Items = Annotated[tuple[Item, ...], msgspec.Meta(max_length=ITEMS_MAX)]
Span = tuple[Key, Time, Time]
"""(author, above, version): all of the author's items in (above, version] that still count."""


class SyncError(ValueError):
    """A message that no honest peer sends; the text says why. It counts against the link."""


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base class: a MessagePack array that begins with the name of the message."""


class Open(_Message, frozen=True):
    """Are we equal?"""

    root: Hash


class Root(_Message, frozen=True):
    """The answerer's root."""

    root: Hash


class List(_Message, frozen=True):
    """What do you have behind this key? b"": from the beginning."""

    after: Annotated[bytes, msgspec.Meta(max_length=32)]


class Listing(_Message, frozen=True):
    """Digests of items, by key: all up to the last one listed, or all that there are."""

    entries: Annotated[tuple[Listed, ...], msgspec.Meta(max_length=LISTED_MAX)]
    has_more: bool


class Look(_Message, frozen=True):
    """What is in these ranges, whose hashes differ?"""

    paths: Annotated[tuple[Path, ...], msgspec.Meta(min_length=1, max_length=PATHS_MAX)]


class Branch(_Message, frozen=True):
    """One range: its parts that have entries, with their hashes; or, of a small one, its entries."""

    children: Annotated[tuple[tuple[Path, Mark], ...], msgspec.Meta(max_length=16)]
    entries: Annotated[tuple[Listed, ...], msgspec.Meta(max_length=LISTED_MAX)]


class Branches(_Message, frozen=True):
    """The ranges asked for, in that order."""

    found: Annotated[tuple[Branch, ...], msgspec.Meta(max_length=PATHS_MAX)]


class Want(_Message, frozen=True):
    """Send me the items at these places."""

    places: Annotated[tuple[Hash, ...], msgspec.Meta(min_length=1, max_length=PLACES_MAX)]


class Found(_Message, frozen=True):
    """Items that were asked for: those of the first places, in the order asked."""

    items: Items
    has_more: bool
    next_cursor: Annotated[int, msgspec.Meta(ge=0, le=PLACES_MAX)]
    """How many of the places are answered; the others are to be asked for again."""


class Since(_Message, frozen=True):
    """Send me what you have of authors above these versions, each of which says: I have all up to here."""

    versions: Annotated[tuple[tuple[Key, Time], ...], msgspec.Meta(max_length=VERSIONS_MAX)]


class Delta(_Message, frozen=True):
    """Items of authors, in the order of their versions, and how far they are all; and the sender's own
    versions."""

    versions: Annotated[tuple[tuple[Key, Time], ...], msgspec.Meta(max_length=VERSIONS_MAX)]
    items: Items
    spans: Annotated[tuple[Span, ...], msgspec.Meta(max_length=VERSIONS_MAX)]
    has_more: bool


class Give(_Message, frozen=True):
    """Items that the answerer has not, or older ones; `spans`: of which authors they are all."""

    items: Items
    spans: Annotated[tuple[Span, ...], msgspec.Meta(max_length=VERSIONS_MAX)] = ()


class Took(_Message, frozen=True):
    """The items are merged in."""


class Fetch(_Message, frozen=True):
    """Describe a snapshot of what you have, which I shall fetch."""


class Head(_Message, frozen=True):
    """A snapshot: canonical bytes of all items by place, cut into chunks of CHUNK_BYTES."""

    checksum: Hash
    """SHA-256 of the unpacked bytes."""
    size: Size
    """Bytes that travel."""
    unpacked: Size
    compressed: bool
    """By gzip (RFC 1952)."""
    behind: bool
    """The sender was itself away for longer than tombstones are kept."""


class FetchChunk(_Message, frozen=True):
    """Send me this chunk, counted from 0, of the snapshot with this checksum."""

    checksum: Hash
    index: Annotated[int, msgspec.Meta(ge=0)]


class Chunk(_Message, frozen=True):
    """A piece of a snapshot; b"": the answerer has it no more."""

    index: Annotated[int, msgspec.Meta(ge=0)]
    data: Annotated[bytes, msgspec.Meta(max_length=CHUNK_BYTES)]


class Offer(_Message, frozen=True):
    """A snapshot follows, chunk by chunk."""

    head: Head
    root: Hash


class Wanted(_Message, frozen=True):
    """Whether the answerer takes the snapshot that is offered, or wants the next chunk."""

    yes: bool


class Behind(_Message, frozen=True):
    """The answerer was away for too long, and says nothing before it has taken a snapshot."""


Question = Open | List | Look | Want | Give | Since | Fetch | FetchChunk | Offer | Chunk
Answer = Root | Listing | Branches | Found | Took | Delta | Head | Chunk | Wanted | Behind


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What travels."""

    number: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    """The asker's own; the answer has the same."""
    answer: bool
    body: (
        Open | List | Look | Want | Give | Since | Fetch | FetchChunk | Offer
        | Root | Listing | Branches | Found | Took | Delta | Head | Chunk | Wanted | Behind
    )  # fmt: skip


def encode(number: int, body: Question | Answer, *, answer: bool) -> bytes:
    """The bytes that travel."""
    return canonical.encode(Envelope(number, answer, body))


def decode(data: bytes) -> Envelope:
    """The message in these bytes; raise SyncError."""
    if len(data) > MESSAGE_BYTES_MAX:
        raise SyncError(f"{len(data)} bytes are more than {MESSAGE_BYTES_MAX}")
    try:
        return canonical.decode(Envelope, data)
    except canonical.CanonicalError as error:
        raise SyncError(str(error)) from error


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
