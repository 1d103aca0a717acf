"""Changes of state that browsers are told of: each one, in order (0106). Old ones are deleted."""

from __future__ import annotations

from validators.models import Announcement

__all__ = ["ANNOUNCEMENTS_KEPT", "announce"]

ANNOUNCEMENTS_KEPT = 2_000


def announce(**said: object) -> None:
    """Have browsers told of a change; the oldest announcements go."""
    made = Announcement.objects.create(**said)
    if made.pk % 100 == 0:
        Announcement.objects.filter(pk__lte=made.pk - ANNOUNCEMENTS_KEPT).delete()
