"""The world's parts by themselves: chance, clocks, links, disks, keys (R39)."""

from __future__ import annotations

import pytest

from dtvn.protocol.consensus import OTHERS_ARE_GONE
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    EntryRecord,
    Prune,
    Record,
    SlotRecord,
    StateRecord,
)
from dtvn.protocol.host.ports import JournalFull
from dtvn.protocol.wire import link_frame
from simulator.clock import MILLISECOND, SECOND, WALL_START, NodeClock, TrueClock
from simulator.dice import Dice
from simulator.disk import Contradiction, CrashPoint, PowerCut, VirtualDisk
from simulator.network import PERFECT, LinkQuality, Network
from simulator.scheme import KeyedHash, Keyring

# --- chance --------------------------------------------------------------------------------------


def test_the_random_numbers_of_a_seed_never_change() -> None:
    """Kept seeds mean nothing once these numbers change."""
    dice = Dice(7)
    assert [dice.below(1_000) for _ in range(6)] == [829, 858, 835, 255, 865, 642]
    assert Dice(7).fork("network").below(1_000) == 879


def test_forked_random_streams_are_independent() -> None:
    first, second = Dice("s"), Dice("s")
    fork = second.fork("other")
    for _ in range(10):
        fork.word()
    assert [first.word() for _ in range(5)] == [second.word() for _ in range(5)]


def test_chances_occur_with_their_stated_frequency() -> None:
    dice = Dice(1)
    hits = sum(dice.hit(0.3) for _ in range(10_000))
    assert 2_800 < hits < 3_200
    assert not any(dice.hit(0.0) for _ in range(100))
    assert all(dice.hit(1.0) for _ in range(100))
    assert {dice.between(3, 5) for _ in range(200)} == {3, 4, 5}
    assert sorted(dice.sample([1, 2, 3], 9)) == [1, 2, 3]
    assert len(dice.bytes(13)) == 13


# --- clocks --------------------------------------------------------------------------------------


def test_each_node_clock_has_an_offset_and_rate_of_its_own() -> None:
    true = TrueClock()
    clock = NodeClock(true, skew=-3 * MILLISECOND, rate_ppm=100)
    true.time = 5 * SECOND
    clock.boot(77)
    true.time += 10 * SECOND
    now = clock.now()
    assert now.monotonic == 77 + 10 * SECOND + MILLISECOND
    assert now.wall == WALL_START + 15 * SECOND - 3 * MILLISECOND


@pytest.mark.parametrize("rate", [-100, -7, 0, 13, 100])
def test_an_alarm_fires_at_its_time_on_the_nodes_clock(rate: int) -> None:
    true = TrueClock()
    clock = NodeClock(true, rate_ppm=rate)
    clock.boot(1_000)
    for wanted in (1_000, 1_001, 12_345, 5 * SECOND + 1):
        at = clock.true_time(wanted)
        true.time = at
        assert clock.now().monotonic >= wanted
        true.time = max(0, at - 2)
        assert at <= 1 or clock.now().monotonic <= wanted


# --- links ---------------------------------------------------------------------------------------

FRAME = link_frame(m.Hello(b""))


def test_a_perfect_link_takes_a_millisecond() -> None:
    network = Network(Dice(1), PERFECT)
    assert network.arrivals("a", "b", FRAME, 5) == [5 + MILLISECOND]


def test_a_link_keeps_its_order_by_default() -> None:
    jitter = LinkQuality(latency_min=0, latency_max=50 * MILLISECOND)
    network = Network(Dice(1), jitter)
    times = [network.arrivals("a", "b", FRAME, departs)[0] for departs in range(0, 5_000_000, 10_000)]
    assert times == sorted(times)
    network = Network(Dice(1), LinkQuality(latency_min=0, latency_max=50 * MILLISECOND, reorder=1.0))
    times = [network.arrivals("a", "b", FRAME, departs)[0] for departs in range(0, 5_000_000, 10_000)]
    assert times != sorted(times)


def test_a_cut_has_a_direction_and_heals() -> None:
    network = Network(Dice(1), PERFECT)
    network.cut("a", "b")
    assert network.arrivals("a", "b", FRAME, 0) == []
    assert network.arrivals("b", "a", FRAME, 0) != []
    assert not network.carries("a", "b")
    network.part(["a", "c"], ["b"])
    assert network.arrivals("b", "c", FRAME, 0) == []
    assert network.arrivals("a", "c", FRAME, 0) != []
    network.heal()
    assert network.arrivals("a", "b", FRAME, 0) != []


