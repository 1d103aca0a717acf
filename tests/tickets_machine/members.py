"""Real replicas with the real application, door and Ed25519, in the test cluster of the consensus core."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from nacl import bindings

from dtvn.machine import Command, OpenSession, TicketApplication, build
from dtvn.protocol.consensus import config as configuration
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.effects import Executed
from dtvn.protocol.genesis import CAPABILITIES, Genesis, Grant, Member, Parameters, Principal, cluster_id
from dtvn.protocol.versions import NEWEST
from dtvn.protocol.wire import ED25519, FrameSigner
from tests.consensus.helpers import WALL_START, Cluster, open_frame

START = WALL_START // 1_000
"""Wall clock at time 0, Unix microseconds."""


def pair(name: str) -> tuple[bytes, bytes]:
    """(public key, secret key) of a name."""
    return bindings.crypto_sign_seed_keypair(sha256(name.encode()).digest())


class Keys:
    """wire.Keys of members node0, node1, ... and two principals."""

    scheme = ED25519

    def __init__(self, members: int) -> None:
        self.pairs = [pair(f"node{i}") for i in range(members)]
        self.gateway = pair("gateway")

    def member_key(self, epoch: int, index: int) -> bytes | None:
        return self.pairs[index][0] if epoch == 0 and 0 <= index < len(self.pairs) else None

    def principal_key(self, name: str) -> bytes | None:
        return pair(name)[0] if name in ("gateway", "reader") else None


class Members(Cluster):
    """n members and two principals; messages are delivered at once, unless their sender is `cut`."""

    keys_of = Keys

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
            parameters=Parameters(version=NEWEST),
            demo=True,
        )
        self.id = cluster_id(self.genesis)
        super().__init__(count)
        self.clients = {
            name: FrameSigner(self.id, pair(name)[1], self.keys) for name in ("gateway", "reader")
        }
        self.stabilize()

    def state(self) -> TicketApplication:
        return TicketApplication(self.genesis, self.id)

    def config(self, index: int | None) -> Config:
        return configuration.build(self.genesis, self.id, f"node{index}")

    @property
    def wall(self) -> int:
        """Wall clock of all members, Unix microseconds."""
        return START + self.time // 1_000

    # --- clients ---------------------------------------------------------------------------------

    def operation(self, command: Command, ticket: str = "", **fields: Any) -> m.Operation:
        """Valid for 30 seconds of wall time unless told otherwise."""
        given = {"actor": "anna", "entry": "node0", "valid_until": self.wall + 30_000_000, **fields}
        return build(command, ticket=ticket, **given)

    def signed(
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
        frame = self.signed(
            [self.operation(OpenSession(), nonce=nonce)], session=(0, 0), number=0, principal=principal
        )
        self.ask(frame)
        reply = next(r for r in self.told(0) if isinstance(r, m.Reply))
        return (reply.entry.sequence, reply.first_index)

    def ask(self, frame: bytes, to: Iterable[int] = (0,)) -> None:
        """Send a request to some members, and deliver until no message is pending."""
        for member in to:
            self[member].hear(None, frame)
        self.stabilize()

    def told(self, member: int) -> list[Any]:
        """Messages of `member` to the client since the last call; receipts and repeats are decoded."""
        told = [open_frame(reply.frame) for index, reply in self.replies if index == member]
        self.replies = [each for each in self.replies if each[0] != member]
        return told

    # --- the network -----------------------------------------------------------------------------

    def inject(self, sender: int, frames: Sequence[bytes], to: Iterable[int]) -> None:
        """Deliver frames as if `sender` had sent them (it may lie with its own key)."""
        self.waiting += [(self[sender], self[receiver], frame) for receiver in to for frame in frames]
        self.stabilize()

    # --- what to look at -------------------------------------------------------------------------

    def roots(self, *members: int) -> set[bytes]:
        """State roots of these members, of all if none is named."""
        return {self[index].application.root() for index in members or range(self.members)}

    def ticket_states(self, ticket: str, *members: int) -> set[str]:
        """The ticket's state as these members know it, or all if none is named."""
        shown = [
            self[index].application.ticket("default", ticket) for index in members or range(self.members)
        ]
        return {"" if each is None else each.state.name for each in shown}

    def codes(self, member: int) -> list[tuple[str, ...]]:
        """Outcome codes of every executed bundle, in the order of the log."""
        return [
            tuple(outcome.code for outcome in outcomes)
            for note in self[member].notes
            if isinstance(note, Executed)
            for _bundle, _first, outcomes in note.bundles
        ]
