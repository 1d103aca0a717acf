"""The common base of processes that follow the log without a vote: the learner, and a node that is not a
member (R28, R36)."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import zmq

from dtvn.ledger import NodeLedger
from dtvn.machine import TicketApplication
from dtvn.net.learner_transport import LearnerTransport
from dtvn.node.clock import SystemClock
from dtvn.node.journal import NodeJournal
from dtvn.node.keyring import KeyRing
from dtvn.node.process import CONTRADICTION, DISK_FULL
from dtvn.node.watcher import NodeWatcher
from dtvn.protocol.consensus import Learner
from dtvn.protocol.consensus import config as consensus_config
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Answer, Query
from dtvn.protocol.epochs.catch_up import EpochCatchUp
from dtvn.protocol.genesis import Genesis, cluster_id
from dtvn.protocol.host import Host
from dtvn.protocol.wire import Door, FrameSigner

__all__ = ["LearningProcess", "build_learner_host"]


class LearningProcess:
    """A Process that has no vote and accepts no connections. A subclass implements `_make_host`, and calls it
    once all attributes that it needs are set."""

    core: Learner
    host: Host
    journal: NodeJournal

    def __init__(
        self,
        *,
        ledger: NodeLedger,
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
        """Discard the dead core and build another (R8)."""
        self._make_host()
        self.host.start()

    def give_way(self) -> None:
        """Does nothing: readers wait for this process, so it does not rest."""

    def refresh(self) -> None:
        """See Process: a learning process is never primary and shows no metrics of its own."""

    @property
    def executed(self) -> int:
        """Last executed sequence."""
        return self.host.executed

    def _brief(self, name: str, state: str) -> dict[str, Any]:
        """The heartbeat's status; `state`: the state to report unless the disk is full or it has stopped."""
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
        """Write the rows, then release links, ledger and lock."""
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
    epoch_catch_up: EpochCatchUp | None = None,
    others: int = 0,
) -> tuple[Learner, Host]:
    """A new learner of the epoch of `membership`, and the host that runs it. `searched`: its rows serve
    pages. `epoch_catch_up`: that of a node that may be a member in a later epoch. `others`: see Learner."""
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
        epoch_catch_up=epoch_catch_up,
    )
    return core, host


def _refuse(query: Query) -> Answer:
    """Refuse a question: a learner accepts no connections, but a member that it dialled may ask."""
    return Answer(number=query.number, code="unavailable", text="")
