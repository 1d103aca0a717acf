"""The pump: one turn feeds all waiting frames to the core, persists once, then sends.

It depends only on `ports`, so node and simulator run the same code. A turn is atomic: if persisting fails
or a step raises, nothing of the turn is sent and the core is discarded (R8); the runner builds a new host
from the ledger or ends the process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.application import Application
from dtvn.protocol.consensus.effects import (
    CheckpointRecord,
    Effects,
    EntryRecord,
    EvidenceRecord,
    Install,
    Note,
    Now,
    Reason,
    Record,
    Send,
    StateRecord,
    Successor,
)
from dtvn.protocol.consensus.verified import Header, Inbound, Peer
from dtvn.protocol.epochs.catch_up import EpochCatchUp
from dtvn.protocol.epochs.proofs import EPOCH_CHANGES, EpochChangeProofs
from dtvn.protocol.host.archive import ArchiveRepair
from dtvn.protocol.host.endings import EpochOver, Halted, Installed, TurnLost
from dtvn.protocol.host.greetings import Greetings
from dtvn.protocol.host.heads import Heads
from dtvn.protocol.host.log_server import NOBODY, Fanout, LogServer, read_referral
from dtvn.protocol.host.own_clock import OwnClock
from dtvn.protocol.host.peer_limits import PeerLimits
from dtvn.protocol.host.ports import (
    Clock,
    Core,
    Journal,
    Judge,
    Overlay,
    Signer,
    Transport,
    Watcher,
)
from dtvn.protocol.host.questions import Questions
from dtvn.protocol.host.refusals import refusal_note, refusals_in
from dtvn.protocol.knobs import hit
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import CHECK, Door, PeerError

MATERIALISE_AFTER = 50_000_000
"""Nanoseconds by which state rows may lag behind the log under traffic (R9 allows 100 ms)."""

INBOUND_MAX = 256
"""Most frames in one turn: bounds the turn's time and its transaction."""

CHECKS_MAX = 1_024
"""Signature checks in one turn after which no further frame is read: a frame may hold hundreds. Recognised
signatures and bytes count as well, but less."""


