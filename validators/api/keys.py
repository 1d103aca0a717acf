"""Who calls: an API key (header), a person's session or a key entered on the login page (cookie), in this
order (spec 1.6, 9.4, DESIGN 10).

A key is looked for in `X-API-Key`, and only where that is absent or empty in `Authorization: Bearer`.
A wrong key is never rescued by the other header or by a cookie. Keys come in headers only, which no
foreign page can set, so they need no CSRF token; a session always does.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.middleware.csrf import rotate_token
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.request import Request

from validators.genesis import CAPABILITIES
from validators.models import ApiKey
from validators.node_api.origins import allowed_origin
from validators.services import api_keys

__all__ = [
    "ANYBODY",
    "Caller",
    "KeyAuthentication",
    "OpenAuthentication",
    "PersonAuthentication",
    "authenticate_key",
    "caller_of_person",
    "caller_of_session",
    "ensure_key",
    "enter_key",
    "forget",
    "key_of",
    "require",
    "text_of_header",
]

REMEMBERED_FOR = 2.0
"""Seconds for which a key that was found is not looked up again, unless somebody says that keys changed.
A change that nobody tells of (by hand in the database, or on another host) takes so long."""

REMEMBERED_MAX = 1_024
KEY_LENGTH_MAX = 16_384
"""Longer than any header that gets this far: the one who gave the key would be locked out below it."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
BEARER = "Bearer "
SESSION_KEY = "dtvn_api_key"
"""Where in a session the hash of the key is that was entered on the login page; never the key itself."""


class Caller(msgspec.Struct, frozen=True):
    """Who asks, and what they may do besides reading."""

    actor: str
    """As the ordered log will name it; at most 128 characters."""
    scopes: frozenset[str]
    """Of issue, operate, gate, admin."""

    is_authenticated = True
    is_active = True


ANYBODY = Caller(actor="anybody", scopes=frozenset(CAPABILITIES))


class Remembered(msgspec.Struct, frozen=True):
    """A key that was found, and until when that is believed."""

    caller: Caller
    until: float
    """Monotonic seconds; never beyond the key's own end."""
    mark: tuple[int, int]
    """`api_keys.change_mark()` before the key was looked up."""


_found: dict[str, Remembered] = {}
_lock = threading.Lock()


def ensure_key(plain: str, *, label: str = "first key") -> ApiKey:
    """Make a key known; the same one twice is one row."""
    return api_keys.store_api_key(plain, label=label)


def authenticate_key(plain: str) -> Caller | None:
    """The caller with this key, or None. Hashes are compared, so timing tells nothing about keys."""
    if not plain or len(plain) > KEY_LENGTH_MAX:
        return None
    return _with_digest(api_keys.api_key_digest(plain))


def enter_key(request: HttpRequest, plain: str) -> bool:
    """Begin a session that may do what this key may, as long as it holds; False for no key of ours."""
    if authenticate_key(plain) is None:
        return False
    request.session.flush()  # nobody's earlier session becomes this one
    request.session[SESSION_KEY] = api_keys.api_key_digest(plain)
    rotate_token(request)
    return True


def caller_of_session(session: Mapping[str, Any] | SessionBase | None) -> Caller | None:
    """Who entered a key in this session; None where nobody did, or the key holds no more."""
    digest = session.get(SESSION_KEY) if session is not None else None
    return _with_digest(digest) if isinstance(digest, str) else None


def caller_of_person(request: HttpRequest) -> Caller | None:
    """Who looks at a page: anybody where the API is open, a person, or whoever entered a key."""
    if settings.API_IS_OPEN:
        return ANYBODY
    return _of_user(request.user) or caller_of_session(request.session)


