"""The composition root: where a node's or a learner's objects are made and joined. Nothing else builds.

Order of a node's start: key, genesis, ledger (under its lock), context and sockets, core restored from
the ledger, and only then does it listen to peers. Made after fork, in the process that runs it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import zmq
from nacl import bindings

from tickets.machine import TicketApplication
from validators import genesis as g
from validators import quorum
from validators.consensus import Replica
from validators.consensus import config as consensus_config
from validators.consensus.effects import Executed, Note
from validators.consensus.membership import Alive, Membership
from validators.consensus.verified import VerifiedBundle
from validators.host import Halted, Host, TurnLost
from validators.ledger import Ledger, Location, open_ledger
from validators.link import KeyFileError, read_seed
from validators.node.api_helper import ApiHelper
from validators.node.clock import SystemClock
from validators.node.continuing import begin
from validators.node.courtesy import Courtesy
from validators.node.discovery import AddressBook, Discovery
from validators.node.epochs import as_genesis, make_crossing, membership_of, own_place
from validators.node.follower import Follower, word_of_life
from validators.node.inspect import Inspector
from validators.node.journal import NodeJournal
from validators.node.keyring import KeyRing
from validators.node.keys import VotedStamp
from validators.node.layout import NodeFolder
from validators.node.metrics import Exporter, Figures, MeteredTransport
from validators.node.options import NodeOptions, StartError, read_genesis
from validators.node.process import CONTRADICTION, DISK_FULL, WAITING
from validators.node.promise import check_promise
from validators.node.transport import ZmqTransport
from validators.node.watcher import NodeWatcher, line
from validators.wire import Door, FrameSigner

__all__ = ["Node", "build_node", "ledger_location"]


FIRST_WORD_TIMEOUTS = 6
"""Base timeouts that a node which just started waits for its primary's first word: 4.8 s by default."""
ROWS_LAG = 40_000_000
"""Nanoseconds that a node gathers state rows for one transaction (R9 allows 100 ms); people read the
learner's rows, which wait for nothing."""


