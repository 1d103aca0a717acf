"""A town whose parties have hosts of their own, that can be cut off from each other: a node each, two
platforms, and a gate that admits people all the time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec

from dtvn.gateway import Gateway
from dtvn.machine import Admit, Issue
from dtvn.node.layout import ClusterFolder
from dtvn.protocol.quorum import Mode
from tests.integration.hosts import Host, cut, heal, hosts, join
from tests.integration.network import START_PATIENCE, end_in_order
from tests.integration.node_cluster import ANSWER_WAIT, operation, submit, validator
from tests.integration.test_four_parties import Desk
from tests.integration.test_owed import Program
from tests.needed import lacking
from tests.waiting import PATIENCE, wait_until
from validators.network_watch.cuts import named

GRANTS = ("issue", "gate", "admin", "record")
"""Of each party: any of them can do what is tried."""
PACE = 0.1
"""Seconds between two people at the gate."""


class Platform(Desk):
    """A party whose pages are at its host's address."""

    @property
    def url(self) -> str:
        return f"http://{self.host.address}:{self.port}"


class Town:
    """Parties m0, m1 and so on. The last `side` of them stay with this process when the others are cut off,
    and with these the first leader. The first party of each side has a platform."""

    def __init__(self, root: Path, places: Sequence[Host], mode: Mode, side: int) -> None:
        self.desks = {f"m{at}": Platform(root / f"m{at}", host) for at, host in enumerate(places)}
        names = tuple(self.desks)
        self.here, self.there = names[-side:], names[:-side]
        self._file = root / "town.genesis"
        self._found(mode)

    def _found(self, mode: Mode) -> None:
        """All of them join and seal one file, as the page on founding says."""
        first = next(iter(self.desks.values()))
        agreed = ("--members", str(len(self.desks)), "--consensus", mode.value)
        self._genesis(first, "init", "--name", "Cut", *agreed, "--out", str(self._file))
        grants = [word for grant in GRANTS for word in ("--grant", grant)]
        for name, desk in self.desks.items():
            place = ("--id", name, "--host", desk.host.address, "--port", str(desk.member_port))
            self._genesis(desk, "join", *self._of(desk), *place, *grants)
        for verb in ("seal", "install"):
            for desk in self.desks.values():
                self._genesis(desk, verb, *self._of(desk))

    def _of(self, desk: Desk) -> tuple[str, ...]:
        return str(self._file), "--data-dir", str(desk.data)

    def _genesis(self, desk: Desk, *words: str) -> None:
        said = desk.genesis(list(words))
        assert said.code == 0, said.error

    @property
    def platforms(self) -> tuple[Platform, Platform]:
        """That of this side, and that of the other one."""
        return self.desks[self.here[0]], self.desks[self.there[0]]

    @contextmanager
    def running(self) -> Iterator[Self]:
        """All nodes and both platforms up; ended afterwards."""
        with ExitStack() as ended:
            for name, desk in self.desks.items():
                if desk in self.platforms:
                    desk.set(DTVN_HOST=desk.host.address, DTVN_ALLOWED_HOSTS=desk.host.address)
                    ended.enter_context(end_in_order(desk))
                    desk.launch()
                else:
                    ended.enter_context(node(name, desk))
            for desk in self.platforms:
                wait_until(desk.is_ready, timeout=3 * START_PATIENCE, what=desk.said)
            yield self

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Meanwhile the others are cut off."""
        gone = [self.desks[name].host for name in self.there]
        cut(gone)
        try:
            yield
        finally:
            heal(gone)

    def apart_in_words(self) -> str:
        """As sentences name the two sides."""
        return f"{named(self.here)} | {named(self.there)}"

    def program(self, folder: Path) -> Program:
        """One that has sequences validated on the other side, and keeps in `folder` what is owed."""
        desk = self.platforms[1]
        return Program(ClusterFolder(desk.data), folder, desk.host.enter)

    @contextmanager
    def gateway(self) -> Iterator[Gateway]:
        """A gateway of this process, which stays on this side."""
        folder = ClusterFolder(self.platforms[0].data)
        gateway = Gateway.open(folder.genesis, folder.gateway_key)
        try:
            yield gateway
        finally:
            gateway.close()


@contextmanager
def town(root: Path, members: int, mode: Mode, side: int) -> Iterator[Town]:
    """A town that runs; without network namespaces the test is skipped."""
    with hosts(members) as made:
        if not made[0].separate:
            lacking("no network namespaces on this machine: apt-get install iproute2, and be root")
        join(made[0])
        with Town(root, made, mode, side).running() as running:
            yield running


@contextmanager
def node(name: str, desk: Desk) -> Iterator[None]:
    """A member without a platform, running."""
    with desk.log.open("ab") as log:
        process = validator("-id", name, "-data-dir", str(desk.data), log=log, enter=desk.host.enter)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


class Gate(threading.Thread):
    """Issues and admits one ticket after the other, and repeats each until it is decided."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._gateway = gateway
        self.prefix = "GATE"
        """Of the tickets that it issues."""
        self._stop_asked = threading.Event()
        self.admitted: list[str] = []
        """Tickets whose admission was acknowledged."""
        self.codes: set[str] = set()
        """All answers."""

    def run(self) -> None:
        while not self._stop_asked.wait(PACE):
            ticket = f"{self.prefix}-{len(self.admitted)}"
            if self._decided(Issue(), ticket) and self._decided(Admit(gate="north"), ticket):
                self.admitted.append(ticket)

    def _decided(self, command: Issue | Admit, ticket: str) -> bool:
        nonce = f"{ticket} {type(command).__name__}".encode()
        while not self._stop_asked.is_set():
            [result] = submit(self._gateway, [operation(command, ticket, entry="m0", nonce=nonce)], wait=3.0)
            self.codes.add(result.code)
            if result.code == "ok":
                return True
        return False

    def goes_on(self, count: int = 10) -> None:
        """Wait until it admitted so many more."""
        aim = len(self.admitted) + count
        wait_until(lambda: len(self.admitted) >= aim, what=lambda: f"{aim} admitted: {len(self.admitted)}")

    def stop(self) -> None:
        self._stop_asked.set()
        self.join(PATIENCE)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


