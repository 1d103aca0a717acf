"""Reports a run as it happens: lines for the terminal, and JSON lines for a time-space diagram.

The trace file holds one JSON array a line; times are microseconds of virtual time. The first names the
kinds of messages, and a name is introduced before it is used:

    ["k", [kind, ...]]                                                     first line
    ["w", number, name]                                                    a node or client from now on
    ["m", sent, arrived, sender, receiver, kind, view, sequence, digest]   a message that arrived
    ["p", time, node, phase, view, sequence]                               a protocol record became durable
    ["e", time, node, sequence, digest, view, operations]                  a batch was executed
    ["n", time, node, kind, text]                                          a note: suspicion, view, evidence
    ["u", time, node] ["d", time, node]                                    up, down
    ["v", time, checker, text]                                             last line: the broken promise
    ["x", text]                                                            a trace cut short: why

Nodes and kinds are numbers; digests are eight hexadecimal digits. A field that a message lacks is null.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Executed, Note, Record, SlotRecord
from dtvn.protocol.wire import Envelope
from simulator.campaign import Report
from simulator.clock import MICROSECOND, MILLISECOND
from simulator.network import kind_of_frame
from simulator.node import Node
from simulator.observers import Observer
from simulator.plain import Results
from simulator.transcript import ROUTINE

SHOWN = ("entered_view", "left_view", "suspected", "suspicion_expired", "abstained", "evidence", "follower")
KINDS = sorted(m.KINDS)


class EventPrinter(Observer):
    """One aligned line for each change of a node: role, view, log, checkpoint, queue, and the event."""

    def __init__(self, say: Callable[[str], None], *, since: int = 0) -> None:
        self._say = say
        self._since = since

    def _line(self, node: Node, text: str) -> None:
        time = node.world.time
        if time < self._since:
            return
        look = node.look() if node.look is not None and node.host is not None else None
        view = look.view if look is not None else "-"
        role = "learner" if node.index is None else "backup"
        if look is not None and quorum.primary(look.view, len(node.membership.members)) == node.index:
            role = "primary"
        if not node.honest:
            role = f"({role})"
        self._say(
            f"{time / MILLISECOND:10.3f} ms  {node.name:10} {role:9} view {view!s:>3}"
            f"  log {len(node.disk.log):4}  stable {node.disk.stable:4}  inbox {len(node.inbox):3}  {text}"
        )

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Observer."""
        if isinstance(note, Executed):
            codes = [outcome.code for _bundle, _first, outcomes in note.bundles for outcome in outcomes]
            digest = note.entry.batch_digest.hex()[:8]
            self._line(node, f"executes {note.entry.sequence} {digest} {' '.join(codes) or 'null'}")
        elif note.fields.get("reason") not in ROUTINE:
            self._line(node, f"{note.kind} {_words(note)}".rstrip())

    def started(self, node: Node) -> None:
        """See Observer."""
        self._line(node, "starts" if node.disk.voting else "starts, without a vote")

    def stopped(self, node: Node) -> None:
        """See Observer."""
        self._line(node, "stops")


class Tracer(Observer):
    """Writes the trace; `write` takes bytes of whole lines."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._places: dict[str, int] = {}
        self._encode = msgspec.json.Encoder().encode
        self._sent: dict[tuple[str, str, bytes], int] = {}
        self._time: Callable[[], int] = lambda: 0
        self._told_kinds = False

    def _put(self, *values: Any) -> None:
        if not self._told_kinds:
            self._told_kinds = True
            self._write(self._encode(["k", [m.KINDS[kind].__name__ for kind in KINDS]]) + b"\n")
        self._write(self._encode(values) + b"\n")

    def _place(self, name: str) -> int:
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = len(self._places)
            self._put("w", place, name)
        return place

    # --- observer --------------------------------------------------------------------------------

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Observer."""
        self._time = node.world.clock.read
        self._sent.setdefault((node.name, receiver, frame), node.world.time // MICROSECOND)

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Observer."""
        kind = kind_of_frame(frame)
        now = self._time() // MICROSECOND
        sent = self._sent.pop((sender, receiver, frame), None)
        place, what = [None, None, None], None
        if kind is not None:
            what = KINDS.index(m.KIND_OF[kind])
            place = _place_of(kind, frame)
        self._put("m", sent, now, self._place(sender), self._place(receiver), what, *place)

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Observer."""
        for record in records:
            if isinstance(record, SlotRecord):
                now = node.world.time // MICROSECOND
                self._put("p", now, self._place(node.name), record.phase, record.view, record.sequence)

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Observer."""
        now = node.world.time // MICROSECOND
        if isinstance(note, Executed):
            entry = note.entry
            count = sum(len(outcomes) for _bundle, _first, outcomes in note.bundles)
            digest = entry.batch_digest.hex()[:8]
            self._put("e", now, self._place(node.name), entry.sequence, digest, note.view, count)
        elif note.kind in SHOWN:
            self._put("n", now, self._place(node.name), note.kind, _words(note))

    def started(self, node: Node) -> None:
        """See Observer."""
        self._put("u", node.world.time // MICROSECOND, self._place(node.name))

    def stopped(self, node: Node) -> None:
        """See Observer."""
        self._put("d", node.world.time // MICROSECOND, self._place(node.name))

    def close(self, report: Report | Results) -> None:
        """Write the last line: the broken promise, or why the trace was cut short."""
        if report.ended == "interrupted":
            self._put("x", "interrupted")
            return
        now = report.virtual_time // MICROSECOND
        self._put("v", now, report.checker, report.violation)


def _place_of(kind: type[Any], frame: bytes) -> list[Any]:
    """[view, sequence, digest] of a message, None for a field that it does not have."""
    try:
        message = canonical.decode(kind, canonical.decode(Envelope, frame).body)
    except canonical.CanonicalError:
        return [None, None, None]
    digest = getattr(message, "digest", None)
    return [
        getattr(message, "view", None),
        getattr(message, "sequence", None),
        digest.hex()[:8] if isinstance(digest, bytes) else None,
    ]


def _words(note: Note) -> str:
    fields = {name: value for name, value in note.fields.items() if name not in ("frame", "text", "frames")}
    return " ".join(
        f"{name}={value.hex()[:8] if isinstance(value, bytes) else value}" for name, value in fields.items()
    )
