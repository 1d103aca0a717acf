"""The gates that an event names, from which a steward chooses: one gate has one name in counts and history.

The platform's own: a scan may name another gate, and the log does not ask.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from dtvn.api.errors import InvalidRequest
from dtvn.machine.fields import NAME_LENGTH_MAX, is_text
from tickets.models import EventGate

GATES_MAX = 100


def gates_of(event: str) -> tuple[str, ...]:
    """The names, in the organiser's order; empty if the event names none."""
    return tuple(EventGate.objects.filter(event=event).values_list("name", flat=True))


def gates_by_event() -> dict[str, list[str]]:
    """Event -> the same, of all that name some."""
    found: dict[str, list[str]] = {}
    for event, name in EventGate.objects.values_list("event", "name"):
        found.setdefault(event, []).append(name)
    return found


def check_gates(names: Sequence[str]) -> None:
    """Raise InvalidRequest, with a sentence for people, unless an event may name these gates."""
    if len(names) > GATES_MAX:
        raise InvalidRequest(f"Gates: an event names at most {GATES_MAX}.")
    for name in names:
        if not is_text(name) or len(name) > NAME_LENGTH_MAX:
            raise InvalidRequest(
                f"Gates: {name[:NAME_LENGTH_MAX]!r} is not a name of at most {NAME_LENGTH_MAX} characters."
            )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidRequest(f"Gates: {twice!r} is in the list twice: leave one of them out.")


def set_gates(event: str, names: Sequence[str]) -> None:
    """Have the event name these gates, checked before, and no others."""
    with transaction.atomic():
        EventGate.objects.filter(event=event).delete()
        EventGate.objects.bulk_create(
            [EventGate(event=event, name=name, order=order) for order, name in enumerate(names)]
        )
