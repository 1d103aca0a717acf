"""A node's observer of its own events: counters for status and metrics, and log lines for operators.

A line is `event key=value ...`, one per event, so that it is easy to read and to grep.
Events that a peer can cause at will (refusals) are always counted but rarely logged.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from dtvn.protocol.consensus.effects import Executed, Note, Reason
from dtvn.protocol.log_time import withheld_sentence

QUIET_NS = 10_000_000_000
"""Nanoseconds between two log lines about the same refusal of the same peer, and about votes withheld for
time."""

FORGED = frozenset({Reason.BAD_SIGNATURE.value, Reason.MALFORMED.value, Reason.TOO_LARGE.value})
"""Refusals that no honest peer causes: they lead to a mute of the peer's link."""

OLD_NAMES = {
    "abstained": "withheld",
    "liveness_proof_not_written": "word_not_written",
    "paused": "nanoseconds",
    "suspicion_expired": "suspicion_lapsed",
}
"""Name of a log line -> its old name, or its field's, written for one release so that a search for that finds
the line."""

_NEEDS_QUOTES = re.compile(r"[\s\"=]")

_LEVELS = {
    "evidence": logging.ERROR,
    "follower": logging.ERROR,
    "link_refused": logging.WARNING,
    "contradiction": logging.CRITICAL,
    "alarm": logging.CRITICAL,
    "checkpoint_differs": logging.ERROR,
    "awaits_all": logging.ERROR,
    "others_are_gone_ended": logging.WARNING,
    "entered_view": logging.WARNING,
    "suspected": logging.WARNING,
    "checkpoint_stable": logging.DEBUG,
}


def line(event: str, fields: dict[str, Any]) -> str:
    """`event key=value`, values with spaces in quotes; an old name is in `formerly`."""
    if event in OLD_NAMES:
        fields = {**fields, "formerly": OLD_NAMES[event]}
    return " ".join([event, *(f"{key}={_text(value)}" for key, value in fields.items())])


class NodeWatcher:
    """ports.Watcher of a node process. `on_forged(peer)` counts a forged frame and returns its mute (ns)."""

    def __init__(
        self,
        logger: logging.Logger,
        on_forged: Callable[[str], int],
        also: Callable[[Executed | Note], None] | None = None,
    ) -> None:
        self._logger = logger
        self._on_forged = on_forged
        self._also = also
        self._logged: dict[tuple[str, str], int] = {}
        """Monotonic nanoseconds of the newest line about each (peer, reason) that is logged rarely."""
        self.refused: Counter[tuple[str, str]] = Counter()
        """Number of refusals by (peer, reason); bounded by the members and principals ever listed."""
        self.events: Counter[str] = Counter()
        """Number of notes by kind."""

    def notice(self, note: Executed | Note) -> None:
        """Count and log one event; executed batches are only passed on."""
        if isinstance(note, Note) and note.kind == "refused":
            self._refused(note)
        elif isinstance(note, Note) and note.fields.get("reason") == Reason.BAD_TIMESTAMP.value:
            self._withheld_for_time(note)
        elif isinstance(note, Note):
            self.events[note.kind] += 1
            self._logger.log(_LEVELS.get(note.kind, logging.INFO), "%s", line(note.kind, note.fields))
        if self._also is not None:
            self._also(note)

    def _withheld_for_time(self, note: Note) -> None:
        """A wrong clock has each proposal withheld: each is counted, and rarely logged."""
        self.events[note.kind] += 1
        if self._is_due("", note.kind):
            said = withheld_sentence(note.fields.get("ahead_us", 0) / 1e6)
            fields = {**note.fields, "note": said} if said else note.fields
            self._logger.warning("%s", line(note.kind, fields))

    def _is_due(self, peer: str, reason: str) -> bool:
        """Whether to log a line about this reason: at most one in QUIET_NS for each peer."""
        now = time.monotonic_ns()
        due = now - self._logged.get((peer, reason), -QUIET_NS) >= QUIET_NS
        if due:
            self._logged[peer, reason] = now
        return due

    def _refused(self, note: Note) -> None:
        peer = str(note.fields.get("peer", ""))
        reason = str(note.fields.get("reason", ""))
        key = (peer, reason)
        self.refused[key] += note.fields.get("times", 1)
        if reason in FORGED:
            mute = self._on_forged(peer)
            if mute:
                fields = {"peer": peer, "reason": reason, "seconds": mute // 1_000_000_000}
                self.events["muted"] += 1
                self._logger.warning("%s", line("muted", fields))
        if self._is_due(peer, reason):
            level = logging.WARNING if reason in FORGED else logging.DEBUG
            self._logger.log(level, "%s", line("refused", {**note.fields, "count": self.refused[key]}))


def _text(value: Any) -> str:
    """A value as text, quoted unless it is one printable word: data from a peer cannot fake a line."""
    text = value.hex() if isinstance(value, bytes) else str(value)
    if text and text.isprintable() and not _NEEDS_QUOTES.search(text):
        return text
    return json.dumps(text)
