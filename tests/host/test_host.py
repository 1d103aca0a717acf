"""The pump: durable before sent, and a failed turn sends nothing (PROTOCOL R6, R8, R9)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import (
    ALL,
    Effects,
    Note,
    Reason,
    ReplyTo,
    Send,
    StateRecord,
    Successor,
)
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.genesis import Parameters
from dtvn.protocol.host import INBOUND_MAX, EpochOver, TurnLost
from dtvn.protocol.host.ports import JournalError, JournalFenced, JournalFull
from dtvn.protocol.host.questions import ANSWERED_MAX, COST, WAITING_MAX
from dtvn.protocol.host.time_share import SAVED_MAX, SHARE
from dtvn.protocol.wire import decode_envelope, link_frame
from tests.host.doubles import EMPTY, Bench, Tape, entry_record

RECORD = StateRecord("vote", b"yes")


def full_effects() -> Effects:
    return Effects(
        persist=[RECORD],
        send=[Send(ALL, b"frame")],
        reply=[ReplyTo("gateway", b"12345678", b"reply")],
        notes=[Note("voted", {})],
    )


def spoken(bench: Bench) -> list[str]:
    return [word for word in bench.tape.words() if word in {"send", "reply", "answer", "note"}]


def test_r6_one_turn_is_one_write_for_any_number_of_messages() -> None:
    bench = Bench()
    bench.core.on_receive = lambda verified: full_effects()
    bench.hear(*(bench.vote(sequence) for sequence in range(1, 11)))
    assert bench.host.turn() == 10
    assert [value for what, value in bench.tape.said if what == "persist"] == [(RECORD,) * 10]
    first_send = bench.tape.words().index("send")
    assert "receive" not in bench.tape.words()[first_send:], "nobody hears us before all is durable"


@pytest.mark.parametrize(
    ("effects", "synced"),
    [
        (Effects(persist=[entry_record(1)], reply=[ReplyTo("gateway", b"12345678", b"done")]), 0),
        (Effects(persist=[entry_record(1)], send=[Send(ALL, b"my checkpoint")]), 1),
        (Effects(persist=[entry_record(1), RECORD]), 1),
        (Effects(persist=[RECORD], reply=[ReplyTo("gateway", b"12345678", b"done")]), 1),
    ],
)
def test_r9_only_execution_turns_that_answer_clients_skip_the_sync(effects: Effects, synced: int) -> None:
    """Its entries follow from what q members had synced before they said COMMIT (decision 0013)."""
    bench = Bench()
    bench.core.on_receive = lambda verified: effects
    bench.hear(bench.vote())
    bench.host.turn()
    assert bench.journal.synced == synced
    assert bench.tape.words()[:2] == ["receive", "persist"], "written before anybody hears of it"


@pytest.mark.parametrize("error", [JournalError("io"), JournalFull("full"), JournalFenced("other")])
def test_r8_a_turn_whose_write_fails_sends_nothing(error: JournalError) -> None:
    bench = Bench()
    bench.core.on_receive = lambda verified: full_effects()
    bench.journal.failing = error
    bench.hear(bench.vote())
    with pytest.raises(TurnLost) as caught:
        bench.host.turn()
    assert caught.value.__cause__ is error, "the runner tells a full disk from a broken one"
    assert spoken(bench) == []
    bench.journal.failing = None
    with pytest.raises(TurnLost):
        bench.host.turn()
    assert spoken(bench) == [], "the core object is never used again"


def test_r8_a_step_that_raises_drops_the_whole_turn() -> None:
    """Also what an earlier message of the same turn had caused: a half-made turn is never persisted."""
    bench = Bench()
    steps = iter([full_effects()])
    bench.core.on_receive = lambda verified: next(steps)
    bench.hear(bench.vote(1), bench.vote(2))
    with pytest.raises(TurnLost):
        bench.host.turn()
    assert "persist" not in bench.tape.words()
    assert spoken(bench) == []
    with pytest.raises(TurnLost):
        bench.host.flush_rows()


def test_r8_a_tick_that_raises_drops_the_turn() -> None:
    bench = Bench()
    bench.core.due = 0

    def raises() -> Effects:
        raise ZeroDivisionError

    bench.core.on_tick = raises
    with pytest.raises(TurnLost):
        bench.host.turn()
    assert spoken(bench) == []


# --- the door in the pump ------------------------------------------------------------------------


def test_r5_what_the_core_does_not_want_costs_no_signature() -> None:
    bench = Bench()
    bench.core.refusing = Reason.OUTSIDE_WINDOW
    bench.hear(bench.vote())
    bench.host.turn()
    assert bench.paper.door.verifications == 0
    assert bench.tape.words() == ["refused", "note"]
    note = bench.tape.said[1][1]
    assert (note.kind, note.fields["reason"], note.fields["peer"]) == ("refused", "outside_window", "r1")


def test_row_15_a_turn_takes_a_bounded_number_of_frames() -> None:
    bench = Bench()
    bench.hear(*[bench.vote()] * (INBOUND_MAX + 1))
    assert bench.host.turn() == INBOUND_MAX
    assert bench.host.turn() == 1


def test_r8_a_query_is_answered_only_when_its_turn_is_durable() -> None:
    """An answer about a node must not be lost with the turn in which it was asked."""
    bench = Bench()
    bench.core.on_receive = lambda verified: full_effects()
    bench.journal.failing = JournalError("io")
    bench.hear(bench.vote(), bench.paper.signer("r1").link(m.Query(7, "status", ())))
    with pytest.raises(TurnLost):
        bench.host.turn()
    assert spoken(bench) == []


def test_r8_a_follower_gets_no_entry_of_a_turn_that_was_not_written() -> None:
    """It would hold an entry that the member which sent it does not have."""
    bench = Bench()
    bench.host.start()
    bench.core.on_receive = lambda verified: Effects(persist=[entry_record(1)])
    bench.hear(bench.paper.signer("r2").link(m.Follow(0, 1)), index=2)
    bench.host.turn()
    bench.journal.failing = JournalError("io")
    bench.tape.said.clear()
    bench.hear(bench.vote())
    with pytest.raises(TurnLost):
        bench.host.turn()
    assert spoken(bench) == []


def test_r8_a_follower_gets_an_entry_after_it_was_written() -> None:
    bench = Bench()
    bench.host.start()
    bench.core.on_receive = lambda verified: Effects(persist=[entry_record(1)])
    bench.hear(bench.paper.signer("r2").link(m.Follow(0, 1)), index=2)
    bench.host.turn()
    bench.tape.said.clear()
    bench.hear(bench.vote())
    bench.host.turn()
    words = bench.tape.words()
    assert words.index("persist") < words.index("answer")


# --- start and rows ------------------------------------------------------------------------------


def test_r7_a_restart_loads_rows_restores_the_core_and_sends_again() -> None:
    bench = Bench()
    bench.core.on_restore = lambda: Effects(send=[Send(ALL, b"same bytes")])
    bench.host.start()
    assert bench.tape.words() == ["load", "load rows", "restore", "send"]


def test_a_restore_that_raises_ends_the_host() -> None:
    bench = Bench()

    def raises() -> Effects:
        raise ValueError("damaged")

    bench.core.on_restore = raises
    with pytest.raises(TurnLost):
        bench.host.start()
    with pytest.raises(TurnLost):
        bench.host.turn()


def test_r9_rows_follow_the_log_in_a_write_of_their_own_when_idle() -> None:
    bench = Bench()
    bench.core.on_receive = lambda verified: Effects(persist=[entry_record(1)])
    bench.hear(bench.vote())
    bench.host.turn()
    assert bench.tape.words() == ["receive", "persist"], "not in the turn that serves a peer"
    assert bench.host.wake_at() == bench.clock.monotonic, "but a turn is wanted at once"
    bench.host.turn()
    assert bench.tape.said[-1] == ("rows", (1, 1_001))
    assert bench.host.wake_at() is None


def test_r9_rows_lag_at_most_100_ms_while_traffic_flows() -> None:
    bench = Bench()
    sequence = iter(range(1, 1_000))
    bench.core.on_receive = lambda verified: Effects(persist=[entry_record(next(sequence))])
    written: list[int] = []
    for millisecond in range(300):
        bench.clock.monotonic = millisecond * 1_000_000
        bench.hear(bench.vote())
        bench.host.turn()
        if bench.tape.words()[-1] == "rows":
            written.append(millisecond)
    assert written
    gaps = [b - a for a, b in zip([0, *written], [*written, 299], strict=True)]
    assert max(gaps) <= 100


def test_r9_rows_that_cannot_be_written_end_the_host() -> None:
    bench = Bench()
    bench.core.on_receive = lambda verified: Effects(persist=[entry_record(1)])
    bench.hear(bench.vote())
    bench.host.turn()
    bench.journal.failing = JournalFull("full")
    with pytest.raises(TurnLost):
        bench.host.turn()


def test_r17_flush_brings_the_rows_up_at_once_and_close_does_too() -> None:
    bench = Bench()
    sequence = iter((1, 2))
    bench.core.on_receive = lambda verified: Effects(persist=[entry_record(next(sequence))])
    bench.hear(bench.vote())
    bench.host.turn()
    bench.host.flush_rows()
    assert bench.tape.said[-1] == ("rows", (1, 1_001))
    bench.host.flush_rows()
    assert bench.tape.words().count("rows") == 1, "nothing new, no write"
    bench.hear(bench.vote())
    bench.host.turn()
    bench.host.close()
    assert bench.tape.said[-1] == ("rows", (2, 1_002))
    with pytest.raises(TurnLost):
        bench.host.turn()


def test_r9_rows_behind_the_log_at_start_are_brought_up() -> None:
    tail = type(EMPTY)(
        frontier=EMPTY.frontier,
        applied_sequence=3,
        rows=(),
        entries=(entry_record(4), entry_record(5)),
        slots=(),
        checkpoint=None,
        states=(),
    )
    bench = Bench(tail)
    bench.host.start()
    assert bench.host.executed == 5
    bench.host.turn()
    assert bench.tape.said[-1] == ("rows", (5, 1_005))


def test_r9_entries_below_a_snapshot_do_not_take_the_rows_back() -> None:
    """Its own log ends with entry 11, and a snapshot of 20 is above it: a ledger whose rows were called those
    of 11 could not be opened again."""
    tail = replace(EMPTY, applied_sequence=20, entries=(entry_record(10), entry_record(11)))
    bench = Bench(tail)
    bench.host.start()
    assert bench.host.executed == 20
    bench.host.turn()
    bench.host.close()
    assert "rows" not in bench.tape.words()


# --- an epoch ends -------------------------------------------------------------------------------

NEXT = Successor(Membership(1, 1, (), Parameters()), ())


def test_r35_the_rows_are_those_of_the_epochs_end_before_its_process_ends() -> None:
    bench = Bench()
    bench.core.on_receive = lambda verified: Effects(
        persist=[entry_record(1)], send=[Send(ALL, b"my checkpoint")], successor=NEXT
    )
    bench.hear(bench.vote())
    with pytest.raises(TurnLost) as caught:
        bench.host.turn()
    assert isinstance(caught.value.__cause__, EpochOver)
    assert bench.tape.words() == ["receive", "persist", "send", "rows"]
    assert bench.tape.said[-1] == ("rows", (1, 1_001))


def test_r35_a_state_is_not_carried_if_its_rows_could_not_be_written() -> None:
    """Then the epoch ends once more, over the ledger."""
    bench = Bench()
    bench.core.on_receive = lambda verified: Effects(persist=[entry_record(1)])
    bench.hear(bench.vote())
    bench.host.turn()
    bench.core.on_receive = lambda verified: Effects(successor=NEXT)
    bench.journal.failing = full = JournalFull("full")
    bench.hear(bench.vote(2))
    with pytest.raises(TurnLost) as caught:
        bench.host.turn()
    assert caught.value.__cause__ is full


def test_r35_a_carried_state_is_not_loaded_and_r11_asks_as_after_a_restart() -> None:
    bench = Bench(replace(EMPTY, rows=("a row",), continued=True))
    bench.host.start(carried=True)
    assert bench.tape.words() == ["load", "release", "restore"]
    assert bench.tape.said[-1][1].continued is False
    bench = Bench(replace(EMPTY, rows=("a row",), continued=True))
    bench.host.start()
    assert bench.tape.words() == ["load", "load rows", "restore"]
    assert bench.tape.said[-1][1].continued is True


# --- a peer cannot end the host ------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, -(2**63), 2**63, 2**64 - 1])
def test_row_15_impossible_ranges_never_reach_the_journal(first: int) -> None:
    """SQLite's integers end at 2^63 - 1: an honest-looking request must not become an overflow."""
    bench = Bench()
    bench.host.start()
    signer = bench.paper.signer("r1")
    bench.hear(signer.link(m.FetchEntries(0, first, 2**64 - 1)))
    bench.hear(signer.link(m.Follow(0, first)))
    bench.host.turn()
    asked = [value for what, value in bench.tape.said if what == "entries"]
    assert all(1 <= low <= 1 for low, _high in asked)


