"""Keys, genesis, signers and doors of a cluster without nodes, for the tests of the host."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from nacl import bindings

from dtvn.protocol import genesis as g
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.verified import Inbound, Peer
from dtvn.protocol.quorum import Mode
from dtvn.protocol.versions import NEWEST
from dtvn.protocol.wire import ED25519, Door, FrameSigner

EPOCH = 0


def key_pair(name: str) -> tuple[bytes, bytes]:
    """(public key, secret key) of a name: the same in every run."""
    return bindings.crypto_sign_seed_keypair(sha256(name.encode()).digest())


FIRST_CAPABILITIES = ("admin", "gate", "issue", "operate")
"""Those of the first form; golden bytes hold them."""


def make_genesis(
    members: int = 4,
    name: str = "paper",
    capabilities: Sequence[str] = FIRST_CAPABILITIES,
    version: int = NEWEST,
) -> g.Genesis:
    """A demo cluster of r0, r1 ... and one gateway with these capabilities in all events."""
    grants = tuple(g.Grant(g.ANY_EVENT, capability) for capability in capabilities)
    return g.Genesis(
        name=name,
        created_at=1_700_000_000_000_000,
        members=tuple(g.Member(f"r{i}", key_pair(f"r{i}")[0], "127.0.0.1", 7000 + i) for i in range(members)),
        principals=(g.Principal("gateway", key_pair("gateway")[0], grants),),
        parameters=g.Parameters(version=version),
        demo=True,
    )


class GenesisKeys:
    """Keys as genesis lists them, for epoch 0."""

    def __init__(self, genesis: g.Genesis) -> None:
        self.genesis = genesis

    def member_key(self, epoch: int, index: int) -> bytes | None:
        if epoch != EPOCH or not 0 <= index < len(self.genesis.members):
            return None
        return self.genesis.members[index].public_key

    def principal_key(self, name: str) -> bytes | None:
        return next((p.public_key for p in self.genesis.principals if p.name == name), None)


class Paper:
    """One cluster: `sign` as any member, and a door of its own."""

    def __init__(self, members: int = 4, name: str = "paper", mode: Mode = Mode.PBFT) -> None:
        self.genesis = g.agreeing_by(make_genesis(members, name), mode)
        self.cluster = g.cluster_id(self.genesis)
        self.keys = GenesisKeys(self.genesis)
        self.door = Door(self.cluster, self.keys)

    def signer(self, name: str) -> FrameSigner:
        return FrameSigner(self.cluster, key_pair(name)[1], self.keys, scheme=ED25519)

    def sign(self, message: object, attachment: bytes = b"") -> bytes:
        """Frame of a statement or a request, signed by its sender."""
        name = "gateway" if isinstance(message, m.Bundle) else f"r{message.sender}"  # type: ignore[attr-defined]
        return self.signer(name).sign(message, attachment)

    def peer(self, index: int = 1) -> Peer:
        return Peer(name=f"r{index}", member=index)

    def inbound(self, frame: bytes, index: int = 1) -> Inbound:
        return Inbound(self.peer(index), frame)

    def verify(self, frame: bytes, index: int = 1):  # type: ignore[no-untyped-def]
        """Through the door as a host does it."""
        return self.door.verify(self.door.peek(self.inbound(frame, index)))


def operation(ticket: str = "T-1", kind: str = "seed", nonce: bytes = b"") -> m.Operation:
    return m.Operation(kind, "default", ticket, "gate-a", "r0", 1_800_000_000_000_000, nonce, b"")


def bundle(number: int = 0, *operations: m.Operation) -> m.Bundle:
    return m.Bundle(EPOCH, "gateway", b"12345678", (1, 0), number, 0, operations or (operation(),))


def sample_statements(paper: Paper) -> list[object]:
    """One of each signed kind, with nested statements where it carries any."""
    digest = m.NULL_BATCH_DIGEST
    pre_prepare = paper.sign(m.PrePrepare(EPOCH, 0, 0, 11, digest))
    prepares = tuple(paper.sign(m.Prepare(EPOCH, i, 0, 11, digest)) for i in (1, 2))
    checkpoints = tuple(paper.sign(m.Checkpoint(EPOCH, i, 10, b"s" * 32, b"l" * 32, 5)) for i in (0, 1, 2))
    return [
        bundle(),
        m.PrePrepare(EPOCH, 0, 0, 11, digest),
        m.Prepare(EPOCH, 1, 0, 11, digest),
        m.Commit(EPOCH, 1, 0, 11, digest),
        m.Checkpoint(EPOCH, 1, 10, b"s" * 32, b"l" * 32, 5),
        m.Suspect(EPOCH, 1, 1, "progress"),
        m.ViewChange(EPOCH, 1, 1, checkpoints, (m.PreparedProof(pre_prepare, prepares),)),
        m.NewView(EPOCH, 1, 1, ((0, b"d" * 32), (1, b"e" * 32), (2, b"f" * 32)), (pre_prepare,)),
        m.Status(EPOCH, 1, 0, False, 10, 10, 11, (11,), True),
        m.Receipt(EPOCH, 1, 11, b"h" * 32),
        m.Head(EPOCH, 1, 11, b"h" * 32, 1_790_000_000_000_000),
        m.Repeat(EPOCH, 1, (1, 0), 3, b"r" * 32, 11, 0, ("ok",)),
        m.Continuation(EPOCH, 1, 12, b"s" * 32, b"l" * 32, 5, (b"k" * 32, b"n" * 32)),
    ]
