"""Actions of the admin's lists apply to the ticked rows even if the list's filter no longer finds them."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from tests.pages.asking import confirmed
from tests.pages.learner import RealLearner
from tickets.models import TicketHolder
from validators.models import ApiKey, DesiredState, ManagedNode

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

HOLDERS = "/admin/tickets/ticketholder/"
NODES = "/admin/validators/managednode/"
KEYS = "/admin/validators/apikey/"
VANISHED = "999999999"


def act(admin: Client, address: str, action: str, *keys: str, **fields: str) -> list[str]:
    """Run an action on ticked rows of the list at `address`, confirmed; what the next page says."""
    sent = {"action": action, "_selected_action": list(keys), **fields}
    response: Any = confirmed(admin, address, sent)
    assert response.status_code == 200
    told = (re.sub(r"<[^>]+>", " ", str(message)) for message in response.context["messages"])
    return [" ".join(html.unescape(sentence).split()) for sentence in told]


def hold(**names: str) -> dict[str, TicketHolder]:
    """Holders of these names, by the ticket's id."""
    return {
        ticket: TicketHolder.objects.create(event="default", ticket=ticket, name=name, salt=b"s" * 32)
        for ticket, name in names.items()
    }


def erased() -> list[str]:
    return sorted(TicketHolder.objects.filter(erased_at__isnull=False).values_list("ticket", flat=True))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([VANISHED], "1 selected {} no longer exists. Nothing changed."),
        ([VANISHED, "0" + VANISHED, "888888888"], "2 selected {} no longer exist. Nothing changed."),
    ],
)
def test_missing_rows_are_reported_once(admin: Client, keys: list[str], said: str) -> None:
    hold(T1="Ada")
    names = TicketHolder._meta.verbose_name, TicketHolder._meta.verbose_name_plural
    assert act(admin, HOLDERS, "erase", *keys) == [said.format(names["exist." in said])]
    assert erased() == []


def test_select_all_applies_to_the_filtered_rows(admin: Client) -> None:
    made = hold(T1="Ada", T2="Bo", T3="Ada")
    told = act(admin, f"{HOLDERS}?q=Ada", "erase", str(made["T2"].pk), select_across="1")
    assert told[0].startswith("Holders erased: 2.")
    assert erased() == ["T1", "T3"]
    nothing = act(admin, f"{HOLDERS}?q=Grace", "erase", str(made["T2"].pk), select_across="1")
    assert nothing == ["The list is now empty. Nothing changed."]
    assert erased() == ["T1", "T3"]
    told = act(admin, f"{HOLDERS}?q=Grace", "erase", str(made["T2"].pk), select_across="0")
    assert told[0].startswith("Holders erased: 1.")


def test_no_selection_or_no_action_is_reported(admin: Client) -> None:
    made = hold(T1="Ada")
    assert act(admin, f"{HOLDERS}?q=Grace", "", str(made["T1"].pk)) == ["No action selected."]
    assert act(admin, HOLDERS, "erase", index="0")[0].startswith("Items must be selected")
    assert erased() == []


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
