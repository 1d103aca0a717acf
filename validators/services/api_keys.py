"""Make, find and revoke API keys. The plain key exists once, in the answer to whoever made it."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from validators.models import ApiKey

PREFIX_LENGTH = 9
ALL_SCOPES = ("issue", "operate", "gate", "admin")


def generate_api_key() -> str:
    """A new random key: 256 bits after a mark by which scanners for leaked secrets know it."""
    return f"dtvn_{secrets.token_urlsafe(32)}"


def store_api_key(
    plain: str, *, label: str, scopes: Sequence[str] = ALL_SCOPES, expires_at: datetime | None = None
) -> ApiKey:
    """Remember a key by its hash; the same key stored twice is one row."""
    key, _ = ApiKey.objects.get_or_create(
        digest=api_key_digest(plain),
        defaults={
            "label": label,
            "prefix": plain[:PREFIX_LENGTH],
            "scopes": list(scopes),
            "expires_at": expires_at,
        },
    )
    return key


def find_api_key(plain: str) -> ApiKey | None:
    """The usable key that this text is, or None. Compares hashes only, so timing tells nothing."""
    return ApiKey.objects.usable().filter(digest=api_key_digest(plain)).first()


def revoke_api_key(key: ApiKey) -> None:
    """End a key now; it stays listed."""
    ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())


def api_key_digest(plain: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
