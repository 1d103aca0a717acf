"""The chain of epochs: genesis and one epoch change proof certificate per later epoch (R27, R35).

An epoch change proof is a certificate like any other. It proves the ordered operation that changed the
membership, the last one of its epoch, by the checkpoint at the same sequence. Its outcome names the new
members, so the q members that signed the checkpoint signed the new membership.
"""

from __future__ import annotations

import msgspec

from dtvn.proof.certificate import EpochStart, decode_certificate
from dtvn.proof.files import BYTES_MAX, CHAIN
from dtvn.proof.verify import COUNT_MAX, Chain, Epoch, verify
from dtvn.protocol import canonical
from dtvn.protocol import genesis as g
from dtvn.protocol.consensus.fields import Count
from dtvn.protocol.consensus.membership import KIND, RECOVER
from dtvn.protocol.genesis import ceremony
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import no_form, opened
from dtvn.protocol.quorum import MEMBERS_MAX, Mode

__all__ = [
    "Chain",
    "ChainFile",
    "Epoch",
    "EpochStart",
    "chain_of_genesis",
    "extend_chain",
    "read_chain",
]

VERSION = 1
SEALED, PLAIN, CONTINUED, CHOSEN = b"\x94", b"\x97", b"\x98", b"\x99"
"""First byte of a genesis that its parties sealed together, of a bare genesis, of one that continues another
cluster, and of one that names its mode; a ChainFile begins with a different byte."""


class ChainFile(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The epoch chain, the second file that a verifier takes."""

    version: Count
    genesis: bytes
    """Canonical bytes of dtvn.protocol.genesis.Genesis."""
    epoch_changes: tuple[bytes, ...]
    """epoch change proof certificates in order of epochs; the first one ends epoch 0."""


def chain_of_genesis(genesis: bytes) -> ChainFile:
    """The chain of a cluster that is still in its first epoch."""
    return ChainFile(VERSION, genesis, ())


def read_chain(data: bytes) -> Chain:
    """Decodes an epoch chain and verifies every link; raises ProofError.

    `data`: a ChainFile or a genesis, either bare or the file that its members sealed.
    """
    if len(data) > BYTES_MAX[CHAIN]:
        said = f"an epoch chain has at most {BYTES_MAX[CHAIN]} bytes, not {len(data)}"
        raise ProofError(Code.TOO_LARGE, CHAIN, said)
    if data[:1] in (SEALED, PLAIN, CONTINUED, CHOSEN):
        file = chain_of_genesis(data)
    else:
        file = opened(ChainFile, data, "the epoch chain")
    if file.version != VERSION:
        said = f"an epoch chain of version {file.version}; this verifier knows {VERSION}"
        raise ProofError(Code.UNKNOWN_VERSION, CHAIN, said)
    try:
        kind = g.form(file.genesis)
        genesis = _founded(data) if data[:1] == SEALED else opened(kind, file.genesis, "the genesis")
        _check_genesis(genesis)
    except g.GenesisError as error:
        raise ProofError(Code.INVALID_GENESIS, "genesis", f"the genesis is invalid: {error}") from error
    cluster = g.cluster_id(genesis)
    continued = g.continued(genesis)
    after = 0 if continued is None else continued.sequence
    first = (Epoch(genesis.members, after, cluster),)
    chain = Chain(cluster, genesis.name, first, g.mode(genesis), continued=continued)
    for epoch_change_proof in file.epoch_changes:
        chain = extend_chain(chain, epoch_change_proof)
    return chain


def _founded(data: bytes) -> g.Genesis:
    """The genesis in a file that all its parties sealed."""
    try:
        found = ceremony.read(data)
    except canonical.CanonicalError as error:
        raise no_form("the genesis") from error
    if found.format != ceremony.format_of(found.terms):
        raise no_form("the genesis")
    return ceremony.open_genesis(data)


def _check_genesis(genesis: g.Genesis) -> None:
    """Checks a genesis. Whether a cluster may start from a bare one is not checked: the user trusts its
    hash."""
    if not all(0 <= number <= COUNT_MAX for number in (genesis.created_at, genesis.protocol_version)):
        raise no_form("the genesis")
    if isinstance(genesis, g.ChosenGenesis) and genesis.consensus != Mode.RAFT:
        raise no_form("the genesis")  # to a verifier of one file, the word is a part of the form
    _check_members(genesis.members, "the genesis")
    g.check(genesis)


def _check_members(members: tuple[g.Member, ...], what: str) -> None:
    """The checks of all verifiers on a member list; each name and each key must be unique."""
    if not all(len(member.public_key) == 32 and 0 <= member.port <= COUNT_MAX for member in members):
        raise no_form(what)
    keys, names = {member.public_key for member in members}, {member.id for member in members}
    if not 1 <= len(members) <= MEMBERS_MAX or not len(keys) == len(names) == len(members):
        said = "members are too many or share a name or a key"
        raise ProofError(Code.BAD_MEMBERS, "members", said)


def extend_chain(chain: Chain, data: bytes) -> Chain:
    """The chain extended by the epoch that an epoch change proof begins; raises ProofError unless the epoch
    change proof ends the last epoch of the chain."""
    ending = len(chain.epochs) - 1
    certificate = decode_certificate(data)
    proved = verify(certificate, chain)
    said = f"epoch {ending} does not end with this epoch change proof"
    wrong = ProofError(Code.WRONG_EPOCH_CHANGE, f"epoch {ending}", said)
    kind, checkpoint = (RECOVER, None) if proved.ended_offline else (KIND, (ending, proved.sequence))
    if (proved.kind, proved.code, proved.epoch, proved.checkpoint) != (kind, "ok", ending, checkpoint):
        raise wrong
    start = opened(EpochStart, proved.state, "the epoch change proof")
    _check_members(start.members, "the epoch change proof")
    if start.epoch != ending + 1:
        raise wrong
    epochs = (*chain.epochs, Epoch(start.members, proved.sequence, proved.entry_hash))
    return msgspec.structs.replace(chain, epochs=epochs)
