"""What the main loop needs of the process that it keeps alive: a node, or the learner."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from validators.host import Host
from validators.ledger import Ledger
from validators.node.journal import NodeJournal

__all__ = ["CONTRADICTION", "DISK_FULL", "WAITING", "Links", "Process"]

CONTRADICTION = "contradiction"
"""The state of a process that stopped because certificates exclude each other (R24), and its code for what it
answers no more."""

DISK_FULL = "disk_full"
"""The state that a process says it is in while its disk has no room (R8), and its code for questions that it
cannot answer then."""
WAITING = "waiting"
"""The state of a node that votes when enough others, or where f = 0 all, have shown which of its votes they
hold (R11)."""


class Links(Protocol):
    """The transport's side towards the loop."""

    def wait(self, timeout_ns: int) -> None:
        """Return when a frame waits or a connection changed, after `timeout_ns` at the latest."""


class Process(Protocol):
    """An assembled node or learner."""

    host: Host
    ledger: Ledger
    journal: NodeJournal
    logger: logging.Logger
    disk_full: bool
    """Set by the loop while the disk has no room (R8)."""
    halted: str
    """Why it goes no further, set by the loop (R24); "" while it does."""

    @property
    def links(self) -> Links:
        """Its transport."""

    @property
    def executed(self) -> int:
        """Last executed sequence."""

    def start(self) -> None:
        """Rebuild application and core from the ledger."""

    def restart(self) -> None:
        """Throw the dead core away and build another from the ledger (R8)."""

    def introduce(self) -> None:
        """Log who this is, once it runs."""

    def brief(self) -> dict[str, Any]:
        """Small, cheap status: state, view, sequence, ..."""

    def give_way(self) -> None:
        """Called at every turn: rest where others need the processor more."""

    def publish(self) -> None:
        """Show metrics as of now; called once a second."""

    def refresh(self) -> None:
        """Show at once what cannot wait for that second; called at every turn, so it must be cheap."""

    def close(self) -> None:
        """Let go of links, ledger and lock."""
