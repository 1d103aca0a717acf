"""Evidence: signed statements that convict their signer, as a file that anyone can check (P3, P22).

| code | frames | why they convict |
|---|---|---|
| double_proposal, prepare, commit | two statements | one view and sequence, two batches |
| checkpoint | two CHECKPOINTs | one sequence, two states |
| receipt | two receipts | one sequence, two entries |
| continuation | two CONTINUATIONs | one epoch, two ends |
| view_change, new_view | two of them | one view, two contents |
| hidden_commit | a COMMIT, a later VIEW-CHANGE | the second hides the prepared certificate of the first |
| bad_view_change | one VIEW-CHANGE | its own proofs prove nothing |
| bad_new_view | a NEW-VIEW and its VIEW-CHANGEs | it does not follow from them |
| event_vote | one `judging.VoteEvidence` | one question about agent events, two votes |

`bad_view_change` and `bad_new_view` need the protocol's own rules, which the stand-alone verifier implements
in a second file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from dtvn.events import judging
from dtvn.proof.certificate import CLUSTER_TAG_SIZE
from dtvn.proof.files import BYTES_MAX, EVIDENCE
from dtvn.proof.statements import ChainKeys, config_of, decoded, member_of, open_signed
from dtvn.proof.transcripts import electorate
from dtvn.proof.verify import Chain
from dtvn.protocol import canonical, quorum
from dtvn.protocol.consensus import messages as m
from dtvn.protocol.consensus.effects import Reason
from dtvn.protocol.consensus.fields import Count
from dtvn.protocol.consensus.new_view import CheckedViewChange, check_view_change, plan, proposals
from dtvn.protocol.consensus.verified import Peer, Verified
from dtvn.protocol.proof_errors import Code, ProofError
from dtvn.protocol.proof_forms import opened, shown
from dtvn.protocol.wire import Door, PeerError, encode_envelope

VERSION = 1
EVENT_VOTE = "event_vote"
RUN_SHOWN_MAX = 64
"""Most characters of a run's name in a conviction."""
TWO_ENDS = "two ends of it"
NO_CONTRADICTION = "the two statements do not contradict each other"
SLOT, PLACE, VIEW = ("view", "sequence"), ("sequence",), ("view",)
DOUBLES: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "double_proposal": (m.PrePrepare, SLOT),
    "prepare": (m.Prepare, SLOT),
    "commit": (m.Commit, SLOT),
    "checkpoint": (m.Checkpoint, PLACE),
    "receipt": (m.Receipt, PLACE),
    "view_change": (m.ViewChange, VIEW),
    "new_view": (m.NewView, VIEW),
    "continuation": (m.Continuation, ()),
}
"""Code of evidence with two statements -> (their message, the fields that are equal while the rest
differs)."""


