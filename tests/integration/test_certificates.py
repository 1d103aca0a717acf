"""Proofs out of a whole running network: of a fresh admission at once, of an old one with every node dead."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from dtvn.gateway import Gateway, gather_liveness_proofs
from dtvn.machine import Reconfigure, build
from dtvn.proof import read_chain, unwrap
from dtvn.protocol.consensus.membership import Change
from tests.integration.network import REPOSITORY, Network
from tests.integration.node_cluster import ANSWER_WAIT, OUTCOME_WAIT
from tests.integration.test_process_life import wait_until_everyone_runs
from tests.waiting import wait_until
from verifier import dtvn_verify

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture
def running(shared: Network) -> Network:
    return shared


def opened(network: Network) -> Gateway:
    folder = network.data
    key = folder / "keys" / "gateway.key"
    return Gateway.open(folder / "cluster" / "genesis.bin", key, principal="gateway")


def fetch(client: httpx.Client, path: str, file: Path) -> Path:
    """Ask again if the platform says that members were too slow to give receipts."""

    def given() -> httpx.Response | None:
        response = client.get(f"/api/v1/{path}")
        assert response.status_code in (200, 503), response.text
        return response if response.status_code == 200 else None

    found = wait_until(given, what=lambda: client.get(f"/api/v1/{path}").text)
    assert found is not None
    file.write_bytes(found.content)
    return file


def admit(client: httpx.Client, ticket: str) -> int:
    """The sequence of the admission, once the platform's copy shows it."""
    for verb, body in (("", {}), ("/admit", {"gate": "north", "device": "scanner-1"})):
        answer = client.post(f"/api/v1/tickets{verb}", json={"ticket_id": ticket, **body})
        assert answer.status_code == 200, answer.text
    sequence = int(answer.headers["X-DTVN-Sequence"])
    wait_until(
        lambda: int(client.get(f"/api/v1/tickets/{ticket}").headers.get("X-DTVN-Sequence", 0)) >= sequence,
        what=f"the copy has sequence {sequence}",
    )
    return sequence


def proved_by_quorum(client: httpx.Client, ticket: str) -> tuple[httpx.Response, int]:
    """A quorum read of it, and at which try: once is enough as a rule, but a change of the view may take
    longer than a read waits."""
    tries = itertools.count(1)
    path = f"/api/v1/tickets/{ticket}?read=quorum"

    def read() -> tuple[httpx.Response, int] | None:
        number, found = next(tries), client.get(path)
        assert found.status_code in (200, 503), found.text
        return (found, number) if found.status_code == 200 else None

    proved = wait_until(read, what=lambda: client.get(path).text)
    assert proved is not None
    return proved


