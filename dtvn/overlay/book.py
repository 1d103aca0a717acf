"""The address book: who can be dialled where, as each node signs it about itself (R45).

After Kademlia (Maymounkov and Mazieres, IPTPS 2002), with what S/Kademlia (Baumgart and Mies, ICPADS 2007)
adds against those who crowd around a target. A node's place is SHA-256 of its public key and the distance of
two places is their XOR. A book keeps

1. the members' records, always: they are few, known from the epoch chain, and everybody needs them;
2. the NEAR_MAX records nearest to its own place (S/Kademlia, section 4.3: siblings). Up to that number of
   nodes each book is complete; beyond it, an attacker who wants to hide a node from its neighbours needs more
   keys than this near it, each of which must belong to a principal that counts;
3. of the others K for each number of leading bits shared with its own place (Kademlia's k-buckets, section
   2.2), and in each of these one for each /24 (IPv6: /48) of the Internet, so that one host with many keys
   does not fill it. Private networks and loopback are exempt: there one venue's computers are one /24. Who
   was there first stays, unless it failed to answer.

An item says something only about its author, whose key is both its signature's and its place: so nobody can
forge, move or take the place of another's record. What a liar can do is to keep records back (lookup.py).
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, insort
from collections.abc import Callable, Collection

import msgspec

from dtvn.overlay.records import ADDRESS, AddressValue, address_of, book_id
from dtvn.protocol.scheme import ED25519, Scheme
from dtvn.sync import AHEAD_US_MAX, Item, ItemError, replaces
from dtvn.sync.item import checked

K = 20
"""Records in an answer and in a bucket (Kademlia, section 2.1: k such that k nodes hardly fail at once)."""
NEAR_MAX = 256
"""Records nearest to the own place that are kept; 250 bytes each."""
PLACE_BITS = 256


def shared_bits(first: int, second: int) -> int:
    """How many leading bits two places have in common."""
    return PLACE_BITS - (first ^ second).bit_length()


class Known(msgspec.Struct, eq=False):
    """A record that is kept."""

    item: Item
    value: AddressValue
    place: int
    failed: bool = False
    """It did not answer when it was last asked."""


class AddressBook:
    """The newest record of each author, bounded as the module says. Not thread-safe."""

    def __init__(
        self,
        cluster: bytes,
        own: bytes,
        *,
        admits: Callable[[bytes], bool],
        members: Collection[bytes] = (),
        scheme: Scheme = ED25519,
    ) -> None:
        """`own`: this node's public key, of which no record is taken in. `admits`: whether the key belongs to
        a member or to a principal that counts now. `members`: keys of the present members."""
        self._cluster = cluster
        self.own = own
        self._place = _number(book_id(own))
        self._admits = admits
        self._members = frozenset(members)
        self._scheme = scheme
        self._known: dict[bytes, Known] = {}
        self._near: list[tuple[int, bytes]] = []
        """(distance, author) of rule 2, nearest first."""
        self._buckets: dict[int, list[bytes]] = {}
        """Authors of rule 3 by shared bits, in the order in which they came."""
        self.checks = 0
        """Signature checks that were made."""
        self.own_version = 0
        """The highest version of this node's own records that others showed: the next one must be higher."""

    def follow(self, members: Collection[bytes]) -> None:
        """These are the members from now on. Records of former ones get a place like others', if there is
        one."""
        former = [author for author in self._members if author not in members and author in self._known]
        self._members = frozenset(members)
        for author in former:
            self._settle(author)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, author: bytes) -> bool:
        return author in self._known

    def get(self, author: bytes) -> Known | None:
        """What is known of an author."""
        return self._known.get(author)

    def items(self) -> list[Item]:
        """All records, in no particular order."""
        return [known.item for known in self._known.values()]

    def check(self, item: Item, now: int) -> AddressValue | None:
        """What a record says if its author signed it and may have one, or None. `now`: Unix us."""
        if item.kind != ADDRESS or not self._admits(item.author):
            return None
        if item.version > now + AHEAD_US_MAX:
            return None
        known = self._known.get(item.author)
        if known is not None and known.item == item:
            return known.value
        self.checks += 1
        try:
            return address_of(checked(self._cluster, item, self._scheme))
        except ItemError:
            return None

    def learn(self, item: Item, now: int) -> bool:
        """Keep a record if it is valid, dialable, newer than the author's other one, and has a place here;
        return whether it was kept."""
        known = self._known.get(item.author)
        if known is not None and not replaces(item, known.item):
            return False
        value = self.check(item, now)
        if value is None:
            return False
        if item.author == self.own:
            self.own_version = max(self.own_version, item.version)
            return False
        if not value.addresses:
            self.forget(item.author)  # it listens no longer
            return False
        if known is not None:
            known.item, known.value, known.failed = item, value, False
            return True
        self._known[item.author] = Known(item, value, _number(book_id(item.author)))
        return self._settle(item.author)

    def closest(self, target: bytes, most: int = K) -> list[Item]:
        """At most so many records for who seeks a place of 32 bytes: half of them the nearest, the others in
        turn from all distances, the furthest first, so that no crowd around the target hides the way. Nearest
        first; those that failed come last."""
        place = _number(target)
        near = sorted(self._known.values(), key=lambda known: (known.failed, known.place ^ place))
        half = (most + 1) // 2
        chosen = [*near[:half], *spread(near[half:], place)[: most - half]]
        chosen.sort(key=lambda known: (known.failed, known.place ^ place))
        return [known.item for known in chosen]

    def met(self, author: bytes) -> None:
        """It answered."""
        if (known := self._known.get(author)) is not None:
            known.failed = False

    def failed(self, author: bytes) -> None:
        """It did not answer at its address: it stays until another one wants its place."""
        if (known := self._known.get(author)) is not None:
            known.failed = True

    def forget(self, author: bytes) -> None:
        """Drop an author's record."""
        known = self._known.pop(author, None)
        if known is None:
            return
        entry = (known.place ^ self._place, author)
        at = bisect_left(self._near, entry)
        if at < len(self._near) and self._near[at] == entry:
            del self._near[at]
            self._refill()
        for bucket in self._buckets.values():
            if author in bucket:
                bucket.remove(author)

    def keep_admitted(self) -> None:
        """Drop the records of those that do not count any more."""
        for author in [author for author in self._known if not self._admits(author)]:
            self.forget(author)

    # --- places -------------------------------------------------------------------------------------

    def _settle(self, author: bytes) -> bool:
        """Give a new author its place by rules 1 to 3; return whether there was one."""
        if author in self._members:
            return True
        insort(self._near, (self._known[author].place ^ self._place, author))
        if len(self._near) <= NEAR_MAX:
            return True
        _, furthest = self._near.pop()
        if not self._into_bucket(furthest):
            del self._known[furthest]
        return author in self._known

    def _into_bucket(self, author: bytes) -> bool:
        known = self._known[author]
        bucket = self._buckets.setdefault(shared_bits(known.place, self._place), [])
        network = _networks(known.value)
        rivals = [other for other in bucket if network & _networks(self._known[other].value)]
        if not rivals and len(bucket) < K:
            bucket.append(author)
            return True
        gone = next((other for other in rivals or bucket if self._known[other].failed), None)
        if gone is None or len(rivals) > 1:
            return False
        bucket[bucket.index(gone)] = author
        del self._known[gone]
        return True

    def _refill(self) -> None:
        """The nearest of the buckets takes the place that became free."""
        deepest = max((bits for bits, bucket in self._buckets.items() if bucket), default=None)
        if deepest is None:
            return
        bucket = self._buckets[deepest]
        nearest = min(bucket, key=lambda author: self._known[author].place ^ self._place)
        bucket.remove(nearest)
        insort(self._near, (self._known[nearest].place ^ self._place, nearest))


def spread(near: list[Known], place: int) -> list[Known]:
    """Records that are sorted by their distance to a place, in another order: the nearest of each number of
    shared bits, the fewest bits first; then the second nearest of each; and so on."""
    ranks: dict[int, int] = {}
    turns = []
    for known in near:
        bits = shared_bits(known.place, place)
        ranks[bits] = ranks.get(bits, 0) + 1
        turns.append((ranks[bits], bits))
    return [near[at] for at in sorted(range(len(near)), key=turns.__getitem__)]


def _networks(value: AddressValue) -> frozenset[str]:
    """The /24s (IPv6: /48s) of the Internet in which a node listens; none of private networks."""
    return frozenset(
        _network(host) for host, _port in value.addresses if ipaddress.ip_address(host).is_global
    )


def _network(host: str) -> str:
    bits = 24 if ipaddress.ip_address(host).version == 4 else 48
    return str(ipaddress.ip_network(f"{host}/{bits}", strict=False))


def _number(place: bytes) -> int:
    return int.from_bytes(place)
