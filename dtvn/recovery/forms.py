"""The files that members exchange in a recovery. They hold no secrets."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeVar

import msgspec

from dtvn.protocol import canonical
from dtvn.protocol.consensus.fields import SPAN, Count, Hash, Votes
from dtvn.protocol.consensus.log_tree import PATH_LENGTH_MAX
from dtvn.protocol.consensus.messages import Entry, PreparedProof
from dtvn.protocol.quorum import MEMBERS_MAX
from dtvn.recovery.kinds import HEAD_BYTES, PLAN, SEALED, SIGNED, STATE, not_wanted

CONTINUE = "Only a new cluster can go on from what is left: `manage.py genesis continue --help`."
"""The last sentence of an error after which no step of the recovery can help."""
FILE_BYTES_MAX = 1 << 30
"""Most bytes of a file: each of n members sends the batches of a window, the most that an epoch may hold."""

Name = Annotated[str, msgspec.Meta(max_length=64)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Form = TypeVar("Form", bound="_File")


class RecoveryError(Exception):
    """A step of the recovery that cannot be done; the text is one sentence for the operator."""


class LogsBehind(RecoveryError):
    """Too few logs reach what must be executed: members have to run and fetch it first."""


class _Value(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Vote(_Value, frozen=True):
    """One of the member's own votes, above its stable checkpoint."""

    phase: Annotated[str, msgspec.Meta(max_length=16)]
    """pre_prepare, prepare or commit."""
    view: Count
    sequence: Count
    digest: Hash


class Held(_Value, frozen=True):
    """An executed entry with its batch (b"": the null request) and q COMMITs of one view (() if the stable
    checkpoint covers it)."""

    entry: Entry
    body: bytes
    commits: Votes


class Certified(_Value, frozen=True):
    """A prepared certificate with its batch (b"": the null request)."""

    proof: PreparedProof
    body: bytes


class Proofs(_Value, frozen=True):
    """The proofs of a statement; each part can be checked by itself."""

    first_form: ClassVar[int] = 6

    epoch_changes: Annotated[tuple[bytes, ...], SPAN]
    """Encoded EpochChangeProofs from genesis to the epoch, as far as the ledger holds them."""
    checkpoint: Votes
    """q CHECKPOINTs of the stable checkpoint; () if that is the beginning of the epoch."""
    entries: Annotated[tuple[Held, ...], SPAN]
    """The entries executed above the stable checkpoint, ascending without a gap, and before them a few below
    it, which it covers."""
    before: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=PATH_LENGTH_MAX)]
    """Merkle peaks of the log below the first of `entries`, if the checkpoint covers that entry: the
    checkpoint's log root proves the covered entries with them. Else ()."""
    prepared: Annotated[tuple[Certified, ...], SPAN]
    """The prepared certificate of the highest view for each sequence above the executed ones that has one,
    ascending."""
    heard: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=1 << 20)]
    """Frames received from others: the newest NEW-VIEW of the ledger with its VIEW-CHANGEs, and the proposals
    and PREPAREs of other members above the stable checkpoint."""
    accepted: Annotated[tuple[bytes, ...], SPAN] = ()
    """Raft: the batches of the log above the executed entries, ascending without a gap. Nothing but the
    member's own signature proves them: no member lies there (R44). Later field."""


class Statement(_Value, frozen=True):
    """The end of one member's log, and whether its operator vouches that the log was never longer."""

    epoch: Count
    member: Name
    executed: Count
    """Last executed sequence; it is below the beginning of the epoch if the log does not reach the epoch."""
    head: Hash
    """Entry hash of `executed`; 32 zero bytes without an entry."""
    stable: Count
    view: Count
    """Highest view that the member entered or sent a VIEW-CHANGE for."""
    votes: Annotated[tuple[Vote, ...], msgspec.Meta(max_length=1 << 17)]
    vouches: bool
    """True if the operator stated that this log is the newest that the member ever had."""
    lost: Annotated[str, msgspec.Meta(max_length=512)]
    """Reason recorded in the ledger why it is not the member's newest one; "" without one."""
    new_key: Hash
    """Public key of the member in the next epoch."""
    proofs: Hash
    """Digest of the canonical Proofs."""


class _File(_Value, frozen=True):
    format: Annotated[str, msgspec.Meta(max_length=32)]


class StateFile(_File, frozen=True):
    """One member's statement under its old key."""

    statement: Statement
    signature: Signature
    proofs: bytes


class PlanFile(_File, frozen=True):
    """All n statements in the order of the members; the plan follows from them."""

    states: Annotated[tuple[StateFile, ...], msgspec.Meta(max_length=MEMBERS_MAX)]


class SignedFile(_File, frozen=True):
    """One member's CONTINUATION."""

    plan: Hash
    frame: bytes
    ending: bytes
    """EpochChangeProof of the epoch, without signatures; b"" from a member that could not execute the
    plan."""


class SealedFile(_File, frozen=True):
    """The plan and its sealed result."""

    plan: PlanFile
    ending: bytes
    """EpochChangeProof of the epoch with all n CONTINUATIONs."""


FORMATS: dict[type[_File], str] = {StateFile: STATE, PlanFile: PLAN, SignedFile: SIGNED, SealedFile: SEALED}


def opened(kind: type[Form], data: bytes) -> Form:
    """Decodes `data` as a file of a kind. Raises RecoveryError if it is not one, with a text that follows the
    file's name."""
    wanted = FORMATS[kind]
    head = data[:HEAD_BYTES]
    try:
        found = canonical.decode(kind, data)
    except canonical.CanonicalError as error:
        raise RecoveryError(not_wanted(head, wanted, str(error))) from error
    if found.format != wanted:
        raise RecoveryError(not_wanted(head, wanted, "its format"))
    return found


def statement_bytes(cluster: bytes, statement: Statement) -> bytes:
    """The bytes that a member's signature of its statement covers."""
    return b"dtvn/v1/recovery-state\0" + cluster + canonical.encode(statement)


def plan_digest(cluster: bytes, plan: PlanFile) -> bytes:
    """Digest of the statements of all members, 32 bytes."""
    return canonical.tagged_digest(
        "dtvn/v1/recovery-plan", cluster, *(canonical.encode(each.statement) for each in plan.states)
    )
