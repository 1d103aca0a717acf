"""Log in by user name, or with an API key instead; log out of either kind of session. Refused logins show the
form again with the reason. Whoever may only scan lands on the gate's page."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import cast

from django.contrib import admin
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from dtvn.api.errors import ServiceError
from validators.dashboard.views import gate_address
from validators.rest.keys import Caller, caller_of_session, caller_of_user, enter_key
from validators.services import audit, login_throttle
from validators.services.hashing import HashingBusy
from validators.services.login import remember_device
from validators.services.login_throttle import LoginThrottled, client_address, subject_of
from validators.web.one_hop import HeldResponse

WRONG_KEY = "This key is not valid, no longer valid, or for one event only and may not scan."
REFUSED_AFTER = 2.0
"""Seconds until a refusal is sent. One takes 6 ms of processor: thirty clients that ask again at once would
take all of this process."""


class RefusedLogins:
    """Answers a throttled login with 429, and one that finds the hashing pool full with 503."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """See Django."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """See Django."""
        if isinstance(error, LoginThrottled | HashingBusy):
            return _form(request, "login_problem", str(error), error)
        return None


def log_in(request: HttpRequest) -> HttpResponse:
    """Django's login; whoever may only scan goes to the gate's page, unless another one was asked for. A
    steward's login for one event, which no other page lets in, leads there too."""
    steward = caller_of_session(request.session) if request.method == "GET" else None
    if steward is not None and steward.is_steward:
        return redirect(gate_address(steward))
    response = admin.site.login(request)
    if request.method == "POST" and response.status_code == HTTPStatus.FOUND:
        remember_device(request, response, request.user.get_username())
    caller = caller_of_user(request.user)
    if response.status_code == HTTPStatus.FOUND and caller is not None and caller.only_scans:
        return redirect(_landing(response.headers["Location"]))
    return response


@never_cache
@sensitive_post_parameters("key")
@require_POST
def enter(request: HttpRequest) -> HttpResponse:
    """Begin a session with this key and redirect to the requested page; show the form again for a wrong
    key."""
    caller = log_in_with_key(request)
    if caller is None:
        return _form(request, "key_problem", WRONG_KEY)
    if caller.is_steward:
        return redirect(gate_address(caller))
    wanted = _following(request)
    return redirect(_landing(wanted) if caller.only_scans else wanted)


def log_in_with_key(request: HttpRequest) -> Caller | None:
    """Begin a session with the `key` of this POST; None for a wrong one. Nobody guesses a key, so wrong ones
    are not throttled: they are counted only to bound their audit rows."""
    address = client_address(request)
    if caller := enter_key(request, request.POST.get("key", "").strip()):
        audit.record(caller.actor, "login with key", outcome="ok", address=address)
        return caller
    with suppress(LoginThrottled):
        if login_throttle.begin(subject_of("wrong key", address)) in (1, login_throttle.TRIES_MAX):
            audit.record("", "login with key", outcome="refused", address=address)
    return None


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """End the session, of a user or of a key."""
    if caller := caller_of_session(request.session):
        audit.record(caller.actor, "logout", outcome="ok", address=client_address(request))
    logout(request)
    return cast(HttpResponse, redirect("admin:login"))


def _landing(wanted: str) -> str:
    """Where a gate goes that asked for this page: the first pages of site and admin are nobody's choice."""
    return (
        reverse("tickets:gate") if wanted in (reverse("dashboard:page"), reverse("admin:index")) else wanted
    )


def _following(request: HttpRequest) -> str:
    """The page that was requested before the login, if it is ours."""
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else reverse("dashboard:page")


def _form(request: HttpRequest, field: str, text: str, error: ServiceError | None = None) -> HttpResponse:
    """The login form with a problem in the template's variable `field`."""
    following = _following(request)
    context = {
        "app_path": f"{reverse('admin:login')}?{urlencode({'next': following})}",
        "next": following,
        field: text,
    }
    page = render_to_string("admin/login.html", context, request)
    if error is None:
        return HttpResponse(page)
    refusal = HeldResponse(page, status=error.status, headers=error.headers)
    refusal.held_for = REFUSED_AFTER
    return refusal
