"""Tells the platform's own pages: who may open which, their texts, entering and leaving with a key, and pages
for what is missing or refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client

from tests.api.conftest import KEY, Api
from tests.api.telling import Story, beside, clock  # noqa: F401 - a fixture
from tests.golden import Compare
from tests.pages.learner import RealLearner
from tests.pages.visiting import Visitor
from tests.support.clock import SetClock
from tests.team_keys import join, store_key
from validators.models import ManagedNode, NodeStatus

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.django_db(databases=["default", "learner"])]

ADDRESSES = (
    *("/", "/dashboard/nodes", "/dashboard/network", "/dashboard/metrics", "/dashboard/events", "/gate/"),
    *("/dashboard/simulator", "/dashboard/tickets", "/dashboard/tickets/one", "/dashboard/tickets/events"),
    *("/dashboard/tickets/files", "/dashboard/tickets/export/tickets.csv", "/dashboard/snapshot"),
    *("/dashboard/stuck", "/dashboard/links", "/dashboard/figures", "/dashboard/gates", "/dashboard/key"),
    *("/dashboard/leave", "/dashboard/node/r0/crypto", "/dashboard/node/absent/storage", "/ws", "/api/docs"),
    *("/admin/", "/admin/login/", "/admin/auth/user/", "/admin/validators/apikey/", "/metrics", "/nowhere"),
    *(
        "/admin/validators/managednode/",
        "/admin/validators/membershipchange/",
        "/admin/tickets/ticketholder/",
    ),
    *("/admin/validators/membershipchange/principals/", "/admin/validators/memberevidence/"),
    *("/admin/validators/platformaction/", "/admin/ledger/operationrecord/", "/admin/ledger/consensusentry/"),
    *("/api/v1/status", "/api/v1/tickets", "/api/v1/members", "/api/v1/evidence", "/api/v1/openapi.json"),
)


@pytest.fixture
def story() -> Story:
    return Story(exact=True)


def person(name: str, *groups: str, **flags: Any) -> Client:
    user = User.objects.create_user(name, password="x", **flags)
    join(user, *groups)
    client = Client()
    client.force_login(user)
    return client


def holder(**limits: Any) -> Client:
    """The holder of a key, which was entered on the login page."""
    plain = f"{KEY} {sorted(limits.items())}"
    store_key(plain, label="held", **limits)
    client = Client()
    client.post("/dashboard/key", {"key": plain})
    return client


@pytest.fixture
def fest(learner: RealLearner, clock: SetClock) -> None:  # noqa: F811
    store_key(KEY, label="suite")
    call = Api().call
    call(
        "PUT",
        "events/fest",
        {"name": "Fest", "zone": "Europe/Berlin", "products": [{"name": "A", "admits": True}]},
    )
    for number in range(1, 4):
        clock.forward(20)
        body = {"event": "fest", "ticket_id": f"T-{number}", "product": "A", "barcodes": [f"code-{number}"]}
        call("POST", "tickets", body)
    for gate, code in (("north", "code-2"), ("south", "code-2"), ("north", "code-9"), ("s\u00fcd", "code-1")):
        clock.forward(20)
        call("POST", "tickets/admit", {"event": "fest", "barcode": code, "gate": gate})
    ManagedNode.objects.update(status=NodeStatus.RUNNING, running_generation=F("generation"))
    ManagedNode.objects.filter(pk="r2").update(status=NodeStatus.ERROR, error="its disk is gone", restarts=2)


def test_who_may_open_what(golden: Compare, fest: None, story: Story) -> None:
    people = {
        "anybody": Client(),
        "no role": person("norole"),
        "stranger": person("stranger", "friends"),
        "organiser": person("olga", "organiser", is_staff=True),
        "gate": person("gustav", "gate"),
        "auditor": person("anna", "auditor", is_staff=True),
        "scope": person("susan", "supervise"),
        "ended": person("emil", "gate", is_active=False),
        "super": person("root", is_superuser=True, is_staff=True),
        "gate key": holder(scopes=["gate"]),
        "fest key": holder(scopes=["gate"], event="fest"),
    }
    for address in ADDRESSES:
        answers: dict[str, list[str]] = {}
        for name, client in people.items():
            client.raise_request_exception = False
            answer = client.get(address)
            place = answer.headers.get("Location", "")
            answers.setdefault(f"{answer.status_code} {place}".strip(), []).append(name)
        story.say(f"{address}")
        for told, names in answers.items():
            story.say(f"  {told}: {', '.join(names) if len(names) < len(people) else 'all'}")
    golden(beside(__file__, "pages_opened"), str(story))


def test_what_the_pages_tell(golden: Compare, fest: None, story: Story) -> None:
    root = Visitor(story, person("root", is_superuser=True, is_staff=True))
    for address in (
        *("/", "/dashboard/nodes", "/dashboard/network", "/dashboard/metrics", "/gate/", "/dashboard/links"),
        *("/dashboard/figures?after=x", "/dashboard/node/absent/storage", "/nowhere", "/ws"),
    ):
        root.get(address)
    golden(beside(__file__, "pages_told"), str(story))


def test_what_entering_and_leaving_tell(golden: Compare, fest: None, story: Story, clock: SetClock) -> None:  # noqa: F811
    User.objects.create_user("gustav", password="open sesame")
    store_key("dtvn_fest", label="fest", scopes=["gate"], event="fest")
    store_key("dtvn_ends", label="ends", scopes=[], expires_at=clock.moment())
    visitor = Visitor(story, Client(REMOTE_ADDR="192.0.2.7"))
    visitor.get("/admin/login/?next=/dashboard/nodes")
    for key in ("wrong", "dtvn_fest", "dtvn_ends", "", KEY):
        visitor.post("/dashboard/key", {"key": key, "next": "/dashboard/nodes"})
    visitor.get("/dashboard/snapshot")
    visitor.post("/dashboard/leave")
    visitor.get("/dashboard/snapshot")
    for name, password in (("gustav", "wrong"), ("nobody", "x"), ("gustav", "open sesame")):
        visitor.post("/admin/login/", {"username": name, "password": password, "next": "/dashboard/nodes"})
    visitor.post(
        "/admin/login/", {"username": "gustav", "password": "open sesame", "next": "https://evil.example/"}
    )
    visitor.post("/dashboard/leave")
    visitor.post("/dashboard/key", {"key": KEY, "next": "//evil.example/"})
    forged = Visitor(story, Client(enforce_csrf_checks=True), "forged")
    forged.post("/dashboard/key", {"key": KEY})
    forged.post("/dashboard/leave")
    golden(beside(__file__, "pages_entered"), str(story))
