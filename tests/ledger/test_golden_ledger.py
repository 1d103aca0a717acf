"""Tells the life of a node's ledger on SQLite: turns and how durable they are, refusals, what a start reads
back, ranges, checkpoints, pruning, evidence, an installed state with the gap below it, and each damage."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from dtvn.ledger import LedgerError, Location
from dtvn.protocol.consensus.effects import EvidenceRecord, Prune, StateRecord
from dtvn.protocol.host.ports import JournalError
from tests.api.telling import Story, beside, clock  # noqa: F401 - a fixture
from tests.golden import Compare
from tests.ledger.samples import CLUSTER, START, LogWriter, executed, slot, ticket, vote
from tests.ledger.test_install import snapshot_of
from tests.ledger.test_materialise import OTHERS, change
from validators.ledger import Ledger, models, open_ledger
from validators.ledger.location import LOCK_FILE
from validators.ledger.lock import FileLock

pytestmark = pytest.mark.usefixtures("clock")

ALIAS = "ledger-told"
UNTOLD = {"created_at", "identity", "checksum"}
"""Columns that differ from run to run, or say the same again."""


@dataclass
class Told:
    """A ledger whose calls are told."""

    story: Story
    place: Location
    ledger: Ledger

    def open(self) -> None:
        self.ledger = open_ledger(self.place, cluster_id=CLUSTER, alias=ALIAS, indexed=True)
        self.load("opened")

    def load(self, what: str = "loaded") -> None:
        try:
            tail = self.ledger.load(whole=True)
            rows = sorted(str(row) for row in tail.rows)
        except (LedgerError, JournalError) as error:
            self.story.say(f"{what}: {type(error).__name__}: {error}")
            return
        ledger = self.ledger
        self.story.say(
            f"{what}: created {ledger.created}, incarnation {ledger.incarnation}, votes {ledger.voting}"
        )
        self.story.say(f"  reason {ledger.voting_reason!r}, applied {tail.applied_sequence}")
        self.story.say(f"  entries {[each.entry.sequence for each in tail.entries]}")
        self.story.say(
            f"  slots {[(each.phase, each.view, each.sequence, each.body) for each in tail.slots]}"
        )
        self.story.say(f"  states {[(each.name, each.value) for each in tail.states]}")
        self.story.say(f"  checkpoint {tail.checkpoint and tail.checkpoint.sequence}, {len(rows)} rows")
        self.story.say("".join(f"    {row[:200]}\n" for row in rows))

    def append(self, what: str, *records: Any, durable: bool = True) -> None:
        """A turn, with the statements that make it durable."""
        run: list[str] = []
        connection = connections[ALIAS].connection
        connection.set_trace_callback(run.append)
        try:
            self.ledger.append(list(records), durable=durable)
            said = "done"
        except JournalError as error:
            said = f"{type(error).__name__}: {error}"
        connection.set_trace_callback(None)
        synced = [text for text in run if text.startswith(("PRAGMA", "BEGIN", "COMMIT", "ROLLBACK"))]
        self.story.say(f"append {what}: {said}; {', '.join(synced)}")

    def tables(self) -> None:
        for model in (
            *(models.LedgerMeta, models.ConsensusEntry, models.CommitCertificate, models.BatchBody),
            *(models.ProtocolRecord, models.Checkpoint, models.StateValue, models.Ticket, models.StateRow),
            *(models.EntryOutcomes, models.OperationRecord, models.Counter),
        ):
            names = [field.attname for field in model._meta.concrete_fields if field.attname not in UNTOLD]
            self.story.rows(model, *names, using=ALIAS)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    story = Story(exact=True)
    story.hidden[str(tmp_path)] = "DIR"
    place = Location(folder=tmp_path / "ledger")
    made = Told(story, place, open_ledger(place, cluster_id=CLUSTER, alias=ALIAS, indexed=True))
    made.load("made")
    yield made
    made.ledger.close()


def fill(told: Told) -> LogWriter:
    writer = LogWriter()
    told.append("votes", slot("pre_prepare", 1, body=b"one"), slot("prepare", 1))
    told.append("commits, not durable", slot("commit", 1), durable=False)
    told.append("entries", *writer.entries(4), writer.checkpoint(), StateRecord("voting", b"1"))
    told.append("more", writer.entry(kinds=("issue", "seed", "admit"), tickets=("A", "", "C")))
    told.append("nothing decided", writer.entry(operations=0))
    told.append("a state again", StateRecord("voting", b"0"), slot("view", 0, view=1))
    for number, record in enumerate(writer.records[:-1]):
        codes = ["ok", "ticket_not_found", "blocked"][: 3 if number == 4 else 2]
        told.ledger.notice(executed(record, codes))
    rows = [change(ticket("T-2", state="CONSUMED", sequence=3)), change(ticket("T-1", metadata={"k": "v"}))]
    told.ledger.materialise([*rows, *OTHERS], 5, START + 5)
    return writer


def test_what_a_ledger_tells_of_its_life(golden: Compare, told: Told) -> None:
    writer = fill(told)
    story = told.story
    told.load()
    told.tables()
    story.heading("Refused")
    told.append("the same vote", slot("prepare", 1))
    told.append("another vote", slot("prepare", 1, text=b"other"))
    told.load()
    skipped = writer.entries(2)[1]
    told.append("an entry too many", skipped)
    told.load()
    other = LogWriter()
    other.entry(operations=1)
    told.append("an entry of another history", other.records[0])
    told.load()
    story.heading("Opened again, pruned, with evidence")
    told.ledger.close()
    told.open()
    told.append("the rest", *writer.records[6:], writer.checkpoint())
    told.append("pruned", Prune(4))
    told.append(
        "evidence",
        *(EvidenceRecord("two_prepares", 0, n, 1, 5 + n, (vote("prepare", 5, n),)) for n in (2, 1)),
    )
    for after, limit in ((0, 9), (0, 1), (1, 9), (2, 9)):
        found = told.ledger.evidence(after, limit)
        story.say(f"evidence after {after}, {limit} at most: {[str(each)[:150] for each in found]}")
    for first, last, most in ((1, 9, 1 << 20), (2, 4, 1 << 20), (3, 8, 1), (9, 12, 1 << 20)):
        found_entries = told.ledger.entries(first, last, most)
        story.say(
            f"entries {first} to {last}, {most} bytes: {[each.entry.sequence for each in found_entries]}"
        )
    for sequence in (1, 4, 5, 8, 9):
        found_checkpoint = told.ledger.checkpoint_from(sequence)
        story.say(f"checkpoint from {sequence}: {found_checkpoint and found_checkpoint.sequence}")
    story.say(f"state values: {[told.ledger.state_value(name) for name in ('voting', 'absent')]}")
    story.say(f"stats: {sorted(told.ledger.storage_stats())}, takes writes {told.ledger.takes_writes()}")
    story.say(f"gap below 9: {told.ledger.gap(9)}; older checked: {told.ledger.check_older()}")
    told.ledger.materialise([change(ticket("T-1", state="DISPUTED", sequence=7, upheld=True))], 8, START + 8)
    told.ledger.say_others_are_gone()
    told.ledger.vote_again()
    told.load()
    told.tables()
    golden(beside(__file__, "ledger_life"), str(story))


def test_what_the_lock_of_a_ledger_tells(
    golden: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story()
    story.hidden[str(tmp_path)] = "DIR"
    monkeypatch.setattr(os, "getpid", lambda: 4711)
    path = tmp_path / LOCK_FILE
    path.write_text("12345678901234567890\nand more\n")
    first = FileLock(tmp_path)
    story.say(f"held: {path.read_text()!r}, mode {path.stat().st_mode & 0o777:o}")
    for text in (None, "no number\n", ""):
        if text is not None:
            path.write_text(text)
        with pytest.raises(LedgerError) as busy:
            FileLock(tmp_path)
        story.say(f"again: {type(busy.value).__name__}: {busy.value}")
    first.close()
    first.close()
    FileLock(tmp_path).close()
    story.say(f"released: {path.read_text()!r}")
    with pytest.raises(LedgerError) as unusable:
        FileLock(tmp_path / "absent")
    story.say(f"unusable: {type(unusable.value).__name__}: {unusable.value}")
    golden(beside(__file__, "ledger_lock"), str(story))


def test_what_an_installed_state_tells(golden: Compare, told: Told) -> None:
    writer = LogWriter()
    told.append(
        "a short log",
        *writer.entries(3),
        slot("prepare", 4),
        slot("prepare", 25),
        StateRecord("voting", b"1"),
    )
    told.ledger.materialise([change(ticket("OLD"))], 3, START)
    writer.entries(17)
    told.ledger.install(snapshot_of(writer))
    told.load("installed")
    told.story.say(f"gap below 21: {told.ledger.gap(21)}")
    told.append("it goes on", *writer.entries(2))
    told.ledger.fill(writer.records[9:20])
    told.story.say(f"gap below 21, filled from above: {told.ledger.gap(21)}")
    told.ledger.fill(writer.records[3:9])
    told.story.say(f"gap below 21, filled: {told.ledger.gap(21)}")
    told.ledger.close()
    told.open()
    told.tables()
    golden(beside(__file__, "ledger_installed"), str(told.story))


DAMAGES = (
    "UPDATE ledger_consensusentry SET timestamp = timestamp + 1 WHERE sequence = 3",
    "UPDATE ledger_consensusentry SET entry_hash = zeroblob(32) WHERE sequence = 4",
    "DELETE FROM ledger_consensusentry WHERE sequence = 2",
    "DELETE FROM ledger_consensusentry WHERE sequence = 6",
    "UPDATE ledger_batchbody SET content = zeroblob(9) WHERE sequence = 5",
    "DELETE FROM ledger_commitcertificate WHERE sequence = 6",
    "UPDATE ledger_checkpoint SET timestamp = 1",
    "DELETE FROM ledger_checkpoint",
    "UPDATE ledger_statevalue SET value = x'39'",
    "UPDATE ledger_protocolrecord SET view = 7 WHERE phase = 'commit'",
    "UPDATE ledger_ticket SET row = zeroblob(9) WHERE ticket_id = 'T-1'",
    "UPDATE ledger_staterow SET row = zeroblob(9)",
    "UPDATE ledger_ledgermeta SET applied_sequence = 4",
    "UPDATE ledger_ledgermeta SET cluster = zeroblob(32)",
    "UPDATE ledger_ledgermeta SET schema = 99",
    "UPDATE ledger_ledgermeta SET turn = turn - 1",
    "DELETE FROM ledger_ledgermeta",
    "DROP TABLE ledger_protocolrecord",
)


def test_what_damages_tell(golden: Compare, told: Told, tmp_path: Path) -> None:
    fill(told)
    told.ledger.close()
    whole = told.place.folder
    for number, sql in enumerate(DAMAGES):
        folder = tmp_path / f"broken{number}"
        shutil.copytree(whole, folder)
        with sqlite3.connect(folder / "ledger.sqlite3") as broken:
            changed = broken.execute(sql).rowcount
        broken.close()
        told.story.heading(f"{sql}: {changed} rows")
        told.place = Location(folder=folder)
        try:
            told.open()
        except (LedgerError, JournalError) as error:
            told.story.say(f"not opened: {type(error).__name__}: {error}")
            continue
        try:
            told.story.say(f"older: {told.ledger.check_older()}")
        except (LedgerError, JournalError) as error:
            told.story.say(f"older: {type(error).__name__}: {error}")
        told.ledger.close()
    golden(beside(__file__, "ledger_damaged"), str(told.story))
