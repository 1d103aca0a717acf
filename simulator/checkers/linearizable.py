"""Are the answers to clients a linearizable history of tickets? (Herlihy & Wing 1990; R13, R16)

Trusts neither the log nor the ticket machine: from calls and answers alone it searches, ticket by ticket, for
an order that respects real time and gives every answer that was given (Wing & Gong 1993, with Lowe's memory
of configurations already tried). A call that was never answered may have happened at any time after it was
made, or never.
"""

from __future__ import annotations

import msgspec

from dtvn.machine import Resolve
from dtvn.protocol import canonical
from dtvn.protocol.consensus.messages import Operation
from simulator.checkers.base import Checker
from simulator.gateway import Gateway, Request
from simulator.world import World

EVER = 1 << 62
SEARCHED_MAX = 5_000
"""Configurations searched for one ticket; beyond it the history counts as not refuted."""
EFFECTLESS = frozenset(
    {"expired", "busy", "nonce_reused", "not_permitted", "too_far_ahead", "malformed", "full"}
)
"""Answers that are possible in any state."""
UNTOLD = frozenset({"outcome_unknown", "unavailable", "unknown_session", "outside_session_window"})

ABSENT, ISSUED, VALIDATED, CONSUMED, DISPUTED, UPHELD = range(6)
ANSWERS: dict[str, tuple[tuple[int, str], ...]] = {
    # kind: for each state before, (state after, answer)
    "issue": (
        (ISSUED, "ok"),
        (ISSUED, "ticket_exists"),
        (VALIDATED, "ticket_exists"),
        (CONSUMED, "ticket_exists"),
        (DISPUTED, "ticket_exists"),
        (UPHELD, "ticket_exists"),
    ),
    "validate": (
        (ABSENT, "ticket_not_found"),
        (VALIDATED, "ok"),
        (VALIDATED, "already_validated"),
        (CONSUMED, "already_consumed"),
        (DISPUTED, "disputed"),
        (UPHELD, "disputed"),
    ),
    "consume": (
        (ABSENT, "ticket_not_found"),
        (ISSUED, "not_validated"),
        (CONSUMED, "ok"),
        (CONSUMED, "already_consumed"),
        (DISPUTED, "disputed"),
        (UPHELD, "disputed"),
    ),
    "admit": (
        (ABSENT, "ticket_not_found"),
        (CONSUMED, "ok"),
        (CONSUMED, "ok"),
        (CONSUMED, "already_consumed"),
        (DISPUTED, "disputed"),
        (UPHELD, "disputed"),
    ),
    "dispute": (
        (ABSENT, "ticket_not_found"),
        (ISSUED, "not_validated"),
        (DISPUTED, "ok"),
        (CONSUMED, "already_consumed"),
        (DISPUTED, "already_disputed"),
        (UPHELD, "already_disputed"),
    ),
    "clear": (
        (ABSENT, "ticket_not_found"),
        (ISSUED, "not_disputed"),
        (VALIDATED, "not_disputed"),
        (CONSUMED, "not_disputed"),
        (VALIDATED, "ok"),
        (UPHELD, "already_upheld"),
    ),
    "uphold": (
        (ABSENT, "ticket_not_found"),
        (ISSUED, "not_disputed"),
        (VALIDATED, "not_disputed"),
        (CONSUMED, "not_disputed"),
        (UPHELD, "ok"),
        (UPHELD, "already_upheld"),
    ),
}
"""The ticket's state machine, deliberately written down a second time."""


class Call(msgspec.Struct, frozen=True):
    """One operation on one ticket as its caller saw it."""

    kind: str
    asked: int
    answered: int
    """World time; EVER: never."""
    code: str
    """The answer's code; "": unknown."""


