"""The admin: reads long lists by key, writes no table of the learner, acts on holders, nodes and keys."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connections
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.pages.asking import confirmed
from tests.pages.learner import RealLearner
from tests.team_keys import grant
from tickets.models import TicketHolder
from validators.ledger.models import ConsensusEntry, OperationRecord
from validators.models import ApiKey, DesiredState, ManagedNode, Team
from validators.services.api_keys import find_api_key
from validators.services.teams import grant_of

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

Operate = Callable[..., Any]
HOLDERS = "/admin/tickets/ticketholder/"
NODES = "/admin/validators/managednode/"
MEMBERS = "/admin/validators/membershipchange/"
LOG = "/admin/ledger/operationrecord/"


def text(response: Any) -> str:
    assert response.status_code == 200
    return response.content.decode()


def listed(response: Any) -> list[str]:
    return re.findall(r"field-ticket\"[^>]*><a [^>]*>([^<]+)</a>", text(response))


# --- lists -----------------------------------------------------------------------------------------


def hold(event: str, *tickets: str) -> None:
    TicketHolder.objects.bulk_create(TicketHolder(event=event, ticket=one, name="Ada") for one in tickets)


def test_admin_lists_are_paged_by_key(admin: Client) -> None:
    hold("default", *(f"T-{number:03}" for number in range(150)))
    hold("other", *(f"U-{number:03}" for number in range(60)))
    seen: list[str] = []
    address = HOLDERS
    while address:
        response = admin.get(address)
        seen += listed(response)
        following = re.search(r'<a href="([^"]+)" rel="next">', text(response))
        address = HOLDERS + html.unescape(following.group(1)) if following else ""
    assert seen == [f"T-{number:03}" for number in range(150)] + [f"U-{number:03}" for number in range(60)]


@pytest.mark.parametrize(
    "address",
    [
        LOG,
        f"{LOG}?after=20000",
        f"{LOG}?q=T-1",
        f"{LOG}?outcome=refused",
    ],
)
def test_no_admin_list_counts_or_scans_a_table(
    learner: RealLearner, operate: Operate, admin: Client, address: str
) -> None:
    """A million rows: each COUNT(*) is seconds, each OFFSET walks what it skips."""
    operate("issue T-1", "issue T-2", "validate T-1", "validate T-1")
    with CaptureQueriesContext(connections["learner"]) as queries:
        text(admin.get(address))
    statements = [query["sql"].upper() for query in queries.captured_queries]
    assert statements
    assert not [sql for sql in statements if "COUNT(" in sql or "OFFSET" in sql]
    big = [sql for sql in statements if '"LEDGER_OPERATIONRECORD"' in sql]
    assert big
    assert all("LIMIT" in sql for sql in big)


def test_a_malformed_key_redirects_to_the_list(learner: RealLearner, admin: Client) -> None:
    assert admin.get(f"{HOLDERS}?after=a/b/c").status_code == 302
    assert admin.get(f"{LOG}?after=nonsense").status_code == 302


def test_the_log_shows_newest_first_with_outcomes(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1", "consume T-1")
    page = text(admin.get(LOG))
    assert page.index(">not validated<") < page.index(">issue<")
    assert ">not validated<" not in text(admin.get(f"{LOG}?outcome=applied"))
    assert len(re.findall("field-hash", text(admin.get("/admin/ledger/consensusentry/")))) == 2


@pytest.mark.parametrize("model", [OperationRecord, ConsensusEntry])
def test_r28_nothing_in_the_admin_writes_the_learners_tables(
    learner: RealLearner, operate: Operate, admin: Client, model: Any
) -> None:
    operate("issue T-1")
    name = f"admin:ledger_{model._meta.model_name}"
    row = model.objects.first()
    assert admin.get(reverse(f"{name}_add")).status_code == 403
    assert admin.post(reverse(f"{name}_change", args=[row.pk]), {"state": "CONSUMED"}).status_code == 403
    assert admin.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert model.objects.filter(pk=row.pk).exists()


# --- tickets and holders ---------------------------------------------------------------------------


def test_erasing_a_holder_leaves_no_person_and_no_salt(admin: Client) -> None:
    holder = TicketHolder.objects.create(
        event="default", ticket="T-1", name="Ada", email="a@example.org", salt=b"s" * 32
    )
    page = text(confirmed(admin, HOLDERS, {"action": "erase", "_selected_action": [str(holder.pk)]}))
    assert "Holders erased: 1." in page
    holder.refresh_from_db()
    assert (holder.name, holder.email, bytes(holder.salt)) == ("", "", b"")
    assert holder.erased_at is not None


# --- nodes and keys --------------------------------------------------------------------------------


@pytest.fixture
def nodes(learner: RealLearner) -> Callable[[], dict[str, str]]:
    return lambda: dict(ManagedNode.objects.values_list("node_id", "desired"))


def run_action(admin: Client, action: str, *names: str) -> str:
    """Run an action on nodes, confirmed, and return the next page."""
    sent = {"action": action, "_selected_action": list(names)}
    return text(confirmed(admin, NODES, sent))


def test_admin_actions_set_the_desired_state_of_nodes(
    nodes: Callable[[], dict[str, str]], admin: Client
) -> None:
    ManagedNode.objects.update(status="running", running_generation=F("generation"))
    run_action(admin, "stop", "r1", "r2")
    assert [name for name, desired in nodes().items() if desired == DesiredState.STOPPED] == ["r1", "r2"]
    generation = ManagedNode.objects.get(node_id="r3").generation
    assert "Requested: restart r3." in run_action(admin, "restart", "r3")
    assert ManagedNode.objects.get(node_id="r3").generation > generation
    run_action(admin, "start", "r1")
    assert nodes()["r1"] == DesiredState.RUNNING


def test_the_list_of_nodes_names_a_full_disk(learner: RealLearner, admin: Client) -> None:
    assert "its disk is full" not in text(admin.get(NODES))
    ManagedNode.objects.filter(pk="r2").update(status="running", report={"state": "disk_full"})
    learner.gateway.down = frozenset({2})
    page = text(admin.get(NODES))
    said = re.findall(r'field-trouble">([^<]*)<', page)
    assert [line for line in said if line] == [
        "its disk is full; it resumes automatically when there is space"
    ]
    assert "<h1>Managed nodes</h1>" in page
    assert "its disk is full" in text(admin.get(f"{NODES}r2/change/"))


def states_of_nodes(page: str) -> dict[str, tuple[str, str]]:
    """Tone and words of each node's state on a page of the admin."""
    found = re.findall(r'<span class="pill (\w*)" data-node="([^"]*)">([^<]*)<', page)
    return {name: (tone, words) for tone, name, words in found}


