"""Members and principals change on a running platform, through REST, while people are admitted: `up`, its
workers and its nodes are real processes, and one network serves all of it (R15, R35, R36)."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from dtvn.gateway import Gateway
from dtvn.machine import Admit, Issue, build
from dtvn.net import ensure_seed, public_key_of
from dtvn.node.keys import peer_id
from tests.integration.network import Network, contents, manage, network
from tests.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_200), pytest.mark.exhaustive]

CHANGE_PATIENCE = 2 * PATIENCE
"""A newcomer's process is started, and follows the log first."""


class Town:
    """A network, and a client that scans tickets all the time."""

    def __init__(self, net: Network) -> None:
        self.net = net
        self.client = net.client()
        self.admitted: list[str] = []
        self.codes: set[tuple[int, str]] = set()
        self._stop = threading.Event()
        self._scanner = threading.Thread(target=self._scan)

    def _scan(self) -> None:
        with self.net.client() as client:
            while not self._stop.is_set():
                name = f"T-{len(self.admitted)}"
                for path in ("tickets", "tickets/admit"):
                    answer = client.post(f"/api/v1/{path}", json={"ticket_id": name})
                    self.codes.add((answer.status_code, answer.json().get("code", "ok")))
                self.admitted.append(name)

    def __enter__(self) -> Town:
        self._scanner.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._scanner.join()

    def change(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A change, once it is finished."""
        asked = self.client.request(method, f"/api/v1/{path}", json=body or {})
        assert asked.status_code in (200, 202, 504), asked.text
        return self.finished(asked.headers["Location"])

    def finished(self, number: str) -> dict[str, Any]:
        """A change that was asked for, once it is finished."""
        found: dict[str, Any] = {}

        def done() -> bool:
            answer = self.client.get(number)
            assert answer.status_code == 200, answer.text
            found.update(answer.json()["data"])
            return found["finished_at"] is not None

        wait_until(done, timeout=CHANGE_PATIENCE, what=lambda: f"{found}\n{self.net.said()}")
        if found["epoch"]:  # the web process hears of it a moment later
            wait_until(lambda: self.members()["epoch"] >= found["epoch"], what="the epoch is shown")
        return found

    def members(self) -> dict[str, Any]:
        return self.client.get("/api/v1/members").json()["data"]

    def ids(self) -> list[str]:
        return [member["id"] for member in self.members()["members"]]

    def scanned_more(self) -> None:
        before = len(self.admitted)
        wait_until(lambda: len(self.admitted) > before + 2, what=lambda: f"more scans\n{self.net.said()}")


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Network]:
    with network(tmp_path / "data") as made:
        made.start()
        yield made


def test_members_and_principals_change_while_people_are_admitted(net: Network, tmp_path: Path) -> None:
    with Town(net) as town:
        grow_and_shrink(town)
        a_members_key(town)
        old = tmp_path / "stolen.key"
        shutil.copy(net.data / "keys" / "gateway.key", old)
        the_gateways_key(town, old)
        a_principal_with_little(town, tmp_path / "gate.key")
    assert town.codes == {(200, "ok")}
    a_change_survives_the_platform(town)
    all_is_there_after_a_restart(town)


def grow_and_shrink(town: Town) -> None:
    """4 to 5 to 7 to 4; every newcomer follows first, who goes is stopped."""
    seen = town.client.post("/api/v1/members/preview", json={"change": "add", "node_id": "node4"})
    assert seen.json()["data"]["after"]["sentence"].startswith("5 members: 4 decide")
    assert town.change("POST", "members", {"node_id": "node4"})["epoch"] == 1
    assert town.members()["quorum"] == 4
    for name in ("node5", "node6"):
        assert town.change("POST", "members", {"node_id": name})["code"] == "ok"
    assert (town.members()["liars"], len(town.ids())) == (2, 7)
    assert not any(member["external"] for member in town.members()["members"])
    town.scanned_more()
    for name in ("node0", "node2"):
        assert town.change("DELETE", f"members/{name}")["code"] == "ok"
    # Ordered past the platform: it sees by itself that a node of its own is no member any more.
    manage(town.net.data.parent, "members", "remove", "node5", "--yes")
    wait_until(lambda: len(town.ids()) == 4, what="the platform hears of it")
    assert town.ids() == ["node1", "node3", "node4", "node6"]
    small = town.client.delete("/api/v1/members/node1")
    assert (small.status_code, small.json()["code"]) == (409, "too_few_members")
    for name in ("node0", "node2", "node5"):
        wait_until(lambda name=name: town.net.titled(f"validator {name} ") is None, what=f"the end of {name}")
    wait_until(
        lambda: statuses(town) == dict.fromkeys(town.ids(), "running"),
        what=lambda: f"four run, and nobody else: {statuses(town)}",
    )
    town.scanned_more()


def statuses(town: Town) -> dict[str, str]:
    return {name: node["status"] for name, node in town.net.nodes().items()}


def a_members_key(town: Town) -> None:
    """A member that this platform runs gets a new key; the old one is erased."""
    folder = town.net.data / "nodes" / "node3" / "identity"
    before = (folder / "node.key").read_bytes()
    known = town.members()["members"][1]["peer_id"]
    assert town.change("POST", "members/node3/rotate")["code"] == "ok"
    assert town.members()["members"][1]["peer_id"] != known
    wait_until(lambda: not (folder / "next.key").exists(), what="the next key has become the key")
    assert before not in contents(folder)
    town.scanned_more()


def the_gateways_key(town: Town, old: Path) -> None:
    """The platform signs with the new key at once, in all its processes; the old one opens nothing."""
    thief = stranger(town, old, "gateway")
    wait_until(lambda: ask(thief, Issue(), "X-0") == "ticket_exists", what="the stolen key opens everything")
    answer = town.client.post("/api/v1/principals/gateway/rotate", json={"overlap": 5})
    assert answer.status_code == 200, answer.text
    told = answer.json()["data"]
    assert (told["wire"], told["own"]) == ("gateway#1", True)

    def listed() -> str:
        found = {each["name"]: each for each in town.client.get("/api/v1/principals").json()["data"]}
        return found["gateway"]["public_key"]

    wait_until(lambda: listed() == told["public_key"], what="the new key is listed")
    key = town.net.data / "keys" / "gateway.key"
    assert key.read_text().splitlines()[1] == "gateway#1"
    assert oct(key.stat().st_mode & 0o777) == "0o600"
    town.scanned_more()
    town.change("PATCH", "parameters", {"view_timeout": 900_000})  # another process of ours, the same key
    with thief:
        wait_until(lambda: not_let_in(thief), what="the old key opens nothing")
    with stranger(town, old, "gateway") as late:
        assert not_let_in(late)
        assert not any(member.connected for member in late.members())
    town.scanned_more()


def a_principal_with_little(town: Town, path: Path) -> None:
    """The cluster refuses operations that its grants do not name, although the key is valid."""
    body = {
        "name": "gate-7",
        "peer_id": peer_id(public_key_of(ensure_seed(path))),
        "grants": [{"event": "default", "capability": "gate"}],
    }
    assert town.client.post("/api/v1/principals", json=body).status_code == 200
    twice = town.client.post("/api/v1/principals", json=body)
    assert (twice.status_code, twice.json()["code"]) == (409, "principal_exists")
    with stranger(town, path, "gate-7") as gate:
        # Until it has heard of the later epochs it finds too few of the founders: nothing is sent.
        wait_until(lambda: ask(gate, Issue(), "G-1") == "not_permitted", what="the gate's key is let in")
        admission = Admit(gate="north")
        decided(lambda: ask(gate, admission, town.admitted[0]), "already_consumed")
        assert town.client.delete("/api/v1/principals/gate-7").status_code == 200
        wait_until(lambda: not_let_in(gate), what="a revoked key opens nothing")
    last = town.client.delete("/api/v1/principals/gateway")
    assert (last.status_code, last.json()["code"]) == (409, "own_principal")


def a_change_survives_the_platform(town: Town) -> None:
    """`up` is killed in the middle of a change, and goes on with it when it is back."""

    def ask_for_it() -> None:
        with suppress(httpx.TransportError), town.net.client() as client:
            client.post("/api/v1/members", json={"node_id": "node8"})

    def begun() -> bool:
        newest = town.client.get("/api/v1/changes").json()["data"][0]
        return newest.get("node_id") == "node8" and newest["state"] != "waiting"

    asking = threading.Thread(target=ask_for_it)
    asking.start()
    wait_until(begun, what="the change has begun")
    assert town.net.process is not None
    town.net.process.kill()
    town.net.process.wait()
    town.net.credentials_file.unlink(missing_ok=True)
    again(town)
    asking.join()
    (newest, *_) = town.client.get("/api/v1/changes").json()["data"]
    assert newest["node_id"] == "node8"
    assert town.finished(f"/api/v1/changes/{newest['id']}")["code"] == "ok"
    assert town.ids() == ["node1", "node3", "node4", "node6", "node8"]
    assert town.change("DELETE", "members/node8")["code"] == "ok"


def again(town: Town) -> None:
    town.client.close()
    town.net.start()
    town.client = town.net.client()


def all_is_there_after_a_restart(town: Town) -> None:
    """Three of four founders' keys and places are gone: the platform finds its cluster all the same."""
    town.net.stop()
    again(town)
    members = ["node1", "node3", "node4", "node6"]
    wait_until(lambda: town.ids() == members, what=lambda: f"{members}: {town.ids()}")
    twice = town.client.post("/api/v1/tickets/admit", json={"ticket_id": town.admitted[-1]})
    assert (twice.status_code, twice.json()["code"]) == (409, "already_consumed")
    told = []
    for name in members:
        told.append(
            wait_until(
                lambda name=name: node_says(town.client, name, town.admitted[-1]),
                what=f"{name} runs again, and has caught up",
            )
        )
    assert told == told[:1] * 4
    wait_until(
        lambda: len({node["sequence"] for node in town.net.nodes().values()}) == 1, what="all are level"
    )
    town.client.close()


def node_says(client: httpx.Client, node: str, ticket: str) -> dict[str, Any]:
    """A consumed ticket as one node has it; {} while it does not answer or lags behind."""
    answer = client.get(f"/api/v1/nodes/{node}/tickets/{ticket}")
    told = answer.json()["data"] if answer.status_code == 200 else {"State": ""}
    return told if told["State"] == "CONSUMED" else {}


def stranger(town: Town, key: Path, name: str) -> Gateway:
    """A gateway that signs with `key`; it finds the present members through the one founder that is left."""
    return Gateway.open(town.net.data / "cluster" / "genesis.bin", key, principal=name)


def decided(asked: Callable[[], str], expected: str) -> None:
    """Asserts that `asked`, repeated until the outcome is known, returns the code `expected`."""
    unknown = ("unavailable", "outcome_unknown")
    found = wait_until(lambda: code if (code := asked()) not in unknown else "", what="an outcome")
    assert found == expected


def not_let_in(gateway: Gateway) -> bool:
    """The members ignore it: connected or not, nothing is answered."""
    return ask(gateway, Issue(), "X-1") in ("unavailable", "outcome_unknown")


def ask(gateway: Gateway, command: Any, ticket: str) -> str:
    operation = build(command, ticket=ticket, actor="somebody", entry="node1", nonce=b"")
    return gateway.submit([operation], wait=3.0).result(8.0)[0].code
