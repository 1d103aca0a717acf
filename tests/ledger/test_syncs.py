"""SQLite, the default ledger, syncs each statement before it is sent; counted from outside (R6)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.ledger.lone_operation import NEVER_FULL
from tests.ledger.syncs import COUNTERS, NO_COUNTER, Counter, works

DATABASE = "ledger.sqlite3"
WAL = "ledger.sqlite3-wal"
PRIMARY = [WAL, "PrePrepare", WAL, "Commit", "Reply"]
BACKUP = [WAL, "Prepare", WAL, "Commit", "Reply"]
ALONE = [WAL, "Reply"]
"""Two syncs for an operation, one where a member is alone; none to execute it."""
COPIES = {
    "copy in the background": [WAL, DATABASE],
    "turn after the copy": [WAL, WAL],
    "copy of the rest, and rows": [WAL, DATABASE, WAL],
    "turn over the copied log": [WAL],
    "rows": [],
    "close": [WAL, DATABASE],
}
OUTSIDE_TURNS = {
    "found": [WAL],
    "stopped": [WAL],
    "vote_again": [WAL],
    "say_others_are_gone": [WAL],
    "install": [WAL],
    "open again": [WAL, WAL],
}
"""Opening again begins a new log, with a header of its own: `close` removed the old one."""
BESIDE_THE_KEY = {"stamp": ["voted", "identity"], "promise": ["promise.bin", "identity"]}
"""Content, then name; else a power cut leaves an empty file under it, or none."""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Counter:
    """The first counter that works here; none is a failure, so that the check is never skipped."""
    folder = tmp_path_factory.mktemp("counters")
    found = next((one for one in COUNTERS.values() if works(one, folder)), None)
    if found is None:
        pytest.fail(NO_COUNTER)
    return found


def syncs_and_words(counter: Counter, folder: Path, *, members: int, bug: str = "") -> dict[str, list[str]]:
    """Of each member, in order: files of its ledger that were synced, and messages that it sent, between the
    beginning and the end of one operation.
    """
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


@pytest.fixture(scope="module")
def steps(counter: Counter, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Step of `durable_writes` -> names of the files of ledger and identity that it synced, in order."""
    folder = tmp_path_factory.mktemp("steps")
    found: dict[str, list[str]] = {}
    step = ""
    for path in counter([sys.executable, "-m", "tests.ledger.durable_writes", str(folder)], folder):
        if path.parent == folder / "steps":
            step = path.name
            found.setdefault(step, [])
        elif path.parent == folder / "ledger" or path == folder / "identity":
            found[step].append(path.name)
        elif path.parent == folder / "identity":
            name, _process = path.name.removeprefix(".").rsplit(".", 1)  # not under its own name yet
            found[step].append(name)
    return found


def test_r6_a_turn_that_writes_nothing_new_syncs_what_was_written_before(
    steps: dict[str, list[str]],
) -> None:
    """ports.Journal: on return all that was written before is synced too."""
    assert (steps["turn"], steps["turn not durable"], steps["turn already known"]) == ([WAL], [], [WAL])


def test_r6_a_copy_is_synced_before_the_log_is_written_over(steps: dict[str, list[str]]) -> None:
    """The log is synced before its pages are copied, the database before the log is begun anew or removed; so
    is the header of a log that begins anew. Rows wait for the next turn's sync."""
    assert {name: steps[name] for name in COPIES} == COPIES


def test_r6_r10_r11_writes_outside_turns_are_synced(steps: dict[str, list[str]]) -> None:
    """Incarnation, voting state, operator's order, snapshot."""
    assert {name: steps[name] for name in OUTSIDE_TURNS} == OUTSIDE_TURNS


def test_r11_files_beside_the_key_are_synced(steps: dict[str, list[str]]) -> None:
    """The mark of its first vote, before that vote; a signed end of an epoch, before it shows that."""
    assert {name: steps[name] for name in BESIDE_THE_KEY} == BESIDE_THE_KEY


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
    """The count notices a missing sync."""
    assert syncs_and_words(counter, tmp_path, members=4, bug=bug)["r1"] == backup
