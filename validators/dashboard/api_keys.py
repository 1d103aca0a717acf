"""API keys in the admin. A key is shown once, when it is created; only its hash is kept."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from validators.dashboard.bulk_actions import BulkActions
from validators.dashboard.teams import words_of
from validators.models import ApiKey
from validators.services.api_keys import generate_api_key, revoke_api_key, store_api_key


class ApiKeyForm(forms.ModelForm):
    """Label, team and expiry of a key."""

    def __init__(self, *rest: Any, **named: Any) -> None:
        super().__init__(*rest, **named)
        widget = self.fields["expires_at"].widget if "expires_at" in self.fields else None
        for part, name in zip(getattr(widget, "widgets", ()), ("Expiry date", "Expiry time"), strict=False):
            part.attrs["aria-label"] = name  # the admin shows two fields, and names neither

    class Meta:
        model = ApiKey
        fields = ("label", "team", "expires_at")


@admin.register(ApiKey)
class ApiKeyAdmin(BulkActions):
    """Keys of programs and gates. A key is shown once, when it is created; only its hash is kept."""

    of_platform = True
    form = ApiKeyForm
    list_display = (
        "label",
        "prefix",
        "team",
        "rights",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    )
    readonly_fields = ("prefix", "rights", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("team",)
    actions = ["revoke"]
    sortable_by = ()

    @admin.display(description="may")
    def rights(self, key: ApiKey) -> str:
        return words_of(key.team)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ("label", "team", "expires_at")
        return self.list_display

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_admin_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Creates the key via the service, which keeps only the hash; the key itself is shown in the
        answer."""
        plain = generate_api_key()
        stored = store_api_key(plain, label=obj.label, team=obj.team, expires_at=obj.expires_at)
        obj.pk, obj.prefix = stored.pk, stored.prefix
        request.new_api_key = plain  # type: ignore[attr-defined]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *rest: Any, **named: Any
    ) -> HttpResponse:
        """Shows one button to save, since the next page shows the key."""
        one = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().render_change_form(request, {**context, **one}, *rest, **named)

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Shows the key once; not as a message, since messages are kept in cookies."""
        context = {
            **self.admin_site.each_context(request),
            "title": "New API key",
            "opts": self.opts,
            "label": obj.label,
            "key": request.new_api_key,  # type: ignore[attr-defined]
        }
        response = TemplateResponse(request, "admin/new_api_key.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke", permissions=["admin"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            if revoke_api_key(key):
                self.message_user(request, f"Revoked: {key}. It stays in the list.")
            else:
                key.refresh_from_db()
                said = f"Not changed: {key} was revoked at {key.revoked_at:%Y-%m-%d %H:%M} UTC."
                self.message_user(request, said, messages.WARNING)
