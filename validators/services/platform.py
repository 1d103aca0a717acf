"""Names of the Celery queues of this platform: several platforms may share a broker, so each has its own.
And what its web processes compare their secret keys by."""

from __future__ import annotations

import hashlib
import hmac

from dtvn.api.errors import Unavailable
from validators.models import Platform

NODES, DEFAULT, SIMULATIONS = "nodes", "default", "simulations"
"""What a queue is for: validators; the learner and short tasks; runs of the simulator."""
ID_CHARACTERS = 12
"""Of a platform's id in the names of its queues: 48 bits."""


def fingerprint(platform_id: str, secret_key: str) -> str:
    """What tells two secret keys apart and reveals neither: HMAC-SHA-256 under the key, 64 hex digits."""
    text = f"dtvn/v1/secret-key {platform_id}"
    return hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()


def queue_name(platform_id: str, purpose: str) -> str:
    """A queue of this platform."""
    return f"dtvn.{platform_id[:ID_CHARACTERS]}.{purpose}"


def own_queue(purpose: str) -> str:
    """A queue of the platform whose database this is. Raises Unavailable before its first start."""
    platform_id = Platform.objects.values_list("platform_id", flat=True).first()
    if platform_id is None:
        raise Unavailable("No platform was started on this database yet.")
    return queue_name(platform_id, purpose)
