"""The one way in for users: throttled, hashed in the bounded pool, and audited."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core import signing
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

from validators.services import audit, login_throttle
from validators.services.hashing import HashingBusy, counted_for
from validators.services.login_throttle import client_address, subject_of
from validators.sessions.store import begin

DEVICE_SALT = "dtvn.device"
DEVICE_KEPT = timedelta(days=366)


class PlatformBackend(ModelBackend):
    """Django's users. Every login route authenticates here, so each has the same limits."""

    def authenticate(  # type: ignore[override]
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **_: Any
    ) -> AbstractBaseUser | None:
        """The user with this password, or None. Raises LoginThrottled or HashingBusy; the password was not
        checked then."""
        if username is None or password is None:
            return None
        name, address = User.normalize_username(username), client_address(request)
        device = device_of(request, name)
        subject = subject_of(f"user:{name}", f"device {device}" if device else address)
        tries = login_throttle.begin(subject)
        try:
            with counted_for(address):
                user = super().authenticate(request, username=username, password=password)
        except HashingBusy:
            login_throttle.take_back(subject)
            raise
        if user is not None:
            login_throttle.succeed(subject)
        elif tries in (1, login_throttle.TRIES_MAX):  # between them each guess would be a row
            outcome = "refused" if tries == 1 else f"locked out after {tries} attempts"
            audit.record("", "login", f"user:{name}", outcome, address)
        return user


def device_of(request: HttpRequest | None, name: str) -> str:
    """The name of the device, if this user has logged in on it before; else "". Its failures are counted
    apart, so that others at the same address do not lock it out (OWASP, "Device Cookies")."""
    text = "" if request is None else request.COOKIES.get(settings.DEVICE_COOKIE_NAME, "")
    try:
        user, device = signing.loads(text, salt=DEVICE_SALT, max_age=DEVICE_KEPT)
    except (signing.BadSignature, TypeError, ValueError):
        return ""
    return str(device) if user == name else ""


def remember_device(request: HttpRequest, response: HttpResponse, name: str) -> None:
    """Mark the device as one on which this user has logged in."""
    device = device_of(request, name) or secrets.token_urlsafe(16)
    response.set_cookie(
        settings.DEVICE_COOKIE_NAME,
        signing.dumps([name, device], salt=DEVICE_SALT),
        max_age=DEVICE_KEPT,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


@receiver(user_logged_in, dispatch_uid="dtvn-audit-login")
def _logged_in(request: HttpRequest | None, user: User, **_: Any) -> None:
    if request is not None and hasattr(request, "session"):
        begin(request, client_address(request))
        request.session.clear_expired()
    audit.record(f"user:{user.get_username()}", "login", outcome="ok", address=client_address(request))


@receiver(user_logged_out, dispatch_uid="dtvn-audit-logout")
def _logged_out(request: HttpRequest | None, user: User | None, **_: Any) -> None:
    if user is not None:
        audit.record(f"user:{user.get_username()}", "logout", outcome="ok", address=client_address(request))
