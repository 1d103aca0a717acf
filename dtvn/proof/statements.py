"""Checks statements of members against a chain: single statements, and checkpoints signed by q members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dtvn.proof.verify import COUNT_MAX, Chain
from dtvn.protocol import quorum
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.certificate import CheckpointCertificate, read_end
from dtvn.protocol.consensus.config import Config
from dtvn.protocol.consensus.verified import Peer
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import no_form, opened, shown
from dtvn.protocol.wire import Door, Envelope, PeerError, signed_bytes

STATEMENT = "a statement"


def open_signed(frame: bytes, chain: Chain, kind: type[Any] | None = None) -> Any:
    """Decodes a frame and checks its signature; returns the statement. Raises ProofError, also if it is not a
    `kind`."""
    envelope, message = decoded(frame, kind)
    if type(message) not in m.STATEMENTS:
        said = f"{type(message).__name__} is no statement of a member"
        raise ProofError(Code.WRONG_STATEMENT, "statement", said)
    name, key = member_of(message, chain)
    if not chain.scheme.verify(
        key, signed_bytes(chain.cluster, envelope.kind, envelope.body), envelope.signature
    ):
        said = f"the signature of {name} does not fit what it should say"
        raise ProofError(Code.BAD_SIGNATURE, name, said)
    return message


def decoded(frame: bytes, kind: type[Any] | None = None) -> tuple[Envelope, Any]:
    """The envelope of a frame and the message in it; raises ProofError if it is not a `kind`, if given."""
    envelope = opened(Envelope, frame, STATEMENT)
    if not 0 <= envelope.kind <= COUNT_MAX:
        raise no_form(STATEMENT)
    found = m.KINDS.get(envelope.kind)
    if kind is not None and found is not kind:
        said = "a statement is of a kind that cannot stand there"
        raise ProofError(Code.WRONG_STATEMENT, "statement", said)
    if found is None:
        raise no_form(STATEMENT)
    return envelope, opened(found, envelope.body, STATEMENT)


def member_of(message: Any, chain: Chain) -> tuple[str, bytes]:
    """Id and public key of a statement's sender; raises ProofError if the chain has no such member."""
    if message.epoch >= len(chain.epochs):
        said = f"epoch {message.epoch} is not in this chain, which ends with {len(chain.epochs) - 1}"
        raise ProofError(Code.UNKNOWN_EPOCH, f"epoch {message.epoch}", said)
    members = chain.epochs[message.epoch].members
    if message.sender >= len(members):
        said = f"epoch {message.epoch} has no member {message.sender}"
        raise ProofError(Code.UNKNOWN_MEMBER, f"member {message.sender}", said)
    return shown(members[message.sender].id), members[message.sender].public_key


class ChainKeys:
    """wire.Keys with the members of a chain."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def member_key(self, epoch: int, index: int) -> bytes | None:
        """See wire.Keys; None if the epoch has no such member. Raises ProofError if this chain lacks the
        epoch: a longer chain may have it, so the statement proves nothing for or against any member."""
        last = len(self._chain.epochs) - 1
        if epoch > last:
            said = f"epoch {epoch} is not in this chain, which ends with {last}"
            raise ProofError(Code.UNDECIDED_EPOCH, f"epoch {epoch}", f"{said}: this verifier cannot decide")
        members = self._chain.epochs[epoch].members
        return members[index].public_key if index < len(members) else None

    def principal_key(self, name: str) -> bytes | None:
        """See wire.Keys; no request is checked here."""
        return None


def config_of(chain: Chain, epoch: int) -> Config:
    """The part of a replica's configuration that reading proofs needs. Bounds are at their widest, so that a
    member is convicted only of what is wrong under any parameters."""
    return Config(
        cluster=chain.cluster,
        epoch=epoch,
        base=chain.epochs[epoch].after,
        members=tuple(member.id for member in chain.epochs[epoch].members),
        index=None,
        mode=chain.mode,
        checkpoint_interval=1,
        window=1 << 20,
        drift_bound=0,
        batch_operations_max=1,
        batch_bytes_max=1,
    )


def read_stable(frames: Sequence[bytes], chain: Chain) -> CheckpointCertificate:
    """The checkpoint that these frames of q members of one epoch prove, or the end of the epoch that all its
    members signed offline (R11); raises ProofError."""
    if not 0 < len(frames) <= quorum.MEMBERS_MAX:
        raise ProofError(Code.BAD_CHECKPOINT, "checkpoint", f"{len(frames)} CHECKPOINTs are no checkpoint")
    door = Door(chain.cluster, ChainKeys(chain), scheme=chain.scheme)
    try:
        nested = {frame: door.statement(Peer("", None), frame) for frame in frames}
    except PeerError as error:
        raise ProofError(Code.BAD_CHECKPOINT, "checkpoint", f"a CHECKPOINT is invalid: {error}") from error
    epoch: int = nested[frames[0]].message.epoch
    found = read_end(frames, nested, config_of(chain, epoch))
    if found is None:
        raise ProofError(Code.BAD_CHECKPOINT, "checkpoint", "these CHECKPOINTs prove nothing")
    chain.members(epoch, found.sequence)
    return found