class Host:
    """Runs one core over ports. `answer_query` answers a `Query`, outside consensus. `rows_lag`: nanoseconds
    for which state rows are held back to collect more, even when idle; 0 if people read the rows. `epoch`:
    the core's epoch. `elsewhere` returns the addresses of the members by id. `judge` answers questions about
    agent events; None: they are refused. `overlay`: takes the overlay's messages; None: they are refused.
    `fanout`: the followers of the overlay that the log is pushed to. `archive_from`: the first sequence of
    the cluster's log, if this node keeps all of it; None: what a state replaced stays missing. `greetings`:
    which process of each member is heard; None: no member's process is compared with another (R44)."""

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
        epoch_catch_up: EpochCatchUp | None = None,
        elsewhere: Callable[[], Mapping[str, tuple[str, int]]] = dict,
        judge: Judge | None = None,
        overlay: Overlay | None = None,
        fanout: Fanout = NOBODY,
        archive_from: int | None = None,
        greetings: Greetings | None = None,
    ) -> None:
        self.core = core
        self.greetings = greetings
        self._greeted: tuple[int, int] | None = None
        """Incarnation and newest index that the last Hello of this host named."""
        self.application = application
        self.door = door
        self.journal = journal
        self.transport = transport
        self.clock = OwnClock(clock, core.config.drift_bound)
        self.signer = signer
        self.watcher = watcher
        self.answer_query = answer_query
        self.rows_lag = rows_lag
        self.epoch = epoch
        self.epoch_catch_up = epoch_catch_up
        self.judge = judge
        self.overlay = overlay
        self.heads = Heads(core.config, signer, self._hash_at)
        self.log_server = LogServer(journal, transport, signer, elsewhere, fanout, self.heads, epoch=epoch)
        self.archive = None if archive_from is None else self._filling(archive_from)
        self.epoch_changes = EpochChangeProofs()
        self.executed = 0
        self._head = m.NO_PREDECESSOR
        """Hash of the entry `executed`."""
        self._synced = 0
        """Sequence up to which the log is durable."""
        self._questions = Questions()
        self._limits = PeerLimits()
        self._timestamp = 0
        self._dirty_since: int | None = None
        self._materialised = 0
        self._dead = False

    def start(self, *, carried: bool = False) -> None:
        """Load the ledger, rebuild application and core, and send earlier messages again (R7). `carried`: the
        application comes from this process's host of the epoch before, and has the state of the ledger's rows
        (R35); the restored core compares its root with the checkpoint that ended that epoch."""
        now = self._now()
        tail = self.journal.load()
        self.epoch_changes.note(tail.states)
        try:
            if carried:
                # For R11 a core of another epoch is that of another process.
                tail = msgspec.structs.replace(tail, rows=(), continued=False)
                self.application.release()
            else:
                self.application.load(tail.rows)
            self._materialised = self.executed = tail.applied_sequence
            if tail.base is not None and tail.base.entry.sequence == self.executed:
                self._head = m.entry_hash(tail.base.entry)
            effects = self.core.restore(tail, now)
            if tail.entries and tail.entries[-1].entry.sequence >= self.executed:  # else below a snapshot
                self._seen(tail.entries[-1], now)
            self._synced = self.executed
            self.log_server.begin(self.executed)
            if self.archive is not None:
                self.archive.begin(None if tail.base is None else tail.base.entry.sequence)
            if self.epoch_catch_up is not None:
                self.epoch_catch_up.begin(self.application, self.epoch_changes, now.monotonic)
        except Exception as error:
            self._dead = True
            raise TurnLost("restore failed") from error
        self._greet()
        self._finish(effects, now)

    def turn(self) -> int:
        """Run one turn; returns the number of frames taken. Raise TurnLost if the host has ended."""
        if self._dead:
            raise TurnLost("this host lost a turn before")
        now = self._now()
        inbound = self.transport.receive(1 if hit("pump.one_frame") else INBOUND_MAX)
        effects = Effects()
        try:
            taken = self._take_all(inbound, now, effects)
            deadline = self.core.deadline()
            if deadline is not None and now.monotonic >= deadline:
                effects.merge(self.core.tick(now))
                self.core.invariants()
            self._catch_up_epochs(now, effects)
        except Exception as error:
            self._dead = True
            raise TurnLost("a step raised") from error
        self._finish(effects, now)
        self._materialise(now, idle=not inbound)
        self._judge()
        self._gossip(now)
        self._fill_archive(now)
        return taken

    def wake_at(self) -> int | None:
        """Monotonic nanoseconds of the next turn that is needed even if nothing arrives, or None."""
        times = [self.core.deadline(), self.log_server.deadline(), self._questions.deadline()]
        times.append(self.heads.deadline())
        if self.epoch_catch_up is not None:
            times.append(self.epoch_catch_up.deadline())
        if self._dirty_since is not None:
            times.append(self._dirty_since + self.rows_lag)
        if self.judge is not None and self.judge.waiting:
            times.append(0)
        if self.overlay is not None:
            times.append(self.overlay.deadline())
        if self.archive is not None:
            times.append(self.archive.deadline())
        return min([time for time in times if time is not None], default=None)

    def resign(self) -> bool:
        """This process stops on purpose: if it leads, it begins to hand over (R29, R44). Returns whether it
        does; then turns go on until the core is `settled`. Raises TurnLost as `turn`."""
        if self._dead or not self.core.leads:
            return False
        now = self.clock.now()
        try:
            effects = self.core.resign(now)
        except Exception as error:
            self._dead = True
            raise TurnLost("a step raised") from error
        self._finish(effects, now)
        return True

    def close(self) -> None:
        """Write state rows that are only in memory (safe to lose); the host has ended afterwards."""
        if not self._dead:
            self._write_rows()
            self._dead = True

    def flush_rows(self) -> None:
        """Bring the state rows up to the log now (a node's own API does so before answering, R17)."""
        if self._dead:
            raise TurnLost("this host lost a turn before")
        self._write_rows()

    def stand_by(self) -> None:
        """Answer queries about this node after a lost turn, while nothing can be made durable (R8); all other
        frames are dropped."""
        for item in self.transport.receive(INBOUND_MAX):
            try:
                header = self.door.peek(item)
            except PeerError:
                continue
            if isinstance(header.message, m.Query):
                self._questions.put(header.peer, header.message)
        self._answer_queries(self.clock.now())

    # --- one step each ---------------------------------------------------------------------------

    def _now(self) -> Now:
        """The time of a turn. A step of the machine's clock is weighed against those of other members."""
        now = self.clock.now()
        if not now.held:
            return now
        self.clock.weigh(now, *self.core.machine_clocks(now))
        return self.clock.now()

    def _filling(self, first: int) -> ArchiveRepair:
        """A member that signs heads is of a release that knows the question."""
        config = self.core.config
        return ArchiveRepair(
            self.journal,
            [index for index in range(config.n) if index != config.index],
            lowest=first,
            answers=self.heads.heard,
            digest_of=self.door.digest_of,
            errors=PeerError,
        )

    @property
    def _work(self) -> int:
        """What frames cost so far, the overlay's signature checks included, in the units of CHECK."""
        return self.door.work + (0 if self.overlay is None else self.overlay.checks * CHECK)

    def _take_all(self, inbound: Sequence[Inbound], now: Now, effects: Effects) -> int:
        """Take frames and return how many were taken. When the turn has cost enough, the rest waits for the
        next one. A peer whose frame costs more than one signature check is charged for it."""
        before = self._work
        enough = before + CHECKS_MAX * CHECK
        for count, item in enumerate(inbound, 1):
            self._take(item, now, effects)
            after = self._work
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
            if not self._hears(item, header, now, effects):
                return
            refused = self.core.wants(header)
            if isinstance(header.message, m.Bundle) and self._limits.exceeds(header, refused, now):
                effects.notes.append(refusal_note(item, Reason.BUSY, "Bundle"))
                self._exceeded(item.peer, now)
                return
            if refused is not None:
                effects.merge(self.core.on_refused(header, refused))
            reason = refused or self._spared(header, now)
            if reason is not None:
                effects.notes.append(refusal_note(item, reason, type(header.message).__name__))
                return
            header, left_out = self.door.sift(header, self._wanted_within(header, now))
            if left_out and not isinstance(header.message, m.Announce):
                self._limits.count_useless(item.peer, len(left_out), now.monotonic)
                for reason, times in Counter(left_out).items():
                    effects.notes.append(
                        refusal_note(item, reason, f"in {type(header.message).__name__}", times)
                    )
                if isinstance(header.message, m.SupplyFrames) and not header.message.frames:
                    return
            verified = self.door.verify(header)
        except PeerError as error:
            effects.notes.append(refusal_note(item, error.reason, str(error)))
            return
        if isinstance(header.message, m.Announce):
            for nested in verified.nested.values():
                self.heads.take(nested.message, nested.frame, self.executed, now)
        if isinstance(header.message, m.Answer) and not self._on_busy(header, now):
            effects.notes.append(refusal_note(item, Reason.MALFORMED, "Answer"))
            return
        taken = Now(now.monotonic, now.wall, item.taken, now.boot, now.held)
        received = self.core.receive(verified, taken)
        if item.peer.member is None:
            self._limits.count_refused(item.peer, refusals_in(received.notes), now.monotonic)
        effects.merge(received)
        self.core.invariants()

    def _on_busy(self, header: Header, now: Now) -> bool:
        """A peer that the core asked for the log has no place, and names its children; returns whether its
        words are well formed. Only of one that was asked are they read."""
        records = read_referral(header.message.text)
        if records is not None and self.overlay is not None:
            self.overlay.referred(header.peer, records, now)
        return records is not None

    def _exceeded(self, peer: Peer, now: Now) -> None:
        """A frame exceeded its limit: mute its sender for a moment if too many do."""
        if self._limits.mutes(peer, now.monotonic):
            self.transport.mute_bulk(peer)

    def _spared(self, header: Header, now: Now) -> Reason | None:
        """Why a message is dropped unread: a batch that is not wanted, judging by its digest, or statements
        via a peer that recently sent too many useless ones. Else None."""
        message = header.message
        if isinstance(message, m.SupplyBatch):
            return None if self.core.awaits(self.door.digest_of(message.body)) else Reason.NOT_ASKED
        if isinstance(message, m.SupplyFrames):
            return None if self._limits.hears(header.peer, now.monotonic) else Reason.BUSY
        return None

    def _serve(self, item: Inbound, header: Header, now: Now, effects: Effects) -> bool:
        """Whether the host handles the message itself, as it does requests for durable data, instead of
        passing it to the core."""
        message = header.message
        if type(message) not in _SERVED:
            return False  # nearly all messages: votes
        if isinstance(message, (m.FetchEntries, m.Follow)):
            self.log_server.on_request(header.peer, message, now)
        elif isinstance(message, m.Query):
            config = self.core.config
            if message.what == m.READ_INDEX and config.mode is Mode.RAFT and config.index is not None:
                return False
            if not self._questions.put(header.peer, message):
                self._exceeded(header.peer, now)
        elif isinstance(message, m.Judge):
            reason = Reason.NOT_MEMBER if self.judge is None else self._ask_judge(self.judge, header, now)
            if reason is not None:
                effects.notes.append(refusal_note(item, reason, "Judge"))
        elif isinstance(message, m.Head):
            reason = self.heads.refuse(message, now)
            if reason is None:
                self.heads.take(message, self.door.verify(header).frame, self.executed, now)
            elif reason is not Reason.DECIDED:
                effects.notes.append(refusal_note(item, reason, "Head"))
        elif isinstance(message, m.Gossip):
            reason = Reason.NOT_MEMBER
            if self.overlay is not None:
                reason = self.overlay.receive(header.peer, message.body, now)
            if reason is not None:
                effects.notes.append(refusal_note(item, reason, "Gossip"))
        elif isinstance(message, m.Status) and message.epoch < self.epoch:
            self._send_epoch_change(header.peer, message.epoch, now)
        elif isinstance(message, m.Answer) and self.epoch_catch_up is not None and message.number:
            reason = self.epoch_catch_up.hear(message)
            if reason is not None:
                effects.notes.append(refusal_note(item, reason, "Answer"))
        elif isinstance(message, m.Answer) and not message.number and not message.code:
            pass  # to an announcement, which asks nothing
        elif isinstance(message, m.Entries):
            archive = self.archive
            if archive is None or not archive.awaits(header.peer.member, message):
                return False
            reason = archive.take(message, now.monotonic)
            if reason is not None:
                effects.notes.append(refusal_note(item, reason, "Entries"))
        elif isinstance(message, m.Hello):
            return self._on_hello(header.peer, message, now, effects)
        else:
            return False
        return True

    # --- one process of each member (R44) ---------------------------------------------------------

    def _greet(self) -> None:
        """Say on every link to a member who this is, if that has changed."""
        if self.greetings is None or (claim := self.core.claim) == self._greeted:
            return
        self._greeted = claim
        self.transport.greet(self.signer.link(self.greetings.hello(*claim)))

    def _on_hello(self, peer: Peer, hello: m.Hello, now: Now, effects: Effects) -> bool:
        """Compare a member's process with others under its key; whether the core need not know."""
        if self.greetings is None or peer.member is None or not hello.start:
            return True
        if hello.known:
            return not self.greetings.refuses_this(hello, self.core.claim[0])
        refusals = self.greetings.take(peer, hello, now.monotonic)
        for refused, refusal in refusals:
            if hello.incarnation:
                effects.notes.append(Note("link_refused", {"member": peer.name, "known": refusal.known}))
            self.transport.answer(refused, self.signer.link(refusal))
        if not self.greetings.hears(peer, now.monotonic):
            self.transport.demote(peer)
            return True
        return not hello.incarnation

    def _hears(self, item: Inbound, header: Header, now: Now, effects: Effects) -> bool:
        if self.greetings is None or item.peer.member is None:
            return True
        if isinstance(header.message, m.Hello) or self.greetings.hears(item.peer, now.monotonic):
            return True
        effects.notes.append(refusal_note(item, Reason.OTHER_PROCESS, type(header.message).__name__))
        return False

    def _wanted_within(self, header: Header, now: Now) -> Callable[[Header, type[Any]], Reason | None]:
        """What says which statements inside a message are left out. Of what is no head in an announcement the
        door says that it is no proof."""
        if not isinstance(header.message, m.Announce):
            return self.core.wants_within

        def wanted(nested: Header, _kind: type[Any]) -> Reason | None:
            head = nested.message
            return self.heads.refuse(head, now) if isinstance(head, m.Head) else None

        return wanted

    @property
    def complete_from(self) -> int:
        """The lowest sequence from which on the log here has no holes, of a node that keeps all of it; 0: it
        is whole (ArchiveRepair)."""
        return 0 if self.archive is None else self.archive.complete_from

    def age(self) -> int | None:
        """Microseconds since f + 1 members said that their logs were no longer than this one; None if they
        never did (R45). Of use to followers: a member's own log is what the others compare with."""
        return self.heads.age(self.clock.now().wall // 1_000)

    def _hash_at(self, sequence: int) -> bytes | None:
        """Hash of an entry of the own log, None if it is below a state that was installed."""
        if sequence == self.executed:
            return self._head
        found = self.journal.entries(sequence, sequence, 1) if sequence else ()
        return found[0].entry_hash if found else None

    def _ask_judge(self, judge: Judge, header: Header, now: Now) -> Reason | None:
        return judge.put(header.peer, header.message.body, now.monotonic)

    def _catch_up_epochs(self, now: Now, effects: Effects) -> None:
        """Ask peers for missed epochs, and continue in the newest one if that is better."""
        if self.epoch_catch_up is None:
            return
        asked = self.epoch_catch_up.ask(self.executed, now.monotonic, lambda: self.heads.is_current(now))
        effects.send += asked
        found = self.epoch_catch_up.arrived(self.executed, now.monotonic, receiving=self.core.receiving)
        if found is not None and effects.install is None:
            membership, records = found
            effects.persist += records
            effects.successor = effects.successor or Successor(membership, ())

    def _send_epoch_change(self, peer: Peer, epoch: int, now: Now) -> None:
        """Send a member in a past epoch the proof of its end. The proof is not secret and goes only to the
        asking connection, so no signature of the request is checked."""
        following = self.application.epoch(epoch + 1)
        if following is not None:
            self.log_server.on_lagging(peer, following.after, now)

    def _finish(self, effects: Effects, now: Now) -> None:
        speaks = self.heads.is_due(now.monotonic)
        if speaks and self.core.is_behind:
            speaks = False
            self.heads.defer(now.monotonic)
        if effects.persist:
            durable = speaks or _must_last(effects)
            self._append(effects.persist, durable=durable)
            self.epoch_changes.note(effects.persist)
            for record in effects.persist:
                if isinstance(record, EntryRecord):
                    self._seen(record, now)
                    self.log_server.on_entry(record)
                elif isinstance(record, CheckpointRecord):
                    self.log_server.on_checkpoint(record)
            self._synced = self.executed if durable else self._synced
            self.heads.on_executed(self.executed)
            self._greet()
        if effects.halted:
            self._dead = True
            for note in effects.notes:
                self.watcher.notice(note)
            raise TurnLost("this node has stopped") from Halted(effects.halted)
        if speaks:
            self._say_head(now)
        for send in effects.send:
            self.transport.send(send)
        for reply in effects.reply:
            self.transport.reply(reply)
        for peer, frame in effects.answers:
            self.transport.answer(peer, frame)
        self._answer_queries(now)
        self._serve_log(now)
        for note in effects.notes:
            self.watcher.notice(note)
        if effects.install is not None:
            self._install(effects.install)
        if effects.successor is not None:
            self._write_rows()  # the next epoch's host goes on with the application, or reads them
            self._dead = True
            raise TurnLost("the epoch is over") from EpochOver(effects.successor)

    def _say_head(self, now: Now) -> None:
        """Sign and send where the durable log ends (R45)."""
        if self._synced != self.executed:
            self._append([StateRecord("head", b"%d" % self.executed)], durable=True)
            self._synced = self.executed
        frame = self.heads.sign(self.executed, self._head, now)
        for member in self.heads.hearers():
            self.transport.send(Send(member, frame))

    def _append(self, records: Sequence[Record], *, durable: bool) -> None:
        try:
            self.journal.append(records, durable=durable)
        except Exception as error:
            self._dead = True
            raise TurnLost("the turn did not become durable") from error

    def _install(self, install: Install) -> None:
        """Install a snapshot after all messages of the turn were sent; the state in memory is obsolete."""
        self._dead = True
        try:
            self.journal.install(install)
        except Exception as error:
            raise TurnLost("the snapshot could not be installed") from error
        raise TurnLost("a snapshot was installed") from Installed(install.checkpoint.sequence)

    def _answer_queries(self, now: Now) -> None:
        """Answer queries after the turn is durable, or without a turn: no answer shows data that could still
        be lost (R8)."""
        for peer, query in self._questions.take(now.monotonic):
            answer = self.epoch_changes.answer if query.what == EPOCH_CHANGES else self.answer_query
            self.transport.answer(peer, self.signer.link(answer(query)))

    def _judge(self) -> None:
        """Answer questions about agent events, after all that consensus had to send."""
        if self.judge is None or not self.judge.waiting:
            return
        answers, malformed = self.judge.turn(lambda: self.clock.now().monotonic)
        for peer, body in answers:
            self.transport.answer(peer, self.signer.link(m.Judged(body)))
        for peer in malformed:
            self.watcher.notice(refusal_note(Inbound(peer, b""), Reason.MALFORMED, "Judge"))

    def _gossip(self, now: Now) -> None:
        """Send what the overlay has to say, after all else."""
        if self.overlay is not None:
            for peer, body in self.overlay.turn(now):
                self.transport.answer(peer, self.signer.link(m.Gossip(body)))

    def _fill_archive(self, now: Now) -> None:
        """Fill a little of the log below an installed state, after all else."""
        if self.archive is None:
            return
        try:
            question = self.archive.turn(now.monotonic)
        except Exception as error:
            self._dead = True
            raise TurnLost("the log's older part could not be filled") from error
        note = self.archive.note()
        if note is not None:
            self.watcher.notice(note)
        if question is not None:
            member, first, last = question
            frame = self.signer.link(m.FetchEntries(self.epoch, first, last, alone=True))
            self.transport.send(Send(member, frame))

    def _serve_log(self, now: Now) -> None:
        try:
            self.log_server.push(now)
        except Exception as error:
            self._dead = True
            raise TurnLost("the ledger could not be read") from error

    def _seen(self, record: EntryRecord, now: Now) -> None:
        self.executed = record.entry.sequence
        self._head = record.entry_hash
        self._timestamp = record.entry.timestamp
        if self.executed > self._materialised and self._dirty_since is None:
            self._dirty_since = now.monotonic

    def _materialise(self, now: Now, *, idle: bool) -> None:
        if self._dirty_since is None:
            return
        lag = now.monotonic - self._dirty_since
        if (idle and lag >= self.rows_lag) or lag >= MATERIALISE_AFTER or hit("pump.rows_at_once"):
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
    """Whether a turn must be synced before it sends. One that only executed, and sends to clients only, need
    not be: its entries follow from what q members had synced before they sent COMMIT (R6)."""
    return bool(effects.send) or any(type(record) not in _UNSYNCED for record in effects.persist)


_UNSYNCED = (EntryRecord, EvidenceRecord)
_SERVED = frozenset(
    {
        *(m.Entries, m.FetchEntries, m.Follow, m.Gossip, m.Head),
        *(m.Query, m.Status, m.Answer, m.Hello, m.Judge),
    }
)
"""Messages that `_serve` may handle."""
