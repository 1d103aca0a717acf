"""A node whose data directory is deleted under load comes back by state transfer while the others work (R11,
R23): real processes, real disks."""

from __future__ import annotations

import base64
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from dtvn.api.errors import OutcomeUnknown, Unavailable
from dtvn.gateway import Gateway
from dtvn.machine import Issue, Validate, read_state
from dtvn.machine.reasons import UNAVAILABLE
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import KIND_OF, Operation, Receipt
from dtvn.protocol.genesis import cluster_id
from dtvn.protocol.scheme import ED25519
from dtvn.protocol.wire import signed_bytes
from tests.integration.node_cluster import Cluster, operation, running_cluster, submit
from tests.waiting import PATIENCE, wait_until
from tickets.services import reading
from validators.ledger import read
from validators.services import network

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.exhaustive]

Read = TypeVar("Read")

SEQUENCES = 1_300
"""More than a member may lag before it takes the state instead of the log."""
PACE = 0.02
"""Seconds between two operations: well below what the cluster can do, so that what is missing is its fault
and not that of a machine whose cores a starting process takes."""
CALM = 150
"""Answers that show what this machine can do of that with nobody missing."""


class Load:
    """Validates one ticket after the other at a steady pace, and remembers when each was answered."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.asked: list[float] = []
        self.answered: list[float] = []
        self.codes: set[str] = set()

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)

    def rate(self, since: float, until: float) -> float:
        """Answers for each question of that time."""
        asked = sum(since <= when < until for when in self.asked)
        return sum(since <= when < until for when in self.answered) / max(1, asked)

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(PACE):
            self.asked.append(time.monotonic())
            self._ask(operation(Issue(), f"LOAD-{number}"))
            number += 1

    def _ask(self, asked: Operation) -> None:
        future = self._gateway.submit([asked], wait=PATIENCE)
        future.add_done_callback(lambda done: self._on_answer(done.result()[0].code, asked))

    def _on_answer(self, code: str, asked: Operation) -> None:
        if code == UNAVAILABLE and not self._stop.is_set():  # nothing was sent: a link was away for seconds
            self._ask(asked)
            return
        self.answered.append(time.monotonic())
        self.codes.add(code)


def grow(gateway: Gateway) -> None:
    """Order more sequences than a node would replay."""
    submit(gateway, [operation(Issue(), f"T-{number}") for number in range(200)])
    while gateway.acknowledged < SEQUENCES:
        futures = [gateway.submit([operation(Validate(), f"T-{number}")]) for number in range(20)]
        for future in futures:
            future.result(PATIENCE)


def is_level(cluster: Cluster, gateway: Gateway) -> bool:
    """Whether node3 has what was acknowledged before it was asked, however long its answer takes."""
    aim = gateway.acknowledged - 20
    return bool(cluster.status(gateway, 3).get("sequence", 0) >= aim)


def roots(cluster: Cluster, gateway: Gateway) -> dict[int, set[str]]:
    """By stable checkpoint: the state roots that nodes have there."""
    found: dict[int, set[str]] = {}
    for index in cluster.processes:
        status = cluster.status_of(gateway, index)
        found.setdefault(status["stable"], set()).add(status["state_root"])
    return found


def test_a_node_whose_data_is_lost_under_load_takes_the_state_and_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody learns here: epoch change proofs come from the members alone.
    monkeypatch.setattr(read, "epoch_changes", lambda _using, *, after=0: [])
    with running_cluster(tmp_path, 4) as (cluster, gateway):
        grow(gateway)
        with Load(gateway) as load:
            wait_until(lambda: len(load.answered) > CALM, what="the load runs")
            begun = time.monotonic()
            calm = load.rate(load.asked[0], begun)
            cluster.kill(3)
            cluster.lose_ledger(3)
            cluster.start(3)
            wait_until(
                lambda: "installed" in cluster.output(3),
                what=lambda: f"node3 installed a snapshot\n{cluster.outputs()}",
            )
            wait_until(
                lambda: is_level(cluster, gateway), what=lambda: f"node3 caught up\n{cluster.outputs()}"
            )
            ended = time.monotonic()
        assert load.codes == {"ok"}
        assert load.rate(begun, ended) > 0.7 * calm
        cluster.settled()
        [found] = wait_until(
            lambda: seen if len(seen := roots(cluster, gateway)) == 1 else {},
            what=lambda: f"one checkpoint: {roots(cluster, gateway)}",
        ).values()
        assert len(found) == 1, "the same state everywhere"
        the_log_below_the_state_is_filled(cluster, gateway)
        assert cluster.ticket(gateway, 3, "T-7")["ticket"]["State"] == "VALIDATED"
        grow_past(cluster, gateway)
        reads_promise_what_they_say(gateway)
        assert cluster.stop(3) == [0]
        cluster.start(3)
        wait_until(lambda: cluster.status(gateway, 3).get("voting"), what="restarts included")


def the_log_below_the_state_is_filled(cluster: Cluster, gateway: Gateway) -> None:
    """R23: node3 fetches in the background what the state replaced, and says so; then it proves old outcomes
    as the others do (R26)."""
    wait_until(
        lambda: "archive_complete" in cluster.output(3),
        what=lambda: f"node3 has the whole log: {cluster.status(gateway, 3)}\n{cluster.outputs()}",
    )
    assert cluster.output(3).index("archive_filling") < cluster.output(3).index("archive_complete")
    assert cluster.status_of(gateway, 3)["complete_from"] == 0
    entries = [entry_hashes(cluster, index) for index in (0, 3)]
    shared = min(map(len, entries))
    assert shared > SEQUENCES
    assert entries[0][:shared] == entries[1][:shared]
    member, name = cluster.genesis.members[3], cluster_id(cluster.genesis)
    for sequence in (1, 2, SEQUENCES // 2):
        answer = gateway.query(3, "receipt", [str(sequence)], wait=PATIENCE).result(PATIENCE)
        assert not answer.code, answer.code
        body = canonical.encode(Receipt(0, 3, sequence, entries[0][sequence - 1]))
        signature = base64.b64decode(msgspec.json.decode(answer.text)["signature"])
        assert ED25519.verify(member.public_key, signed_bytes(name, KIND_OF[Receipt], body), signature)


def entry_hashes(cluster: Cluster, index: int) -> list[bytes]:
    """The hash of each entry in a node's ledger; its sequences are 1, 2, ... without a hole."""
    [file] = cluster.node(index).ledger.glob("*.sqlite3")
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as reading_only:
        rows = reading_only.execute(
            "SELECT sequence, entry_hash FROM ledger_consensusentry ORDER BY sequence"
        ).fetchall()
    assert [sequence for sequence, _hash in rows] == list(range(1, len(rows) + 1))
    return [bytes(found) for _sequence, found in rows]


