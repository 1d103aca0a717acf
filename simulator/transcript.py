"""Transcripts: messages with their fields, one line each, and a fingerprint of a whole run.

Hashes are named in order of appearance (`#1`, `#2`, ...), so a transcript does not depend on the encoding,
and a reader sees which values are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import (
    CheckpointRecord,
    EntryRecord,
    EvidenceRecord,
    Executed,
    Note,
    Record,
    SlotRecord,
    StateRecord,
)
from dtvn.protocol.wire import Envelope
from simulator.clock import MILLISECOND, TrueClock
from simulator.network import kind_of_frame
from simulator.node import Node
from simulator.observers import Observer

HIDDEN = frozenset({"epoch", "sender"})
"""Fields that every line would repeat."""


ROUTINE = frozenset({"already_decided", "second_message_for_slot"})
"""Refusals of messages that come late or twice: every healthy run is full of them."""


HASHED_AT_ONCE = 500
"""Number of pieces of a fingerprint that are hashed together."""


class Names:
    """Short names for hashes, in order of appearance."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {
            m.NULL_BATCH_DIGEST: "null",
            bytes(32): "-",
            canonical.EMPTY_ROOT: "empty",
        }
        self._count = 0

    def of(self, digest: bytes) -> str:
        """The name of a hash."""
        if digest not in self._names:
            self._count += 1
            self._names[digest] = f"#{self._count}"
        return self._names[digest]


