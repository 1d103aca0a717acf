"""A store and its exchanges as one thing, for a caller that only delivers messages (anti-entropy).

It never counts as away for too long: it is for kinds whose values may come back after a day (an address that
came back is replaced by its author).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from dtvn.protocol.scheme import ED25519, Scheme
from dtvn.sync.item import Item
from dtvn.sync.sessions import Sessions
from dtvn.sync.store import Kind, Store, Taken


class CarriedStore:
    """Times are Unix microseconds, peers public keys. `own`: this node's key."""

    def __init__(
        self,
        cluster: bytes,
        kinds: Mapping[str, Kind],
        *,
        own: bytes,
        now: int,
        authors: Callable[[bytes], bool] | None = None,
        author_items_max: int = 64,
        scheme: Scheme = ED25519,
    ) -> None:
        self._news: list[Item] = []
        self.store = Store(
            cluster,
            kinds,
            authors=authors,
            scheme=scheme,
            on_change=self._news.append,
            author_items_max=author_items_max,
            own=own,
            now=now,
        )
        self._sessions = Sessions(self.store)

    @property
    def checks(self) -> int:
        """Signature checks that were made."""
        return self.store.checks

    def take(self, item: Item, now: int) -> bool:
        """Check an item and keep it; returns whether it was news. Raises ItemError for a forged one; one of
        an author or kind that does not count here is no news."""
        taken = self.store.take(item, now) is Taken.NEW
        self._news.clear()
        return taken

    def get(self, author: bytes, kind: str, key: str) -> Item | None:
        """The item that is held of this identity."""
        return self.store.get(author, kind, key)

    def items(self, kind: str) -> Iterator[Item]:
        """The items of this kind, without tombstones."""
        return (item for item in self.store.items(kind) if not item.deleted)

    def open_exchange(self, peer: bytes, now: int) -> bytes | None:
        """The first message of an anti-entropy with this peer; None while one with it runs."""
        self.store.heard = now
        return next(iter(self._sessions.begin(peer, now)), None)

    def on_exchange(self, peer: bytes, body: bytes, now: int) -> tuple[list[bytes], list[Item]]:
        """(answers to a peer's message, items that were news by it). Raises SyncError if no honest peer sends
        it; items that came before the forged one are kept."""
        self._news.clear()
        self.store.heard = now
        answers = self._sessions.receive(peer, body, now)
        news, self._news[:] = list(self._news), []
        return answers, news

    def forget(self, peer: bytes) -> None:
        """The link to this peer is down."""
        self._sessions.forget(peer)

    def expire(self, now: int) -> None:
        """Drop tombstones whose time is over; once a minute is enough."""
        self.store.expire(now)
