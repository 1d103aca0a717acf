"""The log below an installed state is filled downwards, and a liar's range is refused (R23)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec import structs

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import EntryRecord, Note, Reason
from dtvn.protocol.consensus.ledger_tail import Gap
from dtvn.protocol.host.archive import PATIENCE, REST, SPAN_MAX, ArchiveRepair
from dtvn.protocol.wire import Envelope, PeerError, decode_envelope
from tests.host.doubles import Bench
from tests.host.support import Paper
from tests.ledger.samples import LogWriter
from tests.support.table import table

BASE = 200
SECOND = 1_000_000_000


class Shelf:
    """The entries that a ledger with a state of BASE has, in memory."""

    def __init__(self, log: Sequence[EntryRecord], held: Sequence[int] = ()) -> None:
        self.base = log[BASE - 1]
        self.held = {number: log[number - 1] for number in held}

    def gap(self, below: int) -> Gap:
        last = below - 1
        while last in self.held:
            last -= 1
        first = last
        while first and first not in self.held:
            first -= 1
        due = self.base.entry_hash if last == BASE else self.held[last + 1].entry.previous
        return Gap(first + 1, last, due)

    def fill(self, records: Sequence[EntryRecord]) -> None:
        for record in records:
            assert record.entry.sequence not in self.held
            self.held[record.entry.sequence] = record


class Room:
    """A repair, and members that answer from the same log; `lies` alters what a member sends."""

    def __init__(self, held: Sequence[int] = (), lowest: int = 1, members: Sequence[int] = (1, 2, 3)) -> None:
        self.log = LogWriter().entries(BASE + 5)
        self.shelf = Shelf(self.log, held)
        self.lowest, self.members = lowest, members
        self.now = SECOND
        self.asked: list[tuple[int, int, int]] = []
        self.refused: list[tuple[int, Reason]] = []
        self.silent: set[int] = set()
        """Members of an older release."""
        self.begin()

    def begin(self) -> None:
        self.repair = ArchiveRepair(
            self.shelf,  # type: ignore[arg-type]
            self.members,
            lowest=self.lowest,
            answers=lambda member: member not in self.silent,
            digest_of=Paper().door.digest_of,
            errors=PeerError,
        )
        self.repair.begin(BASE)

    def said(self, first: int, last: int) -> m.Entries:
        return m.Entries(tuple((r.entry, r.body, ()) for r in self.log[first - 1 : last]), ())

    def answer(self, member: int, first: int, last: int) -> m.Entries | None:
        return self.said(first, last)

    def run(self, turns: int = 1_000) -> None:
        for _ in range(turns):
            due = self.repair.deadline()
            if due is None:
                return
            self.now = max(self.now, due)
            question = self.repair.turn(self.now)
            if question is None:
                continue
            self.asked.append(question)
            answer = self.answer(*question)
            if answer is not None and self.repair.awaits(question[0], answer):
                reason = self.repair.take(answer, self.now)
                if reason is not None:
                    self.refused.append((question[0], reason))

    @property
    def whole(self) -> bool:
        return all(self.shelf.held.get(n) == bare(self.log[n - 1]) for n in range(self.lowest, BASE + 1))


def bare(record: EntryRecord) -> EntryRecord:
    return msgspec.structs.replace(record, commits=())


@pytest.mark.parametrize("held", [range(1, 60), [*range(1, 30), *range(90, 120)]])
def test_only_what_is_missing_is_asked_for(held: Sequence[int]) -> None:
    room = Room([])
    room.shelf.held = {number: bare(room.log[number - 1]) for number in held}
    room.run()
    assert room.whole
    for _member, first, last in room.asked:
        assert not set(range(first, last + 1)) & set(held)


def forged_entry(room: Room, first: int, last: int) -> m.Entries:
    pages = list(room.said(first, last).entries)
    entry, body, _ = pages[0]
    pages[0] = (msgspec.structs.replace(entry, timestamp=7), body, ())
    return m.Entries(tuple(pages), ())


def other_body(room: Room, first: int, last: int) -> m.Entries:
    pages = list(room.said(first, last).entries)
    pages[0] = (pages[0][0], pages[1][1], ())
    return m.Entries(tuple(pages), ())


def no_body(room: Room, first: int, last: int) -> m.Entries:
    pages = [(entry, b"", ()) for entry, _body, _ in room.said(first, last).entries]
    return m.Entries(tuple(pages), ())


def no_batch(room: Room, first: int, last: int) -> m.Entries:
    pages = [(entry, b"\xc1", ()) for entry, _body, _ in room.said(first, last).entries]
    return m.Entries(tuple(pages), ())


def changed_requests(room: Room, first: int, last: int, **changed: Any) -> m.Entries:
    """Entries whose batches have the digests that they must have."""
    pages = list(room.said(first, last).entries)
    entry, body, _ = pages[0]
    batch = canonical.decode(m.Batch, body)
    assert batch.requests
    frames = []
    for frame in batch.requests:
        parts = {"attachment": b"", **structs.asdict(decode_envelope(frame)[0]), **changed}
        frames.append(canonical.encode(Envelope(**parts)))
    pages[0] = (entry, canonical.encode(structs.replace(batch, requests=tuple(frames))), ())
    return m.Entries(tuple(pages), ())


def short_signature(room: Room, first: int, last: int) -> m.Entries:
    return changed_requests(room, first, last, signature=b"")


def attachment(room: Room, first: int, last: int) -> m.Entries:
    return changed_requests(room, first, last, attachment=b"more")


def with_a_hole(room: Room, first: int, last: int) -> m.Entries:
    pages = list(room.said(first, last).entries)
    return m.Entries((pages[0], *pages[2:]), ())


@table(
    "lie",
    [forged_entry, other_body, no_body, no_batch, short_signature, attachment, with_a_hole],
    count=7,
)
def test_a_liars_range_is_refused_and_another_member_is_asked(lie: object) -> None:
    room = Room()
    honest = room.answer
    room.answer = lambda member, *span: lie(room, *span) if member == 1 else honest(member, *span)  # type: ignore
    room.run()
    assert room.whole
    assert room.refused[0] == (1, Reason.BAD_PROOF)
    assert room.asked[1][0] == 2
    assert len(room.refused) <= 2


def test_a_member_that_does_not_answer_is_passed_over() -> None:
    room = Room()
    honest = room.answer
    room.answer = lambda member, *span: honest(member, *span) if member == 3 else None  # type: ignore
    room.run()
    assert room.whole
    assert [member for member, _first, _last in room.asked[:3]] == [1, 2, 3]


def test_lost_answers_between_others_make_it_neither_rest_nor_ask_for_less() -> None:
    room = Room()
    room.answer = lambda _member, *span: room.said(*span) if len(room.asked) % 2 == 0 else None  # type: ignore
    began = room.now
    room.run()
    assert room.whole
    assert len(room.asked) == 8
    assert [last - first + 1 for _member, first, last in room.asked[:6]] == [SPAN_MAX] * 6
    assert room.now - began < 4 * PATIENCE + SECOND < 4 * PATIENCE + REST


def test_a_member_of_an_older_release_is_not_asked_and_nothing_rests_because_of_it() -> None:
    room = Room()
    room.silent = {1, 2, 3}
    room.run(20)
    assert (room.asked, room.repair.complete_from) == ([], BASE + 1)
    room.silent = {1, 2}
    began = room.now
    room.run()
    assert room.whole
    assert {member for member, _first, _last in room.asked} == {3}
    assert room.now - began < REST


def test_it_tells_when_it_begins_and_when_nothing_is_missing_any_more() -> None:
    room = Room()
    assert room.repair.note() is None
    room.run(1)
    assert room.repair.note() == Note("archive_filling", {"up_to": BASE})
    room.run(3)
    assert (room.repair.note(), 1 < room.repair.complete_from <= BASE) == (None, True)
    room.run()
    assert room.repair.note() == Note("archive_complete", {"from": 1})
    assert (room.repair.note(), room.repair.complete_from) == (None, 0)


def test_a_whole_log_below_a_state_is_not_news() -> None:
    room = Room(range(1, BASE + 1))
    room.run()
    assert (room.repair.note(), room.repair.complete_from) == (None, 0)


def test_when_nobody_has_a_range_it_rests_and_asks_for_less() -> None:
    room = Room()
    room.answer = lambda *_question: None  # type: ignore[method-assign,assignment]
    began = room.now
    room.run(40)
    spans = [last - first + 1 for _member, first, last in room.asked]
    assert spans[:7] == [SPAN_MAX] * 3 + [SPAN_MAX // 4] * 3 + [SPAN_MAX // 16]
    assert min(spans) == 1
    assert room.now - began > len(spans) // 3 * REST + len(spans) * PATIENCE // 2


def test_a_range_that_is_cut_by_its_size_is_asked_for_in_smaller_pieces() -> None:
    room = Room()
    room.answer = lambda member, first, last: room.said(first, min(last, first + 9))  # type: ignore
    began = room.now
    room.run()
    assert room.whole
    assert not room.refused
    assert {member for member, _first, _last in room.asked} == {1}, "it is not to blame"
    spans = [last - first + 1 for _member, first, last in room.asked]
    assert spans[:3] == [SPAN_MAX, 10, 20], "what comes whole is followed by more"
    assert room.now - began < PATIENCE, "nothing is waited for"


def test_what_nobody_asked_for_is_not_taken() -> None:
    room = Room()
    assert not room.repair.awaits(1, room.said(137, 200))
    member, first, last = room.repair.turn(room.now) or room.repair.turn(room.now + SECOND) or (0, 0, 0)
    assert not room.repair.awaits(member + 1, room.said(first, last))
    assert not room.repair.awaits(None, room.said(first, last))
    assert not room.repair.awaits(member, room.said(first - 1, last))
    assert not room.repair.awaits(member, room.said(first + 1, last))
    assert not room.repair.awaits(member, room.said(first, last + 1))
    assert not room.repair.awaits(member, m.Entries((), ()))
    assert room.repair.awaits(member, room.said(first, last))


def test_a_host_fills_its_log_from_another_hosts_and_that_one_sends_entries_alone() -> None:
    here, there = Bench(), Bench()
    room = Room()
    there.journal.log = {record.entry.sequence: record for record in room.log}
    there.host.log_server.begin(len(room.log))
    repair = here.host.archive = room.repair
    asked = 0
    while repair.deadline() is not None and asked < 20:
        here.clock.monotonic = there.clock.monotonic = max(repair.deadline() or 0, here.clock.monotonic + 1)
        here.tape.said.clear()
        here.host.turn()
        for what, send in list(here.tape.said):
            if what != "send":
                continue
            asked += 1
            there.clock.monotonic += SECOND
            there.tape.said.clear()
            there.hear(send.frame)
            there.host.turn()
            [(_peer, frame)] = [value for said, value in there.tape.said if said == "answer"]
            here.hear(frame, index=send.to)
            here.host.turn()
            assert "receive" not in [said for said, _ in here.tape.said], "the core does not see it"
    assert room.whole
    assert asked == 4
