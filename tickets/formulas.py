"""Keeps spreadsheets from running a cell as a formula, as pretix does, and takes that off again."""

from __future__ import annotations

import re

FORMULA_STARTS = re.compile(r"'*[\t\r\n]|[\s']*(?:[=+\-@%＝＋－＠]|\\*\|)")
"""Start of a cell that a spreadsheet takes for a formula or a command. Apostrophes before it, and backslashes
before a bar, belong to it: `quoted` adds both, and `unquoted` takes off only what was added."""
TEXT_FORMULA = re.compile(r'\s*="((?:[^"]|"")*)"\s*')
"""="0012345": a formula for a text that a spreadsheet would take for a number."""


def quoted(text: str) -> str:
    """The text with an apostrophe before it if a spreadsheet would run it; its bars get a backslash."""
    return "'" + text.replace("|", r"\|") if FORMULA_STARTS.match(text) else text


def unquoted(text: str) -> str:
    """Inverse of `quoted`; a formula for a text becomes the text."""
    if text[:1] == "'" and FORMULA_STARTS.match(text, 1):
        return text[1:].replace(r"\|", "|")
    found = TEXT_FORMULA.fullmatch(text) if '="' in text else None
    return found[1].replace('""', '"') if found else text
