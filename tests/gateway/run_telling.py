"""Runs of agent events that write down each step: what is asked, judged, recorded, and due next.

Members answer when the story says so, and so does the log, which keeps the heads of runs as the machine does.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import pytest

from dtvn.events.asking.forms import VERSION, Answers, decode_answers, decode_asks
from dtvn.events.judging import Event, Vote, check_form, next_head, sign_turn
from dtvn.events.judging.turns import Turn
from dtvn.gateway import Recorded, Result, RunPlace, event_records, event_runs
from dtvn.gateway.event_runs import EventActions, LiveRun
from dtvn.gateway.events_face import Judged
from dtvn.machine import Record, reasons
from dtvn.machine.commands import check
from dtvn.machine.rows import RunRow
from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from tests.events.judging.support import CLUSTER, keys
from tests.gateway.test_event_epochs import WAIT, World
from tests.gateway.wording import Wording
from tests.golden import Telling

MILLISECOND = 1_000_000
TURNS_MAX = 40
"""Turns after which something must have been decided."""
Said = list[tuple[int, bytes]]


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a short story reaches."""
    for module, name, value in (
        (event_runs, "OPERATIONS_AT_ONCE", 3),
        (event_runs, "CHUNK_EVENTS_MAX", 8),
        (event_runs, "CHUNK_BYTES_MAX", 600),
        (event_runs, "BYTES_WAITING_MAX", 3_000),
        (event_records, "CHUNK_EVENTS_MAX", 8),
        (event_records, "CHUNK_BYTES_MAX", 600),
        (event_records, "LARGE", 4),
        (event_records, "AT_ONCE", 3),
        (event_records, "GATHERED_MAX", 10),
        (event_records, "GATHERED_BYTES_MAX", 900),
        (event_records, "BACKLOG_MAX", 12),
        (event_records, "BACKLOG_BYTES_MAX", 1_500),
    ):
        monkeypatch.setattr(module, name, value)


