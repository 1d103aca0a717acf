"""Users and groups in the admin: Django's own lists, whose actions are about the ticked rows here too."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

from validators.dashboard.selected import SelectedRows

__all__ = ["AccountAdmin", "AccountGroupAdmin"]

admin.site.unregister([User, Group])


@admin.register(User)
class AccountAdmin(SelectedRows, UserAdmin):
    """People who log in."""


@admin.register(Group)
class AccountGroupAdmin(SelectedRows, GroupAdmin):
    """What several of them may do."""
