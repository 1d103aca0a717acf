"""A machine that writes down all that it tells: answers, rows, roots, and the same after each restart.

Beside it goes a node's machine, whose tickets are not searched: it is loaded from its rows, in reverse order,
after every batch, and must answer the same with the same root.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from hashlib import sha256
from typing import Any

import msgspec

from dtvn.machine import (
    ANSWERED_HEAD,
    LISTED_HEAD,
    AnsweredState,
    Command,
    CommandError,
    ListedState,
    TicketState,
    operation_digest,
    read_state,
    ticket_of,
)
from dtvn.machine.commands import check
from dtvn.machine.kinds import KINDS
from dtvn.machine.reasons import tally
from dtvn.machine.rows import EventRow, LockRow, RunRow, TicketRow, change_from
from dtvn.protocol import canonical
from dtvn.protocol.consensus.application import BatchResult
from dtvn.protocol.consensus.effects import ApplicationChange
from dtvn.protocol.consensus.messages import Operation, Outcome
from dtvn.protocol.consensus.verified import VerifiedBundle
from tests.golden import Telling
from tests.tickets_machine.support import START, Machine

NEAR = 40 * 86_400_000_000
"""Times so near to the beginning of the story are told as a distance from it, in microseconds."""
HEX_SHOWN = 12
ROWS_SHOWN = 20
"""Most rows of a batch that are told in full; of further ones the digest of what would be told."""
EMPTY = ("''", "x", "[]", "None", "0", "{}", "False")
"""How empty values are told."""


def words(value: Any) -> str:
    """A value as one line; fields that are empty are left out, so whatever is there stands there by name."""
    if isinstance(value, msgspec.Struct):
        return f"{type(value).__name__}({', '.join(pairs(value))})"
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bytes):
        return shown_bytes(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {words(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(words, value))) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(words, value)) + "]"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value - START) < NEAR:
        return f"t{value - START:+d}"
    return repr(value) if isinstance(value, str) else str(value)


def pairs(value: msgspec.Struct) -> list[str]:
    """The fields that are not empty, each as name=value."""
    fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
    return [f"{name}={words(found)}" for name, found in fields if words(found) not in EMPTY]


def shown_bytes(value: bytes) -> str:
    """Text if it is some, else the beginning in hex, with the length."""
    if value and all(0x20 < byte < 0x7F for byte in value):
        return f"b'{value.decode()}'"
    more = f"..{len(value)}" if len(value) * 2 > HEX_SHOWN else ""
    return f"x{value.hex()[:HEX_SHOWN]}{more}"


STATES: dict[str, type[Any]] = {
    "set_event": EventRow,
    "record": RunRow,
    "acquire": LockRow,
    "release": LockRow,
    "lock": LockRow,
    "renew": LockRow,
    "unlock": LockRow,
    "cancel_lock": LockRow,
}
"""Kind -> what its outcome's state is, for those that name no ticket."""


def answered(operation: Operation, outcome: Outcome) -> str:
    """The state in an outcome, decoded as the client decodes it."""
    state = outcome.state
    if not state:
        return "-"
    if operation.kind in STATES:
        return words(canonical.decode(STATES[operation.kind], state))
    kind = KINDS.get(operation.kind)
    if kind is not None and kind.names == "ticket":
        found = read_state(state)
        assert found is not None
        wanted = {ANSWERED_HEAD: AnsweredState, LISTED_HEAD: ListedState}.get(state[:3], TicketState)
        assert type(found) is wanted
        return f"of {ticket_of(operation, state)}: {words(found)}"
    return words(canonical.decode(tuple, state))


