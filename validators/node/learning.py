"""What every process that follows the log without a vote is built of: the learner, and a node that is no
member (R28, R36)."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import zmq

from tickets.machine import TicketApplication
from validators.consensus import Learner
from validators.consensus import config as consensus_config
from validators.consensus.membership import Membership
from validators.consensus.messages import Answer, Query
from validators.crossing import Crossing
from validators.genesis import Genesis, cluster_id
from validators.host import Host
from validators.ledger import Ledger
from validators.node.clock import SystemClock
from validators.node.journal import NodeJournal
from validators.node.keyring import KeyRing
from validators.node.learner_transport import LearnerTransport
from validators.node.process import CONTRADICTION, DISK_FULL
from validators.node.watcher import NodeWatcher
from validators.wire import Door, FrameSigner

__all__ = ["LearningProcess", "build_learner_host"]


class LearningProcess:
    """A Process that has no vote and is dialled by nobody. Who derives from it makes its host, and calls
    `_make_host` when all that it is made of is there."""

    core: Learner
    host: Host
    journal: NodeJournal

    def __init__(
        self,
        *,
        ledger: Ledger,
        links: LearnerTransport,
        context: zmq.Context[zmq.Socket[bytes]],
        logger: logging.Logger,
    ) -> None:
        self.ledger = ledger
        self.links = links
        self.logger = logger
        self.disk_full = False
        self.halted = ""
        self._context = context
        self._started = time.time()

    def _make_host(self) -> None:
        """Set `core` and `host` to new ones."""
        raise NotImplementedError

    def start(self) -> None:
        """Rebuild application and core from the ledger."""
        self.host.start()

    def restart(self) -> None:
        """Throw the dead core away and build another (R8)."""
        self._make_host()
        self.host.start()

    def give_way(self) -> None:
        """Whoever reads waits for it."""

    def refresh(self) -> None:
        """See Process: it leads nothing and shows no metrics of its own."""

    @property
    def executed(self) -> int:
        """Last executed sequence."""
        return self.host.executed

    def _brief(self, name: str, state: str) -> dict[str, Any]:
        """The heartbeat's status; `state`: while its disk has room."""
        return {
            "node_id": name,
            "state": DISK_FULL if self.disk_full else CONTRADICTION if self.core.alarm else state,
            "voting": False,
            "view": self.core.view,
            "sequence": self.executed,
            "peer_count": len(self.links.connected()),
            "pid": os.getpid(),
            "started_at": int(self._started),
        }

    def close(self) -> None:
        """Write the rows, then let go of links, ledger and lock."""
        try:
            self.host.close()
        finally:
            self.links.close()
            self._context.destroy(linger=0)
            self.ledger.close()


def build_learner_host(
    genesis: Genesis,
    membership: Membership,
    *,
    journal: NodeJournal,
    links: LearnerTransport,
    watcher: NodeWatcher,
    searched: bool,
    crossing: Crossing | None = None,
    others: int = 0,
) -> tuple[Learner, Host]:
    """A fresh learner of the epoch that `membership` names, and the host that runs it. `searched`: its rows
    are read by pages. `crossing`: of a node that may be a member in a later epoch. `others`: see Learner."""
    cluster = cluster_id(genesis)
    application = TicketApplication(genesis, cluster, searched=searched)
    keys = KeyRing(application, membership)
    signer = FrameSigner(cluster, b"", keys)
    config = consensus_config.build(genesis, cluster, None, membership)
    core = Learner(config, signer, application, others=others)
    host = Host(
        core=core,
        application=application,
        door=Door(cluster, keys, statements_max=config.statements_max),
        journal=journal,
        transport=links,
        clock=SystemClock(),
        signer=signer,
        watcher=watcher,
        answer_query=_refuse,
        epoch=config.epoch,
        crossing=crossing,
    )
    return core, host


def _refuse(query: Query) -> Answer:
    """Nobody dials a learner; a member that asks nevertheless is told so."""
    return Answer(number=query.number, code="unavailable", text="")
