"""Does a machine know whether a ledger is the one that it wrote last? (R11, where f = 0)"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.ledger.children import end_now, reopen_when_free, run_in_child
from tests.ledger.samples import CLUSTER, slot
from validators.ledger import Location, continuity, open_ledger
from validators.ledger.continuity import Continuity


def dies(place: Location, sequence: int) -> None:
    """A process writes a vote and is killed."""

    def work() -> None:
        ledger = open_ledger(place, cluster_id=CLUSTER, alias="of a dead process")
        ledger.load()
        ledger.append([slot("prepare", sequence)])
        end_now()

    assert run_in_child(work) != 0


def continued(place: Location, *, turns: int = 0) -> bool:
    """What the next process is told at its load after so many turns; it ends in order."""
    ledger = reopen_when_free(place)
    try:
        found = ledger.load().continued
        for number in range(turns):
            ledger.append([slot("prepare", 100 + number)])
            found = ledger.load().continued
        return found
    finally:
        ledger.close()


def sets_back(place: Location) -> None:
    """An older copy of a ledger stands in its place."""
    dies(place, 1)
    copy = place.folder.with_name("copy")
    shutil.copytree(place.folder, copy)
    dies(place, 2)
    shutil.rmtree(place.folder)
    copy.rename(place.folder)


def test_r11_a_process_that_was_killed_goes_on_with_its_ledger(place: Location) -> None:
    dies(place, 1)
    dies(place, 2)
    assert continued(place)


def test_r11_an_older_copy_of_the_folder_is_not_what_was_written_last(sqlite_place: Location) -> None:
    """The witness beside the ledger is copied with it, and says nothing."""
    sets_back(sqlite_place)
    assert not continued(sqlite_place)


def test_r11_a_new_ledger_is_not_known_before_its_first_turn(place: Location) -> None:
    """Its machine may have been set back to before it had one."""

    def loads() -> None:
        ledger = open_ledger(place, cluster_id=CLUSTER, alias="killed before it says that it waits")
        ledger.load()
        end_now()

    assert run_in_child(loads) != 0
    assert not continued(place)


def test_r11_an_older_copy_stays_one_until_its_first_turn(sqlite_place: Location) -> None:
    """That turn says in the ledger that it waits; a process that ends before it has said nothing."""
    sets_back(sqlite_place)

    def loads() -> None:
        ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias="killed while it loads")
        ledger.load()
        end_now()

    assert run_in_child(loads) != 0
    ledger = reopen_when_free(sqlite_place)
    try:
        assert not ledger.load().continued
        assert not ledger.load().continued, "its disk was full, and nothing is said yet"
    finally:
        ledger.close()


@pytest.mark.parametrize("more", [0, 2])
def test_r11_a_copy_from_the_same_life_is_an_older_one_too(sqlite_place: Location, more: int) -> None:
    """A snapshot of a machine that runs: only the number of turns tells it."""
    copy = sqlite_place.folder.with_name("copy")

    def work() -> None:
        ledger = open_ledger(sqlite_place, cluster_id=CLUSTER, alias="of a dead process")
        ledger.load()
        for sequence in (1, 2, 3):
            ledger.append([slot("prepare", sequence)])
        shutil.copytree(sqlite_place.folder, copy)
        for sequence in range(4, 4 + more):
            ledger.append([slot("prepare", sequence)])
        end_now()

    assert run_in_child(work) != 0
    shutil.rmtree(sqlite_place.folder)
    copy.rename(sqlite_place.folder)
    assert continued(sqlite_place) == (more == 0)


def test_r11_after_an_orderly_end_nothing_is_known(place: Location) -> None:
    """Then a ledger is moved, copied and set back."""
    dies(place, 1)
    assert continued(place)
    assert not continued(place)


def test_r11_a_ledger_that_stays_in_one_process_is_its_own(place: Location) -> None:
    assert not continued(place), "a new one"
    assert continued(place, turns=1), "the core was rebuilt"


def test_r11_the_memory_of_another_boot_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container whose /dev/shm is a folder on a disk."""
    first = Continuity(b"i" * 16, tmp_path)
    first.note(3, 17)
    first.close(forget=False)
    again = Continuity(b"i" * 16, tmp_path)
    assert again.holds(3, 17)
    assert again.holds(3, 18), "it died before it could say so"
    assert not again.holds(3, 16)
    assert not again.holds(3, 19)
    assert not again.holds(4, 17), "opened elsewhere meanwhile"
    again.close(forget=False)
    boot = tmp_path / "boot_id"
    boot.write_text("0" * 36 + "\n")
    monkeypatch.setattr(continuity, "BOOT_ID", boot)
    later = Continuity(b"i" * 16, tmp_path)
    assert not later.holds(3, 17)
    later.close(forget=True)
    assert [path.name for path in tmp_path.iterdir()] == ["boot_id"]
