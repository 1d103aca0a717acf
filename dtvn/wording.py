"""Words for people that several packages share."""

from __future__ import annotations

LINE_CHARACTERS = 5_000
"""Most characters of a line: the longest path and what is said about it."""


def counted(count: int, noun: str) -> str:
    """`1 ticket`, `1,200 tickets`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def printable(text: str) -> str:
    """A text from elsewhere (a stream, a file name, an answer) that may be printed anywhere.
    Control characters, line ends, marks that turn the direction of the text, and bytes that are no text
    become escapes such as `\\u001b`."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def one_line(text: str, most: int = LINE_CHARACTERS) -> str:
    """The same, with what is beyond `most` characters left out."""
    shown = printable(text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def _escaped(sign: str) -> str:
    return f"\\u{ord(sign):04x}" if ord(sign) <= 0xFFFF else f"\\U{ord(sign):08x}"
