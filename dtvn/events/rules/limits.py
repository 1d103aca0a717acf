"""How much one event, and the memory of one run, may take. Validators of one cluster use the same limits: the
digest of the rules covers them."""

from __future__ import annotations

import re
from itertools import accumulate

from msgspec import Struct

from dtvn.protocol.canonical import encode, tagged_digest

RULES_VERSION = 3
"""Increases with every change to what is refused, or to the code of a refusal."""
STRICT_VERSION = 2
"""The version since which the rules that drop nothing are the same."""
SCAN_FROM = 256
"""Events up to this many bytes are within every limit of size and depth."""


class Limits(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Bounds of an event and of a run.

    `open_items` counts all that a run has open at once: messages, calls, spans, steps, subagents. `owners` is
    how many ids of each kind a run remembers; beyond that, the oldest that are not open are forgotten, down
    to three quarters.
    """

    event_bytes: int = 32 * 1024 * 1024
    depth: int = 128
    id_characters: int = 512
    open_items: int = 256
    owners: int = 1024

    def __post_init__(self) -> None:
        """Raise ValueError for limits in which no run could be judged."""
        if self.event_bytes < SCAN_FROM or self.depth < 8 or self.depth > SCAN_FROM // 2:
            raise ValueError(f"event_bytes is at least {SCAN_FROM}, depth from 8 to {SCAN_FROM // 2}")
        if self.id_characters < 1 or self.open_items < 1 or self.owners < 4 * self.open_items:
            raise ValueError(
                "id_characters and open_items are at least 1, owners at least four times open_items"
            )


def rules_digest(limits: Limits, *, drop_unknown: bool = False, version: int = RULES_VERSION) -> bytes:
    """Digest of the rules, named in each vote: it covers their version, the limits and `drop_unknown`."""
    rules = version if drop_unknown else STRICT_VERSION
    return tagged_digest("dtvn.events.rules", encode((rules, limits, drop_unknown)))


# A string that does not end goes to the end: looking for its quote again and again would take quadratic time.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = bytes(sorted({*range(256)} - {*b"[]{}"}))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_SLICE = 4096
_PASSES = 16


def nesting(data: bytes, limit: int) -> bool:
    """Whether arrays and objects in JSON text are nested deeper than `limit`."""
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    # Most values are wide and flat: each pass removes one level at least, two at most.
    rest = brackets
    for _ in range(min(limit // 2, _PASSES)):
        rest = rest.replace(b"[]", b"").replace(b"{}", b"")
        if not rest:
            return False
    depth = 0
    for start in range(0, len(brackets), _SLICE):
        steps = [_STEP[bracket] for bracket in brackets[start : start + _SLICE]]
        if max(accumulate(steps, initial=depth)) > limit:
            return True
        depth += sum(steps)
    return False
