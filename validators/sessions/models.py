"""The table of sessions. Whoever reads it, or a copy of it, cannot continue a session: it holds the hashes of
their keys."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models


class Digest(str):
    """The hash of a session's key, as it stands in the table."""

    __slots__ = ()


def digest_of(key: str) -> Digest:
    """SHA-256 in hex; a key has 165 random bits, so it needs no salt."""
    return Digest(hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest())


class HashedKeyField(models.CharField):
    """Keeps and finds keys by their hash. A `Digest` is taken as it is; no cookie makes one."""

    def from_db_value(self, value: str | None, *_: Any) -> Digest | None:
        """See Django."""
        return None if value is None else Digest(value)

    def get_prep_value(self, value: Any) -> Any:
        """See Django."""
        value = super().get_prep_value(value)
        return value if value is None or isinstance(value, Digest) else digest_of(value)


class Session(AbstractBaseSession):
    """One session of a user or of a key."""

    session_key = HashedKeyField(max_length=64, primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    """None: of a key, or of nobody."""
    device = models.CharField(max_length=200, blank=True)
    """What the browser called itself at the login."""
    address = models.CharField(max_length=64, blank=True)
    began_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField()
    """Last use, to the minute."""
