"""Pieces of text that need no judging: most events of a recording differ from the one before only in a plain
piece of text and a later timestamp. Nothing was said of that one, so nothing is to be said of them.

They are compared many at once by one regular expression, for each costs less so than to be decoded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from operator import lt

from msgspec import UNSET

from dtvn.events.rules import TYPES

AHEAD_MS = 4_000
"""How far timestamps may be ahead: less than advice allows."""
AT_ONCE = 128
DIGITS = 13
"""Of a timestamp in milliseconds."""
_KINDS = (TYPES["TEXT_MESSAGE_CONTENT"], TYPES["REASONING_MESSAGE_CONTENT"])
_DIGITS = rb"[1-9]\d{12}"
# Printable, without escapes, and without a colon, as of "javascript:".
_PIECE = rb'[ !#-9;-\[\]-~\x80-\xff]{1,1000}+"'
_DELTA = re.compile(rb'"delta" ?: ?"')
_TIME = re.compile(rb'"timestamp" ?: ?(%b)' % _DIGITS)
_END = re.compile(rb'%b(?: ?\}| ?, ?"timestamp" ?: ?(%b)\})' % (_PIECE, _DIGITS))
# What all have in common ends with \0; each of them with \n. A timestamp stands behind the piece, or before.
_NONE = re.compile(rb"([^\0]+)\0(?:\1%b ?\}\n)*+" % _PIECE)
_BEHIND = re.compile(rb'([^\0]+)\0(?:\1%b ?, ?"timestamp" ?: ?%b\}\n)*+' % (_PIECE, _DIGITS))
_BEFORE = re.compile(rb"([^\0]+)\0([^\0]+)\0(?:\1%b\2%b ?\}\n)*+" % (_DIGITS, _PIECE))


class Repeats:
    """Knows the form of one such event, of which there was nothing to say."""

    def __init__(self) -> None:
        self._head = b""
        """What stands before the timestamp, or before the piece; b"" if no form is known."""
        self._link = b""
        """What stands between a timestamp and the piece; b"" if the timestamp stands behind it."""
        self._latest = b""
        """The timestamp of the newest; b"" if they have none."""

    def forget(self) -> None:
        """Something was said of the newest event."""
        self._head = b""

    def learn(self, data: bytes, event: object) -> None:
        """`event`, whose JSON text is `data`, was accepted, and there was nothing to say of it."""
        self._head = b""
        if not isinstance(event, _KINDS) or event.metadata is not None or event.raw_event is not UNSET:
            return
        found = _DELTA.search(data)
        if found is None or data.count(b'"delta"') != 1 or b"\0" in data:
            return
        end = _END.fullmatch(data, found.end())
        if end is None:
            return
        head, link, latest = data[: found.end()], b"", end[1]
        time = _TIME.search(head) if latest is None and event.timestamp is not None else None
        if time is not None:
            head, link, latest = data[: time.start(1)], data[time.end(1) : found.end()], time[1]
        if (None if latest is None else int(latest)) == event.timestamp:
            self._head, self._link, self._latest = head, link, latest or b""

    def last(self, events: Sequence[tuple[int, bytes]], start: int, now_ms: int) -> int:
        """The place of the event that is to be judged next: the last one in a row from `start` that repeat
        the form, or `start`."""
        at, many = start, AT_ONCE
        if self._head and events[start][1].startswith(self._head):
            until = b"%d" % (now_ms + AHEAD_MS)
            while many == AT_ONCE:
                many = self._count([data for _, data in islice(events, at, at + AT_ONCE)], until)
                at += many
        return max(at - 1, start)

    def _count(self, texts: list[bytes], until: bytes) -> int:
        """How many of the texts repeat the form, up to the first that does not."""
        head, link = self._head, self._link
        common = b"%b\0%b\0" % (head, link) if link else head + b"\0"
        pattern = _BEFORE if link else _BEHIND if self._latest else _NONE
        joined = b"%b%b\n" % (common, b"\n".join(texts))
        matched = pattern.match(joined)
        same = joined[len(common) : matched.end()] if matched is not None else b""
        if not same or not _is_text(same):
            return 0
        many = same.count(b"\n")
        if self._latest:
            first, end = (len(head), len(head) + DIGITS) if link else (-DIGITS - 1, -1)
            times = [self._latest, *(text[first:end] for text in texts[:many])]
            if times[-1] > until or any(map(lt, islice(times, 1, None), times)):
                return 0
            self._latest = times[-1]
        return many


def _is_text(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
