"""Simulated worlds played for the pages of the protocol: of every kind of message, who sent it to whom, and
what its sender had on its disk when it left. All nodes are honest: the pages omit messages of liars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from unittest.mock import patch

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import CheckpointRecord, EntryRecord, Record, SlotRecord, StateRecord
from dtvn.protocol.consensus.membership import Membership
from dtvn.protocol.consensus.raft.elections import TERM
from dtvn.protocol.consensus.requests import clients
from dtvn.protocol.wire.envelope import decode_envelope
from simulator import campaign
from simulator.cluster import LEARNER
from simulator.node import Node
from simulator.observers import Observer
from simulator.world import World
from simulator.worlds import world_of

WORLDS = (("random", 1), ("random", 65), ("state-transfers", 3), ("many-sessions", 1), ("epoch-catch-up", 2))
"""Together they play every kind but those of Raft, and Hello, with which a connection begins."""
RAFT = (("raft:crashes", 0), ("raft-three-two", 1), ("raft-planned-stop", 1))
RAFT_KINDS = frozenset(
    (m.RequestVote, m.RequestVoteResult, m.AppendEntries, m.AppendEntriesResult, m.TimeoutNow)
)
"""What worlds of Raft are played for: of a COMMIT, say, the page tells what holds with PBFT."""

FACTS = frozenset(
    (
        *("itself", "the batch", "the PRE-PREPARE", "the prepared certificate", "the entry", "synced"),
        *("the state", "the term"),
    )
)
"""What may be durable with the sender of a message; `synced`: no power cut takes the entry back."""


class Seen(msgspec.Struct):
    """What was seen of one kind."""

    senders: set[str] = set()
    passed_on: bool = False
    """Whether it was said by others too, as it is."""
    receivers: set[str] = set()
    to_all: bool = False
    """Whether one was said to all other members in one breath."""
    attached: bool = False
    durable: frozenset[str] = FACTS
    """What of FACTS was durable whenever a node said one of its own."""


class Shelf:
    """All records that one node ever wrote, including those that a stable checkpoint lets it discard."""

    def __init__(self) -> None:
        self.frames: set[tuple[int, bytes]] = set()
        self.bodies: set[bytes] = {m.NULL_BATCH_DIGEST}
        self.proposed: set[tuple[int, int, int, bytes]] = set()
        """(epoch, view, sequence, digest) of PRE-PREPAREs, and of prepared certificates."""
        self.certified: set[tuple[int, int, int, bytes]] = set()
        self.last = self.stable = 0
        self.terms: set[tuple[int, int]] = {(0, 0)}
        """(epoch, term) of Raft."""

    def put(self, record: Record) -> None:
        """A record was written."""
        if isinstance(record, EntryRecord):
            self.last = max(self.last, record.entry.sequence)
        elif isinstance(record, CheckpointRecord):
            self.stable = max(self.stable, record.sequence)
        elif isinstance(record, StateRecord) and record.name == TERM:
            self.terms.add(canonical.decode(tuple[int, int], record.value))
        elif isinstance(record, SlotRecord):
            for frame in record.frames:
                self._frame(frame, certified=record.phase == "prepared")
            if record.body:
                self.bodies.add(digest_of(record.body))

    def _frame(self, frame: bytes, *, certified: bool) -> None:
        envelope, message = decode_envelope(frame)
        self.frames.add((envelope.kind, envelope.body))
        if isinstance(message, m.PrePrepare):
            place = (message.epoch, message.view, message.sequence, message.digest)
            self.proposed.add(place)
            if certified:
                self.certified.add(place)
        elif isinstance(message, m.NewView):
            for proposal in message.proposals:
                self._frame(proposal, certified=False)


class Log(Observer):
    """Records the messages of honest nodes and gateways."""

    def __init__(self) -> None:
        self.seen: dict[type[Any], Seen] = defaultdict(Seen)
        self._shelves: dict[str, Shelf] = defaultdict(Shelf)
        self._said: dict[tuple[str, bytes, int], set[str]] = defaultdict(set)
        self._world: World | None = None

    def persisted(self, node: Node, records: Sequence[Record]) -> None:
        """See Observer."""
        for record in records:
            self._shelves[node.name].put(record)

    def spoke(self, node: Node, receiver: str, frame: bytes) -> None:
        """See Observer."""
        world = self._world = node.world
        members = {member.id for member in node.membership.members} - {node.member_id}
        heard = self._said[node.name, frame, world.time]
        heard.add(receiver)
        envelope, message = decode_envelope(frame)
        for part, body in parts(message, envelope.body):
            seen = self.seen[type(part)]
            view = getattr(part, "view", None)
            view = node.view() if view is None or type(part) in m.LINK else view
            if first_hand(node, part):
                seen.senders.add(role(world, node.name, node.membership, view))
                if len(heard) == 1:
                    seen.durable &= facts(self._shelves[node.name], node, part, body)
            else:
                seen.passed_on = True
            seen.receivers.add(role(world, receiver, node.membership, view))
            seen.to_all |= heard >= members
            seen.attached |= bool(envelope.attachment)

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """See Observer; the world tells of what gateways say only now."""
        world = self._world
        if world is None or sender in world.nodes:
            return
        heard = self._said[sender, frame, 0]
        heard.add(receiver)
        message = decode_envelope(frame)[1]
        seen = self.seen[type(message)]
        seen.senders.add("gateway")
        seen.receivers.add(role(world, receiver, world.present, world.nodes[receiver].view()))
        seen.to_all |= heard >= set(world.member_names)


def role(world: World, name: str, membership: Membership, view: int) -> str:
    """primary, backup, learner or gateway, as this epoch and view have it; "": a newcomer, or one of another
    epoch, of whom another page tells (membership.md)."""
    node = world.nodes.get(name)
    if node is None:
        return "gateway"
    if name.startswith(LEARNER):
        return "learner"
    index = membership.find(name)
    if index is None:
        return ""
    return "primary" if view % len(membership.members) == index else "backup"


def first_hand(node: Node, message: Any) -> bool:
    """Whether the sender signed the message itself; forwarded messages keep their signature."""
    return type(message) in m.LINK or (type(message) in m.STATEMENTS and node.said(message))


def parts(message: Any, body: bytes) -> Iterator[tuple[Any, bytes]]:
    """The message and its body; of a Reply the Receipt within too, which never travels alone."""
    yield message, body
    if isinstance(message, m.Reply):
        envelope, receipt = decode_envelope(message.receipt)
        yield receipt, envelope.body


def facts(shelf: Shelf, node: Node, message: Any, body: bytes) -> frozenset[str]:
    """Which of FACTS hold of a message now."""
    found = {"itself"} if (m.KIND_OF[type(message)], body) in shelf.frames else set()
    match message:
        case m.PrePrepare() | m.Prepare() | m.Commit():
            place = (message.epoch, message.view, message.sequence, message.digest)
            if message.digest in shelf.bodies:
                found.add("the batch")
            if place in shelf.certified:
                found.add("the prepared certificate")
            if place in shelf.proposed and type(message) is not m.PrePrepare:
                found.add("the PRE-PREPARE")
        case m.Head() | m.Announce():  # the entry may be that of an installed state
            sequence = told(message)
            found |= {"the entry"} if sequence <= len(node.disk.log) else set()
            found |= {"synced"} if sequence <= len(node.disk.synced.log) else set()
        case m.Reply() | m.Receipt() | m.Repeat() | m.Entries():
            sequence = told(message)
            if sequence <= shelf.last:
                found.add("the entry")
            if sequence <= len(node.disk.synced.log):
                found.add("synced")
        case m.RequestVote(pre=True) | m.RequestVoteResult(pre=True) | m.RequestVoteResult(granted=False):
            found.add("the term")
        case m.RequestVote() | m.RequestVoteResult() | m.AppendEntries() | m.AppendEntriesResult():
            if message.term == 0 or (message.epoch, message.term) in shelf.terms:
                found.add("the term")
            if all(digest_of(body) in shelf.bodies for body in getattr(message, "bodies", ())):
                found.add("the batch")
        case m.Snapshot() if message.entry.sequence <= shelf.stable:
            found.add("the state")
        case m.Groups() if message.sequence <= shelf.stable:
            found.add("the state")
    return frozenset(found)


def told(message: Any) -> int:
    """Highest sequence whose entry the message names."""
    match message:
        case m.Reply():
            return message.entry.sequence
        case m.Entries():
            return max((entry.sequence for entry, _body, _votes in message.entries), default=0)
        case m.Announce():
            return message.executed
    return int(message.sequence)


def digest_of(body: bytes) -> bytes:
    """Digest of a batch's body."""
    batch = canonical.decode(m.Batch, body)
    digests = tuple(m.bundle_digest(decode_envelope(frame)[0].body) for frame in batch.requests)
    return m.batch_digest(batch.origin_view, batch.proposed, digests)


@cache
@patch.object(clients, "KEPT_REPLY_BYTES_MAX", 0)  # early retries get Repeats, as large ones do
def played() -> dict[type[Any], Seen]:
    """Observations of all WORLDS together."""
    total: dict[type[Any], Seen] = defaultdict(Seen)
    for name, seed in (*WORLDS, *RAFT):
        log = Log()
        drawn = msgspec.structs.replace(world_of(name, seed), adversaries=(), liars=(), rogue=False)
        report = campaign.run(campaign.Task(seed, name), log, drawn=drawn)
        assert report.ended == "finished", report.violation
        for kind, seen in log.seen.items():
            if (kind in RAFT_KINDS) != ((name, seed) in RAFT):
                continue
            into = total[kind]
            into.senders |= seen.senders
            into.receivers |= seen.receivers
            into.durable &= seen.durable
            into.to_all |= seen.to_all
            into.attached |= seen.attached
            into.passed_on |= seen.passed_on
    return total
