"""A cluster of the last release is upgraded member by member while gates scan, as upgrade.md says, in both
orders; it goes back before the raise, is raised, and has then what only the new version has (R47, R13)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Self

import httpx
import pytest

from tests.integration.network import REPOSITORY, START_PATIENCE, Network, end_in_order
from tests.integration.node_cluster import environment
from tests.needed import lacking
from tests.ports import free_ports
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only, pytest.mark.timeout(1_200)]

LAST_RELEASE, COMMIT = "0.1.0", "f14797b8a653dc0d84bb414ef7cc0db7fd08b30c"
NAMES = ("seller", "venue", "promoter", "auditor")
"""The first has the platform."""
A_SECOND = 25
"""Scans."""
TICKETS = 6_000


class Party(Network):
    """Its data folder, and the programs that it runs at the moment."""

    def __init__(self, root: Path, name: str, program: Path) -> None:
        super().__init__(root / name)
        self.name, self.program = name, program
        self.member_port = free_ports(1)[0]
        self.node: subprocess.Popen[bytes] | None = None

    def genesis(self, *words: str) -> None:
        done = self.run("genesis", *words)
        assert done.returncode == 0, done.stdout + done.stderr

    def begin(self) -> None:
        """Its node alone."""
        with self.log.open("ab") as log:
            self.node = subprocess.Popen(
                [
                    *(sys.executable, "manage.py", "validator", "-id", self.name),
                    *("-data-dir", str(self.data), "-metrics-port", "0", "-api-port", "0"),
                ],
                cwd=self.program,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def end(self) -> None:
        if self.node is not None:
            self.node.terminate()
            self.node.wait(PATIENCE)
            self.node = None


class Scans:
    """Gates that scan A_SECOND tickets, each with a nonce and again until there is an answer."""

    def __init__(self, platform: Party) -> None:
        self._due: SimpleQueue[int] = SimpleQueue()
        self._over = threading.Event()
        self.answers: dict[str, tuple[int, bytes]] = {}
        clients = [platform.client(patient=False) for _ in range(A_SECOND)]
        self._threads = [threading.Thread(target=self._scan, args=(client,)) for client in clients]
        self._threads.append(threading.Thread(target=self._beat))

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in self._threads:
            each.join(PATIENCE)

    def _beat(self) -> None:
        for number in range(TICKETS):
            if self._over.wait(1 / A_SECOND):
                break
            self._due.put(number)
        for _ in self._threads:
            self._due.put(-1)

    def _scan(self, client: httpx.Client) -> None:
        with client:
            while (number := self._due.get()) >= 0:
                name = f"T-{number}"
                while (answer := scan(client, name)) is None and not self._over.wait(0.2):
                    pass
                self.answers[name] = answer or (0, b"no answer at the end")


def scan(client: httpx.Client, ticket: str) -> tuple[int, bytes] | None:
    """The answer to the scan of a ticket; None: it is to be asked again."""
    body = {"ticket_id": ticket, "gate": "north", "nonce": f"scan-{ticket}"}
    try:
        response = client.post("/api/v1/tickets/admit", json=body)
    except httpx.TransportError:
        return None
    again = response.status_code in (502, 503, 504)
    return None if again else (response.status_code, response.content)


class Four:
    """Four parties of the last release, on one machine."""

    def __init__(self, root: Path, old: Path) -> None:
        self.old = old
        self.parties = {name: Party(root, name, old) for name in NAMES}
        self.platform = self.parties[NAMES[0]]
        file = str(root / "cup.genesis")
        self.platform.genesis("init", "--name", "Cup", "--members", "4", "--out", file)
        grants = [word for grant in ("issue", "gate", "admin") for word in ("--grant", grant)]
        for name, party in self.parties.items():
            place = ("--id", name, "--host", "127.0.0.1", "--port", str(party.member_port))
            party.genesis("join", file, "--data-dir", str(party.data), *place, *grants)
        for verb in ("seal", "install"):
            for party in self.parties.values():
                party.genesis(verb, file, "--data-dir", str(party.data))

    @contextmanager
    def running(self) -> Iterator[Self]:
        with ExitStack() as ended:
            ended.enter_context(end_in_order(self.platform))
            for party in self.others:
                ended.callback(party.end)
                party.begin()
            self.platform.launch()
            wait_until(self.platform.is_ready, timeout=3 * START_PATIENCE, what=self.platform.said)
            yield self

    @property
    def others(self) -> Sequence[Party]:
        return [party for party in self.parties.values() if party is not self.platform]

    def install(self, party: Party, program: Path) -> None:
        """Stop one machine, install a release, start it, and wait until its node votes again."""
        party.program = program
        if party is self.platform:
            party.stop()
            party.launch()
            wait_until(party.is_ready, timeout=3 * START_PATIENCE, what=party.said)
        else:
            party.end()
            party.begin()
        self.wait_for_all()

    def wait_for_all(self) -> None:
        def agree() -> bool:
            with self.platform.client() as client:
                return "4 of 4 agree" in sentence(client)

        def told() -> str:
            with self.platform.client() as client:
                return f"{sentence(client)}\n{[party.said()[-500:] for party in self.parties.values()]}"

        wait_until(agree, timeout=START_PATIENCE, pause=0.3, what=told)


def sentence(client: httpx.Client) -> str:
    try:
        return str(client.get("/api/v1/cluster").json().get("data", {}).get("sentence"))
    except httpx.TransportError as error:
        return str(error)


def issue(platform: Party) -> None:
    names = [f"T-{number}" for number in range(TICKETS)]
    with platform.client() as client:
        for first in range(0, TICKETS, 1_000):
            operations = [{"op": "issue", "ticket_id": name} for name in names[first : first + 1_000]]
            response = client.post("/api/v1/tickets/batch", json={"operations": operations})
            assert response.status_code == 200, response.content


def raised(platform: Party) -> str:
    done = platform.run("members", "parameters", "version=2", "--yes")
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout of the last release."""
    made = subprocess.run(["git", "archive", COMMIT], cwd=REPOSITORY, capture_output=True, check=False)
    if made.returncode:
        lacking(f"no history with release {LAST_RELEASE}: git fetch --unshallow")
    place = tmp_path_factory.mktemp("release")
    subprocess.run(["tar", "-x", "-C", place], input=made.stdout, check=True)
    return place


