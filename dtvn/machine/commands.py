"""The commands of the ticket machine: one frozen class per kind of operation, and its encoding.

`build` makes the Operation that a client signs; `read` decodes it in the machine. Both apply the same
rules, so an operation from `build` is never `malformed`. A command whose fields all have their default
value may be encoded as b"" ("none").
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from hashlib import sha256
from typing import Annotated, Literal

import msgspec

from dtvn.events.judging import VoteCertificate, check_form
from dtvn.machine.granting import GRANTS_MAX as GRANTS_MAX
from dtvn.machine.granting import GrantStatement
from dtvn.protocol import canonical
from dtvn.protocol.consensus.fields import Hash
from dtvn.protocol.consensus.membership import Change
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.genesis import ANY_EVENT, CAPABILITIES, PRINCIPAL_NAME, Grant, is_host
from dtvn.protocol.proof_errors import ProofError
from dtvn.protocol.quorum import MEMBERS_MAX
from dtvn.protocol.signatures import is_public_key

DEFAULT_EVENT = "default"
REHEARSAL = "rehearsal-"
"""Before its date, the name of a rehearsal's event."""
REHEARSAL_EVENT = f"^{REHEARSAL}[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$"
REHEARSAL_TICKET = "REHEARSAL-"
"""Beginning of the ids of a rehearsal's tickets, whose admissions are not counted."""
NONCE_BYTES_MAX = 64
DATA_BYTES_MAX = 4_096
"""Most bytes of an issued ticket's data; the state keeps them permanently."""
VALIDATION_DATA_BYTES_MAX = 64 * 1024
"""Most bytes of data sent with a validation; the log keeps them, the state does not."""
ACTOR_LENGTH_MAX = 128
METADATA_MAX = 16
METADATA_KEY_LENGTH_MAX = 64
METADATA_VALUE_LENGTH_MAX = 256
NAME_LENGTH_MAX = 64
"""Most characters of a gate or a device."""
LABEL_LENGTH_MAX = 128
"""Most characters of a product or a seat."""
REASON_LENGTH_MAX = 256
TICKET_NAME = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"
"""Pattern of a ticket's id."""
OVERLAP_MAX = 600_000_000
"""Longest time in microseconds for which a rotated key may remain valid."""

LEASE_MAX = 600_000_000
"""Longest lease of a lock in microseconds."""
WAIT_MAX = 600_000_000
"""Longest time in microseconds for which one may wait for a lock."""

