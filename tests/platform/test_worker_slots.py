"""A worker whose slots are all nodes leaves start requests to others (0107)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from celery.worker import state
from kombu import Connection, Consumer, Producer, Queue

from tests.integration import servers
from tests.needed import lacking
from tests.waiting import PATIENCE, wait_until
from validators.processes.worker import OnlyIntoFreeSlots


class Request:
    """A task that Celery has taken off the queue: `worker_pid` is known once a slot has begun it."""

    def __init__(self, worker_pid: int | None) -> None:
        self.worker_pid = worker_pid


class Worker:
    """Celery's consumer, as far as the step needs it; what is called soon is kept."""

    def __init__(self, reader: object, soon: list[Callable[[], Any]]) -> None:
        self.pool = SimpleNamespace(num_processes=1)
        self.task_consumer = reader
        self.hub = SimpleNamespace(call_soon=soon.append)
        self.timer = SimpleNamespace(call_repeatedly=lambda _interval, _look: None)
        self.taken: list[object] = []

    def create_task_handler(self) -> Callable[[object], None]:
        """Takes each message."""
        return self.taken.append


def test_a_worker_takes_as_many_requests_as_it_has_free_slots() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    running, begun, killed = Request(os.getpid()), Request(None), Request(ended.pid)
    with Connection("memory://") as connection:
        channel = connection.channel()
        pool = SimpleNamespace(num_processes=2)
        step = OnlyIntoFreeSlots(SimpleNamespace(steps=[]))
        step.start(SimpleNamespace(task_consumer=SimpleNamespace(channel=channel), pool=pool))
        seen = []
        try:
            for request in (None, running, killed, begun):
                if request is not None:
                    state.reserved_requests.add(request)
                seen.append(channel.qos.can_consume())
            state.reserved_requests.discard(begun)
            seen.append(channel.qos.can_consume())
        finally:
            for request in (running, begun, killed):
                state.reserved_requests.discard(request)
    assert seen == [True, True, True, False, True]


def test_a_worker_with_a_free_slot_looks_at_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr("validators.processes.worker.process_lives", lambda pid: looked.append(pid) or True)
    requests = [Request(7), Request(8)]
    with Connection("memory://") as connection:
        channel = connection.channel()
        step = OnlyIntoFreeSlots(SimpleNamespace(steps=[]))
        pool = SimpleNamespace(num_processes=2)
        step.start(SimpleNamespace(task_consumer=SimpleNamespace(channel=channel), pool=pool))
        try:
            state.reserved_requests.add(requests[0])
            assert (channel.qos.can_consume(), looked) == (True, [])
            state.reserved_requests.add(requests[1])
            assert (channel.qos.can_consume(), sorted(looked)) == (False, [7, 8])
        finally:
            for request in requests:
                state.reserved_requests.discard(request)


def test_many_reconnections_to_rabbitmq_make_taking_a_request_no_deeper() -> None:
    reader = SimpleNamespace(channel=SimpleNamespace())
    worker = Worker(reader, [])
    step = OnlyIntoFreeSlots(SimpleNamespace(steps=[]))
    for _ in range(2 * sys.getrecursionlimit()):
        step.start(worker)
    worker.create_task_handler()("request")
    assert worker.taken == ["request"]


def test_a_full_worker_gives_back_what_rabbitmq_sends_it() -> None:
    """Several at once: what is delivered while it says that it wants no more makes it not say so again."""
    if why := servers.missing():
        lacking(why)
    name, sent = f"dtvn-test-{uuid4().hex}", 20
    soon: list[Callable[[], Any]] = []
    begun = Request(os.getpid())
    with Connection(servers.RABBITMQ, connect_timeout=10) as connection:
        queue = Queue(name, channel=connection.default_channel, durable=False)
        queue.declare()
        for number in range(sent):
            Producer(connection.default_channel).publish(number, routing_key=name)
        reader = Consumer(connection.channel(), [queue])
        worker = Worker(reader, soon)
        state.reserved_requests.add(begun)
        try:
            OnlyIntoFreeSlots(SimpleNamespace(steps=[])).start(worker)
            reader.on_message = worker.create_task_handler()
            reader.consume()
            for _ in range(sent):
                if not soon:
                    connection.drain_events(timeout=PATIENCE)
            for call in soon:
                call()
            wait_until(
                lambda: queue.queue_declare(passive=True).message_count == sent, what="all are in the queue"
            )
        finally:
            state.reserved_requests.discard(begun)
            queue.delete()
