"""A second factor of logins: one-time codes of an app (TOTP, RFC 6238) and recovery codes, by django-otp.

Who has confirmed an app is asked for a code at each login. With `DTVN_SECOND_FACTOR=1` every user needs one:
until then a login opens this page alone.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Callable
from typing import Any, cast

import segno
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods
from django_otp import login as verified
from django_otp import match_token, user_has_device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from dtvn.api.answers import failure
from dtvn.api.errors import ApiError
from validators.rest.http import response_of
from validators.rest.keys import actor_of
from validators.services import audit
from validators.services.login_throttle import client_address

APP, RECOVERY = "app", "recovery codes"
"""Names of the two devices."""
RECOVERY_CODES = 10
OPEN = ("/static/", "/admin/login/", "/health", "/live", "/ready")
WRONG = "This code is wrong, was used before, or too many were wrong: wait for the next one."
MISSING = "This user has a second factor: enter its code too."
NEEDED = "This platform asks for a second factor: set it up at /dashboard/second-factor."


class LoginForm(AdminAuthenticationForm):
    """The login; who has a second factor is asked for its code."""

    otp_token = forms.CharField(required=False, max_length=16)
    lacks_code = False
    """Whether only the code was wrong, or missing."""

    def clean(self) -> dict[str, Any]:
        """See Django."""
        cleaned: dict[str, Any] = super().clean()
        user = self.get_user()
        if user is not None and user_has_device(user):
            device = match_token(user, cleaned.get("otp_token", "").strip())
            if device is None:
                self.lacks_code = True
                raise forms.ValidationError(WRONG if cleaned.get("otp_token") else MISSING)
            setattr(user, "otp_device", device)  # noqa: B010 - django_otp keeps it with the session
        return cleaned


admin.site.login_form = LoginForm


class SecondFactorNeeded:
    """Where a second factor is required, a user without one gets to the page that sets it up, and no
    further."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """See Django."""
        if not settings.SECOND_FACTOR or not _lacks(getattr(request, "user", None)):
            return self._get_response(request)
        page = reverse("dashboard:second-factor")
        if request.path.startswith((*OPEN, page, reverse("dashboard:leave"))):
            return self._get_response(request)
        if request.path.startswith("/api/"):
            return response_of(failure(ApiError(403, "second_factor_needed", NEEDED)))
        return cast(HttpResponse, redirect(page))


def _lacks(user: User | AnonymousUser | None) -> bool:
    return user is not None and user.is_authenticated and getattr(user, "otp_device", None) is None


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Set the second factor up, or take it away: each needs a code of the app; to take away, also a recovery
    code will do."""
    if not isinstance(request.user, User):
        return redirect_to_login(request.get_full_path())
    user, code = request.user, request.POST.get("code", "").strip()
    if user_has_device(user):
        if request.method != "POST":
            return render(request, "dashboard/second_factor.html", {"on": True})
        if match_token(user, code) is None:
            return render(request, "dashboard/second_factor.html", {"on": True, "problem": WRONG})
        _forget(user)
        _audit(request, "second factor off")
        return redirect("dashboard:second-factor")
    app, _made = TOTPDevice.objects.get_or_create(user=user, name=APP, defaults={"confirmed": False})
    shown = {
        "qr": segno.make(app.config_url, error="m", micro=False).svg_data_uri(scale=5, light="#fff"),
        "secret": b32encode(app.bin_key).decode(),
    }
    if request.method != "POST":
        return render(request, "dashboard/second_factor.html", shown)
    if not app.verify_token(code):
        return render(request, "dashboard/second_factor.html", shown | {"problem": WRONG})
    codes = _confirm(user, app)
    verified(request, app)
    _audit(request, "second factor on")
    return render(request, "dashboard/second_factor.html", {"on": True, "codes": codes})


@transaction.atomic
def _confirm(user: User, app: TOTPDevice) -> list[str]:
    """Take the app as the user's second factor; returns new recovery codes, each good once."""
    app.confirmed = True
    app.save()
    StaticDevice.objects.filter(user=user).delete()
    recovery = StaticDevice.objects.create(user=user, name=RECOVERY)
    codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
    recovery.token_set.bulk_create(StaticToken(device=recovery, token=each) for each in codes)
    return codes


@transaction.atomic
def _forget(user: User) -> None:
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()


def _audit(request: HttpRequest, action: str) -> None:
    audit.record(actor_of(request.user), action, outcome="ok", address=client_address(request))
