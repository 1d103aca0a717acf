"""The lists of users and teams are Django's own; their actions work on the ticked rows like all others."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

import dtvn_project.urls  # noqa: F401 - fills the admin
from tests.pages.test_admin_selected import VANISHED, act
from validators.models import PlatformAction, Team

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

USERS = "/admin/auth/user/"
TEAMS = "/admin/validators/team/"


def test_a_user_that_left_the_filter_is_deleted_too(admin: Client) -> None:
    users = [User.objects.create_user(name, is_active=name != "ada") for name in ("ada", "bob")]
    told = act(
        admin,
        f"{USERS}?is_active__exact=1",
        "delete_selected",
        *(str(user.pk) for user in users),
        VANISHED,
        post="yes",
    )
    assert told == ["Successfully deleted 2 users.", "1 selected user no longer exists."]
    assert list(User.objects.values_list("username", flat=True)) == ["operator"]
    deleted = PlatformAction.objects.filter(action="delete user").order_by("target")
    assert list(deleted.values_list("target", flat=True)) == ["ada", "bob"], "each by its name"


def test_a_team_that_the_search_no_longer_finds_is_deleted_too(admin: Client) -> None:
    group = Team.objects.create(name="gates")
    assert act(admin, f"{TEAMS}?q=desk", "delete_selected", str(group.pk), post="yes") == [
        "Successfully deleted 1 team."
    ]
    assert act(admin, TEAMS, "delete_selected", VANISHED, post="yes") == [
        "1 selected team no longer exists. Nothing changed."
    ]


@pytest.mark.parametrize("more", [{}, {"_continue": "yes"}])
def test_a_form_that_changes_nothing_says_so_and_is_not_recorded(admin: Client, more: dict[str, str]) -> None:
    team = Team.objects.get(name="gate")
    sent = {"name": "gate", "all_events": "on", "rights": ["gate"]} | more
    page = admin.post(f"{TEAMS}{team.pk}/change/", sent, follow=True)
    assert "Nothing was changed: gate is as it was." in page.content.decode()
    assert not PlatformAction.objects.filter(action="change team").exists()
    page = admin.post(f"{TEAMS}{team.pk}/change/", sent | {"name": "doors"}, follow=True)
    assert "was changed successfully" in page.content.decode()
    assert PlatformAction.objects.get(action="change team").target == "doors"
