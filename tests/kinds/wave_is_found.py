"""Where the kind of wave.py is found; test_one_file.py runs this in a process in which it is registered."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from django.contrib.auth.models import User
from django.test import Client

from dtvn.api.helper.app import build_app
from dtvn.api.helper.service import Service
from dtvn.api.helper.sockets import Feed
from dtvn.api.ordering import Decision, Request, decide
from dtvn.machine import build
from dtvn.machine.contract import Listed
from dtvn.node.options import ApiOptions
from dtvn.protocol.genesis import CAPABILITIES
from tests.api.conftest import Api, _own_progress, _unswept, api, fake, read, tables  # noqa: F401 - fixtures
from tests.fake_gateway import FakeGateway
from tests.host.support import make_genesis
from tests.kinds.wave import Wave
from tests.team_keys import store_key
from validators.dashboard.context import WORDS
from validators.feed.rows import read_snapshot

pytestmark = pytest.mark.django_db(databases=["default", "learner"])
WAVE = {"ticket_id": "T-1", "hand": "left"}


@pytest.fixture
def guest(api: Api) -> Api:  # noqa: F811
    assert api.post("tickets", {"ticket_id": "T-1"}).status_code == 200
    return api


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("operator", password="x"))
    return client


def test_the_platform_has_a_route_with_its_fields_its_scope_and_its_refusals(guest: Api) -> None:
    told = guest.post("tickets/wave", WAVE)
    assert (told.status_code, read(told)["message"]) == (200, "Waved")
    assert guest.codes("tickets/wave", WAVE | {"ticket_id": "T-2"}, WAVE | {"hand": "third"}, {}) == [
        404,
        400,
        400,
    ]
    store_key("dtvn_key_of_an_importer", label="importer", scopes=["issue"])
    assert Api("dtvn_key_of_an_importer").post("tickets/wave", WAVE).status_code == 403


def test_a_batch_takes_it(guest: Api) -> None:
    told = read(guest.post("tickets/batch", {"operations": [WAVE | {"op": "wave"}, {"op": "bow"}]}))
    assert [result["status"] for result in told["data"]["results"]] == [200, 400]


def test_the_api_document_describes_it(guest: Api) -> None:
    document = read(guest.get("openapi.json"))
    described = document["paths"]["/api/v1/tickets/wave"]["post"]
    assert described["summary"] == "Wave to a guest."
    assert "hand" in str(described["requestBody"])


def test_the_feed_tells_of_it_in_its_words(guest: Api) -> None:
    guest.post("tickets/wave", WAVE)
    newest = read_snapshot()["latest"][0]
    assert (newest["type"], newest["operation"], newest["ticket_id"]) == ("guest_waved_to", "wave", "T-1")
    assert WORDS["verbs"]["wave"] == "waved to"


def test_the_log_page_lists_it_and_filters_by_it(guest: Api, admin: Client) -> None:
    guest.post("tickets/wave", WAVE)
    page = admin.get("/admin/ledger/operationrecord/?operation=wave").content.decode()
    assert "?operation=wave" in page
    assert "T-1" in page
    assert "T-1" not in admin.get("/admin/ledger/operationrecord/?operation=admit").content.decode()


def test_the_plain_consensus_log_shows_it(guest: Api) -> None:
    guest.post("tickets/wave", WAVE)
    assert [each["operation"] for each in read(guest.get("consensus/logs"))["data"]] == ["WAVE"]


def test_the_tickets_page_offers_it(guest: Api, admin: Client) -> None:
    assert 'data-act="wave"' in admin.get("/dashboard/tickets").content.decode()


def test_a_node_has_a_route_of_its_own() -> None:
    """The node's application; in place of its gateway, the machine in this process."""
    gateway = FakeGateway(make_genesis(4, capabilities=CAPABILITIES), principal="gateway")

    async def ordered(request: Request) -> Decision:
        (decision,) = decide(gateway, [request], actor="api", entry="r0")
        return decision.check()

    setup = SimpleNamespace(options=ApiOptions(port=0, key="right"))
    service: Any = SimpleNamespace(
        setup=setup, decide=ordered, answered=lambda _: None, genesis=gateway.genesis
    )
    app = build_app(service)
    assert asyncio.run(posted(app, WAVE, "/wave")) == 404
    assert asyncio.run(posted(app, {"ticket_id": "T-1"}, "")) == 200
    assert asyncio.run(posted(app, WAVE, "/wave")) == 200
    assert asyncio.run(posted(app, WAVE | {"hand": 3}, "/wave")) == 400


async def posted(app: Any, body: dict[str, Any], path: str) -> int:
    scope = {"type": "http", "method": "POST", "path": f"/api/v1/tickets{path}", "query_string": b""}
    scope |= {"headers": [(b"x-api-key", b"right")], "root_path": "", "raw_path": b""}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": msgspec.json.encode(body), "more_body": False}

    await app(scope, receive, send)
    return int(next(message["status"] for message in sent if "status" in message))


def test_a_node_tells_its_listeners_of_it() -> None:
    operation = build(Wave(), ticket="T-1", actor="a", entry="r0", valid_until=1)
    listed = Listed(3, 0, 0, 7_000_000, "ok", "p", b"", operation)
    frames = Feed(cast(Service, SimpleNamespace(node="r0", sockets=0)))._frames([listed], {})
    assert [(frame["type"], frame["ticket_id"]) for frame in frames] == [("guest_waved_to", "T-1")]
