"""What a key's value is, computed over the signed items of all authors; never stored or sent (R46).

The items that are exchanged stay those that their authors signed. Peers with equal stores compute equal
views, in whatever order the items came, since every rule orders them totally.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import reduce
from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.sync.item import Item, ItemError

DEPTH_MAX = 32
"""How deep values are nested at most."""


class ConflictResolution(StrEnum):
    """Which value a key has if several authors wrote it. Versions are times, so the last write has the
    highest version: these two are one."""

    LAST_WRITE = "last_write"
    HIGHEST_VERSION = "highest_version"
    MERGE = "merge"
    CUSTOM = "custom"


class View(msgspec.Struct, frozen=True):
    """The value of one key."""

    value: Any
    """As JSON gives it."""
    version: int
    """When it was written, Unix microseconds."""
    author: bytes
    """Who wrote it, or the newest part of it."""


Resolver = Callable[[View, View], View]
"""custom: (older, newer) -> the view that stands. It must give the same on all peers for the same two."""


def view_of(
    items: Iterable[Item], resolution: ConflictResolution, resolver: Resolver | None = None
) -> View | None:
    """The value of a key over the items of all authors; None if it is deleted or was never written. An item
    that a later tombstone covers does not count. Raises ValueError for `custom` without a resolver."""
    if resolution is ConflictResolution.CUSTOM and resolver is None:
        raise ValueError("conflict_resolution: custom needs a resolver")
    ordered = sorted(items, key=lambda item: (item.version, item.author))
    deleted = max((place for place, item in enumerate(ordered) if item.deleted), default=-1)
    standing = [_view(item) for item in ordered[deleted + 1 :]]
    if not standing:
        return None
    if resolution is ConflictResolution.MERGE:
        return reduce(_merged, standing)
    if resolution is ConflictResolution.CUSTOM and resolver is not None:
        return reduce(resolver, standing)
    return standing[-1]


def checksum_of(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, hex (contract 4.5)."""
    return canonical.digest(value_bytes(value)).hex()


def value_bytes(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8; raise ItemError for what JSON cannot say."""
    try:
        return msgspec.json.encode(value, order="sorted")
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise ItemError(f"value: {error}") from error


def check_value(item: Item) -> None:
    """Raise ItemError unless an item's value is canonical JSON, not nested too deeply."""
    value = _decoded(item)
    if _depth(value) > DEPTH_MAX or value_bytes(value) != item.value:
        raise ItemError("value: not canonical JSON")


def _view(item: Item) -> View:
    return View(_decoded(item), item.version, item.author)


def _decoded(item: Item) -> Any:
    try:
        return msgspec.json.decode(item.value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ItemError(f"value: {error}") from error


def _depth(value: Any, depth: int = 0) -> int:
    if depth > DEPTH_MAX or not isinstance(value, dict | list):
        return depth
    parts = value.values() if isinstance(value, dict) else value
    return max((_depth(each, depth + 1) for each in parts), default=depth + 1)


def _merged(older: View, newer: View) -> View:
    return View(_united(older.value, newer.value), newer.version, newer.author)


def _united(older: Any, newer: Any) -> Any:
    """Objects key by key, lists united in their order, else the later value."""
    if isinstance(older, dict) and isinstance(newer, dict):
        return older | {
            key: _united(older[key], value) if key in older else value for key, value in newer.items()
        }
    if isinstance(older, list) and isinstance(newer, list):
        return older + [each for each in newer if each not in older]
    return newer