def test_no_node_is_green_beside_a_dead_quorum(learner: RealLearner, admin: Client) -> None:
    """Two of four are gone, and the platform has not seen that r3's process ended."""
    ManagedNode.objects.update(status="running")
    assert set(states_of_nodes(text(admin.get(NODES))).values()) == {("ok", "Running")}
    learner.gateway.down = frozenset({3})
    assert states_of_nodes(text(admin.get(NODES)))["r3"] == ("warn", "Running, does not agree")
    learner.gateway.down = frozenset({2, 3})
    ManagedNode.objects.filter(pk="r2").update(status="error", error="It ended.")
    for address in (NODES, MEMBERS):
        page = text(admin.get(address))
        found = states_of_nodes(page)
        assert "No quorum: 2 of 4 reachable, 3 needed" in page
        assert found["r0"] == found["r1"] == found["r3"] == ("warn", "Running, no quorum")
        assert found["r2"] == ("bad", "Error")
    assert ("warn", "Running, no quorum") in states_of_nodes(text(admin.get(f"{NODES}r0/change/"))).values()


def test_the_learner_is_not_called_a_member(learner: RealLearner, admin: Client) -> None:
    ManagedNode.objects.update(status="running")
    page = text(admin.get(NODES))
    assert re.findall(r'field-part_of_cluster">([^<]*)<', page) == ["Member"] * 4 + ["–"]
    learner.gateway.quorum = False
    assert states_of_nodes(text(admin.get(NODES)))["learner"] == ("ok", "Running"), "it has no vote"


def test_an_impossible_action_is_reported(nodes: Callable[[], dict[str, str]], admin: Client) -> None:
    ManagedNode.objects.filter(node_id="r1").update(desired=DesiredState.STOPPED, status="stopped")
    assert "Failed: r1 is not running." in run_action(admin, "stop", "r1")
    ManagedNode.objects.filter(node_id="r1").update(desired=DesiredState.RUNNING, status="running")
    assert "Failed: r1 is already running." in run_action(admin, "start", "r1")


def test_a_new_key_has_what_its_team_has(admin: Client) -> None:
    limits = {"events": "fest", "lists": "vip, lunch", "products": "Day pass"}
    admin.post("/admin/validators/team/add/", {"name": "lounge", "rights": ["gate"]} | limits)
    team = Team.objects.get(name="lounge")
    sent = {"label": "l1", "team": str(team.pk), "expires_at_0": "2099-12-31", "expires_at_1": "12:00:00"}
    shown = re.search(r"dtvn_[\w-]{43}", text(admin.post("/admin/validators/apikey/add/", sent)))
    assert shown is not None
    key = find_api_key(shown.group())
    assert key is not None
    assert grant_of(key.team) == grant(["gate"], "fest", ["lunch", "vip"], ["Day pass"])
    assert key.expires_at == datetime(2099, 12, 31, 12, tzinfo=UTC)
    page = text(admin.get(f"/admin/validators/apikey/{key.pk}/change/"))
    assert "on the list lunch, on the list vip, tickets of Day pass" in page


def test_a_revoked_key_stays_listed(admin: Client) -> None:
    team = Team.objects.get(name="gate").pk
    sent = {"label": "old", "team": str(team), "expires_at_0": "", "expires_at_1": ""}
    response = admin.post("/admin/validators/apikey/add/", sent)
    plain = re.search(r"dtvn_[\w-]{43}", text(response))
    assert plain is not None
    revoke = {"action": "revoke", "_selected_action": [str(ApiKey.objects.get().pk)]}
    assert "Revoked: " in text(admin.post("/admin/validators/apikey/", revoke, follow=True))
    assert find_api_key(plain.group()) is None
    again = text(admin.post("/admin/validators/apikey/", revoke, follow=True))
    assert "Revoked: " not in again, "a second operator is told what the first one did"
    assert re.search(r"Not changed: .* was revoked at \d{4}-", again)