class Node:
    """Everything of one node process. `start` makes a host; `restart` another after a lost turn (R8)."""

    def __init__(
        self,
        *,
        genesis: g.Genesis,
        membership: Membership,
        index: int,
        seed: bytes,
        inherited: tuple[VerifiedBundle, ...],
        ledger: Ledger,
        folder: NodeFolder,
        stamp: VotedStamp,
        context: zmq.Context[zmq.Socket[bytes]],
        transport: ZmqTransport,
        exporter: Exporter,
        api: ApiHelper | None,
        options: NodeOptions,
        logger: logging.Logger,
    ) -> None:
        self.founding = genesis
        self.membership = membership
        self.genesis = as_genesis(genesis, membership)
        self.index = index
        self.id = membership.members[index].id
        self.cluster = g.cluster_id(genesis)
        self._folder = folder
        self.ledger = ledger
        self.exporter = exporter
        self._api = api
        self._shown_role = (-1, False)
        self._options = options
        self.figures = Figures([member.id for member in genesis.members], index)
        self._courtesy = Courtesy()
        self.journal = NodeJournal(ledger, stamp, self.figures, self._courtesy)
        self.transport = transport
        self.logger = logger
        self.watcher = NodeWatcher(logger, transport.bad_frame, also=self._notice)
        self.clock = SystemClock()
        keys = {member.id: member.public_key for member in membership.members}
        self.book = AddressBook(self.cluster, keys, self.id)
        self.discovery = Discovery(self.book, cluster=self.cluster, own=self.id, seed=seed, keys=keys)
        self.inspector = Inspector(self)
        self.disk_full = False
        self.halted = ""
        self._inherited = inherited
        self._seed = seed
        self._next_key_trouble = ""
        self._principals = -1
        self._secret = bindings.crypto_sign_seed_keypair(seed)[1]
        self._context = context
        self._make_host()

    def start(self) -> None:
        """Load the ledger and rebuild application and core from it; raise TurnLost or JournalError."""
        try:
            self.host.start()
        except TurnLost as lost:
            if isinstance(lost.__cause__, Halted):
                self._meet()  # so that it can be asked why it stands
            raise
        self._meet()

    def _meet(self) -> None:
        """Let others connect, and look for them."""
        self._admit()
        addresses = self.transport.addresses()
        named = [self.founding.members[index].id for index in self._options.addresses]
        self.discovery.begin(self.transport.address, addresses, [name for name in named if name in addresses])

    def restart(self) -> None:
        """Throw the dead core away and build another from the ledger (R8)."""
        self.figures.rebuilds += 1
        self._make_host()
        self.host.start()
        self._admit()

    def _make_host(self) -> None:
        self.application = TicketApplication(self.founding, self.cluster)
        keys = KeyRing(self.application, self.membership)
        signer = FrameSigner(self.cluster, self._secret, keys)
        config = consensus_config.build(self.founding, self.cluster, self.id, self.membership)
        self.journal.owner = None if config.index is None else (config.epoch, config.index)
        config = msgspec.structs.replace(config, first_word=FIRST_WORD_TIMEOUTS * config.timeout_base)
        if self._options.status_idle:
            config = msgspec.structs.replace(config, status_idle=self._options.status_idle)
        self.core = Replica(config, signer, self.application, self.ledger.voting, self._inherited)
        self._inherited = ()
        self.host = Host(
            core=self.core,
            application=self.application,
            door=Door(
                self.cluster,
                keys,
                statements_max=config.statements_max,
                remembered_max=self._options.remembered_max,
            ),
            journal=self.journal,
            transport=MeteredTransport(self.transport, self.figures),
            clock=self.clock,
            signer=signer,
            watcher=self.watcher,
            answer_query=self.inspector.answer,
            rows_lag=ROWS_LAG,
            epoch=config.epoch,
            crossing=make_crossing(self._folder, self.founding, self.membership),
            elsewhere=self.transport.addresses,
        )

    def introduce(self) -> None:
        """Log who this is, once it runs."""
        status = self.inspector.status()
        keys = ("node_id", "peer_id", "endpoint", "view", "sequence", "members", "liars_tolerated", "state")
        self.logger.info("%s", line("started", {key: status[key] for key in keys}))
        if status["note"]:
            fields = {"members": status["members"], "note": status["note"]}
            self.logger.warning("%s", line("crash_only", fields))
        if status["continues"]:
            self.logger.warning("%s", line("continued", {"cluster": status["continues"]}))
        if self.core.pinging.vouched:
            text = "the operator's word; it holds until the next stable checkpoint"
            self.logger.warning("%s", line("others_are_gone", {"reason": text}))
        if not (self.voting or self.core.pinging.holding):
            self.logger.error("%s", line("follower", {"reason": self.voting_reason}))

    def brief(self) -> dict[str, Any]:
        """The heartbeat's status."""
        return self.inspector.brief()

    @property
    def links(self) -> ZmqTransport:
        """Its transport."""
        return self.transport

    @property
    def view(self) -> int:
        """View this replica is in."""
        return self.core.views.view

    @property
    def executed(self) -> int:
        """Last executed sequence."""
        return self.host.executed

    @property
    def voting(self) -> bool:
        """False: it follows, waits for others (R11), has stopped (R24), or its disk is full (R8)."""
        if self.halted or self.disk_full:
            return False
        return self.core.voting and not self.core.pinging.holding

    @property
    def awaited(self) -> list[str]:
        """Members for whose word it waits before it votes (R11, f = 0)."""
        return [self.membership.members[index].id for index in self.core.pinging.awaited]

    @property
    def voting_reason(self) -> str:
        """A sentence for the operator; "" while voting."""
        if self.halted:
            return f"it has stopped for good, since {self.halted}; both certificates are in its ledger"
        if self.disk_full:
            return "its disk is full; it votes again by itself when there is room"
        if self.awaited:
            return (
                f"it waits for the word of {', '.join(self.awaited)} about its own votes, since no liar is "
                "tolerated here: start these; where they are gone for good and its disk is the newest it "
                "ever had, start it once with -others-are-gone (runbook, DtvnNodeNotVoting)"
            )
        if self.core.pinging.holding:
            return "it asks the others which of its own votes they hold; too few have answered yet"
        return "" if self.core.voting else self.ledger.voting_reason or self.core.voting_reason

    @property
    def state(self) -> str:
        """voting, following, waiting (for others' word about its votes), contradiction or disk_full."""
        if self.halted:
            return CONTRADICTION
        if self.disk_full:
            return DISK_FULL
        if self.core.pinging.holding:
            return WAITING
        return "voting" if self.core.voting else "following"

    def storage_stats(self) -> dict[str, int]:
        """The ledger's figures under the contract's keys (spec/dtvn 1.3), and the time its writes took."""
        from validators.ledger import read

        return {**read.storage_stats(self.ledger.alias), "write_time": self.journal.meter.turn_time}

    def give_way(self) -> None:
        """Rest a little while the others decide without this node and want the processor."""
        if self.core.catch_up.is_dispensable():
            self._courtesy.rest()
        else:
            self._courtesy.end()

    def publish(self) -> None:
        """Dial where others were found; show metrics and the API how the node is now."""
        for name, address in self.discovery.look(self.transport.connected()).items():
            self.transport.redial(name, address)
        self.transport.dial_with_next_key(self._next_seed())
        self.exporter.publish(self)
        self._show()

    def refresh(self) -> None:
        """Figures for who asks for them now; the API learns at once of another view, and who votes in it."""
        if self.exporter.wanted():
            self.exporter.publish(self)
        if self._shown_role != (self.view, self.voting):
            self._show()

    def _show(self) -> None:
        self._shown_role = (self.view, self.voting)
        if self._api is not None:
            self._api.publish(self.inspector.shown())

    def _notice(self, note: Executed | Note) -> None:
        self.ledger.notice(note)
        self.figures.notice(note)
        if self.application.principals.version != self._principals:
            self._admit()

    def _admit(self) -> None:
        """Who may sign requests may connect (R15); who may no more is not listened to."""
        principals = self.application.principals
        self._principals = principals.version
        if outside := self.transport.admit(principals.counting()):
            self.logger.error("%s", line("no_key", {"principals": outside}))

    def alive(self, *, next_key: bool) -> Alive:
        """This member's word of life (R36), under its key or, for its rotation, under its next one if it has
        one."""
        seed = (self._next_seed() if next_key else None) or self._seed
        return word_of_life(self.cluster, self.membership.epoch, self.id, self.executed, seed)

    def _next_seed(self) -> bytes | None:
        """None where it has none, or none that can be read: the next start ends with the reason."""
        path = self._folder.next_key
        try:
            return read_seed(path) if path.exists() else None
        except (KeyFileError, OSError) as error:
            if str(error) != self._next_key_trouble:
                self._next_key_trouble = str(error)
                self.logger.error("%s", line("next_key_not_read", {"reason": str(error)}))
            return None

    def close(self) -> None:
        """Write what is only in memory but safe to lose, then let go of links, ledger and lock."""
        try:
            self.host.close()
        finally:
            self.exporter.close()
            self.discovery.close()
            self.transport.close()
            self._context.destroy(linger=0)
            self.ledger.close()


