"""Arbitrary requests to every route: never a 500, always JSON, and only documented answers."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import Api
from tests.api.test_permissions import METHODS, ROUTES

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

NAMES = ["ticket_id", "data", "nonce", "event", "gate", "device", "reason", "verdict", "operations", "op",
         "metadata", "not_before", "not_after", "commitment", "product", "seat", "node_id"]  # fmt: skip
KINDS = ["issue", "seed", "validate", "consume", "admit", "dispute", "resolve"]

words = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "T", "default", "clear", "uphold", "AAAA", "r0", "\x00", "a" * 200, *KINDS]),
)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), words
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)),
    max_leaves=8,
)
members = st.dictionaries(st.one_of(st.sampled_from(NAMES), words), values, max_size=8)
bodies = st.one_of(
    st.binary(max_size=200),
    values.map(msgspec.json.encode),
    members.map(msgspec.json.encode),
    st.lists(members, max_size=4).map(lambda items: msgspec.json.encode({"operations": items})),
)
segments = st.text(st.characters(codec="utf-8"), max_size=12)
paths = st.one_of(
    st.sampled_from([path for _method, path, _scope in ROUTES]),
    segments.map(lambda text: f"/api/v1/tickets/{text}"),
    segments.map(lambda text: f"/api/v1/nodes/{text}/stats"),
    segments.map(lambda text: f"/api/{text}"),
    st.sampled_from(["/health", "/ready"]),
)
queries = st.dictionaries(
    st.sampled_from(["limit", "after", "state", "event", "outcome", "kind", "x"]), words, max_size=3
)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=70)
headers = st.dictionaries(
    st.sampled_from(
        ["Idempotency-Key", "X-DTVN-Min-Sequence", "Content-Type", "Accept", "Origin", "X-CSRFToken"]
    ),
    header_values,
    max_size=3,
)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    method=st.sampled_from([*METHODS, "HEAD", "TRACE", "BREW"]),
    path=paths,
    query=queries,
    body=bodies,
    named=headers,
)
def test_no_request_gets_a_500(
    api: Api, method: str, path: str, query: dict[str, str], body: bytes, named: dict[str, str]
) -> None:
    if named.get("X-DTVN-Min-Sequence", "").isdigit():
        del named["X-DTVN-Min-Sequence"]  # a future one is waited for, which says nothing here
    response = api.client.generic(
        method,
        path,
        body,
        content_type=named.pop("Content-Type", "application/json"),
        query_params=query,
        headers=api.headers | named,
    )
    assert response.status_code < 500 or response.status_code == 503
    assert b"internal_error" not in response.content
    if (method, path, response.status_code) == ("POST", "/api/v1/events/stream", 200):
        assert response.headers["Content-Type"] in ("application/x-ndjson", "text/event-stream")
        return
    assert response.headers["Content-Type"] == "application/json"
    if method != "HEAD":
        msgspec.json.decode(response.content)
