"""The Celery application: `celery -A validators.data_folder.celery worker -Q nodes`."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES

TRANSPORT_ALIASES["filesystem"] = "validators.data_folder.file_broker:Transport"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtvn_project.settings")

SEND_TIMEOUT = 3.0
"""Seconds for a connection to the broker, and again for its confirmation of a message."""

app = Celery("dtvn")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@contextmanager
def used_once(connection: Connection) -> Iterator[Connection]:
    """An established connection; after an error it is dropped without a message to the server, which may
    hang."""
    try:
        connection.ensure_connection(
            max_retries=1, interval_start=0, interval_step=0, timeout=connection.connect_timeout
        )
        yield connection
        connection.release()
    finally:
        connection.collect()


def send_task(name: str, arguments: Sequence[object], *, queue: str) -> None:
    """Hand a task to the broker, which has it when this returns; raise OperationalError if it accepts none.

    Each call makes a new connection: a restarted broker does not know an older one.
    """
    connection = app.connection_for_write(connect_timeout=SEND_TIMEOUT)
    try:
        with used_once(connection):
            app.send_task(
                name,
                arguments,
                queue=queue,
                connection=connection,
                retry=False,
                confirm_timeout=SEND_TIMEOUT,
            )
    except (*connection.connection_errors, *connection.channel_errors) as error:
        raise OperationalError(str(error) or type(error).__name__) from error
