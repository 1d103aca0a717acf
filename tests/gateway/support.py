"""Members on paper that execute bundles, for the collector's tests; honest until told to lie.

One log for all: `execute` orders a batch and remembers its entry. The ticket rule is the smallest that
makes outcomes differ: the first operation on a ticket is `ok`, later ones `already_validated`.
"""

from __future__ import annotations

import msgspec

from dtvn.gateway import Actions, Collector, Completed
from dtvn.machine.leaf import subtree
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Now
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import Envelope, link_frame
from tests.host.support import Paper

START = 1_700_000_000_000_000_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
CLIENT = b"client01"


def operation(
    ticket: str = "T-1", *, nonce: bytes = b"", kind: str = "validate", valid: int = 14
) -> m.Operation:
    """An operation that stays valid for `valid` seconds after START."""
    return m.Operation(
        kind, "default", ticket, "gate-a", "r0", START // 1_000 + valid * 1_000_000, nonce, b""
    )


class Executed(msgspec.Struct):
    bundle: m.Bundle
    request: bytes
    entry: m.Entry
    first_index: int
    outcomes: tuple[m.Outcome, ...]
    path: tuple[tuple[bool, bytes], ...]


class Members:
    """n members with one log between them."""

    def __init__(self, count: int = 4, mode: Mode = Mode.PBFT) -> None:
        self.paper = Paper(count, mode=mode)
        self.count = count
        self.sequence = 0
        self.seen: set[str] = set()
        self.executed: dict[bytes, Executed] = {}
        self.log_time = START // 1_000
        """Microseconds; each batch is executed a microsecond later than the one before."""

    def read(self, frame: bytes) -> tuple[m.Bundle, bytes]:
        envelope = canonical.decode(Envelope, frame)
        return canonical.decode(m.Bundle, envelope.body), m.bundle_digest(envelope.body)

    def execute(self, *frames: bytes) -> list[Executed]:
        """Order these bundles as one batch; those that were executed before keep their place."""
        self.sequence += 1
        self.log_time += 1
        timestamp = self.log_time
        results = []
        first_index = 0
        for bundle, request in map(self.read, frames):
            if request in self.executed:
                continue
            outcomes = tuple(self._apply(op) for op in bundle.operations)
            results.append((bundle, request, first_index, outcomes))
            first_index += len(bundle.operations)
        trees = [subtree(first, b.operations, outs, timestamp) for b, _r, first, outs in results]
        entry = m.Entry(
            0,
            self.sequence,
            bytes(32),
            canonical.merkle_root(trees),
            timestamp,
            self.sequence.to_bytes(32, "big"),
        )
        done = [
            Executed(bundle, request, entry, first, outcomes, path_to(trees, place))
            for place, (bundle, request, first, outcomes) in enumerate(results)
        ]
        self.executed |= {item.request: item for item in done}
        return [self.executed[self.read(frame)[1]] for frame in frames]

    def _apply(self, op: m.Operation) -> m.Outcome:
        if op.valid_until < self.log_time:
            return m.Outcome("expired", b"")
        if op.valid_until > self.log_time + 600_000_000:
            return m.Outcome("too_far_ahead", b"")
        if op.kind == "open_session":
            return m.Outcome("ok", b"")
        first = op.ticket not in self.seen
        self.seen.add(op.ticket)
        return m.Outcome("ok" if first else "already_validated", b"state of " + op.ticket.encode())

    def receipt(self, member: int, entry: m.Entry, *, key_of: int | None = None) -> bytes:
        """A member's receipt; `key_of` signs it with another member's key."""
        statement = m.Receipt(0, member, entry.sequence, m.entry_hash(entry))
        return self.paper.signer(f"r{member if key_of is None else key_of}").sign(statement)

    def reply(self, member: int, item: Executed, **changes: object) -> bytes:
        """A member's Reply; `changes` replace fields of the honest one."""
        fields = {
            "session": item.bundle.session,
            "number": item.bundle.number,
            "request": item.request,
            "entry": item.entry,
            "first_index": item.first_index,
            "outcomes": item.outcomes,
            "path": item.path,
            "receipt": self.receipt(member, item.entry),
        } | changes
        return link_frame(m.Reply(**fields))  # type: ignore[arg-type]

    def repeat(self, member: int, item: Executed, **changes: object) -> bytes:
        fields = {
            "epoch": 0,
            "sender": member,
            "session": item.bundle.session,
            "number": item.bundle.number,
            "request": item.request,
            "sequence": item.entry.sequence,
            "first_index": item.first_index,
            "codes": tuple(outcome.code for outcome in item.outcomes),
        } | changes
        return self.paper.signer(f"r{member}").sign(m.Repeat(**fields))  # type: ignore[arg-type]

    def busy(self, frame: bytes, code: str, retry_after_ms: int = 50, timestamp: int = 0) -> bytes:
        bundle, request = self.read(frame)
        return link_frame(m.Busy(bundle.session, bundle.number, request, code, retry_after_ms, timestamp))

    def forged(self, member: int, item: Executed, code: str) -> bytes:
        """A Reply that is true in itself: another outcome, its own tree, its own entry, a real receipt."""
        outcomes = tuple(m.Outcome(code, outcome.state) for outcome in item.outcomes)
        root = subtree(item.first_index, item.bundle.operations, outcomes, item.entry.timestamp)
        entry = msgspec.structs.replace(item.entry, results_root=root)
        return self.reply(
            member, item, entry=entry, outcomes=outcomes, path=(), receipt=self.receipt(member, entry)
        )


