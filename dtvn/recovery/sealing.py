"""Signs the end of an epoch, and combines all n signatures (R11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dtvn.proof import ProofError
from dtvn.proof.epoch_chain import EpochChain
from dtvn.proof.evidence import encode_evidence
from dtvn.protocol import canonical
from dtvn.protocol.consensus import EPOCH, epoch_change_proof
from dtvn.protocol.consensus.certificate import CheckpointCertificate, read_continuation
from dtvn.protocol.consensus.effects import CheckpointRecord, Prune, Record, StateRecord
from dtvn.protocol.consensus.membership import Membership, founding
from dtvn.protocol.consensus.messages import Continuation
from dtvn.protocol.consensus.verified import Peer, Verified
from dtvn.protocol.genesis import Genesis
from dtvn.protocol.wire import ED25519, Door, FrameSigner, PeerError, Scheme, decode_envelope
from dtvn.recovery.ending import Ending
from dtvn.recovery.forms import PlanFile, RecoveryError, SealedFile, SignedFile, plan_digest
from dtvn.recovery.kinds import SEALED, SIGNED
from dtvn.recovery.planning import Plan
from dtvn.recovery.reading import MemberKeys

NOBODY = Peer("", None)
VOTES_AGAIN = StateRecord("voting", b"1")


class ConvictedError(RecoveryError):
    """A member signed two different ends of one epoch; `evidence` is the file that convicts it."""

    def __init__(self, text: str, evidence: bytes) -> None:
        super().__init__(text)
        self.evidence = evidence


class Sealed(msgspec.Struct, frozen=True):
    """The end of the epoch that all members signed."""

    certificate: CheckpointCertificate
    ending: epoch_change_proof.EpochChangeProof
    epoch_changes: tuple[bytes, ...]
    """Encoded EpochChangeProofs from genesis on; the last one ends this epoch."""
    following: Membership


def signed(
    plan: PlanFile, cluster: bytes, said: Continuation, signer: FrameSigner, ending: Ending | None
) -> SignedFile:
    """One member's CONTINUATION as a file. `said`: the statement with the member's index as sender."""
    shown = b"" if ending is None else canonical.encode(ending.epoch_change_proof)
    return SignedFile(SIGNED, plan_digest(cluster, plan), signer.sign(said), shown)


def said_in(file: SignedFile) -> Continuation:
    """The CONTINUATION in the member's own file, without a check of its signature; raises RecoveryError."""
    try:
        said = decode_envelope(file.frame)[1]
    except canonical.CanonicalError as error:
        raise RecoveryError(f"A signature is invalid: {error}.") from error
    if not isinstance(said, Continuation):
        raise RecoveryError("It holds another statement than the end of an epoch.")
    return said


def by_witnesses(
    files: Sequence[SignedFile], plan: Plan, file: PlanFile, scheme: Scheme = ED25519
) -> Continuation:
    """The CONTINUATION for a member that cannot execute the plan: the one that f + 1 members that can have
    signed, at least one of which is honest and executed it itself. Raises RecoveryError; `sender` is 0."""
    found = _verified(files, plan, file, scheme)
    able: dict[int, Continuation] = {
        index: msgspec.structs.replace(each.message, sender=0)
        for index, each in found.items()
        if index in plan.witnesses
    }
    needed = plan.reading.config.f + 1
    if len(able) < needed:
        names = ", ".join(plan.reading.config.members[index] for index in plan.witnesses)
        raise RecoveryError(
            f"This member's log does not reach the plan (it ends below {plan.first - 1}), so it signs "
            f"what {needed} "
            f"of {names} signed: name their files."
        )
    if len(set(able.values())) != 1:
        raise RecoveryError(
            "Members that executed the plan signed different ends: one of them lies, or is broken."
        )
    return next(iter(able.values()))


def seal(
    file: PlanFile, plan: Plan, files: Sequence[SignedFile], genesis: Genesis, scheme: Scheme = ED25519
) -> tuple[SealedFile, tuple[str, ...]]:
    """All n signatures in one file, and the names of members whose file holds another entry than the one that
    they signed. Raises RecoveryError with what is missing or differs."""
    found = _verified(files, plan, file, scheme)
    config = plan.reading.config
    if missing := [name for index, name in enumerate(config.members) if index not in found]:
        raise RecoveryError(
            f"{', '.join(missing)} must still sign: all {config.n} signatures are needed, and fewer are "
            f"worth nothing."
        )
    ends = {msgspec.structs.replace(each.message, sender=0) for each in found.values()}
    if len(ends) != 1:
        raise RecoveryError("Members signed different ends of the epoch: one of them lies, or is broken.")
    frames = tuple(found[index].frame for index in sorted(found))
    wrong: list[str] = []
    for each in files:
        if not each.ending:
            continue
        try:
            ending = canonical.decode(epoch_change_proof.EpochChangeProof, each.ending)
            whole = msgspec.structs.replace(ending, checkpoint=frames)
            sealed = SealedFile(SEALED, file, canonical.encode(whole))
            open_sealed(sealed, plan, genesis, scheme)
        except (canonical.CanonicalError, RecoveryError):
            wrong.append(config.members[said_in(each).sender])
        else:
            return sealed, tuple(wrong)
    why = f": that of {', '.join(wrong)} is another one" if wrong else ""
    raise RecoveryError(f"None of these files shows the entry that ends the epoch{why}.")


