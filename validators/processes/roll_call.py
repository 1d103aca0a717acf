"""One run of a platform per broker: a copy of a platform has its id, and so its queues, but a database of its
own, where no lease tells of the original. Before its own workers exist, `up` asks at the broker; a worker of
another run answers.

Not Celery's remote control, by which any client of the broker may end workers. The question is an ordinary
message, for a fanout needs permissions that tasks do not.
"""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

from celery import bootsteps
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.message import Message
from kombu.messaging import Consumer, Producer

from dtvn.node.options import StartError
from validators.data_folder import environment
from validators.data_folder.addresses import FILE_BROKER
from validators.data_folder.folder import DataFolder

ANSWERED_WITHIN = 1.0
"""Seconds in which a worker answers: its main process does nothing else that takes long."""


def refuse_if_answered(connection: Connection, folder: DataFolder) -> None:
    """Raise StartError if workers of this folder's platform answer. They are not ours: `up` has awaited the
    end of those in its folder."""
    if not folder.platform_id():
        return
    channel = connection.default_channel
    questions = questions_queue(folder)(channel)
    questions.declare()
    questions.purge()  # of a run that ended before it had an answer
    answers = Queue(f"{questions.name}.{uuid4().hex}", exclusive=True, auto_delete=True)(channel)
    answers.declare()
    received: list[Message] = []
    with Consumer(channel, [answers], on_message=received.append, no_ack=True):
        Producer(channel).publish({}, routing_key=questions.name, reply_to=answers.name)
        try:
            while not received:
                connection.drain_events(timeout=ANSWERED_WITHIN)
        except TimeoutError:
            questions.purge()
            return
    told = received[0].payload
    raise StartError(
        f"this platform runs on {told['host']} with the data folder {told['folder']}: its workers answer at "
        "the broker; stop it there, or set CELERY_BROKER_URL to another broker, virtual host or Redis number"
    )


def is_server(url: str) -> bool:
    """Whether the broker is a server, which several platforms may use, and not files in a folder."""
    return not url.startswith(f"{FILE_BROKER}:")


def questions_queue(folder: DataFolder) -> Queue:
    """Where the workers of this folder's platform are asked."""
    from validators.services.platform import queue_name  # a worker loads the models later

    return Queue(queue_name(folder.platform_id(), "who"))


class Answering(bootsteps.ConsumerStep):  # type: ignore[misc]
    """Part of a worker: answers such questions, on a channel of its own, however full the worker is."""

    def include_if(self, parent: Any) -> bool:
        """Whether this worker has the step at all."""
        return is_server(parent.app.conf.broker_url)

    def get_consumers(self, channel: Any) -> list[Consumer]:
        """Called once per connection to the broker."""
        questions = questions_queue(DataFolder(environment.data_folder()))
        return [Consumer(channel, [questions], on_message=_answer, no_ack=True)]


def _answer(message: Message) -> None:
    told = {"host": os.uname().nodename, "folder": str(environment.data_folder())}
    if asker := message.properties.get("reply_to"):
        Producer(message.channel).publish(told, routing_key=asker)
