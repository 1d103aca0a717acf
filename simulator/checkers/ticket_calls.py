"""The history of calls about tickets, in parts that have nothing to do with each other.

Tickets of an event belong together if some operation names both, a code that was ever asked for with either,
or a product that not every creation of their event lists; so do all tickets of an event with a list that
takes only so many persons. What is said of an event itself belongs to all its parts. Each part must have an
order of its own (locality; Herlihy & Wing 1990).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from dtvn.machine import CommandError, code_digest, default_salt, read_state
from dtvn.machine.commands import check, code_of
from dtvn.protocol.consensus.messages import Operation
from simulator.checkers import ticket_model, told_times
from simulator.checkers.log_model import NONCE_KEPT
from simulator.checkers.ticket_model import Asked
from simulator.gateway import Gateway, Request

EVER = 1 << 62
EFFECTLESS = frozenset(
    {"expired", "busy", "nonce_reused", "not_permitted", "too_far_ahead", "malformed", "full"}
)
"""Answers that are possible in any state."""
UNTOLD = frozenset({"outcome_unknown", "unavailable", "unknown_session", "outside_session_window"})
Thing = tuple[str, str, str | bytes]
"""("ticket", "code", "product" or "list"; event; which)."""


class Call(msgspec.Struct, frozen=True):
    """One operation as its caller saw it."""

    kind: str
    asked: int
    answered: int
    """World time; EVER: never."""
    code: str
    """The answer's code; "": unknown."""
    ticket: str = ""
    command: Any = None
    """See Asked."""
    event: str = ticket_model.DEFAULT
    named: str = ""
    """Ticket that a success names; "": none."""
    who: tuple[str, str] = ("", "")
    """(principal, actor)."""
    told: int = 0
    """Log time that came with the answer, Unix microseconds; 0: none did."""
    repeated: bool = False
    """Whether it was asked more than once, so that it happened at `told` or before."""
    times: tuple[int, ...] = (ticket_model.NOW,)
    """Log times at which it may have happened (see told_times)."""
    nonce: bytes = b""

    @property
    def operations(self) -> list[Asked]:
        """What was asked, at each of these times."""
        said = self.kind, self.ticket, self.command, self.who
        return [Asked(*said, time, self.nonce) for time in self.times]


class Part(msgspec.Struct, frozen=True):
    """Calls that have nothing to do with other ones."""

    event: str
    calls: list[Call]
    crowded: bool
    """Whether the event may have other tickets."""
    signed: bool
    """Whether it matters who made an entry, where and when."""

    @property
    def start(self) -> ticket_model.State:
        """The state before the first of them."""
        return ticket_model.State(self.event, crowded=self.crowded, signed=self.signed)


def nonces_forgotten(gateways: Sequence[Gateway]) -> bool:
    """Whether so much log time went by that calls with one nonce may be several operations (R13)."""
    requests = [request for gateway in gateways for request in gateway.requests]
    times = [result.timestamp for each in requests for result in each.results or () if result.timestamp]
    return bool(times) and max(times) - min(times) > NONCE_KEPT


def parts(gateways: Sequence[Gateway]) -> Iterator[Part]:
    """All parts of the history in a fixed order."""
    by_event: dict[str, list[Call]] = {}
    for call in _calls(gateways):
        by_event.setdefault(call.event, []).append(call)
    known = told_times.known(gateways)
    for event in sorted(by_event):
        calls = by_event[event]
        signed = any(map(_asks_of_movements, calls))
        if signed:
            calls = told_times.dated(calls, known)
        said = [call for call in calls if call.kind == "set_event"]
        listed = [
            {name for name, _admits in call.command.products or ()} for call in said if _lists(call, said)
        ]
        always = set.intersection(*listed) if listed else set()
        limited = any(each.capacity for call in said for each in call.command.lists or ())
        groups = _Groups()
        about = [
            (call, groups.join(_things(call, always, limited=limited)))
            for call in calls
            if call.kind != "set_event"
        ]
        found: dict[Thing, list[Call]] = {}
        for call, thing in about:
            found.setdefault(groups.root(thing), []).append(call)
        issuing = [part for part in found.values() if any(call.kind == "issue" for call in part)]
        for part in found.values():
            crowded = any(other is not part for other in issuing)
            yield Part(event, [*said, *part], crowded, signed)


