"""State changes to announce to browsers, each one, in order (0106), and desired states to reconcile."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from validators.data_folder.changes import note_change
from validators.data_folder.folder import DataFolder
from validators.models import Announcement

ANNOUNCEMENTS_KEPT = 2_000


def announce(**said: object) -> None:
    """Announce a change to browsers; the oldest announcements are deleted."""
    made = Announcement.objects.create(**said)
    if made.pk % 100 == 0:
        Announcement.objects.filter(pk__lte=made.pk - ANNOUNCEMENTS_KEPT).delete()


def desired_state_changed() -> None:
    """Have reconcile and the loop of membership changes look at once when this transaction is committed: from
    another host it takes a second."""
    transaction.on_commit(lambda: note_change(DataFolder(settings.DATA).desired_changes))
