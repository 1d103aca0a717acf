"""Validators as the contract's acceptance cases start them (V and K4), and what they are asked."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from websockets.sync.client import ClientConnection, connect

from dtvn.net import public_key_of
from dtvn.node.keys import dev_seed, peer_id
from tests.integration import servers
from tests.integration.node_cluster import validator
from tests.ports import free_ports
from tests.waiting import PATIENCE, wait_until

P = "/api/v1"
NODES = 4
SEQUENCE = "X-DTVN-Sequence"
UNDECIDED = (503, 504)
"""Statuses of what may have happened or not: who asks again with the same nonce is told (R14)."""
OWN_WRITES_WAIT = 1.0
"""Seconds for which a read waits for what its node's API acknowledged (R17)."""
ROUNDS = 6
"""Tries to see a view that stays: where one process stands still for a second now and then, a view of an idle
network lasts a minute, and three tries of 40 s are few."""

Done = TypeVar("Done")


def dev_peer_id(name: str, salt: str = "dtvn-validator-key-v1") -> str:
    return peer_id(public_key_of(dev_seed(name, salt)))


class Node:
    """One `manage.py validator -dev-keys` with ports of its own, and a client that talks to its API."""

    def __init__(
        self,
        data: Path,
        *,
        name: str = "node0",
        total: int = 1,
        flags: Sequence[str] = (),
        primary: bool = False,
    ) -> None:
        self.data = data
        self.name = name
        self.total = total
        self.port, self.api_port, self.metrics_port = free_ports(3)
        self.flags = ["-total-nodes", str(total), *(["-primary"] if primary else []), *flags]
        self.settings: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data.parent / f"{data.name}-{name}.log"
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)
        self.acknowledged = 0
        """Highest sequence in which an operation stands that its API was asked for."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def multiaddr(self) -> str:
        return f"/ip4/127.0.0.1/tcp/{self.port}/p2p/{dev_peer_id(self.name)}"

    def command(self) -> list[str]:
        ports = ["-port", str(self.port), "-api-port", str(self.api_port)]
        named = ["-id", self.name, *ports, "-data-dir", str(self.data), *self.flags]
        return [*named, "-dev-keys", "-metrics-port", str(self.metrics_port)]

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self.process = validator(*self.command(), log=log, settings=self.settings)

    def start(self) -> None:
        self.launch()
        self.wait_healthy()

    def wait_healthy(self) -> None:
        wait_until(self.healthy, what=lambda: f"{self.name} healthy\n{self.said()}", pause=0.05)

    def healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.said()
        try:
            return self.http.get("/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-3_000:] if self.log.exists() else ""

    def stop(self, number: int = signal.SIGTERM, *, timeout: float = PATIENCE) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def end(self) -> None:
        self.http.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)

    # --- asking ----------------------------------------------------------------------------------

    def get(self, path: str, **named: Any) -> httpx.Response:
        """The answer, which shows what this node's API acknowledged. It waits for that itself, but only a
        while: if that is over, the node was held up, and is asked again."""
        until = time.monotonic() + PATIENCE
        while True:
            asked = time.monotonic()
            response = self.http.get(P + path, **named)
            shown = int(response.headers.get(SEQUENCE, self.acknowledged))
            waited = time.monotonic() - asked >= OWN_WRITES_WAIT
            if not waited or shown >= self.acknowledged or asked > until:
                return response

    def data_of(self, path: str, **named: Any) -> Any:
        response = self.get(path, **named)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def post(self, path: str, body: Any = None, **named: Any) -> httpx.Response:
        """A dict or None as JSON, bytes as they are."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | dict(named.pop("headers", {}))
        response = self.http.post(P + path, content=content, headers=headers, **named)
        self.acknowledged = max(self.acknowledged, int(response.headers.get(SEQUENCE, "0")))
        return response

    def act(self, kind: str, ticket: str, **fields: Any) -> httpx.Response:
        return self.post(f"/tickets/{kind}", {"ticket_id": ticket, **fields})

    def patiently(self, kind: str, ticket: str, *, within: float = PATIENCE, **fields: Any) -> int:
        """The status of an operation, asked for again with its nonce while its outcome is unknown."""
        asked = {"nonce": uuid4().hex, **fields}
        until = time.monotonic() + within
        while True:
            late = time.monotonic() > until
            status = self.act(kind, ticket, **asked).status_code
            if status not in UNDECIDED or late:
                return status

    def seeded(self) -> int:
        """How many tickets a seed made, asked for again with its nonce while that is unknown."""
        asked = {"nonce": uuid4().hex}

        def decided() -> httpx.Response | None:
            response = self.post("/tickets/seed", asked)
            return None if response.status_code in UNDECIDED else response

        response = wait_until(decided, what=lambda: f"{self.name} seeds\n{self.said()}")
        assert response is not None
        assert response.status_code == 200, response.text
        return int(response.json()["data"]["seeded"])

    def done(self, kind: str, ticket: str, **fields: Any) -> None:
        """At the first try, if it is alone; of four, a slow one may cost a view, and so a try."""
        if self.total > 1:
            assert self.patiently(kind, ticket, **fields) == 200, self.said()
            return
        response = self.act(kind, ticket, **fields)
        assert response.status_code == 200, response.text

    def wait_deciding(self) -> None:
        """Until what its API is asked for is decided: it is healthy before it has reached the members."""
        wait_until(
            lambda: self.act("validate", "NOT-THERE").status_code == 404,
            what=lambda: f"{self.name} has something decided\n{self.said()}",
        )

    def rows(self) -> int:
        """The sequence that its lists have reached; 0 while it does not answer."""
        return int(self.get("/tickets", params={"limit": "1"}).headers.get(SEQUENCE, "0"))

    def ticket(self, ticket: str) -> dict[str, Any]:
        found: dict[str, Any] = self.data_of(f"/tickets/{ticket}")
        return found

    def state(self, ticket: str) -> str:
        return str(self.ticket(ticket)["State"])

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self.data_of("/stats")
        return found

    @contextmanager
    def socket(
        self, *, origin: str | None = None, headers: Mapping[str, str] = {}
    ) -> Iterator[ClientConnection]:
        url = f"ws://127.0.0.1:{self.api_port}/ws"
        with connect(
            url,
            origin=origin,  # type: ignore[arg-type]
            additional_headers=dict(headers),
            open_timeout=PATIENCE,
            ping_timeout=PATIENCE,
            proxy=None,
        ) as opened:
            yield opened


