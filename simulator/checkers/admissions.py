"""Who came in by the agreed log, counted as R41 does: for the checker `at-most-once`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dtvn.gateway import Result
from dtvn.machine import CommandError, read_state
from dtvn.machine.commands import check
from dtvn.protocol.consensus import messages as m
from simulator.checkers import list_model
from simulator.checkers.list_model import MAIN, Moves

ENTERING = frozenset({"consume", "admit", "import_entry", "force"})
ABOUT = ENTERING | {"annul"}
Place = tuple[str, str, str]
"""(event, ticket, slug of a list)."""
Signed = tuple[str, str, bytes]
"""(principal, actor, nonce) of an operation."""
Said = tuple[str, str, str, str, str]
"""(kind of the operation, of the movement, slug, gate, device) of a scan."""


class Admissions:
    """Reads the operations that succeeded, one after the other."""

    def __init__(self) -> None:
        self.made: Counter[Place] = Counter()
        """Entries, those included that were taken back since."""
        self._lists: dict[str, tuple[Any, ...]] = {}
        self._persons: dict[tuple[str, str], int] = {}
        self._moves: dict[tuple[str, str], Moves] = {}
        self._holders: dict[tuple[str, bytes], str] = {}
        """(event, code) -> ticket that it opened first (R40)."""
        self._kept: dict[tuple[str, str], list[tuple[Signed, Said]]] = {}
        """Ticket -> its newest movements: a nonce of these is known for ever (R13)."""
        self._doubtful: set[tuple[str, str]] = set()
        """Tickets that an operation may have moved once or twice."""

    def happened(
        self, principal: str, operation: m.Operation, outcome: m.Outcome, now: int, *, again: bool = False
    ) -> str | None:
        """What is wrong with a success at this log time; None: nothing. `again`: the same was asked so long
        ago that its nonce may be forgotten."""
        if operation.kind == "set_event":
            said: Any = check(operation)
            if said.lists is not None:
                self._lists[operation.event] = said.lists
        elif operation.kind == "issue":
            issued: Any = check(operation)
            self._persons[operation.event, operation.ticket] = issued.entries
        elif operation.kind in ABOUT:
            return self._moved(principal, operation, outcome, now, again=again)
        return None

    def entered(self, operation: m.Operation, answer: m.Outcome | Result) -> Place | None:
        """Where a success says that somebody entered; None: nowhere."""
        kind, slug = wanted(operation)
        if operation.kind not in ENTERING or kind != "entry":
            return None
        name = self._name(operation, answer)
        return (operation.event, name, slug) if name else None

    def _name(self, operation: m.Operation, answer: m.Outcome | Result) -> str:
        """The ticket that an answer names; in one without a state (an outcome of before that was asked again)
        the one that the operation's code opened, where it has none its own."""
        state = read_state(answer.state)
        if state is not None:
            return state.ticket
        code = code_of(operation)
        return self._holders.get((operation.event, code), "") if code else operation.ticket

    def _moved(
        self, principal: str, operation: m.Operation, outcome: m.Outcome, now: int, *, again: bool
    ) -> str | None:
        said: Any = check(operation)
        event, code = operation.event, code_of(operation)
        ticket = event, self._name(operation, outcome)
        if code:
            first = self._holders.setdefault((event, code), ticket[1])
            if first != ticket[1]:
                return f"a code opened {first} and {ticket[1]}"
        kind, slug = wanted(operation)
        signed = principal, operation.actor, operation.nonce
        scan = operation.kind, kind, slug, getattr(said, "gate", ""), getattr(said, "device", "")
        kept = self._kept.setdefault(ticket, [])
        for before, scanned in kept if operation.nonce else ():
            if before == signed:
                return None if scan == scanned else f"{ticket[1]!r} takes a nonce of {scanned} for {scan}"
        kept.append((signed, scan))
        del kept[: -list_model.KEPT]
        if again:
            self._doubtful.add(ticket)
        if ticket in self._doubtful:
            self.made[(*ticket, slug)] += kind == "entry"
            return None
        lists, moves = self._lists.get(event), self._moves.get(ticket, ())
        listed = list_model.find(lists or (), slug)
        if listed is None:
            return f"{ticket[1]!r} moved on no list"
        wrong = self._wrong(principal, operation, said, listed, moves, self._persons.get(ticket, 1), now)
        if wrong is not None:
            return f"{ticket[1]!r} {wrong}"
        if kind == "annul":
            self._moves[ticket] = list_model.annulled(listed, moves, now)
            return None
        dated, who = getattr(said, "at", 0), (principal, operation.actor)
        self._moves[ticket] = list_model.moved(
            listed, moves, kind, now, said.device, who, dated, operation.nonce
        )
        self.made[(*ticket, slug)] += kind == "entry"
        return None

    def _wrong(
        self,
        principal: str,
        operation: m.Operation,
        said: Any,
        listed: Any,
        moves: Moves,
        persons: int,
        now: int,
    ) -> str | None:
        """What R41 does not let a ticket with these movements do."""
        kind, slug = wanted(operation)
        if kind == "exit":
            return None if list_model.inside(listed, moves, now) > 0 else "left without being inside"
        if kind == "annul":
            who = principal, operation.actor
            refusal = list_model.refuses_annulment(moves, slug, said, who, now)
            return refusal and f"had a movement annulled: {refusal}"
        # Nothing is asked of who is forced in, or is inside already elsewhere.
        asked = operation.kind != "force" and not (
            operation.kind == "import_entry" and self._lists.get(operation.event)
        )
        if asked and list_model.used_up(listed, moves, persons, now):
            return "admitted again"
        return None


def wanted(operation: m.Operation) -> tuple[str, str]:
    """(entry, exit or annul; slug of the list) of an operation about a ticket's movements."""
    try:
        said: Any = check(operation)
    except CommandError:
        return "", MAIN
    kind = "annul" if operation.kind == "annul" else getattr(said, "kind", "entry")
    return kind, getattr(said, "list", "") or MAIN


def code_of(operation: m.Operation) -> bytes:
    """Digest of the code in an operation; b"": it has none."""
    if operation.kind not in ABOUT:
        return b""
    try:
        said: Any = check(operation)
    except CommandError:
        return b""
    return getattr(said, "code", None) or b""
