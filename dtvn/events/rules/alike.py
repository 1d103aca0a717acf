"""Events in a row that differ in a piece of plain text and in their timestamps alone.

Emitters write all pieces of a message in one form. After one of them was judged and found plain, those behind
it are compared with it, many at once: what has its form changes no state, and there is nothing to say of it.
(FAD.js, Bonetta and Brantner, VLDB 2017, speculates so on the structure of objects in a row.)
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from operator import itemgetter

from dtvn.events.rules.limits import SCAN_FROM
from dtvn.events.rules.lint import AHEAD_MS, PLAIN_TEXT

WINDOW = 1024
"""How many events are compared at once: a JSON list is one batch."""
# Digits of equal length sort as their numbers do. A number that begins with 0 is no JSON, and it sorts before
# the first one of the row, which was judged; so the row is refused.
_TIME = rb"[0-9]{13}+"
# A line, and those behind it that equal it but for the text and the time. Nothing in these is tried twice, so
# they take linear time. No such group is repeated possessively: before CPython 3.11.5 the repetition ends
# within the line that is not like the others (python/cpython#106052).
_UNTIMED = re.compile(rb'([^\n]*?"delta": ?")%b("[^\n]*+)\n(?:\1%b\2\n)*' % (PLAIN_TEXT, PLAIN_TEXT))
_TIMED = (
    re.compile(
        rb'([^\n]*?"delta": ?")%b("[^\n]*?"timestamp": ?)(?P<time>%b)([,} ][^\n]*+)\n(?:\1%b\2%b\4\n)*'
        % (PLAIN_TEXT, _TIME, PLAIN_TEXT, _TIME)
    ),
    re.compile(
        rb'([^\n]*?"timestamp": ?)(?P<time>%b)([, ][^\n]*?"delta": ?")%b("[^\n]*+)\n(?:\1%b\3%b\4\n)*'
        % (_TIME, PLAIN_TEXT, _TIME, PLAIN_TEXT)
    ),
)
_text = itemgetter(1)


class Alike:
    """The events of one batch, as they are compared."""

    def __init__(self, events: Sequence[tuple[int, bytes]], now_ms: int | None) -> None:
        """`events`: each its line and its text. `now_ms`: milliseconds since 1970, None if timestamps are
        compared with one another alone."""
        self._events = events
        self._newest = None if now_ms is None else now_ms + AHEAD_MS
        self._texts: list[bytes] = []
        self._lines = b""
        """The events that are compared now: their texts, and these one a line."""
        self._bytes: list[int] = []
        """How many bytes the texts before each of these have."""
        self._first = self._end = 0
        """The places of the first of these, and behind the last."""
        self._place = 0
        """The first event that may still be compared."""

    def last(self, place: int, *, timed: bool) -> int:
        """The place of the last event in a row that is like the one at `place`, a piece of text that was
        judged and found plain; `place` if the next one is not. `timed`: it has a timestamp."""
        # The size and depth of a longer event have to be judged.
        if place < self._place or len(self._events[place][1]) > SCAN_FROM:
            return place
        if place + 1 >= self._end:
            if place + 1 == len(self._events):
                return place  # as for events that come one by one
            self._open(place)
        self._place = place
        begin = self._line(place - self._first)
        for form in _TIMED if timed else (_UNTIMED,):
            row = form.match(self._lines, begin)
            if row is not None:
                return self._judged(row)
        return place

    def _open(self, place: int) -> None:
        """Compare the events from `place` on."""
        self._texts = texts = [*map(_text, self._events[place : place + WINDOW])]
        # Nothing is compared if one of them has several lines or is no UTF-8.
        is_compared = _is_one_line(b"".join(texts))
        self._lines = b"\n".join([*texts, b""]) if is_compared else b""
        self._bytes = [*accumulate(map(len, texts), initial=0)]
        self._first, self._end = place, place + len(texts)

    def _line(self, number: int) -> int:
        """Where the line of an event begins, the first of which has number 0."""
        return self._bytes[number] + number

    def _judged(self, row: re.Match[bytes]) -> int:
        """The last place of a row that begins at `_place`, if there is nothing to say of its timestamps."""
        place, first = self._place, self._first
        behind = first + bisect_left(range(len(self._bytes)), row.end(), lo=place - first, key=self._line)
        # The event behind the row is not like it.
        self._place = behind
        texts = self._texts[place - first : behind - first]
        return place if self._has_time_advice(row, texts) else behind - 1

    def _has_time_advice(self, row: re.Match[bytes], texts: list[bytes]) -> bool:
        """Whether timestamps of a row, of these texts, go back, or lie ahead of now."""
        if row.re is _UNTIMED:
            return False
        begin, end = row.span("time")
        # A timestamp before the text is at a fixed distance from the begin of its line, else from its end.
        at = row.start() if row.re is _TIMED[1] else row.end(4)
        times = [*map(itemgetter(slice(begin - at, end - at)), texts)]
        ahead = self._newest is not None and int(times[-1]) > self._newest
        return ahead or times != sorted(times)


def _is_one_line(data: bytes) -> bool:
    try:
        return data.find(b"\n") < 0 and (data.isascii() or data.decode() != "")
    except UnicodeDecodeError:
        return False
