"""Keeps spreadsheets from running a cell as a formula, as pretix does, and takes that off again."""

from __future__ import annotations

import re

FORMULA_STARTS = re.compile(r"'*[\t\r\n]|[\s']*(?:[=+\-@%＝＋－＠]|\\*\|)")
"""Start of a cell that a spreadsheet takes for a formula or a command. Apostrophes before it, and backslashes
before a bar, belong to it: `quoted` adds both, and `unquoted` takes off only what was added."""


def quoted(text: str) -> str:
    """The text with an apostrophe before it if a spreadsheet would run it; its bars get a backslash."""
    return "'" + text.replace("|", r"\|") if FORMULA_STARTS.match(text) else text


def unquoted(text: str) -> str:
    """Inverse of `quoted`."""
    if text[:1] == "'" and FORMULA_STARTS.match(text, 1):
        return text[1:].replace(r"\|", "|")
    return text
