"""Between host and ledger, and what a node logs: every call that is passed on, timed and announced, and every
note as a line."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dtvn.node import journal as journal_module
from dtvn.node import watcher as watcher_module
from dtvn.node.cpu_yield import CpuYield
from dtvn.node.journal import NodeJournal
from dtvn.node.keys import VotedStamp
from dtvn.node.watcher import OLD_NAMES, NodeWatcher
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import (
    ApplicationChange,
    CheckpointRecord,
    Executed,
    Install,
    Note,
    Reason,
    SlotRecord,
    StateRecord,
)
from dtvn.protocol.consensus.log_tree import Frontier
from dtvn.protocol.host.ports import Journal, JournalError, LedgerTail
from tests.golden import Compare, Telling
from tests.host.support import Paper

GOLDEN = Path(__file__).parent / "golden"
VOTE = SlotRecord(epoch=0, view=0, sequence=1, phase="prepare", frames=(b"frame",))
STATE = StateRecord("x", b"")
SECOND = 1_000_000_000


def changes(count: int) -> list[ApplicationChange]:
    return [ApplicationChange("ticket", (str(number),), None) for number in range(count)]


class Below(Telling):
    """A ledger whose calls each take the next number of microseconds; and what counts, rests and hears."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self._spent = iter((5, 9, 7, *range(1, 99)))
        self.rows = changes(3)
        self.slots: tuple[SlotRecord, ...] = ()

    def _takes(self, what: str) -> None:
        spent = next(self._spent)
        self.now += spent * 1_000
        self.say(f"  ledger: {what}, {spent} µs")

    def append(self, records: Sequence[Any], *, durable: bool) -> None:
        self._takes(f"append {[type(record).__name__ for record in records]}, durable {durable}")

    def materialise(self, rows: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        self._takes(f"materialise {len(rows)} rows of {sequence} at {timestamp}")

    def install(self, install: Install) -> None:
        self._takes(f"install {len(list(install.rows()))} rows")

    def load(self) -> LedgerTail:
        self._takes("load")
        return LedgerTail(Frontier(), 10, iter(self.rows), (), self.slots, None, ())

    def entries(self, first: int, last: int, bytes_max: int) -> Sequence[Any]:
        self._takes(f"entries {first} to {last}, {bytes_max} bytes")
        return ("entries",)

    def checkpoint_from(self, sequence: int) -> Any:
        self._takes(f"checkpoint from {sequence}")
        return "checkpoint"

    def gap(self, below: int) -> Any:
        self._takes(f"gap below {below}")
        return "gap"

    def fill(self, records: Sequence[Any]) -> None:
        self._takes(f"fill {records}")

    # --- figures, rests and heartbeats ---------------------------------------------------------------

    def stored(self, operation: str, began: int) -> None:
        self.say(f"  counted: {operation} since {began / 1e3:g} µs")

    def recorded(self, records: Sequence[Any], began: int) -> None:
        self.say(f"  timed: {len(records)} records since {began / 1e3:g} µs")

    def between(self, rows: Iterable[Any]) -> Iterator[Any]:
        self.say("  rests between rows")
        yield from rows


def test_the_journal_of_a_node(golden: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    below = Below()
    monkeypatch.setattr(journal_module, "time", SimpleNamespace(monotonic_ns=lambda: below.now))
    stamp = VotedStamp(tmp_path)
    made = NodeJournal(
        cast(Journal, below),
        stamp,
        below,
        cast(CpuYield, below),
        announce=lambda sequence: below.say(f"  announces {sequence}"),
    )
    made.alive = lambda: below.say("  is alive")
    turns: Any = (
        *(([STATE], False), ([VOTE, STATE], True)),
        *(([VOTE], True), ([], True)),
    )
    for records, durable in turns:
        below.say(f"append, stamped {stamp.present}")
        made.append(records, durable=durable)
        below.say(f"  {made.meter}, stamped {stamp.path.exists()}")
    for what, call in (
        ("materialise", lambda: made.materialise(changes(2), 7, 70)),
        ("entries", lambda: made.entries(1, 5, 99)),
        ("checkpoint", lambda: made.checkpoint_from(4)),
        ("gap", lambda: made.gap(3)),
        ("fill", lambda: made.fill(cast(Any, ["entry"]))),
    ):
        below.say(what)
        below.say(f"  = {call()}")
    below.say(f"  {made.meter}")
    _loads(below, made)
    golden(GOLDEN / "journal.txt", below.text)


def _loads(below: Below, made: NodeJournal) -> None:
    def load(what: str) -> None:
        below.say(f"load, {what}")
        try:
            tail = made.load()
        except JournalError as error:
            below.say(f"  ! {error}")
            return
        below.say(f"  = {tail.applied_sequence}, {sum(1 for _row in tail.rows)} rows")

    load("as it is")
    checkpoint, entry = CheckpointRecord(0, 10, b"", b"", 1, ()), m.Entry(0, 10, b"", b"", 1, b"")
    for state in (None, lambda: changes(501)):
        below.say(f"install, with its state {state is not None}")
        made.install(Install(checkpoint, entry, (), lambda: changes(1_001), state))
        load("what was installed")
        load("once more")
    paper = Paper()
    said = m.Prepare(0, 1, 0, 1, b"d" * 32)
    below.slots = (
        SlotRecord(0, 0, 1, "pre_prepare", (paper.sign(m.PrePrepare(0, 0, 0, 1, b"d" * 32)),)),
        SlotRecord(0, 0, 1, "prepare", (paper.sign(said),)),
    )
    for owner in (None, (0, 1), (1, 2), (0, 2)):
        made.owner = owner
        load(f"of {owner}")


# --- the log ---------------------------------------------------------------------------------------


class Lines(logging.Handler):
    def __init__(self, told: Telling) -> None:
        super().__init__()
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.say(f"{record.levelname}: {record.getMessage()}")


def test_what_a_watcher_logs(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Telling()
    now = [100 * SECOND]
    monkeypatch.setattr(watcher_module, "time", SimpleNamespace(monotonic_ns=lambda: now[0]))
    logger = logging.Logger("watched", logging.DEBUG)
    logger.addHandler(Lines(told))
    mutes = iter((0, 2 * SECOND))
    watcher = NodeWatcher(
        logger, lambda _peer: next(mutes, 0), lambda note: told.say(f"  passed on {type(note).__name__}")
    )

    def refused(reason: Reason, peer: str = "node1", **fields: object) -> None:
        watcher.notice(Note("refused", {"peer": peer, "reason": reason.value, "text": "so", **fields}))

    told.chapter("Notes, by kind")
    for kind in (
        *("evidence", "follower", "contradiction", "alarm", "checkpoint_differs", "awaits_all"),
        *("others_are_gone_ended", "entered_view", "suspected", "checkpoint_stable", "anything", *OLD_NAMES),
    ):
        watcher.notice(Note(kind, {"view": 7}))
    for value in ("", "a b", 'say "so"', "a=b", "a\nb", b"\x01\xff", None, 1.5, "é"):
        watcher.notice(Note("said", {"value": value}))
    told.chapter("Refusals, with a limit")
    for seconds in (0.0, 9.9, 0.1):
        now[0] += round(seconds * SECOND)
        told.say(f"at {now[0] / SECOND:g}")
        refused(Reason.BAD_SIGNATURE)
        refused(Reason.OLD_VIEW, times=3)
        refused(Reason.OLD_VIEW, "node2")
        refused(Reason.MALFORMED)
        refused(Reason.TOO_LARGE)
    told.chapter("Votes withheld for time")
    for seconds, ahead in ((0.0, 3_600_000_000), (9.9, 1), (0.2, -2_000_000), (10.0, 0)):
        now[0] += round(seconds * SECOND)
        fields = {"reason": Reason.BAD_TIMESTAMP.value, "ahead_us": ahead}
        watcher.notice(Note("abstained", fields if ahead else {"reason": Reason.BAD_TIMESTAMP.value}))
    watcher.notice(Executed(m.Entry(0, 1, b"", b"", 1, b""), b"", (), view=0))
    told.say(f"refused {sorted(watcher.refused.items())}")
    told.say(f"events {sorted(watcher.events.items())}")
    golden(GOLDEN / "watcher.txt", told.text)
