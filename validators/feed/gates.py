"""What each gate did today, folded from the log: admitted, refused and why, and how many a minute.

A count goes on from where it was, so each look reads only what is new. It is each web process's own: no row
is written.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from dtvn.api.outcome import ELSEWHERE
from dtvn.machine.fields import MICROSECONDS
from dtvn.machine.movements import ANNUL, EXIT
from dtvn.machine.reasons import BARCODE_NOT_FOUND, OK, REASONS
from validators.feed.rows import alias, day, first_admissions, first_since, is_rehearsal, read_applied
from validators.feed.told import GATED, asked_at, told
from validators.ledger.models import OperationRecord
from validators.ledger.outcomes import ORDERED_OPERATION_SLOTS

SCANS = GATED - {ELSEWHERE}
READ_AT_ONCE = 1_000
"""Operations in one read."""
LOOK_SECONDS = 0.5
"""Seconds of reading in one look; a process that begins on a busy day counts in several."""
RATE_MINUTES = 5
"""Minutes over which the rate is computed."""
GATES_MAX = 200
"""Gates that are counted apart; their names are the gates' own words. All further ones are one, `OTHERS`."""
OTHERS = "other gates"

Place = tuple[str, str]
"""(event, gate); "" for no gate."""


class Gate(msgspec.Struct):
    """One gate's count."""

    admitted: int = 0
    """Entries, each person of a group counted."""
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    """By the code that people read."""
    mistakes: int = 0
    """Scans that are no guest's matter but the gate's own: no such event or list, or without a right."""
    minutes: dict[int, int] = {}
    """Minute of Unix time -> admissions, of the last RATE_MINUTES."""

    def rate(self, minute: int) -> float:
        """Admissions a minute over the RATE_MINUTES up to `minute`."""
        return sum(self.minutes.get(minute - ago, 0) for ago in range(RATE_MINUTES)) / RATE_MINUTES


