"""The interface of the process that the main loop runs: a node, or the learner."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from dtvn.ledger import NodeLedger
from dtvn.node.carried import Carried
from dtvn.node.journal import NodeJournal
from dtvn.protocol.host import Host

CONTRADICTION = "contradiction"
"""The state of a process that stopped because certificates exclude each other (R24), and its code for
questions that it no longer answers."""

DISK_FULL = "disk_full"
"""The state that a process reports while its disk is full (R8), and its code for questions that it cannot
answer then."""
FOLLOWING = "following"
"""The state of a node that has no vote, since it lost its ledger or is no member."""
WAITING = "waiting"
"""The state of a node that does not vote until enough other members (all of them if f = 0) have reported
which of its votes they hold (R11)."""


class Links(Protocol):
    """The interface of the transport that the loop uses."""

    def wait(self, timeout_ns: int) -> None:
        """Return when a frame waits or a connection changed, after `timeout_ns` at the latest."""


class Process(Protocol):
    """A node or learner with all its objects."""

    host: Host
    ledger: NodeLedger
    journal: NodeJournal
    logger: logging.Logger
    disk_full: bool
    """Set by the loop while the disk is full (R8)."""
    halted: str
    """Reason why the process has stopped permanently, set by the loop (R24); "" while it runs."""

    @property
    def links(self) -> Links:
        """Its transport."""

    @property
    def executed(self) -> int:
        """Last executed sequence."""

    def start(self) -> None:
        """Rebuild application and core from the ledger."""

    def restart(self) -> None:
        """Discard the dead core and build another from the ledger (R8)."""

    def introduce(self) -> None:
        """Log the process's identity and state once it runs."""

    def brief(self) -> dict[str, Any]:
        """A small, cheap status: state, view, sequence and so on."""

    def may_hand_over(self) -> bool:
        """Whether enough other members are linked for one of them to lead."""

    def give_way(self) -> None:
        """Rest if other members need the processor more; called at every turn."""

    def publish(self) -> None:
        """Publish the present metrics and status; called once a second."""

    def refresh(self) -> None:
        """Publish at once what cannot wait for `publish`; called at every turn, so it must be cheap."""

    def hand_over(self) -> Carried:
        """End with the epoch, and leave to the next epoch's process what it can go on with."""

    def close(self) -> None:
        """Release links, ledger and lock."""
