"""Four ways to make two stores equal, as the asking side drives them: a generator of questions each.

* *gossip*: push-pull anti-entropy by digests (Demers et al., PODC 1987, section 1.3): everything is listed.
* *merkle*: only ranges whose hashes differ are looked into (Merkle, CRYPTO 1987; Dynamo, SOSP 2007, 4.7).
* *crdt*: delta states (Almeida, Shoker and Baquero, 2018): each side tells up to which version of each
  author it has everything, and gets what is above. Cheapest where authors are few; needs no walk.
* *snapshot*: everything, compressed, in chunks, checked whole before anything changes.

All four end in the same state, since only items are merged, and all begin with the roots: equal stores
exchange nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from enum import StrEnum
from typing import TypeVar

import msgspec

from dtvn.sync.answering import Settings, apply, delta, take
from dtvn.sync.messages import (
    CHUNK_BYTES,
    LISTED_MAX,
    MARK_SIZE,
    PATHS_MAX,
    PLACES_MAX,
    VERSIONS_MAX,
    Answer,
    Behind,
    Branches,
    Chunk,
    Delta,
    Fetch,
    FetchChunk,
    Found,
    Give,
    Head,
    List,
    Listed,
    Listing,
    Look,
    Offer,
    Open,
    Question,
    Root,
    Since,
    SyncError,
    Took,
    Want,
    Wanted,
    listed,
    packed,
)
from dtvn.sync.packing import Assembly, chunk_of, pack, places_in, take_all
from dtvn.sync.store import Store
from dtvn.sync.tree import Tree

DIFFERENCES_MAX = 10_000
"""Most differences that one walk gathers before they are settled."""
QUESTIONS_MAX = 100_000
"""Most questions of one exchange: a liar's answers must not make it endless."""


class SyncProtocol(StrEnum):
    """How a difference is found."""

    GOSSIP = "gossip"
    MERKLE = "merkle"
    CRDT = "crdt"
    SNAPSHOT = "snapshot"


class Outcome(msgspec.Struct):
    """What one exchange did, as its asking side counts it."""

    questions: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    items_received: int = 0
    """New ones."""
    items_sent: int = 0


class Side(msgspec.Struct):
    """The asking side of one exchange."""

    store: Store
    settings: Settings
    now: int
    """Unix microseconds when the newest answer came."""
    outcome: Outcome


Steps = Generator[Question, Answer, None]
Asked = TypeVar("Asked", bound=Answer)


class _PeerIsBehind(Exception):
    """The peer answers nothing for now."""


def exchange(side: Side, protocol: SyncProtocol) -> Steps:
    """All questions of one exchange; raises SyncError for an answer that no honest peer gives."""
    with suppress(_PeerIsBehind):
        if side.store.is_behind(side.now):
            yield from _catch_up(side)
        root = yield from _ask(Open(side.store.root), Root)
        if root.root != side.store.root:
            yield from _WAYS[protocol](side)
        side.store.heard = side.now


def _ask(question: Question, kind: type[Asked]) -> Generator[Question, Answer, Asked]:
    answer = yield question
    if isinstance(answer, Behind):
        raise _PeerIsBehind
    if not isinstance(answer, kind):
        raise SyncError(f"{type(answer).__name__} does not answer {type(question).__name__}")
    return answer


def _gossip(side: Side) -> Steps:
    """List all that the peer has, page by page, and compare: what it lacks is given, what is lacking here is
    asked for."""
    after = b""
    while True:
        wants: list[bytes] = []
        gives: list[bytes] = []
        page = yield from _ask(List(after), Listing)
        keys = [entry[0] for entry in page.entries]
        if keys != sorted(set(keys)) or (keys and keys[0] <= after) or (page.has_more and not keys):
            raise SyncError("a listing is in the order of its keys")
        mine = _between(side.store.tree, after, keys[-1] if page.has_more else None)
        _compare(mine, page.entries, wants, gives)
        yield from _settle(side, wants, gives)
        if not page.has_more:
            return
        after = keys[-1]


