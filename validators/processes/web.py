"""The web process as a child of `up`: `python -m validators.processes.web DESCRIPTOR PARENT`.

It accepts connections from a listening socket that `up` created and keeps: while this process is replaced,
connections wait in the kernel's queue instead of being refused.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from setproctitle import setproctitle

from dtvn.api.connections import CONNECTIONS_MAX, connections_within
from dtvn.waiting import look_until
from validators.data_folder import environment
from validators.data_folder.folder import DataFolder
from validators.data_folder.locks import SlotLock
from validators.processes import parent

NAME = "web"
FILES_EACH = 2
"""File descriptors of a connection: a long body waits in a file."""
GRACE = 5.0
"""Seconds from the loss of our parent until this process exits by force."""
PARENTS_LAST_MOMENT = 3.0
"""Seconds until all threads of a dying parent have ended: some may wait for a slow disk."""


def main(descriptor: int, parent_id: int) -> None:
    parent.follow(parent_id, grace=GRACE)
    folder = DataFolder(environment.data_folder())
    if not SlotLock(folder.slot_lock(NAME)).take():
        sys.exit(f"{NAME} is already running on {folder.root}")
    setproctitle(f"dtvn web ({folder.root})")
    serve(descriptor, before_end=partial(take_away, folder.credentials, parent_id), keeps_history=True)


def serve(
    descriptor: int, *, before_end: Callable[[], object] | None = None, keeps_history: bool = False
) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT. `keeps_history`: of cuts; one web process does."""
    from daphne.cli import CommandLineInterface

    from validators.web import body_limit, http_channel, parts, websocket_limit

    for bounded in (body_limit, http_channel, websocket_limit):
        bounded.install()
    http_channel.TimedChannel.room.most = connections_within(CONNECTIONS_MAX, files_each=FILES_EACH)
    from twisted.internet import reactor

    for begin in (keep_figures, partial(keep_watch, keeps_history=keeps_history), end_hashing, parts.begin):
        reactor.callWhenRunning(begin)  # type: ignore[attr-defined]
    if before_end is not None:
        reactor.addSystemEventTrigger("before", "shutdown", before_end)  # type: ignore[attr-defined,arg-type]
    server = CommandLineInterface()
    server.server_class = websocket_limit.BoundedServer
    largest = websocket_limit.MESSAGE_BYTES_MAX
    server.run(
        [
            *("--fd", str(descriptor), "--verbosity=0", "--no-server-name"),
            *(f"--websocket-max-message-size={largest}", f"--websocket-max-frame-size={largest}"),
            "dtvn_project.asgi:application",
        ]
    )


def keep_figures() -> None:
    """Sample the nodes' metrics until shutdown; called once Django is set up."""
    from twisted.internet import reactor

    from validators.figures_window import keep_sampling, sampler

    keep_sampling(DataFolder(environment.data_folder()).figures)
    reactor.addSystemEventTrigger("before", "shutdown", sampler.save)  # type: ignore[attr-defined,arg-type]


def keep_watch(*, keeps_history: bool) -> None:
    """Watch who hears whom; called once Django is set up."""
    from validators.network_watch.watch import keep_watching

    keep_watching(keeps_history=keeps_history)


def end_hashing() -> None:
    """Give up hashing the passwords that wait, at shutdown; called once Django is set up."""
    from twisted.internet import reactor

    from validators.services import hashing

    reactor.addSystemEventTrigger("before", "shutdown", hashing.pool.end)  # type: ignore[attr-defined,arg-type]


def take_away(credentials: Path, parent_id: int) -> None:
    """Removes the credentials file, so that no waiting program finds the credentials of a network that is
    gone.

    The signal of the parent's death arrives when the first of its threads dies; the last one takes a moment.
    A parent that ends in order removes the file before it signals us.
    """
    look_until(lambda: not credentials.exists() or os.getppid() != parent_id, PARENTS_LAST_MOMENT, pause=0.02)
    if os.getppid() != parent_id:
        credentials.unlink(missing_ok=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
