"""JSON Patch (RFC 6902) on a document in bounded memory, each patch wholly or not at all.

The libraries for it copy the whole document for each patch, or leave it half changed when one fails, and
bound no size; here a patch costs what it changes, and one that fails is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from dtvn.events.rules import messages as m
from dtvn.wording import printable

NOT_JSON = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding and encoding a JSON value raises."""
OPERATIONS_MAX = 10_000
"""Longest patch that is followed: each operation can be undone until the last has applied."""
_BANNED = "__proto__"
_HINT_MAX = 1_024
"""Longest name that is looked for in a path where its slashes were not escaped."""
_ABSENT: Any = object()
Patched = m.Add | m.Replace | m.Test | m.Remove | m.Move | m.Copy


class TooLarge(Exception):
    """A document or patch beyond its limit. The document may be half changed: it can only be given up."""


class Failure(Struct, frozen=True):
    """Why a patch does not apply: `number` of the operation from 0, `at` the pointer at which it fails."""

    number: int
    at: str
    reason: str


class _Unfit(Exception):
    def __init__(self, at: str, reason: str) -> None:
        super().__init__(reason)
        self.at = at
        self.reason = reason


class Document:
    """A JSON value of at most `limit` bytes when it is measured: at twice the limit at the latest."""

    def __init__(self, text: bytes, limit: int) -> None:
        """Raises TooLarge, or one of NOT_JSON."""
        if len(text) > limit:
            raise TooLarge
        self.value: Any = msgspec.json.decode(text)
        self.size = len(text)
        """An upper bound of the size in bytes as JSON."""
        self._limit = limit
        self._copied = 0
        self._undo: list[Callable[[], object]] = []

    def apply(self, patch: Sequence[Patched]) -> Failure | None:
        """Change the document, or return why it stays as it was. Raises TooLarge, or one of NOT_JSON for a
        value that cannot be read."""
        if len(patch) > OPERATIONS_MAX:
            raise TooLarge
        self._undo, self._copied = [], 0
        for number, operation in enumerate(patch):
            try:
                self._operate(operation)
            except _Unfit as unfit:
                for undo in reversed(self._undo):
                    undo()
                return Failure(number, unfit.at, unfit.reason)
        self._undo = []
        return None

    def _operate(self, operation: Patched) -> None:
        path = tokens(operation.path)
        match operation:
            case m.Replace():
                self._replace(path, operation.value)
            case m.Add():
                self._add(path, self._decoded(operation.value))
            case m.Remove():
                self._remove(path)
            case m.Test():
                if not same(self._get(path), msgspec.json.decode(operation.value)):
                    raise _Unfit(operation.path, f"the test fails: {shown(operation.path)} has another value")
            case m.Move():
                self._move(tokens(operation.from_), path)
            case m.Copy():
                self._add(path, self._copy(self._get(tokens(operation.from_))))

    def _decoded(self, raw: msgspec.Raw) -> Any:
        self._grow(len(bytes(raw)))
        return msgspec.json.decode(raw)

    def _copy(self, value: Any) -> Any:
        text = msgspec.json.encode(value)
        self._copied += len(text)
        if self._copied > 2 * self._limit:
            raise TooLarge
        self._grow(len(text))
        return msgspec.json.decode(text)

    def _grow(self, more: int) -> None:
        self.size += more
        if self.size > 2 * self._limit:
            self.size = len(msgspec.json.encode(self.value)) + more
            if self.size > self._limit:
                raise TooLarge

    def _move(self, source: list[str], target: list[str]) -> None:
        if len(source) < len(target) and target[: len(source)] == source:
            raise _Unfit(pointer(target), "a value cannot move into itself")
        value = self._get(source)
        self._remove(source)
        self._add(target, value)

    def _get(self, path: list[str]) -> Any:
        value = self._parent(path)
        return value[_key(value, path, len(path) - 1)] if path else value

    def _parent(self, path: list[str]) -> Any:
        value = self.value
        for depth in range(len(path) - 1):
            value = value[_key(value, path, depth)]
        return value

    def _add(self, path: list[str], value: Any) -> None:
        if not path:
            self._root(value)
            return
        parent = self._parent(path)
        if isinstance(parent, list):
            place = _key(parent, path, len(path) - 1, adds=True)
            parent.insert(place, value)
            self._undo.append(lambda: parent.pop(place))
            return
        if not isinstance(parent, dict) or path[-1] == _BANNED:
            _key(parent, path, len(path) - 1)
        name = path[-1]
        self.size += len(name) + len('"":,')
        before = parent.get(name, _ABSENT)
        parent[name] = value
        self._undo.append(lambda: _restored(parent, name, before))

    def _replace(self, path: list[str], raw: msgspec.Raw) -> None:
        """As `_remove` and `_add`, on one walk."""
        if not path:
            self._root(None)
            self._root(self._decoded(raw))
            return
        parent = self._parent(path)
        key = _key(parent, path, len(path) - 1)
        removed = parent.pop(key)
        value = self._decoded(raw)
        if isinstance(parent, list):
            parent.insert(key, value)
        else:
            self.size += len(key) + len('"":,')
            parent[key] = value
        self._undo.append(lambda: parent.__setitem__(key, removed))

    def _remove(self, path: list[str]) -> None:
        if not path:
            self._root(None)
            return
        parent = self._parent(path)
        key = _key(parent, path, len(path) - 1)
        removed = parent.pop(key)
        if isinstance(parent, list):
            self._undo.append(lambda: parent.insert(key, removed))
        else:
            self._undo.append(lambda: _restored(parent, key, removed))

    def _root(self, value: Any) -> None:
        before, self.value = self.value, value
        self._undo.append(lambda: setattr(self, "value", before))