def path_to(trees: list[bytes], place: int) -> tuple[tuple[bool, bytes], ...]:
    """Siblings of tree `place` on the way to merkle_root(trees)."""
    path = []
    level = list(trees)
    while len(level) > 1:
        if place % 2:
            path.append((True, level[place - 1]))
        elif place + 1 < len(level):
            path.append((False, level[place + 1]))
        level = [
            canonical.node_hash(*level[i : i + 2]) if i + 1 < len(level) else level[i]
            for i in range(0, len(level), 2)
        ]
        place //= 2
    return tuple(path)


class Desk:
    """A collector with its members and a clock that the test moves."""

    def __init__(
        self,
        count: int = 4,
        *,
        session: bool = True,
        poll_at_rest: int = SECOND,
        ahead: int = 0,
        mode: Mode = Mode.PBFT,
    ) -> None:
        """`ahead`: nanoseconds by which this host's wall clock is ahead of START."""
        self.ahead = ahead
        self.members = Members(count, mode)
        paper = self.members.paper
        self.collector = Collector(
            paper.genesis,
            principal="gateway",
            client=CLIENT,
            signer=paper.signer("gateway"),
            door=paper.door,
            poll_at_rest=poll_at_rest,
        )
        self.elapsed = 0
        self.sent: list[tuple[int, bytes]] = []
        self.completed: dict[int, Completed] = {}
        self.answered: list[object] = []
        self.collector.connected(frozenset(range(count)), self.now)
        if session:
            self.open_session()

    @property
    def now(self) -> Now:
        return Now(monotonic=SECOND + self.elapsed, wall=START + self.elapsed + self.ahead)

    def submit(self, *operations: m.Operation, wait: int = 9 * SECOND) -> int:
        call = self.collector.submit(operations, self.now, wait=wait)
        self.settle()
        return call

    def settle(self) -> Actions:
        """Take what the collector wants done; bundles are kept apart from questions."""
        actions = self.collector.take(self.now)
        self.sent += [(to, frame) for to, frame in actions.send if frame[1] == 1]
        self.completed |= {done.call: done for done in actions.completed}
        self.answered += actions.answered
        return actions

    def receive(self, member: int, frame: bytes) -> None:
        self.collector.receive(member, frame, self.now)
        self.settle()

    def pass_time(self, duration: int) -> None:
        """Let time go by as a host does: a tick at every deadline on the way."""
        end = self.elapsed + duration
        while (due := self.collector.deadline() - SECOND) <= end:
            self.elapsed = max(due, self.elapsed)
            self.collector.tick(self.now)
            self.settle()
        self.elapsed = end
        self.collector.tick(self.now)
        self.settle()

    def bundles(self) -> list[bytes]:
        """Distinct bundle frames sent since the last call, in order."""
        frames = list(dict.fromkeys(frame for _to, frame in self.sent))
        self.sent.clear()
        return frames

    def answer(self, *frames: bytes, members: tuple[int, ...] | None = None) -> list[Executed]:
        """Execute the bundles as one batch; these members (default: all) answer honestly."""
        done = self.members.execute(*frames)
        for member in range(self.members.count) if members is None else members:
            for item in done:
                self.receive(member, self.members.reply(member, item))
        return done

    def open_session(self) -> None:
        """Let the session open on behalf of a first call, which is answered too."""
        self.submit(operation("T-first"))
        self.answer(*self.bundles())
        self.answer(*self.bundles())
        self.completed.clear()

    def codes(self, call: int) -> tuple[str, ...] | None:
        """Outcome codes of a completed call, None while it is open."""
        done = self.completed.get(call)
        return None if done is None else tuple(result.code for result in done.results)
