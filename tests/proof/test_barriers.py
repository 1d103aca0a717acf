"""Which barrier a reader shares, and how many a quorum read has ordered (R18)."""

from __future__ import annotations

from collections import Counter

import pytest

from dtvn.proof.barriers import NothingStable, SharedBarriers, passed_checkpoint, quorum_read
from dtvn.proof.reads import NO_PROOF, NOT_FROZEN
from dtvn.protocol.consensus.membership import founding
from tests.host.support import make_genesis
from tests.support.table import table

FOUR = founding(make_genesis())
INTERVAL = FOUR.parameters.checkpoint_interval


class Reader:
    """A QuorumReader whose members prove nothing below sequence `proved`, and have a reason for it."""

    present = FOUR

    def __init__(self, code: str, said_by: int, at: int, proved: int = 0, asks: int = 3) -> None:
        self.codes = Counter({code: said_by})
        self.at = self.acknowledged = at
        self.proved = proved
        self.asks = asks
        self.meanwhile = 0
        """Entries that others have decided while members are asked, each time."""
        self.wanted = 0
        """The sequence that is enough."""
        self.stable = False
        self.lost = 0
        """Barriers that will not be ordered."""
        self.tried = 0
        self.told = True
        """Whether its own process is told how far the log is."""

    def ask(self) -> tuple[int | None, Counter[str]]:
        self.asks -= 1
        shown = self.at if self.proved and self.at >= self.proved else None
        self._go_on(self.meanwhile)
        return shown, Counter() if shown else self.codes

    def is_enough(self, shown: int) -> bool:
        return shown >= self.wanted

    def is_stable(self) -> bool:
        return self.stable

    def order(self) -> int | None:
        self.tried += 1
        if self.tried <= self.lost:
            return None
        self._go_on(1)
        return self.at

    def is_over(self) -> bool:
        return self.asks <= 0

    def pause(self) -> None:
        self._go_on(self.meanwhile)

    def _go_on(self, entries: int) -> None:
        self.at += entries
        self.acknowledged = self.at if self.told else self.acknowledged


def test_r18_barriers_are_ordered_up_to_the_next_checkpoint_and_no_further() -> None:
    for told in (True, False):  # another process may have had all the others ordered
        reader = Reader(NOT_FROZEN, 2, INTERVAL + 3, proved=2 * INTERVAL)
        reader.told = told
        assert quorum_read(reader) == 2 * INTERVAL
        assert reader.tried == INTERVAL - 3


def test_r18_a_checkpoint_of_other_clients_is_awaited_before_a_barrier() -> None:
    reader = Reader(NOT_FROZEN, 2, INTERVAL - 1, proved=INTERVAL)
    reader.meanwhile = 1
    assert quorum_read(reader) == INTERVAL + 1
    assert reader.tried == 0


def test_r18_a_barrier_that_is_not_ordered_is_not_counted() -> None:
    reader = Reader(NOT_FROZEN, 2, INTERVAL, proved=2 * INTERVAL)
    reader.lost = 5
    assert quorum_read(reader) == 2 * INTERVAL
    assert reader.tried == INTERVAL + 5


@table(("said_by", "tried"), [(1, 0), (2, INTERVAL), (4, INTERVAL)], count=3)
def test_p19_without_proofs_at_most_one_barrier_interval_is_ordered(said_by: int, tried: int) -> None:
    reader = Reader(NOT_FROZEN, said_by, 1)
    assert quorum_read(reader) is None
    assert (reader.tried, reader.asks) == (tried, 0)


def test_p19_no_barrier_is_ordered_after_the_deadline() -> None:
    reader = Reader(NOT_FROZEN, 4, 1, asks=1)
    assert quorum_read(reader) is None
    assert reader.tried == 0


@table("said_by", [2, 3, 4], count=3)
def test_r18_only_f_plus_1_members_can_attest_that_nothing_is_stable(said_by: int) -> None:
    reader = Reader(NO_PROOF, said_by, 1)
    with pytest.raises(NothingStable):
        quorum_read(reader)
    assert reader.asks == 2, "at once"
    for sayers, stable in ((1, False), (said_by, True)):
        reader = Reader(NO_PROOF, sayers, 1)
        reader.stable = stable
        assert quorum_read(reader) is None
        assert reader.tried == 0


def test_r18_a_read_asks_for_newer_proofs_and_returns_the_newest() -> None:
    reader = Reader("", 0, 3, proved=1)
    reader.wanted = 4
    assert quorum_read(reader) == 3
    assert (reader.asks, reader.tried) == (0, 0)


def test_r18_a_reader_shares_the_barrier_that_is_sent_after_it_asked() -> None:
    barriers: SharedBarriers[list[str]] = SharedBarriers()
    assert barriers.begin() is None, "nobody waits"
    barriers.join(list).append("first")
    sent = barriers.begin()
    assert sent == ["first"]
    for name in ("second", "third"):
        barriers.join(list).append(name)
        assert barriers.begin() is None, "one at a time"
    barriers.end()
    assert (sent, barriers.begin(), barriers.begin()) == (["first"], ["second", "third"], None)


def test_a_checkpoint_is_reached_at_its_own_sequence() -> None:
    assert [passed_checkpoint(9, reached, 5) for reached in (9, 10, 11)] == [False, True, True]
    assert not passed_checkpoint(10, 14, 5)
    assert not passed_checkpoint(10, 9, 5)