def _restored(owner: dict[str, Any], name: str, before: Any) -> None:
    if before is _ABSENT:
        del owner[name]
    else:
        owner[name] = before


def _key(owner: Any, path: list[str], depth: int, *, adds: bool = False) -> Any:
    """The key or index that `path[depth]` names in `owner`, which exists, or with `adds` is one after the
    last."""
    name = path[depth]
    if isinstance(owner, dict) and name in owner and name != _BANNED:
        return name
    if isinstance(owner, list):
        if name == "-" and adds:
            return len(owner)
        if _is_index(name) and len(name) <= 15 and int(name) < len(owner) + adds:
            return int(name)
    raise _unfit(owner, path, depth)


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit() and (name[0] != "0" or name == "0")


def _unfit(owner: Any, path: list[str], depth: int) -> _Unfit:
    """Why `_key` finds nothing. Pointers are built here only: a patch passes each step of deep paths."""
    name, above, here = path[depth], shown(pointer(path[:depth])), pointer(path[: depth + 1])
    if isinstance(owner, dict):
        if name == _BANNED:
            return _Unfit(here, f"clients refuse the name {_BANNED}")
        return _Unfit(here, f"{shown(here)} does not exist{_unescaped(owner, path, depth)}")
    if not isinstance(owner, list):
        return _Unfit(here, f"{above} is {_kind(owner)}: nothing is below it")
    if name == "-":
        return _Unfit(here, f"{shown(here)} does not exist: - is the place after the last item")
    if not _is_index(name):
        return _Unfit(here, f"{above} is a list, and {shown(name)} is no index")
    return _Unfit(here, f"index {shown(name)} is out of range: {above} has length {len(owner)}")


def _unescaped(owner: dict[str, Any], path: list[str], depth: int) -> str:
    """A hint if a name with a slash was not escaped."""
    name = path[depth]
    for more in path[depth + 1 :]:
        name += "/" + more
        if len(name) > _HINT_MAX:
            break
        if name in owner:
            escaped = pointer([*path[:depth], name])
            return f"; the name {shown(name)} is written {shown(escaped)}"
    return ""


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "true or false", str: "a text"}.get(type(value), "a number")


def tokens(text: str) -> list[str]:
    """The reference tokens of a JSON Pointer (RFC 6901), unescaped."""
    if "~" not in text:
        return text.split("/")[1:]
    return [name.replace("~1", "/").replace("~0", "~") for name in text.split("/")[1:]]


def pointer(path: Sequence[str]) -> str:
    """The JSON Pointer of these tokens."""
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)


def shown(text: str) -> str:
    """A pointer or name for a message, shortened and without control characters."""
    if not text:
        return "the whole document"
    cut = text if len(text) <= 80 else text[:77] + "..."
    return printable(cut)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal (RFC 6902, 4.6): true is no number, and the order of members is
    free."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
