"""A process sends heartbeats while it writes or reads a large state, or it would be killed as hung."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from dtvn.node.heart import BEAT_NS, Heart
from dtvn.node.journal import ROWS, NodeJournal
from dtvn.protocol.consensus.effects import ApplicationChange

ROW_NS = 200_000
"""What a row takes in these stories: a million of them more than three minutes."""


class Install(msgspec.Struct, frozen=True):
    rows: Any
    state: Any = None


class Recovery(msgspec.Struct, frozen=True):
    rows: Iterable[ApplicationChange]
    applied_sequence: int = 0


class Slow:
    """A ledger that takes time for every row."""

    def __init__(self, rows: int) -> None:
        self.time = 0
        self.said: list[tuple[int, Mapping[str, Any]]] = []
        self._rows = rows
        self.heart = Heart(lambda report: self.said.append((self.time, report)), now=lambda: self.time)
        self.journal = NodeJournal(self, None)  # type: ignore[arg-type]
        self.journal.alive = self.heart.alive

    def rows(self) -> Iterator[ApplicationChange]:
        for number in range(self._rows):
            self.time += ROW_NS
            yield ApplicationChange("ticket", (number,), None)

    def install(self, install: Install) -> None:
        assert sum(1 for _ in install.rows()) == self._rows

    def load(self) -> Recovery:
        return Recovery(self.rows())

    def longest_silence(self, since: int) -> int:
        times = [since, *(at for at, _ in self.said if at >= since), self.time]
        return max(after - before for before, after in pairwise(times))


def test_heartbeats_continue_while_a_large_state_is_written_and_read() -> None:
    ledger = Slow(300 * ROWS)
    ledger.heart.tell({"state": "following"}, 0)
    most = BEAT_NS + ROWS * ROW_NS
    ledger.journal.install(Install(ledger.rows))  # type: ignore[arg-type]
    assert ledger.longest_silence(0) <= most
    assert {report["state"] for _, report in ledger.said} == {"following"}
    ledger.said.clear()
    written = ledger.time
    ledger.heart.tell({"state": "voting"}, written)
    assert sum(1 for _ in ledger.journal.load().rows) == 300 * ROWS
    assert ledger.longest_silence(written) <= most
    assert {report["state"] for _, report in ledger.said} == {"voting"}, "the newest report"


def test_a_process_that_has_not_reported_is_not_shown_as_running() -> None:
    """Its supervisor shows it as starting until its first report."""
    ledger = Slow(300 * ROWS)
    assert sum(1 for _ in ledger.journal.load().rows) == 300 * ROWS
    assert ledger.said == []
