"""The Celery task of the import page."""

from __future__ import annotations

import logging

from django.db import DatabaseError, InterfaceError

from tickets.models import TicketImport
from validators.data_folder.celery import app, send_task
from validators.database_failures import is_outage
from validators.database_url import first_line
from validators.services.platform import DEFAULT, own_queue

NAME = "tickets.tasks.run_import"
logger = logging.getLogger("dtvn.imports")


@app.task(name=NAME)  # type: ignore[untyped-decorator]
def run_import(import_id: int, token: str) -> str:
    """Read a file of tickets, or issue them, in this worker slot. Without the database, the import's page
    offers after a while to start it again."""
    # Imported here: neither the workers nor the web process use them.
    from tickets.importing.work import work
    from validators.services.decide import batch

    try:
        actor = TicketImport.objects.filter(pk=import_id).values_list("actor", flat=True).first() or ""
        return work(import_id, token, lambda requests: batch(requests, actor=actor))
    except (DatabaseError, InterfaceError) as error:
        if not is_outage(error):
            raise
        logger.error("import %s ended: %s", import_id, first_line(error))
        return "database_away"


def send(import_id: int, token: str) -> None:
    """Ask a worker to run an import; raise OperationalError if the broker does not take the request."""
    send_task(NAME, (import_id, token), queue=own_queue(DEFAULT))