def told(gateway: Gateway, member: int, what: str, *arguments: str) -> dict[str, Any]:
    """A member's answer about itself, once it gives one."""

    def answered() -> dict[str, Any]:
        answer = gateway.query(member, what, arguments, wait=ANSWER_WAIT).result(ANSWER_WAIT + 10)
        return {} if answer.code else msgspec.json.decode(answer.text)

    found = wait_until(answered, what=f"member {member} answers {what} {arguments}")
    assert found is not None
    return found


def network(desk: Desk) -> dict[str, Any]:
    """What a platform tells of the network, asked on its host."""
    found: dict[str, Any] = json.loads(desk.typed("api $HERE/network"))["data"]
    return found


def issue(desk: Desk, ticket: str) -> int:
    """The status with which a platform answers a ticket's issue, asked on its host."""
    words = f"""api -o /dev/null -w '%{{http_code}}' -X POST $HERE/tickets -d '{{"ticket_id": "{ticket}"}}'"""
    return int(desk.typed(words))


def await_sentence(desk: Desk, beginning: str) -> dict[str, Any]:
    """The same, once its sentence begins so."""
    found: dict[str, Any] = {}

    def tells() -> bool:
        nonlocal found
        found = network(desk)
        return str(found["sentence"]).startswith(beginning)

    wait_until(tells, what=lambda: f"{beginning!r}: {found['sentence']!r}", pause=0.5)
    return found


def same_everywhere(gateway: Gateway, tickets: Sequence[str]) -> None:
    """All members executed what was acknowledged, hold these tickets as used, alike, and have one state root
    at one checkpoint that covers them."""
    aim, members = gateway.acknowledged, range(len(gateway.present.members))
    begun = time.monotonic()

    def roots() -> set[tuple[int, str]]:
        said = [told(gateway, member, "status") for member in members]
        return {(each["stable"], each["state_root"]) for each in said}

    def one() -> bool:
        found = roots()
        if len(found) == 1 and min(found)[0] >= aim:
            return True
        submit(gateway, [operation(Issue(), f"LAST-{time.monotonic() - begun}", entry="m0")], wait=3.0)
        return False

    wait_until(one, what=lambda: f"one root from {aim} on: {roots()}", pause=0.5)
    for ticket in tickets:
        states = [told(gateway, member, "ticket", "default", ticket)["ticket"] for member in members]
        assert states == [states[0]] * len(states)
        assert states[0]["State"] == "CONSUMED"
