"""Principals in the admin: their keys and grants for signing requests (R15)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from dtvn.api.errors import TicketError
from dtvn.protocol.genesis import ANY_EVENT, CAPABILITIES, Grant
from validators import feed
from validators.rest.keys import actor_of
from validators.services import audit, principals
from validators.services.errors import ServiceError
from validators.services.login_throttle import client_address
from validators.services.principals import COPY_WAIT, Changed

DONE = {
    "add": "was added",
    "rotate": "has a new key",
    "limit": "has new grants",
    "revoke": "was revoked",
}
PAGE = "admin:validators_membershipchange_principals"


class AddForm(forms.Form):
    """A new principal."""

    name = forms.CharField(max_length=64, help_text="Letters A-Z a-z, digits, and . _ -")
    peer_id = forms.CharField(
        label="Peer ID", max_length=128, help_text="Its public key, as printed on its own host."
    )
    event = forms.CharField(
        max_length=64, initial=ANY_EVENT, help_text=f"The event of the grants; {ANY_EVENT} means all events."
    )
    capabilities = forms.MultipleChoiceField(
        choices=[(name, name) for name in CAPABILITIES],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="Without a capability it may only follow the log, as a learner does.",
    )


def principals_page(request: HttpRequest, *, allowed: bool) -> HttpResponse:
    """List, add, replace key, limit, revoke. The cluster orders each change, and the page shows its
    outcome."""
    if not allowed:
        raise PermissionDenied
    form = AddForm()
    if request.method == "POST":
        form = AddForm(request.POST) if request.POST.get("verb") == "add" else form
        if form.is_bound and not form.is_valid():
            return _page(request, form)
        try:
            told = _act(request, form)
        except ServiceError as error:
            messages.error(request, f"Failed: {error}")
            if form.is_bound:
                return _page(request, form)
        else:
            messages.success(request, told)
        return redirect(PAGE)
    return _page(request, form)


def _act(request: HttpRequest, form: AddForm) -> str:
    """Executes the action of one of the page's forms; returns a message."""
    name, verb = request.POST.get("name", ""), request.POST.get("verb", "")
    asker: dict[str, Any] = {
        "actor": actor_of(request.user),
        "nonce": request.POST.get("nonce", "")[:64].encode(),
    }
    verbs: dict[str, Callable[[], Changed]] = {
        "add": lambda: _add(form, asker),
        "rotate": lambda: _rotate(name, request.POST.get("peer_id", "").strip(), asker),
        "limit": lambda: principals.limit_principal(name, _grants(request), **asker),
        "revoke": lambda: principals.revoke_principal(name, **asker),
    }
    if verb not in verbs:
        return "No action was selected."
    with audit.recorded(asker["actor"], f"{verb} principal", name, client_address(request)):
        changed = verbs[verb]()
    feed.wait_for(changed.sequence, COPY_WAIT)  # the next list is read from the platform's copy
    return f"Done: {changed.principal.name} {DONE[verb]} at sequence {changed.sequence} of the log."


def _grants(request: HttpRequest) -> list[Grant]:
    """Grants from lines of text, one each."""
    return principals.read_grants(request.POST.get("grants", "").split())


def _add(form: AddForm, asker: dict[str, Any]) -> Changed:
    given = form.cleaned_data
    grants = [Grant(given["event"], capability) for capability in given["capabilities"]]
    return principals.add_principal(given["name"], principals.read_key(given["peer_id"]), grants, **asker)


def _rotate(name: str, peer_id: str, asker: dict[str, Any]) -> Changed:
    if principals.is_own(name) and not peer_id:
        return principals.rotate_own(actor=asker["actor"])
    return principals.rotate_principal(name, principals.read_key(peer_id), **asker)


def _page(request: HttpRequest, form: AddForm) -> HttpResponse:
    listed = []
    try:
        listed = [(each, principals.is_own(each.name)) for each in principals.list_principals()]
    except TicketError as error:
        messages.warning(request, str(error))
    context = {
        **admin.site.each_context(request),
        "title": "Principals",
        "listed": listed,
        "form": form,
        "nonce": uuid.uuid4().hex,
    }
    return TemplateResponse(request, "admin/principals.html", context)
