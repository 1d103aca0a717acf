"""Messages of the overlay: the body of a Gossip frame (R45).

A body is one byte, the kind, and the canonical bytes of the message. It is valid only on the authenticated
link that it came over; whatever an item claims is signed by its author (dtvn.sync), so these messages are
not signed. Three families: *views* (HyParView, Leitao, Pereira and Rodrigues, DSN 2007, section 4), *address
book* (Kademlia, Maymounkov and Mazieres, IPTPS 2002, section 2.3), *rumours and anti-entropy* (R46).

Bounds: a body holds at most GOSSIP_BYTES_MAX bytes, a list at most ITEMS_MAX items, a walk at most TTL_MAX
hops.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import GOSSIP_BYTES_MAX
from dtvn.sync import Item

ITEMS_MAX = 64
"""Most items in one message: an address takes about 250 bytes, so 64 fit by far."""
SHUFFLE_MAX = 16
"""Most address records in a shuffle; HyParView sends eight (its section 5.1: ka = 3, kp = 4, and itself)."""
CLOSEST_MAX = 20
"""Most records in an answer: Kademlia's largest k."""
TTL_MAX = 16
"""Most hops of a walk or rumour: twice log2 of the largest overlay that is foreseen."""
NUMBER_MAX = 2**62
TARGET_SIZE = 32

Ttl = Annotated[int, msgspec.Meta(ge=0, le=TTL_MAX)]
Number = Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)]
Shuffled = Annotated[tuple[Item, ...], msgspec.Meta(max_length=SHUFFLE_MAX)]


class OverlayMessageError(ValueError):
    """A body that is no message of the overlay; the text says why."""


class _Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base class: a MessagePack array without field names."""


# --- views (HyParView) ---------------------------------------------------------------------------


class Join(_Message, frozen=True):
    """A newcomer to the contact that it dialled: take me into your active view, and tell others."""

    record: Item
    """The newcomer's own address record."""


class ForwardJoin(_Message, frozen=True):
    """A random walk that offers the newcomer to others. At `ttl` 0 the receiver becomes its neighbour."""

    record: Item
    ttl: Ttl


class Neighbour(_Message, frozen=True):
    """The sender, which dialled, asks to be in the receiver's active view."""

    high: bool
    """The sender has no neighbour at all: it may not be refused."""
    record: Item
    """The sender's own address record."""


class NeighbourReply(_Message, frozen=True):
    """Answer to a Neighbour or Join. Of a refusal, `records` name others that may have a place: a full node
    refers, it never stays silent (Jannotti et al., OSDI 2000)."""

    accepted: bool
    records: Shuffled = ()


class Disconnect(_Message, frozen=True):
    """The sender took the receiver out of its active view."""


class Shuffle(_Message, frozen=True):
    """A random walk that exchanges samples of views. The reply goes back the same way, each hop of which
    remembers `number`: no connection is made for it."""

    number: Number
    """Chosen by the sender, for its link alone."""
    ttl: Ttl
    records: Shuffled


class ShuffleReply(_Message, frozen=True):
    """Answer to the Shuffle with this number on this link."""

    number: Number
    records: Shuffled


# --- address book (Kademlia) ---------------------------------------------------------------------


class Closest(_Message, frozen=True):
    """Question: which address records do you hold nearest to `target`, by XOR of book ids."""

    number: Number
    target: Annotated[bytes, msgspec.Meta(min_length=TARGET_SIZE, max_length=TARGET_SIZE)]


class Records(_Message, frozen=True):
    """Answer to the Closest with this number on this link: nearest first."""

    number: Number
    items: Annotated[tuple[Item, ...], msgspec.Meta(max_length=CLOSEST_MAX)]


# --- rumours and anti-entropy (R46) --------------------------------------------------------------


class Rumour(_Message, frozen=True):
    """Items that were new to the sender; passed on while `ttl` lasts."""

    ttl: Ttl
    items: Annotated[tuple[Item, ...], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]


class Exchange(_Message, frozen=True):
    """A step of the anti-entropy between two stores; `body` is a message of dtvn.sync, which checks it."""

    body: Annotated[bytes, msgspec.Meta(min_length=1, max_length=GOSSIP_BYTES_MAX)]


Message = (
    Join
    | ForwardJoin
    | Neighbour
    | NeighbourReply
    | Disconnect
    | Shuffle
    | ShuffleReply
    | Closest
    | Records
    | Rumour
    | Exchange
)

KINDS: dict[int, type[Message]] = {
    1: Join,
    2: ForwardJoin,
    3: Neighbour,
    4: NeighbourReply,
    5: Disconnect,
    6: Shuffle,
    7: ShuffleReply,
    16: Closest,
    17: Records,
    32: Rumour,
    33: Exchange,
}
KIND_OF: dict[type[Message], int] = {message: kind for kind, message in KINDS.items()}


def encode(message: Message) -> bytes:
    """The body of a message. Its sender keeps within GOSSIP_BYTES_MAX: `fitting` cuts a list of items."""
    return bytes((KIND_OF[type(message)],)) + canonical.encode(message)


def decode(body: bytes) -> Message:
    """The message of a body; raise OverlayMessageError if it is too long, of an unknown kind, or not in
    canonical form. Signatures of items are checked later, where they are used."""
    if len(body) > GOSSIP_BYTES_MAX:
        raise OverlayMessageError(f"{len(body)} bytes, more than {GOSSIP_BYTES_MAX}")
    kind = KINDS.get(body[0]) if body else None
    if kind is None:
        raise OverlayMessageError("of an unknown kind")
    try:
        return canonical.decode(kind, body[1:])
    except canonical.CanonicalError as error:
        raise OverlayMessageError(str(error)) from error


FRAMING_BYTES = 64
"""More than a message takes besides its items."""


def fitting(items: tuple[Item, ...], most: int = ITEMS_MAX) -> tuple[Item, ...]:
    """The first items that fit one message: at most `most`, and within GOSSIP_BYTES_MAX."""
    left = GOSSIP_BYTES_MAX - FRAMING_BYTES
    for count, item in enumerate(items[:most]):
        left -= len(canonical.encode(item))
        if left < 0:
            return items[:count]
    return items[:most]