def frames(socket: ClientConnection, count: int, *, quiet: float = 0.0) -> list[dict[str, Any]]:
    """The next `count` frames, and that none follows for `quiet` seconds."""
    found = [json.loads(socket.recv(timeout=PATIENCE)) for _ in range(count)]
    if quiet:
        try:
            found.append(json.loads(socket.recv(timeout=quiet)))
        except TimeoutError:
            return found
    return found


@contextmanager
def single(data: Path, *flags: str, settings: Mapping[str, str] = {}) -> Iterator[Node]:
    """V: one validator, running."""
    with servers.place(broker=False) as place:
        node = Node(data, primary=True, flags=flags)
        node.settings = {**place, **settings}
        try:
            node.start()
            yield node
        finally:
            node.end()


class Four:
    """K4: four validators, all bootstrapped to node0."""

    def __init__(self, data: Path, settings: Mapping[str, str]) -> None:
        first = Node(data / "0", total=NODES, primary=True)
        bootstrap = ["-bootstrap", first.multiaddr]
        others = [Node(data / str(k), name=f"node{k}", total=NODES, flags=bootstrap) for k in range(1, NODES)]
        self.nodes = [first, *others]
        self.seeded: list[int] = []
        """What each node answered to the first seeds."""
        for node in self.nodes:
            node.settings = dict(settings)

    def __getitem__(self, index: int) -> Node:
        return self.nodes[index]

    def start(self) -> None:
        for node in self.nodes:
            node.launch()
        self.wait_whole()

    def wait_whole(self, timeout: float = PATIENCE) -> None:
        """Every node is connected to all others."""
        for node in self.nodes:
            node.wait_healthy()
            wait_until(
                lambda node=node: node.stats()["peer_count"] == NODES - 1,
                what=lambda node=node: f"three peers of {node.name}\n{node.said()}",
                timeout=timeout,
                pause=0.1,
            )

    def everywhere(
        self, ticket: str, state: str, among: Sequence[int] = range(NODES), *, within: float
    ) -> None:
        def is_there(index: int) -> bool:
            """A lagging node may not have the ticket yet."""
            response = self[index].get(f"/tickets/{ticket}")
            assert response.status_code in (200, 404), response.text
            return response.status_code == 200 and response.json()["data"]["State"] == state

        for index in among:
            wait_until(
                lambda index=index: is_there(index),
                what=f"{ticket} {state} on node{index}",
                timeout=within,
                pause=0.05,
            )

    def agree(self, among: Sequence[int] = range(NODES), *, timeout: float = PATIENCE) -> int:
        """Wait until these nodes have executed, and their lists show, all that anybody was told was done, and
        nothing else, for two looks; its sequence."""
        told = max(node.acknowledged for node in self.nodes)

        def reached() -> set[int]:
            found = {self[index].stats()["sequence"] for index in among}
            return found | {self[index].rows() for index in among}

        def same() -> int:
            found = reached() | reached()
            return found.pop() if len(found) == 1 and max(found) >= told else 0

        return wait_until(same, what="one sequence on all", timeout=timeout, pause=0.1)

    def views(self) -> set[int]:
        """In which each of them is."""
        return {node.stats()["current_view"] for node in self.nodes}

    def one_view(self) -> int:
        """The view in which all of them are."""
        found = wait_until(lambda: views if len(views := self.views()) == 1 else set(), what="one view")
        return found.pop()

    def undisturbed(self, act: Callable[[], Done]) -> Done:
        """What `act` gives in a round in which no view changes. A machine that does other things as well may
        change one now and then; what `act` itself does to the view, it does in every round."""
        for _ in range(ROUNDS):
            view = self.one_view()
            found = act()
            if self.views() == {view}:
                return found
        raise AssertionError(f"the view changed in each of {ROUNDS} rounds; {self.views()} now")


@contextmanager
def four(data: Path) -> Iterator[Four]:
    """K4, running and connected."""
    data.mkdir(parents=True, exist_ok=True)
    with servers.place(broker=False) as place:
        made = Four(data, place)
        try:
            made.start()
            yield made
        finally:
            for node in made.nodes:
                node.end()
