"""The pump: feed all that waits, persist once, then speak (DESIGN section 3).

It knows only `ports`, so node and simulator run this very file. A turn is all or nothing: when
persisting fails or a step raises, nothing of the turn is said and the core is gone (R8); the runner
builds a new host from the ledger or ends the process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from validators import canonical
from validators.consensus import messages as m
from validators.consensus.application import Application
from validators.consensus.effects import (
    CheckpointRecord,
    Effects,
    EntryRecord,
    EvidenceRecord,
    Install,
    Note,
    Now,
    Reason,
    Successor,
)
from validators.consensus.verified import Header, Inbound, Peer, Verified
from validators.crossing import Crossing
from validators.handovers import HANDOVERS, HandOvers
from validators.log_server import LogServer
from validators.patience import Patience
from validators.ports import Clock, Journal, Recovery, Signer, Transport, Watcher
from validators.questions import Questions
from validators.wire import CHECK, Door, PeerError

__all__ = ["Core", "EpochOver", "Halted", "Host", "Installed", "TurnLost"]

MATERIALISE_AFTER = 50_000_000
"""Nanoseconds that state rows may lag behind the log while traffic flows (R9 allows 100 ms)."""

INBOUND_MAX = 256
"""Frames of one turn: bounds the turn's time and its transaction."""

CHECKS_MAX = 1_024
"""Signatures checked in one turn, after which no further frame is looked at: a frame may hold hundreds. Those
that are recognised count as well, but less."""


class Core(Protocol):
    """The face of every protocol (Replica, Learner)."""

    @property
    def receiving(self) -> bool: ...
    def restore(self, recovery: Recovery, now: Now) -> Effects: ...
    def wants(self, header: Header) -> Reason | None: ...
    def wants_within(self, header: Header, kind: type[Any]) -> Reason | None: ...
    def awaits(self, digest: bytes) -> bool: ...
    def receive(self, verified: Verified[Any], now: Now) -> Effects: ...
    def tick(self, now: Now) -> Effects: ...
    def deadline(self) -> int | None: ...
    def invariants(self) -> None: ...


class TurnLost(Exception):
    """A turn could not be made durable or broke an invariant: this host is dead. See __cause__."""


class EpochOver(Exception):
    """Cause of a TurnLost that is none: a host of the next epoch goes on from the ledger (R35)."""

    def __init__(self, successor: Successor) -> None:
        super().__init__(successor.membership.epoch)
        self.successor = successor


class Halted(Exception):
    """Cause of a TurnLost after which this node is not to go on, nor to be built anew: certificates that
    exclude each other are in the ledger. `stand_by` answers who asks how it is."""


class Installed(Exception):
    """Cause of a TurnLost that is none: a snapshot is in the ledger now, and a new host goes on from it."""