def _between(tree: Tree, after: bytes, last: bytes | None) -> Iterable[Listed]:
    while entries := tree.after(after, LISTED_MAX):
        for entry in listed(entries):
            if last is not None and entry[0] > last:
                return
            yield entry
        after = entries[-1][0]


def _merkle(side: Side) -> Steps:
    """Walk down to the leaves that differ, and settle these; again if they are many."""
    while True:
        found = yield from differences(side.store.tree)
        before = side.outcome.items_received + side.outcome.items_sent
        yield from _settle(side, found.newer_there, found.newer_here)
        if not found.more or side.outcome.items_received + side.outcome.items_sent == before:
            return


class Differences(msgspec.Struct):
    """Keys at which two trees differ; one of equal versions and different hashes is in both lists."""

    newer_there: list[bytes]
    """Or missing here."""
    newer_here: list[bytes]
    """Or missing there."""
    more: bool = False
    """There may be more: the walk ended at DIFFERENCES_MAX."""


def differences(tree: Tree) -> Generator[Question, Answer, Differences]:
    """Compare this tree with a peer's."""
    found = Differences([], [])
    ahead = [""]
    """Ranges to look into. The newest first, so that they stay few."""
    while ahead and not found.more:
        asked = ahead[-PATHS_MAX:]
        del ahead[-PATHS_MAX:]
        answer = yield from _ask(Look(tuple(asked)), Branches)
        if len(answer.found) != len(asked):
            raise SyncError(f"{len(answer.found)} ranges answer a question for {len(asked)}")
        for path, branch in zip(asked, answer.found, strict=True):
            if branch.children:
                ahead += _parts_that_differ(tree, path, dict(branch.children), found)
                continue
            _in_range(path, [entry[0].hex() for entry in branch.entries])
            _compare(listed(tree.entries(path)), branch.entries, found.newer_there, found.newer_here)
        found.more = len(found.newer_there) + len(found.newer_here) > DIFFERENCES_MAX
    return found


def _parts_that_differ(tree: Tree, path: str, theirs: dict[str, bytes], found: Differences) -> list[str]:
    """The parts of a range to look into; what is here in none of the peer's parts is missing there."""
    _in_range(path, list(theirs))
    under = tuple(theirs)
    if sum(tree.count(each) for each in theirs) != tree.count(path):
        missing = (entry[0] for entry in tree.entries(path) if not entry[0].hex().startswith(under))
        found.newer_here.extend(key for key, _ in zip(missing, range(DIFFERENCES_MAX + 1), strict=False))
    return [each for each, mark in theirs.items() if tree.hash_of(each)[:MARK_SIZE] != mark]


def _in_range(path: str, found: list[str]) -> None:
    """Answers go down, so that a walk ends: each path is longer than the one asked for, and all differ."""
    if len(set(found)) != len(found) or not all(
        each.startswith(path) and len(each) > len(path) for each in found
    ):
        raise SyncError(f"what was answered is not in the range {path!r}")


def _compare(
    mine: Iterable[Listed], theirs: Iterable[Listed], wants: list[bytes], gives: list[bytes]
) -> None:
    """Sort the keys of one range by who has the newer value; of two values of one version both are sent."""
    here = {key: (version, mark) for key, version, mark in mine}
    for key, version, mark in theirs:
        held = here.pop(key, None)
        if held == (version, mark):
            continue
        if held is None or version >= held[0]:
            wants.append(key)
        if held is not None and version <= held[0]:
            gives.append(key)
    gives.extend(here)


