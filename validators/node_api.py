"""`python -m validators.node_api CHANNEL LISTENER`: a node's API over its ledger in Django's models.

Two inherited descriptors; started by `dtvn.node.helper_process`. It ends when its channel does; the kernel
also kills it with its node, in case it hangs. With one descriptor, REQUESTS, it forks such helpers.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial

from setproctitle import setproctitle

from dtvn.api.helper.ledger import HelperLedger
from dtvn.api.helper.process import main
from dtvn.ledger import Location
from dtvn.node.helper_forks import Forks
from dtvn.node.parents_death import signal_at_parents_death
from validators.ledger.location import prepare_models


def open_reader(place: Location, founders: Sequence[str]) -> HelperLedger:
    """See OpenReader."""
    prepare_models()
    from validators.ledger.node_reader import NodeReader  # needs an initialised Django

    return NodeReader(place, founders)


def fork_helpers(requests: int) -> None:
    """Fork helpers on request, with all that they use imported."""
    import uvicorn.protocols.websockets.websockets_sansio_impl  # noqa: F401

    prepare_models()
    import validators.ledger.node_reader  # noqa: F401

    setproctitle("dtvn api helpers")
    Forks(socket.socket(fileno=requests), partial(main, open_reader)).run()


if __name__ == "__main__":
    if len(sys.argv) == 2:
        fork_helpers(int(sys.argv[1]))
    else:
        signal_at_parents_death(signal.SIGKILL)
        main(open_reader, int(sys.argv[1]), int(sys.argv[2]))
