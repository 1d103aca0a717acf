"""Address records: what a node signs about itself, as an item of kind "address" (R45, R46)."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Annotated, Literal

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.genesis import why_not_reached
from dtvn.protocol.scheme import ED25519, Scheme
from dtvn.sync import Item, ItemError, Kind, sign

ADDRESS = "address"
"""The kind of these items; their key is "": a node has one record."""
BURST = 4
"""New records of one author that are taken at once, and one more each second."""
ADDRESSES_MAX = 4
PORT_MAX = 65_535

Place = tuple[Annotated[str, msgspec.Meta(max_length=64)], Annotated[int, msgspec.Meta(ge=1, le=PORT_MAX)]]
"""(IP address, TCP port); never a name, whose slow lookup would stop every link."""


class AddressValue(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Who the author is, and where it listens."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    """Its id as a member, or its name as a principal."""
    role: Literal["member", "relay", "leaf", "book"]
    """leaf: it listens nowhere; book: it keeps addresses only."""
    addresses: Annotated[tuple[Place, ...], msgspec.Meta(max_length=ADDRESSES_MAX)]
    """Where others dial it, best first; none of a leaf."""


def book_id(public_key: bytes) -> bytes:
    """Where a node is in the address book: SHA-256 of its key, so that nobody chooses its own place."""
    return canonical.digest(public_key)


def signed_address(
    cluster: bytes, secret: bytes, value: AddressValue, now: int, *, scheme: Scheme = ED25519
) -> Item:
    """A node's record of itself. `now`: Unix microseconds of its clock, which is also the version: the newest
    counts, also after a restart."""
    body = canonical.encode(value)
    return sign(cluster, secret, kind=ADDRESS, key="", version=now, value=body, scheme=scheme)


def address_of(item: Item) -> AddressValue:
    """Read a checked item of kind "address"; raise ItemError if it is of another kind, or names a place that
    nobody can dial."""
    if item.kind != ADDRESS or item.key or item.deleted:
        raise ItemError("kind: not an address")
    try:
        value = canonical.decode(AddressValue, item.value)
    except canonical.CanonicalError as error:
        raise ItemError(f"value: {error}") from error
    if (value.role == "leaf") == bool(value.addresses):
        raise ItemError("addresses: a leaf has none, all others have one at least")
    for host, _port in value.addresses:
        if not is_place(host):
            raise ItemError(f"addresses: {host!r} is not the IP address of one machine")
    return value


ADDRESS_KINDS = {ADDRESS: Kind(check=address_of, burst=BURST)}
"""The kinds of a store that holds addresses alone, as the overlay's does."""


@lru_cache(maxsize=4_096)
def is_place(host: str) -> bool:
    """Whether this is the IP address of one machine, which can be dialled. ZeroMQ would resolve a name
    itself, and a slow lookup stops every link."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return not why_not_reached(host)