def _settle(side: Side, wants: list[bytes], gives: list[bytes]) -> Steps:
    """Ask for the items at some places, and give those at others."""
    while wants:
        asked = tuple(wants[: min(PLACES_MAX, side.settings.batch_size)])
        answer = yield from _ask(Want(asked), Found)
        answered = answer.next_cursor if answer.has_more else len(asked)
        if not 0 < answered <= len(asked):
            raise SyncError("an answer says that there is more, and brings nothing")
        side.outcome.items_received += take(side.store, answer.items, side.now)
        wants = wants[answered:]
    held = [item for place in gives if (item := side.store.at(place)) is not None]
    while held:
        items = tuple(packed(held, side.settings.batch_size))
        yield from _ask(Give(items), Took)
        side.outcome.items_sent += len(items)
        held = held[len(items) :]


def _crdt(side: Side) -> Steps:
    """Deltas by author both ways; what is not in the order of versions anywhere is found by the walk."""
    store = side.store
    seen = store.complete()
    """What is here, and what was brought, also where it does not count here."""
    while True:
        versions = tuple(sorted(seen.items())[:VERSIONS_MAX])
        answer = yield from _ask(Since(versions), Delta)
        side.outcome.items_received += apply(store, answer.items, answer.spans, side.now)
        brought = {author: version for author, _above, version in answer.spans}
        moves = any(version > seen.get(author, 0) for author, version in brought.items())
        seen |= brought
        if not answer.has_more:
            break
        if not moves:
            raise SyncError("a delta says that there is more, and brings nothing")
    theirs = dict(answer.versions)
    while True:
        own = delta(store, theirs, side.settings.batch_size)
        if own.spans:
            yield from _ask(Give(own.items, own.spans), Took)
            side.outcome.items_sent += len(own.items)
            theirs |= {author: version for author, _above, version in own.spans}
        if not own.has_more or not own.spans:
            break
    root = yield from _ask(Open(store.root), Root)
    if root.root != store.root:
        yield from _merkle(side)
        root = yield from _ask(Open(store.root), Root)
    if root.root != store.root:
        return
    for author, version in answer.versions:  # equal stores are complete alike
        store.completed(author, store.complete().get(author, 0), version)


def _snapshot(side: Side) -> Steps:
    """Take all that the peer has, then give it all that is here, unless it has that already."""
    yield from _fetch(side)
    root = yield from _ask(Open(side.store.root), Root)
    if root.root != side.store.root:
        yield from _offer(side)


def push(side: Side) -> Steps:
    """Give the peer a snapshot, as after `snapshot_threshold` changes."""
    with suppress(_PeerIsBehind):
        yield from _offer(side)


def _offer(side: Side) -> Steps:
    head, sent = pack(side.store, compression=side.settings.compression, behind=False)
    items = len(side.store)
    wanted = yield from _ask(Offer(head, side.store.root), Wanted)
    index = 0
    while wanted.yes:
        wanted = yield from _ask(Chunk(index, chunk_of(sent, index)), Wanted)
        index += 1
    if index * CHUNK_BYTES >= len(sent):
        side.outcome.items_sent += items


def _fetch(side: Side) -> Generator[Question, Answer, tuple[Head, set[bytes]]]:
    head = yield from _ask(Fetch(), Head)
    assembly = Assembly(head)
    while not assembly.whole:
        chunk = yield from _ask(FetchChunk(head.checksum, assembly.index), Chunk)
        if not chunk.data:
            raise _PeerIsBehind  # it has another one by now; the next exchange asks for that
        assembly.add(chunk.index, chunk.data)
    items = assembly.items()
    side.outcome.items_received += take_all(side.store, items, side.now)
    return head, places_in(items)


def _catch_up(side: Side) -> Steps:
    """This peer was away for longer than tombstones are kept: it takes a snapshot before it says anything."""
    head, places = yield from _fetch(side)
    if head.behind:
        raise _PeerIsBehind
    side.store.retain(places, side.now)
    side.store.heard = side.now


_WAYS: dict[SyncProtocol, Callable[[Side], Steps]] = {
    SyncProtocol.GOSSIP: _gossip,
    SyncProtocol.MERKLE: _merkle,
    SyncProtocol.CRDT: _crdt,
    SyncProtocol.SNAPSHOT: _snapshot,
}
