"""The admin: reads the learner's rows by key, changes tickets through consensus only, tells each outcome."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connections
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dtvn.machine.kinds import KINDS
from tests.pages.asking import confirmed
from tests.pages.learner import RealLearner
from tickets.models import TicketHolder
from validators.ledger.models import ConsensusEntry, OperationRecord, Ticket
from validators.models import ApiKey, DesiredState, ManagedNode
from validators.services.api_keys import find_api_key

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

Operate = Callable[..., Any]
TICKETS = "/admin/ledger/ticket/"
NODES = "/admin/validators/managednode/"
MEMBERS = "/admin/validators/membershipchange/"
LOG = "/admin/ledger/operationrecord/"


def text(response: Any) -> str:
    assert response.status_code == 200
    return response.content.decode()


def listed(response: Any) -> list[str]:
    return re.findall(r"field-ticket_id[^>]*><a [^>]*>([^<]+)</a>", text(response))


def act(admin: Client, action: str, *ticket_ids: str, **fields: str) -> list[str]:
    """Run an action on tickets, confirmed, and return what the next page says, tag by tag."""
    keys = [str(ticket.pk) for ticket in Ticket.objects.filter(ticket_id__in=ticket_ids)]
    sent = {"action": action, "_selected_action": keys, **fields}
    page = text(confirmed(admin, TICKETS, sent))
    found = re.search(r'<ul class="messagelist">(.*?)</ul>\s*(?:<!--|<div|</div>)', page, re.DOTALL)
    assert found is not None
    plain = re.sub(r"<[^>]+>", "\n", found.group(1))
    return [html.unescape(line).strip() for line in plain.splitlines() if line.strip()]


def states() -> dict[str, str]:
    return dict(Ticket.objects.values_list("ticket_id", "state"))


# --- lists -----------------------------------------------------------------------------------------


def test_admin_lists_are_paged_by_key(learner: RealLearner, operate: Operate, admin: Client) -> None:
    operate(*(f"issue T-{number:03}" for number in range(150)))
    operate(*(f"issue U-{number:03}" for number in range(60)), event="other")
    seen: list[str] = []
    address = TICKETS
    while address:
        response = admin.get(address)
        seen += listed(response)
        following = re.search(r'<a href="([^"]+)" rel="next">', text(response))
        address = TICKETS + html.unescape(following.group(1)) if following else ""
    assert seen == [f"T-{number:03}" for number in range(150)] + [f"U-{number:03}" for number in range(60)]


@pytest.mark.parametrize(
    "address",
    [
        TICKETS,
        f"{TICKETS}?after=default/T-1",
        f"{TICKETS}?q=T-1",
        f"{TICKETS}?state=ISSUED",
        LOG,
        f"{LOG}?outcome=refused",
    ],
)
def test_no_admin_list_counts_or_scans_a_table(
    learner: RealLearner, operate: Operate, admin: Client, address: str
) -> None:
    """A million rows: each COUNT(*) is seconds, each OFFSET walks what it skips."""
    operate("issue T-1", "issue T-2", "validate T-1")
    with CaptureQueriesContext(connections["learner"]) as queries:
        text(admin.get(address))
    statements = [query["sql"].upper() for query in queries.captured_queries]
    assert statements
    assert not [sql for sql in statements if "COUNT(" in sql or "OFFSET" in sql]
    big = [sql for sql in statements if '"LEDGER_TICKET"' in sql or '"LEDGER_OPERATIONRECORD"' in sql]
    assert all("LIMIT" in sql for sql in big)


@pytest.mark.parametrize("after", ["default/T-100", "default/T-1499"])
def test_a_page_of_many_tickets_is_read_by_index(
    learner: RealLearner, operate: Operate, admin: Client, after: str
) -> None:
    with CaptureQueriesContext(connections["learner"]) as queries:
        text(admin.get(f"{TICKETS}?after={after}"))
    pages = [q["sql"] for q in queries.captured_queries if 'FROM "ledger_ticket"' in q["sql"]]
    with connections["learner"].cursor() as cursor:
        for sql in pages:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = " ".join(str(row[-1]) for row in cursor.fetchall())
            assert "USING INDEX" in plan
            assert "TEMP B-TREE" not in plan


def test_search_finds_ticket_ids_by_prefix_in_every_event(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue AB-1", "issue AB-2", "issue AC-1")
    operate("issue AB-3", event="other")
    assert listed(admin.get(f"{TICKETS}?q=AB")) == ["AB-1", "AB-2", "AB-3"]


def test_tickets_are_filtered_by_state_and_event(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1", "issue T-2", "validate T-2")
    operate("issue T-3", event="other")
    assert listed(admin.get(f"{TICKETS}?state=VALIDATED")) == ["T-2"]
    assert listed(admin.get(f"{TICKETS}?state=DISPUTED")) == []
    assert listed(admin.get(f"{TICKETS}?event=other")) == ["T-3"]
    operate("validate T-1", "dispute T-1", "dispute T-2", "uphold T-2")
    assert listed(admin.get(f"{TICKETS}?state=DISPUTED")) == ["T-1"]
    assert listed(admin.get(f"{TICKETS}?state=UPHELD")) == ["T-2"]


def test_a_malformed_ticket_key_redirects_to_the_list(learner: RealLearner, admin: Client) -> None:
    assert admin.get(f"{TICKETS}?after=a/b/c").status_code == 302
    assert admin.get(f"{LOG}?after=nonsense").status_code == 302


def test_the_log_shows_newest_first_with_outcomes(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1", "consume T-1")
    page = text(admin.get(LOG))
    assert page.index(">not validated<") < page.index(">issue<")
    assert ">not validated<" not in text(admin.get(f"{LOG}?outcome=applied"))
    assert len(re.findall("field-hash", text(admin.get("/admin/ledger/consensusentry/")))) == 2


def test_operations_of_every_kind_can_be_filtered(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1")
    page = text(admin.get(f"{LOG}?operation=cancel_lock"))
    assert all(f"?operation={kind}" in page for kind in KINDS)
    assert "T-1" not in page


def test_a_ticket_shows_its_history_with_refusals(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1", "validate T-1", "validate T-1", "admit T-1")
    TicketHolder.objects.create(event="default", ticket="T-1", name="Ada Lovelace", salt=b"s")
    page = text(admin.get(f"{TICKETS}{Ticket.objects.get().pk}/change/"))
    history = page[page.index("Entry node") :]
    assert [word in history for word in ("admit", "already validated", "validate", "issue")] == [True] * 4
    assert "Ada Lovelace" in page
    assert "north" in page


def test_the_log_says_how_a_dispute_was_resolved(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1", "validate T-1", "dispute T-1", "clear T-1", "dispute T-1", "uphold T-1")
    change = f"{TICKETS}{Ticket.objects.get().pk}/change/"
    for page in (text(admin.get(LOG)), text(admin.get(change)).partition("Entry node")[2]):
        assert re.findall(r">(clear|uphold|resolve)<", page) == ["uphold", "clear"]


@pytest.mark.parametrize("model", [Ticket, OperationRecord, ConsensusEntry])
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


# --- actions ---------------------------------------------------------------------------------------


def test_an_action_is_ordered_and_reports_each_outcome(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1", "issue T-2", "validate T-2")
    told = act(admin, "validate", "T-1", "T-2")
    assert told == [
        "1 validated:",
        "T-1",
        "validated, at sequence 3",
        "1 not validated:",
        "T-2",
        "The ticket is already validated, at sequence 3",
    ]
    record = OperationRecord.objects.filter(sequence=3).first()
    assert record is not None
    assert record.actor == "user:operator"


def test_the_list_after_an_action_shows_what_it_did(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1", "validate T-1", "issue T-2", "validate T-2")
    act(admin, "admit", "T-1")
    act(admin, "dispute", "T-2", reason="copied")
    assert states() == {"T-1": "CONSUMED", "T-2": "DISPUTED"}
    assert Ticket.objects.get(ticket_id="T-2").whole.note == "copied"
    act(admin, "clear", "T-2")
    assert states()["T-2"] == "VALIDATED"
    act(admin, "dispute", "T-2")
    act(admin, "uphold", "T-2")
    assert "final" in act(admin, "clear", "T-2")[-1]
    assert re.findall(r"pill state-[^>]*>(\w+)<", text(admin.get(TICKETS))) == ["CONSUMED", "UPHELD"]


def test_without_a_quorum_an_action_reports_it_and_changes_nothing(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1")
    learner.gateway.quorum = False
    told = act(admin, "validate", "T-1")
    assert told[0] == "1 not validated:"
    assert "No quorum: 0 of 4 reachable, 3 needed; nothing can be decided" in told[2]
    learner.gateway.quorum, learner.gateway.full = True, True
    assert act(admin, "validate", "T-1")[0].startswith("Nothing changed:")
    assert states() == {"T-1": "ISSUED"}


def test_people_see_only_the_actions_they_may_take(
    learner: RealLearner, operate: Operate, client: Client
) -> None:
    operate("issue T-1", "validate T-1")
    person = User.objects.create_user("gatekeeper", password="x", is_staff=True)
    person.groups.add(Group.objects.get(name="gate"))
    person.user_permissions.add(
        Permission.objects.get(codename="view_ticket", content_type__app_label="ledger")
    )
    client.force_login(person)
    page = text(client.get(TICKETS))
    assert 'value="admit"' in page
    assert 'value="dispute"' not in page
    key = Ticket.objects.get().pk
    client.post(TICKETS, {"action": "dispute", "_selected_action": [str(key)]})
    assert states() == {"T-1": "VALIDATED"}


def test_html_in_names_is_inert(learner: RealLearner, operate: Operate, admin: Client) -> None:
    """Ticket ids cannot hold markup, but reasons, holders and actors can."""
    operate("issue T-1", "validate T-1")
    act(admin, "dispute", "T-1", reason="<script>alert(1)</script>")
    TicketHolder.objects.create(event="default", ticket="T-1", name="<img src=x onerror=alert(2)>", salt=b"s")
    page = text(admin.get(f"{TICKETS}{Ticket.objects.get().pk}/change/"))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<img src=x" not in text(admin.get("/admin/tickets/ticketholder/"))


def test_erasing_a_holder_leaves_no_person_and_no_salt(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1")
    TicketHolder.objects.create(
        event="default", ticket="T-1", name="Ada", email="a@example.org", salt=b"s" * 32
    )
    assert act(admin, "erase_holder", "T-1")[0].startswith("Holders erased: 1.")
    holder = TicketHolder.objects.get()
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


def test_a_new_key_is_shown_once_and_kept_as_a_hash(admin: Client) -> None:
    sent = {"label": "north gate", "scopes": ["gate"], "expires_at_0": "", "expires_at_1": ""}
    asked = text(admin.get("/admin/validators/apikey/add/"))
    assert '"_save"' in asked
    assert "_addanother" not in asked, "whatever is pressed, the next page shows the key"
    response = admin.post("/admin/validators/apikey/add/", sent)
    shown = re.search(r"dtvn_[\w-]{43}", text(response))
    assert shown is not None
    assert "no-store" in response.headers["Cache-Control"]
    key = find_api_key(shown.group())
    assert key is not None
    assert (key.label, key.scopes) == ("north gate", ["gate"])
    assert shown.group() not in text(admin.get("/admin/validators/apikey/"))
    assert ApiKey.objects.count() == 1


def test_a_revoked_key_stays_listed(admin: Client) -> None:
    sent = {"label": "old", "expires_at_0": "", "expires_at_1": ""}
    response = admin.post("/admin/validators/apikey/add/", sent)
    plain = re.search(r"dtvn_[\w-]{43}", text(response))
    assert plain is not None
    revoke = {"action": "revoke", "_selected_action": [str(ApiKey.objects.get().pk)]}
    assert "Revoked: " in text(admin.post("/admin/validators/apikey/", revoke, follow=True))
    assert find_api_key(plain.group()) is None
    again = text(admin.post("/admin/validators/apikey/", revoke, follow=True))
    assert "Revoked: " not in again, "a second operator is told what the first one did"
    assert re.search(r"Not changed: .* was revoked at \d{4}-", again)


def test_the_index_says_where_to_begin(admin: Client) -> None:
    page = text(admin.get("/admin/"))
    for word in ("Live", "Tickets", "Nodes", "Log", "API keys", "Holders"):
        assert f"<b>{word}</b>" in page