class GateCount:
    """The count of one day. Any thread may look."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._hinted: dict[Place, dict[bytes, float]] = {}
        """Nonces of scans, and when they were answered; Unix seconds."""
        self._begin_anew(0, 0)
        self._newest = self._told("", 0)

    def _begin_anew(self, start: int, read_to: int) -> None:
        self._start = start
        for marks in self._hinted.values():
            for nonce in [nonce for nonce, at in marks.items() if at < start]:
                del marks[nonce]
        self._read_to = read_to
        """Number of the last operation (OperationRecord.id) that is counted."""
        self._as_of = 0
        self._gates: dict[Place, Gate] = {}

    def mistaken(self, event: str, gate: str, nonce: bytes) -> None:
        """Count the scan with this nonce, refused for an unknown code, as the gate's own mistake: the answer
        said that the ticket is of another event, or what the reader does wrong, which no log knows."""
        self._hinted.setdefault((event, gate), {}).setdefault(nonce, self._clock())

    def look(self) -> dict[str, Any]:
        """Read on, and tell: `gates`, each with event, gate, admitted, refused, mistakes (its own), rate
        (admissions a minute) and reasons (code -> count), the busiest first; `reasons` of all; `zone` whose
        day it is; `until`, Unix seconds up to which it has counted while it is not at the end, else null.
        Raises DatabaseError."""
        if not self._lock.acquire(blocking=False):
            return self._newest  # another thread reads on
        try:
            today = day(datetime.fromtimestamp(self._clock(), UTC))
            applied = read_applied()
            if today["start"] != self._start or (applied + 1) * ORDERED_OPERATION_SLOTS <= self._read_to:
                first = first_since(today["start"] * MICROSECONDS, applied) if applied else 0
                self._begin_anew(today["start"], max(0, first * ORDERED_OPERATION_SLOTS - 1))
            complete = self._read(applied) if applied else True
            self._newest = self._told(today["zone"], None if complete else self._as_of or self._start)
            return self._newest
        finally:
            self._lock.release()

    def _read(self, applied: int) -> bool:
        """Count up to `applied`; returns whether it got there in time."""
        ends = time.monotonic() + LOOK_SECONDS
        last = (applied + 1) * ORDERED_OPERATION_SLOTS
        while time.monotonic() < ends:
            scans = OperationRecord.objects.filter(id__gt=self._read_to, id__lt=last, operation__in=SCANS)
            records = list(scans.order_by("id")[:READ_AT_ONCE])
            self._count(records)
            if len(records) < READ_AT_ONCE:
                self._read_to = last - 1
                return True
            self._read_to = records[-1].pk
        return False

    def _count(self, records: Sequence[OperationRecord]) -> None:
        if not records:
            return
        asked = asked_at(alias(), records)
        entered = _entries(records, asked)
        for record in records:
            self._as_of = record.timestamp // MICROSECONDS
            if self._as_of < self._start or is_rehearsal(record):
                continue
            gate = self._gate(record.event, asked.get(record.pk, {}).get("gate", ""))
            if record.code != OK:
                # An undo refuses no guest; nor does a network that was late or busy, for the gate asks again.
                if record.operation == ANNUL or REASONS[record.code].whose == "network":
                    continue
                if REASONS[record.code].whose == "gate":
                    gate.mistakes += 1
                else:
                    gate.refused[record.shown_code] += 1
            elif record.pk in entered:
                gate.admitted += 1
                minute = self._as_of // 60
                gate.minutes[minute] = gate.minutes.get(minute, 0) + 1

    def _gate(self, event: str, name: str) -> Gate:
        place = (event, name)
        if place not in self._gates and len(self._gates) >= GATES_MAX:
            place = ("", OTHERS)
        return self._gates.setdefault(place, Gate(minutes={}))

    def _told(self, zone: str, until: int | None) -> dict[str, Any]:
        minute = int(self._clock()) // 60
        for gate in self._gates.values():
            gate.minutes = {at: n for at, n in gate.minutes.items() if at >= minute - RATE_MINUTES}
        rows: list[dict[str, Any]] = []
        for place, gate in self._gates.items():
            hinted = min(len(self._hinted.get(place, ())), gate.refused[BARCODE_NOT_FOUND])
            refused = gate.refused - Counter({BARCODE_NOT_FOUND: hinted})
            row = {
                "event": place[0],
                "gate": place[1],
                "admitted": gate.admitted,
                "refused": refused.total(),
                "mistakes": gate.mistakes + hinted,
                "rate": gate.rate(minute),
                "reasons": dict(refused.most_common()),
            }
            rows.append(row)
        rows.sort(key=lambda row: (-row["admitted"] - row["refused"], row["event"], row["gate"]))
        return {"gates": rows, "reasons": _reasons(rows), "zone": zone, "until": until}


def of_events(counted: dict[str, Any], events: frozenset[str] | None) -> dict[str, Any]:
    """What GateCount.look found, of these events alone; None: of all."""
    if events is None:
        return counted
    rows = [row for row in counted["gates"] if row["event"] in events]
    return counted | {"gates": rows, "reasons": _reasons(rows)}


def _reasons(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    reasons = sum((Counter(row["reasons"]) for row in rows), Counter[str]())
    return dict(reasons.most_common())


def _entries(records: Sequence[OperationRecord], asked: Mapping[int, Mapping[str, str]]) -> set[int]:
    """Numbers of those records that let somebody in: a ticket's first admission, and each further entry, of a
    group, of another list or of another day. No exits, no annulments and no repetitions."""
    first = first_admissions(records)
    further = [
        record
        for record in records
        if record.code == OK
        and record.pk not in first
        and record.operation != ANNUL
        and asked.get(record.pk, {}).get("kind") != EXIT
    ]
    return first | {number for number, fields in told(alias(), further).items() if fields.get("again")}


count = GateCount()
"""That of this process."""
