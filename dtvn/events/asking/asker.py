"""The gateway's side: frames the questions of many runs, and repeats those without an answer. Pure.

A member that owes no answer gets a question at once. One that owes answers gets the questions of each
GATHER together, so that under load it signs once for many. Members answer in the order in which they were
asked. A question is sent again, with the state of the run, which a restarted member lacks: RETRY after it was
sent if the member has answered a later one, else RETRY after the member's newest answer, so that a slow
member does not get the same work twice. Times are monotonic nanoseconds."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

import msgspec

from dtvn.events.asking.forms import (
    ASKS_MAX,
    STATE_BYTES_MAX,
    VERSION,
    Asked,
    FormError,
    decode_answers,
)
from dtvn.events.judging import Abstention, Electorate, Event, MemberVote, Question, open_turn
from dtvn.protocol import canonical
from dtvn.protocol.proof_errors import ProofError

GATHER = 4_000_000
"""Nanoseconds between two frames to a member that owes answers."""
RETRY = 500_000_000
FRAME_BYTES = 256 * 1024
"""Bytes of a frame after which the next one begins."""
OWED_MAX = 4_096
"""Questions that a member may owe answers to before it gets further ones."""
LATE = 5_000_000_000
"""Nanoseconds after it was sent for which an answer to a withdrawn question still counts as one."""
LATE_MAX = 8_192
"""Most withdrawn questions by member whose answers are still awaited."""
RECENT, RECENT_MIN = 20, 5
"""The error rate of a member is that of its last 20 questions, and says nothing for fewer than five."""

StateOf = Callable[[], bytes]
"""Returns the canonical bytes of the rule state before a question; b"" if the gateway does not hold it."""


class Answered(msgspec.Struct):
    """Votes and abstentions from one frame of a member."""

    votes: Sequence[MemberVote] = ()
    abstained: list[tuple[Question, Abstention]] = []
    """Questions that this member will not vote on."""


class AnswerCounts:
    """Questions by member id that came to an end: with an answer, or LATE after they were sent without
    one."""

    def __init__(self) -> None:
        self.answered: Counter[str] = Counter()
        """Votes and abstentions, whether they were still needed or not."""
        self.unanswered: Counter[str] = Counter()
        self._recent: dict[str, deque[bool]] = {}
        """Whether each of the newest ones was answered."""

    def add(self, member: str, *, answered: bool) -> None:
        """Count the end of a question."""
        (self.answered if answered else self.unanswered)[member] += 1
        self._recent.setdefault(member, deque(maxlen=RECENT)).append(answered)

    def error_rates(self) -> dict[str, float]:
        """Unanswered share of each member's last RECENT questions, without members that had fewer than
        RECENT_MIN."""
        enough = {member: ends for member, ends in self._recent.items() if len(ends) >= RECENT_MIN}
        return {member: ends.count(False) / len(ends) for member, ends in enough.items()}


class _Item(msgspec.Struct):
    number: int
    question: Question
    events: Sequence[Event]
    state_of: StateOf
    plain: msgspec.Raw
    """The encoded question without a state, the same for all members."""
    with_state: bool = False
    sent_at: int = -1
    """-1: never."""


class _Line:
    """Questions for one member: those that wait to be sent, those that it owes an answer to, in the order in
    which they were sent, and those that were withdrawn afterwards."""

    __slots__ = ("heard", "heard_at", "late", "numbers", "owed", "passed", "sent_at", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[int, _Item] = {}
        self.owed: dict[int, _Item] = {}
        self.late: dict[int, tuple[Question, int]] = {}
        """Withdrawn: the question, and when it was sent."""
        self.numbers: dict[Question, int] = {}
        self.sent_at = 0
        self.heard = False
        """Whether an answer has arrived since `heard_at` was set; `receive` gets no time."""
        self.heard_at = 0
        self.passed = 0
        """Latest sending time among the questions that the member has answered."""

    def retry_at(self) -> int:
        """Monotonic nanoseconds at which the oldest owed question is sent again; there must be one."""
        sent_at = next(iter(self.owed.values())).sent_at
        return (sent_at if sent_at < self.passed else max(sent_at, self.heard_at)) + RETRY


class Asker:
    """Sends questions to the members of one epoch and reads their answers. `number`: that of the next
    question, higher than all used before. `counts`: those of the epochs before, which go on."""

    def __init__(self, electorate: Electorate, number: int = 1, counts: AnswerCounts | None = None) -> None:
        self.number = number
        self.counts = counts or AnswerCounts()
        self.refused = [0] * len(electorate.members)
        """Invalid answers by member."""
        self._electorate = electorate
        self._lines = [_Line() for _ in electorate.members]
        self._connected: frozenset[int] = frozenset()

    def connected(self, members: frozenset[int]) -> None:
        """Set which members have an authenticated connection. Questions that a disconnected member owes are
        sent again on its next connection."""
        for member in self._connected - members:
            line = self._lines[member]
            line.waiting = {**line.owed, **line.waiting}
            line.owed = {}
        self._connected = members

    def ask(
        self, members: Sequence[int], question: Question, events: Sequence[Event], state_of: StateOf
    ) -> None:
        """Queue one question for these members; `bodies` sends it."""
        number = self.number
        self.number += 1
        pairs = tuple((event.salt, event.text) for event in events)
        plain = msgspec.Raw(canonical.encode(Asked(number, question, pairs)))
        for member in members:
            line = self._lines[member]
            line.late.pop(line.numbers.get(question, 0), None)
            line.numbers[question] = number
            line.waiting[number] = _Item(number, question, events, state_of, plain)

    def forget(self, question: Question) -> None:
        """Withdraw a question from all members: its answers are no longer needed."""
        for line in self._lines:
            number = line.numbers.get(question, 0)
            item = line.owed.pop(number, None) or line.waiting.pop(number, None)
            if item is None:
                continue
            if item.sent_at >= 0:
                line.late[number] = question, item.sent_at
            else:
                del line.numbers[question]

    def receive(self, member: int, body: bytes) -> Answered:
        """Read a member's answers (the body of a Judged). Never raises: an invalid body is counted in
        `refused` and gives no answers. Votes on questions that were never asked, or are settled, are returned
        too, since they may contradict other votes."""
        try:
            answers = decode_answers(body)
            if answers.epoch != self._electorate.epoch:
                return Answered()  # it is in another epoch: RETRY asks again
            votes = open_turn(answers.turn, self._electorate, member) if answers.turn else []
        except (FormError, ProofError):
            self.refused[member] += 1
            return Answered()
        line = self._lines[member]
        for vote in votes:
            self._settled(member, line.numbers.get(vote.vote.question, 0))
        answered = Answered(votes)
        for number, reason in answers.abstentions:
            item = line.owed.get(number)
            if reason is Abstention.OTHER_EPOCH:
                continue
            if item is None:
                self._came_late(member, number)
                continue
            if reason is Abstention.STATE_UNKNOWN and not item.with_state and item.state_of():
                del line.owed[number]
                item.with_state = True
                line.waiting[number] = item
            else:
                self._settled(member, number)
                answered.abstained.append((item.question, reason))
        return answered

    def bodies(self, now: int) -> list[tuple[int, bytes]]:
        """Frames to send now: (member index, body of a Judge)."""
        self.give_up(now)
        made = []
        for member in sorted(self._connected):
            line = self._lines[member]
            self._again(line, now)
            while line.waiting and len(line.owed) < OWED_MAX and self._due(line) <= now:
                made.append((member, self._body(line, now)))
                if not line.waiting:
                    line.sent_at = now
        return made

    def give_up(self, now: int) -> None:
        """Count withdrawn questions as unanswered after LATE; beyond LATE_MAX, the oldest ones at once."""
        for line, member in zip(self._lines, self._electorate.members, strict=True):
            while line.late:
                number, (question, sent_at) = next(iter(line.late.items()))
                if now < sent_at + LATE and len(line.late) <= LATE_MAX:
                    break
                del line.late[number]
                line.numbers.pop(question, None)
                self.counts.add(member.id, answered=False)

    def awaited(self) -> dict[str, int]:
        """Number of questions by member id whose answer may still come, withdrawn ones included."""
        lines = zip(self._electorate.members, self._lines, strict=True)
        return {member.id: len(line.owed) + len(line.late) for member, line in lines}

    def deadline(self) -> int | None:
        """Monotonic nanoseconds at which `bodies` returns the next frame; None if no connected member has a
        question that waits or is owed."""
        times = []
        for member in self._connected:
            line = self._lines[member]
            if line.waiting and len(line.owed) < OWED_MAX:
                times.append(self._due(line))
            if line.owed:
                times.append(line.retry_at())
        return min(times, default=None)

    def _due(self, line: _Line) -> int:
        return line.sent_at + GATHER if line.owed else 0

    def _again(self, line: _Line, now: int) -> None:
        if line.heard:
            line.heard, line.heard_at = False, now
        while line.owed and line.retry_at() <= now:
            item = line.owed.pop(next(iter(line.owed)))
            item.with_state = True
            line.waiting[item.number] = item

    def _body(self, line: _Line, now: int) -> bytes:
        """Encode the next waiting questions as one frame, and move them to `owed`."""
        parts: list[msgspec.Raw] = []
        size = 0
        while line.waiting and len(parts) < ASKS_MAX and len(line.owed) < OWED_MAX:
            item = next(iter(line.waiting.values()))
            part = self._encoded(item)
            if parts and size + len(part) > FRAME_BYTES:
                break
            del line.waiting[item.number]
            item.sent_at = now
            line.owed[item.number] = item
            parts.append(part)
            size += len(part)
        return canonical.encode((VERSION, self._electorate.epoch, tuple(parts)))

    def _encoded(self, item: _Item) -> msgspec.Raw:
        state = item.state_of() if item.with_state else b""
        if not state or len(state) > STATE_BYTES_MAX:
            return item.plain
        pairs = tuple((event.salt, event.text) for event in item.events)
        return msgspec.Raw(canonical.encode(Asked(item.number, item.question, pairs, state)))

    def _settled(self, member: int, number: int) -> None:
        line = self._lines[member]
        item = line.owed.pop(number, None)
        if item is not None:
            line.heard, line.passed = True, max(line.passed, item.sent_at)
        else:
            item = line.waiting.pop(number, None)
        if item is None:
            self._came_late(member, number)
            return
        line.numbers.pop(item.question, None)
        self.counts.add(self._electorate.members[member].id, answered=True)

    def _came_late(self, member: int, number: int) -> None:
        line = self._lines[member]
        question, _ = line.late.pop(number, (None, 0))
        if question is not None:
            line.numbers.pop(question, None)
            self.counts.add(self._electorate.members[member].id, answered=True)
