"""The code in what a scanner read, for events whose tickets are printed with more text around their codes.

An organiser says so at the import (`--within`), since the file holds only a part of what is printed. The text
is read on the platform; what admits is the code in it, as the log knows it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from urllib.parse import unquote

from dtvn.machine.codes import normalised
from tickets.models import CodeWithin
from tickets.services import codes, patience
from tickets.services.reader_faults import candidates

RUN = re.compile(r"[^\W_]+")
"""Letters and digits in a row: what a guess would be."""
KEPT = 5.0
"""Seconds for which a process keeps which events these are: each admission asks."""
_kept: tuple[float, frozenset[str]] = (0.0, frozenset())


def scanned_code(event: str, text: str) -> str:
    """The one code of the event that stands in the text; the text itself where it is a code, where none or
    several stand in it, and for events whose tickets hold the code alone. Raises machine.codes.CodeError if
    the text cannot be a code."""
    if event not in patience.platform.read(_events, _kept[1]):
        return text
    given = normalised(text)
    forms = {given, unquote(given)}
    known = {one.code for one in codes.codes_like(event, given, candidates(given), {})}
    inside = {code for code in known if any(code in form for form in forms)}
    whole = {code for code in inside if not any(code != other and code in other for other in inside)}
    if len(whole) != 1 or given in known:
        return text
    (code,) = whole
    # No ticket has several texts of this length printed on it: they would be guesses.
    tries = [run for run in RUN.findall(given) if len(run) == len(code)]
    return code if len(tries) <= 1 else text


def store_within(events: Iterable[str]) -> None:
    """Have the code looked for inside what is read, in these events."""
    global _kept
    CodeWithin.objects.bulk_create([CodeWithin(event=event) for event in events], ignore_conflicts=True)
    _kept = (0.0, frozenset())


def _events() -> frozenset[str]:
    global _kept
    now = time.monotonic()
    if not _kept[0] or now - _kept[0] > KEPT:
        _kept = (now, frozenset(CodeWithin.objects.values_list("event", flat=True)))
    return _kept[1]
