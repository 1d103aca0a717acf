"""Kinds of configuration values: parsed from text (flag, environment) or YAML, checked, and shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dtvn.node.layout import is_node_id
from dtvn.protocol.durations import format_duration, parse_duration

__all__ = ["FLAG_FALSE", "FLAG_TRUE", "Kind", "boolean", "choice", "duration", "names", "number", "text"]

FLAG_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FLAG_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
TEXT_MAX = 4_096


class Kind(msgspec.Struct, frozen=True):
    """One kind. Both readers raise ValueError with the end of a sentence: "... is no whole number"."""

    read_text: Callable[[str], Any]
    read_yaml: Callable[[Any], Any]
    show: Callable[[Any], str] = str


def text(*, rule: Callable[[str], bool] | None = None, what: str = "") -> Kind:
    """Any line of text, or only lines that `rule` accepts; `what` ends the sentence of a refusal."""

    def check(value: str) -> str:
        if len(value) > TEXT_MAX or not value.isprintable():
            raise ValueError("is no plain line of text")
        if rule is not None and not rule(value):
            raise ValueError(f"{value!r} {what}")
        return value

    def from_yaml(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text; put it in quotes")
        return check(value)

    return Kind(check, from_yaml)


def node_id() -> Kind:
    """A node's name."""
    return text(rule=is_node_id, what="is no name of a node (letters, digits, . _ -; 64 at most)")


def number(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"{value} is not between {low} and {high}")
        return value

    def from_text(value: str) -> int:
        try:
            return check(int(value))
        except ValueError as error:
            if "between" in str(error):
                raise
            raise ValueError(f"{value!r} is no whole number") from error

    def from_yaml(value: Any) -> int:
        if type(value) is not int:
            raise ValueError(f"{value!r} is no whole number")
        return check(value)

    return Kind(from_text, from_yaml)


def boolean() -> Kind:
    """True or false."""

    def from_text(value: str) -> bool:
        if value not in FLAG_TRUE | FLAG_FALSE:
            raise ValueError(f"{value!r} is neither true nor false")
        return value in FLAG_TRUE

    def from_yaml(value: Any) -> bool:
        if type(value) is not bool:
            raise ValueError(f"{value!r} is neither true nor false")
        return value

    return Kind(from_text, from_yaml, lambda value: "true" if value else "false")


def duration(low: int, high: int) -> Kind:
    """A duration in nanoseconds, written as in Go."""

    def from_text(value: str) -> int:
        found = parse_duration(value)
        if not low <= found <= high:
            raise ValueError(f"{value} is not between {format_duration(low)} and {format_duration(high)}")
        return found

    def from_yaml(value: Any) -> int:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no duration such as 300ms, 5s or 1m30s")
        return from_text(value)

    return Kind(from_text, from_yaml, format_duration)


def choice(*allowed: str) -> Kind:
    """One of a few words."""
    listed = f"is none of {', '.join(allowed)}"
    return text(rule=lambda value: value in allowed, what=listed)


def names() -> Kind:
    """Several words: separated by commas as text, a list in YAML. Stored as text with commas.

    A word that is not printable is stored with escapes: the reader of the words skips invalid ones.
    """

    def from_text(value: str) -> str:
        if len(value) > TEXT_MAX:
            raise ValueError(f"is over {TEXT_MAX} characters")
        return ",".join(word if word.isprintable() else ascii(word) for word in value.split(","))

    def from_yaml(value: Any) -> str:
        if value is None:
            return ""
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError("is no list of texts")
        return ",".join(from_text(item) for item in value)

    return Kind(from_text, from_yaml)
