"""Platform actions are recorded beside the ordered log, and read-only in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.test import Client, RequestFactory
from django.views.debug import SafeExceptionReporterFilter

from tests.api.conftest import Api, read
from tests.pages.learner import RealLearner
from tests.team_keys import store_key
from validators.dashboard.accounts import change_own_password
from validators.models import ApiKey, PlatformAction, Team
from validators.rest import keys
from validators.services import audit
from validators.services.errors import NodeRunning

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

KEY = "dtvn_key_of_the_audit_suite"
LIST = "/admin/validators/platformaction/"


@pytest.fixture
def api(learner: RealLearner) -> Api:
    keys.forget()
    store_key(KEY, label="audit")
    return Api(KEY)


def recorded() -> list[tuple[str, str, str, str]]:
    rows = PlatformAction.objects.exclude(action="login").order_by("pk")
    return list(rows.values_list("actor", "action", "target", "outcome"))


def test_a_control_character_in_a_principal_name_is_refused(api: Api) -> None:
    refused = api.call("DELETE", "principals/%00")
    assert refused.status_code == 400
    assert read(refused)["error"] == "name must not contain control characters"


def test_no_text_makes_the_record_of_an_action_fail(api: Api) -> None:
    audit.record("user:a\x00", "b\x00", "c\x00" * 200, "d\x00", "e\ud800")
    assert recorded() == [("user:a?", "b?", "c?" * 128, "d?")]


@pytest.mark.parametrize(
    ("error", "outcome"), [(NodeRunning("r0"), "node_running"), (RuntimeError("a bug"), "failed")]
)
def test_an_action_that_broke_off_has_its_outcome(error: Exception, outcome: str) -> None:
    """One without any is taken for one whose process ended."""
    with pytest.raises(type(error)), audit.recorded("user:a", "start node", "r0"):
        raise error
    assert recorded() == [("user:a", "start node", "r0", outcome)]


def test_an_outcome_that_cannot_be_written_hinders_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The action is done, and the log has its outcome."""

    def broken(*_: Any, **__: Any) -> None:
        raise DatabaseError("disk full")

    row = audit.record("user:a", "start node", "r0")
    with monkeypatch.context() as full:
        full.setattr(PlatformAction.objects, "filter", broken)
        audit.finish(row, "ok")
    assert "ok; not written: disk full" in caplog.text
    assert recorded() == [("user:a", "start node", "r0", "")]


def test_keys_users_and_nodes_changed_in_the_admin_are_recorded(learner: RealLearner, admin: Client) -> None:
    team = Team.objects.get(name="gate").pk
    admin.post("/admin/validators/apikey/add/", {"label": "gate 3", "team": str(team)})
    key = ApiKey.objects.get()
    admin.post("/admin/validators/apikey/", {"action": "revoke", "_selected_action": [str(key.pk)]})
    passwords = {"password1": "a-long-Word-7", "password2": "a-long-Word-7"}
    admin.post("/admin/auth/user/add/", {"username": "grace", "usable_password": "true", **passwords})
    restart = {"action": "restart", "_selected_action": ["r0"]}
    nodes = "/admin/validators/managednode/"
    told = admin.post(nodes, restart).context["consequence"]  # is asked, and does not answer
    before = recorded()
    admin.post(nodes, restart | {"confirmed": "yes", "told": told})
    assert len(recorded()) == len(before) + 1
    admin.post("/admin/validators/managednode/", {"action": "explode", "_selected_action": ["r0"]})
    assert recorded() == [
        ("user:operator", "add API key", str(key), "ok"),
        ("user:operator", "revoke API keys", f"1: {key.pk}", "ok"),
        ("user:operator", "add user", "grace", "ok"),
        ("user:operator", "restart managed nodes", "1: r0", "ok"),
    ]


def test_a_user_s_change_of_the_own_password_is_recorded(admin: Client) -> None:
    page, word = "/admin/password_change/", "a-long-Word-7"
    admin.get(page)
    for old in ("wrong", "x"):
        admin.post(page, {"old_password": old, "new_password1": word, "new_password2": word})
    assert User.objects.get().check_password(word)
    assert recorded() == [
        ("user:operator", "change own password", "", "refused"),
        ("user:operator", "change own password", "", "ok"),
    ]


def test_a_failed_change_of_the_own_password_is_reported_without_it(
    rf: RequestFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise DatabaseError("disk full")

    request = rf.post("/admin/password_change/", {"old_password": "x", "new_password1": "a-long-Word-7"})
    request.user = User.objects.create_superuser("operator", password="x")
    monkeypatch.setattr(PlatformAction.objects, "create", broken)
    with pytest.raises(DatabaseError):
        change_own_password(request)
    shown = SafeExceptionReporterFilter().get_post_parameters(request)
    assert {*shown.values()} == {SafeExceptionReporterFilter.cleansed_substitute}


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"events": "no such event"}, "is no short name"),
        ({}, "Name the events, or tick all events."),
        ({"events": "fest", "all_events": "on"}, "Leave it empty for all events."),
        ({"events": "fest", "rights": ["admin"]}, "Only a team for all events may have admin."),
    ],
)
def test_a_team_whose_reach_is_not_clear_is_refused(
    learner: RealLearner, admin: Client, sent: dict[str, Any], why: str
) -> None:
    refused = admin.post("/admin/validators/team/add/", {"name": "x"} | sent)
    assert why in refused.content.decode()
    assert not Team.objects.filter(name="x").exists()


def test_the_list_is_read_only(admin: Client) -> None:
    row = audit.record("user:ada", "<b>bold</b>", "target", "ok", "192.0.2.1")
    audit.record("key:3", "other")
    page = admin.get(LIST).content.decode()
    assert "&lt;b&gt;bold" in page
    found = admin.get(f"{LIST}?q=key:").content.decode()
    assert "other" in found
    assert "192.0.2.1" not in found
    for address in (f"{LIST}add/", f"{LIST}{row.pk}/delete/", f"{LIST}{row.pk}/change/"):
        assert admin.post(address, {"post": "yes"}).status_code == 403
    assert PlatformAction.objects.filter(pk=row.pk).exists()


def test_rows_of_unknown_callers_are_bounded_and_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "UNKNOWN_MAX", 5)
    monkeypatch.setattr(audit, "PRUNE_EVERY", 1)
    audit.record("user:ada", "login")
    for _ in range(20):
        audit.record("", "login")
    assert PlatformAction.objects.filter(actor="").count() == 5
    assert PlatformAction.objects.filter(actor="user:ada").count() == 1