def verified(command: list[object]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.backend
def test_r27_an_admission_in_an_idle_network_is_proved_at_once_and_offline(
    running: Network, tmp_path: Path
) -> None:
    with running.client() as client:
        admit(client, "PROOF-1")
        chain = fetch(client, "epochs", tmp_path / "epochs.json")
        certificate = fetch(client, "tickets/PROOF-1/certificate", tmp_path / "proof-1.json")
    assert certificate.stat().st_size <= 2_048
    command = ["manage.py", "verify_certificate", certificate, "--genesis", chain]
    code, said = verified(command)
    assert code == 0, said
    assert said.startswith("ticket PROOF-1 of event default: admit -> ok at sequence ")
    assert "3 of 4 members, of whom 1 may lie" in said
    assert "right after it the ticket was CONSUMED, gate north, device scanner-1" in said
    assert verified(["-I", dtvn_verify.__file__, "certificate", certificate, "--genesis", chain])[0] == 0
    certificate.write_bytes(certificate.read_bytes().replace(b"a", b"b", 1))
    code, said = verified(command)
    assert (code, "not proved: " in said) == (1, True)


def test_the_verifiers_page_is_served_with_all_its_files(running: Network) -> None:
    with running.client() as client:
        page = client.get("/static/verifier/index.html")
        assert page.status_code == 200
        assert "script-src 'self'" in page.text
        for source in (
            "../vendor/sha256.min.js",
            "../vendor/nacl-fast.min.js",
            "forms.js",
            "verify.js",
            "transcripts.js",
            "page.js",
            "verifier.css",
        ):
            assert source in page.text
            found = client.get(str(page.url.join(source)))
            assert found.status_code == 200, source
            assert found.headers["Content-Type"].split(";")[0] in ("text/javascript", "text/css")


def test_r35_one_chain_proves_outcomes_of_two_epochs_and_reads_go_on(
    running: Network, tmp_path: Path
) -> None:
    """The parameters change, and with them the epoch; the platform is not restarted."""
    with running.client() as client, opened(running) as gateway:
        admit(client, "BEFORE")
        wanted = replace(gateway.present.parameters, view_timeout=gateway.present.parameters.view_timeout + 1)
        words = tuple(gather_liveness_proofs(gateway))
        change = Reconfigure(Change(epoch=0, parameters=(wanted,), alive=words))
        operation = build(change, actor="operator", entry=gateway.present.members[0].id)
        assert [each.code for each in gateway.submit([operation], wait=OUTCOME_WAIT).result()] == ["ok"]
        wait_until(lambda: gateway.present.epoch == 1, what="the next epoch has begun")
        admit(client, "AFTER")
        chain = tmp_path / "epochs.json"

        def has_both() -> bool:
            return len(read_chain(unwrap("chain", fetch(client, "epochs", chain).read_bytes())).epochs) == 2

        wait_until(has_both, what="the chain holds both epochs")
        for ticket, epoch in (("BEFORE", 0), ("AFTER", 1)):
            certificate = fetch(client, f"tickets/{ticket}/certificate", tmp_path / f"{ticket}.json")
            code, said = verified(["manage.py", "verify_certificate", certificate, "--genesis", chain])
            assert code == 0, said
            assert f"epoch {epoch}, log time" in said
            alone = ["-I", dtvn_verify.__file__, "certificate", certificate, "--genesis", chain]
            assert verified(alone)[0] == 0
        for number in range(12):
            assert client.post("/api/v1/tickets", json={"ticket_id": f"THEN-{number}"}).status_code == 200
        proved_by_quorum(client, "AFTER")


@pytest.mark.exhaustive
def test_r18_an_idle_network_proves_tickets_again_after_all_nodes_died(
    running: Network, tmp_path: Path
) -> None:
    """Their rows lie above the checkpoint, whose signed state is gone. No operation is ordered meanwhile."""
    wait_until_everyone_runs(running)
    with running.client() as client, opened(running) as gateway:
        interval = gateway.present.parameters.checkpoint_interval
        at = admit(client, "KILLED")
        aim = (at // interval + 1) * interval + 3
        while at < aim:
            later = f"LATER-{at}"
            answer = client.post("/api/v1/tickets", json={"ticket_id": later})
            at = int(answer.headers["X-DTVN-Sequence"])

        def codes() -> set[str]:
            asked = [gateway.query(n, "proof", ("default", "KILLED"), wait=ANSWER_WAIT) for n in range(4)]
            return {question.result(ANSWER_WAIT + 10).code for question in asked}

        wait_until(lambda: codes() == {""}, what=lambda: f"all prove: {codes()}")
        for node in running.nodes().values():
            os.kill(node["pid"], signal.SIGKILL)
        wait_until(lambda: codes() == {"not_frozen"}, what=lambda: f"all started again: {codes()}")
        found, reads = proved_by_quorum(client, "KILLED")
        assert found.json()["data"]["State"] == "CONSUMED"
        checkpoint = int(found.headers["X-DTVN-Sequence"])
        assert (checkpoint % interval, at < checkpoint <= at + reads * interval) == (0, True)
        fetch(client, f"tickets/{later}/certificate", tmp_path / "later.json")


def issue_more(client: httpx.Client, numbers: Iterator[int]) -> None:
    """Enough for another checkpoint."""
    for number in itertools.islice(numbers, 12):
        assert client.post("/api/v1/tickets", json={"ticket_id": f"MORE-{number}"}).status_code == 200


@pytest.mark.exhaustive
def test_r26_outcomes_below_a_checkpoint_are_proved_without_a_node(running: Network, tmp_path: Path) -> None:
    with running.client() as client:
        first, numbers = admit(client, "PROOF-2"), itertools.count()
        issue_more(client, numbers)
        chain = fetch(client, "epochs", tmp_path / "epochs.json")

        def by_log() -> bool:
            certificate = fetch(client, "tickets/PROOF-2/certificate", tmp_path / "proof-2.json")
            code, said = verified([dtvn_verify.__file__, "certificate", certificate, "--genesis", chain])
            return code == 0 and "under their checkpoint" in said

        # A learner whose link was cut just then has missed a checkpoint; the next one covers the ticket too.
        wait_until(
            lambda: by_log() or issue_more(client, numbers), what=f"a checkpoint that covers sequence {first}"
        )
        for node in range(4):
            client.delete(f"/api/v1/nodes/node{node}").raise_for_status()
        wait_until(
            lambda: all(node["status"] == "stopped" for node in client.get("/api/v1/nodes").json()),
            what="the nodes do not stop",
        )
        assert by_log()
        for node in range(4):
            client.post("/api/v1/nodes", json={"node_id": f"node{node}"}).raise_for_status()
