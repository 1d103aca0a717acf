"""What a member tells whose log begins with a snapshot: the same end, with fewer entries below it (R11)."""

from __future__ import annotations

import msgspec
import pytest

from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus.effects import EntryRecord, StateRecord
from dtvn.protocol.consensus.ledger_tail import Base, LedgerTail
from dtvn.protocol.consensus.log_tree import Frontier, append
from dtvn.protocol.consensus.messages import NO_PREDECESSOR, entry_hash
from dtvn.protocol.wire import ED25519, Door
from dtvn.recovery import StateFile, tell, telling, why_lost
from tests.host.support import key_pair
from tests.recovery.paper import STABLE, Town, proofs_of

replaced = msgspec.structs.replace


@pytest.fixture(scope="module")
def town() -> Town:
    """r0 and r1 executed 63 entries, three of them above their stable checkpoint."""
    made = Town()
    made.issue_and_fill(["T-0", "T-1", "T-2"])
    sequences = [made.admit(f"T-{number}") for number in range(3)]
    for index in (0, 1):
        made.execute(index, sequences)
    return made


def begins_at(town: Town, tail: LedgerTail, sequence: int) -> LedgerTail:
    """The tail of a ledger whose log came as a snapshot up to `sequence`."""
    frontier = Frontier()
    for step in town.log.steps[: sequence - 1]:
        frontier = append(frontier, entry_hash(step.entry))
    base = Base(town.log.steps[sequence - 1].entry, frontier.peaks)
    kept = tuple(each for each in tail.entries if each.entry.sequence > sequence)
    return replaced(tail, base=base, entries=kept)


def told(town: Town, tail: LedgerTail, monkeypatch: pytest.MonkeyPatch, at_once: int = 1024) -> StateFile:
    """r0's statement; its ledger holds what lies above its snapshot, and is read in pages."""
    monkeypatch.setattr(telling, "ENTRIES_AT_ONCE", at_once)
    below = 0 if tail.base is None else tail.base.entry.sequence

    def entries(first: int, last: int) -> list[EntryRecord]:
        assert first > below, "the ledger lacks it"
        assert last - first < max(at_once, 100)
        return [step.record(()) for step in town.log.steps[first - 1 : last]]

    return tell(
        tail,
        entries,
        configuration.build(town.genesis, town.cluster, "r0", town.membership),
        Door(town.cluster, town.keys),
        lambda data: ED25519.sign(key_pair("r0")[1], data),
        lost="",
        vouches=True,
        new_key=key_pair("r0+")[0],
    )


@pytest.mark.parametrize("sequence", [20, 41, STABLE - 1])
@pytest.mark.parametrize("at_once", [1, 7, 1024])
def test_r11_the_peaks_below_the_first_shown_entry_follow_from_the_snapshot(
    town: Town, monkeypatch: pytest.MonkeyPatch, sequence: int, at_once: int
) -> None:
    whole_tail = town.disks[0].load()
    whole = told(town, whole_tail, monkeypatch, at_once)
    part = told(town, begins_at(town, whole_tail, sequence), monkeypatch, at_once)
    assert replaced(part.statement, proofs=b"") == replaced(whole.statement, proofs=b"")
    shown = [held.entry.sequence for held in proofs_of(part).entries]
    assert shown == list(range(max(19, sequence + 1), 64))
    frontier = Frontier()
    for step in town.log.steps[: shown[0] - 1]:
        frontier = append(frontier, entry_hash(step.entry))
    assert proofs_of(part).before == frontier.peaks
    assert town.log.steps[18].entry.sequence == proofs_of(whole).entries[0].entry.sequence == 19


def test_r11_the_head_of_a_log_is_that_of_its_snapshot_if_nothing_follows(town: Town) -> None:
    tail = town.disks[0].load()
    head = entry_hash(town.log.steps[62].entry)
    assert telling.head_of(tail) == telling.head_of(begins_at(town, tail, 63)) == head
    older = replaced(begins_at(town, tail, STABLE), entries=())
    assert telling.head_of(older) == NO_PREDECESSOR, "neither is the newest entry"
    assert telling.head_of(replaced(tail, frontier=Frontier(), entries=(), base=None)) == NO_PREDECESSOR


def test_r11_why_a_ledger_is_not_the_newest_of_its_member(town: Town) -> None:
    tail = town.disks[0].load()
    assert why_lost(tail, True, "") == why_lost(tail, True, "an old reason") == ""
    assert why_lost(tail, False, "") == "its ledger was lost once"
    assert why_lost(tail, False, "the disk was changed") == "the disk was changed"
    shown = "its members showed it newer statements than its log holds"
    for value, why in ((b"0", shown), (b"1", "")):
        kept = replaced(tail, states=(*tail.states, StateRecord("voting", value)))
        assert why_lost(kept, True, "") == why
