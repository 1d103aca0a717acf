"""Records what a command on this machine does with tickets as a platform action."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import BaseCommand
from django.db import DatabaseError

from validators.management.teaching import ACTOR


@contextmanager
def recorded(command: BaseCommand, action: str, target: str) -> Iterator[None]:
    """Record an action and its outcome. A platform's database that takes no row is told and hinders nothing:
    the lists are for a night on which much is down."""
    from validators.services import audit  # imports models

    try:
        row = audit.record(ACTOR, action, target)
    except DatabaseError as error:
        command.stderr.write(f"Not recorded among the platform actions: {error}.")
        yield
        return
    outcome = "failed"
    try:
        yield
        outcome = "ok"
    finally:
        audit.finish(row, outcome)
