"""A Celery worker as a child of `up`: `python -m validators.processes.worker NAME QUEUES SLOTS PARENT`.

The worker's main process only holds slots. The nodes are its pool children, forked from here with everything
imported, so that a node that died restarts quickly.
"""

import gc
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any

from celery import bootsteps, platforms, signals
from celery.exceptions import SecurityWarning
from celery.worker import state
from setproctitle import setproctitle

from dtvn.node import helper_process
from validators.data_folder import environment
from validators.data_folder.celery import app
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import SlotLock, process_lives
from validators.processes import broker_consumer, lost_workers, parent, roll_call, stopping

NODES = "validators"
"""Prefix of the names of workers that run validators."""
GRACE = 4.0
"""Seconds from the loss of our parent until this worker and its children exit by force."""
LOOK_INTERVAL = 0.5
"""Seconds between two checks for a free slot, for a broker that pushes messages."""
LIFE_INTERVAL = 0.5
"""Seconds between two heartbeats to `up`."""
STOP_INTERVAL = 0.25
"""Seconds between two checks whether to stop."""

_main_process = 0
"""Process id of the worker's main process, inherited by its forked children: one that asked for its parent's
id too late might get another."""


def main(name: str, queues: str, slots: int, parent_id: int) -> None:
    global _main_process
    _main_process = os.getpid()
    parent.follow(parent_id, grace=GRACE)
    folder = DataFolder(environment.data_folder())
    lock = SlotLock(folder.slot_lock(name))
    if not lock.take():
        sys.exit(f"{name} is already running on {folder.root}")
    # Before the imports, which take seconds on a busy machine: `up` takes the creation of the lock's file as
    # a heartbeat, and must not see silence after it.
    threading.Thread(target=_show_life_until_done, args=(lock,), daemon=True, name="life").start()
    if name.startswith(NODES):
        helper_process.begin_forks()
    signals.worker_shutting_down.connect(_on_shutting_down)
    # Celery would have each child killed with the thread that forked it: that of a replacement ends before
    # its process, and the death is reported as a fault and waited for. Asking costs 8 MB, a parser of C.
    platforms.set_pdeathsig = lambda name: None
    os.register_at_fork(before=_share_memory)  # Celery's signal is sent by one of its two pools only
    signals.worker_process_init.connect(_on_child_start)
    # Celery warns of running as root because of pickle, which our serializer never accepts.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # Django's checks import all pages and the whole of REST: a third of a worker's memory.
    os.environ["CELERY_SKIP_CHECKS"] = "1"
    app.loader.import_default_modules()
    app.steps["consumer"].update({OnlyIntoFreeSlots, roll_call.Answering})
    app.conf.worker_consumer = broker_consumer.BrokerConsumer
    broker_consumer.install_filter()
    lost_workers.install_filters()
    # Not worker_main: all commands of Celery, and a prompt for them, are a quarter of a worker's imports.
    celery = app.Worker(
        quiet=True,
        queues=queues,
        # No autoscale: its thread and the pool's own fill the same gaps, and when both do so at once they
        # fail (seen: no slot was replaced any more). `up` starts a further worker instead.
        concurrency=slots,
        hostname=f"{name}@{socket.gethostname()}",
        pool_cls="prefork",
        # A fresh process for each node: no database alias, socket context or process title of the
        # previous one.
        max_tasks_per_child=1,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel=logging.WARNING,
    )
    celery.start()
    sys.exit(celery.exitcode)


class OnlyIntoFreeSlots(bootsteps.StartStopStep):  # type: ignore[misc]
    """Accepts a start request only while this worker has a free slot. Celery prefetches as many as it has
    slots: a worker full of nodes then held requests, one after the other, for which another worker had
    room."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Called when reading from the queue begins: once per connection to the broker."""
        slots = consumer.pool.num_processes

        def has_room() -> bool:
            # Called at each look at the queue: only a full worker checks which of its processes have ended.
            reserved = state.reserved_requests
            return len(reserved) < slots or sum(map(_runs, list(reserved))) < slots

        qos = getattr(consumer.task_consumer.channel, "qos", None)
        if qos is None:
            _give_back(consumer, has_room)
            return
        may_consume = qos.can_consume
        qos.can_consume = lambda: has_room() and may_consume()


def _give_back(consumer: Any, has_room: Callable[[], bool]) -> None:
    """RabbitMQ pushes messages: those that arrive while no slot is free are returned to the queue, for
    another worker, and consumption is paused until a slot is free.

    It is not paused on the spot: `cancel` waits for an answer and processes deliveries before it, so a call
    made for one message would be made again, nested, for the next one.
    """
    reader = consumer.task_consumer

    def create_task_handler(*words: Any, **named: Any) -> Callable[[Any], None]:
        # Not the attribute: after a reconnection that is this function of the connection before.
        take = type(consumer).create_task_handler(consumer, *words, **named)

        def received(message: Any) -> None:
            if has_room():
                take(message)
                return
            message.requeue()
            consumer.hub.call_soon(reader.cancel)

        return received

    consumer.create_task_handler = create_task_handler
    consumer.timer.call_repeatedly(LOOK_INTERVAL, lambda: has_room() and reader.consume())


def _on_shutting_down(**_: Any) -> None:
    """The first signal of any kind begins the end; `up` makes sure that it does not take long.

    A second signal would make Celery kill the children that are shutting down their nodes.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    stopping.request()


def _show_life_until_done(lock: SlotLock) -> None:
    """Sends `up` heartbeats, which show that this process is not suspended; ends a warm shutdown once no task
    runs any more.

    Celery's own way to that end polls in several threads and takes five seconds (measured). Nothing is lost:
    tasks are acknowledged at their start and keep no results, and idle children end with us.
    """
    never, shown_at = threading.Event(), 0.0
    while not stopping.requested() or _task_runs():
        if time.monotonic() - shown_at >= LIFE_INTERVAL:
            lock.show_life()
            shown_at = time.monotonic()
        never.wait(0.1 if stopping.requested() else STOP_INTERVAL)
    # The pool's shared memory folder, which Celery's own slower shutdown would remove.
    shutil.rmtree(get_temp_dir(), ignore_errors=True)
    os._exit(0)


def _task_runs() -> bool:
    return any(map(_runs, list(state.active_requests)))


def _runs(request: Any) -> bool:
    """Whether a task still runs: Celery counts the task of a killed child as running for ten more seconds."""
    return request.worker_pid is None or process_lives(request.worker_pid)


def _share_memory() -> None:
    """Before each fork: a collection in a child would write to every page of the objects it inherits."""
    gc.collect()
    gc.freeze()


def _on_child_start(**_: Any) -> None:
    """In a pool child: end with the worker's main process, at once if there is no node to shut down.

    Celery sends SIGTERM to children whose one task is done, and an operator may send it to all processes: a
    child that dies of it is reported as a fault, and any handler that we set here is replaced. So an empty
    slot ignores the signal, and a node in its slot has its own handler (node_task).
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent.leave_when_idle(_main_process)
    setproctitle(f"dtvn idle slot ({Path(environment.data_folder())})")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
