"""Users in the admin: Django's own list, with actions that apply to all ticked rows, and the teams that each
is in. What somebody may do is what teams say (services.teams): groups and single permissions of Django are
not offered."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_post_parameters

from validators.dashboard.bulk_actions import BulkActions
from validators.models import Team
from validators.rest.keys import actor_of
from validators.services import audit
from validators.services.login_throttle import client_address

admin.site.unregister([User, Group])


class AccountForm(UserChangeForm):
    """A user, with the teams that it is in."""

    teams = forms.ModelMultipleChoiceField(
        Team.objects.all(), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *rest: Any, **named: Any) -> None:
        super().__init__(*rest, **named)
        if self.instance.pk is not None:
            self.fields["teams"].initial = list(self.instance.teams.all())


@admin.register(User)
class AccountAdmin(BulkActions, UserAdmin):
    """User accounts."""

    of_platform = True
    form = AccountForm
    filter_horizontal = ()
    list_filter = ("is_staff", "is_superuser", "is_active", "teams")
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("May", {"fields": ("is_active", "is_staff", "is_superuser", "teams")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Also the teams, which are kept at the team."""
        super().save_related(request, form, formsets, change)
        if "teams" in form.cleaned_data:
            form.instance.teams.set(form.cleaned_data["teams"])


@sensitive_post_parameters()
def change_own_password(request: HttpRequest) -> HttpResponse:
    """Django's page, to which a new password of the user's own is sent; recorded as a platform action."""
    if request.method != "POST":
        return admin.site.password_change(request)
    row = audit.record(actor_of(request.user), "change own password", address=client_address(request))
    response = admin.site.password_change(request)
    audit.finish(row, "ok" if response.status_code == HTTPStatus.FOUND else "refused")
    return response
