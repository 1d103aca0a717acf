"""The Celery task of the import page."""

from __future__ import annotations

from dtvn_project.celery import app, send_task
from tickets.importing.work import work
from tickets.models import TicketImport
from validators.services.decide import batch
from validators.services.platform import DEFAULT, own_queue

NAME = "tickets.tasks.run_import"


@app.task(name=NAME)  # type: ignore[untyped-decorator]
def run_import(import_id: int, token: str) -> str:
    """Read a file of tickets, or issue them, in this worker slot."""
    actor = TicketImport.objects.filter(pk=import_id).values_list("actor", flat=True).first() or ""
    return work(import_id, token, lambda requests: batch(requests, actor=actor))


def send(import_id: int, token: str) -> None:
    """Ask a worker to run an import; raise OperationalError if the broker does not take the request."""
    send_task(NAME, (import_id, token), queue=own_queue(DEFAULT))