def _asks_of_movements(call: Call) -> bool:
    """Whether a call tells one entry of a ticket from another."""
    said = call.command
    return (
        call.kind in ("annul", "force")
        or getattr(said, "kind", "entry") != "entry"
        or bool(getattr(said, "lists", ()) or getattr(said, "list", ""))
        or getattr(said, "entries", 1) > 1
    )


def _lists(call: Call, said: Sequence[Call]) -> bool:
    """Whether what is said of an event decides about its products: where it leaves them out, only if nothing
    else is sure to be said before."""
    listing = [one for one in said if one.command.products is not None]
    return call in listing or call.asked <= min((one.answered for one in listing), default=EVER)


class _Groups:
    """Things that belong together (union-find)."""

    def __init__(self) -> None:
        self._parents: dict[Thing, Thing] = {}

    def root(self, thing: Thing) -> Thing:
        while (parent := self._parents.setdefault(thing, thing)) != thing:
            thing = parent
        return thing

    def join(self, things: list[Thing]) -> Thing:
        for thing in things[1:]:
            self._parents[self.root(thing)] = self.root(things[0])
        return things[0]


def _things(call: Call, listed: set[str], *, limited: bool) -> list[Thing]:
    """What a call is about; never empty. `limited`: a list of the event takes only so many persons."""
    command, event = call.command, call.event
    things: list[Thing] = [("ticket", event, call.ticket)] if call.ticket else []
    codes = (*getattr(command, "codes", ()), getattr(command, "code", None))
    things += [("code", event, code) for code in codes if code]
    product = getattr(command, "product", None)
    if product and product not in listed:
        things.append(("product", event, product))
    if limited:
        things.append(("list", event, ""))
    return things or [("ticket", event, "")]


def _calls(gateways: Sequence[Gateway]) -> Iterator[Call]:
    """All calls about tickets. Those that share a nonce are one operation, asked when it was first asked and
    answered when it was first answered; all its answers must be equal (checker `model`)."""
    merged: dict[object, Call] = {}
    for gateway in gateways:
        for request in gateway.requests:
            for place, operation in enumerate(request.operations):
                if operation.kind not in ticket_model.KINDS:
                    continue
                call = _call(request, place, operation, gateway)
                if call is None:
                    continue
                key: object = len(merged)
                if operation.nonce:
                    key = (
                        *(gateway.principal, operation.actor, operation.nonce, operation.kind),
                        *(operation.event, operation.ticket, operation.payload),
                    )
                known = merged.get(key)
                merged[key] = call if known is None else _joined(known, call)
    yield from merged.values()


def _call(request: Request, place: int, operation: Operation, gateway: Gateway) -> Call | None:
    """None for an operation that no state lets happen, and that was answered so."""
    result = None if request.results is None else request.results[place]
    code = "" if result is None or result.code in UNTOLD else result.code
    try:
        command: Any = check(operation)
    except CommandError:
        if code not in ("", *EFFECTLESS):
            raise
        return None
    kind = command.verdict if operation.kind == "resolve" else operation.kind
    named = ""
    if result is not None and code == "ok" and operation.kind != "set_event":
        state = read_state(result.state)
        named = "" if state is None else state.ticket
    return Call(
        kind,
        request.asked_at,
        request.ended_at if code else EVER,
        code,
        _named(operation, command, gateway.world.cluster),
        command,
        operation.event,
        named,
        (gateway.principal, operation.actor),
        0 if result is None or not code else result.timestamp,
        nonce=operation.nonce,
    )


def _named(operation: Operation, command: Any, cluster: bytes) -> str:
    """The ticket that an operation names; beside a code, only one that is the text of that code."""
    code, name = code_of(command), operation.ticket
    if code and name and code != code_digest(default_salt(cluster, operation.event), name):
        return ""
    return name


def _joined(first: Call, second: Call) -> Call:
    asked, answered = min(first.asked, second.asked), min(first.answered, second.answered)
    told = [call for call in (first, second) if call.code and call.code not in EFFECTLESS]
    if told:
        code = told[0].code
        answered = min(call.answered for call in told if call.code == code)
    elif first.code and second.code:
        code = first.code
    else:
        code, answered = "", EVER
    named = first.named or second.named
    times = [call.told for call in (first, second) if call.told]
    return msgspec.structs.replace(
        first,
        asked=asked,
        answered=answered,
        code=code,
        named=named,
        told=min(times, default=0),
        repeated=True,
    )