@pytest.mark.parametrize("order", [NAMES, NAMES[::-1]], ids=["platform first", "platform last"])
def test_r47_gates_scan_while_each_member_is_upgraded(
    tmp_path: Path, old: Path, order: Sequence[str]
) -> None:
    four = Four(tmp_path, old)
    with four.running():
        platform = four.platform
        issue(platform)
        with platform.client() as client:
            before = scan(client, "T-0")
        assert before is not None
        with Scans(platform) as scans:
            for name in order:
                four.install(four.parties[name], REPOSITORY)
            auditor = four.parties["auditor"]
            four.install(auditor, old)  # going back works until the raise
            assert "Version 2 waits for auditor (0.1.0)" in (said := raised(platform)), said
            four.install(auditor, REPOSITORY)
            assert "epoch 1 has begun" in (said := raised(platform)), said
            four.wait_for_all()
        wrong = {name: answer for name, answer in scans.answers.items() if answer[0] != 200}
        assert not wrong
        assert len(scans.answers) > 100
        _goes_on(platform, before)


def _goes_on(platform: Party, before: tuple[int, bytes]) -> None:
    """Retries have the first outcome, version 2 is there, and the doctor finds nothing."""
    with platform.client() as client:
        again = scan(client, "T-0")
        assert again is not None
        assert again[0] == before[0] == 200
        told = json.loads(again[1])
        assert told["message"] == json.loads(before[1])["message"] == "Admitted"
        assert told["entries_used"] == 1
        assert client.put("/api/v1/events/fest", json={"name": "Fest", "zone": "UTC"}).status_code == 200
        ticket = {"event": "fest", "ticket_id": "F-1", "barcodes": ["4ab7x2k9"]}
        assert client.post("/api/v1/tickets", json=ticket).status_code in (200, 201)
        coded = {"event": "fest", "barcode": "4ab7x2k9", "gate": "north", "nonce": "f-1"}
        assert client.post("/api/v1/tickets/admit", json=coded).status_code == 200

    def finding() -> str:
        done = platform.run("doctor", "--for", "0")
        return "" if done.returncode == 0 else done.stdout

    wait_until(lambda: not finding(), timeout=START_PATIENCE, what=finding)
