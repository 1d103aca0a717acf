"""Composition root of a follower: a learner on any host, under a principal's key, that takes the log from
members or relays and, if it listens, is a relay itself (R45).
"""

from __future__ import annotations

import ipaddress
import logging
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import msgspec
from nacl import bindings

from dtvn.files.genesis import read_genesis_bytes
from dtvn.ledger import Location, NodeLedger, OpenLedger
from dtvn.net import RelayTransport, read_seed
from dtvn.node.bootstrap import GENESIS, Place, read_place, told
from dtvn.node.carried import Carried
from dtvn.node.epochs import membership_of
from dtvn.node.feed_publisher import FeedPublisher, publish
from dtvn.node.following import following_in
from dtvn.node.journal import NodeJournal
from dtvn.node.keys import peer_id
from dtvn.node.layout import ClusterFolder
from dtvn.node.learner import LEARNER_SCHEMA
from dtvn.node.learning import LearningProcess
from dtvn.node.options import StartError, load_genesis
from dtvn.node.overlay_port import OverlayPort
from dtvn.node.process import FOLLOWING
from dtvn.node.relay_dialling import RelayDialling
from dtvn.node.via import Via
from dtvn.node.watcher import line
from dtvn.overlay.overlay import Settings
from dtvn.overlay.tree import Tree
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.effects import Executed, Note
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.messages import Answer, Query
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.genesis import Member
from dtvn.protocol.host.log_server import Fanout
from dtvn.protocol.quorum import fault_tolerance_note


class FollowerOptions(msgspec.Struct, frozen=True):
    """How a follower runs."""

    start: Place
    """The peer that it asked first."""
    name: str = "follower"
    """Its name as its operator calls it."""
    listen: tuple[str, int] | None = None
    """(host, port) at which its own followers reach it, port 0 for any; None: it is a leaf."""
    splice: str = ""
    """Multiaddr of the splice through which its own followers reach it; "": they dial it."""
    via: Via | None = None
    """Its registration at a splice, through which its own followers reach it; `listen` is its place there."""
    pages: bool = True
    """Whether its rows serve pages."""
    fanout: int = 3
    """Followers that it pushes its log to."""

    @property
    def role(self) -> Literal["relay", "leaf"]:
        """What it is in the overlay."""
        return "leaf" if self.listen is None else "relay"


class FollowerProcess(LearningProcess):
    """All objects of a follower's process."""

    searched = True

    def __init__(
        self,
        genesis: g.Genesis,
        membership: Membership,
        options: FollowerOptions,
        *,
        folder: ClusterFolder,
        seed: bytes,
        ledger: NodeLedger,
        publisher: FeedPublisher | None,
        logger: logging.Logger,
        carried: Carried | None,
    ) -> None:
        self.listen = options.listen
        self._options = options
        self._folder = folder
        self._principals = -1
        self._lies: dict[int, int] = {}
        self.public_key, self._secret = bindings.crypto_sign_seed_keypair(seed)
        cluster, settings = g.cluster_id(genesis), _settings(options)
        known = None if carried is None else carried.overlay
        self.overlay = known or OverlayPort(cluster, self._secret, options.name or "follower", settings)
        super().__init__(
            genesis,
            membership,
            seed=seed,
            sources=folder.learner_sources,
            ledger=ledger,
            journal=_journal(ledger, publisher),
            notice=self._notice,
            logger=logger,
            carried=carried,
            publisher=publisher,
        )

    def _open_links(self, members: tuple[Member, ...]) -> RelayTransport:
        seed, _spare = self._seeds
        options = self._options
        via = options.via
        links = RelayTransport(
            self._context,
            seed,
            members,
            listen=options.listen,
            local=via is not None,
            wanted=(),
        )
        if via is not None:
            via.serve(links.local_port)
        return links

    def _make_sources(self, members: int) -> Tree:
        first, leaf = self.public_key[0] % members, self._options.role == "leaf"
        up, now = self.links.up(), self.clock.now().monotonic
        self._tree = Tree(up, now, relays_from=members + self._others, relays_first=leaf, start=first)
        self._lies.clear()
        return self._tree

    def _beside_core(self) -> dict[str, Any]:
        dialling = RelayDialling(
            self.links,
            self._options.start,
            self.public_key,
            self._uses,
            lambda: (self.executed, self.core.vouched),
        )
        self.overlay.follow(self.links, dialling)
        return {
            "answer_query": self._answer,
            "overlay": self.overlay,
            "fanout": Fanout(self._options.fanout, lambda peer: peer.member is None, self._children),
        }

    def _uses(self) -> list[bytes]:
        """Keys of who brings the log here, and of who gets it from here; tells the overlay who lied."""
        links, now = self.links, self.clock.now()
        for index in links.up():
            before, self._lies[index] = self._lies.get(index, 0), self._tree.lies(index)
            key = links.key_of(Peer(name="", member=index))
            if self._lies[index] > before and key is not None:
                self.overlay.overlay.blame(key, now)
        self.overlay.overlay.wants_member = self._tree.wants_member
        source = self.core.source
        used = self.host.log_server.children()
        peers = used if source is None else [*used, Peer(name="", member=source)]
        return [key for peer in peers if (key := links.key_of(peer)) is not None]

    def _children(self) -> list[bytes]:
        return self.overlay.records_of(self.host.log_server.children())

    def start(self) -> None:
        """See Process."""
        super().start()
        self._admit()

    def restart(self) -> None:
        """See Process."""
        super().restart()
        self._admit()

    def introduce(self) -> None:
        """Log the follower's identity and sequence once it runs."""
        fields = {
            "name": self._options.name,
            "peer_id": peer_id(self.public_key),
            "cluster": self.cluster.hex()[:16],
            "sequence": self.executed,
            "endpoint": self.links.endpoint,
        }
        self.logger.info("%s", line("following", fields))

    @property
    def as_of(self) -> int:
        """Unix microseconds as of which its copy is complete, as f + 1 members said; 0: they never did."""
        age = self.host.age()
        return 0 if age is None else self.clock.now().wall // 1_000 - age

    def brief(self) -> dict[str, Any]:
        """The heartbeat's status."""
        return {
            **self._brief(self._options.name or LEARNER_SCHEMA, FOLLOWING),
            "as_of": self.as_of,
            "epoch": self.membership.epoch,
            "source": self._source(),
            "log_root": self.core.executor.log_root().hex(),
            "role": self._options.role,
            "children": len(self.host.log_server.children()),
        }

    def status(self) -> dict[str, Any]:
        """What it answers about itself."""
        count = len(self.membership.members)
        return {
            **self.brief(),
            "peer_id": peer_id(self.public_key),
            "cluster": self.cluster.hex(),
            "members": count,
            "note": fault_tolerance_note(count, self.membership.mode),
            "listen": self.links.endpoint,
            "peers": self.links.connected(),
            "overlay": self.overlay.overlay.figures(),
            "state_root": self.application.root().hex(),
        }

    def publish(self) -> None:
        """Does nothing: the follower's pages show its figures (validators.rest.metrics)."""

    def hand_over(self) -> Carried:
        """See Process."""
        carried = super().hand_over()
        carried.overlay = self.overlay
        return carried

    def _source(self) -> str:
        """Name of the peer that pushes the log here; "" without one."""
        source = self.core.source
        if source is None:
            return ""
        members = self.membership.members
        if source < len(members):
            return members[source].id
        key = self.links.key_of(Peer(name="", member=source))
        return "" if key is None else self.application.principals.holder(key)

    def _answer(self, query: Query) -> Answer:
        """Answer a peer's question: the genesis, and about this follower."""
        if query.what == GENESIS:
            return _told(query, told(read_genesis_bytes(self._folder.genesis)))
        if query.what == "status":
            return _told(query, self.status())
        return Answer(number=query.number, code="unknown_query", text="")

    def _notice(self, note: Executed | Note) -> None:
        self.ledger.notice(note)
        if self.application.principals.version != self._principals:
            self._admit()

    def _admit(self) -> None:
        """Admit to the links exactly the principals that count now (R15), and members."""
        principals = self.application.principals
        self._principals = principals.version
        counting = principals.counting()
        self.links.admit(counting)
        members = [member.public_key for member in self.membership.members]
        self.overlay.admit(members, counting.values())
        if self.public_key in counting.values() and not self.overlay.begun:
            if self._options.role == "relay":
                self.overlay.record.listens(self.links.address)
                self.overlay.record.reaches([self._options.start.address[0]])
            self.overlay.begin()


