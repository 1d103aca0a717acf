"""The virtual disk is the real ledger: after every start both hold the same (R6, R7, R9, R11, R24)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from dtvn.protocol.consensus.effects import ApplicationChange, CheckpointRecord, SlotRecord
from simulator.campaign import Task, run
from simulator.disk import VirtualDisk
from tests.simulation.mirror import play
from validators.ledger import Ledger, statements
from validators.ledger.turn import TurnPlan
from validators.ledger.witness import Witness

pytestmark = pytest.mark.ci

WORLDS = (
    "random",
    "power-cut",
    "all-crash",
    "state-transfers",
    "epoch-catch-up",
    "few-members",
    "lost-disks",
    "older-disk",
    "full-disks",
    "two-processes",
    "raft",
    "raft:power-cut",
    "raft-figure-8",
    "raft-void-and-pruned",
)
SEEDS_OF_EACH = 10
RESTARTS = ("loads from a mark", "kills", "CheckpointRecord", "Prune")
"""What happens to the ledgers in every world that is played quickly."""


@pytest.fixture(autouse=True)
def _databases(django_db_blocker: Any) -> Iterator[None]:
    """Ledgers make databases of their own."""
    with django_db_blocker.unblock():
        yield


@pytest.mark.parametrize(
    ("world", "seed", "also"),
    [
        ("power-cut", 0, ()),
        ("state-transfers", 2, ("installs",)),
        ("epoch-catch-up", 1, ("installs",)),
        ("raft:power-cut", 0, ()),
    ],
)
def test_the_real_ledger_holds_at_each_start_what_the_virtual_disk_holds(
    world: str, seed: int, also: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[int] = []
    crash = VirtualDisk.crash

    def counted(disk: VirtualDisk, *, thorough: bool = False) -> None:
        before = disk.applied + len(disk.log)
        crash(disk, thorough=thorough)
        lost.append(before - disk.applied - len(disk.log))

    monkeypatch.setattr(VirtualDisk, "crash", counted)
    played = play(world, seed)
    assert not played.failure, played.failure
    assert all(played.counts[what] for what in (*RESTARTS, *also)), played.counts
    assert any(lost), "power cuts took writes that were not durable"
    assert played.report.epochs > 0 or world != "epoch-catch-up"


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(SEEDS_OF_EACH))
@pytest.mark.parametrize("world", WORLDS)
def test_the_same_in_more_than_a_hundred_worlds(world: str, seed: int) -> None:
    played = play(world, seed)
    assert not played.failure, played.failure


def test_a_mirror_changes_nothing_in_the_run() -> None:
    assert play("power-cut", 2).report.fingerprint == run(Task(2, "power-cut")).fingerprint


# --- damages that it must see --------------------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]


def one_write_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger drops the prepared certificate of every seventh sequence."""
    add = TurnPlan._add_slot

    def without(plan: TurnPlan, record: SlotRecord) -> None:
        if record.phase != "prepared" or record.sequence % 7:
            add(plan, record)

    monkeypatch.setattr(TurnPlan, "_add_slot", without)


def rows_written_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are durable at once, before the entries from which they follow."""
    materialise = VirtualDisk.materialise

    def early(disk: VirtualDisk, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        assert disk.mirror is not None
        disk.mirror.materialise(changes, sequence, timestamp)
        materialise(disk, changes, sequence, timestamp)

    monkeypatch.setattr(VirtualDisk, "materialise", early)


def rows_ahead_of_their_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger writes rows, and says that they are those of the sequence before."""
    materialise = Ledger.materialise

    def ahead(ledger: Ledger, changes: Sequence[ApplicationChange], sequence: int, timestamp: int) -> None:
        materialise(ledger, changes, sequence - 1, timestamp)

    monkeypatch.setattr(Ledger, "materialise", ahead)


def old_checkpoint_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger stores every second stable checkpoint; the older one stays its newest."""
    add = TurnPlan._add_checkpoint

    def some(plan: TurnPlan, record: CheckpointRecord) -> None:
        if record.sequence % 10:
            add(plan, record)

    monkeypatch.setattr(TurnPlan, "_add_checkpoint", some)


def row_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row whose key is deleted stays."""
    monkeypatch.setattr(statements, "DROP_STATE_ROW", f"{statements.DROP_STATE_ROW} AND 0")


def present_view_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that bind the replica to the view that it enters go with those of lower views (R29)."""
    wrong = statements.DROP_VIEWS.replace("view < ?", "view <= ?")
    monkeypatch.setattr(statements, "DROP_VIEWS", wrong)


def pruned_too_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Votes above the stable checkpoint go with those that it covers (R24)."""
    wrong = statements.DROP_SLOTS.replace("sequence <= ?", "sequence <= ? + 3")
    monkeypatch.setattr(statements, "DROP_SLOTS", wrong)


def first_value_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named value keeps the first thing that was written."""
    wrong = statements.UPSERT_STATE.partition(" DO UPDATE")[0] + " DO NOTHING"
    monkeypatch.setattr(statements, "UPSERT_STATE", wrong)


def witness_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The witness says one turn more than is durable, so the next start doubts the ledger (R11)."""
    note = Witness.note

    def ahead(self: Witness, identity: bytes, turns: int, **known: bool) -> None:
        note(self, identity, turns + 1, **known)

    monkeypatch.setattr(Witness, "note", ahead)


DAMAGES: dict[Plant, tuple[str, int, str]] = {
    one_write_dropped: ("power-cut", 0, r"slot \(0, \d+, \d+, 'prepared'\)"),
    rows_written_early: ("power-cut", 0, "LedgerDamaged: .* its rows are those after entry"),
    rows_ahead_of_their_sequence: ("power-cut", 0, "applied sequence"),
    old_checkpoint_kept: ("power-cut", 0, "checkpoint"),
    row_not_deleted: ("power-cut", 0, "row"),
    present_view_forgotten: ("power-cut", 0, "slot"),
    pruned_too_far: ("all-crash", 0, "slot"),
    first_value_kept: ("epoch-catch-up", 1, "state"),
    witness_ahead: ("power-cut", 0, "voting"),
}
"""Damage -> a world and seed that show it, and the differing field."""


@pytest.mark.parametrize("plant", DAMAGES)
def test_a_damaged_ledger_is_reported_with_seed_node_load_and_field(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, seed, differs = DAMAGES[plant]
    plant(monkeypatch)
    played = play(world, seed)
    assert played.report.checker == "mirror"
    expected = rf"^seed {seed} of {world}: mirror: (r|n|learner-)\d, load \d+: {differs}"
    assert re.search(expected, played.failure), played.failure
    assert played.failure.endswith(f"python -m tests.simulation.mirror --world {world} --seed {seed}")
