"""The answering side of an exchange: one answer to each question, whatever the protocol of the asker."""

from __future__ import annotations

import msgspec

from dtvn.sync.item import Item, ItemError
from dtvn.sync.messages import (
    LISTED_MAX,
    VERSIONS_MAX,
    Answer,
    Behind,
    Branch,
    Branches,
    Chunk,
    Delta,
    Fetch,
    FetchChunk,
    Found,
    Give,
    Head,
    List,
    Listing,
    Look,
    Offer,
    Open,
    Question,
    Root,
    Since,
    Span,
    SyncError,
    Took,
    Want,
    Wanted,
    listed,
    packed,
)
from dtvn.sync.packing import Assembly, chunk_of, pack, take_all
from dtvn.sync.store import Store, Taken
from dtvn.sync.tree import Tree

UPLOADS_MAX = 4
"""Most snapshots that are being received at a time; one more takes the place of the oldest."""


class Settings(msgspec.Struct, frozen=True):
    """How a peer sends."""

    batch_size: int = 100
    """Most items in a message."""
    compression: bool = True
    """Whether snapshots are compressed."""
    snapshots: bool = True
    """Whether snapshots are given and taken at all: one of 64 MiB costs its receiver many seconds."""


class Answerer:
    """Answers for one store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._packed: tuple[bytes, Head, bytes] | None = None
        """Of the newest snapshot that was asked for: root, head, bytes."""
        self._uploads: dict[bytes, Assembly] = {}

    def answer(self, peer: bytes, question: Question, now: int) -> Answer:
        """The answer to a peer's question; raise SyncError if no honest peer asks it."""
        store = self._store
        if not self._settings.snapshots and isinstance(question, Fetch | FetchChunk | Offer | Chunk):
            raise SyncError(f"{type(question).__name__} where no snapshots are exchanged")
        if isinstance(question, Fetch):
            return self._snapshot(now)
        if isinstance(question, FetchChunk):
            return self._chunk(question)
        if store.is_behind(now):
            return Behind()
        match question:
            case Open():
                if question.root == store.root:
                    store.heard = now
                return Root(store.root)
            case List():
                return listing(store.tree, question)
            case Look():
                return look(store.tree, question)
            case Want():
                return self._found(question)
            case Give():
                apply(store, question.items, question.spans, now)
                return Took()
            case Since():
                return delta(store, dict(question.versions), self._settings.batch_size)
            case Offer():
                return self._offer(peer, question)
            case _:
                return self._upload(peer, question, now)

    def forget(self, peer: bytes) -> None:
        """The peer has left."""
        self._uploads.pop(peer, None)

    def _found(self, question: Want) -> Found:
        found = ((index, self._store.at(place)) for index, place in enumerate(question.places))
        held = [(index, item) for index, item in found if item is not None]
        items = tuple(packed((item for _index, item in held), self._settings.batch_size))
        more = len(items) < len(held)
        return Found(items, more, held[len(items)][0] if more else len(question.places))

    def _snapshot(self, now: int) -> Head:
        root, behind = self._store.root, self._store.is_behind(now)
        if self._packed is None or (self._packed[0], self._packed[1].behind) != (root, behind):
            self._packed = (root, *pack(self._store, compression=self._settings.compression, behind=behind))
        return self._packed[1]

    def _chunk(self, question: FetchChunk) -> Chunk:
        if self._packed is None or self._packed[1].checksum != question.checksum:
            return Chunk(question.index, b"")
        return Chunk(question.index, chunk_of(self._packed[2], question.index))

    def _offer(self, peer: bytes, question: Offer) -> Wanted:
        self._uploads.pop(peer, None)
        if question.root == self._store.root or question.head.behind:
            return Wanted(yes=False)
        while len(self._uploads) >= UPLOADS_MAX:
            self._uploads.pop(next(iter(self._uploads)))
        self._uploads[peer] = Assembly(question.head)
        return Wanted(yes=True)

    def _upload(self, peer: bytes, chunk: Chunk, now: int) -> Wanted:
        assembly = self._uploads.get(peer)
        if assembly is None:
            return Wanted(yes=False)
        if chunk.index == assembly.index - 1:
            return Wanted(yes=True)  # asked again, since the answer was lost
        try:
            assembly.add(chunk.index, chunk.data)
            if not assembly.whole:
                return Wanted(yes=True)
            take_all(self._store, assembly.items(), now)
        except SyncError:
            self._uploads.pop(peer)
            raise
        self._uploads.pop(peer)
        return Wanted(yes=False)


def listing(tree: Tree, question: List) -> Listing:
    """One page of digests."""
    entries = tree.after(question.after, LISTED_MAX + 1)
    return Listing(listed(entries[:LISTED_MAX]), len(entries) > LISTED_MAX)


def look(tree: Tree, question: Look) -> Branches:
    """What is in these ranges."""
    found = []
    for path in question.paths:
        children = tree.children(path)
        if children is None:
            found.append(Branch((), listed(tree.entries(path))))
        else:
            found.append(Branch(tuple((each, value_hash[:16]) for each, value_hash in children), ()))
    return Branches(tuple(found))


def take(store: Store, items: tuple[Item, ...], now: int) -> int:
    """Merge items in and say how many were new; raise SyncError if one is forged. Those before it stay."""
    taken = 0
    for item in items:
        try:
            taken += store.take(item, now) is Taken.NEW
        except ItemError as error:
            raise SyncError(f"item: {error}") from error
    return taken


def apply(store: Store, items: tuple[Item, ...], spans: tuple[Span, ...], now: int) -> int:
    """Merge a delta in, then note how far authors are complete."""
    taken = take(store, items, now)
    for author, above, version in spans:
        store.completed(author, above, version)
    return taken


def delta(store: Store, theirs: dict[bytes, int], batch_size: int) -> Delta:
    """What a peer lacks that has all items up to `theirs`: by author, in the order of versions."""
    items: list[Item] = []
    spans: list[Span] = []
    complete = store.complete()
    more = False
    for author in sorted(complete):
        above, until = theirs.get(author, 0), complete[author]
        if above >= until:
            continue
        if more or len(spans) >= VERSIONS_MAX // 2:
            more = True
            break
        lacking = [item for item in store.of_author(author, above) if item.version <= until]
        fitting = list(packed([*items, *lacking], batch_size))[len(items) :]
        more = len(fitting) < len(lacking)
        if more and not fitting:
            break
        items += fitting
        spans.append((author, above, fitting[-1].version if more else until))
    versions = tuple(sorted(complete.items())[: VERSIONS_MAX // 2])
    return Delta(versions, tuple(items), tuple(spans), more)
