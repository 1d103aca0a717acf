"""Users and groups in the admin: Django's own lists, with actions that apply to all ticked rows. Permissions
are plain lists of the browser: Django's two boxes cannot be read in the dark, nor by everyone."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

from validators.dashboard.bulk_actions import BulkActions

admin.site.unregister([User, Group])


@admin.register(User)
class AccountAdmin(BulkActions, UserAdmin):
    """User accounts."""

    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")


@admin.register(Group)
class AccountGroupAdmin(BulkActions, GroupAdmin):
    """Groups of permissions."""

    filter_horizontal = ()
