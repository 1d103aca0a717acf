"""A learner without a network: the real ticket machine and a real, indexed ledger, announced as in life.

Agreement alone is missing. What FakeGateway executes is appended to a ledger as the learner would
append it, materialised, and announced; pages and feed read it as they read the learner's database.

The ledger belongs to a thread of its own, like that of a learner's process: operations come in threads that
serve requests, and such a thread may outlive its test. SQLite's connection crashes the process if one thread
closes it while another is in the middle of a statement.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from asgiref.sync import SyncToAsync
from django.db import connections

from dtvn.node.feed_publisher import FeedPublisher
from dtvn.node.journal import NodeJournal
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import ApplicationChange, EntryRecord, Executed
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.wire.envelope import encode_envelope, kind_of
from tests.fake_gateway import FakeGateway
from validators.ledger import open_ledger

ALIAS = "learner"

Done = TypeVar("Done")


class RealLearner:
    """A ledger in `folder` in place of the alias `learner`, and a gateway that fills it."""

    def __init__(self, folder: Path, genesis: g.Genesis, address: str) -> None:
        self._alias = _Replaced()
        self._owner = ThreadPoolExecutor(1, "learner")
        """The one thread that uses ledger, journal and publisher."""
        self._owned(lambda: self._open(folder, genesis, address))
        self._alias.share()
        self.lagging = False
        """True: entries are appended and no rows are written, as in the 100 ms of R9."""
        self._previous = bytes(32)
        self._changes: list[ApplicationChange] = []
        self._closed = False
        self.gateway = FakeGateway(genesis, principal="gateway", on_executed=self._on_executed)

    def close(self) -> None:
        """Ends what requests have begun, then the ledger; a later request gets an error. May be called
        twice."""
        self.gateway.close()
        if not self._closed:
            self._closed = True
            self._owned(self._close)
            self._owner.shutdown()
            self._alias.restore()

    def catch_up(self) -> None:
        """Write and announce the rows of everything appended."""
        self.lagging = False
        self._owned(self._materialise)

    def _owned(self, call: Callable[[], Done]) -> Done:
        """The result of a call in the ledger's thread."""
        return self._owner.submit(call).result()

    def _open(self, folder: Path, genesis: g.Genesis, address: str) -> None:
        self.ledger = open_ledger(folder, cluster_id=g.cluster_id(genesis), alias=ALIAS, indexed=True)
        self.publisher = FeedPublisher(address)
        self.journal = NodeJournal(self.ledger, None, announce=self.publisher.announce)
        self.journal.load()

    def _close(self) -> None:
        self.publisher.close()
        self.ledger.close()

    def _on_executed(
        self,
        sequence: int,
        timestamp: int,
        bundle: VerifiedBundle,
        outcomes: tuple[m.Outcome, ...],
        changes: list[ApplicationChange],
    ) -> None:
        self._owned(lambda: self._write(sequence, timestamp, bundle, outcomes, changes))

    def _write(
        self,
        sequence: int,
        timestamp: int,
        bundle: VerifiedBundle,
        outcomes: tuple[m.Outcome, ...],
        changes: list[ApplicationChange],
    ) -> None:
        frame = encode_envelope(kind_of(bundle.bundle), canonical.encode(bundle.bundle), bytes(64))
        body = canonical.encode(m.Batch(origin_view=0, proposed=timestamp, requests=(frame,)))
        entry = m.Entry(
            epoch=0,
            sequence=sequence,
            batch_digest=m.batch_digest(0, timestamp, (bundle.digest,)),
            results_root=canonical.EMPTY_ROOT,
            timestamp=timestamp,
            previous=self._previous,
        )
        self._previous = m.entry_hash(entry)
        self.journal.append([EntryRecord(entry, self._previous, body, (b"commit",) * 3)])
        note = Executed(entry, self._previous, ((bundle.bundle, 0, outcomes),), 0)
        self.ledger.notice(note)
        self._changes += changes
        self._at = sequence, timestamp
        if not self.lagging:
            self._materialise()

    def _materialise(self) -> None:
        changes, self._changes = self._changes, []
        self.journal.materialise(changes, *self._at)


class _Replaced:
    """The alias `learner` of the test run, put aside while a ledger has its name.

    Threads that outlive a test keep their connection objects, which keep the *dictionary* of
    settings: so the ledger's settings are put into that very dictionary. The one such thread is
    asgiref's; what it has open is closed, or it would go on reading an earlier test's file.
    """

    def __init__(self) -> None:
        self._connection = connections[ALIAS]
        self._settings = connections.databases.pop(ALIAS)
        self._content = dict(self._settings)
        del connections[ALIAS]

    def share(self) -> None:
        self._settings.update(connections.databases[ALIAS])
        connections.databases[ALIAS] = self._settings
        _close_elsewhere()

    def restore(self) -> None:
        self._settings.clear()
        self._settings.update(self._content)
        connections.databases[ALIAS] = self._settings
        connections[ALIAS].close()  # with which this thread has read
        connections[ALIAS] = self._connection
        _close_elsewhere()


def _close_elsewhere() -> None:
    SyncToAsync.single_thread_executor.submit(lambda: connections[ALIAS].close()).result()
