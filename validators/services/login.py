"""The one way in for users: throttled, hashed in the bounded pool, and audited."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from validators.services import audit, login_throttle
from validators.services.hashing import HashingBusy, counted_for
from validators.services.login_throttle import client_address, subject_of
from validators.sessions.store import begin


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
        subject = subject_of(f"user:{name}", address)
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