class Host:
    """Runs one core over ports. `answer_query` tells what `Query` asks, outside consensus. `rows_lag`:
    nanoseconds that state rows wait for more even when nothing else is to do; 0 where people read them.
    `epoch`: the one that the core lives in. `elsewhere`: where members listen."""

    def __init__(
        self,
        *,
        core: Core,
        application: Application,
        door: Door,
        journal: Journal,
        transport: Transport,
        clock: Clock,
        signer: Signer,
        watcher: Watcher,
        answer_query: Callable[[m.Query], m.Answer],
        rows_lag: int = 0,
        epoch: int = 0,
        crossing: Crossing | None = None,
        elsewhere: Callable[[], Mapping[str, tuple[str, int]]] = dict,
    ) -> None:
        self.core = core
        self.application = application
        self.door = door
        self.journal = journal
        self.transport = transport
        self.clock = clock
        self.signer = signer
        self.watcher = watcher
        self.answer_query = answer_query
        self.rows_lag = rows_lag
        self.epoch = epoch
        self.crossing = crossing
        self.log_server = LogServer(journal, transport, signer, elsewhere)
        self.handovers = HandOvers()
        self.executed = 0
        self._questions = Questions()
        self._patience = Patience()
        self._timestamp = 0
        self._dirty_since: int | None = None
        self._materialised = 0
        self._dead = False

    def start(self) -> None:
        """Load the ledger, rebuild application and core, say again what was said (R7)."""
        now = self.clock.now()
        recovery = self.journal.load()
        self.handovers.note(recovery.states)
        try:
            self.application.load(recovery.rows)
            self._materialised = self.executed = recovery.applied_sequence
            effects = self.core.restore(recovery, now)
            if recovery.entries:
                self._seen(recovery.entries[-1], now)
            self.log_server.begin(self.executed)
            if self.crossing is not None:
                self.crossing.begin(self.application, self.handovers, now.monotonic)
        except Exception as error:
            self._dead = True
            raise TurnLost("restore failed") from error
        self._finish(effects, now)

    def turn(self) -> int:
        """One turn; return how many frames were taken. Raise TurnLost when the host is dead."""
        if self._dead:
            raise TurnLost("this host lost a turn before")
        now = self.clock.now()
        inbound = self.transport.receive(INBOUND_MAX)
        effects = Effects()
        try:
            taken = self._take_all(inbound, now, effects)
            deadline = self.core.deadline()
            if deadline is not None and now.monotonic >= deadline:
                effects.merge(self.core.tick(now))
                self.core.invariants()
            self._cross(now, effects)
        except Exception as error:
            self._dead = True
            raise TurnLost("a step raised") from error
        self._finish(effects, now)
        self._materialise(now, idle=not inbound)
        return taken

    def wake_at(self) -> int | None:
        """Monotonic nanoseconds when a turn is wanted though nothing arrives, or None."""
        times = [self.core.deadline(), self.log_server.deadline()]
        if self.crossing is not None:
            times.append(self.crossing.deadline())
        if self._dirty_since is not None:
            times.append(self._dirty_since + self.rows_lag)
        if self._questions.waiting:
            times.append(0)
        return min([time for time in times if time is not None], default=None)

    def close(self) -> None:
        """Write what is only in memory but safe to lose (state rows); the host is dead afterwards."""
        if not self._dead:
            self._write_rows()
            self._dead = True

    def flush_rows(self) -> None:
        """Bring the state rows up to the log now (a node's own API does so before answering, R17)."""
        if self._dead:
            raise TurnLost("this host lost a turn before")
        self._write_rows()

    def stand_by(self) -> None:
        """While nothing can be made durable (R8), after the turn was lost: what comes is dropped, but who
        asks how this node is hears it."""
        for item in self.transport.receive(INBOUND_MAX):
            try:
                header = self.door.peek(item)
            except PeerError:
                continue
            if isinstance(header.message, m.Query):
                self._questions.put(header.peer, header.message)
        self._answer_queries()

    # --- one step each ---------------------------------------------------------------------------

    def _take_all(self, inbound: Sequence[Inbound], now: Now, effects: Effects) -> int:
        """Look at these, and return at how many: what would make the turn too long waits for the next one,
        and who sent what is dear is charged for it."""
        door = self.door
        before = door.work
        enough = before + CHECKS_MAX * CHECK
        for count, item in enumerate(inbound, 1):
            self._take(item, now, effects)
            after = door.work
            if after - before >= 2 * CHECK:
                self.transport.charge(item.peer, (after - before) // CHECK - 1)
            if after >= enough:
                self.transport.put_back(inbound[count:])
                return count
            before = after
        return len(inbound)

    def _take(self, item: Inbound, now: Now, effects: Effects) -> None:
        try:
            header = self.door.peek(item)
            if self._serve(item, header, now, effects):
                return
            reason = self.core.wants(header) or self._spared(header, now)
            if reason is not None:
                effects.notes.append(_refused(item, reason, type(header.message).__name__))
                return
            header, left_out = self.door.sift(header, self.core.wants_within)
            if left_out:
                self._patience.wear(item.peer.name, len(left_out), now.monotonic)
                for reason, times in Counter(left_out).items():
                    effects.notes.append(_refused(item, reason, f"in {type(header.message).__name__}", times))
                if isinstance(header.message, m.SupplyFrames) and not header.message.frames:
                    return
            verified = self.door.verify(header)
        except PeerError as error:
            effects.notes.append(_refused(item, error.reason, str(error)))
            return
        effects.merge(self.core.receive(verified, now))
        self.core.invariants()

    def _spared(self, header: Header, now: Now) -> Reason | None:
        """Why a message is not looked into: a batch that nobody waits for, as its digest tells, or statements
        by way of one that sent too many unwanted ones of late."""
        message = header.message
        if isinstance(message, m.SupplyBatch):
            return None if self.core.awaits(self.door.digest_of(message.body)) else Reason.NOT_ASKED
        if isinstance(message, m.SupplyFrames):
            return None if self._patience.lasts(header.peer.name, now.monotonic) else Reason.BUSY
        return None

    def _serve(self, item: Inbound, header: Header, now: Now, effects: Effects) -> bool:
        """Requests for what is durable already are answered by the host, not by the core."""
        message = header.message
        if type(message) not in _SERVED:
            return False  # nearly all that comes: votes
        if isinstance(message, (m.FetchEntries, m.Follow)):
            self.log_server.on_request(header.peer, message, now)
        elif isinstance(message, m.Query):
            self._questions.put(header.peer, message)
        elif isinstance(message, m.Status) and message.epoch < self.epoch:
            self._hand_over(header.peer, message.epoch, now)
        elif isinstance(message, m.Answer) and self.crossing is not None and message.number:
            reason = self.crossing.hear(message)
            if reason is not None:
                effects.notes.append(_refused(item, reason, "Answer"))
        elif not isinstance(message, m.Hello):
            return False
        return True

    def _cross(self, now: Now, effects: Effects) -> None:
        """This node may have slept through epochs: ask, and go on in the newest where that is better."""
        if self.crossing is None:
            return
        effects.send += self.crossing.ask(self.executed, now.monotonic)
        found = self.crossing.arrived(self.executed, now.monotonic, receiving=self.core.receiving)
        if found is not None and effects.install is None:
            membership, records = found
            effects.persist += records
            effects.successor = effects.successor or Successor(membership, ())

    def _hand_over(self, peer: Peer, epoch: int, now: Now) -> None:
        """A member lives in an epoch that is over: show it what ended it. Nothing secret, and asked by
        whoever holds the connection: no signature need be checked."""
        following = self.application.epoch(epoch + 1)
        if following is not None:
            self.log_server.on_lagging(peer, following.after, now)

    def _finish(self, effects: Effects, now: Now) -> None:
        if effects.persist:
            try:
                self.journal.append(effects.persist, durable=_must_last(effects))
            except Exception as error:
                self._dead = True
                raise TurnLost("the turn did not become durable") from error
            self.handovers.note(effects.persist)
            for record in effects.persist:
                if isinstance(record, EntryRecord):
                    self._seen(record, now)
                    self.log_server.on_entry(record)
                elif isinstance(record, CheckpointRecord):
                    self.log_server.on_checkpoint(record)
        if effects.halted:
            self._dead = True
            for note in effects.notes:
                self.watcher.notice(note)
            raise TurnLost("this node has stopped") from Halted(effects.halted)
        for send in effects.send:
            self.transport.send(send)
        for reply in effects.reply:
            self.transport.reply(reply)
        if self._questions.waiting:
            self._answer_queries()
        self._serve_log(now)
        for note in effects.notes:
            self.watcher.notice(note)
        if effects.install is not None:
            self._install(effects.install)
        if effects.successor is not None:
            self._dead = True
            raise TurnLost("the epoch is over") from EpochOver(effects.successor)

    def _install(self, install: Install) -> None:
        """Everything of this turn was said; the state in memory is of no use any more."""
        self._dead = True
        try:
            self.journal.install(install)
        except Exception as error:
            raise TurnLost("the snapshot could not be installed") from error
        raise TurnLost("a snapshot was installed") from Installed(install.checkpoint.sequence)

    def _answer_queries(self) -> None:
        """After the turn is durable, or without one: nobody hears of what could still be lost (R8)."""
        for peer, query in self._questions.take():
            answer = self.handovers.answer if query.what == HANDOVERS else self.answer_query
            self.transport.answer(peer, self.signer.link(answer(query)))

    def _serve_log(self, now: Now) -> None:
        try:
            self.log_server.push(now)
        except Exception as error:
            self._dead = True
            raise TurnLost("the ledger could not be read") from error

    def _seen(self, record: EntryRecord, now: Now) -> None:
        self.executed = record.entry.sequence
        self._timestamp = record.entry.timestamp
        if self.executed > self._materialised and self._dirty_since is None:
            self._dirty_since = now.monotonic

    def _materialise(self, now: Now, *, idle: bool) -> None:
        if self._dirty_since is None:
            return
        lag = now.monotonic - self._dirty_since
        if (idle and lag >= self.rows_lag) or lag >= MATERIALISE_AFTER:
            self._write_rows()

    def _write_rows(self) -> None:
        if self.executed == self._materialised:
            self._dirty_since = None
            return
        try:
            self.journal.materialise(self.application.changes(), self.executed, self._timestamp)
        except Exception as error:
            self._dead = True
            raise TurnLost("state rows could not be written") from error
        self._materialised = self.executed
        self._dirty_since = None


def _must_last(effects: Effects) -> bool:
    """Whether a turn is synced before it speaks. One that only executed, and speaks to clients only,
    need not be: its entries follow from what q members had synced before they said COMMIT (R6)."""
    return bool(effects.send) or any(type(record) not in _UNSYNCED for record in effects.persist)


_UNSYNCED = (EntryRecord, EvidenceRecord)
_SERVED = frozenset({m.FetchEntries, m.Follow, m.Query, m.Status, m.Answer, m.Hello})
"""What `_serve` looks at."""


def _refused(item: Inbound, reason: Reason, text: str, times: int = 1) -> Note:
    return Note(
        kind="refused",
        fields={
            "peer": item.peer.name,
            "reason": reason.value,
            "text": text,
            **({"times": times} if times > 1 else {}),
            "frame": canonical.digest(item.frame[:1024]).hex()[:16],
        },
    )
