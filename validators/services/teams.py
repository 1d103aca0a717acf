"""Teams: what their people and API keys may do, and at which events.

A team is for all events, or for those that it names; it has rights there, and may be limited to lists and
products at gates. A person has the rights of all teams that he or she is in, a key those of its team, and
superusers all. What is not granted is denied. Only superusers make teams for all events; who may change an
event makes teams for it, with rights that he or she has there.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import User

from dtvn.api.rights import Grant, Rights
from validators.data_folder.routers import PLATFORM_ALIAS
from validators.models import Team

RIGHTS = {
    "issue": "create events and issue, import and replace tickets",
    "operate": "block, change and admit tickets by name",
    "gate": "scan at gates",
    "supervise": "undo entries and let in against the rules",
    "addresses": "see e-mail addresses and telephone numbers of guests",
    "log": "read the log in the admin",
    "record": "have runs of agents judged",
    "lock": "hold locks",
    "audit": "read what was done with the platform",
    "admin": "change nodes, members and principals",
}
"""Right -> what it allows, in the order in which pages offer them. Reading is always included."""
PLATFORM_WIDE = frozenset({"record", "audit", "admin"})
"""Rights that are of no event: only a team for all events has them."""
STANDARD = {
    "organiser": frozenset({"issue", "operate", "gate", "addresses", "log"}),
    "gate": frozenset({"gate"}),
    "auditor": frozenset({"log", "audit"}),
}
"""Teams that each platform begins with, for all events -> their rights."""
NAMES_SEEN_WITH = frozenset({"operate", "gate", "admin"})
"""Rights any one of which shows the names of guests, on pages and in the admission list: gates check them at
the door."""
CODES_SEEN_WITH = frozenset({"operate", "admin"})
"""Rights any one of which shows the codes of tickets as texts, in exports: a code opens the door."""
AT_EVENTS = {
    "log": frozenset({"ledger.view_operationrecord"}),
    "addresses": frozenset({"tickets.view_ticketholder"}),
}
"""Right -> lists of the admin that show rows of the events at which somebody has it."""
AT_ALL_EVENTS = {
    "log": frozenset(
        {"ledger.view_consensusentry", "validators.view_managednode", "validators.view_memberevidence"}
    ),
    "audit": frozenset(
        {
            "validators.view_membershipchange",
            "validators.view_platformaction",
            "simulator.view_simulatorrun",
        }
    ),
}
"""Right -> lists of the admin that show rows of no event, for a team for all events."""


def grant_of(team: Team) -> Grant:
    """What a team grants. `admin` brings `supervise`, as in the log."""
    rights = frozenset(team.rights) & RIGHTS.keys()
    if not team.all_events:
        rights -= PLATFORM_WIDE
    return Grant(
        rights | ({"supervise"} if "admin" in rights else set()),
        None if team.all_events else frozenset(team.events),
        frozenset(team.lists),
        frozenset(team.products),
    )


def rights_of(user: User) -> Rights:
    """What a user may do; nothing if it is in no team, or inactive."""
    if not user.is_active:
        return Rights()
    if user.is_superuser:
        return Rights((Grant(frozenset(RIGHTS)),))
    return Rights(tuple(grant_of(team) for team in Team.objects.filter(members=user)))


def team_with(grant: Grant, name: str) -> Team:
    """The team of this name that grants exactly this; made if there is none."""
    fields: dict[str, Any] = {
        "all_events": grant.events is None,
        "events": sorted(grant.events or ()),
        "rights": sorted(grant.rights),
        "lists": sorted(grant.lists),
        "products": sorted(grant.products),
    }
    named = Team.objects.filter(name=name, all_events=fields["all_events"])
    same = (team for team in named if all(getattr(team, field) == value for field, value in fields.items()))
    return next(same, None) or Team.objects.create(name=name, **fields)


def everything() -> Team:
    """The team for all events with all rights, of the platform's own keys."""
    return team_with(Grant(frozenset(RIGHTS)), "Everything")


def within(team: Team, events: frozenset[str] | None) -> bool:
    """Whether a team is for none but these events (None: all)."""
    return events is None or (not team.all_events and bool(team.events) and set(team.events) <= events)


class TeamBackend(BaseBackend):
    """Which lists of the admin a user's teams open; `keys.rows_seen` limits the rows."""

    def get_user_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """See Django, whose own backend keeps them on the user, too."""
        if not isinstance(user_obj, User):
            return set()
        known: set[str] | None = getattr(user_obj, "_team_permissions", None)
        if known is None:
            known = set(permissions_of(rights_of(user_obj)))
            user_obj._team_permissions = known  # type: ignore[attr-defined]
        return known

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """See Django."""
        return any(perm.startswith(f"{app_label}.") for perm in self.get_all_permissions(user_obj))


def permissions_of(rights: Rights) -> frozenset[str]:
    """Django's permissions, as APP.CODENAME."""
    somewhere = (perms for right, perms in AT_EVENTS.items() if rights.has(right))
    everywhere = (perms for right, perms in AT_ALL_EVENTS.items() if rights.may(right, None))
    return frozenset[str]().union(*somewhere, *everywhere)


def make_standard_teams(app_config: AppConfig, using: str, **_: Any) -> None:
    """Receiver of post_migrate: the teams of STANDARD, where there is none at all."""
    if using != PLATFORM_ALIAS or app_config.label != "validators" or Team.objects.exists():
        return
    for name, rights in STANDARD.items():
        team_with(Grant(rights), name)