def test_r8_a_ledger_that_cannot_be_read_while_serving_ends_the_host() -> None:
    bench = Bench()
    bench.core.on_receive = lambda verified: Effects(persist=[entry_record(1)])
    bench.hear(bench.vote())
    bench.host.turn()
    bench.journal.failing = JournalError("io")
    bench.hear(bench.paper.signer("r2").link(m.FetchEntries(0, 1, 5)), index=2)
    with pytest.raises(TurnLost):
        bench.host.turn()
    with pytest.raises(TurnLost):
        bench.host.turn()


def test_row_15_a_peers_flood_of_questions_delays_no_other_peers_answer() -> None:
    bench = Bench()
    flood = [bench.paper.signer("r1").link(m.Query(number, "status", ())) for number in range(100)]
    bench.hear(*flood)
    bench.hear(bench.paper.signer("r2").link(m.Query(7, "status", ())), index=2)
    bench.host.turn()
    asked = [peer.name for peer, _frame in (said[1] for said in bench.tape.said)]
    assert len(asked) == ANSWERED_MAX, "the rest of the turn is consensus's"
    assert "r2" in asked
    while (due := bench.host.wake_at()) is not None and due <= bench.clock.now().monotonic:
        bench.host.turn()  # what waits is answered though nothing arrives
    assert len(bench.tape.said) == WAITING_MAX + 1, "of one peer so many wait, and no more"


