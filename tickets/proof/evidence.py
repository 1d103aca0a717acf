"""Evidence: signed statements that convict their signer, as a file that anyone can check (PITFALLS 3, 22).

| code | frames | what convicts |
|---|---|---|
| double_proposal, prepare, commit | two statements | one view and sequence, two batches |
| checkpoint | two CHECKPOINTs | one sequence, two states |
| receipt | two receipts | one sequence, two entries |
| view_change, new_view | two of them | one view, two contents |
| hidden_commit | a COMMIT, a later VIEW-CHANGE | the second hides the prepared certificate of the first |
| bad_view_change | one VIEW-CHANGE | its own proofs prove nothing |
| bad_new_view | a NEW-VIEW and its VIEW-CHANGEs | it does not follow from them |

The last two need the protocol's own rules and are checked here only; the others by every verifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from tickets.proof.certificate import CLUSTER_TAG_SIZE
from tickets.proof.errors import ProofError
from tickets.proof.files import BYTES_MAX, EVIDENCE
from tickets.proof.statements import ChainKeys, config_of, decoded, member_of, open_signed
from tickets.proof.verify import Chain, shown
from validators import canonical, quorum
from validators.consensus import messages as m
from validators.consensus.effects import Reason
from validators.consensus.new_view import Claim, plan, proposals, read_claim
from validators.consensus.verified import Peer, Verified
from validators.wire import Door, PeerError
from validators.wire.envelope import encode_envelope

__all__ = [
    "DOUBLES",
    "Conviction",
    "Evidence",
    "convict",
    "encode_evidence",
    "hides",
]

VERSION = 1
SLOT, PLACE, VIEW = ("view", "sequence"), ("sequence",), ("view",)
DOUBLES: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "double_proposal": (m.PrePrepare, SLOT),
    "prepare": (m.Prepare, SLOT),
    "commit": (m.Commit, SLOT),
    "checkpoint": (m.Checkpoint, PLACE),
    "receipt": (m.Receipt, PLACE),
    "view_change": (m.ViewChange, VIEW),
    "new_view": (m.NewView, VIEW),
}
"""Kinds of two statements: their message, and which fields are equal while the rest differs."""


class Evidence(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a file holds."""

    version: int
    cluster: Annotated[bytes, msgspec.Meta(min_length=CLUSTER_TAG_SIZE, max_length=CLUSTER_TAG_SIZE)]
    code: str
    frames: tuple[bytes, ...]
    """Envelopes without attachments."""


class Conviction(msgspec.Struct, frozen=True):
    """Who is convicted of what."""

    code: str
    epoch: int
    member: int
    name: str
    where: str

    def sentence(self) -> str:
        """For people; the same words in every verifier."""
        return f"{self.name} is convicted: {self.code}, epoch {self.epoch}, {self.where}"


def encode_evidence(cluster: bytes, code: str, frames: Sequence[bytes]) -> bytes:
    """The bytes of a file."""
    return canonical.encode(Evidence(VERSION, cluster[:CLUSTER_TAG_SIZE], code, tuple(frames)))


def convict(data: bytes, chain: Chain) -> Conviction:
    """Check a file of evidence; raise ProofError unless it convicts somebody."""
    if len(data) > BYTES_MAX[EVIDENCE]:
        raise ProofError(f"evidence of {len(data)} bytes is none")
    try:
        evidence = canonical.decode(Evidence, data)
    except canonical.CanonicalError as error:
        raise ProofError(f"these bytes are no evidence ({error})") from error
    if evidence.version != VERSION:
        raise ProofError(f"evidence of version {evidence.version}; this verifier knows {VERSION}")
    if evidence.cluster != chain.cluster[:CLUSTER_TAG_SIZE]:
        raise ProofError("the evidence is of another cluster than this chain")
    if evidence.code in DOUBLES:
        return _double(evidence, chain)
    if evidence.code == "hidden_commit":
        return _hidden(evidence, chain)
    if evidence.code == "bad_view_change" and len(evidence.frames) == 1:
        return _bad_view_change(evidence.frames[0], chain)
    if evidence.code == "bad_new_view" and evidence.frames:
        return _bad_new_view(evidence.frames[0], evidence.frames[1:], chain)
    raise ProofError(f"{shown(evidence.code)} is no kind of evidence that this verifier knows")


# --- two statements ---------------------------------------------------------------------------------


def _double(evidence: Evidence, chain: Chain) -> Conviction:
    one, other = _pair(evidence, chain)
    kind, equal = DOUBLES[evidence.code]
    fields = ("epoch", "sender", *equal)
    same = type(one) is type(other) is kind and all(getattr(one, f) == getattr(other, f) for f in fields)
    if not same or one == other:
        raise ProofError("the two statements do not contradict each other")
    return _conviction(evidence.code, one, ", ".join(f"{f} {getattr(one, f)}" for f in equal), chain)


