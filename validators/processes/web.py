"""The web process as a child of `up`: `python -m validators.processes.web DESCRIPTOR PARENT`.

It accepts from a listening socket that `up` made and keeps: while this process is replaced,
connections wait in the kernel's queue instead of being refused.
"""

import os
import sys
import time

from setproctitle import setproctitle

from dtvn_project import environment
from validators.processes import parent
from validators.processes.facts import SlotLock
from validators.processes.folder import DataFolder

NAME = "web"
GRACE = 5.0
"""Seconds from the loss of our parent until this process leaves by force."""
PARENTS_LAST_MOMENT = 0.5


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

    def last_words() -> None:
        """Whoever waits for the credentials must not find those of a network that is gone.

        We hear of our parent's death when the first of its threads dies; the last one takes a moment.
        """
        since = time.monotonic()
        while os.getppid() == parent_id and time.monotonic() - since < PARENTS_LAST_MOMENT:
            time.sleep(0.02)
        if os.getppid() != parent_id:
            folder.credentials.unlink(missing_ok=True)

    reactor.addSystemEventTrigger("before", "shutdown", last_words)  # type: ignore[attr-defined,arg-type]
    CommandLineInterface().run(
        ["--fd", str(descriptor), "--verbosity=0", "--no-server-name", "dtvn_project.asgi:application"]
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
