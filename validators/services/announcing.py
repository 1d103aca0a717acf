"""State changes to announce to browsers: each one, in order (0106). Old ones are deleted."""

from __future__ import annotations

from validators.models import Announcement

ANNOUNCEMENTS_KEPT = 2_000


def announce(**said: object) -> None:
    """Announce a change to browsers; the oldest announcements are deleted."""
    made = Announcement.objects.create(**said)
    if made.pk % 100 == 0:
        Announcement.objects.filter(pk__lte=made.pk - ANNOUNCEMENTS_KEPT).delete()
