"""The sequential model of one log: what an operation is answered by nonce, time and permission (R13 to R15),
and then by the models of tickets, lists (R40 to R42) and locks.

Written from the rules. Of dtvn.machine it reads nothing but the fields of commands.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from typing import Any

import msgspec

from simulator.checkers import list_model, ticket_model
from simulator.checkers.lock_model import LockModel
from simulator.checkers.ticket_model import Asked, State

VALID_FOR_MAX = 600_000_000
"""Microseconds: ten minutes."""
NONCE_KEPT = 3_600_000_000
"""Microseconds beyond `valid_until`."""
NEVER = 1 << 62
UNBINDING = frozenset({"expired", "too_far_ahead", "nonce_reused"})
"""Answers that do not use up a nonce."""
UNKNOWN = frozenset({"unknown_event", "unknown_list", "barcode_not_found", "ticket_not_found"})
SCANS = frozenset({"admit", "annul", "force"})
LOCKS = frozenset({"acquire", "release", "lock", "renew", "unlock", "cancel_lock"})
MOVING = SCANS | {"consume", "import_entry"}
REPEATABLE = MOVING | {"issue", "validate", "dispute", "resolve"}
"""Kinds whose late retry a ticket knows."""
NEEDS: dict[str, tuple[frozenset[str], ...]] = {
    # of each set one capability
    "issue": (frozenset({"issue"}),),
    "set_event": (frozenset({"issue"}),),
    "admit": (frozenset({"gate"}),),
    "consume": (frozenset({"gate"}),),
    "annul": (frozenset({"gate"}),),
    "force": (frozenset({"gate"}), frozenset({"supervise", "admin"})),
    "acquire": (frozenset({"lock", "operate"}),),
    "release": (frozenset({"lock", "operate"}),),
    **dict.fromkeys(("lock", "renew", "unlock", "cancel_lock"), (frozenset({"lock"}),)),
}
OPERATE = (frozenset({"operate"}),)
"""What all others need."""


class Request(msgspec.Struct, frozen=True):
    """One operation as the log takes it."""

    kind: str
    command: Any
    principal: str = ""
    actor: str = ""
    event: str = ticket_model.DEFAULT
    ticket: str = ""
    nonce: bytes = b""
    now: int = ticket_model.NOW
    """Log time, Unix microseconds."""
    valid_until: int = ticket_model.NOW
    id_code: bytes = b""
    """Digest of the text of `ticket` as a code; b"": it names none."""

    @property
    def who(self) -> tuple[str, str]:
        """(principal, actor)."""
        return self.principal, self.actor

    @property
    def code(self) -> bytes:
        """Digest of the code that was read."""
        return getattr(self.command, "code", None) or b""

    @property
    def body(self) -> Hashable:
        """What a nonce is bound to: beside a code, no ticket."""
        return self.kind, self.event, "" if self.code else self.ticket, self.command


class First(msgspec.Struct, frozen=True):
    """The first use of a nonce."""

    body: Any
    answer: str
    until: int


class Made(msgspec.Struct, frozen=True):
    """What a ticket keeps of an operation that changed it."""

    who: tuple[str, str]
    nonce: bytes
    kind: str
    said: Any
    """The command; of one that moved the ticket (kind, list, gate, device)."""


class Kept(msgspec.Struct, frozen=True):
    """By what a ticket knows late retries."""

    last: Made
    """The change that stands, an amendment of its terms not counted."""
    moves: tuple[Made, ...] = ()
    """Its newest movements, the oldest first."""
    amended: bool = False


class LogModel:
    """The state of all that is asked. `grants`: principal -> capabilities, in all events."""

    def __init__(self, grants: Mapping[str, frozenset[str]]) -> None:
        self._grants = grants
        self.events: dict[str, State] = {}
        self.locks = LockModel()
        self._nonces: dict[tuple[str, str, bytes], First] = {}
        self._forgets_at = NEVER
        """When the first of them ends."""
        self._kept: dict[tuple[str, str], Kept] = {}

    def copy(self) -> LogModel:
        """Another one in the same state."""
        other = LogModel(self._grants)
        other.events, other._nonces, other._kept = dict(self.events), dict(self._nonces), dict(self._kept)
        other._forgets_at = self._forgets_at
        if self.locks.held:
            other.locks = copy.deepcopy(self.locks)
        return other

    def state(self) -> object:
        """For comparison with an earlier state."""
        locks = copy.deepcopy(self.locks.held) and [
            copy.deepcopy(self.locks.held),
            copy.deepcopy(self.locks.queues),
        ]
        return dict(self.events), dict(self._nonces), dict(self._kept), locks

    def ask(self, asked: Request) -> tuple[str, str]:
        """(code of the answer, name of the ticket that it is about, if it exists)."""
        self._pass_time(asked.now)
        first = self._nonces.get((*asked.who, asked.nonce)) if asked.nonce else None
        if first is not None:
            return (first.answer if first.body == asked.body else "nonce_reused"), ""
        answer, name = self._refusal(asked) or "", ""
        if not answer and asked.kind in LOCKS:
            owner = asked.principal, asked.command.holder
            answer = self.locks.ask((asked.event, asked.command.name), owner, asked.command, asked.now)
        elif not answer:
            answer, name, late = self._of_tickets(asked)
            if late:  # its ticket knows it for ever, and the nonce is not kept anew
                return answer, name
        self._bind(asked, answer)
        return answer, name

    def note(self, asked: Request, answer: str) -> str:
        """The answer to an operation of another kind: `answer`, unless its nonce was used before."""
        self._pass_time(asked.now)
        first = self._nonces.get((*asked.who, asked.nonce)) if asked.nonce else None
        if first is None or answer in ("expired", "too_far_ahead"):
            self._bind(asked, answer)
            return answer
        return first.answer if first.body == asked.body else "nonce_reused"

    def _bind(self, asked: Request, answer: str) -> None:
        if asked.nonce and answer not in UNBINDING:
            until = asked.valid_until + NONCE_KEPT
            self._nonces[*asked.who, asked.nonce] = First(asked.body, answer, until)
            self._forgets_at = min(self._forgets_at, until)

    def _pass_time(self, now: int) -> None:
        if self._forgets_at < now:
            self._nonces = {key: first for key, first in self._nonces.items() if first.until >= now}
            self._forgets_at = min((first.until for first in self._nonces.values()), default=NEVER)
        self.locks.pass_time(now)

    def event(self, slug: str) -> State:
        """An event as the model of tickets has it."""
        return self.events.get(slug) or State(slug)

    def _refusal(self, asked: Request) -> str | None:
        if asked.valid_until < asked.now:
            return "expired"
        if asked.valid_until > asked.now + VALID_FOR_MAX:
            return "too_far_ahead"
        may = self._grants[asked.principal]
        if not all(may & one_of for one_of in NEEDS.get(asked.kind, OPERATE)):
            return "not_permitted"
        named = asked.kind in ("admit", "consume", "force") and not asked.code
        if named and "operate" not in may and not self._scanned_by_id(asked):
            return "not_permitted"
        supervised = getattr(asked.command, "supervised", False)
        return "not_permitted" if supervised and not may & {"supervise", "admin"} else None

    def _scanned_by_id(self, asked: Request) -> bool:
        """Whether a gate may have read the id as a code."""
        event = self.event(asked.event)
        ticket = event.ticket(asked.ticket)
        ids = event.products is None or event.ids_are_codes
        return ids and (ticket is None or not ticket.codes)

    def _of_tickets(self, asked: Request) -> tuple[str, str, bool]:
        """(code, name, whether it is a late retry)."""
        before = self.event(asked.event)
        kind = asked.command.verdict if asked.kind == "resolve" else asked.kind
        named = asked.ticket if asked.code in (b"", asked.id_code) else ""
        step = Asked(kind, named, asked.command, asked.who, asked.now, asked.nonce, asked.id_code)
        after, (answer,), name = ticket_model.step(before, step)
        if name and answer not in UNKNOWN and before.ticket(name) is not None:
            late = self._late(asked, before, name)
            if late is not None:
                return late, name, True
        self.events[asked.event] = after
        if answer == "ok" and name:
            self._keep(asked, before, name)
        return answer, name, False

    def _late(self, asked: Request, before: State, name: str) -> str | None:
        """`ok` for the repetition of a change that a ticket keeps, whatever became of it since;
        `nonce_reused` for another operation under its nonce; None: it keeps no such nonce."""
        kept = self._kept.get((asked.event, name))
        if kept is None or not asked.nonce or asked.kind not in REPEATABLE:
            return None
        key = asked.who, asked.nonce
        moves = kept.moves if asked.kind in MOVING else ()
        made = next((one for one in (*moves, kept.last) if (one.who, one.nonce) == key), None)
        if made is None:
            return None
        same = made.kind == asked.kind and self._same(asked, made, kept, before, name)
        return "ok" if same else "nonce_reused"

    def _same(self, asked: Request, made: Made, kept: Kept, before: State, name: str) -> bool:
        said = asked.command
        if asked.kind == "issue":
            return bool(said == made.said) if not kept.amended else _issued(said, made.said, before, name)
        if asked.kind == "validate":
            return True  # its data is in the log only
        if asked.kind not in MOVING:
            return bool(said == made.said)
        newest = next((one for one in reversed(kept.moves) if one.kind == "import_entry"), None)
        dated = asked.kind != "import_entry" or made is not newest or said.at == made.said[-1]
        return bool(dated and _movement(asked)[:-1] == made.said[:-1])

    def _keep(self, asked: Request, before: State, name: str) -> None:
        key = asked.event, name
        kept = self._kept.get(key)
        if asked.kind not in REPEATABLE:
            changed = before.ticket(name) != self.event(asked.event).ticket(name)
            if kept is not None and (changed or getattr(asked.command, "seat", None)):
                self._kept[key] = msgspec.structs.replace(kept, amended=True)
            return
        said = _movement(asked) if asked.kind in MOVING else asked.command
        made = Made(asked.who, asked.nonce, asked.kind, said)
        moves = () if kept is None else kept.moves
        if asked.kind in MOVING:
            moves = (*moves, made)[-list_model.KEPT :]
        self._kept[key] = Kept(made, moves, kept is not None and kept.amended)


def _movement(asked: Request) -> tuple[Any, ...]:
    """What a ticket keeps of a movement: direction, list, gate, device; of an import the source's time."""
    said = asked.command
    slug = getattr(said, "list", "") or list_model.MAIN
    return getattr(said, "kind", ""), slug, said.gate, said.device, getattr(said, "at", 0)


def _issued(said: Any, first: Any, before: State, name: str) -> bool:
    """Whether an issue is the first one, of which the terms were amended since: codes stay for ever."""
    ticket = before.ticket(name)
    fields = "commitment", "data", "metadata", "entries"
    return all(getattr(said, field) == getattr(first, field) for field in fields) and (
        ticket is not None and {*said.codes} <= {*ticket.codes, *ticket.revoked}
    )
