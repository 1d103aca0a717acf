"""Inbound queues per peer: bounded, served in turn, and a forger is muted (P15)."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtvn.net import inbox as inbox_module
from dtvn.net.inbox import Inbox
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.wire.envelope import encode_envelope

SECOND = 1_000_000_000
VOTE = encode_envelope(17, b"", b"")
BULK = encode_envelope(1, b"", b"")
NOISY = Peer(name="noisy", member=1)
QUIET = Peer(name="quiet", member=2)


def test_pitfall_15_a_flood_uses_only_the_turns_of_its_sender() -> None:
    inbox = Inbox()
    for _ in range(3_000):
        inbox.put(NOISY, VOTE, 0)
    for _ in range(20):
        inbox.put(QUIET, VOTE, 0)
    taken = inbox.drain(64)
    assert Counter(item.peer.name for item in taken) == {"noisy": 44, "quiet": 20}


def test_bulk_keeps_a_share_of_every_turn() -> None:
    inbox = Inbox()
    for _ in range(1_000):
        inbox.put(NOISY, VOTE, 0)
        for number in range(4):
            inbox.put(Peer(name=f"quiet-{number}", member=None), BULK, 0)
    taken = inbox.drain(256)
    assert Counter(item.frame for item in taken) == {VOTE: 192, BULK: 64}


def test_r3_a_frame_keeps_the_time_when_it_was_taken_from_its_socket() -> None:
    """However long it waits in its queue."""
    inbox = Inbox()
    for now in (7, 9):
        inbox.put(QUIET, VOTE, now)
    (first,) = inbox.drain(1)
    inbox.put_back([first])
    assert [item.taken for item in inbox.drain(8)] == [7, 9]


def test_a_turn_without_bulk_serves_only_votes() -> None:
    inbox = Inbox()
    for _ in range(1_000):
        inbox.put(NOISY, VOTE, 0)
    assert len(inbox.drain(256)) == 256


def test_pitfall_15_a_queue_is_bounded_in_frames_and_bytes() -> None:
    inbox = Inbox()
    for _ in range(inbox_module.FRAMES_MAX + 10):
        inbox.put(NOISY, VOTE, 0)
    assert len(inbox) == inbox_module.FRAMES_MAX
    assert inbox.counters("noisy").dropped_inbound == 10
    big = b"\x94\x01" + bytes(10 * 1024 * 1024)
    for _ in range(5):
        inbox.put(QUIET, big, 0)
    assert inbox.counters("quiet").dropped_inbound == 2


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans()), max_size=200),
    st.integers(min_value=1, max_value=50),
    st.lists(st.tuples(st.integers(min_value=0, max_value=50), st.sampled_from([0, 3, 500])), max_size=50),
)
def test_every_frame_comes_out_once_and_in_its_senders_order(
    arrivals: list[tuple[str, bool]], limit: int, turns: list[tuple[int, int]]
) -> None:
    """Also if a turn processes only some frames, puts back the others and charges for expensive ones."""
    inbox = Inbox()
    sent: dict[tuple[str, int], list[bytes]] = {}
    for number, (name, is_vote) in enumerate(arrivals):
        frame = encode_envelope(17 if is_vote else 1, b"%d" % number, b"")
        sent.setdefault((name, frame[1]), []).append(frame)
        inbox.put(Peer(name=name, member=None), frame, 0)
    received: dict[tuple[str, int], list[bytes]] = {}
    while not inbox.empty:
        taken = inbox.drain(limit)
        assert 0 < len(taken) <= limit
        left_over, checks = turns.pop() if turns else (0, 0)
        looked_at = max(1, len(taken) - left_over)
        inbox.put_back(taken[looked_at:])
        inbox.charge(taken[0].peer.name, checks)
        for item in taken[:looked_at]:
            received.setdefault((item.peer.name, item.frame[1]), []).append(item.frame)
    assert received == sent
    assert len(inbox) == 0


def test_a_mute_doubles_for_a_forger_and_is_forgiven_after_a_quiet_minute() -> None:
    inbox = Inbox()
    now = 0
    mutes = []
    for _ in range(7):
        mute = 0
        while not mute:
            mute = inbox.bad_frame("noisy", now)
        mutes.append(mute // SECOND)
        inbox.put(NOISY, VOTE, now)
        assert inbox.empty
        now += mute
        inbox.put(NOISY, VOTE, now)
        assert len(inbox.drain(9)) == 1
    assert mutes == [1, 2, 4, 8, 16, 30, 30]
    now += 61 * SECOND
    assert [inbox.bad_frame("noisy", now) for _ in range(16)][-1] == SECOND


def test_pitfall_15_bulk_of_a_peer_that_spent_its_allowance_is_dropped_for_a_moment() -> None:
    """What waits and what comes; its votes, and other peers' bulk, are not."""
    inbox = Inbox()
    for peer, frame in ((NOISY, BULK), (NOISY, VOTE), (QUIET, BULK)):
        inbox.put(peer, frame, 0)
    inbox.mute_bulk("noisy", 0)
    for frame in (BULK, VOTE):
        inbox.put(NOISY, frame, inbox_module.BULK_MUTE - 1)
    inbox.put(QUIET, BULK, inbox_module.BULK_MUTE - 1)
    taken = Counter((item.peer.name, item.frame) for item in inbox.drain(99))
    assert taken == {("noisy", VOTE): 2, ("quiet", BULK): 2}
    assert inbox.counters("noisy").dropped_inbound == 2
    inbox.put(NOISY, BULK, inbox_module.BULK_MUTE)
    assert [item.frame for item in inbox.drain(99)] == [BULK]
    assert inbox.empty