LOCK_NAME_LENGTH_MAX = 256
LockName = Annotated[str, msgspec.Meta(min_length=1, max_length=LOCK_NAME_LENGTH_MAX)]
Holder = Annotated[bytes, msgspec.Meta(min_length=1, max_length=32)]
"""A word that the client chose; clients of one principal that choose different ones exclude each other."""
Lease = Annotated[int, msgspec.Meta(ge=1, le=LEASE_MAX)]
Token = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Name = Annotated[str, msgspec.Meta(max_length=NAME_LENGTH_MAX)]
PrincipalName = Annotated[str, msgspec.Meta(pattern=PRINCIPAL_NAME)]
PublicKey = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Label = Annotated[str, msgspec.Meta(max_length=LABEL_LENGTH_MAX)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""Unix microseconds; 0 means no bound."""
Pair = tuple[
    Annotated[str, msgspec.Meta(min_length=1, max_length=METADATA_KEY_LENGTH_MAX)],
    Annotated[str, msgspec.Meta(max_length=METADATA_VALUE_LENGTH_MAX)],
]

_NAME = re.compile(TICKET_NAME)
_MEMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class CommandError(ValueError):
    """A command that breaks a rule; the text names field and rule."""


class Command(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of all commands."""


class OpenSession(Command, frozen=True):
    """Open a session (R12); names no ticket."""


class Barrier(Command, frozen=True):
    """An ordered operation without effect: a reader that waits for it sees all that was acknowledged before
    it (R18)."""


class Issue(Command, frozen=True):
    """Create a ticket. The command's bytes are kept as the part of the ticket that never changes."""

    not_before: Moment = 0
    """Start of the window in which the ticket is valid at gates, Unix microseconds, both ends included; 0: no
    bound."""
    not_after: Moment = 0
    product: Label = ""
    seat: Label = ""
    commitment: Annotated[bytes, msgspec.Meta(max_length=32)] = b""
    """Salted hash of details that are kept out of the log: 32 bytes, or b"" without such details."""
    data: Annotated[bytes, msgspec.Meta(max_length=DATA_BYTES_MAX)] = b""
    metadata: Annotated[tuple[Pair, ...], msgspec.Meta(max_length=METADATA_MAX)] = ()
    """Pairs of key and value, ascending by key, each key once."""


class Seed(Command, frozen=True):
    """Create those of the 500 demonstration tickets that do not exist; names no ticket."""


class Validate(Command, frozen=True):
    """ISSUED to VALIDATED."""

    data: Annotated[bytes, msgspec.Meta(max_length=VALIDATION_DATA_BYTES_MAX)] = b""
    """Data sent by the client and kept in the log; it never overwrites the issued data."""


class Consume(Command, frozen=True):
    """VALIDATED to CONSUMED at a gate."""

    gate: Name = ""
    device: Name = ""


class Admit(Command, frozen=True):
    """ISSUED or VALIDATED to CONSUMED in one step: what a gate does with one scan."""

    gate: Name = ""
    device: Name = ""


class Dispute(Command, frozen=True):
    """VALIDATED to DISPUTED."""

    reason: Annotated[str, msgspec.Meta(max_length=REASON_LENGTH_MAX)] = ""
    """A text for operators; the log keeps it for ever, so it must hold no personal data."""


class Resolve(Command, frozen=True):
    """End a dispute: `clear` it (back to VALIDATED) or `uphold` it (DISPUTED finally)."""

    verdict: Annotated[str, msgspec.Meta(pattern="^(clear|uphold)$")]


class AddPrincipal(Command, frozen=True):
    """Add a principal, a signer of requests (R15); names no ticket, like the three commands below."""

    name: PrincipalName
    public_key: PublicKey
    grants: Annotated[tuple[Grant, ...], msgspec.Meta(max_length=GRANTS_MAX)] = ()


class RotatePrincipal(Command, frozen=True):
    """Give a principal another key."""

    name: PrincipalName
    public_key: PublicKey
    overlap: Annotated[int, msgspec.Meta(ge=0, le=OVERLAP_MAX)] = 0
    """Microseconds of batch time for which the old key remains valid; 0 if it may be stolen."""


class LimitPrincipal(Command, frozen=True):
    """Replace a principal's grants; its key stays."""

    name: PrincipalName
    grants: Annotated[tuple[Grant, ...], msgspec.Meta(max_length=GRANTS_MAX)] = ()


class RevokePrincipal(Command, frozen=True):
    """Remove a principal permanently; its name may be added again with another key."""

    name: PrincipalName


class GrantPrincipal(Command, frozen=True):
    """Give a principal further grants, signed by all members of the epoch (R15)."""

    statement: GrantStatement
    signatures: Annotated[tuple[Signature, ...], msgspec.Meta(max_length=MEMBERS_MAX)]
    """In order of the members' index."""


class Reconfigure(Command, frozen=True):
    """Change the membership or the parameters: the last operation of its epoch (R35, R36)."""

    change: Change


class Record(Command, frozen=True):
    """Record the next chunk of a run of agent events. Run, position, verdict and the head afterwards are
    those of the certificate's vote. Its payload has some KB at most, unless many events were refused."""

    previous: Hash
    """Head of the run so far; for its first chunk, dtvn.events.judging.first_head."""
    certificate: VoteCertificate
    """Of the present epoch."""
    ends: bool = False
    """Whether this is the last chunk of the run."""


class Acquire(Command, frozen=True):
    """Take a lock, or extend the lease if `holder` has it."""

    name: LockName
    holder: Holder
    lease: Lease
    """Microseconds of batch time, from when this is ordered."""


class Release(Command, frozen=True):
    """Give a lock back before its lease ends."""

    name: LockName
    holder: Holder


class Lock(Command, frozen=True):
    """As `Acquire`; while another one holds the lock, wait for it in its queue."""

    name: LockName
    holder: Holder
    lease: Lease
    """Microseconds of batch time, from when the lock is granted."""
    wait: Annotated[int, msgspec.Meta(ge=0, le=WAIT_MAX)] = 0
    """Microseconds of batch time, from when this is ordered; 0: do not wait."""


class Renew(Command, frozen=True):
    """Extend the lease that has this token."""

    name: LockName
    holder: Holder
    token: Token
    lease: Lease


class Unlock(Command, frozen=True):
    """End the lease that has this token."""

    name: LockName
    holder: Holder
    token: Token


class CancelLock(Command, frozen=True):
    """Wait no longer for a lock, and give it back if it was granted in the meantime."""

    name: LockName
    holder: Holder


class Kind(msgspec.Struct, frozen=True):
    """Declaration of one kind of operation; its rule is in operations.py."""

    command: type[Command]
    capability: str = ""
    """Capability that its signer needs in the operation's event (R15); "" for none."""
    former: str = ""
    """A second capability that permits it, because ledgers hold such operations from before this kind had its
    own; "" for none."""
    names: Literal["ticket", "event", "nothing"] = "ticket"
    """Whether it names a ticket and its event, an event only, or neither."""


KINDS: dict[str, Kind] = {
    "open_session": Kind(OpenSession, names="nothing"),
    "barrier": Kind(Barrier, names="nothing"),
    "issue": Kind(Issue, "issue"),
    "seed": Kind(Seed, "admin", names="event"),
    "validate": Kind(Validate, "operate"),
    "consume": Kind(Consume, "gate"),
    "admit": Kind(Admit, "gate"),
    "dispute": Kind(Dispute, "operate"),
    "resolve": Kind(Resolve, "operate"),
    "add_principal": Kind(AddPrincipal, "admin", names="nothing"),
    "rotate_principal": Kind(RotatePrincipal, "admin", names="nothing"),
    "limit_principal": Kind(LimitPrincipal, "admin", names="nothing"),
    "revoke_principal": Kind(RevokePrincipal, "admin", names="nothing"),
    "grant": Kind(GrantPrincipal, names="nothing"),
    "reconfigure": Kind(Reconfigure, "admin", names="nothing"),
    "record": Kind(Record, "record", "operate", names="event"),
    "acquire": Kind(Acquire, "lock", "operate", names="event"),
    "release": Kind(Release, "lock", "operate", names="event"),
    "lock": Kind(Lock, "lock", names="event"),
    "renew": Kind(Renew, "lock", names="event"),
    "unlock": Kind(Unlock, "lock", names="event"),
    "cancel_lock": Kind(CancelLock, "lock", names="event"),
}
"""All kinds of operations; a new one begins here (operations.py says what else it needs)."""

LOCKS = ("acquire", "release", "lock", "renew", "unlock", "cancel_lock")
"""Kinds that change locks."""
COMMANDS = {name: kind.command for name, kind in KINDS.items()}
KIND_OF = {command: name for name, command in COMMANDS.items()}
CAPABILITY = {name: kind.capability for name, kind in KINDS.items() if kind.capability}
PRINCIPALS = ("add_principal", "rotate_principal", "limit_principal", "revoke_principal")
"""Kinds that change who may sign requests."""
EVENTLESS = frozenset(name for name, kind in KINDS.items() if kind.names == "nothing")
"""Kinds whose `event` is ""."""
TICKETLESS = frozenset(name for name, kind in KINDS.items() if kind.names != "ticket")
"""Kinds whose `ticket` is ""."""
NAMING = frozenset(COMMANDS) - TICKETLESS
"""Kinds that name a ticket: their outcomes contain its state."""
_EMPTY = {
    name: canonical.encode(command())
    for name, command in COMMANDS.items()
    if not any(field.required for field in msgspec.structs.fields(command))
}


def build(
    command: Command,
    *,
    ticket: str = "",
    event: str = DEFAULT_EVENT,
    actor: str,
    entry: str,
    valid_until: int,
    nonce: bytes = b"",
) -> Operation:
    """The operation for `command`; raises CommandError if it would be malformed.

    Texts are converted to Unicode normal form C, so texts that look equal have equal bytes (P8).
    `valid_until` is Unix microseconds of batch time (R14), `nonce` at most 64 bytes (R13).
    """
    kind = KIND_OF[type(command)]
    try:
        payload = canonical.encode(_composed_fields(command))
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        raise CommandError(f"{kind}: {error}") from error
    operation = Operation(
        kind=kind,
        event="" if kind in EVENTLESS else event,
        ticket=ticket,
        actor=_composed(actor),
        entry=entry,
        valid_until=valid_until,
        nonce=nonce,
        payload=payload,
    )
    check(operation)
    return operation


def check(operation: Operation) -> Command:
    """Decodes the command of an operation; raises CommandError with the rule that it breaks.

    Whether the entry node is a member is checked by execution, not here.
    """
    kind = operation.kind
    if kind not in COMMANDS:
        raise CommandError(f"kind: {kind[:32]!r} is not one of {', '.join(COMMANDS)}")
    if kind in TICKETLESS:
        if operation.ticket:
            raise CommandError(f"ticket: {kind} names none")
    elif not is_name(operation.ticket):
        raise CommandError("ticket: 1 to 128 characters of A-Z a-z 0-9 . _ : -, a letter or digit first")
    if kind in EVENTLESS:
        if operation.event:
            raise CommandError(f"event: {kind} names none")
    elif len(operation.event) > 64 or not is_name(operation.event):
        raise CommandError("event: 1 to 64 characters of A-Z a-z 0-9 . _ : -, a letter or digit first")
    if len(operation.actor) > ACTOR_LENGTH_MAX or not is_text(operation.actor):
        raise CommandError(f"actor: at most {ACTOR_LENGTH_MAX} characters without control characters")
    if len(operation.nonce) > NONCE_BYTES_MAX:
        raise CommandError(f"nonce: at most {NONCE_BYTES_MAX} bytes")
    return read(kind, operation.payload)


def read(kind: str, payload: bytes) -> Command:
    """Decodes the fields of a known kind; raises CommandError unless they are canonical and allowed."""
    try:
        command = canonical.decode(COMMANDS[kind], payload or _EMPTY.get(kind, b""))
    except canonical.CanonicalError as error:
        raise CommandError(_named(COMMANDS[kind], str(error))) from error
    if isinstance(command, Issue):
        _check_issue(command)
    elif isinstance(command, AddPrincipal | LimitPrincipal):
        _check_grants(command.grants)
    elif isinstance(command, GrantPrincipal):
        _check_grants(command.statement.grants)
    elif isinstance(command, Reconfigure):
        _check_newcomers(command.change)
    elif isinstance(command, Record):
        _check_certificate(command.certificate)
    if isinstance(command, AddPrincipal | RotatePrincipal) and not is_public_key(command.public_key):
        raise CommandError("public_key: these 32 bytes are not an Ed25519 key")
    for field in command.__struct_fields__:
        value = getattr(command, field)
        if isinstance(value, str) and not is_text(value):
            raise CommandError(f"{field}: holds a control character")
    return command


def _named(kind: type[Command], text: str) -> str:
    """The decoder's error message with the name of the field in place of its array position."""
    place = re.search(r" - at `\$\[(\d+)\]", text)
    if place is None or int(place[1]) >= len(kind.__struct_fields__):
        return f"payload: {text}"
    complaint = text[: place.start()].rpartition(": ")[2].replace("Expected ", "expected ").replace("`", "")
    return f"{kind.__struct_fields__[int(place[1])]}: {complaint}"


def is_name(text: str) -> bool:
    """Whether `text` may name a ticket or an event (1 to 128 of A-Z a-z 0-9 . _ : -)."""
    return _NAME.fullmatch(text) is not None


def is_text(text: str) -> bool:
    """Whether `text` has no control characters (so that no NUL reaches a database and no line feed a log)
    and no lone surrogates, which cannot be encoded."""
    return _UNFIT.search(text) is None


def request_digest(operation: Operation) -> bytes:
    """Hash to which a nonce is bound: of the operation without its transport fields, 32 bytes (R13)."""
    body = canonical.encode(
        (
            operation.kind,
            operation.event,
            operation.ticket,
            operation.actor,
            operation.nonce,
            operation.payload,
        )
    )
    return sha256(b"dtvn/v1/request\0" + body).digest()


def operation_digest(operation: Operation) -> bytes:
    """The `digest` of a consensus record: hash of the whole operation."""
    return sha256(b"dtvn/v1/operation\0" + canonical.encode(operation)).digest()


def _check_issue(issue: Issue) -> None:
    if issue.commitment and len(issue.commitment) != 32:
        raise CommandError("commitment: 32 bytes or none")
    if issue.not_after and issue.not_after < issue.not_before:
        raise CommandError("not_after: lies before not_before")
    keys = [key for key, _ in issue.metadata]
    if any(left >= right for left, right in itertools.pairwise(keys)):
        raise CommandError("metadata: keys must ascend, each once")
    if not all(is_text(text) for pair in issue.metadata for text in pair):
        raise CommandError("metadata: holds a control character")


def _check_newcomers(change: Change) -> None:
    for newcomer in change.joins:
        if _MEMBER.fullmatch(newcomer.id) is None:
            raise CommandError("change: a member's id has 1 to 64 characters of A-Z a-z 0-9 . _ -")
        if not is_public_key(newcomer.public_key):
            raise CommandError("change: the newcomer's key is not an Ed25519 key of 32 bytes")
        if not is_host(newcomer.host) or not 1 <= newcomer.port <= 65_535:
            raise CommandError("change: the newcomer's address cannot be dialled")


def _check_certificate(certificate: VoteCertificate) -> None:
    try:
        check_form(certificate)
    except ProofError as error:
        raise CommandError(f"certificate: {error}") from error


def _check_grants(grants: tuple[Grant, ...]) -> None:
    for grant in grants:
        if grant.capability not in CAPABILITIES:
            raise CommandError(f"grants: {grant.capability[:32]!r} is not one of {', '.join(CAPABILITIES)}")
        if grant.event != ANY_EVENT and (len(grant.event) > 64 or not is_name(grant.event)):
            raise CommandError(f"grants: {grant.event[:64]!r} is neither an event nor {ANY_EVENT} for all")
    if any(left >= right for left, right in itertools.pairwise((g.event, g.capability) for g in grants)):
        raise CommandError("grants: must ascend by event and capability, each once")


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _composed_fields(command: Command) -> Command:
    """The command with its texts in Unicode normal form C and its metadata sorted."""
    changed: dict[str, object] = {
        field: _composed(value)
        for field in command.__struct_fields__
        if isinstance(value := getattr(command, field), str)
    }
    if isinstance(command, Issue):
        pairs = ((_composed(key), _composed(value)) for key, value in command.metadata)
        changed["metadata"] = tuple(sorted(pairs))
    elif isinstance(command, AddPrincipal | LimitPrincipal):
        changed["grants"] = tuple(sorted(command.grants, key=lambda g: (g.event, g.capability)))
    return msgspec.structs.replace(command, **changed)