class TellingWorld(World, Telling):
    """A World that tells each of its steps."""

    def __init__(self) -> None:
        self.words = Wording()
        self.salts = 0
        self.live: dict[str, LiveRun] = {}
        """Runs by the name that they were begun with."""
        self.held: Said = []
        """Answers on their way from the members."""
        self.rows: dict[tuple[str, str], RunRow] = {}
        """What the log holds of each run."""
        self.sequence = 0
        self.liars: dict[int, Callable[[Vote], Vote]] = {}
        """Members that vote otherwise than they should."""
        Telling.__init__(self)
        World.__init__(self)

    # --- steps ----------------------------------------------------------------------------------

    def begun(self, thread: str, run: str, **more: object) -> LiveRun:
        """A run of this name begins."""
        made = self.runs.begin(thread, run, **{"event": "default", "actor": "a"} | more)  # type: ignore[arg-type]
        self.live[run] = made
        self.say(
            f"{self.at} begin {thread} {run} {self.words(more)}: number {made.number} {made.algorithm.value} "
            f"placed {list(made.placed)} at {self._place(made.place)}"
        )
        return made

    def asked(self, run: str, *texts: bytes, wait: int = WAIT) -> None:
        """These events of a run are to be judged."""
        events = [Event((self.salts + place).to_bytes(16, "big"), text) for place, text in enumerate(texts)]
        self.salts += len(texts)
        call = self.runs.judge(self.live[run].number, events, self.time, wait=wait)
        self.say(f"{self.at} judge {run}: {len(texts)} events of {sum(map(len, texts))} bytes, call {call}")

    def ending(self, run: str, wait: int = WAIT) -> None:
        """A run is to end."""
        self.say(f"{self.at} end {run}")
        self.runs.end(self.live[run].number, self.time, wait=wait)

    def later(self, milliseconds: int) -> None:
        """Time goes by."""
        self.time += milliseconds * MILLISECOND
        self.say(f"{self.at} {milliseconds} ms have gone by")

    def links(self, *members: int) -> None:
        """These members are connected."""
        self.say(f"{self.at} connected {list(members)}")
        self.runs.connected(frozenset(members))

    def entered(self, members: int, epoch: int) -> None:
        """The next epoch begins."""
        self.say(f"{self.at} epoch {epoch} of {members} members")
        self.enter(members, epoch)

    def hear(self, *members: int) -> None:
        """The answers of these members arrive; those of others stay on their way."""
        for member, answer in [each for each in self.held if each[0] in members]:
            self.held.remove((member, answer))
            self.runs.receive(member, answer)

    def turn(self) -> EventActions:
        """One turn of the gateway, whose questions the members read at once."""
        before = len(self.held)
        actions = self.take()
        self._tell(actions)
        self.held += self.said(actions)
        if len(self.held) > before:
            self.say(f"  answers of {[member for member, _answer in self.held[before:]]}")
        return actions

    def turns(self, *members: int) -> None:
        """Turns until these members (none named: all) have nothing more to say."""
        speakers = members or tuple(range(self.members))
        for _turn in range(TURNS_MAX):
            self.turn()
            if not any(member in speakers for member, _answer in self.held):
                return
            self.hear(*speakers)
        pytest.fail("the same is asked again and again")

    def said(self, actions: EventActions) -> Said:
        """See World; liars sign their own votes."""
        return [(member, self._changed(member, answer)) for member, answer in super().said(actions)]

    def _changed(self, member: int, answer: bytes) -> bytes:
        answers = decode_answers(canonical.decode(m.Judged, answer).body)
        if member not in self.liars or not answers.turn:
            return answer
        told = [canonical.decode(Vote, vote) for vote in canonical.decode(Turn, answers.turn).votes]
        votes = [self.liars[member](vote) for vote in told]
        turn = sign_turn(votes, cluster=CLUSTER, epoch=self.epoch, member=member, secret=keys(member)[1])
        return canonical.encode(m.Judged(canonical.encode(Answers(VERSION, self.epoch, turn, ()))))

    # --- the log --------------------------------------------------------------------------------

    def logged(self, place: int = -1, *codes: str) -> None:
        """The log answers a submission: `codes` for its first operations, and what it does with the rest."""
        number, operations = self.submitted.pop(place)
        self.sequence += 1
        said = list(codes)
        results = [
            Result(code, self._known(each)) if code else self._record(each, index)
            for index, (each, code) in enumerate(
                zip(operations, said + [""] * (len(operations) - len(said)), strict=True)
            )
        ]
        self.say(f"{self.at} outcomes of {number}: {[each.code for each in results]}")
        self.runs.outcomes(number, results, self.time)

    def given(self, *results: Result, place: int = -1) -> None:
        """The log answers a submission with these."""
        number, _operations = self.submitted.pop(place)
        self.say(f"{self.at} outcomes of {number}: {[each.code for each in results]} as given")
        self.runs.outcomes(number, results, self.time)

    def lost(self, place: int = -1) -> None:
        """A submission could not be made."""
        number, _operations = self.submitted.pop(place)
        self.say(f"{self.at} {number} could not be submitted")
        self.runs.outcomes(number, None, self.time)

    def _known(self, operation: m.Operation) -> bytes:
        row = self.rows.get(_run_of(_record_of(operation)))
        return b"" if row is None else canonical.encode(row)

    def _record(self, operation: m.Operation, index: int) -> Result:
        record = _record_of(operation)
        vote = check_form(record.certificate)
        old = self.rows.get(_run_of(record))
        if record.certificate.epoch != self.epoch:
            return Result(reasons.WRONG_EPOCH)
        if old is not None and old.head != record.previous:
            return Result(reasons.NOT_NEXT, canonical.encode(old))
        head = next_head(record.previous, record.certificate.vote)
        position = vote.question.position + vote.question.count
        fields = (self.sequence, index, 7_000 + self.sequence, position, 0, head, vote.after, record.ends)
        self.rows[_run_of(record)] = RunRow("gateway", 1, *fields)
        return Result(reasons.OK, b"", self.sequence, index, 7_000 + self.sequence)

    # --- in words -------------------------------------------------------------------------------

    @property
    def at(self) -> str:
        """The time since the beginning."""
        return f"{self.time / MILLISECOND:g} ms"

    def all_logged(self) -> None:
        """The log answers what is submitted, and what is submitted then, until nothing is left."""
        while self.submitted:
            self.logged()
            self.turns()

    def standing(self) -> None:
        """All that the runs, and the newest ones among them, can be asked."""
        runs = self.runs
        offered = [each.value for each in runs.offered]
        self.say(f"  stands: {len(runs)} live, offered {offered}, refused answers {list(runs.refused())}")
        for name, run in [*self.live.items()][-4:]:
            rule = run.rule and run.rule.algorithm.value
            line = (
                f"    {name}: at {run.position} rule {rule} placed {list(run.placed)} calls {len(run.calls)}"
            )
            if (recorder := run.recorder) is not None:
                line += (
                    f" outcome {recorder.outcome!r} idle {recorder.idle} full {recorder.full} "
                    f"flying {recorder.flying} due {_milliseconds(recorder.deadline())}"
                )
            self.say(f"{line} place {self._place(run.place)}")

    def _tell(self, actions: EventActions) -> None:
        self.say(f"{self.at} turn")
        for body, pairs in groupby(actions.send, key=lambda each: each[1]):
            asks = [
                f"{each.question.run}@{each.question.position}+{each.question.count}"
                + (" with state" if each.state else "")
                for each in decode_asks(body).asks
            ]
            self.say(f"  ask {[member for member, _body in pairs]}: {', '.join(asks)}")
        for call, judged in actions.judged:
            self._tell_judged(call, judged)
        for number, each in actions.recorded:
            self.say(f"  recorded of {number}: {self._recorded(each)}")
        for number, operations in actions.submit:
            self.say(f"  submit {number}")
            for operation in operations:
                self.say(f"    {self._operation(operation)}")
        for number, end in actions.ended:
            self.say(f"  ended {number} {end.run}: {end.code!r} {self._place(end.place)}")
        self.say(f"  due {_milliseconds(self.runs.deadline())}")

    def _tell_judged(self, call: int, judged: Judged) -> None:
        here = [(violation.index, violation.code) for violation in judged.violations]
        self.say(
            f"  call {call}: {judged.verdict.value} {judged.run} {judged.algorithm.value} "
            f"at {judged.position} salts {len(judged.salts)} certified {judged.certified} "
            f"partial {judged.partial} failure {judged.failure} here {here}"
        )
        for piece in judged.pieces:
            self.say(
                f"    {piece.verdict.value} {piece.position}+{piece.count} epoch {piece.epoch} {piece.code} "
                f"{list(piece.errors)} partial {piece.partial} certificate {self.words(piece.certificate)} "
                f"{' '.join(f'{each.member}:{each.given.value}{each.reason}' for each in piece.members)}"
            )

    def _operation(self, operation: m.Operation) -> str:
        record = _record_of(operation)
        question = check_form(record.certificate).question
        return (
            f"{question.thread} {question.run} {question.position}+{question.count} epoch "
            f"{record.certificate.epoch} after {self.words.name(record.previous)} ends {record.ends} "
            f"{operation.event} {operation.actor} via {operation.entry}"
        )

    def _recorded(self, each: Recorded) -> str:
        return (
            f"{each.thread} {each.run} {each.position}+{each.count} certificate "
            f"{self.words(each.certificate)} head {self.words.name(each.head)} "
            f"at {each.sequence}.{each.index} {each.timestamp}"
        )

    def _place(self, place: RunPlace) -> str:
        return f"{place.position} state {self.words(place.state)} head {self.words.name(place.head)}"


def _record_of(operation: m.Operation) -> Record:
    record = check(operation)
    assert isinstance(record, Record)
    return record


def _run_of(record: Record) -> tuple[str, str]:
    question = check_form(record.certificate).question
    return question.thread, question.run


def _milliseconds(time: int | None) -> str:
    return "never" if time is None else f"{time / MILLISECOND:.3f} ms"