def proved(ticket: str) -> reading.Proved:
    """A quorum read, repeated if no member proved anything within the three seconds of one read."""

    found = wait_until(
        lambda: unless_unavailable(lambda: reading.quorum_read("default", ticket)),
        what=f"a proof of {ticket}",
    )
    assert found is not None
    return found


def unless_unavailable(read: Callable[[], Read]) -> Read | None:
    """What was read, None where the cluster did not answer in time."""
    with suppress(Unavailable, OutcomeUnknown):
        return read()
    return None


def reads_promise_what_they_say(gateway: Gateway) -> None:
    """R18, out of real nodes: the state of a checkpoint with its proof, and an ordered barrier."""
    network.use(gateway)
    try:
        found = proved("T-7")
        assert found.ticket is not None
        state = read_state(found.ticket[0])
        assert state is not None
        assert (state.ticket, state.state.name) == ("T-7", "VALIDATED")
        assert found.sequence > SEQUENCES
        assert proved("NOBODY").ticket is None
        assert wait_until(lambda: unless_unavailable(reading.barrier), what="a barrier") > found.sequence
    finally:
        network.use(None)


def grow_past(cluster: Cluster, gateway: Gateway) -> None:
    """Until node3 has its vote back: every slot it could contradict lies below a stable checkpoint (R11)."""

    def votes() -> bool:
        for _ in range(20):
            submit(gateway, [operation(Validate(), "T-7")])
        return bool(cluster.status(gateway, 3).get("voting"))

    wait_until(votes, what=lambda: f"node3 votes again\n{cluster.outputs()}")