class Transcript(Observer):
    """An observer that writes lines; message types in `hidden` are left out."""

    def __init__(self, clock: Callable[[], int], *, hidden: frozenset[type[Any]]) -> None:
        self.lines: list[str] = []
        self.names = Names()
        self.hidden = hidden
        self.records = False
        """True: durable records are written too."""
        self.lines_told = 0
        """Number of lines written so far."""
        self._clock = clock
        self._open: tuple[str, str, int, list[str]] | None = None
        """(sender, words, time, receivers) of the pending line: one frame to many receivers is one line."""

    def take(self) -> list[str]:
        """The lines since the last call."""
        self._close()
        lines, self.lines = self.lines, []
        return lines

    def say(self, text: str) -> None:
        """Write a line of its own."""
        self._close()
        self._write(self._clock(), text)

    def _write(self, time: int, text: str) -> None:
        self.lines_told += 1
        self.lines.append(f"{time / MILLISECOND:8.1f}  {text}")

    def _close(self) -> None:
        if self._open is not None:
            sender, words, time, receivers = self._open
            self._open = None
            self._write(time, f"{sender} -> {' '.join(receivers)}  {words}")

    # --- observer --------------------------------------------------------------------------------

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Observer."""
        if self.records:
            for record in records:
                self.say(f"{node.name} keeps {self._record(record)}")

    def noticed(self, node: Node, note: Executed | Note) -> None:
        """See Observer."""
        if isinstance(note, Executed):
            codes = [outcome.code for _bundle, _index, outcomes in note.bundles for outcome in outcomes]
            what = self.names.of(note.entry.batch_digest)
            self.say(f"{node.name} executes {note.entry.sequence} {what} view={note.view} {codes}")
        elif note.fields.get("reason") not in ROUTINE:
            fields = " ".join(
                f"{field}={self._value(field, value)}"
                for field, value in note.fields.items()
                if field not in ("frame", "text")
            )
            self.say(f"{node.name} notes {note.kind} {fields}".rstrip())

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Observer."""
        kind = kind_of_frame(frame)
        if kind is None or kind in self.hidden:
            return
        self.heard(node.name, receiver, frame)

    def heard(self, sender: str, receiver: str, frame: bytes) -> None:
        """Write a frame of any sender, client or node."""
        heard = (sender, self.words(frame), self._clock())
        if self._open is not None and self._open[:3] == heard:
            self._open[3].append(receiver)
            return
        self._close()
        self._open = (*heard, [receiver])

    def started(self, node: Node) -> None:
        """See Observer."""
        self.say(f"{node.name} starts")

    def stopped(self, node: Node) -> None:
        """See Observer."""
        self.say(f"{node.name} stops")

    # --- words -----------------------------------------------------------------------------------

    def words(self, frame: bytes) -> str:
        """A frame as text: type and fields."""
        envelope = canonical.decode(Envelope, frame)
        message = canonical.decode(m.KINDS[envelope.kind], envelope.body)
        text = self._message(message)
        return f"{text} +batch" if envelope.attachment else text

    def _message(self, message: Any) -> str:
        match message:
            case m.Reply():
                codes = " ".join(outcome.code for outcome in message.outcomes)
                place = f"{message.entry.sequence}.{message.first_index}"
                return f"Reply number={message.number} at {place} {codes}, {self._frame(message.receipt)}"
            case m.Bundle():
                asked = ", ".join(f"{o.actor} {o.kind} {o.ticket}".rstrip() for o in message.operations)
                return f"Bundle session={list(message.session)} number={message.number} ({asked})"
            case m.PreparedProof():
                voters = " ".join(self._signer(frame) for frame in message.prepares)
                return f"{self._frame(message.pre_prepare)} prepared by {voters or 'nobody else'}"
        fields = (f for f in message.__struct_fields__ if f not in HIDDEN)
        return " ".join(
            [type(message).__name__, *(f"{f}={self._value(f, getattr(message, f))}" for f in fields)]
        )

    def _value(self, field: str, value: Any) -> str:
        if isinstance(value, bytes):
            return self._bytes(field, value)
        if isinstance(value, msgspec.Struct):
            return self._message(value)
        if isinstance(value, tuple):
            return "[" + ", ".join(self._value(field, item) for item in value) + "]"
        if field in ("timestamp", "clock"):
            return "*" if value else "0"
        return str(value)

    def _bytes(self, field: str, value: bytes) -> str:
        if len(value) == canonical.HASH_SIZE:
            return self.names.of(value)
        if field == "client":
            return value.decode(errors="replace")
        if field == "bodies":
            return self._entry(value)
        return self._frame(value) if value else "-"

    def _entry(self, body: bytes) -> str:
        """An entry of a Raft log: `#9 of term 3`."""
        batch = canonical.decode(m.Batch, body)
        bundles = tuple(m.bundle_digest(canonical.decode(Envelope, each).body) for each in batch.requests)
        digest = m.batch_digest(batch.origin_view, batch.proposed, bundles)
        return f"{self.names.of(digest)} of term {batch.origin_view}"

    def _frame(self, frame: bytes) -> str:
        """A frame inside a message: `r0:PrePrepare(0.3 #9)` is r0's for sequence 3 of view 0."""
        try:
            envelope = canonical.decode(Envelope, frame)
            message = canonical.decode(m.KINDS[envelope.kind], envelope.body)
        except (canonical.CanonicalError, KeyError):
            return f"{len(frame)} bytes"
        match message:
            case m.PrePrepare() | m.Prepare() | m.Commit():
                text = f"{message.view}.{message.sequence} {self.names.of(message.digest)}"
            case m.Checkpoint():
                text = f"{message.sequence} {self.names.of(message.state_root)}"
            case m.Receipt():
                text = f"{message.sequence} {self.names.of(message.entry_hash)}"
            case _:
                return f"<{self._message(message)}>"
        return f"r{message.sender}:{type(message).__name__}({text})"

    def _signer(self, frame: bytes) -> str:
        body = canonical.decode(Envelope, frame).body
        return f"r{canonical.decode(m.Prepare, body).sender}"

    def _record(self, record: Record) -> str:
        if isinstance(record, SlotRecord):
            body = " with its batch" if record.body else ""
            return f"{record.phase} view={record.view} sequence={record.sequence}{body}"
        if isinstance(record, EntryRecord):
            return f"entry {record.entry.sequence} with {len(record.commits)} commits"
        if isinstance(record, CheckpointRecord):
            return f"checkpoint {record.sequence} with {len(record.frames)} signatures"
        if isinstance(record, StateRecord):
            return f"{record.name}"
        if isinstance(record, EvidenceRecord):
            return f"evidence of {record.code} by r{record.member}"
        return f"nothing of the protocol up to {record.sequence}"


class Fingerprint(Observer):
    """A hash over every delivery and turn of a run, in order: equal runs have equal ones."""

    def __init__(self, clock: TrueClock) -> None:
        self._clock = clock
        self._state = sha256()
        self._parts: list[bytes] = []
        """Pieces not hashed yet: one long piece takes less time than many short ones."""

    def hex(self) -> str:
        """The fingerprint so far."""
        self._hash()
        return self._state.hexdigest()[:32]

    def _hash(self) -> None:
        self._state.update(b"".join(self._parts))
        self._parts.clear()

    def turning(self, node: Node) -> None:
        """See Observer."""
        self._parts.append(f"{self._clock.time} turn {node.name}\n".encode())

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Observer."""
        parts = self._parts
        parts += (f"{self._clock.time} {sender} {receiver} ".encode(), frame)
        if len(parts) > HASHED_AT_ONCE:
            self._hash()

    def started(self, node: Node) -> None:
        """See Observer."""
        self._parts.append(f"{self._clock.time} start {node.name}\n".encode())

    def stopped(self, node: Node) -> None:
        """See Observer."""
        self._parts.append(f"{self._clock.time} stop {node.name}\n".encode())