class Linearizable(Checker):
    """Collects calls at the gateways; searches for an order when the world is over."""

    name = "linearizable"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._gateways: list[Gateway] = []
        self.blind = False
        """True: a client that is not observed changes tickets too."""

    def watch(self, gateways: list[Gateway]) -> None:
        """Observe these gateways: their calls are the history."""
        self._gateways = gateways

    def finish(self) -> None:
        """See Checker."""
        for ticket, calls in sorted(self._histories().items()) if not self.blind else ():
            if not explains(calls):
                told = ", ".join(f"{c.kind} [{c.asked}, {c.answered}] {c.code or '?'}" for c in calls)
                self.fail(f"no order of its calls explains {ticket}: {told}")

    def _histories(self) -> dict[str, list[Call]]:
        """Returns ticket -> its operations. Calls that share a nonce are one operation, asked when it was
        first asked and answered when it was first answered; all its answers must be equal (checker
        `at-most-once`)."""
        merged: dict[tuple[str, str, bytes, str, str], Call] = {}
        plain: dict[str, list[Call]] = {}
        for gateway in self._gateways:
            for request in gateway.requests:
                for place, operation in enumerate(request.operations):
                    if operation.kind not in ANSWERS and operation.kind != "resolve":
                        continue
                    call = _call(request, place, operation)
                    if not operation.nonce:
                        plain.setdefault(operation.ticket, []).append(call)
                        continue
                    key = (gateway.principal, operation.actor, operation.nonce, call.kind, operation.ticket)
                    known = merged.get(key)
                    merged[key] = call if known is None else _joined(known, call)
        for key, call in merged.items():
            plain.setdefault(key[4], []).append(call)
        return plain


def _call(request: Request, place: int, operation: Operation) -> Call:
    kind = operation.kind
    if kind == "resolve":
        kind = canonical.decode(Resolve, operation.payload).verdict if operation.payload else "clear"
    code = request.results[place].code if request.results is not None else ""
    known = request.over and code not in UNTOLD
    return Call(kind, request.asked_at, request.ended_at if known else EVER, code if known else "")


def _joined(first: Call, second: Call) -> Call:
    asked, answered = min(first.asked, second.asked), min(first.answered, second.answered)
    codes = [call.code for call in (first, second) if call.code and call.code not in EFFECTLESS]
    if codes:
        return Call(
            first.kind, asked, min(c.answered for c in (first, second) if c.code == codes[0]), codes[0]
        )
    if not first.code or not second.code:
        return Call(first.kind, asked, EVER, "")
    return Call(first.kind, asked, answered, first.code)


def explains(calls: list[Call]) -> bool:
    """Whether some order of the calls respects real time and gives every answer."""
    # Answers without an effect fit anywhere; calls never answered come last when nothing needs them.
    rest = sorted((call for call in calls if call.code not in EFFECTLESS), key=lambda call: call.asked)
    told = sum(1 << place for place, call in enumerate(rest) if call.code)
    seen: set[tuple[int, int]] = set()
    stack = [(0, ABSENT)]
    while stack:
        done, state = stack.pop()
        if done & told == told:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        if len(seen) > SEARCHED_MAX:
            return True
        stack += _next(rest, done, state)
    return False


def _next(rest: list[Call], done: int, state: int) -> list[tuple[int, int]]:
    """The configurations that one more call leads to; `rest` is in the order in which it was asked. An
    answered call that changes nothing here may as well come first, so no other is tried; an unanswered call
    that changes nothing is left out."""
    horizon = EVER
    found: list[tuple[int, int]] = []
    for place in range((done ^ done + 1).bit_length() - 1, len(rest)):
        call = rest[place]
        if call.asked > horizon:
            break  # and all later calls were answered later, too
        if done >> place & 1:
            continue
        if call.answered < horizon:
            horizon = call.answered
        after, answer = ANSWERS[call.kind][state]
        if call.code == answer and after == state:
            return [(done | 1 << place, state)]
        if call.code == answer or (not call.code and after != state):
            found.append((done | 1 << place, after))
    return found
