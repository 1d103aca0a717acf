"""Users and groups in the admin: Django's own lists, with actions that apply to all ticked rows. Permissions
are plain lists of the browser: Django's two boxes cannot be read in the dark, nor by everyone."""

from __future__ import annotations

from http import HTTPStatus

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_post_parameters

from validators.dashboard.bulk_actions import BulkActions
from validators.rest.keys import actor_of
from validators.services import audit
from validators.services.login_throttle import client_address

admin.site.unregister([User, Group])


@admin.register(User)
class AccountAdmin(BulkActions, UserAdmin):
    """User accounts."""

    of_platform = True
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")


@admin.register(Group)
class AccountGroupAdmin(BulkActions, GroupAdmin):
    """Groups of permissions."""

    of_platform = True
    filter_horizontal = ()


@sensitive_post_parameters()
def change_own_password(request: HttpRequest) -> HttpResponse:
    """Django's page, to which a new password of the user's own is sent; recorded as a platform action."""
    if request.method != "POST":
        return admin.site.password_change(request)
    row = audit.record(actor_of(request.user), "change own password", address=client_address(request))
    response = admin.site.password_change(request)
    audit.finish(row, "ok" if response.status_code == HTTPStatus.FOUND else "refused")
    return response
