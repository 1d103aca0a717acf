"""PromQL expressions: which metrics are read, with which labels; what one number is compared with."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from typing import NamedTuple

AGGREGATIONS = frozenset({"sum", "max", "min", "count", "avg"})
FUNCTIONS = frozenset(
    {
        "abs",
        "avg_over_time",
        "delta",
        "histogram_quantile",
        "increase",
        "label_values",  # Grafana's own
        "max_over_time",
        "min_over_time",
        "rate",
    }
)
WORDS = frozenset({"and", "or", "unless", "by", "without", "on", "Inf"})
TOKEN = re.compile(
    r'\s*(?:(?P<string>"[^"]*")|(?P<range>\[\d+[smhd]\])|(?P<number>\d+(?:\.\d+)?(?:e\d+)?)'
    r"|(?P<name>[a-zA-Z_$][\w:]*)|(?P<sign>=~|!~|!=|==|<=|>=|[-+*/<>=(){},]))"
)

SIMPLE = re.compile(
    r"(?:(?:sum|max|min) by \([\w, ]+\) \()?(?:(?P<function>[a-z_]+)\()?(?P<metric>\w+)(?:\{[^}]*\})?"
    r"(?:\[\d+[smhd]\])?\)* (?P<sign>==|<=|>=|<|>) (?P<bound>\d+(?:\.\d+)?)"
)
SIGNS = {"==": operator.eq, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


class Comparison(NamedTuple):
    """One metric, through at most one function, against a number."""

    metric: str
    function: str
    sign: str
    bound: float

    def holds(self, value: float) -> bool:
        """`value`: the metric's, after the function."""
        return bool(SIGNS[self.sign](value, self.bound))


def alternatives(text: str) -> list[list[Comparison | None]]:
    """What `or` joins, each the parts that `and` joins; None for a part that is no such comparison."""
    return [[_comparison(part) for part in found.split(" and ")] for found in text.split(" or ")]


def _comparison(text: str) -> Comparison | None:
    match = SIMPLE.fullmatch(text.strip())
    if match is None:
        return None
    return Comparison(match["metric"], match["function"] or "", match["sign"], float(match["bound"]))


class Expression:
    """The metrics of one expression, and the labels that are matched or grouped by."""

    def __init__(self, text: str) -> None:
        self.metrics: dict[str, set[str]] = {}
        """Metric to the labels matched in its braces."""
        self.grouped: set[str] = set()
        """Labels of `by` and `without`."""
        tokens = list(_tokens(text))
        assert text, "an empty expression"
        _balanced(tokens, text)
        place = 0
        while place < len(tokens):
            place = self._take(tokens, place, text)

    def _take(self, tokens: list[str], place: int, text: str) -> int:
        token, following = tokens[place], tokens[place + 1 : place + 2]
        if token in ("by", "without", "on"):
            end = tokens.index(")", place)
            self.grouped |= {name for name in tokens[place + 2 : end] if name != "," and token != "on"}
            return end + 1
        if not re.match(r"[a-zA-Z_]", token) or token in WORDS:
            return place + 1
        if following == ["("] or (token in AGGREGATIONS and following in (["by"], ["without"])):
            assert token in AGGREGATIONS | FUNCTIONS, f"{token}() in {text}"
            return place + 1
        labels = self.metrics.setdefault(token, set())
        if following != ["{"]:
            return place + 1
        end = tokens.index("}", place)
        inside = tokens[place + 2 : end]
        assert len(inside) % 4 == 3, text
        labels |= {inside[i] for i in range(0, len(inside), 4)}
        assert all(inside[i] in ("=", "=~", "!=", "!~") for i in range(1, len(inside), 4)), text
        return end + 1


def _tokens(text: str) -> Iterator[str]:
    place = 0
    stripped = text.rstrip()
    while place < len(stripped):
        match = TOKEN.match(stripped, place)
        assert match is not None, f"{stripped[place : place + 20]!r} in {text}"
        yield match.group().strip()
        place = match.end()


def _balanced(tokens: list[str], text: str) -> None:
    open_ones: list[str] = []
    for token in tokens:
        if token in "({":
            open_ones.append({"(": ")", "{": "}"}[token])
        elif token in ")}":
            assert open_ones, text
            assert open_ones.pop() == token, text
    assert not open_ones, text
