"""What began in a run and has not ended, as far as advice was given: text messages, tool calls, steps."""

from __future__ import annotations

from collections.abc import Iterator

from dtvn.events.rules.state import Owner
from dtvn.events.rules.violation import listed

KINDS = {"MESSAGE_INCOMPLETE": "Text messages", "TOOL_INCOMPLETE": "Tool calls", "STEP_INCOMPLETE": "Steps"}
"""Rule id of what has no end -> what it is."""


class Unfinished:
    """At most `most` items, each with its rule of KINDS and its id or name; further ones are not noted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._filled: dict[tuple[str, str, Owner], bool] = {}

    def begin(self, rule: str, name: str, owner: Owner = None) -> None:
        """It began."""
        if len(self._filled) < self._most:
            self._filled[rule, name, owner] = False

    def fill(self, rule: str, name: str) -> None:
        """It has content."""
        item = rule, name, None
        if item in self._filled:
            self._filled[item] = True

    def end(self, rule: str, name: str, owner: Owner = None) -> bool:
        """It ended. Whether it was empty; false if its begin was not noted."""
        return not self._filled.pop((rule, name, owner), True)

    def clear(self) -> None:
        """Another run begins."""
        self._filled.clear()

    def said(self) -> Iterator[tuple[str, str | None, str]]:
        """The advice if no ends follow: (rule id, None, sentence) each."""
        for rule, what in KINDS.items():
            names = [name for kind, name, _ in self._filled if kind == rule]
            if names:
                yield rule, None, f"{what} have no end: {listed(names)}."

    def __len__(self) -> int:
        return len(self._filled)
