"""Tells the admin as its visitors read it: the log, nodes, keys, accounts, members, principals, locks and
platform actions, with their searches, filters, forms, wrong entries, confirmations and messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client

from dtvn.node.keys import peer_id
from tests.api.telling import Story, beside, clock  # noqa: F401 - a fixture
from tests.golden import Compare
from tests.host.support import key_pair
from tests.pages.learner import RealLearner
from tests.pages.visiting import Visitor
from tests.support.clock import SetClock
from tests.team_keys import store_key
from validators.models import ManagedNode, NodeStatus, Team

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.django_db(databases=["default", "learner"])]

Operate = Callable[..., Any]
LOG = "/admin/ledger/operationrecord/"
NODES = "/admin/validators/managednode/"
KEYS = "/admin/validators/apikey/"
USERS = "/admin/auth/user/"
MEMBERS = "/admin/validators/membershipchange/"
PRINCIPALS = f"{MEMBERS}principals/"
NEW = {"team": "1", "expires_at_0": "", "expires_at_1": ""}


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def visitor(learner: RealLearner, story: Story) -> Visitor:
    client = Client()
    client.force_login(User.objects.create_superuser("operator", password="x"))
    return Visitor(story, client)


def test_what_the_log_tells(
    golden: Compare,
    visitor: Visitor,
    story: Story,
    operate: Operate,
    clock: SetClock,  # noqa: F811
) -> None:
    operate("issue T-1", "issue T-2 nonce", "issue U-1")
    clock.forward(61)
    operate("validate T-1", "validate T-1", "dispute T-1")
    clock.forward(3600)
    operate("uphold T-1", "consume T-1", "seed", event="fest")
    operate("enlist")
    for query in (
        "",
        "?outcome=refused",
        "?operation=validate",
        "?operation=validate&outcome=refused",
        "?q=T-",
        "?q=zz",
        "?after=98304",
        "?wrong=1",
    ):
        visitor.get(LOG + query)
    visitor.get(f"{LOG}98304/change/")
    visitor.get(f"{LOG}1/change/")
    visitor.get("/admin/ledger/consensusentry/")
    visitor.get("/admin/ledger/consensusentry/3/change/")
    visitor.get(f"{LOG}add/")
    visitor.get("/admin/")
    golden(beside(__file__, "admin_log"), str(story))


def test_what_nodes_in_the_admin_tell(golden: Compare, visitor: Visitor, story: Story) -> None:
    ManagedNode.objects.update(status=NodeStatus.RUNNING, running_generation=F("generation"), pid=4711)
    ManagedNode.objects.filter(pk="r1").update(
        status=NodeStatus.ERROR, error="its port is in use", restarts=3, report={"view": 2, "sequence": 17}
    )
    visitor.get(NODES)
    visitor.get(f"{NODES}?status=error")
    visitor.get(f"{NODES}?role=learner")
    visitor.get(f"{NODES}r1/change/")
    visitor.act(NODES, "stop", "r0")
    visitor.act(NODES, "stop", "r1", "r2", "learner")
    visitor.act(NODES, "restart", "r3")
    visitor.act(NODES, "start", "r0", "r3")
    visitor.act(NODES, "start")
    visitor.act(NODES, "fly", "r0")
    visitor.post(NODES, {"action": "stop", "_selected_action": "r0", "confirmed": "yes", "told": "otherwise"})
    visitor.get(NODES)
    golden(beside(__file__, "admin_nodes"), str(story))


def test_what_keys_in_the_admin_tell(
    golden: Compare,
    visitor: Visitor,
    story: Story,
    clock: SetClock,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "validators.dashboard.api_keys.generate_api_key", lambda: "dtvn_KEY_THAT_IS_SHOWN_ONCE"
    )
    visitor.get(KEYS)
    visitor.get(f"{KEYS}add/")
    visitor.post(f"{KEYS}add/", NEW | {"label": "north gate", "team": str(Team.objects.get(name="gate").pk)})
    visitor.post(f"{KEYS}add/", NEW | {"label": ""})
    visitor.post(f"{KEYS}add/", NEW | {"label": "x", "team": "99"})
    visitor.post(f"{KEYS}add/", NEW | {"label": "x", "expires_at_0": "2026-13-01", "expires_at_1": "25:00"})
    clock.forward(100)
    store_key("dtvn_second", label="second", scopes=[], event="fest", expires_at=clock.moment())
    visitor.get(KEYS)
    clock.forward(100)
    visitor.act(KEYS, "revoke", 1, 2)
    clock.forward(100)
    visitor.act(KEYS, "revoke", 1)
    visitor.get(f"{KEYS}1/change/")
    visitor.get(f"{KEYS}2/change/")
    visitor.get(f"{KEYS}9/change/")
    visitor.post(f"{KEYS}1/delete/", {"post": "yes"})
    golden(beside(__file__, "admin_keys"), str(story))


def test_what_members_and_principals_in_the_admin_tell(
    golden: Compare, visitor: Visitor, story: Story
) -> None:
    key = peer_id(key_pair("gate-1")[0])
    visitor.get(MEMBERS)
    for kind in ("add", "remove", "replace", "rotate", "parameters", "fly"):
        visitor.get(f"{MEMBERS}ask/{kind}/")
    visitor.get(f"{MEMBERS}ask/remove/?node_id=r1")
    visitor.post(f"{MEMBERS}ask/remove/", {"node_id": "r1", "nonce": "n-1"})
    visitor.post(f"{MEMBERS}ask/remove/", {"node_id": "r1", "nonce": "n-1", "allow_small": "on"})
    visitor.post(f"{MEMBERS}ask/remove/", {"node_id": "r9", "nonce": "n-2"})
    visitor.post(f"{MEMBERS}ask/add/", {"node_id": "a b", "nonce": "n-3"})
    visitor.post(f"{MEMBERS}ask/parameters/", {"view_timeout": "900000", "nonce": "n-4"})
    visitor.post(f"{MEMBERS}ask/parameters/", {"view_timeout": "x", "nonce": "n-4"})
    visitor.get(PRINCIPALS)
    new = {
        "verb": "add",
        "name": "gate-1",
        "peer_id": key,
        "event": "fest",
        "capabilities": ["gate", "issue"],
    }
    visitor.post(PRINCIPALS, new | {"nonce": "p-1"})
    visitor.get(PRINCIPALS)
    visitor.post(PRINCIPALS, new | {"nonce": "p-2"})
    visitor.post(PRINCIPALS, new | {"name": "", "event": ""})
    visitor.post(
        PRINCIPALS, {"verb": "limit", "name": "gate-1", "grants": "fest:gate *:operate", "nonce": "p-3"}
    )
    visitor.post(PRINCIPALS, {"verb": "limit", "name": "gate-1", "grants": "fly", "nonce": "p-4"})
    visitor.post(PRINCIPALS, {"verb": "rotate", "name": "gate-1", "peer_id": peer_id(key_pair("later")[0])})
    visitor.post(PRINCIPALS, {"verb": "rotate", "name": "gate-1"})
    visitor.get(PRINCIPALS)
    visitor.post(PRINCIPALS, {"verb": "revoke", "name": "gate-1"})
    visitor.post(PRINCIPALS, {"verb": "revoke", "name": "gateway"})
    visitor.post(PRINCIPALS, {"verb": "fly", "name": "gate-1"})
    visitor.get(PRINCIPALS)
    golden(beside(__file__, "admin_members"), str(story))


def test_what_accounts_actions_and_locks_tell(
    golden: Compare,
    visitor: Visitor,
    story: Story,
    clock: SetClock,  # noqa: F811
) -> None:
    visitor.get(USERS)
    visitor.post(f"{USERS}add/", {"username": "ada", "password1": "short", "password2": "other"})
    secret = "correct horse battery"
    visitor.post(
        f"{USERS}add/",
        {"username": "ada", "password1": secret, "password2": secret, "usable_password": "true"},
    )
    User.objects.update(date_joined=clock.moment())
    team = Team.objects.get(name="gate")
    visitor.get(f"{USERS}2/change/")
    visitor.post(f"{USERS}2/change/", {"username": "ada", "is_active": "on", "teams": [team.pk]})
    visitor.get(USERS)
    visitor.get("/admin/validators/team/")
    visitor.get(f"/admin/validators/team/{team.pk}/change/")
    visitor.get("/admin/validators/platformaction/")
    visitor.get("/admin/validators/platformaction/?q=user:op")
    visitor.get("/admin/validators/platformaction/?q=key")
    visitor.get(f"{LOG}locks/")
    visitor.get(f"{LOG}locks/?after=zz")
    visitor.get("/admin/validators/memberevidence/")
    visitor.get("/admin/validators/memberevidence/1/file/")
    visitor.get("/admin/password_change/")
    visitor.get("/admin/nowhere/")
    golden(beside(__file__, "admin_accounts"), str(story))
