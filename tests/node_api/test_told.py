"""A node's own API takes digests of codes, and tells what the platform tells."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from dtvn.api.helper.app import _route
from dtvn.api.helper.routes import Routes
from dtvn.api.helper.service import Service
from dtvn.api.outcome import Told
from dtvn.machine.codes import code_digest, default_salt
from dtvn.machine.kinds import KINDS, OPERATIONS
from dtvn.protocol import genesis as g
from tests.fake_gateway import FakeGateway
from tests.host.support import make_genesis


class Node:
    """The routes of a node that change tickets, over the real ticket machine."""

    def __init__(self, gateway: FakeGateway) -> None:
        service: Any = Service.__new__(Service)
        service._status, service._gateway, service._waiting = {}, gateway, 0
        service.ledger = SimpleNamespace(event_zone=lambda event: "Europe/Berlin" if event == "fest" else "")
        service._readers = service._writers = ThreadPoolExecutor(2, "reader")
        service.node, service.genesis = "r0", gateway.genesis
        routes = Routes(service)
        self.app = Starlette(
            routes=[_route(KINDS[kind].path, routes.operation(kind), "POST") for kind in OPERATIONS]
        )
        self.salt = default_salt(g.cluster_id(gateway.genesis), "fest")

    def digest(self, text: str) -> str:
        return code_digest(self.salt, text).hex()

    def post(self, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
                return await client.post(f"/api/v1/{path}", json={"event": "fest"} | body)

        answer = asyncio.run(ask())
        return answer.status_code, answer.json()


@pytest.fixture
def node() -> Node:
    return Node(FakeGateway(make_genesis(4, capabilities=g.CAPABILITIES), principal="gateway"))


def test_a_digest_opens_once_and_the_answers_have_all_fields(node: Node) -> None:
    code = node.digest("printed")
    status, issued = node.post("tickets", ticket_id="T", product="Adult", barcode_digests=[code])
    assert (status, issued["data"]["product"], issued["data"]["codes"]) == (
        *(200, "Adult", {"valid": 1, "revoked": 0}),
    )
    status, first = node.post("tickets/admit", barcode_digest=code, gate="north")
    assert (status, first["message"], first["outcome"]) == (200, "Admitted: Adult", "admitted")
    assert first.keys() >= set(Told.__struct_fields__)
    assert first["last_entry"]["at"][-6:] in ("+01:00", "+02:00")
    status, second = node.post("tickets/admit", barcode_digest=code, gate="south")
    assert (status, second["whose"], second["ticket_id"]) == (409, "guest", "T")
    assert second["last_entry"] == first["last_entry"]
    assert second["error"].endswith(" Europe/Berlin at gate north.")


def test_replaced_and_blocked_by_digest(node: Node) -> None:
    old, new = node.digest("old"), node.digest("new")
    node.post("tickets", ticket_id="T", barcode_digests=[old])
    assert node.post("tickets/replace", ticket_id="T", barcode_digests=[new])[1]["outcome"] == "done"
    assert node.post("tickets/admit", barcode_digest=old)[1]["code"] == "revoked"
    assert node.post("tickets/block", ticket_id="T", reason="lost")[1]["blocked"] is True
    status, answer = node.post("tickets/admit", barcode_digest=new)
    assert (status, answer["code"], answer["block_reason"]) == (409, "blocked", "lost")
    status, answer = node.post("tickets/admit", barcode_digest=node.digest("none"))
    assert (status, answer["code"], answer["whose"]) == (404, "barcode_not_found", "guest")


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        (
            "tickets/admit",
            {"barcode": "x"},
            "barcode: a node takes no codes as they are printed; give barcode_",
        ),
        ("tickets", {"ticket_id": "T", "barcodes": ["x"]}, "barcodes: a node takes no codes as they are"),
        ("tickets/replace", {"ticket_id": "T", "barcodes": ["x"]}, "barcodes: a node takes no codes as they"),
        ("tickets/admit", {}, "barcode, barcode_digest or ticket_id is required"),
        ("tickets/admit", {"barcode_digest": "0" * 64, "ticket_id": "T"}, "only one of barcode, barcode_dig"),
        (
            "tickets/admit",
            {"barcode_digest": "0" * 64, "event": None},
            "event is required with barcode_digest",
        ),
        ("tickets/admit", {"barcode_digest": "0" * 64 + "\n"}, "barcode_digest must be 64 hex digits"),
        (
            "tickets",
            {"ticket_id": "T", "barcode_digests": ["0" * 62]},
            "barcode_digests must be a list of at",
        ),
    ],
)
def test_texts_and_bad_digests_are_refused_by_name(
    node: Node, path: str, fields: dict[str, Any], said: str
) -> None:
    status, answer = node.post(path, **fields)
    assert (status, answer["error"][: len(said)]) == (400, said)
    assert path != "tickets/admit" or (answer["outcome"], answer["whose"]) == ("error", "gate")
