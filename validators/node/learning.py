"""What every process that follows the log without a vote is built of: the learner, and a node that is no
member (R28, R36)."""

from __future__ import annotations

from tickets.machine import TicketApplication
from validators.consensus import Learner
from validators.consensus import config as consensus_config
from validators.consensus.membership import Membership
from validators.consensus.messages import Answer, Query
from validators.crossing import Crossing
from validators.genesis import Genesis, cluster_id
from validators.host import Host
from validators.node.clock import SystemClock
from validators.node.journal import NodeJournal
from validators.node.keyring import KeyRing
from validators.node.learner_transport import LearnerTransport
from validators.node.watcher import NodeWatcher
from validators.wire import Door, FrameSigner

__all__ = ["build_learner_host"]


def build_learner_host(
    genesis: Genesis,
    membership: Membership,
    *,
    journal: NodeJournal,
    links: LearnerTransport,
    watcher: NodeWatcher,
    searched: bool,
    crossing: Crossing | None = None,
) -> tuple[Learner, Host]:
    """A fresh learner of the epoch that `membership` names, and the host that runs it. `searched`: its rows
    are read by pages. `crossing`: of a node that may be a member in a later epoch."""
    cluster = cluster_id(genesis)
    application = TicketApplication(genesis, cluster, searched=searched)
    keys = KeyRing(application, membership)
    signer = FrameSigner(cluster, b"", keys)
    config = consensus_config.build(genesis, cluster, None, membership)
    core = Learner(config, signer, application)
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
