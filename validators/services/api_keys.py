"""Create, find and revoke API keys. The plain key exists only once, in the answer to the request that created
it."""

import hashlib
import logging
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from validators.data_folder import changes
from validators.data_folder.folder import DataFolder
from validators.models import ApiKey, Team

logger = logging.getLogger("dtvn.keys")

PREFIX_LENGTH = 9
USE_INTERVAL = timedelta(minutes=1)


def generate_api_key() -> str:
    """A new random key: 256 bits after a prefix by which scanners for leaked secrets recognise it."""
    return f"dtvn_{secrets.token_urlsafe(32)}"


def store_api_key(
    plain: str,
    *,
    label: str,
    team: Team,
    expires_at: datetime | None = None,
    made_by: str = "",
    gate: str = "",
) -> ApiKey:
    """Store a key by its hash; storing the same key twice gives one row. `made_by`: the actor who made a
    steward's link of it; `gate`: that of its scans, "" for the one that they name."""
    key, _ = ApiKey.objects.get_or_create(
        digest=api_key_digest(plain),
        defaults={
            "label": label,
            "prefix": plain[:PREFIX_LENGTH],
            "team": team,
            "expires_at": expires_at,
            "made_by": made_by,
            "gate": gate,
        },
    )
    return key


def find_api_key(plain: str) -> ApiKey | None:
    """The usable key with this plain text, or None. Compares hashes only, so timing reveals nothing."""
    return find_digest(api_key_digest(plain))


def find_digest(digest: str) -> ApiKey | None:
    """The usable key with this hash, or None."""
    return ApiKey.objects.usable().select_related("team").filter(digest=digest).first()


def note_use(key: ApiKey) -> None:
    """Write when a key was last used, at most once in USE_INTERVAL over all processes. If the database does
    not take it, the use stays unwritten: a caller must not be refused for that."""
    now = timezone.now()
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - USE_INTERVAL)
    try:
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)
    except DatabaseError as error:
        logger.warning("the last use of key %s was not written: %s", key.pk, error)


def gates_of_keys(actors: Collection[str]) -> dict[str, str]:
    """Actor -> the gate that its key is bound to, of those that are."""
    numbers = [int(name.removeprefix("key:")) for name in actors if re.fullmatch("key:[0-9]{1,18}", name)]
    bound = ApiKey.objects.filter(pk__in=numbers).exclude(gate="").values_list("pk", "gate")
    return {f"key:{number}": gate for number, gate in bound}


def revoke_api_key(key: ApiKey) -> bool:
    """Revoke a key now, in every process of this data folder; it stays listed. Returns False if it was
    revoked before: the time of that stays."""
    active = ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True)
    revoked = active.update(revoked_at=timezone.now()) > 0
    transaction.on_commit(tell_of_change)
    return revoked


def tell_of_change() -> None:
    """Make every process that caches keys look them up again: called once the change can be read."""
    changes.note_change(_key_changes(settings.DATA))


def change_mark() -> tuple[int, int]:
    """Changes with every `tell_of_change`; costs one stat call."""
    return changes.change_mark(_key_changes(settings.DATA))


@lru_cache(maxsize=4)
def _key_changes(data: Path) -> Path:
    return DataFolder(data).key_changes


def api_key_digest(plain: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()
