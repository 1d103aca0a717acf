"""Roles of people: one table of what each may do, by API and in the admin. What is not listed is denied.

A role is a group of the same name. Its permissions in the admin are reset to the table whenever the database
is migrated, so also at each start; more is granted by further groups. A group named after a scope
(genesis.CAPABILITIES) grants that scope. Superusers may do everything, and only they manage users and keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from django.apps import AppConfig

from dtvn.protocol.genesis import CAPABILITIES
from validators.data_folder.routers import PLATFORM_ALIAS

AUDITED = frozenset(
    {
        "ledger.view_operationrecord",
        "ledger.view_consensusentry",
        "validators.view_managednode",
        "validators.view_memberevidence",
    }
)


NAMES_SEEN_WITH = frozenset({"operate", "gate", "admin"})
"""Scopes any one of which shows the names of guests, on pages and in the admission list: gates check them at
the door. Addresses and telephone numbers need the permission on holders."""
CODES_SEEN_WITH = frozenset({"operate", "admin"})
"""Scopes any one of which shows the codes of tickets as texts, in exports: a code opens the door."""


LIST, PRODUCT = "list:", "product:"
"""How groups begin that limit their members at gates: `list:vip` to the list vip, `product:VIP` to tickets of
this product. Several of a kind allow each of them."""


class Role(msgspec.Struct, frozen=True):
    """What a group grants."""

    scopes: frozenset[str]
    """Capabilities in the API and in actions of the admin; reading is always included."""
    permissions: frozenset[str]
    """Permissions of Django's admin: APP.CODENAME."""


ROLES = {
    "organiser": Role(
        frozenset({"issue", "operate", "gate"}),
        AUDITED | {"tickets.view_ticketholder"},
    ),
    "gate": Role(frozenset({"gate"}), frozenset()),
    "auditor": Role(
        frozenset(),
        AUDITED
        | {
            "validators.view_membershipchange",
            "validators.view_platformaction",
            "simulator.view_simulatorrun",
        },
    ),
}


def scopes_of(groups: Iterable[str]) -> frozenset[str] | None:
    """Scopes of a user in these groups; None if none of them is a role or named after a scope."""
    named = set(groups)
    roles = [ROLES[name].scopes for name in named & ROLES.keys()]
    plain = named & frozenset(CAPABILITIES)
    return with_implied(frozenset(plain).union(*roles)) if roles or plain else None


def limits_of(groups: Iterable[str], kind: str) -> frozenset[str]:
    """What the groups that begin with `kind` (LIST, PRODUCT) name; none: no limit."""
    return frozenset(name.removeprefix(kind) for name in groups if name.startswith(kind))


def with_implied(scopes: frozenset[str]) -> frozenset[str]:
    """These scopes, and `supervise` for who has `admin`, as in the log."""
    return scopes | {"supervise"} if "admin" in scopes else scopes


def reset_roles(app_config: AppConfig, using: str, **_: Any) -> None:
    """Receiver of post_migrate: gives the groups exactly their permissions on the models of one app."""
    if using != PLATFORM_ALIAS:
        return
    from django.contrib.auth.models import Group, Permission

    app = app_config.label
    table = {
        (name, code)
        for name, role in ROLES.items()
        for label, _, code in (each.partition(".") for each in role.permissions)
        if label == app
    }
    of_app = Permission.objects.using(using).filter(content_type__app_label=app)
    if table == set(of_app.filter(group__name__in=ROLES).values_list("group__name", "codename")):
        return
    for name in ROLES:
        group, _made = Group.objects.using(using).get_or_create(name=name)
        codes = [code for role, code in table if role == name]
        group.permissions.remove(*of_app.exclude(codename__in=codes).filter(group=group))
        group.permissions.add(*of_app.filter(codename__in=codes))