def test_link_rules_select_by_kind_sender_and_receiver() -> None:
    network = Network(Dice(1), PERFECT)
    network.when(kind=m.Hello, sender="a").drop()
    assert network.arrivals("a", "b", FRAME, 0) == []
    assert network.arrivals("b", "a", FRAME, 0) != []
    assert network.arrivals("a", "b", link_frame(m.Follow(0, 1)), 0) != []
    network.when(receiver="b").duplicate(2)
    assert len(network.arrivals("a", "b", FRAME, 0)) == 3, "the newest rule speaks first"
    network.when(receiver="b").drop(times=1)
    assert network.arrivals("a", "b", FRAME, 0) == []
    assert network.arrivals("a", "b", FRAME, 0) != [], "once only"


def test_loss_and_duplication_have_the_configured_rates() -> None:
    network = Network(Dice(1), LinkQuality(loss=0.2, duplication=0.5))
    counts = [len(network.arrivals("a", "b", FRAME, 0)) for _ in range(2_000)]
    assert 300 < counts.count(0) < 500
    assert 700 < counts.count(2) < 900
    assert network.lost == counts.count(0)


# --- disks ---------------------------------------------------------------------------------------


def slot(sequence: int, phase: str = "prepare", frame: bytes = b"frame") -> SlotRecord:
    return SlotRecord(0, 0, sequence, phase, (frame,))


def entries(count: int) -> list[EntryRecord]:
    records: list[EntryRecord] = []
    previous = bytes(32)
    for sequence in range(1, count + 1):
        entry = m.Entry(0, sequence, b"d" * 32, b"r" * 32, sequence, previous)
        previous = m.entry_hash(entry)
        records.append(EntryRecord(entry, previous, b"body", (b"c",)))
    return records


def row(value: int) -> ApplicationChange:
    return ApplicationChange("ticket", ("T",), value)


def test_an_append_that_returned_survives_a_crash() -> None:
    disk = VirtualDisk(Dice(1))
    disk.append([slot(1), *entries(2), StateRecord("voting", b"yes")])
    disk.crash()
    found = disk.load()
    assert found.slots == (slot(1),)
    assert [record.entry.sequence for record in found.entries] == [1, 2]
    assert found.frontier.size == 2
    assert found.states == (StateRecord("voting", b"yes"),)


def held(disk: VirtualDisk) -> tuple[object, ...]:
    """How many of the `unsynced_writes` a disk holds, by kind of record."""
    found = disk.load()
    return (
        {record.sequence for record in found.slots},
        len(found.entries),
        found.checkpoint and found.checkpoint.sequence,
        [state.name for state in found.states],
        found.applied_sequence,
    )


def unsynced_writes() -> list[list[Record]]:
    """Turns of every kind of record, of which each adds one sequence, checkpoint or state."""
    one, two, three = entries(3)
    return [
        [slot(3), slot(3, "commit"), one],
        [two, three],
        [CheckpointRecord(0, 2, b"s", b"l", 1, (b"f",)), StateRecord("voting", b"0"), Prune(2)],
        [slot(4), StateRecord("epoch", b"1")],
    ]


def test_r6_a_crash_loses_every_kind_of_write_after_the_last_sync() -> None:
    found = []
    for seed in range(200):
        disk = VirtualDisk(Dice(seed))
        disk.append([slot(1), slot(2)])
        for records in unsynced_writes():
            disk.append(records, durable=False)
        disk.materialise([row(1)], 3, 1)
        assert disk.clone().load().slots == (slot(1), slot(2)), "a backup has nothing that is not synced"
        disk.crash()
        found.append(held(disk))
    prefixes = [
        ({1, 2}, 0, None, [], 0),
        ({1, 2, 3}, 1, None, [], 0),
        ({1, 2, 3}, 3, None, [], 0),
        ({3}, 3, 2, ["voting"], 0),
        ({1, 2, 3}, 3, 2, ["voting"], 0),
        ({3, 4}, 3, 2, ["voting", "epoch"], 0),
        ({1, 2, 3, 4}, 3, 2, ["voting", "epoch"], 0),
        ({3, 4}, 3, 2, ["voting", "epoch"], 3),
        ({1, 2, 3, 4}, 3, 2, ["voting", "epoch"], 3),
    ]
    assert all(one in prefixes for one in found), "a turn is lost whole, and never alone"
    assert all(one in found for one in prefixes)


def test_r6_one_sync_makes_all_earlier_writes_durable() -> None:
    disk = VirtualDisk(Dice(1))
    for records in unsynced_writes():
        disk.append(records, durable=False)
        assert disk.synced.slots == {}
    disk.append([slot(9)])
    before = held(disk)
    disk.crash()
    assert held(disk) == before == held(disk.clone())


