"""What members hand to each other in a recovery, as bytes. Nothing in it is secret."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from validators import canonical
from validators.consensus.fields import SPAN, Count, Hash, Votes
from validators.consensus.log_tree import PATH_LENGTH_MAX
from validators.consensus.messages import Entry, PreparedProof
from validators.quorum import MEMBERS_MAX
from validators.recovery.kinds import HEAD_BYTES, PLAN, SEALED, SIGNED, STATE, not_wanted

__all__ = [
    "CONTINUE",
    "FILE_BYTES_MAX",
    "Certified",
    "Held",
    "PlanFile",
    "Proofs",
    "RecoveryError",
    "SealedFile",
    "SignedFile",
    "StateFile",
    "Statement",
    "Vote",
    "opened",
    "plan_digest",
    "statement_bytes",
]

CONTINUE = "Only a new cluster can go on from what is left: `manage.py genesis continue --help`."
"""The last sentence of a refusal that no step of a recovery mends."""
FILE_BYTES_MAX = 1 << 30
"""Of a file: n members tell the batches of a window each, the most that an epoch may hold."""

Name = Annotated[str, msgspec.Meta(max_length=64)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Form = TypeVar("Form", bound="_File")


class RecoveryError(Exception):
    """A step of the recovery that cannot be done; the text is one sentence for the person."""


class _Value(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Vote(_Value, frozen=True):
    """A vote of the member itself, above its stable checkpoint."""

    phase: Annotated[str, msgspec.Meta(max_length=16)]
    """pre_prepare, prepare or commit."""
    view: Count
    sequence: Count
    digest: Hash


class Held(_Value, frozen=True):
    """An executed entry with its batch (b"": the null request) and q COMMITs of one view; (): the stable
    checkpoint covers it."""

    entry: Entry
    body: bytes
    commits: Votes


class Certified(_Value, frozen=True):
    """A prepared certificate with its batch (b"": the null request)."""

    proof: PreparedProof
    body: bytes


class Proofs(_Value, frozen=True):
    """What proves a statement; each part proves itself."""

    handovers: Annotated[tuple[bytes, ...], SPAN]
    """Encoded HandOvers that lead from genesis to the epoch, as far as the ledger holds them."""
    checkpoint: Votes
    """q CHECKPOINTs of the stable one; () where that is the beginning of the epoch."""
    entries: Annotated[tuple[Held, ...], SPAN]
    """Those executed above it, ascending without a gap, and a few below it, which it covers."""
    before: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=PATH_LENGTH_MAX)]
    """Merkle peaks of the log below the first of them, where the checkpoint covers that: so its log root
    proves them. Else ()."""
    prepared: Annotated[tuple[Certified, ...], SPAN]
    """One for each sequence above the executed ones that has any, that of the highest view, ascending."""
    heard: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=1 << 20)]
    """The newest NEW-VIEW of the ledger, the VIEW-CHANGEs that it rests on, and the proposals and PREPAREs of
    others above its stable checkpoint."""


class Statement(_Value, frozen=True):
    """What one member's ledger says, and whether its operator vouches that nothing newer was ever in it."""

    epoch: Count
    member: Name
    executed: Count
    """Last executed sequence; below the beginning of the epoch for a ledger that does not reach it."""
    head: Hash
    """Entry hash of `executed`; 32 zero bytes for none."""
    stable: Count
    view: Count
    """Highest view that it entered, or that its VIEW-CHANGE was for."""
    votes: Annotated[tuple[Vote, ...], msgspec.Meta(max_length=1 << 17)]
    vouches: bool
    """Typed by its operator: this log is the newest that the member ever had."""
    lost: Annotated[str, msgspec.Meta(max_length=512)]
    """Why the ledger itself knows that it is not; "" where it knows of nothing."""
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
    """HandOver of the epoch, still without signatures; b"" from a member that could not execute the plan."""


class SealedFile(_File, frozen=True):
    """The plan and what all members made of it."""

    plan: PlanFile
    ending: bytes
    """HandOver of the epoch with all n CONTINUATIONs."""


FORMATS: dict[type[_File], str] = {StateFile: STATE, PlanFile: PLAN, SignedFile: SIGNED, SealedFile: SEALED}


def opened(kind: type[Form], data: bytes) -> Form:
    """`data` as a file of a kind; raise RecoveryError, to be said behind the file's name, if it is none."""
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
    """What a member's signature under its statement covers."""
    return b"dtvn/v1/recovery-state\0" + cluster + canonical.encode(statement)


def plan_digest(cluster: bytes, plan: PlanFile) -> bytes:
    """32 bytes that stand for what all members told."""
    return canonical.tagged_digest(
        "dtvn/v1/recovery-plan", cluster, *(canonical.encode(each.statement) for each in plan.states)
    )
