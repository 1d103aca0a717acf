"""Tries the broker that the environment names once before any process starts: one that cannot be used gives
one clear line, instead of processes that end and restart in a loop."""

from __future__ import annotations

from uuid import uuid4

from django.conf import settings
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.message import Message
from kombu.messaging import Consumer, Producer

from dtvn.node.options import StartError
from validators.data_folder import environment
from validators.data_folder.celery import used_once
from validators.data_folder.folder import DataFolder
from validators.processes import roll_call
from validators.services.platform import queue_name

PATIENCE = 3.0
"""Seconds for a connection and its greeting, and again for each of the calls."""


def check_servers(alone: DataFolder | None = None) -> None:
    """Raise StartError if the broker cannot be used now, or workers of another run of the platform in the
    folder `alone` are there. The database is checked by the migration."""
    if roll_call.is_server(settings.CELERY_BROKER_URL):
        check_broker(settings.CELERY_BROKER_URL, settings.CELERY_BROKER_TRANSPORT_OPTIONS, alone)


def check_broker(url: str, options: dict[str, object], alone: DataFolder | None = None) -> None:
    """Do with Celery's own client what senders and workers do; raise StartError, as check_servers.

    `options` are the transport's.
    """
    try:
        with used_once(Connection(url, connect_timeout=PATIENCE, transport_options=options)) as connection:
            _use(connection)
            if alone is not None:
                roll_call.refuse_if_answered(connection, alone)
    except StartError:
        raise
    except Exception as error:  # every transport has errors of its own
        raise StartError(
            f"CELERY_BROKER_URL={environment.without_password(url)}: {_reason(error)}"
        ) from error


def _use(connection: Connection) -> None:
    """Publish to a queue of this call alone and consume from it. Its name begins like those of our tasks, for
    which a broker may have permissions."""
    channel = connection.default_channel
    queue = Queue(queue_name(uuid4().hex, "check"), exclusive=True, auto_delete=True)(channel)
    queue.declare()
    channel.basic_qos(0, 1, False)
    try:
        Producer(channel).publish({}, routing_key=queue.name, timeout=PATIENCE, confirm_timeout=PATIENCE)
    except TimeoutError as error:
        raise TimeoutError("it takes no messages; is it short of memory or disk?") from error
    received: list[Message] = []
    with Consumer(channel, [queue], on_message=received.append):
        while not received:
            connection.drain_events(timeout=PATIENCE)
        received[0].ack()


def _reason(error: Exception) -> str:
    if isinstance(error, ValueError):  # its message may contain the URL with its password
        return "not a valid address"
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
