"""Real replicas with the real application, door and signatures, joined by lists instead of sockets."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from nacl import bindings

from dtvn.machine import Command, OpenSession, TicketApplication, build
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Effects, Executed, Note, Now
from dtvn.protocol.consensus.ledger_tail import Recovery
from dtvn.protocol.consensus.log_tree import Frontier
from dtvn.protocol.consensus.replica import Replica
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.genesis import CAPABILITIES, Genesis, Grant, Member, Parameters, Principal, cluster_id
from dtvn.protocol.wire import Door, FrameSigner, PeerError, decode_envelope

MILLISECOND = 1_000_000
SECOND = 1_000 * MILLISECOND
START = 1_700_000_000_000_000
"""Wall clock at the beginning, Unix microseconds."""
PASSES_MAX = 20_000


def pair(name: str) -> tuple[bytes, bytes]:
    """(public key, secret key) of a name."""
    return bindings.crypto_sign_seed_keypair(sha256(name.encode()).digest())


class Keys:
    """wire.Keys out of a genesis."""

    def __init__(self, genesis: Genesis) -> None:
        self._members = [member.public_key for member in genesis.members]
        self._principals = {p.name: p.public_key for p in genesis.principals}

    def member_key(self, epoch: int, index: int) -> bytes | None:
        return self._members[index] if epoch == 0 and 0 <= index < len(self._members) else None

    def principal_key(self, name: str) -> bytes | None:
        return self._principals.get(name)


class Members:
    """n members, one gateway; everything said is delivered at once, unless its sender is `cut`."""

    def __init__(self, count: int) -> None:
        everything = tuple(Grant("*", capability) for capability in CAPABILITIES)
        self.genesis = Genesis(
            name="members",
            created_at=1,
            members=tuple(Member(f"node{i}", pair(f"node{i}")[0], "-", 1 + i) for i in range(count)),
            principals=(
                Principal("gateway", pair("gateway")[0], everything),
                Principal("reader", pair("reader")[0], ()),
            ),
            parameters=Parameters(),
            demo=True,
        )
        self.cluster = cluster_id(self.genesis)
        self.keys = Keys(self.genesis)
        self.doors = [Door(self.cluster, self.keys) for _ in range(count)]
        self.applications = [TicketApplication(self.genesis, self.cluster) for _ in range(count)]
        self.signers = [FrameSigner(self.cluster, pair(f"node{i}")[1], self.keys) for i in range(count)]
        self.cores = [self._core(index) for index in range(count)]
        self.clients = {
            name: FrameSigner(self.cluster, pair(name)[1], self.keys) for name in ("gateway", "reader")
        }
        self.elapsed = 0
        """Nanoseconds since START."""
        self.cut: set[int] = set()
        """Members that neither hear nor are heard."""
        self.replies: list[list[Any]] = [[] for _ in range(count)]
        self.executed: list[list[Executed]] = [[] for _ in range(count)]
        self.notes: list[list[Note]] = [[] for _ in range(count)]
        self._waiting: deque[tuple[int, int, bytes]] = deque()
        for index, core in enumerate(self.cores):
            self._spread(index, core.restore(Recovery(Frontier(), 0, (), (), (), None, ()), self.now))
        self.settle()

    def _core(self, index: int) -> Replica:
        config = configuration.build(self.genesis, self.cluster, f"node{index}")
        return Replica(config, self.signers[index], self.applications[index], True)

    @property
    def now(self) -> Now:
        """Both clocks, the same on every member."""
        return Now(SECOND + self.elapsed, START * 1_000 + self.elapsed)

    # --- clients ---------------------------------------------------------------------------------

    def operation(self, command: Command, ticket: str = "", **fields: Any) -> m.Operation:
        """Valid for 30 seconds of wall time unless told otherwise."""
        wall = START + self.elapsed // 1_000
        given = {"actor": "anna", "entry": "node0", "valid_until": wall + 30_000_000, **fields}
        return build(command, ticket=ticket, **given)

    def bundle(
        self,
        operations: Iterable[m.Operation],
        *,
        session: tuple[int, int],
        number: int,
        principal: str = "gateway",
    ) -> bytes:
        """A signed request frame."""
        bundle = m.Bundle(0, principal, b"client00", session, number, 0, tuple(operations))
        return self.clients[principal].sign(bundle)

    def open_session(self, principal: str = "gateway", nonce: bytes = b"open") -> tuple[int, int]:
        """A session that all members know."""
        frame = self.bundle(
            [self.operation(OpenSession(), nonce=nonce)], session=(0, 0), number=0, principal=principal
        )
        self.ask(frame)
        reply = next(r for r in self.told(0) if isinstance(r, m.Reply))
        return (reply.entry.sequence, reply.first_index)

    def ask(self, frame: bytes, to: Iterable[int] = (0,)) -> None:
        """Hand a request to some members and let everybody talk until all is quiet."""
        for member in to:
            self._deliver(Peer("gateway", None), member, frame)
        self.settle()

    def told(self, member: int) -> list[Any]:
        """What `member` told the client since the last call; receipts and repeats are opened."""
        told, self.replies[member] = self.replies[member], []
        return told

    # --- the network -----------------------------------------------------------------------------

    def pass_time(self, nanoseconds: int) -> None:
        """Let time pass in steps that tick every member when it wants it."""
        end = self.elapsed + nanoseconds
        while self.elapsed < end:
            wakes = [
                core.deadline() or end + SECOND for i, core in enumerate(self.cores) if i not in self.cut
            ]
            soonest = max(min(wakes) - SECOND, self.elapsed + MILLISECOND)
            self.elapsed = min(end, soonest)
            for index, core in enumerate(self.cores):
                deadline = core.deadline()
                if index not in self.cut and deadline is not None and deadline <= self.now.monotonic:
                    self._spread(index, core.tick(self.now))
            self.settle()

    def settle(self) -> None:
        """Deliver what was said until nobody says anything."""
        for _ in range(PASSES_MAX):
            if not self._waiting:
                return
            sender, receiver, frame = self._waiting.popleft()
            if not {sender, receiver} & self.cut:
                self._deliver(Peer(f"node{sender}", sender), receiver, frame)
        raise AssertionError("the members never come to rest")

    def inject(self, sender: int, frames: Sequence[bytes], to: Iterable[int]) -> None:
        """Frames as if `sender` had said them (it may lie with its own key)."""
        self._waiting += [(sender, receiver, frame) for receiver in to for frame in frames]
        self.settle()

    def _deliver(self, peer: Peer, receiver: int, frame: bytes) -> None:
        core, door = self.cores[receiver], self.doors[receiver]
        header = door.peek(Inbound(peer, frame))
        if (reason := core.wants(header)) is not None:
            core.on_refused(header, reason)
            return
        try:
            verified = door.verify(header)
        except PeerError as error:
            raise AssertionError(f"{type(header.message).__name__}: {error}") from error
        self._spread(receiver, core.receive(verified, self.now))
        core.invariants()

    def _spread(self, index: int, effects: Effects) -> None:
        everybody = [other for other in range(len(self.cores)) if other != index]
        for send in effects.send:
            for receiver in everybody if send.to < 0 else [send.to]:
                self._waiting.append((index, receiver, send.frame))
        for reply in effects.reply:
            self.replies[index].append(decode_envelope(reply.frame)[1])
        for note in effects.notes:
            if isinstance(note, Executed):
                self.executed[index].append(note)
            else:
                self.notes[index].append(note)

    # --- what to look at -------------------------------------------------------------------------

    def roots(self) -> set[bytes]:
        """State roots of the members that are not cut off."""
        return {a.root() for i, a in enumerate(self.applications) if i not in self.cut}

    def state(self, ticket: str) -> set[str]:
        """The ticket's state as each connected member knows it."""
        return {
            "" if (shown := application.ticket("default", ticket)) is None else shown.state.name
            for index, application in enumerate(self.applications)
            if index not in self.cut
        }

    def codes(self, member: int) -> list[tuple[str, ...]]:
        """Outcome codes of every executed bundle, in the order of the log."""
        return [
            tuple(outcome.code for outcome in outcomes)
            for note in self.executed[member]
            for _bundle, _first, outcomes in note.bundles
        ]
