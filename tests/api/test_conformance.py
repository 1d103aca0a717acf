"""Generated requests to every route: answers are as the OpenAPI document says, invalid data is refused."""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from asgiref.sync import async_to_sync
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)

from dtvn.node.keys import peer_id
from tests.api.conftest import Api
from tests.host.support import key_pair
from tickets.services import reading
from validators.rest import http
from validators.web.one_hop import LaterResponse

pytestmark = [pytest.mark.exhaustive, pytest.mark.django_db(databases=["default", "learner"])]

SEED = 1
EXAMPLES = 40
"""Requests per route and kind: valid, invalid."""
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    positive_data_acceptance,
]
LINES = "application/x-ndjson"
PROCESSLESS = {"post_simulator_start", "get_node_crypto", "get_storage_entries", "get_tickets_ticket_id"}
"""Calls that need processes which do not run here, the last for quorum reads: they may answer 503."""
STATEFUL = {"nonce_reused", "algorithm_not_offered", "malformed"}
"""Codes that refuse a valid request for what is there, with 400 or 422: a nonce, an algorithm that is not
switched on, parameters that change nothing. 403, 404 and 409 do so with any code."""
CHANGES = {
    "post_members",
    "post_members_preview",
    "post_members_node_id_rotate",
    "post_principals_name_rotate",
    "patch_parameters",
}
"""Calls that want some fields together and others not, by the change and by whose the node is, or whose
bounds depend on the number of members; no schema can say so. Their valid requests need not be taken."""
FILE = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
BASE = "http://testserver"
KEY = peer_id(key_pair("a newcomer")[0])
SALT = base64.b64encode(bytes(16)).decode()


def published() -> dict[str, Any]:
    """The document as it is published."""
    return json.loads(FILE.read_bytes())


@cache
def operations() -> dict[str, Any]:
    """Operations by their id, without the document's `security`: beside a good key any other credential would
    count as invalid data, and a header of another scheme is rightly taken."""
    document = published()
    del document["security"], document["components"]["securitySchemes"]
    schema = schemathesis.openapi.from_dict(document, config=schemathesis.Config())
    found = (each.ok() for each in schema.get_all_operations())
    return {each.definition.raw["operationId"]: each for each in found}


def plays() -> list[tuple[str, GenerationMode]]:
    """Valid requests to every call, and invalid ones where something can be invalid."""
    calls = [call for methods in published()["paths"].values() for call in methods.values()]
    taking = [call for call in calls if call.keys() & {"parameters", "requestBody"}]
    return [(call["operationId"], GenerationMode.POSITIVE) for call in calls] + [
        (call["operationId"], GenerationMode.NEGATIVE) for call in taking
    ]


def boundary_cases(operation: Any, mode: GenerationMode) -> list[Any]:
    """Each parameter and field in turn at, or just outside of, each of its bounds."""
    schema = operation.schema
    config = schema.config.generation_for(operation=operation)
    cases = schema.iter_coverage_cases(operation, generation_modes=[mode], generation_config=config)
    return [case for case in cases if case.method == operation.method.upper()]


@schemathesis.serializer(LINES)
def lines(context: Any, value: Any) -> bytes:
    """A body of lines, as it is generated: any text."""
    return str(value).encode()


def refused_in_its_items(case: Any, answer: schemathesis.Response) -> bool:
    """Whether the request is one that a call takes and answers item by item (a seed reads any, a stream any
    text), or has a parameter without a value, which is not sent."""
    name = case.operation.definition.raw["operationId"]
    if case.media_type == LINES or any(value in ([], {}) for value in (case.query or {}).values()):
        return True
    if name == "post_tickets_seed":
        return not isinstance(case.body, dict)
    if name != "post_tickets_batch" or answer.status_code != 200:
        return False
    return 400 in (result["status"] for result in answer.json()["data"]["results"])


