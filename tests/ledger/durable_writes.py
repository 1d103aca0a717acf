"""Each kind of durable write of a member, made once: `python -m tests.ledger.durable_writes FOLDER`.

Each step begins with a mark of its name in FOLDER/steps: who counts syncs from outside sees which step made
them. The ledger, on SQLite, is in FOLDER/ledger; what lies beside the member's key in FOLDER/identity.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dtvn.node.keys import VotedStamp
from dtvn.node.layout import NodeFolder, make_private
from dtvn.node.promise import keep_promise
from dtvn.protocol.consensus import log_tree
from dtvn.protocol.consensus.effects import Install
from dtvn.recovery import SignedFile
from dtvn.recovery.kinds import SIGNED
from tests.ledger.samples import CLUSTER, START, LogWriter, slot
from tests.ledger.syncs import mark
from tests.waiting import wait_until
from validators.ledger import Ledger, open_ledger
from validators.ledger import open as opening
from validators.ledger.sqlite import SqliteStore

OTHER = "other"
"""Step of everything that is not asserted: imports, the schema, reading back."""


class Steps:
    """Marks where each begins."""

    def __init__(self, folder: Path) -> None:
        self._ledger, self._marks = folder / "ledger", folder / "steps"
        self._marks.mkdir()

    def begin(self, name: str) -> None:
        mark(self._marks / name)

    def open(self, name: str) -> Ledger:
        """Open the ledger. The step `name` is the transaction that raises the incarnation, without those of
        the schema, as many as there are migrations."""
        enter = opening._enter

        def marked(*arguments: Any, **options: Any) -> Any:
            self.begin(name)
            found = enter(*arguments, **options)
            self.begin(OTHER)
            return found

        self.begin(OTHER)
        with patch.object(opening, "_enter", marked):
            ledger = open_ledger(self._ledger, cluster_id=CLUSTER, alias="durable-writes")
        ledger.load()
        wait_until(ledger.check_older, what="all is checked")  # no copy goes beyond what a reader has open
        return ledger


def main(folder: str) -> None:
    steps = Steps(Path(folder))
    ledger = steps.open("found")
    turns_and_copies(steps, ledger)
    flags_and_snapshot(steps, ledger)
    steps.begin("close")
    ledger.close()
    steps.open("open again").close()
    beside_the_key(steps, NodeFolder(Path(folder)))


def turns_and_copies(steps: Steps, ledger: Ledger) -> None:
    store = ledger._store
    assert isinstance(store, SqliteStore)
    steps.begin("turn")
    ledger.append([slot("commit", 1)])
    steps.begin("turn not durable")
    ledger.append([slot("prepare", 1)], durable=False)
    steps.begin("turn already known")
    ledger.append([slot("commit", 1)])
    steps.begin("copy in the background")
    ledger.maintain()
    wait_until(lambda: store._checkpointer._done, what="the log is copied")
    steps.begin("turn after the copy")
    ledger.append([slot("prepare", 2)])
    steps.begin("copy of the rest, and rows")
    ledger.materialise([], 0, START)
    steps.begin("turn over the copied log")
    ledger.append([slot("commit", 2)])
    steps.begin("rows")
    ledger.materialise([], 0, START)


def flags_and_snapshot(steps: Steps, ledger: Ledger) -> None:
    steps.begin("stopped")
    ledger._replace_meta([], voting=False, voting_reason="Its ledger is an old copy.")
    steps.begin("vote_again")
    ledger.vote_again()
    steps.begin("say_others_are_gone")
    ledger.say_others_are_gone()
    writer = LogWriter()
    entry = writer.entry().entry
    steps.begin("install")
    ledger.install(Install(writer.checkpoint(), entry, log_tree.Frontier().peaks, list))
    steps.begin(OTHER)
    ledger.load()
    ledger.materialise([], 1, START)  # not synced: what `close` copies


def beside_the_key(steps: Steps, folder: NodeFolder) -> None:
    make_private(folder.identity)
    steps.begin("stamp")
    VotedStamp(folder.identity).write()
    steps.begin("promise")
    keep_promise(folder, SignedFile(SIGNED, bytes(32), b"its word", b""))


if __name__ == "__main__":
    main(*sys.argv[1:])