def test_bulk_that_was_dropped_takes_no_room_of_its_peers_queue() -> None:
    """However often it is muted, it may send as much as before afterwards."""
    inbox = Inbox()
    big = b"\x94\x01" + bytes(10 * 1024 * 1024)
    for turn in range(3):
        now = turn * inbox_module.BULK_MUTE
        for _ in range(3):
            inbox.put(NOISY, big, now)
        assert len(inbox) == 3, turn
        inbox.mute_bulk("noisy", now)
        assert inbox.empty
    assert inbox.counters("noisy").dropped_inbound == 9


def test_the_queued_frames_of_a_forger_are_discarded() -> None:
    inbox = Inbox()
    for _ in range(5):
        inbox.put(NOISY, VOTE, 0)
    inbox.put(QUIET, VOTE, 0)
    for _ in range(16):
        inbox.bad_frame("noisy", 0)
    assert [item.peer.name for item in inbox.drain(9)] == ["quiet"]
    assert inbox.counters("noisy").dropped_inbound == 5


def test_a_recent_forger_gets_few_frames_a_turn() -> None:
    """Otherwise its next forgeries would cost as much as the first."""
    inbox = Inbox()
    inbox.bad_frame("noisy", 0)
    for _ in range(100):
        inbox.put(NOISY, VOTE, 0)
        inbox.put(NOISY, BULK, 0)
        inbox.put(QUIET, VOTE, 0)
    sizes = []
    while not inbox.empty:
        taken = inbox.drain(256)
        sizes.append(sum(item.peer.name == "noisy" for item in taken))
    assert sizes == [16] * 12 + [8]


# --- turns by what frames cost (decision 0156) -----------------------------------------------------


def names(items: list[Inbound]) -> list[str]:
    return [item.peer.name for item in items]


def test_row_15_peers_in_debt_are_served_after_the_others() -> None:
    inbox = Inbox()
    for _ in range(10):
        inbox.put(NOISY, VOTE, 0)
    for _ in range(20):
        inbox.put(QUIET, VOTE, 0)
    inbox.charge("noisy", 500)
    assert names(inbox.drain(64)) == ["quiet"] * 20 + ["noisy"] * 10


def test_a_peer_that_is_alone_is_served_whatever_its_debt() -> None:
    inbox = Inbox()
    inbox.charge("noisy", 500)
    for _ in range(100):
        inbox.put(NOISY, VOTE, 0)
    assert len(inbox.drain(64)) == 64


