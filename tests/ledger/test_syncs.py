"""SQLite, the default ledger, syncs what is said before it is said, counted from outside the process (R6)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.ledger.lone_operation import NEVER_FULL
from tests.ledger.syncs import COUNTERS, NO_COUNTER, Counter, works

WAL = "ledger.sqlite3-wal"
PRIMARY = [WAL, "PrePrepare", WAL, "Commit", "Reply"]
BACKUP = [WAL, "Prepare", WAL, "Commit", "Reply"]
ALONE = [WAL, "Reply"]
"""Two syncs for an operation, one where a member is alone; none to execute it."""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Counter:
    """The first that works here. That none does is a failure: this promise is never left unlooked at."""
    folder = tmp_path_factory.mktemp("counters")
    found = next((one for one in COUNTERS.values() if works(one, folder)), None)
    if found is None:
        pytest.fail(NO_COUNTER)
    return found


def syncs_and_words(counter: Counter, folder: Path, *, members: int, bug: str = "") -> dict[str, list[str]]:
    """Of each member, in order: files of its ledger that were synced, and words that it said, between the
    beginning and the end of one operation."""
    program = [sys.executable, "-m", "tests.ledger.lone_operation", str(folder), str(members), bug]
    found: dict[str, list[str]] = {}
    for path in counter(program, folder):
        found.setdefault(path.parent.name, []).append(path.name)
    return {
        member: names[names.index("begin") + 1 : names.index("end")]
        for member, names in found.items()
        if "begin" in names
    }


def test_r6_a_lone_operation_is_synced_before_prepare_and_before_commit(
    counter: Counter, tmp_path: Path
) -> None:
    assert syncs_and_words(counter, tmp_path, members=4) == {
        "r0": PRIMARY,
        "r1": BACKUP,
        "r2": BACKUP,
        "r3": BACKUP,
    }


def test_r6_a_member_alone_syncs_an_operation_once_before_its_reply(counter: Counter, tmp_path: Path) -> None:
    assert syncs_and_words(counter, tmp_path, members=1) == {"r0": ALONE}


KNOWN_AGAIN = """
import os, sys
from pathlib import Path
from tests.ledger.samples import CLUSTER, LogWriter, slot
from validators.ledger import open_ledger

folder = Path(sys.argv[1])
ledger = open_ledger(folder / "ledger", cluster_id=CLUSTER, alias="known-again")
ledger.load()
ledger.append([slot("commit", 1)])
ledger.append([LogWriter().entry()], durable=False)
descriptor = os.open(folder / "begin", os.O_WRONLY | os.O_CREAT)
os.fsync(descriptor)
ledger.append([slot("commit", 1)])
os.fsync(descriptor)
"""


def test_r6_a_turn_that_writes_nothing_new_syncs_what_was_written_before(
    counter: Counter, tmp_path: Path
) -> None:
    """ports.Journal: on return all that was written before is synced too."""
    found = [path.name for path in counter([sys.executable, "-c", KNOWN_AGAIN, str(tmp_path)], tmp_path)]
    assert found[found.index("begin") :][:3] == ["begin", WAL, "begin"]


@pytest.mark.parametrize(
    ("bug", "backup"),
    [
        (NEVER_FULL, ["Prepare", "Commit", "Reply"]),
        ("commit-not-synced", [WAL, "Prepare", "Commit", "Reply"]),
    ],
)
def test_a_planted_bug_that_leaves_a_sync_out_is_counted(
    counter: Counter, tmp_path: Path, bug: str, backup: list[str]
) -> None:
    """The count is no count of what is always there."""
    assert syncs_and_words(counter, tmp_path, members=4, bug=bug)["r1"] == backup
