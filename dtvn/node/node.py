"""A member's process: all its objects, its status, and the core that is rebuilt after a lost turn (R8).

Its objects that hold sockets and files are opened by `build_node`, and closed here.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import msgspec
import zmq
from nacl import bindings

from dtvn.events.asking import ASKING, Member, MemberJudge
from dtvn.files.genesis import read_genesis_bytes
from dtvn.ledger import NodeLedger
from dtvn.machine import TicketApplication
from dtvn.machine.keyring import KeyRing
from dtvn.net import KeyFileError, ZmqTransport, public_key_of, read_seed
from dtvn.node.api_helper import ApiHelper
from dtvn.node.carried import Carried
from dtvn.node.clock import SystemClock
from dtvn.node.cpu_yield import CpuYield
from dtvn.node.discovery import Discovery
from dtvn.node.epochs import as_genesis, make_epoch_catch_up
from dtvn.node.inspect import Inspector
from dtvn.node.journal import NodeJournal
from dtvn.node.keys import VotedStamp
from dtvn.node.layout import NodeFolder
from dtvn.node.metrics import Exporter, Figures, MeteredTransport
from dtvn.node.non_member import liveness_proof
from dtvn.node.options import NodeOptions
from dtvn.node.overlay_port import NoDialling, OverlayPort
from dtvn.node.process import CONTRADICTION, DISK_FULL, FOLLOWING, WAITING
from dtvn.node.watcher import NodeWatcher, line
from dtvn.protocol import consensus
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import config as consensus_config
from dtvn.protocol.consensus.effects import Executed, Note
from dtvn.protocol.consensus.membership import LivenessProof, Membership
from dtvn.protocol.consensus.verified import VerifiedBundle
from dtvn.protocol.host import Halted, Host, TurnLost
from dtvn.protocol.host.greetings import Greetings
from dtvn.protocol.host.log_server import MEMBER_ANNOUNCES_EVERY, MEMBER_PUSHES_EVERY, Fanout
from dtvn.protocol.host.ports import JournalFull
from dtvn.protocol.log_time import behind_sentence, doubtful_sentence, log_time_ahead
from dtvn.protocol.quorum import Mode
from dtvn.protocol.versions import LISTS, NEWEST
from dtvn.protocol.wire import Door, FrameSigner

FIRST_MESSAGE_TIMEOUTS = 6
"""Base timeouts that a node waits after its start for its primary's first message: 4.8 s by default."""
ROWS_LAG = 40_000_000
"""Nanoseconds for which a node gathers state rows for one transaction (R9 allows 100 ms); the platform
reads the learner's rows, which are written at once."""
START_SIZE = 8
"""Random bytes that tell this process from another one under the same key (R44)."""
WITHHELD_SHOWN = 10_000_000_000
"""Nanoseconds for which a node says that it withheld its vote for time: an idle cluster has no proposal that
would end that state."""