class Teller(Telling):
    """Executes batches and writes the story."""

    def __init__(self, machine: Machine, node: Machine | None = None) -> None:
        self.machine = machine
        self.node = node or Machine(machine.genesis)
        self.node.searched = False
        self.node.application = self.node.reload()
        super().__init__()
        self.known: dict[str, dict[str, Any]] = {}
        """What each row was told to be."""
        self.answers: dict[str, str] = {}
        """What was told last of each ticket."""
        self.tally: Counter[tuple[str, str]] = Counter()

    def ask(self, command: Command, ticket: str = "", *, principal: str = "gateway", **fields: Any) -> None:
        """Orders one operation alone."""
        self.order(self.machine.operation(command, ticket, **fields), principal=principal)

    def order(self, *operations: Operation, principal: str = "gateway") -> None:
        """Orders one bundle alone."""
        self.batch(self.bundle(*operations, principal=principal))

    def bundle(self, *operations: Operation, principal: str = "gateway", **more: Any) -> VerifiedBundle:
        if principal not in self.machine.sessions and "session" not in more:
            self.batch(self.machine.opening(principal=principal))
            self.machine.sessions[principal] = (self.machine.sequence, 0)
            self.machine.numbers[principal] = 0
        return self.machine.bundle(operations, principal=principal, **more)

    def batch(self, *bundles: VerifiedBundle, after: int = 1) -> None:
        """Executes a batch and tells all of it."""
        machine = self.machine
        soon = machine.now + after
        before = [self._before(each, soon) for each in bundles]
        execution = machine.execute(bundles, after=after)
        self.say(f"{machine.sequence} {words(machine.now)}")
        for verified, result, hint in zip(bundles, execution.results, before, strict=True):
            bundle = verified.bundle
            self.say(f"  bundle {bundle.principal} {bundle.session} {bundle.number}{hint}")
            if result is None:
                self.say("    skipped")
                continue
            self.say(f"    from {result.first_index}")
            for operation, outcome in zip(bundle.operations, result.outcomes, strict=True):
                self._operation(operation, outcome)
            self.tally += tally([(bundle, result.first_index, result.outcomes)])
        self._follow(bundles, execution)
        self._rows()
        root = shown_bytes(self.machine.application.root())
        self.say(f"  results {shown_bytes(execution.results_root)} root {root}")

    def restart(self) -> None:
        """Loads the machine from its rows, and tells all that it can be asked."""
        self.machine.restart()
        self.standing()

    def standing(self) -> None:
        """All that the application answers without an operation."""
        application = self.machine.application
        principals, membership = application.principals, application.membership()
        self.say(f"so far: {words({' '.join(key): count for key, count in sorted(self.tally.items())})}")
        self.say(f"stands: {application.size()} tickets {application.count_states()}")
        self.say(f"  kept {application.count_kept()}, due {words(application.due())}")
        past = words(application.epoch(membership.epoch - 1))
        self.say(f"  members {list(application.member_names)}, before {past}")
        self.say(f"  keys {words(principals.counting())}, listed {principals.names()}")
        governing = [name for name in principals.counting() if application.governs(name)]
        for name in principals.names():
            self.say(f"  {principals.wire(name)} is {words(principals.get(name))}")
        keys = [application.member_key(membership.epoch, index) for index in (-1, 0, len(membership.members))]
        self.say(f"  {words(membership)}, keys {words(keys)}")
        self.say(f"  governing {governing}, root {shown_bytes(application.root())}")

    def _before(self, verified: VerifiedBundle, timestamp: int) -> str:
        application = self.machine.application
        refused, repeated = (
            application.refuse(verified.bundle, timestamp),
            application.repeated(verified.bundle),
        )
        hint = "" if refused is None else f", refused {refused.name}"
        return hint if repeated is None else f"{hint}, {words(repeated)}"

    def _operation(self, operation: Operation, outcome: Outcome) -> None:
        self.say(f"    {outcome.code} {operation.kind} {self._asked(operation)}")
        if outcome.state:
            told = answered(operation, outcome)
            name = f"{operation.event}/{ticket_of(operation, outcome.state)}"
            self.say("      as before" if self.answers.get(name) == told else f"      {told}")
            self.answers[name] = told

    def _asked(self, operation: Operation) -> str:
        name = operation.ticket or "-"
        digest = shown_bytes(operation_digest(operation))
        try:
            command = words(check(operation))
        except CommandError:
            command = f"unreadable {shown_bytes(operation.payload)}"
        return f"{operation.event}/{name} {operation.actor} {command} {digest}"

    def _follow(self, bundles: tuple[VerifiedBundle, ...], execution: BatchResult) -> None:
        """The node does the same, and is loaded anew."""
        node, machine = self.node, self.machine
        followed = node.application.execute(bundles, sequence=machine.sequence, timestamp=machine.now)
        assert followed == execution
        node.restart(backwards=True)
        assert node.application.root() == machine.application.root()
        assert node.application.due() == machine.application.due()

    def _rows(self) -> None:
        """Rows that were written, of a known one what changed; stored and read back as a ledger does."""
        changes = self.machine.application.changes()
        first = len(self.lines)
        for change in sorted(changes, key=lambda each: (each.table, words(each.key))):
            name = f"{change.table} {words(change.key)}"
            if change.row is None:
                self.say(f"  row {name} deleted")
                self.machine.rows.pop((change.table, change.key), None)
                self.known.pop(name, None)
                continue
            fields = {each: getattr(change.row, each) for each in change.row.__struct_fields__}
            self.say(f"  row {name} {', '.join(_changed(self.known.get(name, {}), fields))}")
            self.known[name] = fields
            self.machine.rows[change.table, change.key] = _stored(change)
        if len(self.lines) - first > ROWS_SHOWN:
            told = self.lines[first + ROWS_SHOWN :]
            digest = sha256("\n".join(told).encode()).digest()
            self.lines[first + ROWS_SHOWN :] = [f"  and {len(told)} rows more, {shown_bytes(digest)}"]


def _changed(known: dict[str, Any], fields: dict[str, Any]) -> list[str]:
    """The fields that are not what they were, or not empty; of a list that grew, what was added."""
    found = []
    for name, value in fields.items():
        before = known.get(name)
        if before == value or (name not in known and words(value) in EMPTY):
            continue
        if isinstance(before, tuple) and before and value[: len(before)] == before:
            found.append(f"{name} and {words(value[len(before) :])}")
        else:
            found.append(f"{name}={words(value)}")
    return found


def _stored(change: ApplicationChange) -> ApplicationChange:
    """The row as it is read back from its bytes."""
    if change.table == "ticket":
        row = msgspec.msgpack.decode(msgspec.msgpack.encode(change.row), type=TicketRow)
        return ApplicationChange("ticket", change.key, row)
    trimmed = hasattr(change.row, "first_form")
    packed = canonical.encode_trimmed(change.row) if trimmed else canonical.encode(change.row)
    return change_from(change.table, canonical.encode(change.key), packed)
