"""A cluster of real cores in one list: every frame between them waits until a test delivers it.

    cluster = Cluster(4)
    cluster.request("T-1")          # a client asks all members
    cluster.stabilize()             # deliver until nothing is left to deliver
    cluster.advance(800)            # milliseconds, ticking every core when it wants to be

Frames pass the real door (keyed-hash signatures). `drop` takes a predicate on (source, target,
message) and stays until `heal`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from dtvn.overlay.tree import Tree
from dtvn.protocol import canonical
from dtvn.protocol.consensus import Learner, core
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.config import Config, check
from dtvn.protocol.consensus.effects import ALL, Effects, Executed, Install, Note, Now, Reason, ReplyTo
from dtvn.protocol.consensus.verified import Header, Inbound, Peer, Verified
from dtvn.protocol.quorum import Mode
from dtvn.protocol.wire import Door, FrameSigner
from simulator.scheme import KeyedHash
from tests.consensus.doubles import KeyValue, MemoryJournal

MILLISECOND = 1_000_000
CLUSTER = b"c" * 32
WALL_START = 1_700_000_000_000_000_000
Predicate = Callable[[int, int, Any], bool]


class Keys:
    """Members m0, m1 ... and one principal, "gateway"."""

    def __init__(self, members: int) -> None:
        self.scheme = KeyedHash()
        self.pairs = [self.scheme.pair(f"m{i}") for i in range(members)]
        self.gateway = self.scheme.pair("gateway")

    def member_key(self, epoch: int, index: int) -> bytes | None:
        return self.pairs[index][0] if epoch == 0 and 0 <= index < len(self.pairs) else None

    def principal_key(self, name: str) -> bytes | None:
        return self.gateway[0] if name == "gateway" else None


def config_for(index: int | None, members: int, **changes: Any) -> Config:
    """The defaults of genesis, with changes."""
    interval = changes.pop("checkpoint_interval", 10)
    config = Config(
        cluster=CLUSTER,
        epoch=0,
        base=0,
        members=tuple(f"m{i}" for i in range(members)),
        index=index,
        mode=changes.pop("mode", Mode.PBFT),
        checkpoint_interval=interval,
        window=changes.pop("window", max(2 * interval, 32)),
        drift_bound=2_000_000,
        batch_operations_max=1_000,
        batch_bytes_max=changes.pop("batch_bytes_max", 512 * 1024),
        **changes,
    )
    check(config)
    return config


class Node:
    """One core, its journal and its notes."""

    def __init__(self, cluster: Cluster, index: int | None) -> None:
        self.cluster = cluster
        self.index = index
        self.journal = MemoryJournal()
        self.notes: list[Executed | Note] = []
        self.installs: list[Install] = []
        self.up = True
        self.halted = ""
        """Why it goes no further."""
        self.skew = 0
        self.core: Any
        self.build(voting=True)

    def build(self, *, voting: bool) -> None:
        """A fresh core over the journal."""
        keys = self.cluster.keys
        secret = keys.pairs[self.index][1] if self.index is not None else b""
        self.signer = FrameSigner(self.cluster.id, secret, keys, scheme=keys.scheme)
        self.door = Door(self.cluster.id, keys, scheme=keys.scheme)
        self.application = self.cluster.state()
        config = self.cluster.config(self.index)
        if self.index is None:
            sources = Tree(range(config.n), self.cluster.time)
            self.core = Learner(config, self.signer, self.application, sources, archive=True)
        else:
            self.core = core(config, self.signer, self.application, voting)
        tail = self.journal.load()
        self.application.load(tail.rows)
        self.take(self.core.restore(tail, self.now()))

    @property
    def peer(self) -> Peer:
        name = f"m{self.index}" if self.index is not None else "learner"
        return Peer(name, self.index)

    def now(self) -> Now:
        time = self.cluster.time
        return Now(time, WALL_START + time + self.skew)

    def hear(self, source: Node | None, frame: bytes) -> Reason | None:
        """As the host does: door, wants, door, core. Returns the reason of a refusal, None if accepted."""
        peer = source.peer if source is not None else Peer("gateway", None)
        header = self.door.peek(Inbound(peer, frame))
        message = header.message
        if isinstance(message, (m.FetchEntries, m.Follow)):
            if not getattr(message, "lazy", False):
                self.serve(source, message)
            return None
        reason = self.core.wants(header)
        if reason is not None:
            self.take(self.core.on_refused(header, reason))
            return reason
        if isinstance(message, m.SupplyBatch) and not self.core.awaits(self.door.digest_of(message.body)):
            return Reason.NOT_ASKED
        header, left_out = self.door.sift(header, self.core.wants_within)
        if left_out and isinstance(header.message, m.SupplyFrames) and not header.message.frames:
            return left_out[0]
        self.take(self.core.receive(self.door.verify(header), self.now()))
        self.core.invariants()
        return None

    def serve(self, source: Node | None, message: m.FetchEntries | m.Follow) -> None:
        last = message.last if isinstance(message, m.FetchEntries) else message.first + 63
        entries = self.journal.range(message.first, last)
        if entries is not None and source is not None:
            self.cluster.post(self, source, self.signer.link(entries))

    def tick(self) -> None:
        self.take(self.core.tick(self.now()))
        self.core.invariants()

    def take(self, effects: Effects) -> None:
        """Persist, then send, then answer."""
        if effects.persist:
            self.journal.append(effects.persist)
        if effects.halted:
            self.notes += effects.notes
            self.halted, self.up = effects.halted, False
            return
        for send in effects.send:
            for node in self.cluster.nodes:
                if node is not self and send.to in (ALL, node.index) and node.index is not None:
                    self.cluster.post(self, node, send.frame)
        self.cluster.replies += [(self.index, reply) for reply in effects.reply]
        self.cluster.answered += [(self, peer, frame) for peer, frame in effects.answers]
        self.notes += effects.notes
        if effects.install is not None:
            self.installs.append(effects.install)

    def crash(self) -> None:
        """Memory is gone; the journal stays."""
        self.up = False

    def restart(self, *, voting: bool = True) -> None:
        """A new core over the same journal."""
        self.up = True
        self.build(voting=voting)

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Fields of every note of a kind."""
        return [note.fields for note in self.notes if isinstance(note, Note) and note.kind == kind]

    @property
    def log(self) -> list[bytes]:
        return [record.entry_hash for record in self.journal.log]


