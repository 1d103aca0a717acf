"""A flipped byte is noticed, whichever it is (PROTOCOL R9, R11): at start, if a replica is restored from it;
else beside the work."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from dtvn.ledger import LedgerDamaged, LedgerError, Location
from dtvn.protocol.consensus.effects import StateRecord
from dtvn.protocol.host.ports import JournalError
from tests.ledger.children import end_now, run_in_child
from tests.ledger.samples import CLUSTER, START, LogWriter, executed, packed, slot, ticket
from tests.ledger.test_materialise import OTHERS, change
from tests.waiting import wait_until
from validators.ledger import Ledger, encoding, log_mark, log_reading, open_ledger, statements
from validators.ledger.meta import count_turn
from validators.ledger.store import Write

ALIAS = "ledger-under-test"
FLIPS = 80


@pytest.fixture(autouse=True)
def _few_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start reads entries 9 to 15 of `fill`."""
    monkeypatch.setattr(log_reading, "ENTRIES_KEPT", 2)
    monkeypatch.setattr(log_mark, "DISTANCE", 4)


def fill(ledger: Ledger) -> None:
    """Something in every table."""
    writer = LogWriter()
    ledger.append([*writer.entries(8), writer.checkpoint()])
    ledger.append([*writer.entries(4), writer.checkpoint()])
    ledger.append([*writer.entries(3), slot("pre_prepare", 16, body=b"open batch"), slot("prepare", 16)])
    ledger.append([slot("commit", 16), StateRecord("voting", b"1"), slot("view", 0, view=1)])
    for record in writer.records:
        ledger.notice(executed(record, ["ok", "ticket_not_found"]))
    tickets = [change(ticket(f"T-{number}", metadata={"k": "v"})) for number in range(30)]
    ledger.materialise([*tickets, *OTHERS], 14, START)


def contents(ledger: Ledger, *, whole: bool = False) -> Any:
    """All that a replica restores itself from."""
    tail = ledger.load(whole=whole)
    rows = sorted(map(repr, tail.rows))
    # The others are no content: whether this machine wrote it last, and how often it was opened.
    apart = ("rows", "continued", "incarnation")
    return [getattr(tail, name) for name in tail.__struct_fields__ if name not in apart] + [rows]


def reread(place: Location) -> Any:
    """`contents` of a ledger opened anew; raises as opening and loading do."""
    ledger = open_ledger(place, cluster_id=CLUSTER, alias=ALIAS)
    try:
        return contents(ledger)
    finally:
        ledger.close()


@pytest.fixture
def filled(place: Location) -> Location:
    ledger = open_ledger(place, cluster_id=CLUSTER, alias=ALIAS)
    ledger.load()
    fill(ledger)
    ledger.close()
    return place


DAMAGES = {
    "entry": ("consensusentry", "entry", "sequence = 7", "Entry 7 is damaged: it differs from its checksum"),
    "hash": ("consensusentry", "entry_hash", "sequence = 7", "Entry 7 is damaged"),
    "timestamp": ("consensusentry", "timestamp", "sequence = 7", "Entry 7 is damaged"),
    "batch": ("batchbody", "content", "sequence = 7", "Entry 7 is damaged: its batch"),
    "commits": ("commitcertificate", "frames", "sequence = 7", "Entry 7 is damaged: its COMMITs"),
    "outcomes": ("entryoutcomes", "outcomes", "sequence = 7", "Entry 7 is damaged: its outcomes"),
    "vote": ("protocolrecord", "frames", "phase = 'commit'", "the commit record of sequence 16 in view 0"),
    "proposal": ("batchbody", "content", "sequence = 16", "the batch proposed for sequence 16 in view 0"),
    "checkpoint": ("checkpoint", "frames", "sequence = 12", "the checkpoint at sequence 12"),
    "log root": ("checkpoint", "log_root", "sequence = 12", "the checkpoint at sequence 12"),
    "value": ("statevalue", "value", "name = 'voting'", "the value 'voting'"),
    "row": ("ticket", "row", "ticket_id = 'T-3'", "the row of ticket 'T-3'"),
    "state row": ("staterow", "row", "true", "the state row"),
}


