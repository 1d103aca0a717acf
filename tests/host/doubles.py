"""Ports that write down what the host did, in one list, and a core that does as told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.config import build
from dtvn.protocol.consensus.effects import CheckpointRecord, Effects, EntryRecord, Now, Reason, ReplyTo, Send
from dtvn.protocol.consensus.log_tree import Frontier
from dtvn.protocol.consensus.verified import Header, Inbound, Peer, Verified
from dtvn.protocol.host import Host
from dtvn.protocol.host.ports import LedgerTail
from tests.host.support import Paper, make_genesis
from tests.support.clock import SetClock

EMPTY = LedgerTail(
    frontier=Frontier(), applied_sequence=0, rows=(), entries=(), slots=(), checkpoint=None, states=()
)


class Tape:
    """What happened, in order: (what, value)."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []

    def __call__(self, what: str, value: Any = None) -> None:
        self.said.append((what, value))

    def words(self) -> list[str]:
        return [what for what, _value in self.said]


class TapeJournal:
    """Keeps entries in memory; `failing` is raised by the next write."""

    def __init__(self, tape: Tape, tail: LedgerTail = EMPTY) -> None:
        self.tape = tape
        self.tail = tail
        self.failing: Exception | None = None
        self.synced = 0
        """Turns that were synced."""
        self.log: dict[int, EntryRecord] = {record.entry.sequence: record for record in tail.entries}
        self.checkpoints: list[CheckpointRecord] = []

    def _write(self, what: str, value: Any) -> None:
        if self.failing is not None:
            raise self.failing
        self.tape(what, value)

    def append(self, records: Sequence[Any], *, durable: bool = True) -> None:
        self._write("persist", tuple(records))
        if durable:
            self.synced += 1
        for record in records:
            if isinstance(record, EntryRecord):
                self.log[record.entry.sequence] = record

    def materialise(self, changes: Sequence[Any], sequence: int, timestamp: int) -> None:
        self._write("rows", (sequence, timestamp))

    def load(self) -> LedgerTail:
        self.tape("load")
        return self.tail

    def entries(self, first: int, last: int, bytes_max: int) -> Sequence[EntryRecord]:
        self._write("entries", (first, last))
        found: list[EntryRecord] = []
        for sequence in range(first, last + 1):
            record = self.log.get(sequence)
            if record is None or (found and bytes_max < len(record.body)):
                break
            bytes_max -= len(record.body)
            found.append(record)
        return found

    def checkpoint_from(self, sequence: int) -> CheckpointRecord | None:
        return next((c for c in self.checkpoints if c.sequence >= sequence), None)


class TapeTransport:
    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.waiting: list[Inbound] = []
        self.charged: list[tuple[str, int]] = []
        self.muted: list[str] = []

    def receive(self, limit: int) -> Sequence[Inbound]:
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return taken

    def put_back(self, items: Sequence[Inbound]) -> None:
        self.waiting = [*items, *self.waiting]

    def charge(self, peer: Peer, checks: int) -> None:
        self.charged.append((peer.name, checks))

    def mute_bulk(self, peer: Peer) -> None:
        self.muted.append(peer.name)

    def send(self, send: Send) -> None:
        self.tape("send", send)

    def greet(self, hello: bytes) -> None:
        self.tape("greet", hello)

    def demote(self, peer: Peer) -> None:
        self.tape("demote", peer)

    def reply(self, reply: ReplyTo) -> None:
        self.tape("reply", reply)

    def answer(self, peer: Peer, frame: bytes) -> None:
        self.tape("answer", (peer, frame))


class ObedientCore:
    """Does what `on_receive`, `on_tick` and `refusing` say, and writes down that it was called."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.config = build(make_genesis(), b"c" * 32, None)
        self.is_behind = False
        self.refusing: Reason | None = None
        self.refusing_within: Callable[[Header], Reason | None] = lambda header: None
        self.awaited: set[bytes] = set()
        self.on_receive: Callable[[Verified[Any]], Effects] = lambda verified: Effects()
        self.on_tick: Callable[[], Effects] = Effects
        self.on_restore: Callable[[], Effects] = Effects
        self.broken = False
        self.due: int | None = None

    def machine_clocks(self, _now: Now) -> tuple[list[int], int]:
        return [], 0

    def restore(self, tail: LedgerTail, now: Now) -> Effects:
        self.tape("restore", tail)
        return self.on_restore()

    def wants(self, header: Header) -> Reason | None:
        return self.refusing

    def on_refused(self, header: Header, reason: Reason) -> Effects:
        self.tape("refused", reason)
        return Effects()

    def wants_within(self, header: Header, kind: type[Any]) -> Reason | None:
        return self.refusing_within(header)

    def awaits(self, digest: bytes) -> bool:
        return digest in self.awaited

    def receive(self, verified: Verified[Any], now: Now) -> Effects:
        self.tape("receive", verified.message)
        return self.on_receive(verified)

    def tick(self, now: Now) -> Effects:
        self.tape("tick")
        self.due = None
        return self.on_tick()

    def deadline(self) -> int | None:
        return self.due

    def invariants(self) -> None:
        if self.broken:
            raise RuntimeError("an invariant is broken")


class RowsOnly:
    """The part of an application that a host itself calls."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    def load(self, rows: Any) -> None:
        self.tape("load rows", tuple(rows))

    def changes(self) -> list[Any]:
        return []

    def release(self) -> None:
        self.tape("release")


class Bench:
    """A host over those doubles."""

    def __init__(self, tail: LedgerTail = EMPTY) -> None:
        self.tape = Tape()
        self.paper = Paper()
        self.journal = TapeJournal(self.tape, tail)
        self.transport = TapeTransport(self.tape)
        self.clock = SetClock()
        self.core = ObedientCore(self.tape)
        self.host = Host(
            core=self.core,
            application=RowsOnly(self.tape),  # type: ignore[arg-type]
            door=self.paper.door,
            journal=self.journal,
            transport=self.transport,
            clock=self.clock,
            signer=self.paper.signer("r0"),
            watcher=self,
            answer_query=lambda query: m.Answer(query.number, "ok", query.what),
        )

    def notice(self, note: Any) -> None:
        self.tape("note", note)

    def hear(self, *frames: bytes, index: int = 1) -> None:
        self.transport.waiting += [self.paper.inbound(frame, index) for frame in frames]

    def vote(self, sequence: int = 1) -> bytes:
        return self.paper.sign(m.Prepare(0, 1, 0, sequence, b"d" * 32))


def entry_record(sequence: int, *, body: bytes = b"", certified: bool = True) -> EntryRecord:
    entry = m.Entry(0, sequence, b"d" * 32, b"r" * 32, 1_000 + sequence, b"p" * 32)
    return EntryRecord(entry, m.entry_hash(entry), body, (b"commit",) * 3 if certified else ())
