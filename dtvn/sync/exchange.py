"""The exchange by which two stores become equal: a walk down both trees, only where hashes differ (Dynamo,
SOSP 2007, section 4.7). Both begin with the roots: equal stores exchange nothing else.

The asking side is a generator of questions; the answering side answers each by itself. What differs is moved
as soon as it fills a message, so a walk that breaks off goes on from there the next time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import suppress
from typing import TypeVar

import msgspec

from dtvn.sync.item import Item, ItemError
from dtvn.sync.messages import (
    MARK_SIZE,
    PATHS_MAX,
    PLACES_MAX,
    Answer,
    Behind,
    Branch,
    Branches,
    Found,
    Give,
    Look,
    Open,
    Question,
    Root,
    SyncError,
    Took,
    Want,
    listed,
    packed,
)
from dtvn.sync.store import Store, Taken
from dtvn.sync.tree import Tree

QUESTIONS_MAX = 100_000
"""Most questions of one exchange: a liar's answers must not make it endless."""


class Outcome(msgspec.Struct):
    """What one exchange did, as its asking side counts it."""

    questions: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    items_received: int = 0
    """New ones."""
    items_sent: int = 0
    compared: bool = False
    """Whether all was compared; else the peer, or this one, was away for too long to say anything."""


class Side(msgspec.Struct):
    """The asking side of one exchange."""

    store: Store
    batch_size: int
    """Most items in a message."""
    now: int
    """Unix microseconds when the newest answer came."""
    outcome: Outcome


Steps = Generator[Question, Answer, None]
Asked = TypeVar("Asked", bound=Answer)


class _PeerIsBehind(Exception):
    """The peer answers nothing for now."""


def answer_to(store: Store, question: Question, now: int, batch_size: int) -> Answer:
    """The answer to a peer's question; raise SyncError if no honest peer asks it."""
    if store.is_behind(now):
        return Behind()
    match question:
        case Open():
            store.advance(now)
            if question.root == store.root:
                store.heard = now
            return Root(store.root)
        case Look():
            return Branches(tuple(_branch(store.tree, path) for path in question.paths))
        case Want():
            return _found(store, question.places, batch_size)
        case Give():
            _take(store, question.items, now)
            return Took()


def exchange(side: Side) -> Steps:
    """All questions of one exchange; raises SyncError for an answer that no honest peer gives. A store that
    was away for longer than tombstones are kept first takes what the peer has, and gives nothing."""
    store = side.store
    store.advance(side.now)
    with suppress(_PeerIsBehind):
        root = yield from _ask(Open(store.root), Root)
        if root.root != store.root:
            if store.is_behind(side.now):
                missing = yield from _walk(side, give=False)
                store.drop_old(missing, side.now)
            yield from _walk(side, give=True)
        store.heard = side.now
        side.outcome.compared = True


def _ask(question: Question, kind: type[Asked]) -> Generator[Question, Answer, Asked]:
    answer = yield question
    if isinstance(answer, Behind):
        raise _PeerIsBehind
    if not isinstance(answer, kind):
        raise SyncError(f"{type(answer).__name__} does not answer {type(question).__name__}")
    return answer


def _walk(side: Side, *, give: bool) -> Generator[Question, Answer, list[bytes]]:
    """Take what the peer has newer, and give what is newer here. Returns the places that the peer has not."""
    missing: list[bytes] = []
    tree = side.store.tree
    ahead = [""]
    """Ranges to look into, the newest first, so that they stay few."""
    wants: list[bytes] = []
    gives: list[bytes] = []
    while ahead:
        asked = ahead[-PATHS_MAX:]
        del ahead[-PATHS_MAX:]
        answer = yield from _ask(Look(tuple(asked)), Branches)
        if len(answer.found) != len(asked):
            raise SyncError(f"{len(answer.found)} ranges answer a question for {len(asked)}")
        found = _Compared()
        for path, branch in zip(asked, answer.found, strict=True):
            _below(path, [part for part, _mark in branch.parts] or [each[0].hex() for each in branch.entries])
            ahead += [part for part, mark in branch.parts if tree.hash_of(part)[:MARK_SIZE] != mark]
            _compare(tree, path, branch, found)
        missing += found.missing
        wants += found.newer_there
        gives += found.newer_here + found.missing if give else []
        if not ahead or len(wants) + len(gives) >= side.batch_size:
            yield from _take_from_peer(side, wants)
            yield from _give_to_peer(side, gives)
            wants, gives = [], []
    return missing


def _below(path: str, found: list[str]) -> None:
    """Answers go down, so that a walk ends: each path is longer than the one asked for, and all differ."""
    if len(set(found)) != len(found) or not all(
        each.startswith(path) and len(each) > len(path) for each in found
    ):
        raise SyncError(f"what was answered is not in the range {path!r}")


class _Compared(msgspec.Struct):
    """Places that differ, by who has the newer item; one of equal versions is in both lists."""

    newer_there: list[bytes] = msgspec.field(default_factory=list)
    """Or missing here."""
    newer_here: list[bytes] = msgspec.field(default_factory=list)
    missing: list[bytes] = msgspec.field(default_factory=list)
    """At the peer."""


def _compare(tree: Tree, path: str, branch: Branch, found: _Compared) -> None:
    """Sort the places of a range that need no further look. What is here in none of the peer's parts is
    missing there."""
    if branch.parts:
        parts = tuple(part for part, _mark in branch.parts)
        if sum(tree.count(part) for part in parts) != tree.count(path):
            found.missing += (each[0] for each in tree.entries(path) if not each[0].hex().startswith(parts))
        return
    here = {each[0]: each for each in listed(tree.entries(path))}
    for theirs in branch.entries:
        held = here.pop(theirs[0], None)
        if held == theirs:
            continue
        if held is None or theirs[1] >= held[1]:
            found.newer_there.append(theirs[0])
        if held is not None and theirs[1] <= held[1]:
            found.newer_here.append(theirs[0])
    found.missing += here


def _take_from_peer(side: Side, wants: list[bytes]) -> Steps:
    while wants:
        asked = tuple(wants[: min(PLACES_MAX, side.batch_size)])
        answer = yield from _ask(Want(asked), Found)
        if not 0 < answer.answered <= len(asked):
            raise SyncError(f"an answer is for {answer.answered} of {len(asked)} places")
        side.outcome.items_received += _take(side.store, answer.items, side.now)
        wants = wants[answer.answered :]


def _give_to_peer(side: Side, gives: list[bytes]) -> Steps:
    held = [item for place in gives if (item := side.store.at(place)) is not None]
    while held:
        items = tuple(packed(held, side.batch_size))
        yield from _ask(Give(items), Took)
        side.outcome.items_sent += len(items)
        held = held[len(items) :]


def _branch(tree: Tree, path: str) -> Branch:
    parts = tree.parts(path)
    if not parts:
        return Branch((), listed(tree.entries(path)))
    return Branch(tuple((part, tree.hash_of(part)[:MARK_SIZE]) for part in parts), ())


def _found(store: Store, places: tuple[bytes, ...], batch_size: int) -> Found:
    found = ((index, store.at(place)) for index, place in enumerate(places))
    held = [(index, item) for index, item in found if item is not None]
    items = tuple(packed((item for _index, item in held), batch_size))
    return Found(items, held[len(items)][0] if len(items) < len(held) else len(places))


def _take(store: Store, items: Iterable[Item], now: int) -> int:
    """Merge items in and say how many were new; raise SyncError if one is forged. Those before it stay."""
    try:
        return sum(store.take(item, now) is Taken.NEW for item in items)
    except ItemError as error:
        raise SyncError(f"item: {error}") from error
