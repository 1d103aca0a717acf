"""Generated requests to every route: answers are as the OpenAPI document says, invalid data is refused."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.conftest import Api
from validators.rest.openapi import document

pytestmark = [pytest.mark.exhaustive, pytest.mark.django_db(databases=["default", "learner"])]

SEED = 1
EXAMPLES = 40
"""Requests per route and kind: valid, invalid."""
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
PROCESSLESS = {"post_simulator_start", "get_node_crypto", "get_storage_entries", "get_tickets_ticket_id"}
"""Calls that need processes which do not run here, the last for quorum reads: they may answer 503."""
ANY_BODY = {
    "post_tickets_seed",
    "post_simulator_stop",
    "post_cluster_stop",
    *(f"post_nodes_node_id_{verb}" for verb in ("start", "stop", "restart")),
}
"""Calls that take any body (spec 1.2), or read none."""
BASE = "http://testserver"


def described() -> dict[str, Any]:
    """The document, with what it leaves out so that generated clients keep their types: fields of free-form
    bodies, that null counts as absent, and that an invalid item of a batch is a result of its own."""
    told = copy.deepcopy(document())
    for methods in told["paths"].values():
        for call in methods.values():
            if "requestBody" in call:
                content = call["requestBody"]["content"]["application/json"]
                strict = _strict(told, content["schema"], call["requestBody"]["required"])
                content["schema"] = {} if call["operationId"] in ANY_BODY else strict
    return told


def _strict(told: dict[str, Any], schema: dict[str, Any], required: bool) -> dict[str, Any]:
    schemas = told["components"]["schemas"]
    parts = schema.get("allOf", [schema])
    named = (
        [schema["x-fields"]] if "x-fields" in schema else [each["$ref"] for each in parts if "$ref" in each]
    )
    parts = [each for each in parts if "$ref" not in each] + [
        schemas[name.rpartition("/")[2]] for name in named
    ]
    needed = [name for part in parts for name in part.get("required", ())]
    fields = {name: each for part in parts for name, each in part.get("properties", {}).items()}
    if "operations" in fields:
        fields["operations"] = fields["operations"] | {"items": {}}
    found = {
        "type": "object",
        "required": needed,
        "properties": {
            name: each if name in needed else {"anyOf": [each, {"type": "null"}]}
            for name, each in fields.items()
        },
    }
    return found if required else {"anyOf": [found, {"type": "null"}]}


@cache
def operations() -> dict[str, Any]:
    """Operations by their id."""
    config = schemathesis.Config()
    schema = schemathesis.openapi.from_dict(described(), config=config)
    found = (each.ok() for each in schema.get_all_operations())
    return {each.definition.raw["operationId"]: each for each in found}


def plays() -> list[tuple[str, GenerationMode]]:
    """Valid requests to every call, and invalid ones where something can be invalid."""
    calls = [call for methods in document()["paths"].values() for call in methods.values()]
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


def send(api: Api, case: Any) -> schemathesis.Response:
    """The platform's answer to a generated request."""
    request = requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()
    headers = {name: value for name, value in request.headers.items() if name != "Content-Length"}
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    answer = api.call(request.method, request.path_url, body, **headers)
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return schemathesis.Response(
        status_code=answer.status_code,
        headers={name.lower(): [value] for name, value in answer.headers.items()},
        content=content,
        request=request,
        elapsed=0.0,
        verify=False,
    )


@pytest.mark.parametrize(("name", "mode"), plays(), ids=lambda each: getattr(each, "value", each))
def test_a_route_keeps_to_its_document(town: Api, name: str, mode: GenerationMode) -> None:
    operation = operations()[name]
    checks = CHECKS if name in PROCESSLESS else [*CHECKS, not_a_server_error]

    def check(case: Any) -> None:
        case.validate_response(send(town, case), checks=checks)

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
