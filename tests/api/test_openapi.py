"""The OpenAPI document is true to the REST that exists: routes, methods, scopes, statuses, shapes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jsonschema
import msgspec
import pytest

from dtvn.protocol.genesis import EVENT_NAME, PRINCIPAL_NAME
from simulator.options import LIMITS
from simulator.web.start_request import StartRequest
from tests.api.conftest import Api, read
from tests.api.test_permissions import ROUTES
from tests.fake_gateway import FakeGateway
from validators.rest.openapi import document, shapes
from validators.rest.openapi.routes import Route, routes
from validators.rest.openapi.view import text

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

FILE = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
SAMPLES = {
    "ticket_id": "T-1",
    "slug": "fest",
    "node_id": "r0",
    "name": "gateway",
    "run_id": "1",
    "number": "1",
}
BODIES: tuple[Any, ...] = (
    b"",
    b"{",
    {},
    {"ticket_id": "T-1"},
    {"node_id": "r0"},
    b'"' + b"x" * 1_100_000 + b'"',
)


@cache
def described() -> dict[str, Any]:
    return document()


def check(method: str, route: Route, response: Any) -> None:
    """A status that is named, and a body that is as described."""
    told = described()["paths"][route.path][method.lower()]["responses"]
    assert str(response.status_code) in told, (
        method,
        route.path,
        response.status_code,
        response.content[:300],
    )
    answer = told[str(response.status_code)]
    if "$ref" in answer:
        answer = described()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    media, content = next(iter(answer["content"].items()))
    assert response.headers["Content-Type"].split(";")[0] == media
    if media == "application/json":
        whole = {**content["schema"], "components": described()["components"]}
        jsonschema.Draft202012Validator(whole).validate(read(response))


def test_the_file_equals_what_the_platform_serves(api: Api) -> None:
    assert FILE.read_bytes() == text(), "run `make schema`"
    assert api.get("openapi.json").content == text()


def test_the_document_and_its_page_need_no_key(fake: FakeGateway) -> None:
    assert Api(None).get("openapi.json").content == text()
    index = read(Api(None).get("/api/v1/"))
    assert index["routes"] == list(described()["paths"])
    page = Api(None).get(index["documentation"])
    assert page.status_code == 200
    assert 'data-document="/api/v1/openapi.json"' in page.content.decode()
    assert "script-src" not in page.headers["Content-Security-Policy"], "only our own scripts"
    assert read(Api(None).get("/api/v1")) == index
    assert Api(None).get("/api/v2/").status_code == 401


def test_examples_fit_their_schemas() -> None:
    calls = [told for methods in described()["paths"].values() for told in methods.values()]
    bodies = [next(iter(told["requestBody"]["content"].values())) for told in calls if "requestBody" in told]
    shown = [body for body in bodies if "example" in body]
    assert len(shown) >= 8
    for body in shown:
        whole = {**body["schema"], "components": described()["components"]}
        jsonschema.Draft202012Validator(whole).validate(body["example"])


def test_a_number_in_a_path_beyond_its_maximum_is_404(api: Api) -> None:
    bounds = [
        (method, path, parameter["name"], parameter["schema"].get("maximum", 10**20))
        for path, methods in described()["paths"].items()
        for method, told in methods.items()
        for parameter in told.get("parameters", ())
        if (parameter["in"], parameter["schema"].get("type")) == ("path", "integer")
    ]
    assert bounds
    body = {"events": [{"type": "RUN_STARTED"}]}
    found = {
        (method, path, most): api.call(
            method.upper(), path.replace(f"{{{name}}}", str(most + 1)), body
        ).status_code
        for method, path, name, most in bounds
    }
    assert found == {(method, path, 2**63 - 1): 404 for method, path, _, _ in bounds}


def test_the_document_names_the_existing_routes_methods_and_scopes() -> None:
    listed = {
        (method.upper(), path): told.get("x-scope")
        for path, methods in described()["paths"].items()
        for method, told in methods.items()
    }
    for method, path, scope in ROUTES:
        found = [
            known
            for verb, known in listed
            if verb == method and re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(known)), path)
        ]
        assert found, (method, path)
        assert listed[method, min(found, key=lambda known: known.count("{"))] == scope
    names = [told["operationId"] for methods in described()["paths"].values() for told in methods.values()]
    assert len(names) == len(set(names))
    assert all(told["summary"] for methods in described()["paths"].values() for told in methods.values())


def test_every_schema_is_valid_and_every_reference_resolves() -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                place = described()
                for part in value["$ref"].removeprefix("#/").split("/"):
                    place = place[part]
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(described())
    for schema in described()["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


ON_TICKETS = {
    f"post_tickets{verb}"
    for verb in ("", "_validate", "_consume", "_replace", "_block", "_change", "_dispute", "_resolve")
}


def request_bodies() -> dict[str, dict[str, Any]]:
    """operationId -> request body."""
    calls = (told for methods in described()["paths"].values() for told in methods.values())
    return {told["operationId"]: told["requestBody"] for told in calls if "requestBody" in told}


def strings(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas of strings, in a schema and those to which it refers."""
    if "$ref" in schema:
        yield from strings(described()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "string" in schema.get("type", ()):
        yield schema
    for each in (*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from strings(each)
    for each in (
        *schema.get("properties", {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ):
        if isinstance(each, dict):
            yield from strings(each)


def test_bodies_of_calls_on_tickets_extend_one_schema() -> None:
    """A generated client takes one type for what they have in common."""
    for name in ON_TICKETS:
        schema = request_bodies()[name]["content"]["application/json"]["schema"]
        assert schema["allOf"][0] == {"$ref": "#/components/schemas/Operation"}
        assert schema["allOf"][1]["properties"]
    operation = described()["components"]["schemas"]["Operation"]
    assert operation["required"] == ["ticket_id"]
    assert list(operation["properties"]) == ["nonce", "event", "ticket_id"]


def test_an_ordinary_reader_sees_every_field_and_bound_of_a_body() -> None:
    assert b"x-fields" not in text()
    for name, body in request_bodies().items():
        found = list(strings(next(iter(body["content"].values()))["schema"]))
        assert found or name in {"post_cluster_start"}, name
        for each in found:
            assert each.keys() & {"maxLength", "format", "enum", "pattern"}, (name, each)


def test_every_json_answer_has_a_schema() -> None:
    for path, methods in described()["paths"].items():
        for method, told in methods.items():
            for status, answer in told["responses"].items():
                content = answer.get("content", {}).get("application/json", {"schema": True})
                assert content.get("schema"), (method, path, status)


def test_a_body_is_required_where_a_request_without_one_is_refused() -> None:
    required = {name for name, body in request_bodies().items() if body["required"]}
    assert request_bodies().keys() - required == {
        "post_tickets_seed",
        "post_events_runs",
        "post_simulator_start",
        "post_members_node_id_rotate",
        "post_principals_name_rotate",
        "delete_members_node_id",
        "delete_principals_name",
    }
    schemas = described()["components"]["schemas"]
    assert schemas["MemberBody"]["required"] == ["node_id"]
    assert "post_nodes_node_id_start" not in request_bodies(), "takes none"


@pytest.mark.parametrize(
    ("schema", "field", "bounds"),
    [
        ("Operation", "ticket_id", {"minLength": 1, "maxLength": 128}),
        ("Operation", "nonce", {"minLength": 1, "maxLength": 64}),
        ("Operation", "event", {"maxLength": 64, "pattern": EVENT_NAME}),
        ("PrincipalBody", "name", {"maxLength": 64, "pattern": PRINCIPAL_NAME}),
        ("PrincipalBody", "grants", {"maxItems": 64}),
        ("KeyBody", "overlap", {"minimum": 0, "maximum": 600}),
        ("ClusterBody", "node_count", {"maximum": 30}),
        ("MemberBody", "port", {"minimum": 0, "maximum": 65_535}),
        ("MemberBody", "host", {"maxLength": 253}),
        ("MemberBody", "peer_id", {"maxLength": 64}),
        ("ParametersBody", "view_timeout", {"minimum": 50_000, "maximum": 60_000_000}),
    ],
)
def test_enforced_bounds_are_in_the_document(schema: str, field: str, bounds: dict[str, Any]) -> None:
    told = described()["components"]["schemas"][schema]["properties"][field]
    assert {name: told.get(name) for name in bounds} == bounds


@pytest.mark.parametrize("name", ["thread", "run"])
@pytest.mark.parametrize(("value", "status"), [("a\x1f\n", 200), ("a\x00", 400)])
def test_the_pattern_of_a_filter_of_runs_is_enforced(api: Api, name: str, value: str, status: int) -> None:
    told = described()["paths"]["/api/v1/events/runs"]["get"]["parameters"]
    [schema] = [each["schema"] for each in told if each["name"] == name]
    assert (re.search(schema["pattern"], value) is not None) == (status == 200)
    assert api.get(f"events/runs?{urlencode({name: value})}").status_code == status


def test_the_document_names_what_the_server_answers_before_any_route() -> None:
    told = described()["info"]["description"]
    assert all(f"{status} to " in told for status in (408, 431))


def test_every_array_describes_its_items() -> None:
    def walk(value: Any) -> None:
        if isinstance(value, dict):
            assert value.get("type") != "array" or "items" in value, value
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(each)

    walk(described())


@pytest.mark.ci
def test_every_answer_has_a_documented_status_and_shape(api: Api) -> None:
    """Each route with an empty, a malformed, an oversized and a valid request."""
    for route in routes():
        path = route.path.format(**SAMPLES)
        for method in route.methods:
            bodies = (b"",) if method == "GET" else BODIES
            for caller, body in itertools.product((api, Api(None)), bodies):
                check(method, route, caller.call(method, path, body))


def test_the_simulators_body_has_the_bounds_and_defaults_of_its_struct() -> None:
    fields = {field.name: field.default for field in msgspec.structs.fields(StartRequest)}
    described = {name: each["default"] for name, each in shapes.SIMULATION.items()}
    assert described == {name: fields[name] for name in described}
    assert fields.keys() - described.keys() == {"trace"}
    for name, least, most in LIMITS:
        bounds = shapes.SIMULATION[name]
        assert (bounds["minimum"], bounds["maximum"]) == (least, most), name