class Node:
    """All objects of one node process in one epoch. `start` starts a host; `restart` another after a lost
    turn (R8); `hand_over` leaves to the next epoch's Node what that can go on with."""

    def __init__(
        self,
        *,
        genesis: g.Genesis,
        membership: Membership,
        index: int,
        seed: bytes,
        inherited: tuple[VerifiedBundle, ...],
        ledger: NodeLedger,
        folder: NodeFolder,
        stamp: VotedStamp,
        context: zmq.Context[zmq.Socket[bytes]],
        transport: ZmqTransport,
        exporter: Exporter,
        api: ApiHelper | None,
        options: NodeOptions,
        logger: logging.Logger,
        carried: Carried | None = None,
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
        self.figures = (carried and carried.figures) or Figures()
        self.figures.begin_epoch()
        self._cpu_yield = CpuYield()
        self.journal = NodeJournal(ledger, stamp, self.figures, self._cpu_yield)
        self.transport = transport
        self.logger = logger
        self.watcher = NodeWatcher(logger, transport.bad_frame, also=self._notice)
        self.clock = SystemClock()
        self._own_clock = carried.own_clock if carried else None
        """That of this process's host before, which may hold a step of the clock back (R3)."""
        self.started = time.time()
        """Unix seconds."""
        self.inspector = Inspector(self)
        self.disk_full = False
        self.halted = ""
        self._told: set[str] = set()
        """States of time that were logged, and have not ended."""
        self._inherited = inherited
        self._hold_key(seed)
        self._principals = -1
        self._start = (carried and carried.start) or os.urandom(START_SIZE)
        self.greetings = Greetings(self._start) if membership.mode is Mode.RAFT else None
        self._indices = {member.public_key: number for number, member in enumerate(membership.members)}
        self.overlay, self.discovery = self._take_part(carried.overlay if carried else None)
        self._context = context
        self.judge = self._make_judge()
        self._is_carried = carried is not None
        self._make_host(carried.application if carried else None)

    def _hold_key(self, seed: bytes) -> None:
        self._seed = seed
        self._secret = bindings.crypto_sign_seed_keypair(seed)[1]
        self._next_key_trouble = ""

    def start(self) -> None:
        """Load the ledger and rebuild the core from it, and the application unless it was carried over; raise
        TurnLost or JournalError."""
        try:
            self.host.start(carried=self._is_carried)
        except TurnLost as lost:
            if isinstance(lost.__cause__, Halted | JournalFull):
                self._meet()  # so that operators can ask why it takes no turn
            raise
        self._meet()

    def _meet(self) -> None:
        """Let other members and principals connect, and start to look for members' addresses."""
        self._admit()
        addresses = self.transport.addresses()
        named = [self.founding.members[index].id for index in self._options.addresses]
        named = [name for name in named if name in addresses]
        self.discovery.begin(self.transport.address, addresses, named, self._options.books)

    def restart(self) -> None:
        """Discard the dead core and build another from the ledger (R8)."""
        self.figures.rebuilds += 1
        self._make_host()
        self.host.start()
        self._admit()

    def _make_host(self, application: TicketApplication | None = None) -> None:
        self.application = application or TicketApplication(self.founding, self.cluster)
        keys = KeyRing(self.application, self.membership)
        signer = FrameSigner(self.cluster, self._secret, keys)
        config = consensus_config.build(self.founding, self.cluster, self.id, self.membership)
        self.journal.owner = None if config.index is None else (config.epoch, config.index)
        config = msgspec.structs.replace(
            config, first_message_timeout=FIRST_MESSAGE_TIMEOUTS * config.timeout_base
        )
        if self._options.status_idle:
            config = msgspec.structs.replace(config, status_idle=self._options.status_idle)
        self.core = consensus.core(config, signer, self.application, self.ledger.voting, self._inherited)
        self._inherited = ()
        self.judge, before = self._make_judge(), self.judge
        self.judge.votes, self.judge.abstentions = before.votes, before.abstentions  # they count on
        dialling = NoDialling(self._uses, self._speaks, self.discovery.turn)
        self.transport.version = self.membership.version
        self.discovery.asks = self.membership.version >= LISTS
        self.overlay.follow(self.transport, dialling)
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
            epoch_catch_up=make_epoch_catch_up(self.founding, self.membership),
            elsewhere=self.transport.addresses,
            judge=self.judge,
            overlay=self.overlay,
            fanout=Fanout(
                self._options.overlay.fanout,
                self.overlay.is_follower,
                self._children,
                push_every=MEMBER_PUSHES_EVERY,
                announce_every=MEMBER_ANNOUNCES_EVERY,
            ),
            archive_from=g.first_sequence(self.founding),
            greetings=self.greetings,
        )
        if self._own_clock is not None:
            self.host.clock.adopt(self._own_clock)
        self._own_clock = self.host.clock

    def _take_part(self, before: OverlayPort | None) -> tuple[OverlayPort, Discovery]:
        """The overlay, that of the epoch before if this member has kept its key, and what looks for the other
        members in it."""
        overlay = before
        if overlay is None or overlay.own != public_key_of(self._seed):
            overlay = OverlayPort(self.cluster, self._secret, self.id, self._options.overlay)
        overlay.admit(list(self._indices), ())
        part = overlay.overlay
        if before is not None and before is not overlay:
            part.hear(before.overlay.book.items(), self.clock.now())
        keys = {member.id: member.public_key for member in self.membership.members}
        found = Discovery(part.book, overlay.record, keys, seed=self._seed, learned=part.hear)
        return overlay, found

    def _speaks(self, key: bytes) -> bool:
        """Whether a member signs heads: then its release knows the overlay too."""
        index = self._indices.get(key)
        return index is not None and self.host.heads.heard(index)

    def _uses(self) -> list[bytes]:
        """Keys of the followers that get the log from here."""
        peers = self.host.log_server.children()
        return [key for peer in peers if (key := self.transport.key_of(peer)) is not None]

    def _children(self) -> list[bytes]:
        return self.overlay.records_of(self.host.log_server.children())

    def _make_judge(self) -> MemberJudge:
        """What judges agent events: it stores nothing, so a new host begins with a new one."""
        member = Member(self.cluster, self.membership.epoch, self.index, self._secret)

        def may_ask(wire: str) -> bool:
            principals = self.application.principals
            name = principals.who(wire)
            return any(principals.holds(name, capability) for capability in ASKING)

        return MemberJudge(member, may_ask)

    @property
    def genesis_file(self) -> bytes:
        """The content of its genesis file, which others check for themselves."""
        return read_genesis_bytes(self._folder.genesis)

    def introduce(self) -> None:
        """Log the node's identity and state once it runs."""
        status = self.inspector.status()
        keys = ("node_id", "peer_id", "endpoint", "view", "sequence", "members", "liars_tolerated", "state")
        self.logger.info("%s", line("started", {key: status[key] for key in keys}))
        if status["note"]:
            fields = {"members": status["members"], "note": status["note"]}
            self.logger.warning("%s", line("crash_only", fields))
        if status["continues"]:
            self.logger.warning("%s", line("continued", {"cluster": status["continues"]}))
        if self.core.pinging.vouched:
            text = "set by the operator, until the next stable checkpoint"
            self.logger.warning("%s", line("others_are_gone", {"reason": text}))
        if not (self.voting or self.core.state.voting_right.holding):
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
        return self.core.state.views.view

    @property
    def executed(self) -> int:
        """Last executed sequence."""
        return self.host.executed

    @property
    def complete_from(self) -> int:
        """See Host.complete_from."""
        return self.host.complete_from

    @property
    def voting(self) -> bool:
        """False if the node follows, waits for others (R11), has stopped (R24), or its disk is full (R8)."""
        if self.halted or self.disk_full:
            return False
        return self.core.voting and not self.core.state.voting_right.holding

    @property
    def log_time(self) -> int:
        """Last effective time that it executed, Unix microseconds; 0 before the first batch."""
        return self.core.state.executor.timestamp

    @property
    def log_time_ahead(self) -> float:
        """Seconds by which log time is ahead of the time that this node goes by (protocol.log_time)."""
        wall = self.host.clock.now().wall // 1_000
        return log_time_ahead(self.log_time, wall, self.core.config.drift_bound)

    @property
    def log_time_behind(self) -> float:
        """Seconds by which the newest fresh proposal was behind the time that this node goes by, if it was by
        more than is allowed and within the last minute, else 0.0 (R3)."""
        return round(self.core.state.clocks.behind / 1e6, 3)

    @property
    def own_clock_doubtful(self) -> float:
        """Seconds by which the machine's clock is ahead of the time that this node goes by, negative: behind
        it, if others have not confirmed a step of it for a minute, else 0.0 (R3)."""
        clock = self.host.clock
        return round(clock.doubtful(clock.now()) / 1e9, 3)

    @property
    def clock_offsets(self) -> dict[str, float]:
        """Member -> seconds by which this machine's clock is ahead of its machine's, as shown within the last
        minute, network delay included."""
        members = self.membership.members
        found = self.core.state.clocks.differences()
        return {members[index].id: round(ahead / 1e9, 3) for index, ahead in found.items()}

    @property
    def withheld_ahead(self) -> float:
        """Seconds by which the time of a proposal was ahead of this node's clock, if it withheld its vote for
        that within WITHHELD_SHOWN, else 0.0 (R3)."""
        found = self.core.withheld_for_time
        if found is None or self.clock.now().monotonic - found.at > WITHHELD_SHOWN:
            return 0.0
        return round(found.ahead / 1e6, 3)

    @property
    def awaited(self) -> list[str]:
        """Ids of the members that must report about this node's votes before it votes (R11, f = 0)."""
        return [self.membership.members[index].id for index in self.core.pinging.awaited]

    @property
    def voting_reason(self) -> str:
        """A sentence for the operator; "" while voting."""
        if self.halted:
            return f"it has stopped permanently, since {self.halted}; both certificates are in its ledger"
        if self.disk_full:
            return "its disk is full; it votes again automatically when there is space"
        if self.awaited:
            return (
                f"it waits for the word of {', '.join(self.awaited)} about its own votes, since no liar is "
                "tolerated here: start these; where they are gone for good or lost their ledgers, and its "
                "disk is the newest it ever had, start it once with -others-are-gone (runbook, "
                "DtvnNodeNotVoting)"
            )
        if self.core.state.voting_right.holding:
            return "it is asking the others which of its own votes they hold; too few have answered yet"
        if self.core.voting:
            return ""
        reason = self.ledger.voting_reason or self.core.state.voting_right.reason
        return f"{reason}; {self.core.rejoin.progress()}"

    @property
    def state(self) -> str:
        """voting, following, waiting (for members' word about its own votes), contradiction or disk_full."""
        if self.halted:
            return CONTRADICTION
        if self.disk_full:
            return DISK_FULL
        if self.core.state.voting_right.holding:
            return WAITING
        return "voting" if self.core.voting else FOLLOWING

    @property
    def remembered(self) -> int:
        """Messages and items that are remembered as verified."""
        return self.host.door.remembered + self.overlay.overlay.figures()["cache_size"]

    def storage_stats(self) -> dict[str, int]:
        """The ledger's figures under the contract's keys, and the time that its writes took."""
        return {**self.ledger.storage_stats(), "write_time": self.journal.meter.turn_time}

    def may_hand_over(self) -> bool:
        """See Process: a quorum without this member, where one tolerates its absence."""
        return self.voting and len(self.transport.connected()) >= self.core.config.q

    def give_way(self) -> None:
        """Yield the processor while the other members can decide without this node (R23)."""
        if self.core.catch_up.is_dispensable():
            self._cpu_yield.rest()
        else:
            self._cpu_yield.end()

    def publish(self) -> None:
        """Dial members at addresses learned since; publish the node's status to metrics and API."""
        for name, address in self.discovery.look(self.transport.connected(), self.clock.now()).items():
            self.transport.redial(name, address)
        self.transport.dial_with_next_key(self._next_seed())
        self._tell_time()
        self.exporter.publish(self)
        self._show()

    def _tell_time(self) -> None:
        """Log a state of time as it begins, and as it ends (R3)."""
        drift = self.core.config.drift_bound / 1e6
        late = [name for name, ahead in self.clock_offsets.items() if ahead > drift]
        states = {
            "log_time_behind": behind_sentence(self.log_time_behind, late),
            "own_clock_doubtful": doubtful_sentence(self.own_clock_doubtful),
        }
        for state, sentence in states.items():
            if bool(sentence) != (state in self._told):
                self._told ^= {state}
                self.logger.warning("%s", line(state, {"note": sentence or "ended"}))

    def refresh(self) -> None:
        """Publish metrics if a scrape waits for them, and a change of view or voting to the API at once."""
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
        """Admit to the links exactly the principals whose requests count now (R15); log those without a
        key."""
        principals = self.application.principals
        self._principals = principals.version
        counting = principals.counting()
        if outside := self.transport.admit(counting):
            self.logger.error("%s", line("no_key", {"principals": outside}))
        self.overlay.admit(list(self._indices), counting.values())
        self.overlay.begin()

    def alive(self, *, next_key: bool, version: bool) -> LivenessProof:
        """This member's liveness proof (R36), signed with its key or, for a rotation, with its next key if it
        has one. `version`: it names the newest version that this program runs (R47)."""
        seed = (self._next_seed() if next_key else None) or self._seed
        return liveness_proof(
            self.cluster,
            self.membership.epoch,
            self.id,
            self.executed,
            seed,
            log_time=self.log_time,
            wall=self.host.clock.now().wall // 1_000,
            newest=NEWEST if version else 0,
        )

    def _next_seed(self) -> bytes | None:
        """Seed of the next key; None if absent or unreadable (the next start then fails with the reason)."""
        path = self._folder.next_key
        try:
            return read_seed(path) if path.exists() else None
        except (KeyFileError, OSError) as error:
            if str(error) != self._next_key_trouble:
                self._next_key_trouble = str(error)
                self.logger.error("%s", line("next_key_not_read", {"reason": str(error)}))
            return None

    def hand_over(self) -> Carried:
        """See Process."""
        self.discovery.end()
        return Carried(
            ledger=self.ledger,
            application=self.application,
            context=self._context,
            links=self.transport,
            exporter=self.exporter,
            figures=self.figures,
            overlay=self.overlay,
            start=self._start,
            own_clock=self.host.clock,
        )

    def close(self) -> None:
        """Write the rows that are only in memory, though safe to lose; release links, ledger and lock."""
        try:
            self.host.close()
        finally:
            self.exporter.close()
            self.discovery.close()
            self.transport.close()
            self._context.destroy(linger=0)
            self.ledger.close()
