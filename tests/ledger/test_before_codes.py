"""Data that the program before codes wrote is opened, read, replayed and continued.

`before_codes.tar.xz` holds the ledgers of one of four nodes and of the learner, as SQL, and their genesis, of
a cluster that ran that program (schema 3): tickets in each state and two events, refusals, a nonce.
"""

from __future__ import annotations

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dtvn.ledger import Location
from dtvn.machine import Admit, Issue, OpenSession, build
from dtvn.machine.codes import code_digest
from dtvn.node.replay import Replay, verify_copy
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.executor import Step
from dtvn.protocol.consensus.messages import Batch, Bundle, Operation, batch_digest, bundle_digest
from dtvn.protocol.consensus.verified import VerifiedBatch, VerifiedBundle
from dtvn.protocol.wire.envelope import encode_envelope, kind_of
from tests.ledger.test_replay import ALIAS, Replica
from validators.ledger import open_ledger, read
from validators.ledger.models import OperationRecord, Ticket

DATA = Path(__file__).with_name("before_codes.tar.xz")
HEAD = 26
ROOT = "ccc30f05550ab9dd52919c8a0da9f6b67cd4a6101b7fe9962f71e6007973af69"
"""State root at HEAD, as the program before said it."""
STATES = {
    ("default", "T-admitted"): "CONSUMED",
    ("default", "T-cleared"): "VALIDATED",
    ("default", "T-consumed"): "CONSUMED",
    ("default", "T-disputed"): "DISPUTED",
    ("default", "T-issued"): "ISSUED",
    ("default", "T-late"): "VALIDATED",
    ("default", "T-upheld"): "DISPUTED",
    ("default", "T-validated"): "VALIDATED",
    ("gala", "G-1"): "VALIDATED",
    ("gala", "G-window"): "ISSUED",
}
MINUTE = 60_000_000


class Written:
    """The unpacked ledgers."""

    def __init__(self, folder: Path) -> None:
        with tarfile.open(DATA) as archive:
            for member in archive:
                content = archive.extractfile(member)
                assert content is not None
                (folder / member.name).write_bytes(content.read())
        self.genesis = g.decode((folder / "genesis.bin").read_bytes())
        self.none = folder / "no state file"
        self._folder = folder

    def ledger(self, name: str) -> Location:
        place = Location(self._folder / name)
        place.folder.mkdir(mode=0o700)
        with closing(sqlite3.connect(place.database_file)) as database:
            database.executescript((self._folder / f"{name}.sql").read_text(encoding="utf-8"))
        return place


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


def test_the_learners_rows_are_those_that_its_log_leads_to(written: Written) -> None:
    cluster = g.cluster_id(written.genesis)
    ledger = open_ledger(written.ledger("learner"), cluster_id=cluster, alias=ALIAS, indexed=True)
    try:
        assert verify_copy(ledger, written.genesis, began_with=written.none) == (HEAD, 20)
        rows = read.list_tickets(ALIAS, limit=99)
        assert {(row.event, row.ticket): row.state for row in rows} == STATES
        assert [row.ticket for row in rows if row.upheld] == ["T-upheld"]
        assert not any(row.blocked or row.codes or row.revoked or row.changed for row in rows)
        assert not Ticket.objects.using(ALIAS).filter(blocked=True).exists()
        scans = OperationRecord.objects.using(ALIAS).filter(operation="admit").order_by("id")
        assert list(scans.values_list("ticket_id", "code")) == [
            ("T-admitted", "ok"),
            ("T-admitted", "already_consumed"),
            ("T-nobody", "ticket_not_found"),
            ("G-window", "not_yet_valid"),
        ]
        assert [(one.event, one.row, one.blocked) for one in read.summarise_events(ALIAS)] == [
            ("default", None, 0),
            ("gala", None, 0),
        ]
    finally:
        ledger.close()


def test_a_nodes_log_leads_to_the_root_that_the_program_before_had(written: Written) -> None:
    cluster = g.cluster_id(written.genesis)
    ledger = open_ledger(written.ledger("node0"), cluster_id=cluster, alias=ALIAS)
    try:
        tail = ledger.load(whole=True)
        assert tail.checkpoint is not None
        replay = Replay(ledger, written.genesis, tail, written.none)
        replay.run(tail.checkpoint.sequence)
        assert replay.application.freeze(tail.checkpoint.sequence) == tail.checkpoint.state_root
        replay.run(HEAD)
        assert replay.application.root().hex() == ROOT
        kept = Replay(ledger, written.genesis, tail, written.none)
        kept.load_rows()
        assert kept.application.root().hex() == ROOT
    finally:
        ledger.close()


class Gateway:
    """What a gateway of the cluster would send now."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.now = replica.executor.timestamp + MINUTE
        self._number = 0
        self._session = (0, 0)
        assert self.order(self.operation(OpenSession(), "", nonce=b"open")) == ["ok"]
        self._session = (replica.executor.executed, 0)
        self._number = 0

    def operation(self, command: Any, ticket: str, nonce: bytes = b"") -> Operation:
        return build(
            command,
            ticket=ticket,
            actor="gate-a",
            entry="node1",
            valid_until=self.now + MINUTE,
            nonce=nonce,
        )

    def order(self, *operations: Operation) -> list[str]:
        """The outcomes' codes of a batch of its own."""
        bundle = Bundle(0, "gateway", b"client00", self._session, self._number, 0, operations)
        self._number += 1
        body = canonical.encode(bundle)
        frame = encode_envelope(kind_of(bundle), body, b"s" * 64)
        sealed = VerifiedBundle(canonical.decode(Bundle, body), bundle_digest(body), frame)
        batch = Batch(0, self.now, (frame,))
        digest = batch_digest(0, self.now, (sealed.digest,))
        step: Step = self._replica.execute(VerifiedBatch(batch, digest, canonical.encode(batch), (sealed,)))
        [(_bundle, _first, outcomes)] = step.note(0).bundles
        return [outcome.code for outcome in outcomes]


@pytest.mark.parametrize("name", ["node0", "learner"])
def test_the_cluster_goes_on_admitting_by_id_and_by_code(written: Written, name: str) -> None:
    place, searched = written.ledger(name), name == "learner"
    replica = Replica(place, written.genesis, searched=searched)
    try:
        assert replica.application.root().hex() == ROOT
        salt = read.salt_of(ALIAS, g.cluster_id(written.genesis), "default")
        code = code_digest(salt, "printed")
        gateway = Gateway(replica)
        operation = gateway.operation
        again = operation(Admit("north", "d-2"), "T-admitted", nonce=b"scan-1")
        assert gateway.order(again) == ["ok"], "its scan, repeated"
        assert gateway.order(
            operation(Admit("north"), "T-validated"),
            operation(Admit("north"), "T-upheld"),
            operation(Issue(codes=(code,)), "N-1"),
            operation(Admit("north", code=code), ""),
            operation(Admit("north", code=code), ""),
            operation(Admit("north", code=b""), "T-issued"),
        ) == ["ok", "disputed", "malformed", "malformed", "malformed", "malformed"], "R47: until the raise"
        replica.materialise()
        root = replica.application.root()
        replica.ledger.close()
        replica = Replica(place, written.genesis, searched=searched)
        assert replica.application.root() == root
        assert read.event_row(ALIAS, "default") is None, "no code came in"
    finally:
        replica.ledger.close()