BESIDE = {"entry", "hash", "timestamp", "batch", "commits", "outcomes"}
"""Damages of what a start does not read."""


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "start"])
@pytest.mark.parametrize("what", DAMAGES)
def test_damage_is_named(filled: Location, what: str, *, whole: bool) -> None:
    table, column, where, sentence = DAMAGES[what]
    ledger = open_ledger(filled, cluster_id=CLUSTER, alias=ALIAS)
    try:
        number = column == "timestamp"
        other = f"{column} + 1" if number else "'x'" if not filled.url else "cast('x' AS bytea)"
        ledger._store.define(f"UPDATE ledger_{table} SET {column} = {other} WHERE {where}")  # noqa: S608
        if what in BESIDE and not whole:
            contents(ledger)
            with pytest.raises(LedgerDamaged, match=sentence):
                wait_until(ledger.check_older, what="all is checked")
        else:
            with pytest.raises(LedgerDamaged, match=sentence):
                contents(ledger, whole=whole)
    finally:
        ledger.close()


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("event", "'defaulu'"),
        ("ticket_id", "'S-4'"),
        ("state", "'VALIDATED'"),
        ("row", "(SELECT row FROM ledger_ticket WHERE id = 1)"),
        ("row", "cast('x' AS {blob})"),
        ("checksum", "checksum + 1"),
    ],
)
def test_damage_in_a_nodes_ticket_is_named(place: Location, column: str, other: str) -> None:
    ledger = open_ledger(place, cluster_id=CLUSTER, alias=ALIAS)
    try:
        ledger.load()
        ledger.materialise([packed(number) for number in range(1, 4)], 0, START)
        assert len(list(ledger.load().rows)) == 3
        value = other.format(blob="bytea" if place.url else "blob")
        ledger._store.define(f"UPDATE ledger_ticket SET {column} = {value} WHERE id = 3")  # noqa: S608
        with pytest.raises(LedgerDamaged, match="the row of ticket 'S-"):
            contents(ledger)
    finally:
        ledger.close()


@pytest.mark.parametrize("sequence", [1, 8, 12, 15])
def test_a_missing_entry_is_noticed(filled: Location, sequence: int) -> None:
    ledger = open_ledger(filled, cluster_id=CLUSTER, alias=ALIAS)
    try:
        ledger._store.define(f"DELETE FROM ledger_consensusentry WHERE sequence = {sequence}")  # noqa: S608
        if sequence == 15:
            with pytest.raises(LedgerDamaged, match="Entry 15 is damaged: there are COMMITs for it"):
                contents(ledger)
            ledger._store.define("DELETE FROM ledger_commitcertificate WHERE sequence = 15")
            # Nothing but a vote or a peer knows of a missing last entry: consensus asks for it (R11, R23).
            assert ledger.load().frontier.size == 14
            return
        if sequence > 8:
            with pytest.raises(LedgerDamaged, match=f"Entry {sequence + 1} is damaged: it follows"):
                contents(ledger)
            return
        contents(ledger)
        sentence = {1: "it follows entry 0", 8: "it is not the entry before 9"}[sequence]
        with pytest.raises(LedgerDamaged, match=sentence):
            wait_until(ledger.check_older, what="all is checked")
    finally:
        ledger.close()


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (
            "UPDATE ledger_commitcertificate SET sequence = 47 WHERE sequence = 15",
            "COMMITs for it, but no entry",
        ),
        ("UPDATE ledger_ledgermeta SET turn = -1", "its own description"),
        (
            "UPDATE ledger_staterow SET key = 7 WHERE key = (SELECT max(key) FROM ledger_staterow)",
            "out of order",
        ),
        ("UPDATE ledger_ticket SET row = 7 WHERE ticket_id = 'T-3'", "a value of a wrong type"),
    ],
)
def test_damage_that_no_checksum_covers_is_named(sqlite_place: Location, edit: str, sentence: str) -> None:
    """What flipping a hundred thousand bits found: a key, a counter and a value of another type."""
    ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias=ALIAS)
    ledger.load()
    fill(ledger)
    ledger._store.define(edit)
    ledger.close()
    with pytest.raises(LedgerDamaged, match=sentence):
        reread(sqlite_place)


def test_an_entry_changed_with_its_checksum_breaks_the_chain(filled: Location) -> None:
    """What a checksum cannot see (an edit with care) the chain of hashes and the signed root do."""
    ledger = open_ledger(filled, cluster_id=CLUSTER, alias=ALIAS)
    writer = LogWriter()
    writer.entries(11)
    forged = writer.entry(operations=1)
    try:
        row = encoding.entry_row(forged, 12)
        ledger._store.define("DELETE FROM ledger_batchbody WHERE id = 12")
        ledger._store.define("DELETE FROM ledger_consensusentry WHERE sequence = 12")
        ledger._store.commit(
            count_turn(99, held_by=ledger.incarnation),
            [
                Write(statements.INSERT_BODY, [encoding.body_row(12, 12, forged.body)]),
                Write(statements.INSERT_ENTRY, [row]),
            ],
            durable=True,
        )
        with pytest.raises(LedgerDamaged, match="Entry 12 is damaged: the log up to it has root"):
            contents(ledger)
    finally:
        ledger.close()


