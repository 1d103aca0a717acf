"""Applies one ordered operation: the checks that all kinds share, then the rule of its kind.

A new kind of operation is written here:
commands.py            its fields, and its line in KINDS
operations.py          its rule in `Operations`; for a change of a ticket also its row in transitions.py
contract.py            its live event, in EVENT_TYPES; UNLISTED, if the plain consensus log leaves it out
dtvn/api/bodies.py     its REST body, in OPERATIONS; both servers make a route of each
dtvn/api/writes.py     the message of its outcome
dtvn/api/helper/sockets.py         SENT, if a node tells its clients
validators/rest/openapi/shapes.py  its sentence
tickets/               what operators do: ACTS in pages/tickets.py and in static/js/tickets.js, admin.py
static/js/outcomes.js  its word, and without a ticket its subject
validators/ledger/read.py, validators/feed/rows.py   what lists say of its verdict, if it has one
simulator/             its share in workload.py; its answers in checkers/linearizable.py, which skips others

The order of the checks is part of the protocol: form, nonce, time, room for the nonce, permission, and
only then the ticket. A refusal is an outcome like any other and changes no ticket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dtvn.machine import administration, commands, reasons
from dtvn.machine.commands import Command, is_name
from dtvn.machine.locks import Locks
from dtvn.machine.membership import Memberships
from dtvn.machine.nonces import NonceTable, Remembered
from dtvn.machine.principals import Principals
from dtvn.machine.registry import TICKETS_MAX, TicketRegistry
from dtvn.machine.runs import Runs
from dtvn.machine.seed import SEED_COUNT, SEED_TICKETS
from dtvn.machine.ticket import Seeded, Ticket, TicketState, read_state, read_window
from dtvn.machine.transitions import TRANSITIONS, State
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation

VALID_FOR_MAX = 600_000_000
"""Most microseconds by which `valid_until` may lie ahead of batch time (R14)."""
MEMO_MAX = 4_096
"""Size of each memo of decoded commands, checked actors and events; a full memo is cleared."""
BYTES_8 = 0xC4
"""MessagePack: bytes of at most 255 follow."""
_HEADERS = [bytes((BYTES_8, length)) for length in range(commands.NONCE_BYTES_MAX + 1)]
"""Length of a nonce -> the bytes before it in a ticket's encoded state."""

Result = tuple[str, bytes]
"""(outcome code, canonical state of the operation's ticket afterwards)."""
Rule = Callable[[Operation, Any, str, int, Ticket | None], Result]


