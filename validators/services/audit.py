"""Records actions on the platform itself: logins, keys, users, starts and stops, settings, exports.

The ordered log names the actor of each operation on a ticket; these rows stand beside it, so REST does not
repeat operations here. Bulk actions in the admin are recorded, as one row each. Rows of people and
keys are never deleted here. Rows of unknown callers, which anyone can cause, are bounded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError

from dtvn.api.errors import ServiceError
from validators.ledger.outcomes import fitting
from validators.models import PlatformAction

logger = logging.getLogger("dtvn.audit")

UNKNOWN_MAX = 10_000
"""Rows of unknown callers; the oldest are deleted."""
PRUNE_EVERY = 100


def record(actor: str, action: str, target: str = "", outcome: str = "", address: str = "") -> PlatformAction:
    """Write one action; its texts are cut and made printable, so that none can make it fail. `actor`:
    user:NAME or key:NUMBER, "" for an unknown caller."""
    row = PlatformAction.objects.create(
        actor=fitting(actor, 128),
        action=fitting(action, 128),
        target=fitting(target, 256),
        outcome=fitting(outcome, 64),
        address=fitting(address, 45),
    )
    if not actor and row.pk % PRUNE_EVERY == 0:
        unknown = PlatformAction.objects.filter(actor="").order_by("-pk").values_list("pk", flat=True)
        if (last := unknown[UNKNOWN_MAX:].first()) is not None:
            PlatformAction.objects.filter(actor="", pk__lte=last).delete()
    return row


@contextmanager
def recorded(actor: str, action: str, target: str = "", address: str = "") -> Iterator[None]:
    """Record an action before it is carried out, so that none is missed, and then its outcome: ok, or the
    code of its error."""
    row = record(actor, action, target, address=address)
    try:
        yield
    except ServiceError as error:
        finish(row, error.code)
        raise
    except Exception:
        finish(row, "failed")
        raise
    finish(row, "ok")


def finish(row: PlatformAction, outcome: str) -> None:
    """Add the outcome to a recorded action. The action is done: if the database does not take its outcome,
    the log has it."""
    try:
        PlatformAction.objects.filter(pk=row.pk).update(outcome=outcome[:64])
    except DatabaseError as error:
        logger.error("outcome of platform action %s (%s): %s; not written: %s", row.pk, row, outcome, error)
