"""The lists of users and groups are Django's own; their actions work on the ticked rows like all others."""

from __future__ import annotations

import pytest
from django.contrib import admin as admin_site
from django.contrib.auth.models import Group, User
from django.test import Client, RequestFactory

import dtvn_project.urls  # noqa: F401 - fills the admin
from tests.pages.test_admin_selected import VANISHED, act
from validators.dashboard.bulk_actions import BulkActions
from validators.models import PlatformAction

pytestmark = pytest.mark.django_db(databases=["default", "learner"])

USERS = "/admin/auth/user/"
GROUPS = "/admin/auth/group/"


def test_every_list_of_the_admin_that_has_actions_works_on_the_ticked_rows(rf: RequestFactory) -> None:
    request = rf.get(USERS)
    request.user = User.objects.create_superuser("operator", password="x")
    lists = [shown for shown in admin_site.site._registry.values() if shown.get_actions(request)]
    assert len(lists) >= 6
    without = [type(shown).__name__ for shown in lists if not isinstance(shown, BulkActions)]
    assert without == []


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


def test_a_group_that_the_search_no_longer_finds_is_deleted_too(admin: Client) -> None:
    group = Group.objects.create(name="gates")
    assert act(admin, f"{GROUPS}?q=desk", "delete_selected", str(group.pk), post="yes") == [
        "Successfully deleted 1 group."
    ]
    assert act(admin, GROUPS, "delete_selected", VANISHED, post="yes") == [
        "1 selected group no longer exists. Nothing changed."
    ]


def test_a_user_is_created_with_a_password_in_the_admin(admin: Client) -> None:
    passwords = {"password1": "a-long-Word-7", "password2": "a-long-Word-7"}
    made = admin.post(f"{USERS}add/", {"username": "grace", "usable_password": "true", **passwords})
    assert made.status_code == 302
    assert User.objects.get(username="grace").check_password("a-long-Word-7")
