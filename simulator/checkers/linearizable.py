"""Are the answers to clients a linearizable history of tickets? (Herlihy & Wing 1990; R13, R16, R40 to R42)

Trusts neither the log nor the ticket machine: from calls and answers alone it searches, for each part of the
history (ticket_calls), for an order that respects real time and in which the sequential model (ticket_model)
gives every answer that was given (Wing & Gong 1993, with Lowe's memory of configurations already tried). A
call that was never answered may have happened at any time after it was made, or never.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.checkers import ticket_model
from simulator.checkers.base import Checker
from simulator.checkers.ticket_calls import EFFECTLESS, EVER, Call, nonces_forgotten, parts
from simulator.checkers.ticket_model import State
from simulator.gateway import Gateway
from simulator.world import World

SEARCHED_MAX = 20_000
"""Configurations searched for one part; beyond it the history counts as not refuted."""


class Linearizable(Checker):
    """Collects calls at the gateways; searches for an order when the world is over."""

    name = "linearizable"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._gateways: list[Gateway] = []
        self.blind = False
        """True: a client that is not observed changes tickets too."""
        self.unsure = 0
        """Parts of the history whose search was given up."""

    def watch(self, gateways: list[Gateway]) -> None:
        """Observe these gateways: their calls are the history."""
        self._gateways = gateways

    def finish(self) -> None:
        """See Checker. Where nonces were forgotten, callers cannot tell one operation from two: there the
        checker `model` alone compares."""
        if self.blind or nonces_forgotten(self._gateways):
            return
        for part in parts(self._gateways):
            found = explains(part.calls, part.start)
            self.unsure += found is None
            if found is False:
                calls = part.calls
                told = ", ".join(
                    f"{c.kind} {c.ticket} [{c.asked}, {c.answered}] {c.code or '?'}" for c in calls
                )
                names = sorted({call.ticket for call in calls if call.ticket}) or ["a code of no ticket"]
                self.fail(f"no order of its calls explains {', '.join(names)} of {part.event}: {told}")


def explains(calls: Sequence[Call], start: State | None = None) -> bool | None:
    """Whether some order of the calls respects real time and gives every answer; None: not found out within
    SEARCHED_MAX configurations."""
    # Answers without an effect fit anywhere; calls never answered come last when nothing needs them.
    rest = sorted((call for call in calls if call.code not in EFFECTLESS), key=lambda call: call.asked)
    return _Search(rest, start or State()).run()


class _Search:
    """States are known by their numbers, and each step from one of them is taken once."""

    def __init__(self, rest: list[Call], start: State) -> None:
        """`rest` is in the order in which it was asked."""
        self._rest = rest
        self._states = [start]
        self._numbers = {start: 0}
        self._steps: dict[tuple[int, int], dict[int, bool]] = {}

    def run(self) -> bool | None:
        """See explains."""
        told = sum(1 << place for place, call in enumerate(self._rest) if call.code)
        seen: set[tuple[int, int]] = set()
        stack = [(0, 0)]
        while stack:
            done, state = stack.pop()
            if done & told == told:
                return True
            if (done, state) in seen:
                continue
            seen.add((done, state))
            if len(seen) > SEARCHED_MAX:
                return None
            stack += self._next(done, state)
        return False

    def _next(self, done: int, state: int) -> list[tuple[int, int]]:
        """The configurations that one more call leads to. A refusal, which changes nothing wherever it comes,
        may as well come first, so no other is tried; an unanswered call that changes nothing is left out."""
        horizon = EVER
        found: list[tuple[int, int, int]] = []
        for place in range((done ^ done + 1).bit_length() - 1, len(self._rest)):
            call = self._rest[place]
            if call.asked > horizon:
                break  # and all later calls were answered later, too
            if done >> place & 1:
                continue
            if call.answered < horizon:
                horizon = call.answered
            steps = self._step(state, place)
            if call.code not in ("", "ok") and any(steps.values()):
                return [(done | 1 << place, state)]
            for after, right in steps.items():
                if right if call.code else after != state:
                    found.append((call.answered, place, after))
        # The stack gives back the last one first: the order of the answers is mostly that of the log.
        found.sort(reverse=True)
        return [(done | 1 << place, after) for _answered, place, after in found]

    def _step(self, state: int, place: int) -> dict[int, bool]:
        """Number of the state after a call -> whether its answer is right here, for each time at which the
        call may have happened."""
        known = self._steps.get((state, place))
        if known is None:
            known = self._steps[state, place] = {}
            call = self._rest[place]
            for asked in call.operations:
                after, answers, name = ticket_model.step(self._states[state], asked)
                number = self._numbers.setdefault(after, len(self._states))
                if number == len(self._states):
                    self._states.append(after)
                right = call.code in answers and (call.code != "ok" or call.named in ("", name))
                known[number] = known.get(number, False) or right
        return known
