"""The migration to teams: each person and key can do afterwards what they could do before, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from dtvn.api.rights import Grant
from validators.models import ApiKey
from validators.services import teams

BEFORE = [("validators", "0017_steward_links")]
pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE: dict[str, tuple[list[str], set[str], tuple[set[str], set[str]]]] = {
    "olga": (["organiser"], {"issue", "operate", "gate", "addresses", "log"}, (set(), set())),
    "stella": (["gate", "supervise", "list:vip", "product:VIP"], {"gate", "supervise"}, ({"vip"}, {"VIP"})),
    "ida": (["auditor", "issue"], {"log", "audit", "issue"}, (set(), set())),
}
"""User -> its groups, its rights afterwards, and the lists and products that it lets in on."""
KEYS: dict[str, tuple[dict[str, Any], Grant]] = {
    "all": ({"scopes": ["gate", "operate"]}, Grant(frozenset({"gate", "operate", "addresses"}))),
    "reads": ({"scopes": []}, Grant(frozenset())),
    "steward": (
        {"scopes": ["gate"], "event": "fest", "lists": ["vip"], "products": ["VIP"], "made_by": "user:olga"},
        Grant(frozenset({"gate"}), frozenset({"fest"}), frozenset({"vip"}), frozenset({"VIP"})),
    ),
}


@pytest.fixture
def before() -> Iterator[Any]:
    """The tables of 0017; all migrations again at the end."""
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE)
    yield executor.loader.project_state(BEFORE).apps
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def test_people_and_keys_keep_what_they_could_do(before: Any) -> None:
    from django.contrib.auth.models import Group, User

    for name, (groups, _rights, _limits) in PEOPLE.items():
        user = User.objects.create_user(name)
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
    User.objects.create_user("nobody").groups.add(Group.objects.create(name="readers of reports"))
    key = before.get_model("validators", "ApiKey")
    for name, (fields, _grant) in KEYS.items():
        key.objects.create(label=name, prefix="dtvn_", digest=name, **fields)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    for name, (_groups, rights, limits) in PEOPLE.items():
        (grant,) = teams.rights_of(User.objects.get(username=name)).grants
        assert (grant.rights, grant.events) == (rights, None), name
        assert (grant.lists, grant.products) == limits, name
    assert not teams.rights_of(User.objects.get(username="nobody")).grants
    assert list(Group.objects.values_list("name", flat=True)) == ["readers of reports"]
    assert {one.label: teams.grant_of(one.team) for one in ApiKey.objects.all()} == {
        name: grant for name, (_fields, grant) in KEYS.items()
    }
