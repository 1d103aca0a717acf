"""How signed items spread: rumours, and anti-entropy for what rumours miss (R46; Demers et al., PODC 1987).

An item that is news is told to `fanout` neighbours at once, and by them to theirs, at most `ttl` hops. Every
`anti_entropy_interval` the store is compared with that of one neighbour (dtvn.sync). Items that were checked
are remembered by digest, `cache_size` of them, so that a copy costs no signature check and goes nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dtvn.overlay.conduct import Fault
from dtvn.overlay.messages import TTL_MAX, Exchange, Rumour, fitting
from dtvn.overlay.ports import Chance, Out, Store, pick, sample
from dtvn.protocol.consensus.effects import Now
from dtvn.sync import Item, ItemError, digest_of


class Gossip:
    """Items of one node. Keys are public keys."""

    def __init__(
        self,
        store: Store,
        counts: Callable[[bytes], bool],
        chance: Chance,
        out: Out,
        *,
        fanout: int,
        ttl: int,
        cache_size: int,
        interval: int,
    ) -> None:
        """`counts`: whether a key is that of a member or of a principal that counts now (R15); `interval`:
        nanoseconds between two comparisons."""
        self.store = store
        self.hits = self.misses = 0
        """Items that were remembered when they came, and that were not."""
        self._counts = counts
        self._chance = chance
        self._out = out
        self._fanout = fanout
        self._ttl = min(ttl, TTL_MAX)
        self._cache_size = cache_size
        self._interval = interval
        self._seen: dict[bytes, bool] = {}
        """Digest of a checked item -> whether it was the newest of its author when it came."""
        self._compare_at = 0

    @property
    def cached(self) -> int:
        """Items that are remembered."""
        return len(self._seen)

    def admit(self, item: Item, now: Now) -> tuple[bool, Fault | None]:
        """Check an item and keep it; returns (whether it was news, what is wrong with it or None). What is
        replaced by a newer one, or of no use here, is refused without a look at its signature: use what the
        store holds, not the item."""
        digest = digest_of(item)
        known = self._seen.get(digest)
        if known is not None:
            self.hits += 1
            return False, None if known else Fault.REPLAYED
        self.misses += 1
        if not self._counts(item.author):
            return False, Fault.STRANGER
        try:
            news = self.store.take(item, now.wall // 1_000)
        except ItemError:
            return False, Fault.FORGED
        held = self.store.get(item.author, item.kind, item.key)
        if held is None or held.version < item.version:
            return False, Fault.STRANGER  # of no use now, say since it is from the future
        self._remember(digest, held == item)
        return news, None if held == item else Fault.REPLAYED

    def publish(self, item: Item, neighbours: Sequence[bytes], now: Now) -> None:
        """Spread an item of this node's own."""
        if self.store.take(item, now.wall // 1_000):
            self._remember(digest_of(item), True)
            self.spread([item], self._ttl, neighbours)

    def spread(self, items: Iterable[Item], ttl: int, neighbours: Sequence[bytes]) -> None:
        """Tell some neighbours what was news here. `ttl`: hops that are left after theirs."""
        rest = tuple(items)
        targets = sample(self._chance, neighbours, self._fanout)
        while rest:
            told = fitting(rest)
            for key in targets:
                self._out.send(key, Rumour(max(0, min(ttl, self._ttl)), told))
            rest = rest[max(1, len(told)) :]

    def on_exchange(self, key: bytes, body: bytes, now: Now) -> bool:
        """Take a step of an anti-entropy; returns whether the message was well formed and true."""
        try:
            answers, news = self.store.on_exchange(key, body, now.wall // 1_000)
        except ValueError:
            return False
        for item in news:
            self._remember(digest_of(item), True)
        for answer in answers:
            self._out.send(key, Exchange(answer))
        return True

    def on_down(self, key: bytes) -> None:
        """A link is down."""
        self.store.forget(key)

    def tick(self, neighbours: Sequence[bytes], now: Now) -> None:
        """Compare with one neighbour if it is time."""
        if now.monotonic < self._compare_at:
            return
        self._compare_at = now.monotonic + self._interval
        self.store.expire(now.wall // 1_000)
        if neighbours:
            key = pick(self._chance, neighbours)
            body = self.store.open_exchange(key, now.wall // 1_000)
            if body is not None:
                self._out.send(key, Exchange(body))

    def deadline(self) -> int:
        """When `tick` is due (monotonic nanoseconds)."""
        return self._compare_at

    def _remember(self, digest: bytes, fresh: bool) -> None:
        self._seen[digest] = fresh
        if len(self._seen) > self._cache_size:
            del self._seen[next(iter(self._seen))]