def build_node(
    root: Path,
    logger: logging.Logger,
    options: NodeOptions,
    inherited: tuple[VerifiedBundle, ...] = (),
    api: ApiHelper | None = None,
) -> Node | Follower:
    """Assemble what runs in folder `root` in the epoch of its ledger: a member, or a follower. `inherited`:
    requests that go on from the epoch before. `api` is told how it is. Raises what `run` names."""
    folder = NodeFolder(root)
    genesis = read_genesis(folder.genesis)
    read_seed(folder.key)
    stamp = VotedStamp(folder.identity)
    ledger = open_ledger(
        ledger_location(options.ledger_folder or folder.ledger, genesis, folder.id, options.database_url),
        cluster_id=g.cluster_id(genesis),
        expect_existing=stamp.present,
    )
    try:
        membership = membership_of(ledger, genesis)
        index, seed, fresh = own_place(folder, membership)
        if fresh:
            stamp = VotedStamp(folder.identity)
            ledger.vote_again()
        begin(ledger, genesis, folder.continued, member=index is not None)
        if index is None:
            if options.others_are_gone:
                raise StartError("-others-are-gone is the word of a member: this node is none now.")
            return Follower(folder, genesis, membership, seed=seed, ledger=ledger, api=api, logger=logger)
        check_promise(folder, membership)
        if options.others_are_gone:
            _say_others_are_gone(ledger, membership)
    except BaseException:
        ledger.close()
        raise
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    present, reachable = as_genesis(genesis, membership), _in_epoch(options, genesis, membership)
    try:
        transport = _listen(context, present, index, seed, reachable)
        exporter = Exporter(options.metrics, logger, None if api is None else api.figures)
    except BaseException:
        context.destroy(linger=0)
        ledger.close()
        raise
    return Node(
        genesis=genesis,
        membership=membership,
        index=index,
        seed=seed,
        inherited=inherited,
        folder=folder,
        ledger=ledger,
        stamp=stamp,
        context=context,
        transport=transport,
        exporter=exporter,
        api=api,
        options=options,
        logger=logger,
    )


def _say_others_are_gone(ledger: Ledger, membership: Membership) -> None:
    """Keep the operator's word where it counts (R11)."""
    count = len(membership.members)
    if quorum.faults(count) > 0:
        raise StartError(
            f"-others-are-gone is for clusters that tolerate no liar; this one has {count} members and "
            "needs no such word."
        )
    ledger.say_others_are_gone()


def ledger_location(
    folder: Path, genesis: g.Genesis, name: str, database_url: str, *, schema: str = ""
) -> Location:
    """Where a replica's ledger lives: a file in `folder`, or a schema named by cluster and replica."""
    if not schema:
        plain = "".join(character if character.isalnum() else "_" for character in name.lower())
        schema = f"ledger_{g.cluster_id(genesis).hex()[:12]}_{plain}"[:63]
    return Location.choose(folder, database_url=database_url, schema=schema)


def _in_epoch(options: NodeOptions, genesis: g.Genesis, membership: Membership) -> NodeOptions:
    """Addresses told by founding index, by the members' indices in this epoch."""
    found = {
        place: address
        for index, address in options.addresses.items()
        if (place := membership.find(genesis.members[index].id)) is not None
    }
    return msgspec.structs.replace(options, addresses=found)


def _listen(
    context: zmq.Context[Any],
    genesis: g.Genesis,
    index: int,
    seed: bytes,
    options: NodeOptions,
) -> ZmqTransport:
    addresses: Mapping[int, tuple[str, int]] = options.addresses
    try:
        return ZmqTransport(context, genesis, index, seed, bind=options.bind, addresses=addresses)
    except ValueError as error:
        raise StartError(f"{error}.") from error
    except zmq.ZMQError as error:
        host, port = options.bind or (genesis.members[index].host, genesis.members[index].port)
        raise StartError(f"Cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}.") from error