def test_p15_queries_take_at_most_an_eighth_of_the_time() -> None:
    """After an idle hour, of which nothing is saved up beyond the first few answers."""
    bench = Bench()
    bench.clock.monotonic += 3_600 * 10**9
    number, seconds = 0, 5
    for _turn in range(seconds * 1_000):
        for _ in range(2):
            number += 1
            bench.hear(bench.paper.signer("r1").link(m.Query(number, "status", ())))
        bench.host.turn()
        bench.clock.monotonic += 1_000_000
    saved = SAVED_MAX // (SHARE * COST) + ANSWERED_MAX
    assert saved < len(bench.tape.said) <= seconds * 10**9 // (SHARE * COST) + saved


class TapeJudge:
    """Answers each question with itself, as the second step of a turn."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.asked: list[tuple[Peer, bytes]] = []

    @property
    def waiting(self) -> bool:
        return bool(self.asked)

    def put(self, peer: Peer, body: bytes, now: int) -> Reason | None:
        self.asked.append((peer, body))
        return None

    def turn(self, clock: Callable[[], int]) -> tuple[list[tuple[Peer, bytes]], list[Peer]]:
        self.tape("judge", len(self.asked))
        first, self.asked = self.asked[:1], self.asked[1:]
        return first, []


def test_events_are_judged_after_all_that_consensus_had_to_send() -> None:
    bench = Bench()
    bench.core.on_receive = lambda verified: full_effects()
    bench.host.judge = TapeJudge(bench.tape)
    bench.hear(bench.vote(), link_frame(m.Judge(b"one")), link_frame(m.Judge(b"two")))
    bench.host.turn()
    assert bench.tape.words() == ["receive", "persist", "send", "reply", "note", "judge", "answer"]
    assert bench.host.wake_at() == 0
    bench.host.turn()
    assert bench.host.wake_at() != 0
    answers = [decode_envelope(value[1])[1] for what, value in bench.tape.said if what == "answer"]
    assert answers == [m.Judged(b"one"), m.Judged(b"two")]


def test_a_host_without_a_judge_refuses_questions_about_events() -> None:
    bench = Bench()
    bench.hear(link_frame(m.Judge(b"one")))
    bench.host.turn()
    ((_what, note),) = [each for each in bench.tape.said if each[0] == "note"]
    assert note.fields["reason"] == Reason.NOT_MEMBER.value