def test_any_flipped_byte_of_the_file_is_noticed_or_harmless(sqlite_place: Location, tmp_path: Path) -> None:
    """Harmless: in unused space, or in an index entry that nothing reads; what is recovered is equal."""
    ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias=ALIAS)
    ledger.load()
    fill(ledger)
    whole = contents(ledger)
    ledger.close()
    good = tmp_path / "good"
    shutil.copytree(sqlite_place.folder, good)
    size = (good / "ledger.sqlite3").stat().st_size
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    dice = random.Random(seed)
    noticed = beside = 0
    for _ in range(FLIPS):
        place = dice.randrange(size)
        shutil.copytree(good, sqlite_place.folder, dirs_exist_ok=True)
        flip(sqlite_place.database_file, place, 1 << dice.randrange(8))
        found, checked = recovered(sqlite_place)
        noticed += found is None
        beside += found is not None and not checked
        assert found is None or found == whole, f"byte {place}"
    assert noticed > FLIPS // 8
    assert noticed + beside > FLIPS // 4


def test_r11_a_flipped_byte_in_the_write_ahead_log_is_noticed(sqlite_place: Location) -> None:
    """SQLite ends its log there in silence: a shorter, healthy ledger that would vote again."""

    def work() -> None:
        ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias=ALIAS)
        ledger.load()
        for number in range(1, 30):
            ledger.append([slot("prepare", number)])
        end_now()

    run_in_child(work)
    log = Path(f"{sqlite_place.database_file}-wal")
    flip(log, log.stat().st_size * 3 // 4, 16)
    ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias=ALIAS)
    try:
        assert len(ledger.load().slots) < 29
        assert not ledger.voting
        assert "cut off" in ledger.voting_reason
    finally:
        ledger.close()


def test_r11_a_power_cut_that_takes_an_unsynced_turn_back_costs_no_vote(sqlite_place: Location) -> None:
    """The entry comes again from the members; what was promised (the vote) is there."""

    def work() -> None:
        ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias=ALIAS)
        ledger.load()
        ledger.append([slot("commit", 1)])
        synced = Path(f"{sqlite_place.database_file}-wal").stat().st_size
        ledger.append(LogWriter().entries(1), durable=False)
        os.truncate(f"{sqlite_place.database_file}-wal", synced)
        end_now()

    run_in_child(work)
    ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias=ALIAS)
    try:
        found = ledger.load()
        assert (len(found.slots), len(found.entries)) == (1, 0)
        assert ledger.voting
    finally:
        ledger.close()


def test_a_torn_witness_file_is_ignored(sqlite_place: Location) -> None:
    """A power cut may leave it half written; the ledger itself is whole then."""
    open_ledger(sqlite_place, cluster_id=CLUSTER, alias=ALIAS).close()
    flip(sqlite_place.folder / "ledger.turns", 20, 1)
    ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias=ALIAS)
    assert ledger.voting
    ledger.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_r6_a_turn_in_a_deleted_file_is_not_durable(sqlite_place: Location, *, replaced: bool) -> None:
    """Its folder was deleted under a running node: SQLite goes on, and all of it would be gone at the end."""
    ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias=ALIAS)
    try:
        ledger.load()
        ledger.append([slot("prepare", 1)])
        file = sqlite_place.database_file
        data = file.read_bytes()
        for path in sqlite_place.folder.iterdir():
            path.unlink()
        if replaced:
            file.write_bytes(data)
        with pytest.raises(JournalError, match="removed or replaced"):
            ledger.append([slot("prepare", 2)])
        with pytest.raises(JournalError):
            ledger.append([slot("prepare", 3)])
    finally:
        ledger.close()


def recovered(place: Location) -> tuple[Any, bool]:
    """Contents, or None when opening or loading said that something is wrong; and whether the check beside
    the work found nothing. Then all entries can be read."""
    try:
        ledger = open_ledger(place, cluster_id=CLUSTER, alias=ALIAS)
    except (JournalError, LedgerError):
        return None, False
    try:
        found = contents(ledger)
        if not ledger.voting:
            return None, False
    except JournalError:
        ledger.close()
        return None, False
    try:
        wait_until(ledger.check_older, what="all is checked")
    except JournalError:
        ledger.close()
        return found, False
    try:
        assert len(ledger.entries(1, 15, 1 << 20)) == 15
        contents(ledger, whole=True)
        return found, True
    finally:
        ledger.close()


def flip(path: Path, place: int, mask: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ mask]))
