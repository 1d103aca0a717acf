"""`manage.py supervisor` as a person starts it, and a client of its WebSocket, for tests."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.integration import servers
from tests.integration.network import Network, Patient, end_in_order
from tests.waiting import PATIENCE, allowed, wait_until

V1 = "/api/v1"
UNDECIDED = ("outcome_unknown", "unavailable", "busy")
"""Codes of operations that may be asked for again, with their nonce."""


class PatientWhereNodesRun(Patient):
    """A supervisor says 503 as well where no node runs, or not the one that was named: that is an answer."""

    def is_undecided(self, response: httpx.Response) -> bool:
        if not super().is_undecided(response):
            return False
        response.read()
        return response.json().get("code") in UNDECIDED


class Supervised(Network):
    """One `supervisor` over one data folder: found and ended like a network."""

    def __init__(self, data: Path, *flags: str, environment: Mapping[str, str] = {}) -> None:
        super().__init__(data, environment=environment)
        self.flags = flags

    def command(self) -> list[str]:
        """What a person would type."""
        return [
            *(sys.executable, "manage.py", "supervisor", "-web-addr=127.0.0.1"),
            *(f"-web-port={self.port}", "--data-dir", str(self.data), *self.flags),
        ]

    def client(self, *, patient: bool = True, key: str = "") -> httpx.Client:
        """A program without a key, or with this one."""
        return httpx.Client(
            base_url=f"{self.url}{V1}",
            headers={"X-API-Key": key} if key else {},
            timeout=PATIENCE,
            trust_env=False,
            transport=PatientWhereNodesRun() if patient else httpx.HTTPTransport(),
        )

    def statuses(self) -> dict[str, str]:
        with self.client() as client:
            return {node["id"]: node["status"] for node in client.get("/nodes").json()}

    def nodes(self) -> dict[str, dict[str, Any]]:
        with self.client() as client:
            return {node["id"]: node for node in client.get("/nodes").json()}

    def wait_until_running(self, count: int, *, timeout: float = PATIENCE) -> None:
        wait_until(
            lambda: list(self.statuses().values()) == ["running"] * count,
            timeout=timeout,
            what=lambda: f"{count} nodes running: {self.statuses()}\n{self.said()}",
        )


def open_socket(url: str, **headers: str) -> connect:
    """A WebSocket to `/ws`, to be entered; header names have _ for -."""
    return connect(
        f"{url.replace('http', 'ws')}/ws",
        additional_headers={name.replace("_", "-"): value for name, value in headers.items()},
        open_timeout=PATIENCE,
        ping_timeout=PATIENCE,
        max_size=None,
        proxy=None,
    )


class Ears:
    """A client of `/ws` that remembers every frame."""

    def __init__(self, url: str, **headers: str) -> None:
        self.frames: list[dict[str, Any]] = []
        self.times: list[float] = []
        """Unix seconds at which each of them came."""
        self._held = ExitStack()
        self._socket = self._held.enter_context(open_socket(url, **headers))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def say(self, message: object) -> None:
        self._socket.send(json.dumps(message))

    def say_plainly(self, text: str) -> None:
        self._socket.send(text)

    def of(self, kind: str, *, after: int = 0, **fields: object) -> list[dict[str, Any]]:
        """Frames of a type from place `after` on, with these fields."""
        return [
            frame
            for frame in self.frames[after:]
            if frame["type"] == kind and all(frame.get(name) == value for name, value in fields.items())
        ]

    def wait_for(
        self, kind: str, *, after: int = 0, timeout: float = PATIENCE, **fields: object
    ) -> dict[str, Any]:
        """The first such frame."""
        return wait_until(
            lambda: self.of(kind, after=after, **fields),
            timeout=timeout,
            what=lambda: f"{kind} {fields}: {self.frames[-20:]}",
        )[0]

    def time_of(self, frame: dict[str, Any]) -> float:
        """When this very frame came, in Unix seconds."""
        return self.times[self.place_of(frame)]

    def place_of(self, frame: dict[str, Any]) -> int:
        """Where this very frame stands among all."""
        return next(place for place, each in enumerate(self.frames) if each is frame)

    def close(self) -> None:
        self._held.close()
        self._thread.join(PATIENCE)

    def _listen(self) -> None:
        try:
            for text in self._socket:
                frame = json.loads(text)
                self.times.append(time.time())
                self.frames.append(frame)
        except ConnectionClosed:
            return


@contextmanager
def supervised(data: Path, *flags: str, environment: Mapping[str, str] | None = None) -> Iterator[Supervised]:
    """A supervisor that answers requests, stopped after the test."""
    with servers.place() as place:
        made = Supervised(data, *flags, environment=place | dict(environment or {}))
        with end_in_order(made):
            made.start()
            yield made


@contextmanager
def listening(made: Supervised, **headers: str) -> Iterator[Ears]:
    ears = Ears(made.url, **headers)
    try:
        yield ears
    finally:
        ears.close()


def eventually(look: Callable[[], object], *, within: float, what: str) -> None:
    """Wait until `look` is true, within the promised seconds."""
    wait_until(look, timeout=allowed(within), what=what)


def error_of(answer: httpx.Response) -> str:
    """The supervisor's own error: bare."""
    body = answer.json()
    assert "success" not in body
    assert isinstance(body["error"], str)
    return str(body["error"])


def led_as_its_view_says(api: httpx.Client) -> bool:
    """On a busy machine the first primary may have been replaced already."""
    nodes = api.get("/nodes").json()
    views = {node["view"] for node in nodes}
    leading = [node["id"] for node in nodes if node["is_primary"]]
    return len(views) == 1 and leading == [f"node{views.pop() % len(nodes)}"]


def seeded_everywhere(api: httpx.Client, headers: Mapping[str, str]) -> dict[str, Any]:
    """What a seed did, {} until the links to all four nodes stand: a busy machine cuts one at times."""
    told: dict[str, Any] = api.post("/tickets/seed", headers=dict(headers)).json()["data"]
    return told if told["total_seeded"] == 2000 else {}


def data_of(api: httpx.Client, path: str) -> Any:
    """What a node tells, asked again while none is reached: `success` comes with it."""

    def answered() -> dict[str, Any]:
        body: dict[str, Any] = api.get(path).json()
        return body if body.get("success") else {}

    return wait_until(answered, what=f"an answer to {path}")["data"]


def readable(api: httpx.Client, path: str) -> httpx.Response | None:
    """The answer, None while there is none."""
    answer = api.get(path)
    return answer if answer.status_code == 200 else None


def validator_of(api: httpx.Client, ticket: str) -> str:
    """The ticket's ValidatorID, read from the platform's copy of the ledger."""
    return str(api.get(f"/tickets/{ticket}").json()["data"].get("ValidatorID"))
