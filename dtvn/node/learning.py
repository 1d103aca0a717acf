"""The common base of processes that follow the log without a vote: the learner, and a node that is not a
member (R28, R36)."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from dtvn import __version__
from dtvn.ledger import NodeLedger
from dtvn.machine import TicketApplication
from dtvn.machine.keyring import KeyRing
from dtvn.net import RelayTransport, public_key_of
from dtvn.node.carried import Carried
from dtvn.node.clock import SystemClock
from dtvn.node.epochs import make_epoch_catch_up, other_sources
from dtvn.node.feed_publisher import FeedPublisher
from dtvn.node.journal import NodeJournal
from dtvn.node.options import StartError
from dtvn.node.process import CONTRADICTION, DISK_FULL
from dtvn.node.watcher import NodeWatcher, line
from dtvn.overlay.tree import Tree
from dtvn.protocol import canonical
from dtvn.protocol.consensus import Learner
from dtvn.protocol.consensus import config as consensus_config
from dtvn.protocol.consensus.effects import Executed, Note
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Answer, Query
from dtvn.protocol.genesis import Genesis, Member, cluster_id, first_sequence
from dtvn.protocol.host import Host
from dtvn.protocol.log_time import log_time_ahead
from dtvn.protocol.versions import NEWEST
from dtvn.protocol.wire import Door, FrameSigner, one_in_64


class LearningProcess:
    """A Process that has no vote and accepts no connections."""

    core: Learner
    host: Host
    _context: zmq.Context[zmq.Socket[bytes]]
    searched = False
    """Whether its rows serve pages."""
    archive = False
    """Whether it keeps the log, whose exports, proofs and histories are read here, and takes a state only if
    no peer has the log any more."""

    listen: tuple[str, int] | None = None
    """(host, port) at which its own followers reach it; None: it has none."""

    def __init__(
        self,
        genesis: Genesis,
        membership: Membership,
        *,
        seed: bytes,
        spare: bytes | None = None,
        sources: Path,
        ledger: NodeLedger,
        journal: NodeJournal,
        notice: Callable[[Executed | Note], None],
        logger: logging.Logger,
        carried: Carried | None,
        publisher: FeedPublisher | None = None,
    ) -> None:
        """Dial the members of `membership` and those in the file `sources`, under the key `seed` (`spare`:
        see RelayTransport). `journal`: the ledger's; `notice` receives what the core executes and notes.
        `carried` comes from the epoch before; `publisher`: of its feed, which it closes. Raises StartError;
        the ledger stays open then."""
        others = _others_to_ask(sources, membership, logger)
        self._seeds = seed, spare
        self._link(membership.members + others, carried)
        self.links.version = membership.version
        self.genesis = genesis
        self.membership = membership
        self.cluster = cluster_id(genesis)
        self.ledger = ledger
        self.journal = journal
        self._publisher = publisher
        self.logger = logger
        self.watcher = NodeWatcher(logger, self.links.bad_frame, also=notice)
        self._others = len(others)
        self.disk_full = False
        self.halted = ""
        self.clock = SystemClock()
        self._started = time.time()
        self._is_carried = carried is not None
        self._make_host(None if carried is None else carried.application)

    def _link(self, members: tuple[Member, ...], carried: Carried | None) -> None:
        """Take over the links to these members, or open others."""
        seed, spare = self._seeds
        if carried is not None:
            links = carried.links
            if isinstance(links, RelayTransport) and links.keeps(seed, spare, self.listen):
                self._context, self.links = carried.context, links
                links.follow(members)
                return
            carried.close_links()
        self._context = zmq.Context()
        try:
            self.links = self._open_links(members)
        except BaseException as error:
            self._context.destroy(linger=0)
            if isinstance(error, OSError | ValueError | zmq.ZMQError):
                raise StartError(f"Its links cannot be opened: {error}.") from error
            raise

    def _open_links(self, members: tuple[Member, ...]) -> RelayTransport:
        seed, spare = self._seeds
        return RelayTransport(self._context, seed, members, spare=spare)

    def _make_host(self, application: TicketApplication | None = None) -> None:
        """Set `core` to a new learner of this epoch and `host` to what runs it, over this state or a new
        one."""
        if application is None:
            application = TicketApplication(self.genesis, self.cluster, searched=self.searched)
        keys = KeyRing(application, self.membership)
        signer = FrameSigner(self.cluster, b"", keys)
        config = consensus_config.build(self.genesis, self.cluster, None, self.membership)
        self.application = application
        sources = self._make_sources(config.n)
        self._up: tuple[int, ...] | None = None
        """The links of which this core was told."""
        self.core = Learner(config, signer, application, sources, others=self._others, archive=self.archive)
        before: Host | None = getattr(self, "host", None)
        self.host = Host(
            core=self.core,
            application=application,
            door=Door(
                self.cluster,
                keys,
                statements_max=config.statements_max,
                sampled=one_in_64(secrets.randbelow(64)),
            ),
            journal=self.journal,
            transport=self.links,
            clock=self.clock,
            signer=signer,
            watcher=self.watcher,
            epoch=config.epoch,
            epoch_catch_up=make_epoch_catch_up(self.genesis, self.membership, archive=self.archive),
            archive_from=first_sequence(self.genesis) if self.archive else None,
            **self._beside_core(),
        )
        if before is not None:
            self.host.heads.adopt(before.heads)

    def _make_sources(self, members: int) -> Tree:
        """Who brings the log: the members of the epoch, and those of a later one."""
        # Not all newcomers ask the same member first.
        start = 0 if self.archive else public_key_of(self._seeds[0])[0] % members
        return Tree(range(members + self._others), self.clock.now().monotonic, start=start)

    def _beside_core(self) -> dict[str, Any]:
        """Further arguments of the host."""
        return {"answer_query": _refuse}

    def start(self) -> None:
        """Rebuild the core from the ledger, and the application unless it was carried over."""
        self.host.start(carried=self._is_carried)

    def restart(self) -> None:
        """Discard the dead core and build another (R8)."""
        self._make_host()
        self.host.start()

    def may_hand_over(self) -> bool:
        """It leads nothing."""
        return False

    def give_way(self) -> None:
        """Tell the core which links are up. Readers wait for this process, so it does not rest."""
        up = self.links.up()
        if up != self._up:
            self._up = up
            self.core.links(up, self.clock.now().monotonic)

    def refresh(self) -> None:
        """See Process: a learning process is never primary and shows no metrics of its own."""

    @property
    def executed(self) -> int:
        """Last executed sequence."""
        return self.host.executed

    def _brief(self, name: str, state: str) -> dict[str, Any]:
        """The heartbeat's status; `state`: the state to report unless the disk is full or it has stopped."""
        log_time, wall = self.core.executor.timestamp, self.clock.now().wall // 1_000
        return {
            "node_id": name,
            "state": DISK_FULL if self.disk_full else CONTRADICTION if self.core.alarm else state,
            "voting": False,
            "view": self.core.view,
            "sequence": self.executed,
            "complete_from": self.host.complete_from,
            "peer_count": len(self.links.connected()),
            "log_time": log_time,
            "log_time_ahead": log_time_ahead(log_time, wall, self.core.config.drift_bound),
            "pid": os.getpid(),
            "started_at": int(self._started),
            "release": __version__,
            "newest": NEWEST,
        }

    def hand_over(self) -> Carried:
        """See Process."""
        return Carried(
            ledger=self.ledger,
            application=self.application,
            context=self._context,
            links=self.links,
            publisher=self._publisher,
        )

    def close(self) -> None:
        """Write the rows, then release links, feed, ledger and lock."""
        try:
            self.host.close()
        finally:
            self.links.close()
            self._context.destroy(linger=0)
            if self._publisher is not None:
                self._publisher.close()
            self.ledger.close()


def _refuse(query: Query) -> Answer:
    """Refuse a question: a learner accepts no connections, but a member that it dialled may ask."""
    return Answer(number=query.number, code="unavailable", text="")


def _others_to_ask(path: Path, membership: Membership, logger: logging.Logger) -> tuple[Member, ...]:
    """Further members that a following process may ask. The file is only a hint, so one that cannot be read
    is logged and ignored."""
    try:
        return other_sources(path, membership)
    except (OSError, canonical.CanonicalError) as error:
        logger.warning("%s", line("sources_not_read", {"reason": str(error)}))
        return ()