class Operations:
    """Applies operations to tickets, one at a time, in the order of the log."""

    def __init__(
        self,
        *,
        memberships: Memberships,
        demo: bool,
        principals: Principals,
        nonces: NonceTable,
        registry: TicketRegistry,
        runs: Runs,
        locks: Locks,
        open_session: Callable[[tuple[int, int], str], None],
    ) -> None:
        self._demo = demo
        self._principals = principals
        self._nonces = nonces
        self._registry = registry
        self._runs = runs
        self._locks = locks
        self._open_session = open_session
        self._memberships = memberships
        self._member_index: dict[str, int] = {}
        self.counts: list[int] = []
        """Number of applied operations by entry node: the newest vector clock."""
        self.alone = False
        """True if the batch holds exactly one operation: only then may it change the membership (R35)."""
        self._sequence = 0
        self._timestamp = 0
        self._opening = False
        self._granting = False
        """Whether the batch held a `grant` already: each costs signature checks, so a batch holds one."""
        self.follow_members()
        # Memos of pure functions: they change the cost of a result, never the result.
        self._commands: dict[tuple[str, bytes], Command] = {}
        self._actors: set[str] = set()
        self._events: set[str] = set()
        self._rules: dict[str, tuple[Rule, str, str]] = {
            kind: (rule, commands.KINDS[kind].capability, commands.KINDS[kind].former)
            for kind, rule in (
                ("open_session", self._open),
                ("barrier", self._barrier),
                ("issue", self._issue),
                ("seed", self._seed),
                ("validate", self._change),
                ("consume", self._change),
                ("admit", self._change),
                ("dispute", self._change),
                ("resolve", self._change),
                *((kind, self._administer) for kind in commands.PRINCIPALS),
                ("grant", self._grant),
                ("reconfigure", self._reconfigure),
                ("record", self._record),
                *((kind, self._lock) for kind in commands.LOCKS),
            )
        }

    def begin(self, sequence: int, timestamp: int) -> None:
        """Set the sequence and effective timestamp of the operations applied next."""
        self._sequence = sequence
        self._timestamp = timestamp
        self._granting = False
        self._runs.begin()
        self._locks.begin(sequence, timestamp)

    def apply(self, operation: Operation, principal: str, index: int, *, opening: bool = False) -> Result:
        """Apply the operation at `index` of the batch; its content never makes it raise.

        `opening`: it is the one operation of a bundle that opens a session.
        """
        ticket = self._registry.get(operation.event, operation.ticket)
        shown = b"" if ticket is None else ticket.state
        command = self._read(operation, ticket, opening)
        if command is None:
            return reasons.MALFORMED, shown
        nonce = operation.nonce
        request = b""
        if nonce:
            request = commands.request_digest(operation)
            first = self._nonces.get(principal, operation.actor, nonce)
            if first is not None:
                return self._repeat(operation, first, request, shown)
        ahead = operation.valid_until - self._timestamp
        if ahead < 0:
            return reasons.EXPIRED, shown
        if ahead > VALID_FOR_MAX:
            return reasons.TOO_FAR_AHEAD, shown
        if nonce and self._nonces.full(principal, opening=opening):
            return reasons.BUSY, shown
        rule, capability, former = self._rules[operation.kind]
        may = self._principals.may
        if (
            capability
            and not may(principal, capability, operation.event)
            and not may(principal, former, operation.event)
        ):
            result: Result = reasons.NOT_PERMITTED, shown
        else:
            result = rule(operation, command, principal, index, ticket)
        if nonce and result[0] not in reasons.UNREMEMBERED:
            self._remember(operation, principal, request, result[0], index)
        return result

    def first(self, operation: Operation, principal: str) -> Remembered | None:
        """The first outcome of this operation; None if its nonce is unknown or bound to another one."""
        first = self._nonces.get(principal, operation.actor, operation.nonce)
        if first is None or first.request != commands.request_digest(operation):
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
        if operation.entry not in self._member_index and kind not in commands.EVENTLESS:
            return None
        known = self._commands.get((kind, operation.payload))
        if (
            known is not None
            and operation.actor in self._actors
            and len(operation.nonce) <= commands.NONCE_BYTES_MAX
            and (ticket is not None or (operation.event in self._events and is_name(operation.ticket)))
        ):
            return known
        try:
            command = commands.check(operation)
        except commands.CommandError:
            return None
        if len(self._commands) >= MEMO_MAX:
            self._commands.clear()
        if len(self._actors) >= MEMO_MAX:
            self._actors.clear()
        if len(self._events) >= MEMO_MAX:
            self._events.clear()
        self._actors.add(operation.actor)
        if kind in commands.NAMING and len(operation.payload) <= 256:
            self._events.add(operation.event)
            self._commands[(kind, operation.payload)] = command
        return command

    def _repeat(self, operation: Operation, first: Remembered, request: bytes, shown: bytes) -> Result:
        """The first outcome of this operation; `nonce_reused` if the nonce belongs to another one (R13)."""
        if first.request != request:
            return reasons.NONCE_REUSED, shown
        if operation.kind == "seed":
            shown = canonical.encode(Seeded(created=0))
        return reasons.CODE_OF[first.code], shown

    def _remember(self, operation: Operation, principal: str, request: bytes, code: str, index: int) -> None:
        self._nonces.remember(
            (principal, operation.actor, operation.nonce),
            Remembered(request, reasons.NUMBER_OF[code], self._sequence, index),
            operation.valid_until,
        )

    def _open(
        self, operation: Operation, command: Command, principal: str, index: int, ticket: Ticket | None
    ) -> Result:
        self._open_session((self._sequence, index), principal)
        return reasons.OK, b""

    def _barrier(
        self, operation: Operation, command: Command, principal: str, index: int, ticket: Ticket | None
    ) -> Result:
        return reasons.OK, b""

    def follow_members(self) -> None:
        """Update the vector clock's positions and the allowed entry nodes after a change of the membership.
        A former member is still allowed as entry node: its requests may be in flight when it leaves."""
        names = self._memberships.names
        self._member_index = {name: place for place, name in enumerate(names)}
        self.counts += [0] * (len(names) - len(self.counts))

    def _reconfigure(
        self, operation: Operation, command: Any, principal: str, index: int, ticket: Ticket | None
    ) -> Result:
        if not self.alone:
            return reasons.NOT_ALONE, b""
        result = self._memberships.reconfigure(
            command, self._principals, sequence=self._sequence, timestamp=self._timestamp
        )
        self.follow_members()
        return result

    def _grant(
        self,
        operation: Operation,
        command: commands.GrantPrincipal,
        principal: str,
        index: int,
        ticket: Ticket | None,
    ) -> Result:
        if self._granting:
            return reasons.BUSY, b""
        self._granting = True
        return administration.grant(
            command,
            self._memberships,
            self._principals,
            self._nonces,
            place=(self._sequence, index),
            timestamp=self._timestamp,
        )

    def _record(
        self,
        operation: Operation,
        command: commands.Record,
        principal: str,
        index: int,
        ticket: Ticket | None,
    ) -> Result:
        return self._runs.record(
            operation.event,
            command,
            principal,
            place=(self._sequence, index),
            timestamp=self._timestamp,
        )

    def _lock(
        self, operation: Operation, command: Command, principal: str, index: int, ticket: Ticket | None
    ) -> Result:
        return self._locks.apply(
            operation.event,
            command,
            principal,
            place=(self._sequence, index),
            timestamp=self._timestamp,
        )

    def _administer(
        self, operation: Operation, command: Command, principal: str, index: int, ticket: Ticket | None
    ) -> Result:
        if self._memberships.knows(getattr(command, "public_key", b"")):
            return reasons.KEY_IN_USE, b""
        return administration.administer(self._principals, command, self._timestamp)

    def _issue(
        self,
        operation: Operation,
        command: commands.Issue,
        principal: str,
        index: int,
        ticket: Ticket | None,
    ) -> Result:
        issued = operation.payload or canonical.encode(command)
        if ticket is not None:
            if not self._stands(operation, principal, ticket):
                return reasons.TICKET_EXISTS, ticket.state
            same = self._present_state(ticket).operation == "issue" and ticket.issued == issued
            return reasons.OK if same else reasons.NONCE_REUSED, ticket.state
        if len(self._registry) >= TICKETS_MAX:
            return reasons.FULL, b""
        self._count(operation)
        state = self._state(operation, principal, index, operation.ticket, State.ISSUED, "", "", "", "")
        window = command.not_before, command.not_after
        self._registry.create(operation.event, operation.ticket, state, issued, window)
        return reasons.OK, state

    def _seed(
        self, operation: Operation, command: Command, principal: str, index: int, ticket: Ticket | None
    ) -> Result:
        """Create the demonstration tickets that do not exist; existing ones do not change."""
        if not self._demo:
            return reasons.DEMO_ONLY, canonical.encode(Seeded(created=0))
        if len(self._registry) > TICKETS_MAX - SEED_COUNT:
            return reasons.FULL, canonical.encode(Seeded(created=0))
        event = operation.event
        missing = [item for item in SEED_TICKETS if self._registry.get(event, item[0]) is None]
        if missing:
            self._count(operation)
        for name, issued in missing:
            state = self._state(operation, principal, index, name, State.ISSUED, "", "", "", "")
            window = read_window(issued)
            self._registry.create(event, name, state, issued, (window.not_before, window.not_after))
        return reasons.OK, canonical.encode(Seeded(created=len(missing)))

    def _change(
        self,
        operation: Operation,
        command: Any,
        principal: str,
        index: int,
        ticket: Ticket | None,
    ) -> Result:
        """Move an existing ticket along the table of transitions."""
        if ticket is None:
            return reasons.TICKET_NOT_FOUND, b""
        kind = operation.kind
        before = ticket.status
        target = TRANSITIONS[command.verdict if kind == "resolve" else kind][before]
        if isinstance(target, str):
            return self._late(operation, command, principal, ticket, target), ticket.state
        if self._stands(operation, principal, ticket):
            # No change can be made twice in a row, so this nonce belongs to an operation with another body
            # (R13).
            return reasons.NONCE_REUSED, ticket.state
        validator = operation.entry if before is State.ISSUED else ticket.validator
        gate = device = note = ""
        if target is State.CONSUMED:
            if self._timestamp < ticket.not_before:
                return reasons.NOT_YET_VALID, ticket.state
            if 0 < ticket.not_after < self._timestamp:
                return reasons.NO_LONGER_VALID, ticket.state
            gate, device = command.gate, command.device
        elif target is State.DISPUTED:
            note = command.reason
        elif target is State.UPHELD:
            note = self._present_state(ticket).note
        self._count(operation)
        state = self._state(
            operation,
            principal,
            index,
            operation.ticket,
            target,
            validator,
            gate,
            device,
            note,
        )
        self._registry.change(ticket, state, target, validator)
        return reasons.OK, state

    def _late(self, operation: Operation, command: Any, principal: str, ticket: Ticket, refusal: str) -> str:
        """`ok` if this operation repeats the ticket's last change after its nonce was dropped (R13);
        `nonce_reused` if it has that nonce but differs; else `refusal`."""
        if not self._stands(operation, principal, ticket):
            return refusal
        present = self._present_state(ticket)
        same = present.operation == operation.kind
        if operation.kind == "resolve":
            goal = State.VALIDATED if command.verdict == "clear" else State.UPHELD
            same = same and present.state is goal
        elif operation.kind == "dispute":
            same = same and present.note == command.reason
        elif operation.kind != "validate":
            same = same and (present.gate, present.device) == (command.gate, command.device)
        return reasons.OK if same else reasons.NONCE_REUSED

    def _stands(self, operation: Operation, principal: str, ticket: Ticket) -> bool:
        """Whether the ticket's last change bears this principal, actor and nonce."""
        nonce = operation.nonce
        if not nonce or _HEADERS[len(nonce)] + nonce not in ticket.state:
            return False  # this search costs a tenth of decoding the state
        present = self._present_state(ticket)
        return (present.principal, present.actor, present.nonce) == (
            principal,
            operation.actor,
            operation.nonce,
        )

    @staticmethod
    def _present_state(ticket: Ticket) -> TicketState:
        present = read_state(ticket.state)
        if present is None:
            raise RuntimeError("a ticket without a state")
        return present

    def _count(self, operation: Operation) -> None:
        """Count one applied operation of this entry node (VectorClock)."""
        self.counts[self._member_index[operation.entry]] += 1

    def _state(
        self,
        operation: Operation,
        principal: str,
        index: int,
        ticket: str,
        state: State,
        validator: str,
        gate: str,
        device: str,
        note: str,
    ) -> bytes:
        """The encoded new state of a ticket. A tuple of a TicketState's fields has the same bytes, so no
        TicketState is built."""
        return canonical.encode(
            (
                operation.event,
                ticket,
                state,
                validator,
                self._timestamp,
                self._sequence,
                index,
                operation.kind,
                principal,
                operation.actor,
                operation.nonce,
                gate,
                device,
                note,
                self.counts,
            )
        )
