"""Limits guesses of one user's password from one address; never by address alone, since a venue is one.

Attempts are counted before the password is checked, in the platform's database: attempts at the same moment,
several web processes and restarts do not get more. Rows are bounded by ROWS_MAX, beyond which those of
locked-out subjects are deleted last. Only hashed passwords, and addresses of wrong keys, leave rows.

django-axes (8.3) was read and not taken: it counts after the hash, so all attempts at one moment pass; its
rows are bounded by no number; it answers without Retry-After; and it brings four tables. Throttles of DRF and
django-ratelimit count in Django's cache, which without a Redis is each process's own.
"""

from __future__ import annotations

import hashlib
import math
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.http import HttpRequest
from django.utils import timezone

from dtvn.api.errors import ServiceError
from validators.models import LoginAttempts
from validators.web.addresses import site_of

TRIES_MAX = 10
WINDOW = timedelta(minutes=5)
"""In a window that begins with the first attempt, TRIES_MAX attempts without success."""
ROWS_MAX = 10_000


class LoginThrottled(ServiceError):
    """Too many attempts; the password was not checked. `wait`: how long they are refused."""

    code, status = "too_many_logins", 429

    def __init__(self, wait: timedelta) -> None:
        seconds = max(1, math.ceil(wait.total_seconds()))
        minutes = math.ceil(seconds / 60)
        text = f"Too many attempts from here. Try again in {minutes} minute{'s' * (minutes > 1)}."
        super().__init__(text, headers={"Retry-After": str(seconds)})


def begin(subject: str) -> int:
    """Count an attempt of this subject before it is checked; returns its number in the window. Raises
    LoginThrottled, without writing anything."""
    known = LoginAttempts.objects.filter(pk=subject).first()
    if known is not None:
        _require_room(known, timezone.now())
    with transaction.atomic():
        now = timezone.now()
        row, made = LoginAttempts.objects.select_for_update().get_or_create(
            pk=subject, defaults={"since": now}
        )
        _require_room(row, now)
        if row.since <= now - WINDOW:
            row.tries, row.since = 0, now
        row.tries += 1
        row.save()
        if made:
            _prune(now, subject)
    return row.tries


def take_back(subject: str) -> None:
    """Uncount an attempt whose password was not checked; a subject without other attempts is forgotten."""
    LoginAttempts.objects.filter(pk=subject, tries__gt=0).update(tries=F("tries") - 1)
    LoginAttempts.objects.filter(pk=subject, tries=0).delete()


def succeed(subject: str) -> None:
    """Forget the attempts of a subject that logged in."""
    LoginAttempts.objects.filter(pk=subject).delete()


def subject_of(name: str, address: str) -> str:
    """The subject of a user name (or another word) and an address."""
    return hashlib.sha256(f"{name}\n{address}".encode("utf-8", "surrogatepass")).hexdigest()


def client_address(request: HttpRequest | None) -> str:
    """The client's address, of IPv6 its network; "" if unknown. Behind our proxy (`DTVN_HTTPS=1`) it is the
    last one in X-Forwarded-For: the proxy appends it, and a client can only write those before."""
    if request is None:
        return ""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "") if settings.BEHIND_PROXY else ""
    return site_of(str(request.META.get("REMOTE_ADDR") or ""), str(forwarded))


def _require_room(row: LoginAttempts, now: datetime) -> None:
    ends = row.since + WINDOW
    if row.tries >= TRIES_MAX and now < ends:
        raise LoginThrottled(ends - now)


def _prune(now: datetime, new: str) -> None:
    """Delete rows of ended windows, and those beyond ROWS_MAX: the oldest, but locked-out subjects last, and
    never the `new` one."""
    LoginAttempts.objects.filter(since__lte=now - WINDOW).delete()
    others = LoginAttempts.objects.exclude(pk=new).annotate(locked_out=Q(tries__gte=TRIES_MAX))
    beyond = others.order_by("-locked_out", "-since").values_list("pk", flat=True)[ROWS_MAX - 1 :]
    LoginAttempts.objects.filter(pk__in=list(beyond)).delete()