class Evidence(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Content of an evidence file."""

    version: Count
    cluster: Annotated[bytes, msgspec.Meta(min_length=CLUSTER_TAG_SIZE, max_length=CLUSTER_TAG_SIZE)]
    code: str
    frames: tuple[bytes, ...]
    """Envelopes without attachments; for EVENT_VOTE the bytes of judging's evidence."""


class Conviction(msgspec.Struct, frozen=True):
    """The convicted member and its fault."""

    code: str
    epoch: int
    member: int
    name: str
    where: str

    def sentence(self) -> str:
        """Text for the user; the same words in every verifier."""
        return f"{self.name} is convicted: {self.code}, epoch {self.epoch}, {self.where}"


def encode_evidence(cluster: bytes, code: str, frames: Sequence[bytes]) -> bytes:
    """The bytes of an evidence file."""
    return canonical.encode(Evidence(VERSION, cluster[:CLUSTER_TAG_SIZE], code, tuple(frames)))


def convict(data: bytes, chain: Chain) -> Conviction:
    """Checks an evidence file; raises ProofError unless it convicts a member."""
    if len(data) > BYTES_MAX[EVIDENCE]:
        said = f"evidence has at most {BYTES_MAX[EVIDENCE]} bytes, not {len(data)}"
        raise ProofError(Code.TOO_LARGE, EVIDENCE, said)
    evidence = opened(Evidence, data, "the evidence")
    if evidence.version != VERSION:
        said = f"evidence of version {evidence.version}; this verifier knows {VERSION}"
        raise ProofError(Code.UNKNOWN_VERSION, EVIDENCE, said)
    if evidence.cluster != chain.cluster[:CLUSTER_TAG_SIZE]:
        said = "the evidence is of another cluster than this chain"
        raise ProofError(Code.OTHER_CLUSTER, EVIDENCE, said)
    code, frames = evidence.code, evidence.frames
    if code in DOUBLES and len(frames) == 2:
        return _double(evidence, chain)
    if code == "hidden_commit" and len(frames) == 2:
        return _hidden(evidence, chain)
    if code == "bad_view_change" and len(frames) == 1:
        return _bad_view_change(frames[0], chain)
    if code == "bad_new_view" and frames:
        return _bad_new_view(frames[0], frames[1:], chain)
    if code == EVENT_VOTE and len(frames) == 1:
        return _event_vote(frames[0], chain)
    said = f"{shown(code)} with {len(frames)} frames is no evidence that this verifier knows"
    raise ProofError(Code.UNKNOWN_EVIDENCE, shown(code), said)


# --- two statements ---------------------------------------------------------------------------------


def _double(evidence: Evidence, chain: Chain) -> Conviction:
    kind, equal = DOUBLES[evidence.code]
    one, other = (open_signed(frame, chain, kind) for frame in evidence.frames)
    fields = ("epoch", "sender", *equal)
    if one == other or any(getattr(one, f) != getattr(other, f) for f in fields):
        raise ProofError(Code.NO_CONTRADICTION, evidence.code, NO_CONTRADICTION)
    where = ", ".join(f"{field} {getattr(one, field)}" for field in equal)
    return _conviction(evidence.code, one, where or TWO_ENDS, chain)


def _hidden(evidence: Evidence, chain: Chain) -> Conviction:
    """A COMMIT states that its sender holds the prepared certificate of the slot until a checkpoint covers
    it. A VIEW-CHANGE for a later view without a certificate of that view or a later one lied (R33)."""
    one = open_signed(evidence.frames[0], chain, m.Commit)
    other = open_signed(evidence.frames[1], chain, m.ViewChange)
    if not hides(one, other):
        raise ProofError(Code.NO_CONTRADICTION, evidence.code, NO_CONTRADICTION)
    return _conviction("hidden_commit", one, f"sequence {one.sequence}, view {other.view}", chain)


def hides(commit: m.Commit, change: m.ViewChange) -> bool:
    """Whether a VIEW-CHANGE lacks the prepared certificate that the same member's COMMIT claims; raises
    ProofError if its content does not decode."""
    if (commit.epoch, commit.sender) != (change.epoch, change.sender) or commit.view >= change.view:
        return False
    if any(_open(frame, m.Checkpoint).sequence >= commit.sequence for frame in change.checkpoint):
        return False
    held = (_open(proof.pre_prepare, m.PrePrepare) for proof in change.prepared)
    return not any(each.sequence == commit.sequence and each.view >= commit.view for each in held)


def _open(frame: bytes, kind: type[Any]) -> Any:
    return decoded(frame, kind)[1]


def _conviction(code: str, message: Any, where: str, chain: Chain) -> Conviction:
    return Conviction(code, message.epoch, message.sender, member_of(message, chain)[0], where)


def _event_vote(data: bytes, chain: Chain) -> Conviction:
    """The digest of the question in `where` tells apart runs of one name."""
    epoch = judging.decode_evidence(data).epoch
    found = judging.convict(data, electorate(chain, epoch))
    question = found.question
    run, digest = shown(question.run)[:RUN_SHOWN_MAX], canonical.digest(canonical.encode(question)).hex()
    where = f"run {run}, event {question.position}, question {digest[:16]}"
    return Conviction(EVENT_VOTE, epoch, found.member, found.name, where)


# --- statements that break the protocol's own rules ---------------------------------------------------


def _bad_view_change(frame: bytes, chain: Chain) -> Conviction:
    message = open_signed(frame, chain, m.ViewChange)
    if _checked(frame, chain, message.epoch) is not None:
        said = "this VIEW-CHANGE proves what it claims"
        raise ProofError(Code.VALID_VIEW_CHANGE, f"view {message.view}", said)
    return _conviction("bad_view_change", message, f"view {message.view}", chain)


def _bad_new_view(frame: bytes, view_changes: Sequence[bytes], chain: Chain) -> Conviction:
    message = open_signed(frame, chain, m.NewView)
    if _follows(message, view_changes, chain):
        said = "this NEW-VIEW follows from its VIEW-CHANGEs"
        raise ProofError(Code.VALID_NEW_VIEW, f"view {message.view}", said)
    return _conviction("bad_new_view", message, f"view {message.view}", chain)


def _follows(message: m.NewView, view_changes: Sequence[bytes], chain: Chain) -> bool:
    """Whether a NEW-VIEW follows from `view_changes`, the VIEW-CHANGEs it names; raises ProofError if one
    is missing and the others do not refute it."""
    count = len(chain.epochs[message.epoch].members)
    senders = [sender for sender, _digest in message.view_changes]
    if len(senders) != quorum.quorum(count, chain.mode) or senders != sorted(set(senders)):
        return False
    if message.sender != quorum.primary(message.view, count):
        return False
    changes = {
        change.digest: change
        for each in view_changes
        if (change := _checked(each, chain, message.epoch)) is not None
    }
    used: list[CheckedViewChange] = []
    for sender, digest in message.view_changes:
        change = changes.get(digest)
        if change is not None and (change.sender, change.view) != (sender, message.view):
            return False
        used += [change] if change is not None else []
    if len(used) != len(senders):
        said = "the VIEW-CHANGEs that this NEW-VIEW names are not all here"
        raise ProofError(Code.MISSING_VIEW_CHANGE, f"view {message.view}", said)
    expected = proposals(plan(used), epoch=message.epoch, view=message.view, members=count)
    return tuple(_open(each, m.PrePrepare) for each in message.proposals) == expected


def _checked(frame: bytes, chain: Chain, epoch: int) -> CheckedViewChange | None:
    """A VIEW-CHANGE with its proofs checked; None if one of its proofs is invalid. Raises ProofError if this
    verifier cannot decide.

    Only what the sender signed is judged: another party may have added attachments to the envelope. An epoch
    that this verifier does not know, or a size beyond its limits, is not the sender's fault.
    """
    message = open_signed(frame, chain, m.ViewChange)
    if message.epoch != epoch:
        said = "a frame beside it is no VIEW-CHANGE of its epoch"
        raise ProofError(Code.OTHER_EPOCH, f"epoch {message.epoch}", said)
    envelope, _message = decoded(frame)
    bare = encode_envelope(envelope.kind, envelope.body, envelope.signature)
    door = Door(chain.cluster, ChainKeys(chain), scheme=chain.scheme)
    try:
        verified: Verified[Any] = door.statement(Peer(name="", member=None), bare)
    except PeerError as error:
        if error.reason is Reason.TOO_LARGE:
            said = f"{error}: this verifier cannot decide"
            raise ProofError(Code.UNDECIDED_SIZE, "statements", said) from error
        return None
    if any(each.message.epoch != epoch for each in verified.nested.values()):
        said = "it rests on statements of another epoch: this verifier cannot decide"
        raise ProofError(Code.UNDECIDED_MIXED, f"epoch {epoch}", said)
    return check_view_change(verified, config_of(chain, epoch))
