"""Ticket services, one operation per file: the entry point for REST, admin, pages and commands.

A service has its operation ordered and returns the Decision, or raises a TicketError with a stable code. No
service writes a table: the learner's rows follow the log (R28).
"""

from tickets.services.admit import admit
from tickets.services.batch import BATCH_OPERATIONS_MAX, batch
from tickets.services.consume import consume
from tickets.services.decide import Decision, Request, decide, decide_one
from tickets.services.dispute import dispute
from tickets.services.errors import InvalidRequest, OutcomeUnknown, Refused, TicketError, Unavailable
from tickets.services.issue import issue
from tickets.services.resolve import resolve
from tickets.services.seed import seed
from tickets.services.validate import validate

__all__ = [
    "BATCH_OPERATIONS_MAX",
    "Decision",
    "InvalidRequest",
    "OutcomeUnknown",
    "Refused",
    "Request",
    "TicketError",
    "Unavailable",
    "admit",
    "batch",
    "consume",
    "decide",
    "decide_one",
    "dispute",
    "issue",
    "resolve",
    "seed",
    "validate",
]
