"""Authentication of callers: by API key (header), by a user's session, or by a key entered on the login page
(cookie), in this order.

A key is read from `X-API-Key`, and only if that is absent or empty from `Authorization: Bearer`. After a
wrong key, neither the other header nor a cookie is tried. Keys come in headers only, which pages of other
sites cannot set, so they need no CSRF token; a session always does.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.base import SessionBase
from django.db import DatabaseError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.middleware.csrf import rotate_token
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.request import Request

from dtvn.api import access
from dtvn.api.access import allowed_origin
from dtvn.api.rights import Grant, Rights
from dtvn.protocol.genesis import CAPABILITIES
from validators.services import api_keys, teams
from validators.services.login_throttle import client_address
from validators.sessions.store import begin

REMEMBERED_FOR = 2.0
"""Seconds for which a key is cached after a lookup, unless a change of keys is reported. A change that is not
reported (by hand in the database, or on another host) takes this long."""

REMEMBERED_WHILE_AWAY = 3_600.0
"""Seconds after its last lookup for which a key is valid while the database does not answer: gates go on
admitting. It ends at once when a process of this data folder reports a change of keys."""
RETRY_AFTER = 5.0
"""Seconds until the next attempt to look up such a key: an attempt may take seconds."""

REMEMBERED_MAX = 1_024
KEY_LENGTH_MAX = 16_384
"""Longer than any header that gets this far: with a lower limit, a valid long key could not be used."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
GATE = "gate"
"""The scope of who may scan."""
SCANS = frozenset({GATE, "supervise"})
SESSION = "session"
"""How a person on a page is authenticated, as DRF's `request.auth`; "key" and "open" are the others."""
SESSION_KEY = "dtvn_api_key"
"""Session entry with the hash of the key that was entered on the login page; never the key itself."""


class Caller(msgspec.Struct, frozen=True):
    """The caller, and what it may do."""

    actor: str
    """Its name in the ordered log; at most 128 characters."""
    rights: Rights
    gate: str = ""
    """The gate of its scans, whatever they name; "": the one that they name."""

    is_authenticated = True
    is_active = True

    @property
    def only_scans(self) -> bool:
        """Whether scanning is all that it may do, besides reading."""
        acts = frozenset[str]().union(*(each.rights for each in self.rights.grants)) & frozenset(CAPABILITIES)
        return bool(acts) and acts <= SCANS

    @property
    def is_steward(self) -> bool:
        """Whether it only scans, at some events: no page but the gate's is for it."""
        return bool(self.rights.grants) and not self.on_pages().rights.grants

    def on_pages(self) -> Caller:
        """The caller on all pages but the gate's: a grant that only scans at some events opens none of these,
        but for events whose pages another grant opens."""
        stewards = [each for each in self.rights.grants if _only_scans(each)]
        others = tuple(each for each in self.rights.grants if not _only_scans(each))
        opened = Rights(others).events()
        within = (
            msgspec.structs.replace(each, events=each.events if opened is None else each.events & opened)
            for each in stewards
            if each.events is not None
        )
        return msgspec.structs.replace(self, rights=Rights((*others, *(one for one in within if one.events))))


def _only_scans(grant: Grant) -> bool:
    return grant.events is not None and bool(grant.rights) and grant.rights <= SCANS


ANYBODY = Caller("anybody", Rights((Grant(frozenset(teams.RIGHTS)),)))


class Remembered(msgspec.Struct, frozen=True):
    """A cached key, and the end of its validity in the cache."""

    caller: Caller
    until: float
    """Monotonic seconds at which it is looked up again; never later than the key's own expiry."""
    at_most: float
    """Monotonic seconds until which it is valid while the database is away; likewise."""
    use_noted: float
    """Monotonic seconds at which this process last noted that the key is in use."""
    mark: tuple[int, int]
    """`api_keys.change_mark()` before the key was looked up."""


_found: dict[str, Remembered] = {}
_lock = threading.Lock()


def authenticate_key(plain: str) -> Caller | None:
    """The caller with this key, or None. Hashes are compared, so timing reveals nothing about keys."""
    if not plain or len(plain) > KEY_LENGTH_MAX:
        return None
    return _with_digest(api_keys.api_key_digest(plain))


def enter_key(request: HttpRequest, plain: str) -> Caller | None:
    """Begin a session with the permissions of this key, as long as the key is valid; None if it is not one
    of our keys."""
    caller = authenticate_key(plain)
    if caller is None:
        return None
    request.session.flush()  # an earlier session of another user must not continue
    request.session[SESSION_KEY] = api_keys.api_key_digest(plain)
    begin(request, client_address(request))
    rotate_token(request)
    return caller


def caller_of_session(session: Mapping[str, Any] | SessionBase | None) -> Caller | None:
    """The caller whose key was entered in this session; None if there is no key, or it is no longer valid."""
    digest = session.get(SESSION_KEY) if session is not None else None
    return _with_digest(digest) if isinstance(digest, str) else None


def caller_of_person(request: HttpRequest) -> Caller | None:
    """The visitor of a page as a caller: any visitor if the API is open, a user in a team, or the holder of
    an entered key."""
    if settings.API_IS_OPEN:
        return ANYBODY
    return caller_of_user(request.user) or caller_of_session(request.session)


