"""Several followers in one process, as benchmarks.follower_group runs them, that may lie.

`python -m tests.integration.follower_group [--lies] [--often] FOLDER...`; with `--lies` they alter entries
that they pass on, with `--often` they report twenty times a second instead of once.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks import follower_group
from dtvn.node import heart
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.host import log_server

LIES = "--lies"
OFTEN = "--often"


def _altered(message: Callable[..., m.Entries]) -> Callable[..., m.Entries]:
    """The last entry of each range gets another result."""

    def lie(records: list[Any], checkpoint: tuple[bytes, ...]) -> m.Entries:
        if not records:
            return message(records, checkpoint)
        last = records[-1]
        entry = msgspec.structs.replace(last.entry, timestamp=last.entry.timestamp + 1)
        return message([*records[:-1], msgspec.structs.replace(last, entry=entry)], checkpoint)

    return lie


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    if LIES in sys.argv:
        log_server._message = _altered(log_server._message)
    if OFTEN in sys.argv:
        heart.BEAT_NS = 50_000_000
    sys.exit(follower_group.main([word for word in sys.argv[1:] if word not in (LIES, OFTEN)]))
