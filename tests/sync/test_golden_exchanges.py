"""Exchanges of three stores by chance, told whole: questions, answers, what is held, what is refused.

Snapshots are not compressed: how many chunks they take would depend on the machine's gzip.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtvn.sync import (
    Item,
    ItemError,
    Sessions,
    Settings,
    Store,
    SyncError,
    SyncProtocol,
    answering,
    messages,
    packing,
    protocols,
)
from dtvn.sync.store import place_of
from tests.golden import Compare
from tests.sync.support import CLUSTER, HOUR, KINDS, NOW, SECOND, item, key_of

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("ann", "bob", "cyd")
AUTHORS = (*NAMES, "dan", "eve")
SMALL = {"LISTED_MAX": 5, "PATHS_MAX": 3, "PLACES_MAX": 4, "VERSIONS_MAX": 8, "CHUNK_BYTES": 900}


class SyncStory:
    """Three stores, their exchanges, and time."""

    def __init__(self, protocol: SyncProtocol, batch: int) -> None:
        self.protocol, self.now = protocol, NOW
        self.chance = random.Random(f"{protocol} {batch}")
        self.authors = {key_of(name): name for name in AUTHORS}
        self.counted = set(self.authors)
        self.places: dict[bytes, str] = {}
        self.changes: list[str] = []
        self.lines = [f"# {protocol} {batch}"]
        settings = Settings(batch_size=batch, compression=False)
        self.stores = {name: self._store(name) for name in NAMES}
        self.sessions = {name: Sessions(each, settings) for name, each in self.stores.items()}
        self.versions = dict.fromkeys(AUTHORS, 0)

    def _store(self, name: str) -> Store:
        return Store(
            CLUSTER, KINDS, authors=lambda key: key in self.counted, own=key_of(name), now=self.now,
            author_items_max=12, on_change=lambda item: self.changes.append(f"{name}: {self.item(item)}"),
        )  # fmt: skip

    def item(self, item: Item) -> str:
        sort = "deleted" if item.deleted else item.value.decode()[:3]
        said = f"{self.authors[item.author]}/{item.kind}/{item.key} {item.version} {sort}"
        self.places.setdefault(place_of(item.author, item.kind, item.key), said.split(" ")[0])
        return said

    def said(self, value: Any) -> str:
        """A part of a message in words; what depends on gzip is left out."""
        if isinstance(value, Item):
            return self.item(value)
        if isinstance(value, messages.Head):
            return f"Head of {value.unpacked} {value.compressed} {value.behind}"
        if isinstance(value, messages.Chunk):
            return f"Chunk {value.index} {bool(value.data)}"
        if isinstance(value, messages.FetchChunk):
            return f"FetchChunk {value.index}"
        if isinstance(value, msgspec.Struct):
            parts = (f"{field}={self.said(getattr(value, field))}" for field in value.__struct_fields__)
            return f"{type(value).__name__}({', '.join(parts)})"
        if isinstance(value, tuple):
            return "[" + ", ".join(self.said(each) for each in value) + "]"
        if isinstance(value, bytes):
            return self.authors.get(value) or self.places.get(value) or value.hex()[:8]
        return str(value)

    def exchange(self, asker: str, other: str, lost: int | None, *, only_give: bool) -> None:
        """One exchange; `lost`: the question after which the link breaks."""
        self.lines.append(f"{asker} with {other}{', only to give' if only_give else ''}")
        peer = key_of(asker)
        try:
            session = self.sessions[asker].open(self.protocol, self.now, only_give=only_give)
            while session.question is not None:
                if session.outcome.questions == lost:
                    self.lines.append("  the link breaks")
                    self.sessions[other].forget(peer)
                    return
                self.lines.append(f"  ? {self.said(messages.decode(session.question).body)}")
                answer = self.sessions[other].answer(peer, session.question, self.now)
                self.lines.append(f"  ! {self.said(messages.decode(answer).body)}")
                session.answered(answer, self.now)
            done = session.outcome
            self.lines.append(
                f"  {done.questions} questions, {done.items_received} new, {done.items_sent} sent"
            )
        except SyncError as error:
            self.lines.append(f"  SyncError: {error}")
        self.lines += [f"  news {change}" for change in self.changes]
        self.changes.clear()

    def writes(self, name: str) -> None:
        """A store gets an item beside exchanges: of its owner or another author, new, old, or altered."""
        chance, author = self.chance, self.chance.choice(AUTHORS)
        back = chance.choice((0, 0, 0, 0, 1, 3))
        self.versions[author] += 1
        version = max(1, self.versions[author] - back)
        value, kind = chance.choice((b"1", b"2", b'"' + b"x" * 90 + b'"')), chance.choice(("state", "own"))
        gone = chance.random() < 0.25
        at = self.now - chance.choice((0, 0, 2 * HOUR, 30 * HOUR, -HOUR))
        made = item(author, f"k{chance.randrange(9)}", version, value, at=at, deleted=gone, kind=kind)
        if chance.random() < 0.05:
            made = msgspec.structs.replace(made, version=made.version + 1)
        try:
            taken = str(self.stores[name].take(made, self.now))
        except ItemError as error:
            taken = f"ItemError: {error}"
        self.lines.append(f"{name} gets {self.item(made)} of {(at - self.now) // SECOND} s: {taken}")
        self.changes.clear()

    def step(self) -> None:
        chance, name = self.chance, self.chance.choice(NAMES)
        match chance.randrange(12):
            case 0 | 1:
                other = chance.choice([each for each in NAMES if each != name])
                lost = chance.choice((None, None, None, 2, 4))
                self.exchange(name, other, lost, only_give=chance.random() < 0.1)
            case 2:
                self.now += chance.choice((SECOND, 40 * SECOND, HOUR, 9 * HOUR))
                for each in self.stores.values():
                    each.expire(self.now)
                self.lines.append(f"{(self.now - NOW) // SECOND} s")
            case 3 if chance.random() < 0.3:
                self.counted ^= {key_of("eve")}
                self.lines.append(f"eve counts: {key_of('eve') in self.counted}")
            case 4:
                self.standing(name)
            case _:
                self.writes(name)

    def standing(self, name: str) -> None:
        store = self.stores[name]
        self.lines.append(f"{name} holds {len(store)}, behind {store.is_behind(self.now)}")
        self.lines.append(f"  complete {[(self.authors[k], v) for k, v in sorted(store.complete().items())]}")
        for kind in KINDS:
            self.lines += sorted(f"  {self.item(each)}" for each in store.items(kind))


@pytest.mark.parametrize(
    ("protocol", "batch"),
    [("gossip", 3), ("merkle", 3), ("crdt", 2), ("snapshot", 100)],
)
def test_exchanges_by_chance(
    golden: Compare, monkeypatch: pytest.MonkeyPatch, protocol: str, batch: int
) -> None:
    for name, most in SMALL.items():
        for module in (answering, packing, protocols):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, most)
    story = SyncStory(SyncProtocol(protocol), batch)
    for _step in range(260):
        story.step()
    for asker, other in (("ann", "bob"), ("bob", "cyd"), ("ann", "cyd"), ("ann", "bob")):
        story.exchange(asker, other, None, only_give=False)
    for name in NAMES:
        story.standing(name)
    golden.drawn(GOLDEN / f"exchanges-{protocol}.txt", "\n".join(story.lines) + "\n")