class Cluster:
    """n members, optional learners, one client."""

    id = CLUSTER
    keys_of: Callable[[int], Any] = Keys
    """From the number of members to their keys."""
    state: Callable[[], Any] = KeyValue
    """Makes what they replicate."""

    def __init__(self, members: int = 4, *, learners: int = 0, **changes: Any) -> None:
        self.members = members
        self.changes = changes
        self.keys = self.keys_of(members)
        self.time = 10**12
        self.waiting: deque[tuple[Node, Node, bytes]] = deque()
        self.rules: list[Predicate] = []
        self.replies: list[tuple[int | None, ReplyTo]] = []
        self.answered: list[tuple[Node, Peer, bytes]] = []
        """(Node, connection, frame) of each answer to no member."""
        self.sent: list[tuple[int | None, int | None, Any]] = []
        self.nodes: list[Node] = []
        self._number = 0
        for index in range(members):
            self.nodes.append(Node(self, index))
        self.learners = [Node(self, None) for _ in range(learners)]
        self.nodes += self.learners
        self.client = FrameSigner(self.id, self.keys.gateway[1], self.keys, scheme=self.keys.scheme)
        if members in (2, 3) or changes.get("mode") is Mode.RAFT:
            self.advance(200)  # no vote before all have answered at their first start (R11)

    def config(self, index: int | None) -> Config:
        """A member's parameters; None: a learner's."""
        return config_for(index, self.members, **self.changes)

    def __getitem__(self, index: int) -> Node:
        return self.nodes[index]

    # --- network ------------------------------------------------------------------------------------

    def post(self, source: Node, target: Node, frame: bytes) -> None:
        message = open_frame(frame)
        self.sent.append((source.index, target.index, message))
        if any(rule(_number(source), _number(target), message) for rule in self.rules):
            return
        self.waiting.append((source, target, frame))

    def drop(self, predicate: Predicate) -> None:
        """Lose the frames that match the predicate, from now on."""
        self.rules.append(predicate)

    def cut(self, *indices: int) -> None:
        """Part these members from all others, both ways."""
        inside = set(indices)
        self.drop(lambda source, target, _m: (source in inside) != (target in inside))

    def heal(self) -> None:
        self.rules.clear()

    def all_die_and_return(self) -> None:
        """Restart all members from their ledgers; afterwards no frame is lost."""
        for node in self.nodes:
            node.crash()
        self.heal()
        for node in self.nodes:
            node.restart()
        self.stabilize()

    def deliver(self, limit: int = 1) -> int:
        """Deliver the frames that wait longest; returns how many."""
        done = 0
        while self.waiting and done < limit:
            source, target, frame = self.waiting.popleft()
            if target.up:
                target.hear(source, frame)
            done += 1
        return done

    def stabilize(self, limit: int = 200_000) -> None:
        """Deliver until nothing waits."""
        assert self.deliver(limit) < limit, "it never comes to rest"

    def advance(self, milliseconds: float, *, deliver: bool = True) -> None:
        """Let time pass, ticking each core when it asked for it."""
        end = self.time + int(milliseconds * MILLISECOND)
        while True:
            if deliver:
                self.stabilize()
            due = [(node.core.deadline(), i) for i, node in enumerate(self.nodes) if node.up]
            ready = [(time, i) for time, i in due if time is not None and time <= end]
            if not ready:
                break
            time, index = min(ready)
            self.time = max(self.time, time)
            self.nodes[index].tick()
        self.time = end

    def advance_far(self, hops: int, milliseconds: int) -> None:
        """As `advance`, in `hops` steps: a frame is delivered at the end of its own step or of the next."""
        for _ in range(hops):
            self.advance(milliseconds, deliver=False)
            self.deliver(len(self.waiting))

    # --- clients ------------------------------------------------------------------------------------

    def bundle(
        self,
        ticket: str,
        *,
        session: tuple[int, int] = (1, 0),
        number: int | None = None,
        value: bytes = b"v",
    ) -> bytes:
        """A signed request with one operation."""
        if number is None:
            number = self._number
            self._number += 1
        operation = m.Operation("seed", "default", ticket, "actor", "m0", 1 << 60, b"", value)
        return self.client.sign(m.Bundle(0, "gateway", b"client-1", session, number, 0, (operation,)))

    def request(self, ticket: str, *, to: list[int] | None = None, **fields: Any) -> bytes:
        """Send a request to the given members (default: the primary of view 0)."""
        frame = self.bundle(ticket, **fields)
        for index in to if to is not None else [0]:
            if self.nodes[index].up:
                self.nodes[index].hear(None, frame)
        return frame

    def answers(self, kind: type[Any]) -> list[Any]:
        """All answers of a kind that clients got."""
        found = [open_frame(reply.frame) for _index, reply in self.replies]
        return [message for message in found if type(message) is kind]

    # --- looking ------------------------------------------------------------------------------------

    def up(self) -> list[Node]:
        return [node for node in self.nodes if node.up]

    def executed(self) -> list[int]:
        """Length of each durable log."""
        return [len(node.journal.log) for node in self.nodes]

    def agree(self) -> None:
        """Assert that no two logs differ, and that logs of equal length have equal states."""
        longest = max((node.log for node in self.nodes), key=len)
        for node in self.nodes:
            assert node.log == longest[: len(node.log)], f"member {node.index} has another log"

    def messages(self, kind: type[Any], source: int | None = None) -> list[Any]:
        """Everything of a kind that was ever sent (each copy once)."""
        return [
            message
            for sender, _target, message in self.sent
            if type(message) is kind and source in (None, sender)
        ]

    def verified(self, frame: bytes, source: int) -> Verified[Any]:
        """A frame through a door of its own."""
        door = Door(CLUSTER, self.keys, scheme=self.keys.scheme)
        return door.verify(door.peek(Inbound(Peer(f"m{source}", source), frame)))

    def header(self, frame: bytes, source: int) -> Header:
        door = Door(CLUSTER, self.keys, scheme=self.keys.scheme)
        return door.peek(Inbound(Peer(f"m{source}", source), frame))

    def sign(self, message: Any, attachment: bytes = b"") -> bytes:
        """As its sender would."""
        secret = self.keys.pairs[message.sender][1]
        signer = FrameSigner(CLUSTER, secret, self.keys, scheme=self.keys.scheme)
        return signer.sign(message, attachment)


def _number(node: Node) -> int:
    return node.index if node.index is not None else -1


def open_frame(frame: bytes) -> Any:
    """The message inside a frame, unchecked."""
    kind, body = msgspec.msgpack.decode(frame)[:2]
    return canonical.decode(m.KINDS[kind], body)


def is_kind(*kinds: type[Any]) -> Predicate:
    """Predicate: frames of these kinds."""
    return lambda _source, _target, message: type(message) in kinds