def open_sealed(file: SealedFile, plan: Plan, genesis: Genesis, scheme: Scheme = ED25519) -> Sealed:
    """Checks that all members of the epoch signed this end of it; raises RecoveryError."""
    reading = plan.reading
    try:
        ending = canonical.decode(epoch_change_proof.EpochChangeProof, file.ending)
        door = Door(reading.config.cluster, MemberKeys(reading.membership), scheme=scheme)
        nested = {frame: door.statement(NOBODY, frame) for frame in ending.checkpoint}
    except (canonical.CanonicalError, PeerError) as error:
        raise RecoveryError(f"What all members signed cannot be read: {error}.") from error
    certificate = read_continuation(ending.checkpoint, nested, reading.config)
    if certificate is None or certificate.sequence != plan.last + 1:
        raise RecoveryError("These signatures are not those of all members under one end of the epoch.")
    epoch_changes = (*reading.epoch_changes, file.ending)
    return Sealed(certificate, ending, epoch_changes, _through(epoch_changes, genesis, scheme))


def _through(epoch_changes: Sequence[bytes], genesis: Genesis, scheme: Scheme) -> Membership:
    """The epoch to which these epoch change proofs lead, by the same check that every other verifier
    makes."""
    chain = EpochChain(genesis, (founding(genesis),), scheme)
    try:
        for data in epoch_changes:
            chain.take(data)
    except ProofError as error:
        ended = chain.present.epoch
        raise RecoveryError(f"What all members signed does not end epoch {ended}: {error}.") from error
    return chain.present


def records(sealed: Sealed, ending: Ending | None) -> list[Record]:
    """The records that bring a ledger into the next epoch, for one transaction. `ending`: the result of its
    own log, None if its log does not reach the plan and the node fetches a state when it runs."""
    certificate = sealed.certificate
    epoch = sealed.following.epoch - 1
    found: list[Record] = []
    if ending is not None:
        mine = (ending.continuation.state_root, ending.continuation.log_root, ending.continuation.timestamp)
        if mine != (certificate.state_root, certificate.log_root, certificate.timestamp):
            raise RecoveryError(
                "This ledger does not come to the end that all members signed: it is damaged."
            )
        found += ending.entries
        found.append(
            CheckpointRecord(
                epoch=epoch,
                sequence=certificate.sequence,
                state_root=certificate.state_root,
                log_root=certificate.log_root,
                timestamp=certificate.timestamp,
                frames=certificate.frames,
            )
        )
        found.append(Prune(certificate.sequence))
    found += [
        StateRecord(epoch_change_proof.record_name(number), data)
        for number, data in enumerate(sealed.epoch_changes)
    ]
    return [*found, StateRecord(EPOCH, canonical.encode_trimmed(sealed.following)), VOTES_AGAIN]


def _verified(
    files: Sequence[SignedFile], plan: Plan, file: PlanFile, scheme: Scheme
) -> dict[int, Verified[Any]]:
    """Member -> its CONTINUATION. Raises RecoveryError if a signature is invalid, ConvictedError if a member
    signed two ends. The latter is checked before the files' plans, since two ends come from two plans."""
    config = plan.reading.config
    door = Door(config.cluster, MemberKeys(plan.reading.membership), scheme=scheme)
    strange = [each for each in files if each.plan != plan_digest(config.cluster, file)]
    found: dict[int, Verified[Any]] = {}
    for each in files:
        try:
            one = door.statement(NOBODY, each.frame)
        except PeerError as error:
            if each in strange:
                continue  # it belongs to another epoch or another cluster
            raise RecoveryError(f"A signature is invalid: {error}.") from error
        message = one.message
        if not isinstance(message, Continuation) or message.epoch != config.epoch:
            raise RecoveryError("One of these files holds another statement than the end of this epoch.")
        known = found.setdefault(message.sender, one)
        if known.message != message:
            name = config.members[message.sender]
            evidence = encode_evidence(config.cluster, "continuation", (known.frame, one.frame))
            raise ConvictedError(f"{name} signed two different ends of epoch {config.epoch}.", evidence)
    if strange:
        raise RecoveryError("One of these files is of another plan.")
    return found