def test_a_debt_is_bounded_and_decays_so_that_no_peer_starves() -> None:
    """While another one always has frames waiting: as many of these go first as the debt counts checks."""
    inbox = Inbox()
    inbox.charge("noisy", 1_000_000)
    inbox.put(NOISY, VOTE, 0)
    served = 0
    while True:
        for _ in range(64):
            inbox.put(QUIET, VOTE, 0)
        taken = names(inbox.drain(64))
        if "noisy" in taken:
            break
        served += len(taken)
    assert inbox_module.DEBT_MAX - 64 <= served <= inbox_module.DEBT_MAX


def test_of_peers_in_debt_the_one_with_the_smallest_debt_is_served_first() -> None:
    inbox = Inbox()
    inbox.charge("noisy", 4_000)
    inbox.charge("quiet", 400)
    for _ in range(20):
        inbox.put(NOISY, VOTE, 0)
        inbox.put(QUIET, VOTE, 0)
    assert names(inbox.drain(64)) == ["quiet"] * 20 + ["noisy"] * 20


def test_row_15_expensive_votes_do_not_take_the_share_of_bulk() -> None:
    """Each turn here ends after the first frame, as if it had cost all the checks of a turn."""
    inbox = Inbox()
    for _ in range(50):
        inbox.put(NOISY, VOTE, 0)
        inbox.put(QUIET, BULK, 0)
    seen = []
    for _ in range(10):
        taken = inbox.drain(256)
        inbox.put_back(taken[1:])
        seen.append(taken[0].frame)
    assert Counter(seen) == {VOTE: 5, BULK: 5}


def test_frames_put_back_count_as_queued_bytes_and_are_dropped_by_a_mute() -> None:
    inbox = Inbox()
    big = b"\x94\x01" + bytes(10 * 1024 * 1024)
    for _ in range(3):
        inbox.put(NOISY, big, 0)
    inbox.put_back(inbox.drain(9)[1:])
    inbox.put(NOISY, big, 0)
    inbox.put(NOISY, big, 0)
    assert inbox.counters("noisy").dropped_inbound == 1
    for _ in range(16):
        inbox.bad_frame("noisy", 0)
    assert inbox.empty
    assert inbox.counters("noisy").dropped_inbound == 4


def test_r35_former_members_frames_pass_for_nobody_elses() -> None:
    """Its frames of the time when it only followed stay; those as a member go with its place."""
    inbox = Inbox()
    inbox.put(Peer("x", None, b"follower"), BULK, 0)
    inbox.follow({"noisy": 0, "quiet": 1, "x": 2})
    for _ in range(3):
        inbox.put(Peer("x", 2, b"member"), BULK, 0)
    inbox.put(Peer("quiet", 1, b"q"), VOTE, 0)
    inbox.follow({"quiet": 0, "noisy": 1})
    assert sorted((item.peer.name, item.peer.member) for item in inbox.drain(10)) == [
        ("quiet", 0),
        ("x", None),
    ]
    assert inbox.empty


def test_a_muted_peer_stays_muted_in_the_next_epoch() -> None:
    inbox = Inbox()
    for _ in range(inbox_module.BAD_FRAMES):
        inbox.bad_frame("noisy", 1)
    inbox.follow({"quiet": 0})
    inbox.put(NOISY, VOTE, 2)
    assert inbox.empty


def test_a_frame_that_waits_over_an_epoch_changes_its_senders_index_and_nothing_else() -> None:
    inbox = Inbox()
    inbox.put(Peer("moves", 2, b"route"), VOTE, 9)
    inbox.put(Peer("client", None, b"other"), BULK, 7)
    inbox.follow({"moves": 0})
    kept = [Inbound(Peer("moves", 0, b"route"), VOTE, 9), Inbound(Peer("client", None, b"other"), BULK, 7)]
    assert inbox.drain(8) == kept


def test_pitfall_15_a_peer_with_faults_is_forgotten_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else others that come and go would end its mute."""
    monkeypatch.setattr(inbox_module, "PEERS_MAX", 2)
    inbox = Inbox()
    inbox.bad_frame("forger", 1)
    for name in ("idle", "another", "third"):
        inbox.put(Peer(name, None), VOTE, 1)
        assert len(inbox.drain(8)) == 1
    assert inbox.counters("forger").bad_frames == 1
