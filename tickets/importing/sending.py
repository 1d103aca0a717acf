"""Has the requests of an import ordered through this platform's own gateway.

Requests carry no nonces: what each of them does is done once, so a repetition is harmless, and for an import
"exists" is as good as "issued". The cluster remembers a bounded number of nonces per gateway (R13), and an
import would use up those that the gates need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from dtvn.api.errors import TicketError
from dtvn.api.ordering import Decision, Request
from dtvn.gateway import Result
from dtvn.machine import Block, ImportEntry, Issue, Replace, State, reasons
from dtvn.machine.rows import TicketRow
from tickets.importing.network import entries_made
from tickets.importing.until_final import TRY_AGAIN, Answer, Refused
from tickets.services import codes
from tickets.services.search import state_of_row
from validators import feed

OWN_WRITES_WAIT = 1.0
"""Seconds for the platform's copy to include a refusal."""
MAY_ENTER = frozenset({State.ISSUED, State.VALIDATED})
REPEATED = {
    Issue: reasons.TICKET_EXISTS,
    Block: reasons.ALREADY_BLOCKED,
    ImportEntry: reasons.ALREADY_CONSUMED,
}

Order = Callable[[Sequence[Request]], Sequence[Decision]]


class Sending:
    """Sends requests for tickets of one event. The texts of their codes are stored before; `source`: of the
    file that gives them (ImportPlan.key)."""

    def __init__(self, order: Order, event: str, source: str) -> None:
        self._order, self._event, self._source = order, event, source
        self._sent: set[Request] = set()
        self.possible: set[Request] = set()
        """Those that were executed, or may have been, or may be yet."""
        self.sequence = 0
        """The highest at which one of them was decided."""

    def __call__(self, requests: list[Request]) -> list[Answer]:
        """Their decisions. Raises Refused if nothing of this import is accepted."""
        codes.remember(requests, source=self._source)
        doubtless = set(requests) - self.possible
        self._sent |= doubtless
        self.possible |= doubtless
        try:
            decisions = self._order(requests)
        except TicketError as error:
            if error.status not in TRY_AGAIN:
                self.possible -= doubtless
                raise Refused(str(error)) from error
            decisions = [Decision(one, Result(error.code)) for one in requests]
        refused = {one.request for one in decisions if _is_refused(one)}
        self.possible -= refused & doubtless
        self.sequence = max([self.sequence, *(one.result.sequence for one in decisions)])
        return [Answer(one.status, one) for one in decisions]

    def forget_refused(self) -> None:
        """Delete the texts of codes that no request can have given to a ticket."""
        refused = {one.ticket for one in self._sent - self.possible if one.texts}
        if refused and feed.wait_for(self.sequence, OWN_WRITES_WAIT) < self.sequence:
            return  # what the tickets have is not known here yet; a text too many does no harm
        codes.forget_codes(self._event, refused)


def is_done(decision: Decision) -> bool:
    """Whether the network is now as the request says, by this operation or by an earlier one."""
    return decision.code in (reasons.OK, REPEATED.get(type(decision.request.command)))


def _is_refused(decision: Decision) -> bool:
    """Whether a request was surely not executed, if it was not sent before."""
    if decision.status in TRY_AGAIN:
        return decision.code in reasons.NOT_SENT
    return not is_done(decision)


def missing_steps(steps: Sequence[Request], stored: TicketRow) -> list[Request] | None:
    """Those of the steps of a new ticket that the stored one lacks; None if an entry is missing and the
    stored ticket has other codes than these steps give."""
    giving = [one for one in steps if isinstance(one.command, Issue | Replace)]
    entries = steps[len(giving) :] if state_of_row(stored) in MAY_ENTER else []
    entries = entries[entries_made(stored) :]
    digests = [one.command.codes for one in giving if isinstance(one.command, Issue | Replace)]
    for at, given in enumerate(digests):
        if (tuple(chain.from_iterable(digests[:at])), given) == (stored.revoked, stored.codes):
            return [*giving[at + 1 :], *entries]
    return None if entries else []
