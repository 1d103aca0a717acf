"""The membership in the admin: the members, the quorum calculator for a planned change, and the outcomes."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dtvn.api.errors import InvalidRequest, TicketError
from dtvn.protocol.genesis import Parameters
from validators.dashboard.formatting import node_pill
from validators.dashboard.principals import principals_page
from validators.dashboard.readonly import ReadOnlyAdmin
from validators.membership import FIXED_PARAMETERS, ChangeRequest, PresentEpoch, changes, present_epoch
from validators.models import ChangeState, MembershipChange
from validators.rest.keys import actor_of, may
from validators.services import audit
from validators.services.cluster_state import cluster_state, gained, gates_wait
from validators.services.errors import ServiceError
from validators.services.following import is_follower
from validators.services.login_throttle import client_address
from validators.services.mode import cluster_mode

TITLES = {
    "add": "Add a member",
    "remove": "Remove a member",
    "replace": "Replace a member",
    "rotate": "Rotate a member's key",
    "parameters": "Change parameters",
}
TONES = {ChangeState.DONE: "ok", ChangeState.REFUSED: "bad"}
ELSEWHERE = "Only for a node that this platform does not run."
LOOK_AGAIN = 3
"""Seconds between two refreshes of the page while something is under way."""


class ChangeForm(forms.Form):
    """The fields of one kind of change."""

    node_id = forms.CharField(label="Node", max_length=64, help_text="Letters A-Z a-z, digits, and . _ -")
    replaces = forms.ChoiceField(label="Replaces")
    peer_id = forms.CharField(
        label="Peer ID",
        required=False,
        max_length=128,
        help_text=f"{ELSEWHERE} If empty, this platform makes the key.",
    )
    host = forms.CharField(label="Host", required=False, max_length=253, help_text=ELSEWHERE)
    port = forms.IntegerField(
        label="Port", required=False, min_value=1, max_value=65_535, help_text=ELSEWHERE
    )
    word = forms.CharField(
        label="Liveness proof",
        required=False,
        max_length=2_048,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=f"{ELSEWHERE} Its identity/alive.bin in base64, at most 30 seconds old.",
    )
    allow_small = forms.BooleanField(
        label="Allow fewer than four members",
        required=False,
        help_text="The cluster then tolerates no Byzantine member.",
    )
    FIELDS = {
        "add": ("node_id", "peer_id", "host", "port", "word"),
        "replace": ("node_id", "replaces", "peer_id", "host", "port", "word"),
        "remove": ("node_id", "allow_small"),
        "rotate": ("node_id", "peer_id"),
        "parameters": (),
    }

    def __init__(self, kind: str, now: PresentEpoch, data: Any = None, initial: Any = None) -> None:
        super().__init__(data, initial=initial)
        self.kind = kind
        self.fields = {name: self.fields[name] for name in self.FIELDS[kind]}
        if now.strength.liars == 0:  # at this size already, or at any with Raft: there is nothing to allow
            self.fields.pop("allow_small", None)
        ids = [(member.node.id, member.node.id) for member in now.members]
        if kind in ("remove", "rotate"):
            self.fields["node_id"] = forms.ChoiceField(label="Member", choices=ids)
        if kind == "replace":
            self.fields["replaces"].choices = ids  # type: ignore[attr-defined]
        if kind == "parameters":
            for name in Parameters.__struct_fields__:
                if name not in FIXED_PARAMETERS:
                    value = getattr(now.parameters, name)
                    self.fields[name] = forms.IntegerField(label=name.replace("_", " "), initial=value)

    def requested(self, now: PresentEpoch) -> ChangeRequest:
        """The requested change of a valid form; raises InvalidRequest if it changes nothing."""
        given = {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}
        if self.kind == "parameters":
            changed = {name: value for name, value in given.items() if value != getattr(now.parameters, name)}
            if not changed:
                raise InvalidRequest("Nothing was changed: give at least one parameter another value.")
            return ChangeRequest(change="parameters", parameters=changed)
        return msgspec.convert({"change": self.kind, **given}, ChangeRequest)


@admin.register(MembershipChange)
class MembershipChangeAdmin(ReadOnlyAdmin):
    """The list shows the members first; below are the changes that were requested here."""

    of_members = True
    change_list_template = "admin/members.html"
    change_form_template = "admin/membership_change.html"
    list_display = ("asked", "state_pill", "sentence", "epoch", "sequence", "actor", "created_at")
    list_display_links = ("asked",)
    list_per_page = 25
    sortable_by = ()
    fields = (
        "asked",
        "state_pill",
        "code",
        "sentence",
        "epoch",
        "sequence",
        "attempt",
        "actor",
        "created_at",
        "finished_at",
        "details",
    )
    readonly_fields = ("asked", "state_pill", "details")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) or (may(request, "admin") and not is_follower())

    def get_urls(self) -> list[URLPattern]:
        asking = path(
            "ask/<str:kind>/",
            self.admin_site.admin_view(self.ask),
            name="validators_membershipchange_ask",
        )
        cancelling = path(
            "<int:number>/cancel/",
            self.admin_site.admin_view(self.cancel),
            name="validators_membershipchange_cancel",
        )
        signers = path(
            "principals/",
            self.admin_site.admin_view(self.principals),
            name="validators_membershipchange_principals",
        )
        return [asking, cancelling, signers, *super().get_urls()]

    def principals(self, request: HttpRequest) -> HttpResponse:
        """The principals, which may sign requests."""
        return principals_page(request, allowed=may(request, "admin"))

    @admin.display(description="change")
    def asked(self, row: MembershipChange) -> str:
        return f"{row.pk}: {row}"

    @admin.display(description="state")
    def state_pill(self, row: MembershipChange) -> SafeString:
        tone = TONES.get(ChangeState(row.state), "accent")
        return format_html('<span class="pill {}">{}</span>', tone, row.get_state_display())

    def details(self, row: MembershipChange) -> str:
        return ", ".join(f"{name} {value}" for name, value in row.request.items() if name != "word")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context: dict[str, Any] = {"may_administer": may(request, "admin"), "title": "Members"}
        try:
            context["now"] = now = present_epoch()
            nodes, state = [each.node for each in now.members], cluster_state()
            pills = [node_pill(node.id, node.status, node.error, state) for node in nodes]
            context["members"] = list(zip(now.members, pills, strict=True))
            context["look_again"] = LOOK_AGAIN if now.settling else 0
        except TicketError as error:
            messages.warning(request, str(error))
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        unfinished = row is not None and not row.finished
        unsent = row is not None and not row.finished and not row.content and not row.cancelled
        context = {
            "unfinished": unfinished,
            "may_cancel": unsent and may(request, "admin"),
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    def cancel(self, request: HttpRequest, number: int) -> HttpResponse:
        """Cancel a change that was not sent yet."""
        if not may(request, "admin"):
            raise PermissionDenied
        address = reverse("admin:validators_membershipchange_change", args=[number])
        if request.method == "POST":
            try:
                with audit.recorded(
                    actor_of(request.user), "cancel membership change", str(number), client_address(request)
                ):
                    changes.cancel(number)
            except ServiceError as error:
                messages.error(request, str(error))
        return redirect(address)

    def ask(self, request: HttpRequest, kind: str) -> HttpResponse:
        """Shows a form, then the consequences, then makes the change."""
        if not may(request, "admin"):
            raise PermissionDenied
        if kind not in TITLES:
            return redirect("admin:validators_membershipchange_changelist")
        try:
            return self._ask(request, kind, present_epoch())
        except TicketError as error:
            messages.error(request, str(error))
            return redirect("admin:validators_membershipchange_changelist")

    def _ask(self, request: HttpRequest, kind: str, now: PresentEpoch) -> HttpResponse:
        posted = request.method == "POST"
        initial = {"node_id": request.GET.get("node_id", ""), "replaces": request.GET.get("replaces", "")}
        form = ChangeForm(kind, now, request.POST if posted else None, None if posted else initial)
        context: dict[str, Any] = {}
        if posted and form.is_valid():
            try:
                requested = form.requested(now)
                if request.POST.get("step") == "confirm":
                    return self._store(request, requested)
                context["preview"] = found = changes.foresee(requested)
                context["gained"] = gained(found.before.members, found.after.members, cluster_mode())
            except ServiceError as error:
                form.add_error(None, str(error))
        context |= {
            **self.admin_site.each_context(request),
            "title": TITLES[kind],
            "opts": self.opts,
            "form": form,
            "now": now,
            "nonce": request.POST.get("nonce") or uuid.uuid4().hex,
            "gates_wait": gates_wait(newcomer=kind in ("add", "replace")),
        }
        return TemplateResponse(request, "admin/members_ask.html", context)

    def _store(self, request: HttpRequest, requested: ChangeRequest) -> HttpResponse:
        """The nonce of the form makes a second click count as the same change."""
        nonce = request.POST.get("nonce", "")[:64].encode()
        actor, what = actor_of(request.user), f"{requested.change} {requested.node_id}"
        with audit.recorded(actor, "ask for membership change", what, client_address(request)):
            row = changes.ask(requested, actor=actor, nonce=nonce)
        return redirect(reverse("admin:validators_membershipchange_change", args=[row.pk]))
