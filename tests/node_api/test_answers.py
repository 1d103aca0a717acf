"""What a client of a node's API gets, request by request."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fake_gateway import FakeGateway
from tests.golden import Compare, Telling
from tests.node_api.test_routes import STATUS, Node

GOLDEN = Path(__file__).parent / "golden" / "answers.txt"
USUAL = {"date", "content-length", "content-type"}


class Client(Telling):
    """Tells status, headers that are not in every answer, and body."""

    def __init__(self) -> None:
        super().__init__()
        self.node = Node(cors=False)

    def ask(self, method: str, path: str, content: bytes = b"", **headers: str) -> None:
        answer = self.node.ask(method, path, content, **headers)
        told = " ".join(f"{name}={value}" for name, value in answer.headers.items() if name not in USUAL)
        self.say(f"{method} {path} {content.decode()}".rstrip())
        self.say(f"  {answer.status_code} {told}".rstrip())
        if answer.text:
            self.say("  " + re.sub(r'"(Timestamp|timestamp)":\d+', r'"\1":...', answer.text))


def test_what_a_client_gets(golden: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    for path in ("/health", "/live", "/ready", "/ws", "/"):
        client.ask("GET", path)
    for path in (
        *("status", "stats", "peers", "config", "node/crypto", "storage/entries", "tickets?limit=2"),
        *("tickets?limit=0", "tickets/T-1", "tickets/T-9?event=e", "nowhere"),
        *("consensus/logs?limit=1", "consensus/logs?outcome=odd"),
    ):
        client.ask("GET", f"/api/v1/{path}")
    for method, path in (("HEAD", "/health"), ("PUT", "/api/v1/tickets"), ("OPTIONS", "/api/v1/tickets")):
        client.ask(method, path)
    _operations(client)
    _states(client, monkeypatch)
    golden(GOLDEN, client.text)


def _operations(client: Client) -> None:
    client.chapter("Operations")
    service = client.node.service
    gateway = FakeGateway(service.genesis, principal="gateway")
    service._gateway, service._writers = gateway, service._readers
    service.ledger.event_zone = lambda _event: ""
    service.ledger.applied_sequence = lambda: 99
    for content in (b"{", b"[]", b"{}", b'{"ticket_id": 7}', b'{"ticket_id": "T-1", "odd": 1}'):
        client.ask("POST", "/api/v1/tickets", content)
    for content in (b"{}", b'{"start": 3, "count": 2}'):
        client.ask("POST", "/api/v1/tickets/seed", content)
    ticket = b'{"ticket_id": "T-1"}'
    for path in ("", "", "/validate", "/consume", "/dispute"):
        client.ask("POST", f"/api/v1/tickets{path}", ticket, **{"Idempotency-Key": "once"})
    client.ask("POST", "/api/v1/tickets/validate", ticket, **{"Idempotency-Key": "x" * 300})
    for trouble in ("quorum", "mute", "full"):
        client.say(f"({trouble})")
        setattr(gateway, trouble, trouble != "quorum")
        client.ask("POST", "/api/v1/tickets/consume", ticket)
        setattr(gateway, trouble, trouble == "quorum")


def _states(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.node = Node(cors=False)
    service = client.node.service
    changes: tuple[dict[str, Any], ...] = ({"state": "following"}, {"log_time_ahead": 7.5})
    for changed in changes:
        client.chapter(f"Its newest report says {changed}")
        service._status = STATUS | changed
        for path in ("/ready", "/health"):
            client.ask("GET", path)
    client.chapter("A mistake of the program; then no report for 11 seconds; then none since the start")
    monkeypatch.setattr(service.ledger, "storage_stats", lambda: 1 // 0)
    client.ask("GET", "/api/v1/stats")
    service._status_at = time.monotonic() - 11
    for path in ("/ready", "/health"):
        client.ask("GET", path)
    service._status = None
    for path in ("/ready", "/health", "/api/v1/status"):
        client.ask("GET", path)