def _settings(options: FollowerOptions) -> Settings:
    """Its part in the overlay. Which members it links, RelayDialling says."""
    return Settings(role=options.role, fanout=options.fanout, members_linked=0)


def _journal(ledger: NodeLedger, publisher: FeedPublisher | None) -> NodeJournal:
    """The ledger's journal, which tells the pages of rows if there are pages."""
    if publisher is None:
        return NodeJournal(ledger, None)
    return NodeJournal(ledger, None, announce=publisher.announce)


def _told(query: Query, content: dict[str, Any]) -> Answer:
    return Answer(number=query.number, code="", text=msgspec.json.encode(content).decode())


def follower_options(data: Path) -> FollowerOptions:
    """How the follower in a data folder was started; raise StartError."""
    following = following_in(data)
    if following is None or not following.cluster:
        raise StartError(f"{data} holds no follower: manage.py follow --from MULTIADDR begins one.")
    return FollowerOptions(
        start=read_place(following.start),
        name=following.name or "follower",
        listen=read_listen(following.listen),
        splice=following.via,
    )


def read_listen(text: str) -> tuple[str, int] | None:
    """ADDRESS:PORT, IPv6 in brackets; None for "". Raises StartError."""
    if not text:
        return None
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
        number = int(port) if port.isascii() and port.isdecimal() else -1
    except ValueError:
        number = -1
    if not 0 <= number <= 65_535:
        text = f"--listen {text}: not ADDRESS:PORT, an IP address and the port at which others reach it"
        raise StartError(f"{text}.")
    return host, number


def build_follower(
    data: Path,
    options: FollowerOptions,
    logger: logging.Logger,
    open_ledger: OpenLedger,
    carried: Carried | None = None,
) -> FollowerProcess:
    """Build the follower of a data folder; `carried`: see `build_node`. Raises as `build_node` does."""
    folder = ClusterFolder(data)
    genesis = load_genesis(folder.genesis)
    seed = read_seed(folder.follower_key)
    with ExitStack() as opened:
        if carried is not None:
            ledger = carried.ledger
        else:
            location = Location.choose(
                folder.learner, url=os.environ.get("DATABASE_URL", ""), schema=LEARNER_SCHEMA
            )
            ledger = open_ledger(location, cluster_id=g.cluster_id(genesis), indexed=True)
            opened.callback(ledger.close)
        publisher = None if carried is None else carried.publisher
        if publisher is None and options.pages:
            publisher = publish(data)
            opened.callback(publisher.close)
        process = FollowerProcess(
            genesis,
            membership_of(ledger, genesis),
            options,
            folder=folder,
            seed=seed,
            ledger=ledger,
            publisher=publisher,
            logger=logger,
            carried=carried,
        )
        opened.pop_all()
    return process