def test_row_11_a_crash_before_a_write_leaves_nothing_and_after_it_all() -> None:
    disk = VirtualDisk(Dice(1))
    disk.crash_at = CrashPoint.BEFORE_PERSIST
    with pytest.raises(PowerCut):
        disk.append([slot(1)])
    disk.crash()
    assert disk.load().slots == ()
    disk.crash_at = CrashPoint.AFTER_PERSIST
    disk.append([slot(2)])
    with pytest.raises(PowerCut):
        disk.after_write()
    disk.crash()
    disk.after_write()
    assert disk.load().slots == (slot(2),)


def test_r11_the_operator_s_word_survives_every_later_crash() -> None:
    for seed in range(10):
        disk = VirtualDisk(Dice(seed))
        disk.record(OTHERS_ARE_GONE)
        disk.append([slot(1)], durable=False)
        disk.crash()
        assert disk.load().states == (OTHERS_ARE_GONE,)


def test_r9_unsynced_rows_may_be_lost_but_only_as_a_whole() -> None:
    kept: set[object] = set()
    for seed in range(40):
        disk = VirtualDisk(Dice(seed))
        disk.append(entries(3))
        disk.materialise([row(1)], 1, 1)
        disk.append([slot(9)])
        disk.materialise([row(2)], 2, 2)
        disk.materialise([row(3)], 3, 3)
        disk.crash()
        found = disk.load()
        values = [change.row for change in found.rows]
        assert values == [found.applied_sequence], "rows are those after applied_sequence"
        assert all(
            sequence in [record.entry.sequence for record in found.entries]
            for sequence in range(found.applied_sequence + 1, 4)
        ), "the entries to replay are there"
        kept.add(found.applied_sequence)
    assert kept == {1, 2, 3}, "what was synced by a later append is never lost"


def test_a_full_disk_accepts_no_write_and_loses_none() -> None:
    disk = VirtualDisk(Dice(1))
    disk.append([slot(1)])
    disk.full = True
    with pytest.raises(JournalFull):
        disk.append([slot(2)])
    with pytest.raises(JournalFull):
        disk.materialise([row(1)], 0, 0)
    disk.full = False
    assert disk.load().slots == (slot(1),)


def test_r7_a_second_vote_or_entry_is_refused_unless_it_is_equal() -> None:
    disk = VirtualDisk(Dice(1))
    disk.append([slot(1), *entries(2)])
    disk.append([slot(1), *entries(2)])
    with pytest.raises(Contradiction):
        disk.append([slot(2), slot(1, frame=b"other")])
    assert disk.slot(0, 0, 2, "prepare") is None, "all or nothing"
    gap = entries(4)[3]
    with pytest.raises(Contradiction):
        disk.append([gap])


def test_pruning_keeps_views_and_records_above_the_checkpoint() -> None:
    for seed in range(10):
        disk = VirtualDisk(Dice(seed))
        disk.append([slot(1), slot(12), slot(0, "view_change"), *entries(12)])
        disk.append([CheckpointRecord(0, 10, b"s", b"l", 1, (b"f",)), Prune(10)])
        assert disk.slot(0, 0, 12, "prepare")
        assert disk.slot(0, 0, 0, "view_change")
        assert disk.checkpoint_from(3) == disk.checkpoint_from(10) != disk.checkpoint_from(11)
        assert all(record.commits for record in disk.entries(11, 12, 100))


def test_ranges_are_limited_by_bytes_but_hold_at_least_one_entry() -> None:
    disk = VirtualDisk(Dice(1))
    disk.append(entries(5))
    assert [record.entry.sequence for record in disk.entries(2, 9, 9)] == [2, 3]
    assert [record.entry.sequence for record in disk.entries(4, 9, 0)] == [4]
    assert disk.entries(6, 9, 100) == []


# --- keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("real", [False, True])
def test_r39_only_the_owner_signs(real: bool) -> None:
    keyring = Keyring(real=real)
    public, secret = keyring.pair("r0")
    _other_public, other_secret = keyring.pair("r1")
    signature = keyring.scheme.sign(secret, b"word")
    assert len(signature) == 64
    assert len(public) == 32
    assert signature == keyring.scheme.sign(secret, b"word")
    assert keyring.scheme.verify(public, b"word", signature)
    assert not keyring.scheme.verify(public, b"words", signature)
    assert not keyring.scheme.verify(public, b"word", keyring.scheme.sign(other_secret, b"word"))
    assert not keyring.scheme.verify(b"x" * 32, b"word", signature)


def test_r39_a_public_key_tells_nothing_of_the_secret() -> None:
    scheme = KeyedHash()
    public, secret = scheme.pair("r0")
    assert public != secret
    assert not scheme.verify(public, b"word", scheme.sign(public, b"word"))
