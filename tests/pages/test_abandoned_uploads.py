"""The file of an abandoned import is deleted by the clock, though nobody opens a page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tickets import web_part
from tickets.importing.uploads import FILE_KEPT
from tickets.models import ImportState, TicketImport
from validators.web import parts

pytestmark = pytest.mark.django_db


def upload(age: timedelta) -> TicketImport:
    made = TicketImport.objects.create(
        file_name="guests.csv",
        content=b"name\nAda",
        actor="user:ada",
        token="t",
        state=ImportState.PREVIEW,
        heartbeat_at=timezone.now(),
    )
    TicketImport.objects.filter(pk=made.pk).update(created_at=timezone.now() - age)
    return made


def test_the_web_process_deletes_files_that_are_due() -> None:
    old, young = upload(FILE_KEPT + timedelta(minutes=1)), upload(FILE_KEPT - timedelta(minutes=1))
    web_part.sweep_once()
    old.refresh_from_db()
    young.refresh_from_db()
    assert (bytes(old.content), old.state) == (b"", ImportState.REFUSED)
    assert bytes(young.content) == b"name\nAda"


def test_the_sweep_begins_with_the_web_process() -> None:
    assert web_part in parts.parts()
