"""Applies one ordered operation: the checks that all kinds share, then the rule of its kind (kinds/).

The order of the checks is part of the protocol: form, nonce, time, room for the nonce, permission, and
only then the ticket. A refusal is an outcome like any other and changes no ticket.
"""

from __future__ import annotations

from dtvn.machine import commands, reasons
from dtvn.machine.codes import DIGEST_SIZE, code_place
from dtvn.machine.context import Context
from dtvn.machine.fields import NONCE_BYTES_MAX, Command, CommandError, is_name
from dtvn.machine.kinds import CODED, EVENTLESS, KINDS, NAMING
from dtvn.machine.kinds.kind import Kind, Result
from dtvn.machine.nonces import Remembered
from dtvn.machine.ticket import Ticket
from dtvn.protocol.consensus.messages import Operation
from dtvn.protocol.knobs import hit
from dtvn.protocol.versions import LISTS, NEWEST

VALID_FOR_MAX = 600_000_000
"""Most microseconds by which `valid_until` may lie ahead of batch time (R14)."""
MEMO_MAX = 4_096
"""Size of each memo of decoded commands, checked actors and events; a full memo is cleared."""


class Operations:
    """Applies operations to the state in `context`, one at a time, in the order of the log."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._nonces = context.nonces
        self._registry = context.registry
        self._may = context.principals.may
        # Memos of pure functions: they change the cost of a result, never the result.
        self._commands: dict[tuple[str, bytes], Command] = {}
        self._coded: dict[tuple[str, bytes], Command] = {}
        """The same by the bytes before the code, for commands that end with one."""
        self._actors: set[str] = set()
        self._events: set[str] = set()

    def apply(self, operation: Operation, principal: str, index: int, *, opening: bool = False) -> Result:
        """Apply the operation at `index` of the batch; its content never makes it raise.

        `opening`: it is the one operation of a bundle that opens a session.
        """
        at = self.context
        at.first = ()  # what cannot be read repeats nothing either
        ticket = self._registry.get(operation.event, operation.ticket)
        command = self._read(operation, ticket, opening)
        kind = KINDS.get(operation.kind)
        later = command is not None and kind is not None and self._later(kind, command)
        if command is None or kind is None or (later and not kind.raises(command)):
            return reasons.MALFORMED, b"" if ticket is None else ticket.state
        nonce = operation.nonce
        request = b""
        if nonce:
            request = commands.request_digest(operation, at.version)
            first = self._nonces.get(principal, operation.actor, nonce)
            if first is not None and later:
                return reasons.MALFORMED, b""
            if first is not None:
                if first.request == request:
                    at.first = first.sequence, first.index
                return self._repeat(operation, first, request, kind.shown(at, operation, command, ticket))
        refusal = self._refuse(operation, kind, principal, opening=opening)
        if refusal is None:
            at.principal, at.index = principal, index
            result = kind.rule(at, operation, command, ticket)
        else:
            result = refusal, kind.shown(at, operation, command, ticket)
        if result[0] != reasons.OK:
            at.first = ()
            if later:
                return reasons.MALFORMED, b""  # as a program of the version before, which cannot read it
        late = bool(at.first) and at.version >= LISTS  # its ticket knows it for ever, and the first place
        if nonce and not late and result[0] not in reasons.UNREMEMBERED:
            self._remember(operation, principal, request, result[0], index)
        return result

    def _later(self, kind: Kind, command: Command) -> bool:
        """Whether this form is of a later version than the log has here (R47)."""
        version = self.context.version
        return version < NEWEST and kind.version_of(command) > version

    def _refuse(self, operation: Operation, kind: Kind, principal: str, *, opening: bool) -> str | None:
        """Why this operation is refused, whatever its rule says."""
        ahead = operation.valid_until - self.context.timestamp
        if ahead < 0:
            return reasons.EXPIRED
        if ahead > VALID_FOR_MAX:
            return reasons.TOO_FAR_AHEAD
        if operation.nonce and self._nonces.full(principal, opening=opening):
            return reasons.BUSY
        if (
            kind.capability
            and not self._may(principal, kind.capability, operation.event)
            and not self._may(principal, kind.former, operation.event)
        ) or (kind.besides and not self._may(principal, kind.besides, operation.event)):
            return reasons.NOT_PERMITTED
        return None

    def first(self, operation: Operation, principal: str) -> Remembered | None:
        """The first outcome of this operation; None if its nonce is unknown or bound to another one."""
        first = self._nonces.get(principal, operation.actor, operation.nonce)
        if first is None or first.request != commands.request_digest(operation, self.context.version):
            return None
        return first

    def _read(self, operation: Operation, ticket: Ticket | None, opening: bool) -> Command | None:
        """The command of an operation; None if it is malformed.

        An existing ticket has a well-formed name, so for kinds that change a ticket the memo holds all that
        is checked; for `issue` the ticket's name must be checked as well.
        """
        kind = operation.kind
        if (kind == "open_session") is not opening:
            return None
        if operation.entry not in self.context.member_index and kind not in EVENTLESS:
            return None
        payload, name = operation.payload, operation.ticket
        known = self._commands.get((kind, payload))
        place = code_place(payload) if known is None and kind in CODED else -1
        coded = place >= 0
        if coded:
            # Each code is read once, and what comes with it, gate and device, often.
            known = self._coded.get((kind, payload[:place] + payload[place + DIGEST_SIZE :]))
        if (
            known is not None
            and not hit("operations.no_memo")
            and operation.actor in self._actors
            and len(operation.nonce) <= NONCE_BYTES_MAX
            and (
                ticket is not None
                or (operation.event in self._events and ((coded and not name) or is_name(name)))
            )
        ):
            return CODED[kind](known, payload[place : place + DIGEST_SIZE]) if coded else known
        try:
            command = commands.check(operation)
        except CommandError:
            return None
        for memo in (self._commands, self._coded):
            if len(memo) >= MEMO_MAX:
                memo.clear()
        if len(self._actors) >= MEMO_MAX:
            self._actors.clear()
        if len(self._events) >= MEMO_MAX:
            self._events.clear()
        self._actors.add(operation.actor)
        if kind in NAMING and len(payload) <= 256:
            self._events.add(operation.event)
            if not getattr(command, "codes", ()):  # codes never come again
                if commands.code_of(command):
                    self._coded[(kind, payload[:place] + payload[place + DIGEST_SIZE :])] = command
                else:
                    self._commands[(kind, payload)] = command
        return command

    def _repeat(self, operation: Operation, first: Remembered, request: bytes, shown: bytes) -> Result:
        """The first outcome of this operation; `nonce_reused` if the nonce belongs to another one (R13)."""
        if first.request != request:
            return reasons.NONCE_REUSED, shown
        code, repeated = reasons.CODE_OF[first.code], KINDS[operation.kind].repeated
        if code == reasons.BARCODE_NOT_FOUND:
            return code, b""  # it names no ticket, even if one has got the code since
        return code, shown if repeated is None else repeated

    def _remember(self, operation: Operation, principal: str, request: bytes, code: str, index: int) -> None:
        self._nonces.remember(
            (principal, operation.actor, operation.nonce),
            Remembered(request, reasons.NUMBER_OF[code], self.context.sequence, index),
            operation.valid_until,
        )