def _hidden(evidence: Evidence, chain: Chain) -> Conviction:
    """A COMMIT says: I hold the prepared certificate of this slot, until a checkpoint covers it. A
    VIEW-CHANGE for a later view without one of that view or a later one lied (R33)."""
    one, other = _pair(evidence, chain)
    if not isinstance(one, m.Commit) or not isinstance(other, m.ViewChange) or not hides(one, other):
        raise ProofError("the two statements do not contradict each other")
    return _conviction("hidden_commit", one, f"sequence {one.sequence}, view {other.view}", chain)


def hides(commit: m.Commit, change: m.ViewChange) -> bool:
    """Whether a VIEW-CHANGE lacks what the same member's COMMIT says that it holds; raise ProofError when
    what it carries cannot be read."""
    if (commit.epoch, commit.sender) != (change.epoch, change.sender) or commit.view >= change.view:
        return False
    if any(_open(frame, m.Checkpoint).sequence >= commit.sequence for frame in change.checkpoint):
        return False
    held = (_open(proof.pre_prepare, m.PrePrepare) for proof in change.prepared)
    return not any(each.sequence == commit.sequence and each.view >= commit.view for each in held)


def _pair(evidence: Evidence, chain: Chain) -> tuple[Any, Any]:
    if len(evidence.frames) != 2:
        raise ProofError("this kind of evidence has two statements")
    return open_signed(evidence.frames[0], chain), open_signed(evidence.frames[1], chain)


def _open(frame: bytes, kind: type[Any]) -> Any:
    _envelope, message = decoded(frame)
    if type(message) is not kind:
        raise ProofError(f"{type(message).__name__} where it cannot be")
    return message


def _conviction(code: str, message: Any, where: str, chain: Chain) -> Conviction:
    return Conviction(code, message.epoch, message.sender, member_of(message, chain)[0], where)


# --- statements that break the protocol's own rules ---------------------------------------------------


def _bad_view_change(frame: bytes, chain: Chain) -> Conviction:
    message = open_signed(frame, chain)
    if not isinstance(message, m.ViewChange):
        raise ProofError(f"{type(message).__name__} is no VIEW-CHANGE")
    if _claim(frame, chain, message.epoch) is not None:
        raise ProofError("this VIEW-CHANGE proves what it claims")
    return _conviction("bad_view_change", message, f"view {message.view}", chain)


def _bad_new_view(frame: bytes, basis: Sequence[bytes], chain: Chain) -> Conviction:
    message = open_signed(frame, chain)
    if not isinstance(message, m.NewView):
        raise ProofError(f"{type(message).__name__} is no NEW-VIEW")
    if _follows(message, basis, chain):
        raise ProofError("this NEW-VIEW follows from its VIEW-CHANGEs")
    return _conviction("bad_new_view", message, f"view {message.view}", chain)


def _follows(message: m.NewView, basis: Sequence[bytes], chain: Chain) -> bool:
    """Whether nothing shown here speaks against a NEW-VIEW; raise ProofError where something is missing."""
    count = len(chain.epochs[message.epoch].members)
    senders = [sender for sender, _digest in message.view_changes]
    if len(senders) != quorum.quorum(count) or senders != sorted(set(senders)):
        return False
    if message.sender != quorum.primary(message.view, count):
        return False
    claims = {
        claim.digest: claim for each in basis if (claim := _claim(each, chain, message.epoch)) is not None
    }
    used: list[Claim] = []
    for sender, digest in message.view_changes:
        claim = claims.get(digest)
        if claim is not None and (claim.sender, claim.view) != (sender, message.view):
            return False
        used += [claim] if claim is not None else []
    if len(used) != len(senders):
        raise ProofError("the VIEW-CHANGEs that this NEW-VIEW names are not all here")
    expected = proposals(plan(used), epoch=message.epoch, view=message.view, members=count)
    return tuple(_open(each, m.PrePrepare) for each in message.proposals) == expected


def _claim(frame: bytes, chain: Chain, epoch: int) -> Claim | None:
    """What a VIEW-CHANGE proves; None when one of its proofs is none, ProofError when that cannot be told.

    Only what its sender signed is judged: what somebody hung on the envelope afterwards is his own. What this
    verifier does not know (an epoch) or is too small for is not its sender's fault.
    """
    if not 0 <= epoch < len(chain.epochs):
        raise ProofError(f"epoch {epoch} is not in this chain")
    envelope, message = decoded(frame)
    if not isinstance(message, m.ViewChange) or message.epoch != epoch:
        raise ProofError("a frame beside it is no VIEW-CHANGE of its epoch")
    open_signed(frame, chain)
    bare = encode_envelope(envelope.kind, envelope.body, envelope.signature)
    door = Door(chain.cluster, ChainKeys(chain), scheme=chain.scheme)
    try:
        verified: Verified[Any] = door.statement(Peer(name="", member=None), bare)
    except PeerError as error:
        if error.reason is Reason.TOO_LARGE:
            raise ProofError(f"{error}: this verifier cannot decide") from error
        return None
    if any(each.message.epoch != epoch for each in verified.nested.values()):
        raise ProofError("it rests on statements of another epoch: this verifier cannot decide")
    return read_claim(verified, config_of(chain, epoch))
