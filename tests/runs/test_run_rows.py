"""The rows of runs and of what waits of them, written directly: each field, each bound, each order."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta

import pytest
from django.utils import timezone

from dtvn.api.event_findings import Findings, Piece
from dtvn.events.judging import Event, Verdict
from dtvn.events.rules import refused
from dtvn.gateway import Recorded
from events.models import JudgedRun, OwedRun, RunPiece, RunRecord
from events.services import excerpts, owed_rows, run_rows
from events.services.answered_here import AnsweredHere
from events.services.run_rows import certificates_of, write

pytestmark = pytest.mark.django_db

NAMES = ("t", "r")


@pytest.fixture
def row() -> JudgedRun:
    return begun()


def begun() -> JudgedRun:
    return run_rows.begin(thread="t", run="r", algorithm="pbft", recorded=True, actor="key:1")


def piece(position: int, count: int = 1, *, certified: bool = True) -> Piece:
    certificate = b64encode(b"piece %d" % position).decode() if certified else ""
    verdict = Verdict.VALID if certified else Verdict.NONE
    return Piece(position, count, verdict, "", "", (), 0, False, "head", (), certificate)


def record(position: int, count: int = 1) -> Recorded:
    return Recorded("t", "r", position, count, b"record %d" % position, b"h" * 32, 7, 0, 1_000)


def written(row: JudgedRun, pieces: list[Piece], records: list[Recorded] | None = None, **more: bool) -> bool:
    return write(row.pk, NAMES, Findings(*NAMES), pieces, records or [], AnsweredHere(), **more)


def ended(row: JudgedRun, *, pieces: int = 0) -> None:
    written(row, [piece(at) for at in range(pieces)], ended=True)


def kept(row: JudgedRun) -> tuple[list[int], list[int], int]:
    """Positions of its pieces and of its records, and how many pieces were left out."""
    row.refresh_from_db()
    positions = row.pieces.values_list("position", flat=True)
    return list(positions), list(row.records.values_list("position", flat=True)), row.pieces_left_out


def test_a_run_that_is_judged_anew_keeps_the_time_at_which_it_ended_and_nothing_else(
    row: JudgedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_rows, "PIECES_EACH", 2)
    written(row, [piece(at) for at in range(3)], [record(0), record(1)], ended=True)
    assert kept(row) == ([0, 1], [0, 1], 1)
    earlier = timezone.now() - timedelta(hours=1)
    JudgedRun.objects.update(ended_at=earlier)
    written(row, [piece(0, 3)], [record(0, 3)], ended=True, anew=True)
    assert kept(row) == ([0], [0], 0)
    assert (row.status, row.ended_at) == ("ended", earlier)


def test_pieces_that_are_left_out_are_counted_over_all_writes(
    row: JudgedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_rows, "PIECES_EACH", 2)
    for at in range(0, 6, 2):
        written(row, [piece(at), piece(at + 1)])
    assert kept(row) == ([0, 1], [], 4)


def test_of_an_erased_run_nothing_is_written(row: JudgedRun) -> None:
    excerpts.keep(row.pk, made := excerpts.Excerpts())
    made.take(0, [b"{}"], refused(0, "MESSAGE_NOT_OPEN", "why").violations)
    number = row.pk
    assert excerpts.read(number)
    run_rows.erase(row)
    assert excerpts.read(number) == []
    assert write(number, NAMES, Findings(*NAMES), [piece(0)], [record(0)], AnsweredHere()) is False
    assert (RunPiece.objects.count(), RunRecord.objects.count()) == (0, 0)


def test_a_transcript_rests_on_the_log_only_if_it_covers_exactly_the_events(row: JudgedRun) -> None:
    written(row, [piece(0, 2), piece(2), piece(3, certified=False)], [record(0, 2), record(2, 2)])
    log, answers = [b"record 0", b"record 2"], [b"piece 0", b"piece 2"]
    assert certificates_of(row, 4) == (4, log)
    assert certificates_of(row, 3) == (3, answers)
    row.records.filter(position=0).delete()
    assert certificates_of(row, 4) == (3, answers), "there is a gap"
    row.pieces.filter(position=0).delete()
    assert certificates_of(row, 4) == (0, [])


def test_pieces_of_the_oldest_ended_runs_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_rows, "PIECES_KEPT", 3)
    live, old, new = begun(), begun(), begun()
    written(live, [piece(0)])
    ended(old, pieces=2)
    ended(new, pieces=2)
    begun()
    assert [len(kept(each)[0]) for each in (live, old, new)] == [1, 1, 2]


def test_runs_that_make_room_leave_no_excerpts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_rows, "RUNS_KEPT", 2)
    first = begun()
    excerpts.keep(first.pk, made := excerpts.Excerpts())
    made.take(0, [b"{}"], refused(0, "MESSAGE_NOT_OPEN", "why").violations)
    ended(first)
    begun()
    assert excerpts.read(first.pk)
    begun()
    assert not JudgedRun.objects.filter(pk=first.pk).exists()
    assert excerpts.read(first.pk) == []


# --- what waits ---------------------------------------------------------------------------------------


def events(*numbers: int) -> list[Event]:
    return [Event(bytes([number]) * 16, b"event %d" % number) for number in numbers]


def waits(row: JudgedRun) -> AnsweredHere:
    """Two events that were certified and two answered here, written in two parts."""
    here = AnsweredHere(1_000)
    here.certify(events(0, 1), {}, 0)
    for at in (2, 3):
        here.answer(events(at), {3: "BAD"} if at == 3 else {}, at)
        write(row.pk, NAMES, Findings(*NAMES), [], [], here, drop_unknown=True)
    return here


def test_a_waiting_run_is_restored_as_it_was(row: JudgedRun) -> None:
    here = waits(row)
    owed = OwedRun.objects.get()
    assert [(part.position, len(bytes(part.data)) > 0) for part in owed.parts.all()] == [(0, True), (3, True)]
    again = owed_rows.restored(owed)
    assert again.waiting == events(0, 1, 2, 3)
    assert (again.codes, again.code, again.at) == ({0: None, 1: None, 2: "", 3: "BAD"}, "BAD", here.at)
    assert (owed.drop_unknown, owed.size) == (True, here.size)
    row.refresh_from_db()
    assert owed_rows.given(row) == 4, "though two of them were not answered here"


def test_a_run_takes_no_room_from_itself(row: JudgedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owed_rows, "WAITING_MAX", 1)
    monkeypatch.setattr(owed_rows, "BYTES_MAX", 28)
    here = waits(row)
    assert (here.state, here.size) == ("waiting", 28)
    other = AnsweredHere(1_000)
    other.answer(events(0), {}, 0)
    write(begun().pk, NAMES, Findings(*NAMES), [], [], other)
    assert (other.state, other.refusal) == ("refused", "1 runs wait for the members' judgement already")
    monkeypatch.setattr(owed_rows, "WAITING_MAX", 9)
    other = AnsweredHere(1_000)
    other.answer(events(0), {}, 0)
    write(begun().pk, NAMES, Findings(*NAMES), [], [], other)
    said = "28 bytes of events wait for the members' judgement already"
    assert (other.state, other.refusal, owed_rows.count()) == ("refused", said, 1)


def test_a_claim_holds_until_it_is_released_or_runs_out(row: JudgedRun) -> None:
    waits(row)
    assert owed_rows.next_waiting(0) == row
    assert owed_rows.next_waiting(row.pk) is None
    assert owed_rows.claim(row.pk) is not None
    assert (owed_rows.claim(row.pk), owed_rows.next_waiting(0)) == (None, None)
    owed_rows.release(row.pk)
    assert owed_rows.next_waiting(0) == row
    assert owed_rows.claim(row.pk) is not None
    OwedRun.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert owed_rows.next_waiting(0) == row
    assert owed_rows.claim(row.pk) is not None
