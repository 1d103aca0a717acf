"""Operations from commands and back.

`build` makes the Operation that a client signs; `read` decodes its command in the machine. Both apply the
same rules, so an operation from `build` is never `malformed`. A command whose fields all have their default
value may be encoded as b"" ("none").
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from hashlib import sha256

import msgspec

from dtvn.machine.codes import code_place
from dtvn.machine.fields import (
    ACTOR_LENGTH_MAX,
    DEFAULT_EVENT,
    NONCE_BYTES_MAX,
    Command,
    CommandError,
    is_name,
    is_text,
)
from dtvn.machine.kinds import CODED, EVENTLESS, KIND_OF, KINDS, TICKETLESS
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.versions import FIRST, NEWEST, release


def build(
    command: Command,
    *,
    ticket: str = "",
    event: str = DEFAULT_EVENT,
    actor: str,
    entry: str,
    valid_until: int = 0,
    nonce: bytes = b"",
) -> Operation:
    """The operation for `command`; raises CommandError if it would be malformed.

    Texts are converted to Unicode normal form C, so texts that look equal have equal bytes (P8).
    `valid_until` is Unix microseconds of batch time; 0: the gateway dates the operation when it sends it
    (R14). `nonce` has at most 64 bytes (R13).
    """
    kind = KIND_OF[type(command)]
    try:
        payload = canonical.encode_trimmed(_composed_fields(kind, command))
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


class NeedsVersion(CommandError):
    """A command that the log has only from a later version of the cluster on (R47)."""

    def __init__(self, kind: str, needed: int, version: int) -> None:
        super().__init__(
            f"{kind}: this needs version {needed} of the cluster, which has {version}. An administrator "
            f"raises it (manage.py members parameters version={needed}) once all members run "
            f"{release(needed)}."
        )


def fit(operation: Operation, version: int) -> Operation:
    """The operation in a form that the log has at this version of the cluster; raises NeedsVersion if there
    is none. A change that raises the version is left as it is."""
    if version >= NEWEST:
        return operation
    kind = KINDS[operation.kind]
    payload = kind.oldest(operation.payload)
    command = read(kind.name, payload)
    needed = kind.version_of(command)
    if needed > version and not kind.raises(command):
        raise NeedsVersion(kind.name, needed, version)
    return msgspec.structs.replace(operation, payload=payload)


def check(operation: Operation) -> Command:
    """Decodes the command of an operation; raises CommandError with the rule that it breaks.

    Whether the entry node is a member is checked by execution, not here.
    """
    kind = operation.kind
    if kind not in KINDS:
        raise CommandError(f"kind: {kind[:32]!r} is not one of {', '.join(KINDS)}")
    if kind in TICKETLESS:
        if operation.ticket:
            raise CommandError(f"ticket: {kind} names none")
    elif operation.ticket or kind not in CODED:
        _check_ticket(operation.ticket)
    if kind in EVENTLESS:
        if operation.event:
            raise CommandError(f"event: {kind} names none")
    elif len(operation.event) > 64 or not is_name(operation.event):
        raise CommandError("event: 1 to 64 characters of A-Z a-z 0-9 . _ : -, a letter or digit first")
    if len(operation.actor) > ACTOR_LENGTH_MAX or not is_text(operation.actor):
        raise CommandError(f"actor: at most {ACTOR_LENGTH_MAX} characters without control characters")
    if len(operation.nonce) > NONCE_BYTES_MAX:
        raise CommandError(f"nonce: at most {NONCE_BYTES_MAX} bytes")
    command = read(kind, operation.payload)
    if not operation.ticket and kind not in TICKETLESS and not code_of(command):
        _check_ticket("")
    return command


def code_of(command: Command) -> bytes:
    """The digest of the code that finds the ticket, b"" if its name does."""
    return getattr(command, "code", None) or b""


def _check_ticket(name: str) -> None:
    if not is_name(name):
        raise CommandError("ticket: 1 to 128 characters of A-Z a-z 0-9 . _ : -, a letter or digit first")


def read(kind: str, payload: bytes) -> Command:
    """Decodes the fields of a known kind; raises CommandError unless they are canonical and allowed."""
    declared = KINDS[kind]
    try:
        command = canonical.decode(declared.command, payload or _empty(declared.command))
    except canonical.CanonicalError as error:
        raise CommandError(_named(declared.command, str(error))) from error
    declared.check(command)
    for field in command.__struct_fields__:
        value = getattr(command, field)
        if isinstance(value, str) and not is_text(value):
            raise CommandError(f"{field}: holds a control character")
    return command


@cache
def _empty(command: type[Command]) -> bytes:
    """Bytes of a command without required fields, all at their default; b"" for others."""
    if any(field.required for field in msgspec.structs.fields(command)):
        return b""
    return canonical.encode_trimmed(command())


def _named(kind: type[Command], text: str) -> str:
    """The decoder's error message with the name of the field in place of its array position."""
    place = re.search(r" - at `\$\[(\d+)\]", text)
    if place is None or int(place[1]) >= len(kind.__struct_fields__):
        return f"payload: {text}"
    complaint = text[: place.start()].rpartition(": ")[2].replace("Expected ", "expected ").replace("`", "")
    return f"{kind.__struct_fields__[int(place[1])]}: {complaint}"


def request_digest(operation: Operation, version: int = NEWEST) -> bytes:
    """Hash to which a nonce is bound: of the operation in the oldest form that can say it, without its
    transport fields, 32 bytes (R13). `version`: the cluster's; the first took each form as it is.

    Beside a code, the ticket that an admission names counts as one: it is the text that was read, which its
    sender adds or leaves out by what it knows of the code at that time.
    """
    body = canonical.encode(
        (
            operation.kind,
            operation.event,
            "" if _holds_code(operation) else operation.ticket,
            operation.actor,
            operation.nonce,
            operation.payload if version == FIRST else _oldest(operation),
        )
    )
    return sha256(b"dtvn/v1/request\0" + body).digest()


def _oldest(operation: Operation) -> bytes:
    """The payload in the oldest form that says the same, so that a nonce which an older release stored is
    found: an empty one with all its fields, and a scan without a code as before there were codes."""
    kind = KINDS.get(operation.kind)
    if kind is None:
        return operation.payload
    return kind.oldest(operation.payload or _empty(kind.command))


def _holds_code(operation: Operation) -> bool:
    return operation.kind in CODED and code_place(operation.payload) >= 0


def operation_digest(operation: Operation) -> bytes:
    """The `digest` of a consensus record: hash of the whole operation."""
    return sha256(b"dtvn/v1/operation\0" + canonical.encode(operation)).digest()


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _composed_fields(kind: str, command: Command) -> Command:
    """The command with its texts in Unicode normal form C, and as its kind composes it."""
    changed: dict[str, object] = {
        field: _composed(value)
        for field in command.__struct_fields__
        if isinstance(value := getattr(command, field), str)
    }
    return msgspec.structs.replace(command, **changed | KINDS[kind].compose(command))