def _with_digest(digest: str) -> Caller | None:
    now, mark = time.monotonic(), api_keys.change_mark()
    remembered = _found.get(digest)
    if remembered is not None and now < remembered.until and mark == remembered.mark:
        return remembered.caller
    key = api_keys.find_digest(digest)
    if key is None:
        return None
    until = now + REMEMBERED_FOR
    if key.expires_at is not None:
        until = min(until, now + (key.expires_at - timezone.now()).total_seconds())
    caller = Caller(actor=f"key:{key.pk}", scopes=frozenset(key.scopes) & frozenset(CAPABILITIES))
    with _lock:
        while len(_found) >= REMEMBERED_MAX:
            del _found[next(iter(_found))]
        _found[digest] = Remembered(caller, until, mark)
    return caller


def forget() -> None:
    """Forget every key that was found: the next request looks it up."""
    with _lock:
        _found.clear()


def key_of(request: HttpRequest) -> str | None:
    """The key that a request shows, "" for an empty one, None where it shows none."""
    headers = request.META
    plain = headers.get("HTTP_X_API_KEY", "")
    if plain:
        return text_of_header(plain)
    authorization = headers.get("HTTP_AUTHORIZATION", "")
    if authorization.startswith(BEARER):
        return text_of_header(authorization[len(BEARER) :])
    return None


def text_of_header(value: str) -> str:
    """A header's bytes come as Latin-1, and a key is hashed as UTF-8: other letters than those of ASCII would
    fit nothing. Surrogates stand for what is no UTF-8, so that two such keys stay two."""
    return value.encode("latin-1").decode("utf-8", "surrogateescape")


class OpenAuthentication(BaseAuthentication):
    """Anybody, where no key was given to a supervisor: but no page of another site changes anything."""

    def authenticate(self, request: Request) -> tuple[Caller, str] | None:
        """The one caller that there is; whatever key is shown counts for nothing (spec 1.6)."""
        if not settings.API_IS_OPEN:
            return None
        plain = request._request
        if plain.method not in SAFE_METHODS and not allowed_origin(
            plain.META.get("HTTP_ORIGIN"),
            plain.META.get("HTTP_HOST", ""),
            os.environ.get("DTVN_WS_ORIGINS", ""),
        ):
            raise PermissionDenied("Pages of other sites may not change anything here (Origin header).")
        return ANYBODY, "open"


class KeyAuthentication(BaseAuthentication):
    """By API key."""

    def authenticate(self, request: Request) -> tuple[Caller, str] | None:
        """The caller; None leaves it to the next way, a wrong key does not."""
        plain = key_of(request._request)
        if plain is None:
            return None
        caller = authenticate_key(plain)
        if caller is None:
            raise AuthenticationFailed
        return caller, "key"

    def authenticate_header(self, request: Request) -> str:
        """Says that this API answers 401, not 403."""
        return "Bearer"


class PersonAuthentication(SessionAuthentication):
    """By session cookie; every unsafe method needs the CSRF token as well."""

    def authenticate(self, request: Request) -> tuple[Caller, str] | None:  # type: ignore[override]
        """The person of this session, or whoever entered a key in it, as a caller."""
        plain = request._request
        caller = _of_user(getattr(plain, "user", None)) or caller_of_session(getattr(plain, "session", None))
        if caller is None:
            return None
        self.enforce_csrf(request)
        return caller, "session"

    def enforce_csrf(self, request: Request) -> None:
        """Look for the token in the plain request: our views have no parsers that DRF could use."""
        super().enforce_csrf(request._request)  # type: ignore[arg-type]


def _of_user(user: object) -> Caller | None:
    if not isinstance(user, User) or not user.is_active:
        return None
    if user.is_superuser:
        scopes = frozenset(CAPABILITIES)
    else:
        scopes = frozenset(user.groups.filter(name__in=CAPABILITIES).values_list("name", flat=True))
    return Caller(actor=f"user:{user.get_username()}"[:128], scopes=scopes)


def require(caller: object, scope: str | None) -> None:
    """Raise unless somebody asks, and may do what needs `scope` (None: reading)."""
    if not isinstance(caller, Caller):
        raise NotAuthenticated
    if scope is not None and scope not in caller.scopes:
        raise PermissionDenied(f"This needs the scope {scope!r}.")
