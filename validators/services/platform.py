"""Names of this platform's Celery queues, since several platforms may share a broker, and the fingerprint by
which its web processes compare their secret keys."""

from __future__ import annotations

import hashlib
import hmac

from dtvn.api.errors import Unavailable
from validators.models import Platform

NODES, DEFAULT, SIMULATIONS = "nodes", "default", "simulations"
"""Purposes of queues: validators; the learner and short tasks; runs of the simulator."""
ID_CHARACTERS = 12
"""Characters of a platform's id in the names of its queues: 48 bits."""


def fingerprint(platform_id: str, secret_key: str) -> str:
    """A text that differs for different secret keys and reveals none: HMAC-SHA-256 under the key, 64 hex
    digits."""
    text = f"dtvn/v1/secret-key {platform_id}"
    return hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()


def queue_name(platform_id: str, purpose: str) -> str:
    """Name of a platform's queue for this purpose."""
    return f"dtvn.{platform_id[:ID_CHARACTERS]}.{purpose}"


def own_queue(purpose: str) -> str:
    """Name of the queue of the platform whose database this is. Raises Unavailable before its first start."""
    platform_id = Platform.objects.values_list("platform_id", flat=True).first()
    if platform_id is None:
        raise Unavailable("No platform was started on this database yet.")
    return queue_name(platform_id, purpose)
