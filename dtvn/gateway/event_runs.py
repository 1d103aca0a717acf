"""Many runs of agent events at once: each with its chunk, all with the same members. Pure.

The caller (events.py, or the simulator) feeds `judge`, `end`, `connected`, `receive`, `outcomes`, `tick`, and
after each round of them calls `take` for what to send and what is done. Calls of one run are carried out in
their order, one chunk at a time; runs know nothing of each other but the frames and signatures they share.
Times are monotonic nanoseconds.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from dtvn.events.asking import CHUNK_BYTES_MAX
from dtvn.events.balancing import Placement
from dtvn.events.config import ORDERED, Algorithm, ConfigError, ConsensusConfig
from dtvn.events.judging import (
    ALGORITHM_NOT_OFFERED,
    CHUNK_EVENTS_MAX,
    AlgorithmNotOffered,
    DecisionRule,
    Electorate,
    Event,
    Promise,
    RunPoint,
    Verdict,
    decision_rule,
    event_digest,
    first_head,
    next_head,
    offered,
    promises,
)
from dtvn.events.ruled_run import RuledRun
from dtvn.events.rules import Limits, StateError, Violation, quoted
from dtvn.gateway.calls import Overloaded, Result
from dtvn.gateway.event_chunks import Chunk, Panel, Track
from dtvn.gateway.event_questions import OpenQuestions
from dtvn.gateway.event_records import Names, Recorder
from dtvn.gateway.events_face import (
    Judged,
    JudgedPiece,
    Recorded,
    RunEnd,
    RunIsLive,
    RunPlace,
    check_names,
)
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import messages as m

PATIENCE = 250_000_000
"""Nanoseconds after which all members are asked, if those asked first have not decided."""
MERGE_WAIT = 5_000_000_000
"""Nanoseconds for the votes on a chunk that is judged again to be recorded; meanwhile its run records nothing
else."""
BYTES_WAITING_MAX = 64 * 1024 * 1024
"""Bytes of events of all runs that may wait for a verdict."""
OPERATIONS_AT_ONCE = 256
"""Records of all runs in one call."""


class EventActions(msgspec.Struct):
    """What the caller is to do: send bodies of Judge to members, tell callers, have records ordered."""

    send: list[tuple[int, bytes]] = []
    judged: list[tuple[int, Judged]] = []
    """(call, its answer)."""
    ended: list[tuple[int, RunEnd]] = []
    """(run, its answer)."""
    recorded: list[tuple[int, Recorded]] = []
    submit: list[tuple[int, tuple[m.Operation, ...]]] = []
    """(number, operations): `outcomes` is to be called with this number."""


class _Call(msgspec.Struct):
    number: int
    events: list[Event]
    digests: list[bytes]
    wait: int
    due: int
    """Monotonic nanoseconds at which the call fails unless its next chunk has begun."""
    position: int = -1
    """Index in the run of its first event; -1: not known yet."""
    done: int = 0
    pieces: list[JudgedPiece] = []
    violations: list[Violation] = []


class LiveRun:
    """One live run. Other threads read `position`, `place` and `algorithm` only."""

    def __init__(self, number: int, track: Track, rule: DecisionRule, placed: tuple[str, ...]) -> None:
        self.number = number
        self.track = track
        self.rule: DecisionRule | None = rule
        """None: the present epoch cannot decide by its algorithm."""
        self.algorithm = rule.algorithm
        self.asked_for: Algorithm | None = None
        self.placed = placed
        self.calls: deque[_Call] = deque()
        self.chunk: Chunk | None = None
        self.recorder: Recorder | None = None
        self.head = b""
        self.ends_by: int | None = None
        """Monotonic nanoseconds at which the run is forgotten in any case; None before `end`."""
        self.queued: int | None = None
        """Time of its valid entry in the heap of deadlines; None without one."""

    @property
    def position(self) -> int:
        """See events_face.EventRun."""
        return self.track.point.position

    @property
    def place(self) -> RunPlace:
        """See events_face.EventRun."""
        if self.recorder is not None:
            return self.recorder.place
        return RunPlace(self.track.point.position, self.track.rules.state, self.head)


class EventRuns:
    """All live runs of one gateway. `limits`: those of the rules, the same as the members'."""

    def __init__(
        self, electorate: Electorate, limits: Limits | None = None, config: ConsensusConfig | None = None
    ) -> None:
        self._limits = limits or Limits()
        self._given_config = config
        self._runs: dict[int, LiveRun] = {}
        self._names: dict[tuple[str, str], int] = {}
        self._threads: dict[str, int] = {}
        """Thread -> number of its live runs."""
        self._next = 1
        self._bytes = 0
        self._actions = EventActions()
        self._flying: dict[int, list[tuple[int, int]]] = {}
        """Submitted records: (run, how many of its operations) in their order."""
        self._deadlines: list[tuple[int, int]] = []
        """Heap of (monotonic nanoseconds, run number); an entry is valid if its time is the run's
        `queued`."""
        self._connected: frozenset[int] = frozenset()
        self.questions = OpenQuestions(electorate)
        self._touched = self.questions.touched
        """Runs that may go on now."""
        self._seat(electorate)

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def offered(self) -> tuple[Algorithm, ...]:
        """The algorithms by which the present members can decide."""
        return offered(self._config, len(self._electorate.members), self._electorate.mode)

    @property
    def promises(self) -> dict[str, Promise]:
        """See events_face.Events."""
        return promises(self._config, len(self._electorate.members), self._electorate.mode)

    def rule(self, algorithm: Algorithm | None) -> DecisionRule:
        """See events_face.Events."""
        return decision_rule(self._config, len(self._electorate.members), self._electorate.mode, algorithm)

    def _seat(self, electorate: Electorate) -> None:
        members = len(electorate.members)
        self._electorate = electorate
        self._config = self._given_config or ConsensusConfig(
            algorithm=Algorithm(electorate.mode.value),
            min_nodes=members,
            byzantine_fault_tolerance=quorum.faults(members, electorate.mode),
        )
        self._placement = Placement([member.id for member in electorate.members], electorate.quorum)

    # --- in --------------------------------------------------------------------------------------

    def enter(self, electorate: Electorate, now: int) -> None:
        """Begin the next epoch: its members judge from now on, and are asked what is not decided yet."""
        self._connected = frozenset()
        self.questions.enter(electorate)
        self._seat(electorate)
        for run in self._runs.values():
            run.placed = self._placement.place(run.track.point.thread)
            run.rule = self._rule(run.asked_for)
            if run.chunk is not None:
                self._settle(run, run.chunk, now)
            if run.rule is None:
                run.chunk = None
            if run.chunk is not None and run.rule is not None:
                run.chunk.begin(self._panel(), run.rule, now, wait=run.calls[0].wait, patience=PATIENCE)
            if run.recorder is not None:
                self._take_merged(run, run.recorder, now)
                if run.recorder.chunk is not None:
                    self._begin_merging(run, run.recorder, run.recorder.chunk, now)
            self._touched[run.number] = None

    def connected(self, members: frozenset[int]) -> None:
        """Note which members have an authenticated connection now."""
        self._connected = members
        self.questions.connected(members)

    def begin(
        self,
        thread: str,
        run: str,
        *,
        algorithm: Algorithm | None = None,
        drop_unknown: bool = False,
        recorded: bool | None = None,
        event: str,
        actor: str,
        place: RunPlace | None = None,
    ) -> LiveRun:
        """A new run; see events_face.Events."""
        check_names(thread, run)
        if (thread, run) in self._names:
            said = f"run {quoted(run)} of thread {quoted(thread)} is still being written by an earlier stream"
            raise RunIsLive(said)
        rule = self.rule(algorithm)
        try:
            rules = RuledRun(self._limits, place.state if place else b"", drop_unknown=drop_unknown)
        except StateError as error:
            raise ValueError(f"place: {error}") from error
        begun = place or RunPlace(0, rules.state, first_head(thread, run))
        point = RunPoint(thread, run, begun.position, rules.state_digest(), rules.rules_digest())
        placed = self._placement.place(thread)
        made = LiveRun(self._next, Track(point, rules), rule, placed)
        self._next += 1
        made.asked_for, made.head = algorithm, begun.head
        if recorded or (recorded is None and rule.algorithm in ORDERED):
            names = Names(thread, run, point.rules, drop_unknown, event, actor, placed[0])
            made.recorder = Recorder(names, begun, self._limits)
        self._runs[made.number] = made
        self._names[thread, run] = made.number
        self._threads[thread] = self._threads.get(thread, 0) + 1
        return made

    def judge(self, number: int, events: Sequence[Event], now: int, *, wait: int) -> int:
        """Have these events judged; returns the call's number. Raises Overloaded; KeyError if the run has
        ended."""
        run = self._runs[number]
        size = sum(len(event.text) for event in events)
        if self._bytes + size > BYTES_WAITING_MAX:
            raise Overloaded(f"{self._bytes} bytes of events wait for verdicts")
        self._bytes += size
        call = _Call(self._next, list(events), [event_digest(event) for event in events], wait, now + wait)
        self._next += 1
        run.calls.append(call)
        self._touched[number] = None
        return call.number

    def end(self, number: int, now: int, *, wait: int) -> None:
        """Let the run end after its open calls; `take` reports the end. `wait`: nanoseconds besides
        theirs."""
        run = self._runs[number]
        run.ends_by = now + sum(call.wait for call in run.calls) + wait
        self._touched[number] = None

    def receive(self, member: int, data: bytes) -> None:
        """Handle an encoded Judged from the authenticated link of `member`; never raises."""
        if member < len(self._electorate.members):
            with suppress(canonical.CanonicalError):
                self.questions.receive(member, canonical.decode(m.Judged, data).body)

    def outcomes(self, number: int, results: Sequence[Result] | None, now: int) -> None:
        """Handle the outcomes of the records submitted under `number`; None: they could not be submitted."""
        left = list(results or ())
        for run_number, count in self._flying.pop(number):
            own, left = left[:count], left[count:]
            run = self._runs.get(run_number)
            if run is None or run.recorder is None:
                continue
            if not own:
                run.recorder.unsent(now)
            else:
                self._actions.recorded += [(run_number, each) for each in run.recorder.outcomes(own, now)]
            self._touched[run_number] = None

    def tick(self, now: int) -> None:
        """Handle the passage of time."""
        while self._deadlines and self._deadlines[0][0] <= now:
            due, number = heapq.heappop(self._deadlines)
            run = self._runs.get(number)
            if run is not None and run.queued == due:
                run.queued = None
                for chunk in self._chunks_of(run):
                    chunk.tick(now)
                self._touched[number] = None

    # --- out -------------------------------------------------------------------------------------

    def take(self, now: int) -> EventActions:
        """Let runs go on, and return all pending actions."""
        operations: list[tuple[int, list[m.Operation]]] = []
        while self._touched:
            number = next(iter(self._touched))
            del self._touched[number]
            run = self._runs.get(number)
            if run is not None:
                self._go_on(run, now)
                if made := self._record(run, now):
                    operations.append((number, made))
                self._queue(run)
                self._forget_ended(run, now)
        self._submit(operations)
        self._actions.send += self.questions.asker.bodies(now)
        actions, self._actions = self._actions, EventActions()
        return actions

    def deadline(self) -> int | None:
        """Monotonic nanoseconds at which `tick` must be called next; None if nothing waits for time."""
        if self._touched:
            return 0
        times = [due for due, _ in self._deadlines[:1]]
        if (due := self.questions.asker.deadline()) is not None:
            times.append(due)
        return min(times, default=None)

    def refused(self) -> tuple[int, ...]:
        """Number of invalid answers by member."""
        return tuple(self.questions.asker.refused)

    # --- one step each ---------------------------------------------------------------------------

    def _rule(self, algorithm: Algorithm | None) -> DecisionRule | None:
        try:
            return decision_rule(
                self._config, len(self._electorate.members), self._electorate.mode, algorithm
            )
        except (AlgorithmNotOffered, ConfigError):
            return None

    def _panel(self) -> Panel:
        return Panel(self._electorate, self._connected)

    def _chunks_of(self, run: LiveRun) -> list[Chunk]:
        merging = None if run.recorder is None else run.recorder.chunk
        return [chunk for chunk in (run.chunk, merging) if chunk is not None]

    def _run_deadline(self, run: LiveRun) -> int | None:
        times = [chunk.deadline() for chunk in self._chunks_of(run)]
        times.append(run.ends_by)
        if run.recorder is not None:
            times.append(run.recorder.deadline())
        if run.calls and run.chunk is None:
            times.append(run.calls[0].due)
        return min([due for due in times if due is not None], default=None)

    def _queue(self, run: LiveRun) -> None:
        """Add the run's next deadline to the heap. An earlier entry is kept: one early check costs less than
        replacing the entry for every chunk."""
        due = self._run_deadline(run)
        if due is not None and (run.queued is None or due < run.queued):
            run.queued = due
            heapq.heappush(self._deadlines, (due, run.number))

    def _go_on(self, run: LiveRun, now: int) -> None:
        """Take the decided pieces of a run, begin its next chunk, and queue its questions."""
        while True:
            if run.chunk is not None:
                self._settle(run, run.chunk, now)
            if run.chunk is not None or not run.calls:
                break
            if not self._begin_chunk(run, now):
                break
        for chunk in self._chunks_of(run):
            self.questions.ask(run.number, chunk)

    def _begin_chunk(self, run: LiveRun, now: int) -> bool:
        """Begin the next chunk of the first call, or fail the calls if the run cannot go on. Returns False if
        the run waits for the log."""
        call = run.calls[0]
        if run.rule is None or run.track.differs:
            self._fail(run)
            return True
        if run.recorder is not None and run.recorder.full:
            if call.due <= now:
                self._fail(run)
            return False
        if not call.done:
            call.position = run.track.point.position
        last = size = 0
        for last, event in enumerate(call.events[call.done : call.done + CHUNK_EVENTS_MAX], 1):
            size += len(event.text)
            if size > CHUNK_BYTES_MAX:
                last -= 1
                break
        part = slice(call.done, call.done + last)
        chunk = run.chunk = Chunk(run.track, call.events[part], call.digests[part], run.placed)
        chunk.begin(self._panel(), run.rule, now, wait=call.wait, patience=min(PATIENCE, call.wait // 2))
        return True

    def _settle(self, run: LiveRun, chunk: Chunk, now: int) -> None:
        """Add the decided pieces of a chunk to its call. Once the chunk is done, complete the call if all its
        events have certificates, or fail the run's calls if one of the chunk has none."""
        call = run.calls[0]
        for settled in chunk.settled():
            call.pieces.append(settled.piece)
            call.violations += settled.violations
            if settled.encoded:
                call.done += len(settled.events)
                if run.recorder is not None and not run.track.differs:
                    run.recorder.add(settled, now)
                else:
                    run.head = next_head(run.head, settled.encoded)
        if not chunk.inquiry.done:
            return
        run.chunk = None
        self.questions.retire(run.number)
        if call.done == len(call.events):
            self._complete(run, run.calls.popleft())
        elif call.pieces[-1].verdict is Verdict.NONE or not call.pieces[-1].certificate:
            self._fail(run)
        else:
            call.due = now + call.wait

    def _fail(self, run: LiveRun) -> None:
        """Complete all calls of the run without further verdicts, because the run cannot go on."""
        while run.calls:
            call = run.calls.popleft()
            covered = sum(piece.count for piece in call.pieces)
            call.position = run.track.point.position if call.position < 0 else call.position
            call.violations += [] if call.done < covered else run.track.look_ahead(call.events[call.done :])
            self._complete(run, call)

    def _complete(self, run: LiveRun, call: _Call) -> None:
        self._bytes -= sum(len(event.text) for event in call.events)
        point = run.track.point
        judged = Judged(
            thread=point.thread,
            run=point.run,
            algorithm=run.algorithm,
            position=call.position,
            pieces=tuple(call.pieces),
            violations=tuple(call.violations),
            salts=tuple(event.salt for event in call.events),
        )
        self._actions.judged.append((call.number, judged))

    # --- records ---------------------------------------------------------------------------------

    def _record(self, run: LiveRun, now: int) -> list[m.Operation]:
        """The operations that record the run's events now; [] if none are due."""
        recorder = run.recorder
        if recorder is None:
            return []
        over = run.ends_by is not None and not run.calls
        if over:
            recorder.hurry(now)
        self._take_merged(run, recorder, now)
        chunk = recorder.plan(self._electorate.epoch, now)
        if chunk is not None:
            self._begin_merging(run, recorder, chunk, now)
        return recorder.operations(now, ends=over)

    def _take_merged(self, run: LiveRun, recorder: Recorder, now: int) -> None:
        if recorder.chunk is not None:
            recorder.merged(recorder.chunk.settled())
            if recorder.chunk.inquiry.done:
                recorder.merging_ended(now)
                self.questions.retire(run.number)

    def _begin_merging(self, run: LiveRun, recorder: Recorder, chunk: Chunk, now: int) -> None:
        if run.rule is None:
            recorder.stop(ALGORITHM_NOT_OFFERED)
            return
        chunk.begin(self._panel(), run.rule, now, wait=MERGE_WAIT, patience=PATIENCE)
        self.questions.ask(run.number, chunk)

    def _submit(self, operations: Sequence[tuple[int, list[m.Operation]]]) -> None:
        batch: list[tuple[int, int]] = []
        made: list[m.Operation] = []
        for place, (number, own) in enumerate(operations):
            batch.append((number, len(own)))
            made += own
            if len(made) >= OPERATIONS_AT_ONCE or place == len(operations) - 1:
                self._flying[self._next] = batch
                self._actions.submit.append((self._next, tuple(made)))
                self._next += 1
                batch, made = [], []

    def _forget_ended(self, run: LiveRun, now: int) -> None:
        """Report and forget a run that has ended, once nothing is left to do or its time is over."""
        if run.ends_by is None:
            return
        recorder = run.recorder
        if now < run.ends_by and (run.calls or (recorder is not None and not recorder.idle)):
            return
        self._fail(run)
        point = run.track.point
        code = "" if recorder is None else recorder.outcome
        self._actions.ended.append((run.number, RunEnd(point.run, run.place, code)))
        self.questions.forget(run.number)
        del self._runs[run.number], self._names[point.thread, point.run]
        self._threads[point.thread] -= 1
        if not self._threads[point.thread]:
            del self._threads[point.thread]
            self._placement.release(point.thread)
