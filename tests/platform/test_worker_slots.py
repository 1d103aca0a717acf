"""A worker whose slots are all nodes leaves start requests to others (0107)."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

from celery.worker import state
from kombu import Connection

from validators.processes.worker import OnlyIntoFreeSlots


class Request:
    """A task that Celery has taken off the queue: `worker_pid` is known once a slot has begun it."""

    def __init__(self, worker_pid: int | None) -> None:
        self.worker_pid = worker_pid


def test_a_worker_takes_what_it_has_a_slot_for() -> None:
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
