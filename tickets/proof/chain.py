"""The chain of epochs: genesis and one hand-over certificate per later epoch (R27, R35).

A hand-over is a certificate like any other: of the ordered operation that changed the membership, the
last of its epoch, proved by the checkpoint at its own sequence. Its outcome names the new members, so
the q members that signed the checkpoint signed them.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from tickets.proof.certificate import decode_certificate
from tickets.proof.errors import ProofError
from tickets.proof.files import BYTES_MAX, CHAIN
from tickets.proof.verify import COUNT_MAX, Chain, Epoch, verify
from validators import canonical, ceremony
from validators import genesis as g
from validators.quorum import MEMBERS_MAX

__all__ = [
    "HANDOVER",
    "Chain",
    "ChainFile",
    "Epoch",
    "EpochStart",
    "chain_of_genesis",
    "hand_over",
    "read_chain",
]

HANDOVER = "reconfigure"
"""Kind of the operation that ends an epoch."""

VERSION = 1


class EpochStart(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Outcome state of a hand-over: the epoch that begins after it, and its members in order."""

    epoch: int
    members: Annotated[tuple[g.Member, ...], msgspec.Meta(min_length=1, max_length=MEMBERS_MAX)]


class ChainFile(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The second file that a verifier takes."""

    version: int
    genesis: bytes
    """Canonical bytes of validators.genesis.Genesis."""
    handovers: tuple[bytes, ...]
    """Certificates, the one that ends epoch 0 first."""


def chain_of_genesis(genesis: bytes) -> ChainFile:
    """The chain of a cluster that is still in its first epoch."""
    return ChainFile(VERSION, genesis, ())


def read_chain(data: bytes) -> Chain:
    """Verify every link; `data` is a ChainFile, or a genesis: plain, or the file that its members sealed.

    Raises ProofError.
    """
    if len(data) > BYTES_MAX[CHAIN]:
        raise ProofError(f"an epoch chain of {len(data)} bytes is none")
    try:
        file = canonical.decode(ChainFile, data)
    except canonical.CanonicalError:
        file = chain_of_genesis(data)
    if file.version != VERSION:
        raise ProofError(f"an epoch chain of version {file.version}; this verifier knows {VERSION}")
    try:
        genesis = g.decode(file.genesis) if file.genesis is not data else _founded(data)
    except g.GenesisError as error:
        raise ProofError(f"the genesis is none: {error}") from error
    _check_numbers(genesis.created_at, genesis.protocol_version)
    cluster = g.cluster_id(genesis)
    chain = Chain(cluster, genesis.name, (Epoch(genesis.members, 0, cluster),))
    for handover in file.handovers:
        chain = hand_over(chain, handover)
    return chain


def _check_numbers(*numbers: int) -> None:
    """What a genesis leaves open and the other verifiers do not read."""
    if not all(0 <= number <= COUNT_MAX for number in numbers):
        raise ProofError("the epoch chain holds a number that is out of range")


def _founded(data: bytes) -> g.Genesis:
    """A genesis file. Whether a cluster may start from it is not asked: its hash is what is trusted."""
    try:
        return g.decode(data)
    except g.GenesisError:
        return ceremony.open_genesis(data)


def hand_over(chain: Chain, data: bytes) -> Chain:
    """The chain with the epoch that a hand-over begins; raise ProofError unless it ends the last one."""
    ending = len(chain.epochs) - 1
    certificate = decode_certificate(data)
    proved = verify(certificate, chain)
    if (proved.kind, proved.code) != (HANDOVER, "ok"):
        raise ProofError(f"epoch {ending} cannot end with {proved.kind} -> {proved.code}")
    if proved.epoch != ending or proved.checkpoint != (ending, proved.sequence):
        raise ProofError(f"the hand-over of epoch {ending} is not the checkpoint that ends it")
    try:
        start = canonical.decode(EpochStart, proved.state)
    except canonical.CanonicalError as error:
        raise ProofError(f"the hand-over of epoch {ending} names no members ({error})") from error
    keys = [member.public_key for member in start.members]
    names = [member.id for member in start.members]
    if len(set(keys)) != len(keys) or len(set(names)) != len(names) or any(len(key) != 32 for key in keys):
        raise ProofError(f"the members of epoch {ending + 1} share a name or a key")
    _check_numbers(*(member.port for member in start.members))
    if start.epoch != ending + 1:
        raise ProofError(f"the hand-over of epoch {ending} begins epoch {start.epoch}")
    epochs = (*chain.epochs, Epoch(start.members, proved.sequence, proved.entry_hash))
    return msgspec.structs.replace(chain, epochs=epochs)
