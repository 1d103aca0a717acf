"""The web process as a child of `up`: `python -m validators.processes.web DESCRIPTOR PARENT`.

It accepts from a listening socket that `up` made and keeps: while this process is replaced,
connections wait in the kernel's queue instead of being refused.
"""

import os
import sys
import time
from functools import partial
from pathlib import Path

from setproctitle import setproctitle

from dtvn_project import environment
from validators.processes import parent
from validators.processes.facts import SlotLock
from validators.processes.folder import DataFolder

NAME = "web"
GRACE = 5.0
"""Seconds from the loss of our parent until this process leaves by force."""
PARENTS_LAST_MOMENT = 3.0
"""Seconds for the rest of a parent that dies: threads of it may wait for a slow disk."""


def main(descriptor: int, parent_id: int) -> None:
    parent.follow(parent_id, grace=GRACE)
    folder = DataFolder(environment.data_folder())
    if not SlotLock(folder.slot_lock(NAME)).take():
        sys.exit(f"{NAME} runs already on {folder.root}")
    setproctitle(f"dtvn web ({folder.root})")

    from daphne.cli import CommandLineInterface

    from validators.processes import body_limit, read_deadline

    body_limit.install()
    read_deadline.install()
    from twisted.internet import reactor

    last_words = partial(take_away, folder.credentials, parent_id)
    reactor.addSystemEventTrigger("before", "shutdown", last_words)  # type: ignore[attr-defined,arg-type]
    CommandLineInterface().run(
        ["--fd", str(descriptor), "--verbosity=0", "--no-server-name", "dtvn_project.asgi:application"]
    )


def take_away(credentials: Path, parent_id: int) -> None:
    """Whoever waits for the credentials must not find those of a network that is gone.

    We hear of our parent's death when the first of its threads dies; the last one takes a moment. A parent
    that ends in order has taken them away before it tells us.
    """
    since = time.monotonic()
    while credentials.exists() and time.monotonic() - since < PARENTS_LAST_MOMENT:
        if os.getppid() != parent_id:
            break
        time.sleep(0.02)
    if os.getppid() != parent_id:
        credentials.unlink(missing_ok=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
