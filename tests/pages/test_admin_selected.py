"""Actions of the admin's lists apply to the ticked rows even if the list's filter no longer finds them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.pages.asking import confirmed
from tests.pages.learner import RealLearner
from tickets.models import TicketHolder
from validators.ledger.models import OperationRecord, Ticket
from validators.models import ApiKey, DesiredState, ManagedNode

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

Operate = Callable[..., Any]
TICKETS = "/admin/ledger/ticket/"
HOLDERS = "/admin/tickets/ticketholder/"
NODES = "/admin/validators/managednode/"
KEYS = "/admin/validators/apikey/"
PAGE = "/dashboard/tickets"
VANISHED = "999999999"


def act(admin: Client, address: str, action: str, *keys: str, **fields: str) -> list[str]:
    """Run an action on ticked rows of the list at `address`, confirmed; what the next page says."""
    sent = {"action": action, "_selected_action": list(keys), **fields}
    response: Any = confirmed(admin, address, sent)
    assert response.status_code == 200
    told = (re.sub(r"<[^>]+>", " ", str(message)) for message in response.context["messages"])
    return [" ".join(html.unescape(sentence).split()) for sentence in told]


def key(ticket_id: str) -> str:
    return str(Ticket.objects.get(ticket_id=ticket_id).pk)


def states() -> dict[str, str]:
    return dict(Ticket.objects.values_list("ticket_id", "state"))


@pytest.mark.parametrize("action", ["validate", "admit", "dispute", "clear", "uphold"])
def test_an_action_on_a_ticket_that_left_the_filter_is_answered(
    learner: RealLearner, operate: Operate, admin: Client, action: str
) -> None:
    operate("issue T-1", "validate T-1", "consume T-1", "dispute T-1", "uphold T-1", "issue T-2")
    before = states()["T-1"]
    told = act(admin, f"{TICKETS}?state=ISSUED", action, key("T-1"))
    assert len(told) == 1
    assert told[0].startswith("1 not ")
    assert re.search(r": T-1 .+, at sequence 3$", told[0])
    assert states() == {"T-1": before, "T-2": "ISSUED"}


def test_every_ticked_ticket_gets_an_outcome(learner: RealLearner, operate: Operate, admin: Client) -> None:
    operate("issue T-1", "issue T-2", "issue T-3")
    keys = [key("T-1"), key("T-2"), key("T-3")]
    operate("validate T-2")
    told = act(admin, f"{TICKETS}?state=ISSUED", "validate", *keys)
    assert told == [
        "2 validated: T-1 validated, at sequence 4 T-3 validated, at sequence 4",
        "1 not validated: T-2 The ticket is already validated, at sequence 4",
    ]
    assert OperationRecord.objects.filter(sequence=4).count() == 3


@pytest.mark.parametrize("query", ["?q=U", "?event=other", "?state=DISPUTED"])
def test_an_action_on_a_ticket_outside_the_lists_query_still_applies(
    learner: RealLearner, operate: Operate, admin: Client, query: str
) -> None:
    operate("issue T-1")
    assert act(admin, TICKETS + query, "validate", key("T-1")) == [
        "1 validated: T-1 validated, at sequence 3"
    ]


@pytest.mark.parametrize("action", ["validate", "erase_holder"])
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([VANISHED], "1 selected ticket no longer exists. Nothing changed."),
        (
            [VANISHED, "0" + VANISHED, "888888888"],
            "2 selected tickets no longer exist. Nothing changed.",
        ),
    ],
)
def test_missing_tickets_are_reported_once(
    learner: RealLearner, operate: Operate, admin: Client, action: str, keys: list[str], said: str
) -> None:
    operate("issue T-1")
    assert act(admin, TICKETS, action, *keys) == [said]
    assert states() == {"T-1": "ISSUED"}


def test_an_action_applies_to_existing_tickets_beside_missing_ones(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1")
    assert act(admin, TICKETS, "validate", VANISHED, key("T-1")) == [
        "1 validated: T-1 validated, at sequence 3",
        "1 selected ticket no longer exists.",
    ]


def test_select_all_applies_to_the_filtered_rows(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate("issue T-1", "issue T-2", "validate T-2", "issue T-3")
    filtered, one = f"{TICKETS}?state=ISSUED", key("T-2")
    told = act(admin, filtered, "dispute", one, select_across="1")
    assert len(told) == 1
    assert "T-1" in told[0]
    assert "T-3" in told[0]
    assert "T-2" not in told[0]
    nothing = act(admin, f"{TICKETS}?state=CONSUMED", "dispute", one, select_across="1")
    assert nothing == ["The list is now empty. Nothing changed."]
    assert states()["T-2"] == "VALIDATED"
    assert act(admin, filtered, "dispute", one, select_across="0")[0].startswith("1 disputed: T-2")


def test_an_act_on_many_tickets_goes_to_the_tickets_page(
    learner: RealLearner, operate: Operate, admin: Client
) -> None:
    operate(*(f"issue T-{number:03}" for number in range(51)), "issue U-1")
    sent = {"action": "dispute", "_selected_action": [key("U-1")], "select_across": "1", "reason": "stolen"}
    page = admin.post(f"{TICKETS}?q=T-", sent).content.decode()
    handed = json.loads(re.findall(r'<script id="handed"[^>]*>(.*?)</script>', page)[0])
    expected = [{"event": "default", "id": f"T-{number:03}"} for number in range(51)]
    assert handed == {"act": "dispute", "reason": "stolen", "tickets": expected, "page": PAGE}
    assert 'data-at="bulk-progress"' in page
    assert set(states().values()) == {"ISSUED"}


def test_no_selection_or_no_action_is_reported(learner: RealLearner, operate: Operate, admin: Client) -> None:
    operate("issue T-1")
    assert act(admin, f"{TICKETS}?state=CONSUMED", "", key("T-1")) == ["No action selected."]
    assert act(admin, TICKETS, "validate", index="0")[0].startswith("Items must be selected")
    assert states() == {"T-1": "ISSUED"}


def test_an_action_on_a_holder_erased_meanwhile_still_applies(admin: Client) -> None:
    holder = TicketHolder.objects.create(event="default", ticket="T-1", name="Ada", salt=b"s" * 32)
    told = act(admin, f"{HOLDERS}?q=Grace", "erase", str(holder.pk), VANISHED)
    assert told[0].startswith("Holders erased: 1.")
    assert told[1].endswith("no longer exists.")
    assert len(told) == 2


def test_an_action_on_a_node_that_left_the_filter_still_applies(learner: RealLearner, admin: Client) -> None:
    ManagedNode.objects.update(status="running")
    ManagedNode.objects.filter(pk="r1").update(status="error")
    told = act(admin, f"{NODES}?status__exact=error", "stop", "r1", "r0", "r9")
    assert [sentence.partition(". Its")[0] for sentence in told] == [
        "Requested: stop r0",
        "Requested: stop r1",
        "1 selected managed node no longer exists.",
    ]
    assert ManagedNode.objects.get(pk="r0").desired == DesiredState.STOPPED


def test_missing_nodes_and_keys_are_reported(learner: RealLearner, admin: Client) -> None:
    told = act(admin, f"{NODES}?role__exact=validator", "stop", "r9")
    assert told == ["1 selected managed node no longer exists. Nothing changed."]
    said = act(admin, KEYS, "revoke", VANISHED)
    assert said == [f"1 selected {ApiKey._meta.verbose_name} no longer exists. Nothing changed."]


@pytest.mark.parametrize("key", ["\x00", "r0\x00", "", "x" * 200])
def test_an_invalid_node_key_cancels_the_whole_stop_action(
    learner: RealLearner, admin: Client, key: str
) -> None:
    ManagedNode.objects.update(status="running", desired=DesiredState.RUNNING)
    told = act(admin, NODES, "stop", "r1", key)
    assert len(told) == 1
    assert told[0].startswith("Nothing changed: ")
    assert not ManagedNode.objects.filter(desired=DesiredState.STOPPED).exists()
