"""Texts in cells of our own exports that reading a file would alter: they are written as JSON strings."""

from __future__ import annotations

import json
import re

ALTERED = re.compile(r'["#]|[+-]?[0-9.,]+[eE][+-]')
"""Start of a text that a reader takes for something else: a JSON string, an error value, a number."""


def exact(text: str) -> str:
    """The text as it is, or as a JSON string if it begins like something else or holds white space that
    would be lost, or control characters."""
    if text == " ".join(text.split()) and text.isprintable() and not ALTERED.match(text):
        return text
    return json.dumps(text)


def meant(cell: str) -> str:
    """Inverse of `exact`; a cell that somebody wrote by hand and that is no JSON string stays as it is."""
    if not cell.startswith('"'):
        return cell
    try:
        found = json.loads(cell)
    except ValueError:
        return cell
    return found if isinstance(found, str) else cell