def put_right(case: Any) -> None:
    """Make a valid request keep to the rules that stand in descriptions, since no schema can say them: whole
    numbers, one nonce, an existing key, an end after its beginning, as many salts as events, no more liars
    than are tolerated and a known adversary."""
    if not isinstance(case.body, dict):
        return
    body = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in case.body.items()
    }
    if body.get("nonce") is not None and case.headers:
        case.headers.pop("Idempotency-Key", None)
    if body.get("peer_id"):
        body["peer_id"] = KEY
    if (body.get("not_after") or 0) < (body.get("not_before") or 0):
        body["not_after"] = 0
    _put_codes_right(case.operation.definition.raw["operationId"], body)
    if "salts" in body:
        given = next((body[name] for name in ("events", "texts") if name in body), [0])
        body["salts"] = [SALT] * len(given)
    if case.operation.definition.raw["operationId"] == "post_simulator_start":
        tolerated = (body.get("nodes", 7) - 1) // 3
        body["byzantine_nodes"] = min(body.get("byzantine_nodes", 2), tolerated)
        body["adversary"] = "mute"
    case.body = body


def _put_codes_right(name: str, body: dict[str, Any]) -> None:
    """The same for what only descriptions say of codes, terms and events: texts that can be codes, each once,
    as texts or as digests; a reason only of a block, and of what is supervised; a change of something; known
    zones; each list once."""
    if body.get("barcode") is not None:
        body["barcode"] = "c"
    if body.get("barcodes") is not None:
        body["barcodes"] = ["c"]
        body.pop("barcode_digests", None)
    if body.get("barcode_digests") is not None:
        body["barcode_digests"] = ["0" * 64]
    if not body.get("blocked"):
        body.pop("block_reason", None)
    if name == "post_tickets_change":
        body["seat"] = "S"
    if name == "post_tickets_annul" and body.get("supervised"):
        body["reason"] = "R"
    if name == "put_events_slug":
        products = [{"name": "Adult", "admits": True}]
        body |= {"zone": "Europe/Berlin", "doors": 0, "products": products if body.get("products") else None}
        body |= {"lists": [{"list": "main"}] if body.get("lists") else None}


def refused_for_what_is_there(case: Any, answer: schemathesis.Response) -> bool:
    """Whether a valid request need not be taken; one of lines is text to its schema, and may be no events."""
    if case.media_type == LINES or case.operation.definition.raw["operationId"] in CHANGES:
        return True
    return answer.status_code in (400, 422) and answer.json().get("code") in STATEFUL


def flowing(answer: Any) -> bytes:
    """The whole of an answer that is made while it is sent, as validators.web.one_hop sends it."""

    async def collect() -> bytes:
        if isinstance(answer, LaterResponse):
            await answer.begin()
        return b"".join([part async for part in answer.streaming_content])

    return async_to_sync(collect)() if answer.is_async else b"".join(answer.streaming_content)


def send(api: Api, case: Any) -> schemathesis.Response:
    """The platform's answer to a generated request."""
    request = requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()
    headers = {name: value for name, value in request.headers.items() if name != "Content-Length"}
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    media = headers.pop("Content-Type", "application/json")
    # Not `api.call`, whose arguments a generated header may be named like.
    answer = api.client.generic(
        request.method, request.path_url, body, content_type=media, headers=api.headers | headers
    )
    content = flowing(answer) if answer.streaming else answer.content
    return schemathesis.Response(
        status_code=answer.status_code,
        headers={name.lower(): [value] for name, value in answer.headers.items()},
        content=content,
        request=request,
        elapsed=0.0,
        verify=False,
    )


@pytest.mark.parametrize(("name", "mode"), plays(), ids=lambda each: getattr(each, "value", each))
def test_a_route_keeps_to_its_document(
    town: Api, name: str, mode: GenerationMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = operations()[name]
    monkeypatch.setattr(http, "OWN_WRITES_WAIT", 0.0)
    monkeypatch.setattr(reading, "BARRIER_WAIT", 0.0)
    checks = CHECKS if name in PROCESSLESS else [*CHECKS, not_a_server_error]

    def check(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            put_right(case)
        answer = send(town, case)
        but = set()
        if refused_in_its_items(case, answer):
            but.add(negative_data_rejection)
        if refused_for_what_is_there(case, answer):
            but.add(positive_data_acceptance)
        case.validate_response(answer, checks=[check for check in checks if check not in but])

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def play(case: Any) -> None:
        check(case)

    try:
        for case in boundary_cases(operation, mode):
            check(case)
        play()
    except FailureGroup as group:
        pytest.fail(f"seed {SEED}: {group}")
