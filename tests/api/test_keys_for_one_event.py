"""A key for one event reads and changes tickets of that event only; what a key may not use is denied."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.api.conftest import KEY, Api, read
from tests.api.test_permissions import ROUTES
from tests.team_keys import store_key

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

FRIDAY = "dtvn_key_for_friday"
OF_TERMS = ("block", "unblock", "replace", "change", "import_entry")
SCANS = ("admit", "annul", "force")
ABOUT_EVENTS = {
    ("GET", "/api/v1/tickets"),
    ("GET", "/api/v1/tickets/T"),
    ("GET", "/api/v1/tickets/T/certificate"),
    ("GET", "/api/v1/nodes/r0/tickets/T"),
    ("GET", "/api/v1/locks"),
    *(("POST", f"/api/v1/locks/{verb}") for verb in ("acquire", "renew", "release", "cancel")),
    *(("POST", f"/api/v1/tickets{verb}") for verb in ("", "/seed", "/validate", "/dispute", "/resolve")),
    *(("POST", f"/api/v1/tickets/{verb}") for verb in SCANS),
    *(("POST", f"/api/v1/tickets/{verb}") for verb in ("consume", "validate-via-node", "find")),
    *(("POST", f"/api/v1/tickets/{verb}") for verb in OF_TERMS),
    ("GET", "/api/v1/tickets/events"),
}
ABOUT_NO_TICKET = {
    f"/api/v1/{name}"
    for name in ("cluster", "network", "stats", "status", "peers", "config", "nodes/r0/stats", "epochs")
}
OTHERS = (
    {
        *((method, path) for method, path, _scope in ROUTES),
        ("GET", "/api/v1/node/crypto"),
        ("GET", "/api/v1/storage/entries"),
        ("GET", "/api/v1/nodes/r0/logs"),
        ("POST", "/api/v1/cluster/start"),
        ("POST", "/api/v1/cluster/stop"),
        ("GET", "/api/v1/events/fest"),
    }
    - ABOUT_EVENTS
    - {("PUT", "/api/v1/events/fest")}
)
BODY = {"ticket_id": "T", "node_id": "r0", "verdict": "clear"}
OTHER_BODIES: dict[str, dict[str, Any]] = {
    "replace": BODY | {"barcodes": ["c"]},
    "change": BODY | {"seat": "S"},
    "find": {"barcode": "c"},
    "force": BODY | {"reason": "known"},
}
LOCK = {"name": "leader", "holder": "one"}
LOCK_BODIES: dict[str, dict[str, Any]] = {
    "acquire": LOCK | {"lease": 1},
    "renew": LOCK | {"lease": 1, "token": 1},
    "release": LOCK | {"token": 1},
    "cancel": LOCK,
}


@pytest.fixture
def friday(api: Api) -> Api:
    store_key(FRIDAY, label="friday", event="friday")
    return Api(FRIDAY)


def ask(api: Api, method: str, path: str, event: str | None) -> Any:
    named = {} if event is None else {"event": event}
    if method == "GET":
        return api.get(path + (f"?event={event}" if event else ""))
    body = (LOCK_BODIES | OTHER_BODIES).get(path.rsplit("/", 1)[-1], BODY)
    return api.call(method, path, body | named)


@pytest.mark.parametrize(("method", "path"), sorted(OTHERS))
def test_routes_that_name_no_event_are_denied_except_the_clusters_state(
    friday: Api, method: str, path: str
) -> None:
    response = friday.call(method, path, {"operations": []} if path.endswith("/batch") else None)
    allowed = path in ABOUT_NO_TICKET or path.endswith("/batch")
    assert (response.status_code == 403) == (not allowed), response.content


def test_every_route_of_the_api_is_in_these_tables() -> None:
    """A new route is denied to keys for one event until it says what it is about; it is listed here."""
    about = {path: view.about for path, view in _routes() if view.about}
    events = {path for path, found in about.items() if found == "event"}
    assert events == {
        "api/v1/tickets",
        "api/v1/tickets/batch",
        *(f"api/v1/tickets/{verb}" for verb in ("seed", "validate", "consume", *SCANS, "dispute", "resolve")),
        *(f"api/v1/tickets/{verb}" for verb in (*OF_TERMS, "find", "events")),
        "api/v1/events/<str:slug>",
        "api/v1/tickets/validate-via-node",
        "api/v1/tickets/<str:ticket_id>",
        "api/v1/tickets/<str:ticket_id>/certificate",
        "api/v1/nodes/<str:node_id>/tickets/<str:ticket_id>",
        "api/v1/locks",
        *(f"api/v1/locks/{verb}" for verb in LOCK_BODIES),
    }
    cluster = {path.replace("<str:node_id>", "r0") for path, found in about.items() if found == "cluster"}
    assert {f"/{path}" for path in cluster} == ABOUT_NO_TICKET


def _routes() -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []

    def collect(patterns: list[Any]) -> None:
        for each in patterns:
            if isinstance(each, URLResolver):
                collect(each.url_patterns)
            elif isinstance(each, URLPattern):
                view = getattr(each.callback, "view_class", None)
                if hasattr(view, "about"):
                    found.append((str(each.pattern), view))

    collect(get_resolver().url_patterns)
    return found


def test_a_stewards_key_opens_the_gate_page_alone_and_reads_no_metrics(friday: Api) -> None:
    store_key("dtvn_scans_friday", label="steward", scopes=["gate"], event="friday")
    client = Client(REMOTE_ADDR="192.0.2.1")
    entered = client.post("/dashboard/key", {"key": "dtvn_scans_friday", "next": "/dashboard/tickets"})
    assert entered.headers["Location"] == "/gate/?event=friday"
    assert client.get("/gate/").status_code == 200
    assert client.get("/dashboard/snapshot").status_code == 403
    assert client.get("/dashboard/tickets").headers["Location"] == "/gate/?event=friday"
    refused = client.get("/metrics", headers={"X-API-Key": FRIDAY})
    assert refused.status_code == 403
    assert "needs the scope 'admin'" in read(refused)["error"]
    assert client.get("/metrics", headers={"X-API-Key": KEY}).status_code == 200
