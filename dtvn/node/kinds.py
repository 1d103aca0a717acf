"""Kinds of configuration values: parsed from text (flag, environment) or YAML, checked, and shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dtvn.node.layout import is_node_id
from dtvn.protocol.durations import format_duration, parse_duration

TRUTH = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "false", "FALSE", "False"), False
)
"""The words that Go's `flag` accepts as a boolean."""
TEXT_MAX = 4_096


class Kind(msgspec.Struct, frozen=True):
    """One kind. `check` and `read_text` raise ValueError with the end of a sentence: "... is not a
    whole number"."""

    check: Callable[[Any], Any]
    """The value that the plain data of a YAML file stands for."""
    plain: Callable[[str], Any] = str
    """Text of a flag or variable as the plain data that YAML would make of it."""
    show: Callable[[Any], str] = str

    def read_text(self, text: str) -> Any:
        """The value that a flag or variable stands for."""
        return self.check(self.plain(text))


def text(*, rule: Callable[[str], bool] | None = None, what: str = "") -> Kind:
    """Any line of text, or only lines that `rule` accepts; `what` ends the sentence of a refusal."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not text; put it in quotes")
        if len(value) > TEXT_MAX or not value.isprintable():
            raise ValueError("is not a plain line of text")
        if rule is not None and not rule(value):
            raise ValueError(f"{value!r} {what}")
        return value

    return Kind(check)


def node_id() -> Kind:
    """A node's name."""
    return text(rule=is_node_id, what="is not a valid node name (letters, digits, . _ -; 64 at most)")


def number(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""

    def check(value: Any) -> int:
        if type(value) is not int:
            raise ValueError(f"{value!r} is not a whole number")
        if not low <= value <= high:
            raise ValueError(f"{value} is not between {low} and {high}")
        return value

    return Kind(check, _number_or_text)


def boolean() -> Kind:
    """True or false."""

    def check(value: Any) -> bool:
        if type(value) is not bool:
            raise ValueError(f"{value!r} is neither true nor false")
        return value

    return Kind(check, lambda text: TRUTH.get(text, text), lambda value: "true" if value else "false")


def duration(low: int, high: int) -> Kind:
    """A duration in nanoseconds, written as in Go."""

    def check(value: Any) -> int:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a duration such as 300ms, 5s or 1m30s")
        found = parse_duration(value)
        if not low <= found <= high:
            raise ValueError(f"{value} is not between {format_duration(low)} and {format_duration(high)}")
        return found

    return Kind(check, show=format_duration)


def choice(*allowed: str) -> Kind:
    """A text setting whose value is one of `allowed`."""
    listed = f"is not one of {', '.join(allowed)}"
    return text(rule=lambda value: value in allowed, what=listed)


def names() -> Kind:
    """Several words: separated by commas as text, a list in YAML. Stored as text with commas.

    A word that is not printable is stored with escapes: the reader of the words skips invalid ones.
    """

    def check(value: Any) -> str:
        words = [] if value is None else value
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("is not a list of texts")
        if any(len(word) > TEXT_MAX for word in words):
            raise ValueError(f"is longer than {TEXT_MAX} characters")
        return ",".join(word if word.isprintable() else ascii(word) for word in words)

    return Kind(check, lambda text: text.split(","))


def _number_or_text(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text
