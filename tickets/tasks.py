"""The Celery task of the import page."""

from __future__ import annotations

from typing import cast

from dtvn_project.celery import app
from tickets.importing.work import work
from tickets.models import TicketImport
from validators.services.decide import batch


@app.task(name="tickets.tasks.run_import")  # type: ignore[untyped-decorator]
def run_import(import_id: int, token: str) -> str:
    """Read a file of tickets, or issue them, in this worker slot."""
    actor = TicketImport.objects.filter(pk=import_id).values_list("actor", flat=True).first() or ""
    return work(import_id, token, lambda requests: batch(requests, actor=actor))


def send(import_id: int, token: str) -> None:
    """Ask a worker to run an import; raise OSError or OperationalError if none can be reached."""
    cast("object", run_import.apply_async((import_id, token), queue="default", retry=False))
