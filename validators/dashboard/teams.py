"""Teams in the admin: what their people and keys may do, and at which events."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest

from dtvn.machine.fields import is_name
from validators.dashboard.bulk_actions import BulkActions
from validators.models import Team
from validators.services.api_keys import tell_of_change
from validators.services.teams import PLATFORM_WIDE, RIGHTS


class Names(forms.CharField):
    """Names by commas, as a list."""

    def clean(self, value: Any) -> list[str]:  # type: ignore[override]
        return sorted({name for part in super().clean(value).split(",") if (name := part.strip())})

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether other names were sent."""
        return sorted(initial or ()) != Names.clean(self, data)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value


class Slugs(Names):
    """Short names of events or lists."""

    def clean(self, value: Any) -> list[str]:  # type: ignore[override]
        names = super().clean(value)
        if wrong := next((name for name in names if not is_name(name)), None):
            raise forms.ValidationError(
                f"{wrong!r} is no short name: 1 to 64 characters of A-Z a-z 0-9 . _ : -"
            )
        return names


class TeamForm(forms.ModelForm):
    """A team's rights, events and limits."""

    rights = forms.MultipleChoiceField(
        choices=[(name, f"{name}: {means}") for name, means in RIGHTS.items()],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="Reading is always included.",
    )
    events = Slugs(required=False, help_text="Short names of the only events that it is for, by commas.")
    lists = Slugs(
        required=False,
        help_text="Short names of the only lists on which it lets in, by commas; empty for all.",
    )
    products = Names(
        required=False, help_text="The only products whose tickets it lets in, by commas; empty for all."
    )

    class Meta:
        model = Team
        fields = ("name", "all_events", "events", "rights", "lists", "products", "members")
        widgets = {"members": forms.CheckboxSelectMultiple}

    def clean(self) -> dict[str, Any]:
        """A team has its events, or all; rights of no event need all."""
        found = super().clean() or {}
        every, events = found.get("all_events"), found.get("events")
        if every and events:
            self.add_error("events", "Leave it empty for all events.")
        if not every and not events:
            self.add_error("events", "Name the events, or tick all events.")
        if not every and (wide := sorted(PLATFORM_WIDE.intersection(found.get("rights", ())))):
            self.add_error("rights", f"Only a team for all events may have {', '.join(wide)}.")
        return found


@admin.register(Team)
class TeamAdmin(BulkActions):
    """Teams. Taking a right away ends it at once for people, and within two seconds for keys."""

    of_platform = True
    form = TeamForm
    list_display = ("name", "scope", "people", "keys_in_use")
    sortable_by = ()

    @admin.display(description="may")
    def scope(self, team: Team) -> str:
        return words_of(team)

    def people(self, team: Team) -> str:
        return ", ".join(sorted(member.get_username() for member in team.members.all())) or "–"

    @admin.display(description="keys")
    def keys_in_use(self, team: Team) -> int:
        return team.keys.usable().count()  # type: ignore[attr-defined, no-any-return]

    def save_model(self, request: HttpRequest, obj: Team, form: Any, change: bool) -> None:
        """Keys of the team are looked up again in every process."""
        super().save_model(request, obj, form, change)
        transaction.on_commit(tell_of_change)

    def has_admin_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)


def words_of(team: Team) -> str:
    """What a team may do, and where."""
    rights = ", ".join(name for name in RIGHTS if name in team.rights) or "read"
    where = "at all events" if team.all_events else f"at {', '.join(team.events) or 'no event'}"
    lists = [f"on the list {name}" for name in team.lists]
    limits = ", ".join([*lists, *(f"tickets of {name}" for name in team.products)])
    return f"{rights} {where}" + (f", only {limits}" if limits else "")
