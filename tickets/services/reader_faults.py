"""What a barcode reader adds to a code or leaves out, and codes inside a longer text. Pure.

`candidates` makes the codes that a text may stand for, so that one look-up by index finds the ticket;
`fault` says of a code that was found what made the text of it; `joints` parts a text that may be two codes.
Whole codes only: of a code that was read in
part all characters but one must be known, so that no code can be guessed piece by piece.
"""

from __future__ import annotations

import html
import re
import string
from urllib.parse import unquote

LENGTH_MIN = 6
"""Fewest characters that must be the same."""
LENGTH_MAX = 200
"""Most characters of a text that is examined."""
ADDED_MAX = 3
"""Most characters that a reader adds at one end: an AIM identifier has three."""
RUNS_MAX = 8
"""Most runs of letters and digits of a code inside a longer text: a UUID has five."""
_RUN = re.compile(r"[^\W_]+")
_AIM = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_LOST = string.digits + string.ascii_letters
UPC_DIGITS = 12
ALSO = "then scan again."
JOINED = "The reader joined two codes: set it to end each code with Enter, then scan each of them again."
CONTAINS = (
    "What was read contains the code of a ticket: the file was imported with the wrong column, "
    "tell the office."
)
ESCAPED = (
    "The code of a ticket was imported with &amp; in place of &: tell the office to import the file again."
)


def candidates(text: str) -> set[str]:
    """Texts that may be the code for which this normalised text was read, some of them only by chance; a few
    hundred for a URL. Empty unless it has LENGTH_MIN to LENGTH_MAX characters."""
    if not LENGTH_MIN <= len(text) <= LENGTH_MAX:
        return set()
    ends = range(ADDED_MAX + 1)
    found = {text[start : len(text) - end] for start in ends for end in ends}
    found.update(letter + text for letter in _LOST)
    found.update(text + letter for letter in _LOST)
    found.add(html.escape(text, quote=False))
    for form in _forms(text):
        runs = [run.span() for run in _RUN.finditer(form)]
        for place, (start, _end) in enumerate(runs):
            found.update(form[start:end] for _start, end in runs[place : place + RUNS_MAX])
    return {one for one in found if len(one) >= LENGTH_MIN}


def joints(text: str) -> list[tuple[str, str]]:
    """Each way to part this normalised text into two that may be codes: at most LENGTH_MAX."""
    if len(text) > LENGTH_MAX:
        return []
    return [(text[:cut], text[cut:]) for cut in range(LENGTH_MIN, len(text) - LENGTH_MIN + 1)]


def fault(text: str, code: str) -> str:
    """A sentence: why this text was read in place of another one, the code, and what to set; "" if the one
    does not explain the other."""
    if text == code or min(len(text), len(code)) < LENGTH_MIN:
        return ""
    if code[1:] == text:
        return _first_lost(code)
    if code[:-1] == text:
        return (
            "The last character of the code is lost: set the reader to send the check digit and to cut off "
            f"nothing, {ALSO}"
        )
    if code == html.escape(text, quote=False):
        return ESCAPED
    before, found, after = text.partition(code)
    if found and max(len(before), len(after)) <= ADDED_MAX:
        return _added(before, after, code)
    return CONTAINS if any(code.casefold() in form.casefold() for form in _forms(text)) else ""


def _forms(text: str) -> set[str]:
    """The text, and what it says if it is a URL with escapes."""
    return {text, unquote(text)}


def _first_lost(code: str) -> str:
    if code[0] != "0":
        return (
            "The first character of the code is lost: set the reader to leave out none, and to wait longer "
            f"between characters, {ALSO}"
        )
    name = "EAN-13" if code.isdigit() and len(code) == UPC_DIGITS + 1 else "send leading zeros"
    return f"The leading zero of the code is lost: set the reader to {name}, {ALSO}"


def _added(before: str, after: str, code: str) -> str:
    """Of characters that stand before and after a code."""
    if _AIM.fullmatch(before) and not after:
        return f"The reader adds `{before}`: switch off AIM identifiers, {ALSO}"
    if not after and not before.strip("0"):
        name = "UPC-A" if code.isdigit() and len(code) == UPC_DIGITS else "send no leading zeros"
        return f"The reader adds `{before}` before the code: set it to {name}, {ALSO}"
    places = ((before, "before"), (after, "after"))
    added = " and ".join(f"`{part}` {place} the code" for part, place in places if part)
    return f"The reader adds {added}: switch off start and stop characters, prefix and suffix, {ALSO}"
