"""API keys and people with rights of their own, each through a team made for them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.contrib.auth.models import User

from dtvn.api.rights import Grant
from validators.models import ApiKey
from validators.services import api_keys, teams


def grant(
    rights: Collection[str] = tuple(teams.RIGHTS),
    event: str = "",
    lists: Collection[str] = (),
    products: Collection[str] = (),
) -> Grant:
    """These rights at one event; "": at all."""
    events = frozenset({event}) if event else None
    return Grant(frozenset(rights), events, frozenset(lists), frozenset(products))


def store_key(
    plain: str,
    *,
    label: str,
    scopes: Collection[str] = tuple(teams.RIGHTS),
    event: str = "",
    lists: Collection[str] = (),
    products: Collection[str] = (),
    expires_at: datetime | None = None,
    made_by: str = "",
) -> ApiKey:
    """An API key of a team with these rights."""
    team = teams.team_with(grant(scopes, event, lists, products), f"team of {label}")
    return api_keys.store_api_key(plain, label=label, team=team, expires_at=expires_at, made_by=made_by)


def join(user: User, *names: str, event: str = "") -> User:
    """Put a user into a team with the rights of these standard teams, or of these names; `list:SLUG` and
    `product:NAME` limit it."""
    rights = {right for name in names for right in teams.STANDARD.get(name, {name}) if right in teams.RIGHTS}
    lists, products = (
        [name.removeprefix(kind) for name in names if name.startswith(kind)] for kind in ("list:", "product:")
    )
    if rights or teams.STANDARD.keys() & set(names):
        teams.team_with(grant(rights, event, lists, products), ", ".join(names)).members.add(user)
    return user
