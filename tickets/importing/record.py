"""One row of a file, before its columns are interpreted."""

from __future__ import annotations

import unicodedata

import msgspec

A_DATE = "a date, no text"
"""Fine in a column of times."""
A_TRUTH = "true or false, no text"
"""Fine in a column that says yes or no; the text is "true" or "false"."""
A_FRACTION = "a number with a fraction"
DIGITS_LOST = "a number of more than 15 digits, of which programs lose the last ones"
EXPONENT_ONLY = "a number in scientific notation, without its last digits"
AN_ERROR = "an error value ({})"
APOSTROPHE = "the apostrophe before it is taken off, a spreadsheet's mark for text"
UNQUOTED = "a spreadsheet's mark for text around it is taken off"
ENTITIES = "HTML entities such as &amp; are read as the characters that they stand for"
INVISIBLE = frozenset({"Cc", "Cf"})
"""Unicode categories of control and format characters."""


class FileRefused(ValueError):
    """The file as a whole cannot be read; the message gives the reason and the remedy."""


class WrongCell(Exception):
    """A cell that makes its row wrong; the message completes "row 7"."""


class Record(msgspec.Struct, frozen=True):
    """One row. If its shape is wrong, `problem` is a sentence and `fields` is empty; so it is if the row is
    `left_out` for a reason that the file itself gives, such as "is hidden"."""

    number: int
    fields: dict[str, str]
    """Cells by normalised column name (see `normalised`), trimmed. Of columns that share a name the first one
    has it; the second is at "name (column 3)". A filled cell without a column name is at "column 2"; those of
    JSON see in `jsoncells`."""
    problem: str = ""
    damaged: dict[str, str] = {}
    """Column -> why its cell is not the text that was meant: one of A_DATE, A_TRUTH, A_FRACTION, or what a
    spreadsheet did to it. The row is wrong if such a column is read."""
    notes: dict[str, str] = {}
    """Column -> what was done to its cell, or is worth saying if the column is read as codes."""
    left_out: str = ""

    def damage(self, column: str, *fine: str) -> str:
        """Why this cell cannot be read, "" if it can: `fine` are the kinds that this column may have."""
        found = self.damaged.get(column, "")
        return "" if found in fine else found

    def code(self, column: str) -> str:
        """The cell as a code of a file from elsewhere: without a spreadsheet's apostrophe for text."""
        text = self.fields.get(column, "")
        return text[1:] if self.notes.get(column) == APOSTROPHE else text


def normalised(name: str) -> str:
    """A column name in the form used for comparison: lower case, words separated by one space, compatibility
    forms as usual ones, without invisible characters."""
    name = unicodedata.normalize("NFKC", shown(name))
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())


def shown(name: str) -> str:
    """A column name on one line, without invisible characters."""
    if not name.isascii():
        name = "".join(character for character in name if unicodedata.category(character) != "Cf")
    return " ".join(name.split())


def invisible_inside(text: str) -> str:
    """The first control or format character (Cc, Cf) between visible ones, such as "U+200B (zero width
    space)"; "" without one. At both ends they do not count."""
    if text.isprintable():
        return ""
    kinds = [unicodedata.category(character) for character in text]
    seen = [at for at, kind in enumerate(kinds) if kind[0] != "Z" and kind not in INVISIBLE]
    for at in range(seen[0], seen[-1]) if seen else ():
        if kinds[at] in INVISIBLE:
            name = unicodedata.name(text[at], "").lower()
            return f"U+{ord(text[at]):04X}{f' ({name})' if name else ''}"
    return ""
