"""Events in a row that differ in a piece of plain text and in their timestamps alone.

Emitters write all pieces of a message in one form. After one of them was judged and found plain, those behind
it are compared with it, many at once: what has its form changes no state, and there is nothing to say of it.
(FAD.js, Bonetta and Brantner, VLDB 2017, speculates so on the structure of objects in a row.)
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, count
from operator import add

from dtvn.events.rules.limits import SCAN_FROM
from dtvn.events.rules.lint import AHEAD_MS, PLAIN_TEXT

WINDOW = 512
"""How many events are compared at once: a JSON list is one batch."""
# Of one length, from 2001 to 2286: the order of the texts is that of the numbers.
_TIME = rb"[1-9]\d{12}"
# A line, and those behind it that equal it but for the text and the time. Nothing in these is tried twice, so
# they take linear time.
_UNTIMED = re.compile(rb'([^\n]*?"delta": ?")%b("[^\n]*+)\n(?:\1%b\2\n)*+' % (PLAIN_TEXT, PLAIN_TEXT))
_TIMED = (
    re.compile(
        rb'([^\n]*?"delta": ?")%b("[^\n]*?"timestamp": ?)(?P<time>%b)([,} ][^\n]*+)\n(?:\1%b\2%b\4\n)*+'
        % (PLAIN_TEXT, _TIME, PLAIN_TEXT, _TIME)
    ),
    re.compile(
        rb'([^\n]*?"timestamp": ?)(?P<time>%b)([, ][^\n]*?"delta": ?")%b("[^\n]*+)\n(?:\1%b\3%b\4\n)*+'
        % (_TIME, PLAIN_TEXT, _TIME, PLAIN_TEXT)
    ),
)


class Alike:
    """The events of one batch, as they are compared."""

    def __init__(self, events: Sequence[tuple[int, bytes]], now_ms: int | None) -> None:
        """`events`: each its line and its text. `now_ms`: milliseconds since 1970, None if timestamps are
        compared with one another alone."""
        self._events = events
        self._newest = None if now_ms is None else now_ms + AHEAD_MS
        self._first = 0
        """The place of the first of those that are compared now."""
        self._texts: list[bytes] = []
        self._lines = b""
        """The same, a line each."""
        self._ends: list[int] = []
        """Where the line of each ends, with its line feed."""
        self._until = 0
        """Nothing is compared before this place."""

    def last(self, place: int, *, timed: bool) -> int:
        """The place of the last event in a row that is like the one at `place`, a piece of text that was
        judged and found plain; `place` if the next one is not. `timed`: it has a timestamp."""
        text = self._events[place][1]
        # Without escapes the quotes of a plain event are those of its known members.
        if place < self._until or len(text) > SCAN_FROM or text.find(b"\\") >= 0:
            return place
        if place + 1 >= self._first + len(self._texts):
            if place + 1 == len(self._events):
                return place
            self._open(place)
        behind = self._ends[place - self._first]
        for form in _TIMED if timed else (_UNTIMED,):
            row = form.match(self._lines, behind - len(text) - 1)
            if row is not None:
                return self._judged(place, row, behind)
        return place

    def _open(self, place: int) -> None:
        """Compare the events from `place` on."""
        self._first = place
        self._texts = [text for _, text in self._events[place : place + WINDOW]]
        has_lines = b"".join(self._texts).find(b"\n") >= 0
        # An event of several lines is not compared.
        self._lines = b"" if has_lines else b"\n".join([*self._texts, b""])
        self._ends = [*map(add, accumulate(map(len, self._texts)), count(1))]

    def _judged(self, place: int, row: re.Match[bytes], behind: int) -> int:
        """The last place of a row, if all are plain. `behind`: where its second line begins."""
        first = place - self._first + 1
        many = bisect_right(self._ends, row.end(), first)
        last = self._first + many - 1
        texts = self._texts[first:many]
        printable = self._lines.isascii() or _is_printable(self._lines[behind : row.end()])
        told = not printable or self._is_time_told(row, texts)
        # What is next is not alike; but for the last of these texts, what is next is not known yet.
        self._until = last if told else min(last + 1, self._first + len(self._texts) - 1)
        return place if told else last

    def _is_time_told(self, row: re.Match[bytes], texts: list[bytes]) -> bool:
        """Whether timestamps of a row go back, or ahead of the newest."""
        if row.re is _UNTIMED:
            return False
        first, end = row.span("time")
        # Before the text it has one place from the begin, and behind the text one from the end.
        at = row.start() if row.re is _TIMED[1] else row.end(row.lastindex or 0)
        place = slice(first - at, end - at)
        times = [row["time"], *[text[place] for text in texts]]
        ahead = self._newest is not None and int(times[-1]) > self._newest
        return ahead or times != sorted(times)


def _is_printable(lines: bytes) -> bool:
    try:
        return lines.decode().replace("\n", "").isprintable()
    except UnicodeDecodeError:
        return False