def _with_digest(digest: str) -> Caller | None:
    now, mark = time.monotonic(), api_keys.change_mark()
    remembered = _found.get(digest)
    if remembered is not None and now < remembered.until and mark == remembered.mark:
        return remembered.caller
    try:
        key = api_keys.find_digest(digest)
    except DatabaseError:
        if remembered is None or mark != remembered.mark or now >= remembered.at_most:
            raise
        until = min(time.monotonic() + RETRY_AFTER, remembered.at_most)
        _remember(digest, msgspec.structs.replace(remembered, until=until))
        return remembered.caller
    if key is None:
        return None
    expires = math.inf
    if key.expires_at is not None:
        expires = now + (key.expires_at - timezone.now()).total_seconds()
    caller = Caller(f"key:{key.pk}", Rights((teams.grant_of(key.team),)), key.gate)
    noted = -math.inf if remembered is None else remembered.use_noted
    if now - noted >= api_keys.USE_INTERVAL.total_seconds():
        api_keys.note_use(key)
        noted = now
    until, at_most = min(now + REMEMBERED_FOR, expires), min(now + REMEMBERED_WHILE_AWAY, expires)
    _remember(digest, Remembered(caller, until, at_most, noted, mark))
    return caller


def _remember(digest: str, remembered: Remembered) -> None:
    with _lock:
        while len(_found) >= REMEMBERED_MAX:
            del _found[next(iter(_found))]
        _found[digest] = remembered


def forget() -> None:
    """Clear the cache of keys: the next request looks its key up."""
    with _lock:
        _found.clear()


def key_of(request: HttpRequest) -> str | None:
    """The key in a request, "" for an empty one, None if it has none."""
    plain = access.key_of(request.headers)
    return None if plain is None else text_of_header(plain)


def text_of_header(value: str) -> str:
    """Header bytes are decoded as Latin-1 but keys are hashed as UTF-8: without conversion, non-ASCII keys
    would never match. Invalid UTF-8 becomes surrogates, so that two different such keys stay different."""
    return value.encode("latin-1").decode("utf-8", "surrogateescape")


class OpenAuthentication(BaseAuthentication):
    """Accepts every caller of a supervisor without a key, except that pages of other sites cannot change
    anything."""

    def authenticate(self, request: Request) -> tuple[Caller, str] | None:
        """The single open caller; keys in the request are ignored."""
        if not settings.API_IS_OPEN:
            return None
        plain = request._request
        if plain.method not in SAFE_METHODS and not allowed_origin(
            plain.META.get("HTTP_ORIGIN"), plain.META.get("HTTP_HOST", "")
        ):
            raise PermissionDenied("Pages of other sites may not change anything (Origin header).")
        return ANYBODY, "open"


class KeyAuthentication(BaseAuthentication):
    """Authentication by API key."""

    def authenticate(self, request: Request) -> tuple[Caller, str] | None:
        """The caller; None passes the request on to the next method, but a wrong key is an error."""
        plain = key_of(request._request)
        if plain is None:
            return None
        caller = authenticate_key(plain)
        if caller is None:
            raise AuthenticationFailed
        return caller, "key"

    def authenticate_header(self, request: Request) -> str:
        """Makes the API answer 401 instead of 403."""
        return "Bearer"


class PersonAuthentication(SessionAuthentication):
    """By session cookie; every unsafe method also needs the CSRF token."""

    def authenticate(self, request: Request) -> tuple[Caller, str] | None:  # type: ignore[override]
        """The user of this session, or the holder of the key entered in it, as a caller."""
        plain = request._request
        caller = caller_of_user(getattr(plain, "user", None)) or caller_of_session(
            getattr(plain, "session", None)
        )
        if caller is None:
            return None
        self.enforce_csrf(request)
        return caller, SESSION

    def enforce_csrf(self, request: Request) -> None:
        """Read the token from the plain request: our views have no parsers that DRF could use."""
        super().enforce_csrf(request._request)  # type: ignore[arg-type]


def actor_of(user: User | AnonymousUser) -> str:
    """A user's name in the ordered log."""
    return f"user:{user.get_username()}"[:128]


def may(request: HttpRequest, right: str, event: str | None = None) -> bool:
    """Whether the user of an admin page has this right at an event; None: at all."""
    caller = caller_of_user(request.user)
    return caller is not None and caller.rights.may(right, event)


def rows_seen(request: HttpRequest, rows: QuerySet[Any], right: str) -> QuerySet[Any]:
    """Of these rows, which have an `event`, those that the user of an admin page may see: of the events at
    which it has this right. A user whom Django's own permissions let in sees all."""
    caller = caller_of_user(request.user)
    events = None if caller is None or not caller.rights.has(right) else caller.rights.events(right)
    return rows if events is None else rows.filter(event__in=events)


def caller_of_user(user: object) -> Caller | None:
    """A user as a caller; None if it is inactive, or in no team (deny by default)."""
    if not isinstance(user, User):
        return None
    rights = teams.rights_of(user)
    return Caller(actor_of(user), rights) if rights.grants else None


def require(caller: object) -> Caller:
    """The caller; raise unless there is one."""
    if not isinstance(caller, Caller):
        raise NotAuthenticated
    return caller
